"""Flags of ``knarr daemon`` and its configuration file.

Law: a flag counts more than the file, the file more than the default; ``-H`` flags replace the
file's ``hosts``. The file is TOML with the names of the flags; a name that does not exist is an
error, so that a typing mistake does not silently leave a default in force::

    data-root = "/srv/knarr"
    hosts = ["unix:///run/knarr/knarr.sock"]
    log-level = "debug"
    default-runtime = "runsc"
    labels = ["site=a"]
    log-driver = "local"
    [log-opts]
    max-size = "10m"
    [runtimes]
    crun = "/usr/bin/crun"
    [runtimes.runsc]
    path = "/usr/bin/runsc"
    args = ["--platform=systrap"]
    [registries."docker.io"]
    mirrors = ["https://mirror.example"]
    [registries."registry.example:5000"]
    ca = "/etc/ssl/registry.pem"
"""

from __future__ import annotations

import argparse
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from knarr.engine.parts import DEFAULT_EXEC_ROOT, OWN_RUNTIME, STOCK_RUNTIMES, RuntimeProgram
from knarr.errors import InvalidArgumentError
from knarr.remotes.rules import HUB, RegistryRule, Rules, checked_insecure, checked_mirror
from knarr.snapshots import BACKENDS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

DEFAULT_DATA_ROOT = "/var/lib/knarr"
DEFAULT_CONFIG = Path("/etc/knarr/knarr.toml")
LEVELS = ("debug", "info", "warning", "error")


class Options(NamedTuple):
    """What the engine is started with; all paths are absolute."""

    data_root: Path
    exec_root: Path
    hosts: tuple[str, ...]
    pidfile: Path
    log_level: str
    backend: str | None
    labels: tuple[str, ...]
    default_runtime: str
    runtimes: dict[str, RuntimeProgram]
    log_options: dict[str, str]
    log_driver: str = "json-file"
    init: bool = False
    rules: Rules = Rules()


class _Runtime(
    msgspec.Struct, frozen=True, kw_only=True, rename="kebab", forbid_unknown_fields=True
):
    """Another OCI runtime."""

    path: str
    args: tuple[str, ...] = ()


class _Registry(
    msgspec.Struct, frozen=True, kw_only=True, rename="kebab", forbid_unknown_fields=True
):
    """A registry; the fields are those of ``knarr.remotes.RegistryRule``."""

    mirrors: tuple[str, ...] = ()
    insecure: bool = False
    ca: str = ""
    client_cert: str = ""
    client_key: str = ""


class _File(msgspec.Struct, frozen=True, kw_only=True, rename="kebab", forbid_unknown_fields=True):
    """The configuration file."""

    data_root: str | None = None
    exec_root: str | None = None
    hosts: tuple[str, ...] = ()
    pidfile: str | None = None
    log_level: str | None = None
    storage_backend: str | None = None
    labels: tuple[str, ...] = ()
    default_runtime: str = OWN_RUNTIME
    runtimes: dict[str, str | _Runtime] = {}
    log_driver: str = "json-file"
    log_opts: dict[str, str] = {}
    init: bool = False
    registries: dict[str, _Registry] = {}
    registry_mirrors: tuple[str, ...] = ()
    insecure_registries: tuple[str, ...] = ()


def parse(argv: Sequence[str]) -> Options:
    """The options of a command line; raises ``InvalidArgumentError`` for a bad file.

    Wrong flags, and ``--help``, end the process as argparse does.
    """
    given = _parser().parse_args(argv)
    file = _read(given.config)
    exec_root = _absolute(given.exec_root or file.exec_root or DEFAULT_EXEC_ROOT)
    level = given.log_level or file.log_level or "info"
    if level not in LEVELS:
        raise InvalidArgumentError(f'unknown log level "{level}"', hint=f"one of {LEVELS}")
    runtimes = _runtimes(file.runtimes, given.add_runtime or ())
    default_runtime = given.default_runtime or file.default_runtime
    if default_runtime in STOCK_RUNTIMES and default_runtime not in runtimes:
        default_runtime = OWN_RUNTIME
    if default_runtime not in {OWN_RUNTIME, *runtimes}:
        raise InvalidArgumentError(f'default runtime "{default_runtime}" is not configured')
    hosts = tuple(given.host or ()) or file.hosts or (f"unix://{exec_root}/knarr.sock",)
    return Options(
        data_root=_absolute(given.data_root or file.data_root or DEFAULT_DATA_ROOT),
        exec_root=exec_root,
        hosts=hosts,
        pidfile=_absolute(given.pidfile or file.pidfile or f"{exec_root}/knarr.pid"),
        log_level=level,
        backend=given.storage_backend or file.storage_backend,
        labels=file.labels,
        default_runtime=default_runtime,
        runtimes=runtimes,
        log_options={**file.log_opts, **_log_options(given.log_opt or ())},
        log_driver=given.log_driver or file.log_driver,
        init=given.init or file.init,
        rules=_rules(
            file,
            (*file.registry_mirrors, *(given.registry_mirror or ())),
            (*file.insecure_registries, *(given.insecure_registry or ())),
        ),
    )


def _rules(file: _File, mirrors: Sequence[str], insecure: Sequence[str]) -> Rules:
    """How registries are spoken to; ``mirrors`` are Docker Hub's, before those of its table."""
    rules = {}
    for host, table in file.registries.items():
        if bool(table.client_cert) != bool(table.client_key):
            raise InvalidArgumentError(
                f'registry "{host}": client-cert and client-key are needed both or not at all'
            )
        for path in (table.ca, table.client_cert, table.client_key):
            if path and not Path(path).is_absolute():
                raise InvalidArgumentError(f'registry "{host}": "{path}" is not an absolute path')
        rules[checked_insecure(host).lower()] = RegistryRule(
            mirrors=tuple(checked_mirror(each) for each in table.mirrors),
            insecure=table.insecure,
            ca=table.ca,
            client_cert=table.client_cert,
            client_key=table.client_key,
        )
    if mirrors:
        hub = rules.get(HUB, RegistryRule())
        given = tuple(checked_mirror(each) for each in mirrors)
        rules[HUB] = hub._replace(mirrors=given + hub.mirrors)
    return Rules(rules, tuple(checked_insecure(each) for each in insecure))


def _runtimes(
    configured: Mapping[str, str | _Runtime], added: Sequence[str]
) -> dict[str, RuntimeProgram]:
    """The runtimes of the file, and those of ``--add-runtime NAME=PATH`` beside or instead."""
    found = {
        name: RuntimeProgram(one) if isinstance(one, str) else RuntimeProgram(one.path, one.args)
        for name, one in configured.items()
    }
    for text in added:
        name, assigned, path = text.partition("=")
        if not assigned or not name or not path:
            raise InvalidArgumentError(f'invalid runtime "{text}": NAME=PATH is needed')
        found[name] = RuntimeProgram(path)
    for name, program in found.items():
        if name == OWN_RUNTIME:
            raise InvalidArgumentError(f"runtime name '{name}' is reserved")
        if not Path(program.path).is_absolute():
            raise InvalidArgumentError(f'runtime "{name}" needs an absolute path')
    return found


def _log_options(given: Sequence[str]) -> dict[str, str]:
    """Each ``--log-opt NAME=VALUE``; a name alone has an empty value, as in Docker."""
    return dict(text.partition("=")[::2] for text in given)


def _absolute(path: str) -> Path:
    return Path(path).absolute()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="knarr daemon", description="The knarr engine and its API.", allow_abbrev=False
    )
    parser.add_argument("--config", metavar="FILE", help=f"read options (default {DEFAULT_CONFIG})")
    parser.add_argument(
        "--data-root", metavar="DIR", help=f"persistent state (default {DEFAULT_DATA_ROOT})"
    )
    parser.add_argument(
        "--exec-root", metavar="DIR", help=f"state until reboot (default {DEFAULT_EXEC_ROOT})"
    )
    parser.add_argument(
        "-H",
        "--host",
        action="append",
        metavar="URL",
        help="listen on unix:///path, tcp://address:port or fd://; may be repeated",
    )
    parser.add_argument("--pidfile", metavar="FILE", help="write the process id there")
    parser.add_argument("--log-driver", metavar="NAME", help="for containers (default json-file)")
    parser.add_argument(
        "--log-opt",
        action="append",
        metavar="NAME=VALUE",
        help="of the default log driver, for containers; may be repeated",
    )
    parser.add_argument("-l", "--log-level", choices=LEVELS, help="what to log (default info)")
    parser.add_argument(
        "--add-runtime",
        action="append",
        metavar="NAME=PATH",
        help="another OCI runtime for `run --runtime NAME`; may be repeated",
    )
    parser.add_argument(
        "--default-runtime", metavar="NAME", help=f"for containers (default {OWN_RUNTIME})"
    )
    parser.add_argument(
        "--registry-mirror",
        action="append",
        metavar="URL",
        help="read the images of Docker Hub from there first; may be repeated",
    )
    parser.add_argument(
        "--insecure-registry",
        action="append",
        metavar="HOST|CIDR",
        help="a registry whose certificate is not checked, or without TLS; may be repeated",
    )
    parser.add_argument(
        "--init", action="store_true", help="run an init in every container, as `run --init`"
    )
    parser.add_argument(
        "--storage-backend", choices=BACKENDS, help="how layers are stored (default: the best)"
    )
    return parser


def _read(path: str | None) -> _File:
    if path is None and not DEFAULT_CONFIG.exists():
        return _File()
    chosen = Path(path) if path is not None else DEFAULT_CONFIG
    try:
        content = tomllib.loads(chosen.read_text())
        return msgspec.convert(content, _File)
    except OSError as error:
        raise InvalidArgumentError(
            f'read configuration "{chosen}": {(error.strerror or str(error)).lower()}'
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, msgspec.ValidationError) as error:
        raise InvalidArgumentError(f'configuration "{chosen}": {error}') from error
