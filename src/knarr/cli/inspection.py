"""How ``inspect`` shows objects: a JSON list as the engine sent it, or a template for each.

Objects that are not found are reported at the end; the others are shown.
"""

from __future__ import annotations

import sys

from knarr.cli.command import CommandError, message
from knarr.errors import KnarrError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from knarr.cli.flags import FlagRow

FORMAT_FLAG: FlagRow = ("format", "f", "string", "", "How to print: 'json' or TEMPLATE")


def inspect(names: Sequence[str], fetch: Callable[[str], bytes], form: str) -> int:
    """Show the objects; ``fetch`` gets one's JSON text or raises ``KnarrError``."""
    found, problems = [], []
    for name in names:
        try:
            found.append(fetch(name).decode("utf-8", "surrogateescape").strip())
        except (KnarrError, CommandError) as error:
            problems.append(message(error))
    if form in ("", "json"):
        sys.stdout.write(_list(found, laid_out=not form))
    else:
        problems += _fill_in(found, form)
    if problems:
        raise CommandError("\n".join(problems))
    return 0


def _list(found: Sequence[str], *, laid_out: bool) -> str:
    text = f"[{','.join(found)}]"
    if laid_out:
        from knarr.cli.indent import indent

        text = indent(text)
    return f"{text}\n"


def _fill_in(found: Sequence[str], form: str) -> list[str]:
    """Print a line for each object; what went wrong."""
    from knarr.cli.template import Template
    from knarr.cli.template.errors import TemplateError
    from knarr.client.jsontext import loads

    lines: list[str] = []
    problems = []
    try:
        template = Template(form)
        lines.extend(template.render(loads(text)) for text in found)
    except TemplateError as error:
        problems.append(f"template parsing error: {error}")
    sys.stdout.write("\n".join(lines) + "\n")
    return problems
