"""``--change``: Dockerfile instructions that alter a container configuration.

Law: pure. Exactly the instructions that Docker allows for import and commit; every other one is
refused with Docker's words.

Source: Dockerfile reference.
"""

from __future__ import annotations

import posixpath
import re
import signal
from typing import TYPE_CHECKING

import msgspec

from knarr.api import timestamps
from knarr.api.containers import Empty, HealthConfig
from knarr.errors import InvalidArgumentError
from knarr.images import words

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from knarr.api.images import ImageConfig

    Instruction = Callable[[ImageConfig, str], ImageConfig]

_SHELL = ("/bin/sh", "-c")
_STRINGS = msgspec.json.Decoder(list[str])
_PORT = re.compile(r"(\d{1,5})(?:-(\d{1,5}))?(?:/([A-Za-z]+))?", re.ASCII)
_MOST_PORTS = 65535
_FLAG = re.compile(r"--([a-z-]+)=(\S+)\s*")


def apply(config: ImageConfig, changes: Iterable[str]) -> ImageConfig:
    """The configuration after all changes; raises InvalidArgumentError for a bad one.

    An entrypoint takes a command away that it was not given with, as in a Dockerfile.
    """
    has_command = False
    for change in changes:
        for line in change.splitlines():
            text = line.strip()
            if not text or text.startswith("#"):
                continue
            config = _apply_one(config, text)
            word = text.split(None, 1)[0].upper()
            has_command = has_command or word == "CMD"
            if word == "ENTRYPOINT" and not has_command:
                config = msgspec.structs.replace(config, cmd=None)
    return config


def _apply_one(config: ImageConfig, text: str) -> ImageConfig:
    word, *rest = text.split(None, 1)
    instruction = _INSTRUCTIONS.get(word.upper())
    if instruction is None:
        raise InvalidArgumentError(f"{word.lower()} is not a valid change command")
    if not rest:
        raise InvalidArgumentError(f"{word.upper()} requires at least one argument")
    return instruction(config, rest[0].strip())


def _cmd(config: ImageConfig, text: str) -> ImageConfig:
    return msgspec.structs.replace(config, cmd=_command(config, text))


def _entrypoint(config: ImageConfig, text: str) -> ImageConfig:
    return msgspec.structs.replace(config, entrypoint=_command(config, text))


def _env(config: ImageConfig, text: str) -> ImageConfig:
    variables = _variables(config)
    for name, value in _pairs("ENV", text, variables):
        variables[name] = value
    return msgspec.structs.replace(
        config, env=[f"{name}={value}" for name, value in variables.items()]
    )


def _label(config: ImageConfig, text: str) -> ImageConfig:
    labels = dict(config.labels or {})
    labels.update(_pairs("LABEL", text, _variables(config)))
    return msgspec.structs.replace(config, labels=labels)


def _expose(config: ImageConfig, text: str) -> ImageConfig:
    ports = dict(config.exposed_ports or {})
    for word in words.split(text, _variables(config)):
        match = _PORT.fullmatch(word)
        first = int(match[1]) if match else -1
        last = int(match[2]) if match and match[2] else first
        if match is None or not first <= last <= _MOST_PORTS:
            raise InvalidArgumentError(f"invalid containerPort: {word}")
        protocol = (match[3] or "tcp").lower()
        if protocol not in {"tcp", "udp", "sctp"}:
            raise InvalidArgumentError(f"invalid proto: {match[3]}")
        ports.update({f"{port}/{protocol}": Empty() for port in range(first, last + 1)})
    return msgspec.structs.replace(config, exposed_ports=dict(sorted(ports.items())))


def _volume(config: ImageConfig, text: str) -> ImageConfig:
    paths = _strings(text)
    if paths is None:
        paths = words.split(text, _variables(config))
    if not all(path.strip() for path in paths):
        raise InvalidArgumentError("VOLUME specified can not be an empty string")
    volumes = {**(config.volumes or {}), **{path.strip(): Empty() for path in paths}}
    return msgspec.structs.replace(config, volumes=volumes)


def _workdir(config: ImageConfig, text: str) -> ImageConfig:
    path = words.process(text, _variables(config))
    joined = posixpath.normpath(posixpath.join("/", config.working_dir, path))
    return msgspec.structs.replace(config, working_dir="/" + joined.lstrip("/"))


def _user(config: ImageConfig, text: str) -> ImageConfig:
    found = words.split(text, _variables(config))
    if len(found) != 1:
        raise InvalidArgumentError("USER requires exactly one argument")
    return msgspec.structs.replace(config, user=found[0])


def _stopsignal(config: ImageConfig, text: str) -> ImageConfig:
    name = words.process(text, _variables(config))
    number = int(name) if name.isascii() and name.isdigit() else 0
    if not 1 <= number <= signal.SIGRTMAX:
        full = "SIG" + name.upper().removeprefix("SIG")
        if full not in signal.Signals.__members__ and not re.fullmatch(
            r"SIGRTM(?:IN\+|AX-)\d{1,2}", full
        ):
            raise InvalidArgumentError(f"invalid signal: {name}")
    return msgspec.structs.replace(config, stop_signal=name)


def _onbuild(config: ImageConfig, text: str) -> ImageConfig:
    trigger = text.split(None, 1)[0].upper()
    if trigger == "ONBUILD":
        raise InvalidArgumentError("Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed")
    if trigger in {"FROM", "MAINTAINER"}:
        raise InvalidArgumentError(f"{trigger} isn't allowed as an ONBUILD trigger")
    return msgspec.structs.replace(config, on_build=[*(config.on_build or []), text])


def _healthcheck(config: ImageConfig, text: str) -> ImageConfig:
    flags: dict[str, str] = {}
    while match := _FLAG.match(text):
        flags[match[1]] = match[2]
        text = text[match.end() :]
    kind, *rest = text.split(None, 1) or [""]
    if kind.upper() == "NONE":
        if rest or flags:
            raise InvalidArgumentError("HEALTHCHECK NONE takes no arguments")
        return msgspec.structs.replace(config, healthcheck=HealthConfig(test=["NONE"]))
    if kind.upper() != "CMD":
        raise InvalidArgumentError(f"Unknown type {kind!r} in HEALTHCHECK (try CMD)")
    if not rest:
        raise InvalidArgumentError("Missing command after HEALTHCHECK CMD")
    given = _strings(rest[0])
    test = ["CMD", *given] if given is not None else ["CMD-SHELL", rest[0]]
    return msgspec.structs.replace(config, healthcheck=_health(test, flags))


def _health(test: list[str], flags: dict[str, str]) -> HealthConfig:
    unknown = flags.keys() - {"interval", "timeout", "start-period", "start-interval", "retries"}
    if unknown:
        raise InvalidArgumentError(f"unknown flag: {min(unknown)}")
    retries = flags.get("retries", "0")
    if not (retries.isascii() and retries.isdigit()):
        raise InvalidArgumentError(f"--retries must be at least 1 (not {retries})")
    return HealthConfig(
        test=test,
        interval=_duration(flags, "interval"),
        timeout=_duration(flags, "timeout"),
        start_period=_duration(flags, "start-period"),
        start_interval=_duration(flags, "start-interval"),
        retries=int(retries),
    )


def _duration(flags: dict[str, str], name: str) -> int:
    """Nanoseconds; 0 when the flag is not given. Docker refuses less than a millisecond."""
    if name not in flags:
        return 0
    found = timestamps.find_duration(flags[name])
    if found is None or 0 < found < 1_000_000 or found < 0:
        raise InvalidArgumentError(f'invalid duration "{flags[name]}" for --{name}')
    return found


def _command(config: ImageConfig, text: str) -> list[str]:
    """The exec form as it stands, the shell form behind the shell."""
    given = _strings(text)
    return given if given is not None else [*(config.shell or _SHELL), text]


def _strings(text: str) -> list[str] | None:
    """The JSON list that ``text`` is, or None: then it is not in exec form."""
    if not text.startswith("["):
        return None
    try:
        return _STRINGS.decode(text)
    except msgspec.DecodeError:
        return None


def _pairs(what: str, text: str, variables: dict[str, str]) -> list[tuple[str, str]]:
    """``a=b c="d e"``, or the old form of one name and the rest of the line."""
    found = words.split(text, variables)
    if "=" not in text.split(None, 1)[0]:
        name, *rest = text.split(None, 1)
        if not rest:
            raise InvalidArgumentError(f"{what} must have two arguments")
        return [(name, words.process(rest[0], variables))]
    pairs = []
    for word in found:
        name, equals, value = word.partition("=")
        if not equals:
            raise InvalidArgumentError(
                f"Syntax error - can't find = in {word!r}. Must be of the form: name=value"
            )
        if not name:
            raise InvalidArgumentError(f"{what} names can not be blank")
        pairs.append((name, value))
    return pairs


def _variables(config: ImageConfig) -> dict[str, str]:
    return dict(each.partition("=")[::2] for each in config.env or ())


_INSTRUCTIONS: dict[str, Instruction] = {
    "CMD": _cmd,
    "ENTRYPOINT": _entrypoint,
    "ENV": _env,
    "EXPOSE": _expose,
    "HEALTHCHECK": _healthcheck,
    "LABEL": _label,
    "ONBUILD": _onbuild,
    "STOPSIGNAL": _stopsignal,
    "USER": _user,
    "VOLUME": _volume,
    "WORKDIR": _workdir,
}
