"""Resource limits by name, as ``--ulimit name=soft[:hard]`` and as the API has them.

Law: the one place that knows the names and which values contradict each other; the command line
and the engine ask here. -1 is unlimited.

Source: docker/go-units for the form and the words; getrlimit(2) for the names.
"""

from __future__ import annotations

from knarr.errors import InvalidArgumentError

UNLIMITED = -1

#: What docker's command line takes.
NAMES = frozenset(
    (
        *("core", "cpu", "data", "fsize", "locks", "memlock", "msgqueue", "nice", "nofile"),
        *("nproc", "rss", "rtprio", "rttime", "sigpending", "stack"),
    )
)
_ONLY_API = frozenset(("as",))


def parse(text: str) -> tuple[str, int, int]:
    """Name, soft and hard limit of ``name=soft[:hard]``; ``InvalidArgumentError``."""
    name, equals, values = text.partition("=")
    if not equals:
        raise InvalidArgumentError(f"invalid ulimit argument: {text}")
    if name not in NAMES:
        raise InvalidArgumentError(f"invalid ulimit type: {name}")
    soft_text, colon, hard_text = values.partition(":")
    if ":" in hard_text:
        raise InvalidArgumentError(
            f"too many limit value arguments - {values}, can only have up to two, `soft[:hard]`"
        )
    soft = _limit(soft_text)
    hard = _limit(hard_text) if colon else soft
    check(name, soft, hard)
    return name, soft, hard


def check(name: str, soft: int, hard: int) -> None:
    """Refuse a name that does not exist, and a soft limit above the hard one."""
    if name not in NAMES and name not in _ONLY_API:
        raise InvalidArgumentError(f"invalid ulimit type: {name}")
    if hard != UNLIMITED and (soft > hard or soft == UNLIMITED):
        shown = f"{soft} > {hard}"
        if soft == UNLIMITED:
            shown = f"soft: -1 (unlimited), hard: {hard}"
        raise InvalidArgumentError(
            f"ulimit soft limit must be less than or equal to hard limit: {shown}"
        )


def _limit(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise InvalidArgumentError(f'strconv.ParseInt: parsing "{text}": invalid syntax') from None
