"""What a log says about its container: tag, chosen labels and environment.

Law: pure, and bounded whatever patterns and templates say. Patterns are matched by Python, whose
matcher can take for ever; so patterns that could make it are refused: repetition of what has no
fixed length, references back, looking around, and more than ``_MOST_REPEATS`` open repetitions.

Source: moby ``daemon/logger/loginfo.go`` and ``journald.go``, by their behaviour.
"""

from __future__ import annotations

import re
from re import _constants as words  # type: ignore[attr-defined]
from re import _parser as parser  # type: ignore[attr-defined]
from typing import TYPE_CHECKING, Any

from knarr.api import timestamps
from knarr.containers import logtag
from knarr.errors import InvalidArgumentError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from knarr.containers.record import Record

Pairs = tuple[tuple[str, str], ...]

_LARGEST = 64 * 1024
_LONGEST_PATTERN = 1024
_LONGEST_NAME = 128
_MOST_REPEATS = 3
_DAEMON = "knarr"
_NOT_JOURNAL = re.compile(r"[^A-Z0-9_]")


def check(options: Mapping[str, str]) -> None:
    """Refuse patterns and templates that are wrong. Raises ``InvalidArgumentError``."""
    for name in ("labels-regex", "env-regex"):
        if options.get(name):
            _pattern(options[name])
    if options.get("tag"):
        logtag.render(options["tag"], _EXAMPLE, strict=False)


def of(record: Record, options: Mapping[str, str]) -> Pairs:
    """Names and values, sorted by name, as they stand in every entry."""
    found: dict[str, str] = {}
    labels = record.config.labels or {}
    found |= _chosen(labels, options.get("labels", ""), options.get("labels-regex", ""))
    environment = dict(entry.split("=", 1) for entry in record.config.env or () if "=" in entry)
    found |= _chosen(environment, options.get("env", ""), options.get("env-regex", ""))
    if text := tag(record, options.get("tag", "")):
        found["tag"] = text
    if sum(len(key) + len(value) for key, value in found.items()) > _LARGEST:
        raise InvalidArgumentError(
            "failed to initialize logging driver: labels and environment are too large for a log"
        )
    return tuple(sorted(found.items()))


def tag(record: Record, template: str) -> str:
    """The tag of a container."""
    try:
        return logtag.render(template, _fields(record))
    except InvalidArgumentError as error:
        raise InvalidArgumentError(
            f"failed to initialize logging driver: {error.message}"
        ) from error


def journal_name(name: str) -> str:
    """The name of a journal field: capitals, digits and underscores, not first an underscore."""
    return _NOT_JOURNAL.sub("_", name.upper() if name.isascii() else name).lstrip("_")[:64]


def _fields(record: Record) -> dict[str, object]:
    """What a template may name."""
    config = record.config
    return {
        "ID": record.id[:12],
        "FullID": record.id,
        "Name": record.name,
        "ImageID": record.image_id[:12],
        "ImageFullID": str(record.image_id),
        "ImageName": record.image_name,
        "DaemonName": _DAEMON,
        "Command": " ".join((record.path, *record.args)),
        "Hostname": config.hostname,
        "ContainerID": record.id,
        "ContainerName": f"/{record.name}",
        "ContainerEntrypoint": record.path,
        "ContainerArgs": list(record.args),
        "ContainerImageID": str(record.image_id),
        "ContainerImageName": record.image_name,
        "ContainerCreated": timestamps.rfc3339(record.created_ns) if record.created_ns else "",
        "ContainerEnv": list(config.env or ()),
        "ContainerLabels": dict(config.labels or {}),
        "Config": dict(record.host_config.log_config.config or {}),
    }


def _chosen(values: Mapping[str, str], names: str, pattern: str) -> dict[str, str]:
    wanted = set(names.split(",")) if names else set()
    matched: Iterable[str] = ()
    if pattern:
        compiled = _pattern(pattern)
        matched = (k for k in values if len(k) <= _LONGEST_NAME and compiled.search(k))
    return {key: values[key] for key in {*wanted, *matched} if key in values}


def _pattern(text: str) -> re.Pattern[str]:
    """A pattern that cannot take long; raises ``InvalidArgumentError``."""
    try:
        _check_pattern(text)
        return re.compile(text, re.ASCII)
    except (re.error, ValueError, OverflowError, RecursionError) as error:
        raise InvalidArgumentError(f"error parsing regexp: {error}: `{text}`") from None


def _check_pattern(text: str) -> None:
    if len(text) > _LONGEST_PATTERN:
        raise ValueError("expression is too long")
    if _repeats(parser.parse(text), inside=False) > _MOST_REPEATS:
        raise ValueError("too many repetitions")


def _repeats(parsed: Any, *, inside: bool) -> int:
    """The number of open repetitions; ``ValueError`` for what may take for ever."""
    count = 0
    for operation, argument in parsed:
        if operation in {words.MAX_REPEAT, words.MIN_REPEAT, words.POSSESSIVE_REPEAT}:
            low, high, body = argument
            if inside or (high > 1 and body.getwidth()[0] != body.getwidth()[1]):
                raise ValueError("nested repetition is not supported")
            count += high != low
            count += _repeats(body, inside=high > 1)
        elif operation is words.SUBPATTERN:
            count += _repeats(argument[-1], inside=inside)
        elif operation is words.BRANCH:
            if inside:
                raise ValueError("alternatives in a repetition are not supported")
            count += sum(_repeats(branch, inside=inside) for branch in argument[1])
        elif operation not in {
            words.LITERAL, words.NOT_LITERAL, words.ANY, words.IN, words.AT, words.RANGE,
        }:  # fmt: skip
            raise ValueError("invalid or unsupported Perl syntax")
    return count


_EXAMPLE: dict[str, object] = {
    **dict.fromkeys(
        (
            "ID", "FullID", "Name", "ImageID", "ImageFullID", "ImageName", "DaemonName", "Command",
            "Hostname", "ContainerID", "ContainerName", "ContainerEntrypoint", "ContainerImageID",
            "ContainerImageName", "ContainerCreated",
        ),
        "x",
    ),
    "ContainerArgs": ["x"],
    "ContainerEnv": ["x=x"],
    "ContainerLabels": {"x": "x"},
    "Config": {"x": "x"},
}  # fmt: skip
