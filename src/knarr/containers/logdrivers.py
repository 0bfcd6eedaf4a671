"""The log drivers and their options: which there are, and what they mean for the supervisor.

Law: pure. ``check`` says what is wrong with options as soon as they are known, in Docker's words;
``destination`` gives what the supervisor needs, at the start of a container. Without options a log
takes at most five files of 20 MB. What is sent to syslog or journald is kept here too, in the form
of ``local``, so that it can be read (Docker: dual logging), unless ``cache-disabled`` says no.

Source: moby ``daemon/logger`` (factory, jsonfilelog, local, syslog, journald, loginfo, cache).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

from knarr.containers import logattributes
from knarr.errors import InvalidArgumentError, KnarrError, UnimplementedError
from knarr.supervisor import messages

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from pathlib import Path

    from knarr.api.host_config import LogConfig
    from knarr.containers.files import ContainerDirectory
    from knarr.containers.record import Record

#: As ``docker info`` lists them; "none" is not one of them.
DRIVERS = ("journald", "json-file", "local", "syslog")
REMOTE = ("journald", "syslog")
_MODES = {"mode", "max-buffer-size"}
_CACHE = {"cache-disabled", "cache-max-size", "cache-max-file", "cache-compress"}
_ATTRIBUTES = {"labels", "labels-regex", "env", "env-regex", "tag"}
_FILES = {"max-size", "max-file", "compress"}
_TLS = {"syslog-tls-ca-cert", "syslog-tls-cert", "syslog-tls-key", "syslog-tls-skip-verify"}
_OPTIONS: Mapping[str, Collection[str]] = {
    "journald": _ATTRIBUTES,
    "json-file": _FILES | _ATTRIBUTES,
    "local": _FILES,
    "syslog": _ATTRIBUTES | _TLS | {"syslog-address", "syslog-facility", "syslog-format"},
}
_FACILITIES = (
    "kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv",
    "ftp", "ntp", "security", "console", "solaris", "local0", "local1", "local2", "local3",
    "local4", "local5", "local6", "local7",
)  # fmt: skip
_NAMELESS = {"ntp", "security", "console", "solaris"}  # numbers only, as in Docker
_FORMATS = ("", "rfc3164", "rfc5424", "rfc5424micro")
_SCHEMES = ("udp", "tcp", "tcp+tls", "unix", "unixgram")
_SIZE = re.compile(r"(\d{1,12}(?:\.\d+)?) ?([kKmMgGtTpP]?)[iI]?[bB]?")
_POWERS = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4, "p": 5}
_BOOLEANS = {
    **dict.fromkeys(("1", "t", "T", "TRUE", "true", "True"), True),
    **dict.fromkeys(("0", "f", "F", "FALSE", "false", "False"), False),
}
_DEFAULT_BUFFER = 1024 * 1024
_MOST_FILES = 100_000
_DEFAULT_TAG = "{{.ID}}"


class _Files(NamedTuple):
    max_size: int
    max_file: int
    compress: bool


def check(log: LogConfig) -> None:
    """Refuse a driver that is not there, and options that it does not have or that are wrong."""
    driver, options = log.type, dict(log.config or {})
    if driver == "none":
        return
    _check_mode(options)
    if "cache-disabled" in options and options["cache-disabled"] not in {"", *_BOOLEANS}:
        raise InvalidArgumentError(
            f"invalid value for option cache-disabled: {options['cache-disabled']}"
        )
    if driver not in DRIVERS:
        raise InvalidArgumentError(
            f'error looking up logging plugin {driver}: plugin "{driver}" not found',
            hint=f"knarr has {', '.join(DRIVERS)} and none",
        )
    for name in options:
        if name not in _OPTIONS[driver] and name not in _MODES and name not in _CACHE:
            whose = "log driver local" if driver == "local" else f"{driver} log driver"
            raise InvalidArgumentError(f"unknown log opt '{name}' for {whose}")
    if driver == "syslog":
        _syslog(options)
    try:
        _files(driver, options)
        logattributes.check(options)
    except InvalidArgumentError as error:
        raise InvalidArgumentError(
            f"failed to initialize logging driver: {error.message}"
        ) from error


def destination(
    record: Record, directory: ContainerDirectory, host: str
) -> messages.LogConfig | None:
    """Where the output of a container goes; ``host`` is the name of this machine."""
    log = record.host_config.log_config
    options = log.config or {}
    if log.type == "none":
        return None
    form, path = readable(record, directory) if is_readable(record) else (messages.BLOCKS, "")
    if not options and log.type == "json-file":
        return messages.LogConfig(str(path))
    size, number, compress = _files(log.type, options)
    wanted = messages.LogConfig(
        str(path),
        size,
        number,
        form=form,
        compress=compress,
        buffer=_buffer(options),
    )
    if log.type == "json-file":
        return wanted._replace(attrs=logattributes.of(record, options))
    if log.type == "syslog":
        return wanted._replace(remote=_to_syslog(record, options, host))
    if log.type == "journald":
        return wanted._replace(remote=_to_journald(record, options))
    return wanted


def readable(record: Record, directory: ContainerDirectory) -> tuple[str, Path]:
    """The form and the file of the log; ``UnimplementedError`` if there is none to be read."""
    if not is_readable(record):
        raise UnimplementedError("configured logging driver does not support reading")
    if record.host_config.log_config.type == "json-file":
        return messages.JSON, directory.log
    return messages.BLOCKS, directory.block_log


def is_readable(record: Record) -> bool:
    """Whether what the container writes is kept here."""
    log = record.host_config.log_config
    disabled = _BOOLEANS.get((log.config or {}).get("cache-disabled", ""), False)
    return log.type != "none" and not (log.type in REMOTE and disabled)


def parse_size(text: str, *, base: int = 1000) -> int:
    """Bytes of a size as ``20m``: of files in powers of 1000, of memory in powers of 1024."""
    match = _SIZE.fullmatch(text)
    if match is None:
        raise InvalidArgumentError(f"invalid size: '{text}'")
    return int(float(match[1]) * base ** _POWERS[match[2].lower()])


def _check_mode(options: Mapping[str, str]) -> None:
    mode = options.get("mode", "")
    if mode not in {"", "blocking", "non-blocking"}:
        raise InvalidArgumentError(f"logger: logging mode not supported: {mode}")
    if "max-buffer-size" not in options:
        return
    if mode != "non-blocking":
        raise InvalidArgumentError(
            "logger: max-buffer-size option is only supported with 'mode=non-blocking'"
        )
    try:
        parse_size(options["max-buffer-size"], base=1024)
    except InvalidArgumentError as error:
        raise InvalidArgumentError(
            f"error parsing option max-buffer-size: {error.message}"
        ) from error


def _buffer(options: Mapping[str, str]) -> int:
    if options.get("mode") != "non-blocking":
        return 0
    if "max-buffer-size" not in options:
        return _DEFAULT_BUFFER
    return max(1, parse_size(options["max-buffer-size"], base=1024))


def _files(driver: str, options: Mapping[str, str]) -> _Files:
    if driver in REMOTE:
        names = {name.removeprefix("cache-"): options[name] for name in _CACHE & options.keys()}
        return _block_files(names)
    return _json_files(options) if driver == "json-file" else _block_files(options)


def _json_files(options: Mapping[str, str]) -> _Files:
    size, number = messages.DEFAULT_MAX_SIZE, messages.DEFAULT_MAX_FILE
    if "max-size" in options:
        size = parse_size(options["max-size"])
        if size <= 0:
            raise InvalidArgumentError("max-size must be a positive number")
    if "max-file" in options:
        number = _integer(options["max-file"])
        if number < 1:
            raise InvalidArgumentError("max-file cannot be less than 1")
    compress = _boolean(options.get("compress", "false"))
    if compress and number == 1:
        raise InvalidArgumentError(
            "compress cannot be true when max-file is less than 2 or max-size is not set"
        )
    return _Files(size, number, compress)


def _block_files(options: Mapping[str, str]) -> _Files:
    size, number, compress = messages.DEFAULT_MAX_SIZE, messages.DEFAULT_MAX_FILE, True
    for name in ("max-size", "max-file"):
        if name not in options:
            continue
        try:
            if name == "max-size":
                size = parse_size(options[name])
            else:
                number = _integer(options[name])
        except InvalidArgumentError as error:
            raise InvalidArgumentError(
                f"invalid value for {name}: {options[name]}: {error.message}"
            ) from error
    if "compress" in options:
        try:
            compress = _boolean(options["compress"])
        except InvalidArgumentError as error:
            raise InvalidArgumentError(
                f"error reading compress log option: {error.message}"
            ) from error
    if number < 0:
        raise InvalidArgumentError("max file count cannot be less than 0")
    if compress and number <= 1:
        raise InvalidArgumentError("compression cannot be enabled when max file count is 1")
    return _Files(size or -1, number, compress)


def _integer(text: str) -> int:
    if not re.fullmatch(r"[+-]?[0-9]{1,18}", text):
        raise InvalidArgumentError(f'strconv.Atoi: parsing "{text}": invalid syntax')
    number = int(text)
    if number > _MOST_FILES:
        raise InvalidArgumentError(f"max-file cannot be more than {_MOST_FILES}")
    return number


def _boolean(text: str) -> bool:
    if text not in _BOOLEANS:
        raise InvalidArgumentError(f'strconv.ParseBool: parsing "{text}": invalid syntax')
    return _BOOLEANS[text]


def _syslog(options: Mapping[str, str]) -> tuple[str, str, int]:
    """Network, address and facility (times eight)."""
    network, address = _address(options.get("syslog-address", ""))
    name = options.get("syslog-facility", "") or "daemon"
    if name.isdecimal() and len(name) < 3 and int(name) < len(_FACILITIES):
        facility = int(name)
    elif name in _FACILITIES and name not in _NAMELESS:
        facility = _FACILITIES.index(name)
    else:
        raise InvalidArgumentError("invalid syslog facility")
    if options.get("syslog-format", "") not in _FORMATS:
        raise InvalidArgumentError("Invalid syslog format")
    return network, address, facility * 8


def _address(text: str) -> tuple[str, str]:
    if not text:
        return "", ""
    scheme, separator, rest = text.partition("://")
    if not separator or scheme not in _SCHEMES:
        raise InvalidArgumentError(f"syslog-address should be in form proto://address, got {text}")
    if scheme in {"unix", "unixgram"}:
        if not rest.startswith("/") or "\0" in rest:
            raise InvalidArgumentError(f"stat {rest}: no such file or directory")
        return scheme, rest
    try:
        parts = urlsplit(f"//{rest}")
        host, port = parts.hostname or "", parts.port or 514
    except ValueError:
        bad = rest.rpartition(":")[2].partition("/")[0]
        raise InvalidArgumentError(f'parse "{text}": invalid port ":{bad}" after host') from None
    return scheme, f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _to_syslog(
    record: Record, options: Mapping[str, str], host: str
) -> tuple[tuple[str, str], ...]:
    network, address, facility = _syslog(options)
    pairs = {
        "driver": "syslog",
        "network": network,
        "address": address,
        "facility": str(facility),
        "format": options.get("syslog-format", ""),
        "tag": logattributes.tag(record, options.get("tag") or _DEFAULT_TAG),
        "hostname": host,
    }
    pairs |= {name.removeprefix("syslog-"): options[name] for name in _TLS & options.keys()}
    return tuple(pairs.items())


def _to_journald(record: Record, options: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    tag = logattributes.tag(record, options.get("tag") or _DEFAULT_TAG)
    extra = logattributes.of(record, {k: v for k, v in options.items() if k != "tag"})
    fields = {
        "CONTAINER_ID": record.id[:12],
        "CONTAINER_ID_FULL": record.id,
        "CONTAINER_NAME": record.name,
        "CONTAINER_TAG": tag,
        "IMAGE_NAME": record.image_name,
        "SYSLOG_IDENTIFIER": tag,
        **{logattributes.journal_name(key): value for key, value in extra},
    }
    named = {f"field:{name}": value for name, value in fields.items() if name}
    return tuple({"driver": "journald", **named}.items())


def check_default(log: LogConfig) -> None:
    """The same for the engine's own default; the error says where it comes from."""
    try:
        check(log)
    except KnarrError as error:
        raise InvalidArgumentError(f"failed to set log opts: {error.message}") from error
