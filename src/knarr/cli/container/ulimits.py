"""``--ulimit name=soft[:hard]``.

Source: docker/go-units; getrlimit(2) for the names.
"""

from __future__ import annotations

from knarr.cli.flags import BadValueError

_NAMES = frozenset(
    {
        "core",
        "cpu",
        "data",
        "fsize",
        "locks",
        "memlock",
        "msgqueue",
        "nice",
        "nofile",
        "nproc",
        "rss",
        "rtprio",
        "rttime",
        "sigpending",
        "stack",
    }
)


def parse(text: str) -> dict[str, object]:
    """The limit as the API has it; ``BadValueError``."""
    name, equals, values = text.partition("=")
    if not equals:
        raise BadValueError(f"invalid ulimit argument: {text}")
    if name not in _NAMES:
        raise BadValueError(f"invalid ulimit type: {name}")
    soft_text, colon, hard_text = values.partition(":")
    if ":" in hard_text:
        raise BadValueError(
            f"too many limit value arguments - {values}, can only have up to two, `soft[:hard]`"
        )
    soft = _limit(soft_text)
    hard = _limit(hard_text) if colon else soft
    if hard != -1 and (soft > hard or soft == -1):
        shown = f"soft: -1 (unlimited), hard: {hard}" if soft == -1 else f"{soft} > {hard}"
        raise BadValueError(f"ulimit soft limit must be less than or equal to hard limit: {shown}")
    return {"Name": name, "Hard": hard, "Soft": soft}


def _limit(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise BadValueError(f'strconv.ParseInt: parsing "{text}": invalid syntax') from None
