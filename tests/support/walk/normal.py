"""Make what two engines said comparable: ids, times, sizes, paths, counts of processes."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from typing import Any

TIME = r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?( ?(Z|[+-]\d\d:?\d\d))?( UTC)?"
AGO = r"((Less than|About) )?(an?|\d+) (second|minute|hour|day|week|month|year)s?"
PATTERNS = (
    (re.compile(r"(sha256:)?\b[0-9a-f]{64}\b"), "<id>"),
    (re.compile(TIME), "<time>"),
    (re.compile(r"\b0001-01-01T00:00:00Z\b"), "<never>"),
    (re.compile(rf"({AGO}) ago", re.IGNORECASE), "<ago> ago"),
    (re.compile(rf"\bUp ({AGO})", re.IGNORECASE), "Up <ago>"),
    (re.compile(r"\b[0-9a-f]{12}\b"), "<id>"),
    (re.compile(r"\b\d+(\.\d+)?(e[+]\d+)? ?([kKMGT]i?B|B|bytes)\b"), "<size>"),
    (re.compile(r"[ \t]{2,}"), "  "),
    (re.compile(r"[ \t]+$", re.MULTILINE), ""),
)
#: What the docker command line itself logs when a request ends early; it depends on the moment.
OF_THE_CLIENT = re.compile(r'time="[^"]*" level=\w+ ')
NEVER = "0001-01-01T00:00:00Z"

#: Fields whose value is a number or a text of this very engine; only its kind is compared.
OWN = re.compile(
    r"(^|\.)(Pid|Size|SizeRw|SizeRootFs|VirtualSize|SharedSize|LayersSize|Created|CreatedAt|NFd|"
    r"NGoroutines|MemTotal|SystemTime|time|timeNano|LastTagTime|SpaceReclaimed|Id|ID|Hostname|"
    r"EndpointID|NetworkID|SandboxID|SandboxKey)$"
)

#: Lists without an order; what is in them is compared by name.
UNORDERED = re.compile(r"(^|\.)(MaskedPaths|ReadonlyPaths|Log|Authorization|Env)$")


def text(value: str, known: dict[str, str]) -> str:
    """A text without what is only this run's; ``known`` maps paths and the like to names."""
    for word in sorted(known, key=len, reverse=True):
        value = value.replace(word, known[word])
    value = value.replace(NEVER, "<never>").replace("\r\n", "\n")
    for pattern, name in PATTERNS:
        value = pattern.sub(name, value)
    return value


def error(data: bytes, known: dict[str, str]) -> str:
    """Standard error; newer versions of Docker begin their messages with a small letter."""
    lines = data.decode(errors="replace").splitlines(keepends=True)
    return text("".join(line for line in lines if not OF_THE_CLIENT.match(line)), known).lower()


def output(data: bytes, how: str, known: dict[str, str]) -> dict[str, str]:
    """Standard output as comparable fields, as ``Step.out`` says."""
    shown = data.decode(errors="replace")
    if how == "json" and (found := _json(shown)) is not None:
        return {f"out.{path}": value for path, value in flat(found, known)}
    if how == "lines":
        shown = "\n".join(sorted(text(shown, known).splitlines()))
    elif how == "bytes":
        return {"out": hashlib.sha256(data).hexdigest()}
    elif how == "counts":
        lines = text(shown, known).splitlines()
        return {f"out{{{line}}}": str(lines.count(line)) for line in lines}
    elif how == "size":
        return {"out": "something" if data else "nothing"}
    elif how == "ignore":
        return {}
    return {"out": text(shown, known)}


def flat(value: Any, known: dict[str, str], path: str = "") -> Iterator[tuple[str, str]]:
    """The leaves of a JSON value by path; an empty list or map is a leaf."""
    if UNORDERED.search(path) and value:
        for each in value:
            yield f"{path}{{{each}}}", "present"
    elif isinstance(value, dict) and value:
        for key, each in value.items():
            name = text(str(key), known)
            yield from flat(each, known, f"{path}.{name}" if path else name)
    elif isinstance(value, list) and value:
        if path.endswith("Binds"):
            value = sorted(value)
        elif path.endswith("Mounts") and isinstance(value[0], dict):
            value = sorted(value, key=lambda each: str(each.get("Destination")))
        elif isinstance(value[0], dict) and "RepoTags" in value[0]:
            value = sorted(value, key=lambda each: str(each["RepoTags"]))
        for number, each in enumerate(value):
            yield from flat(each, known, f"{path}[{number}]")
    elif OWN.search(path) and value not in (None, "", 0, {}, []):
        yield path, f"<{type(value).__name__}>"
    elif isinstance(value, str):
        yield path, json.dumps(text(value, known))
    else:
        yield path, json.dumps(value)


def _json(shown: str) -> Any:
    """One JSON document, or one a line; None if it is neither."""
    try:
        return json.loads(shown)
    except ValueError:
        pass
    try:
        return [json.loads(line) for line in shown.splitlines()]
    except ValueError:
        return None
