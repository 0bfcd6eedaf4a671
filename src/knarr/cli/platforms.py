"""``--platform os[/arch[/variant]]`` as the API takes it: a JSON object."""

from __future__ import annotations

from knarr.cli.command import CommandError
from knarr.client import jsontext

TYPE_CHECKING = False
if TYPE_CHECKING:
    from knarr.client.session import Query

_SYSTEMS = frozenset(
    (
        *("aix", "android", "darwin", "dragonfly", "freebsd", "hurd", "illumos", "ios", "js"),
        *("linux", "nacl", "netbsd", "openbsd", "plan9", "solaris", "windows", "zos"),
    )
)
_KNOWN = frozenset(
    (
        *("386", "amd64", "amd64p32", "arm", "armbe", "arm64", "arm64be", "loong64", "mips"),
        *("mipsle", "mips64", "mips64le", "mips64p32", "mips64p32le", "ppc", "ppc64", "ppc64le"),
        *("riscv", "riscv64", "s390", "s390x", "sparc", "sparc64", "wasm"),
    )
)
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
    if len(parts) > len(names):
        raise _bad(text, "cannot parse platform specifier")
    for part in parts:
        if not part.replace("_", "a").replace("-", "a").replace(".", "a").isalnum():
            raise CommandError(
                f'error parsing specified platform: "{part}" is an invalid component of "{text}": '
                'platform specifier component must match "^[A-Za-z0-9_.-]+$": invalid argument'
            )
    alone = parts[0]
    if len(parts) == 1 and alone not in _SYSTEMS and _ARCHITECTURES.get(alone, alone) not in _KNOWN:
        raise _bad(text, "unknown operating system or architecture")
    if len(parts) > 1:
        parts[1] = _ARCHITECTURES.get(parts[1], parts[1])
    return dict(zip(names, parts, strict=False))


def _bad(text: str, reason: str) -> CommandError:
    return CommandError(f'error parsing specified platform: "{text}": {reason}: invalid argument')
