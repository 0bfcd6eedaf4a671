"""What ``--help`` prints: docker's layout, 80 columns or the terminal's width."""

from __future__ import annotations

import os
import sys

from knarr.cli import registry
from knarr.cli.command import PROGRAM

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from knarr.cli.command import Command
    from knarr.cli.flags import FlagRow

_SHOWN_KINDS = {"swap": "bytes"}
_NARROWEST = 24


def print_overview(flags: Sequence[FlagRow]) -> int:
    """``knarr --help``."""
    rest = [name for name in registry.SHORT if name not in registry.COMMON]
    parts = [
        f"Usage:  {PROGRAM} [OPTIONS] COMMAND\n\nA container engine that answers the Docker API\n",
        _commands("Common Commands", ((name, registry.describe(name)) for name in registry.COMMON)),
        _commands("Management Commands", registry.GROUPS.items()),
        _commands("Commands", ((name, registry.describe(name)) for name in sorted(rest))),
        "Global Options:\n" + _options(flags),
        f"Run '{PROGRAM} COMMAND --help' for more information on a command.",
    ]
    print("\n".join(parts))
    return 0


def print_group(group: str) -> int:
    """``knarr image --help``."""
    print(f"Usage:  {PROGRAM} {group} COMMAND\n\n{registry.GROUPS[group]}\n")
    print(_commands("Commands", sorted(registry.CHILDREN[group].items())))
    print(f"Run '{PROGRAM} {group} COMMAND --help' for more information on a command.")
    return 0


def print_command(words: str, target: str, command: Command, *, deprecated: bool) -> int:
    """``knarr run --help``."""
    if deprecated:
        print("Flag shorthand -h has been deprecated, use --help", file=sys.stderr)
    group, dot, child = target.partition(".")
    purpose = registry.CHILDREN[group][child] if dot else registry.ALONE[target]
    print(f"Usage:  {PROGRAM} {words} {command.usage}\n\n{purpose}")
    aliases = registry.aliases(target)
    if len(aliases) > 1:
        print("\nAliases:\n  " + ", ".join(f"{PROGRAM} {alias}" for alias in aliases))
    if command.flags:
        print("\nOptions:\n" + _options(command.flags), end="")
    return 0


def _commands(title: str, rows: Iterable[tuple[str, str]]) -> str:
    rows = list(rows)
    width = max(len(name) for name, _ in rows)
    return f"{title}:\n" + "".join(f"  {name:<{width}}  {text}\n" for name, text in rows)


def _options(flags: Sequence[FlagRow]) -> str:
    """The flags; one without a description is an old name and not shown."""
    heads = [_option(row) for row in sorted(flags) if row[4]]
    column = max(len(head) for head, _ in heads) + 3
    try:
        total = os.get_terminal_size(1).columns
    except OSError:
        total = 80
    width = max(total - column, _NARROWEST)
    lines = []
    for head, text in heads:
        first, *more = _wrap(text, width)
        lines.append(f"{head:<{column}}{first}")
        lines += [" " * column + line for line in more]
    return "\n".join(lines) + "\n"


def _option(row: FlagRow) -> tuple[str, str]:
    name, short, kind, default, text = row
    head = f"  -{short}, --{name}" if short else f"      --{name}"
    if kind:
        head += " " + _SHOWN_KINDS.get(kind, kind)
    if default is True or (default not in (False, "", 0, None) and kind not in ("list", "filter")):
        shown = f'"{default}"' if kind == "string" else str(default).lower()
        text += f" (default {shown})"
    return head, text


def _wrap(text: str, width: int) -> list[str]:
    lines = [""]
    for word in text.split():
        if lines[-1] and len(lines[-1]) + 1 + len(word) > width:
            lines.append("")
        lines[-1] += f" {word}" if lines[-1] else word
    return lines
