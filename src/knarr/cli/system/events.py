"""``knarr events``."""

from __future__ import annotations

from knarr.cli.command import Command, CommandError
from knarr.cli.output import filters
from knarr.cli.timestamps import local_iso, query_value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from knarr.cli.command import Call

    Json = dict[str, Any]

_SECOND = 10**9


def execute(call: Call) -> int:
    """Print what happens, as it happens, until ``--until`` or an interrupt."""
    flags = call.flags
    limits = [flag for flag in ("since", "until") if flags.text(flag)]
    query = [(flag, _moment(flags.text(flag))) for flag in limits]
    show = _printer(flags.text("format"))
    for event in call.session.stream("GET", "/events", [*query, *filters(flags.many("filter"))]):
        print(show(event), flush=True)
    return 0


def _moment(text: str) -> str:
    try:
        return query_value(text, "")
    except CommandError:
        raise CommandError(f'failed to parse value as time or duration: "{text}"') from None


def _printer(form: str) -> Callable[[Json], str]:
    if not form:
        return line
    if form == "json":
        from knarr.client.jsontext import dumps

        return lambda event: dumps(event, ascii_only=False)
    from knarr.cli.template import Template
    from knarr.cli.template.errors import TemplateError

    try:
        template = Template(form)
    except TemplateError as error:
        raise CommandError(f"Error parsing format: {error}", 64) from None

    def fill(event: Json) -> str:
        try:
            return template.render(event)
        except TemplateError:
            pass  # it may name what the engine leaves out where it is empty
        try:
            return template.render({"status": "", "id": "", "from": "", **event})
        except TemplateError as error:
            raise CommandError(f"Error parsing format: {error}", 64) from None

    return fill


def line(event: Json) -> str:
    """An event as one line: when, what kind, what, which object, its attributes."""
    nanoseconds = int(event.get("timeNano") or 0)
    seconds = nanoseconds // _SECOND or int(event.get("time") or 0)
    moment = local_iso(seconds, nanoseconds % _SECOND, fraction=bool(nanoseconds))
    actor = event.get("Actor") or {}
    text = f"{moment} {event['Type']} {event['Action']} {actor.get('ID', '')}"
    attributes = actor.get("Attributes") or {}
    if attributes:
        text += " (" + ", ".join(f"{key}={attributes[key]}" for key in sorted(attributes)) + ")"
    return text


COMMAND = Command(
    "[OPTIONS]",
    execute,
    (
        ("filter", "f", "filter", "", "Show only those that match (name=value)"),
        ("format", "", "string", "", "How to print: 'json' or TEMPLATE"),
        ("since", "", "string", "", "Begin at a moment, or a duration ago"),
        ("until", "", "string", "", "End at a moment"),
    ),
)
