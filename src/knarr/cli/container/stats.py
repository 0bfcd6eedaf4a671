"""``knarr stats``."""

from __future__ import annotations

import sys

from knarr.cli.command import Command, CommandError
from knarr.cli.container.usage import view_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from knarr.cli.command import Call
    from knarr.cli.container.watching import Watching
    from knarr.cli.output import View

_REFRESH = 0.5
_HOME, _CLEAR_LINE, _CLEAR_REST = "\x1b[H", "\x1b[K", "\x1b[J"


def execute(call: Call) -> int:
    """Show what containers use: once, or again and again until an interrupt."""
    from knarr.cli.container.watching import Watching

    flags = call.flags
    live = not flags.on("no-stream")
    view, form = view_of(whole=flags.on("no-trunc")), flags.text("format")
    view.show([], form)  # a template that is wrong is told before there is anything to wait for
    watching = Watching(call.session, live=live)
    if call.arguments:
        for name in dict.fromkeys(call.arguments):
            watching.add(name)
    else:
        watching.follow(every=flags.on("all"))
    watching.wait_for_first()
    if problems := watching.problems():
        raise CommandError("\n".join(dict.fromkeys(problems)))
    if not live:
        rows = watching.rows()
        sys.stdout.write(view.show(rows, form) if rows or not call.arguments else "")
        return 0
    return _refresh(watching, view, form)


def _refresh(watching: Watching, view: View, form: str) -> int:
    """Print the table over itself on a terminal, one below the other elsewhere."""
    from time import sleep

    on_terminal = sys.stdout.isatty()
    if on_terminal:
        sys.stdout.write("\x1b[2J")
    while True:
        text = view.show(watching.rows(), form)
        if on_terminal:
            text = _HOME + text.replace("\n", f"{_CLEAR_LINE}\n") + _CLEAR_REST
        sys.stdout.write(text)
        sys.stdout.flush()
        if watching.is_over:
            return 0
        sleep(_REFRESH)


COMMAND = Command(
    "[OPTIONS] [CONTAINER...]",
    execute,
    (
        ("all", "a", "", False, "Also show containers that do not run"),
        ("format", "", "string", "", "How to print: 'table', 'table TEMPLATE', 'json', TEMPLATE"),
        ("no-stream", "", "", False, "Show it once"),
        ("no-trunc", "", "", False, "Shorten nothing"),
    ),
    arguments=(0, None),
)
