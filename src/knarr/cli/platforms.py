"""``--platform os[/arch[/variant]]`` as the API takes it: a JSON object."""

from __future__ import annotations

from knarr.cli.command import CommandError
from knarr.client import jsontext

TYPE_CHECKING = False
if TYPE_CHECKING:
    from knarr.client.session import Query

_ARCHITECTURES = {"x86_64": "amd64", "x86-64": "amd64", "aarch64": "arm64", "i386": "386"}


def platform_query(text: str, key: str = "platform") -> Query:
    """The request's parameter; nothing for an empty text.

    Errors: ``CommandError``.
    """
    if not text:
        return ()
    return [(key, jsontext.dumps(parse(text)))]


def parse(text: str) -> dict[str, str]:
    """The platform as a JSON object.

    Errors: ``CommandError``.
    """
    names = ("os", "architecture", "variant")
    parts = text.lower().split("/")
    if len(parts) > len(names) or not all(
        part.replace("_", "").replace("-", "").replace(".", "").isalnum() for part in parts
    ):
        raise CommandError(
            f'error parsing specified platform: "{text}": '
            "cannot parse platform specifier: invalid argument"
        )
    if len(parts) > 1:
        parts[1] = _ARCHITECTURES.get(parts[1], parts[1])
    return dict(zip(names, parts, strict=False))
