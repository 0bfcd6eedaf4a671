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


_BAD_TEMPLATE = 64


def inspect(names: Sequence[str], fetch: Callable[[str], bytes], form: str) -> int:
    """Show the objects; ``fetch`` gets one's JSON text or raises ``KnarrError``."""
    show = None if form in ("", "json") else _filler(form)
    found, problems = [], []
    for name in names:
        try:
            text = fetch(name).decode("utf-8", "surrogateescape").strip()
            found.append(show(text) if show else text)
        except (KnarrError, CommandError) as error:
            problems.append(message(error))
    if show:
        sys.stdout.write("\n".join(found) + "\n")
    else:
        sys.stdout.write(_list(found, laid_out=not form))
    if problems:
        raise CommandError("\n".join(problems))
    return 0


def _list(found: Sequence[str], *, laid_out: bool) -> str:
    text = f"[{','.join(found)}]"
    if laid_out:
        from knarr.cli.indent import indent

        text = indent(text)
    return f"{text}\n"


def _filler(form: str) -> Callable[[str], str]:
    """What fills the template in: with all fields of the object's type or else with the JSON."""
    from knarr.cli.template import Template
    from knarr.cli.template.errors import TemplateError
    from knarr.cli.template.typed import typed
    from knarr.client.jsontext import loads

    try:
        template = Template(form)
    except TemplateError as error:
        raise CommandError(f"template parsing error: {error}", _BAD_TEMPLATE) from None

    def fill(text: str) -> str:
        value = loads(text)
        try:
            return template.render(typed(value))
        except TemplateError:
            pass
        try:
            return template.render(value)
        except TemplateError as error:
            raise CommandError(f"template parsing error: {error}") from None

    return fill
