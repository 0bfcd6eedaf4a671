"""The files that knarr keeps for a container and binds into it: hosts, hostname, resolv.conf.

Layout: ``<data-root>/containers/<id>/``, mode 0710, so that only root lists logs of others.

Law: the content is made by pure functions. Files are written in place and never renamed, because
a running container has their inodes mounted.
"""

from __future__ import annotations

import contextlib
import ipaddress
import os
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from knarr.containers.sharing import OTHER
from knarr.containers.spec import ManagedFiles

if TYPE_CHECKING:
    from collections.abc import Sequence

    from knarr.containers.record import Record

_HOSTS = """127.0.0.1\tlocalhost
::1\tlocalhost ip6-localhost ip6-loopback
fe00::\tip6-localnet
ff00::\tip6-mcastprefix
ff02::1\tip6-allnodes
ff02::2\tip6-allrouters
"""
_HOST_HOSTS = "/etc/hosts"
_HOST_RESOLV_CONF = "/etc/resolv.conf"
#: Where systemd-resolved keeps the real servers when /etc/resolv.conf only names its own stub.
_RESOLVED_RESOLV_CONF = "/run/systemd/resolve/resolv.conf"


class HostFiles(NamedTuple):
    """What the host's own files say."""

    hosts: str
    resolv_conf: str


class ContainerDirectory:
    """The directory of one container."""

    def __init__(self, root: Path, container_id: str) -> None:
        path = f"{root}/{container_id}"
        self._path = path
        self._log = f"{path}/{container_id}-json.log"
        self._block_log = f"{path}/{container_id}-local.log"
        self.managed = ManagedFiles(
            hosts=f"{path}/hosts", hostname=f"{path}/hostname", resolv_conf=f"{path}/resolv.conf"
        )

    @property
    def path(self) -> Path:
        """The directory itself."""
        return Path(self._path)

    @property
    def log(self) -> Path:
        """The file to which its output is logged."""
        return Path(self._log)

    @property
    def block_log(self) -> Path:
        """The same in the form of the driver ``local``."""
        return Path(self._block_log)

    def write(self, record: Record) -> None:
        """Make or renew the directory and, unless they are another's, the three files.

        Raises OSError.
        """
        with contextlib.suppress(FileExistsError):
            os.mkdir(self._path, 0o710)
        if record.host_config.network_mode.startswith(OTHER):
            return
        host = read_host_files()
        _write(self.managed.hosts, hosts(record, host.hosts))
        _write(self.managed.hostname, f"{record.config.hostname}\n")
        _write(self.managed.resolv_conf, resolv_conf(record, host.resolv_conf))


def read_host_files() -> HostFiles:
    """The host's hosts and resolv.conf; a missing file is empty."""
    resolv = _read(_HOST_RESOLV_CONF)
    if "nameserver 127.0.0.53" in resolv:
        resolv = _read(_RESOLVED_RESOLV_CONF) or resolv
    return HostFiles(_read(_HOST_HOSTS), resolv)


def _read(path: str) -> str:
    """The text of a file, "" when it cannot be read; an unchanged file is read once."""
    try:
        found = os.stat(path)
        version = (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns)
        known = _read_before.get(path)
        if known is None or known.version != version:
            known = _Known(version, Path(path).read_text(errors="replace"))
            _read_before[path] = known
    except OSError:
        return ""
    return known.text


class _Known(NamedTuple):
    version: tuple[int, int, int, int]
    text: str


_read_before: dict[str, _Known] = {}


def _write(path: str, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
    try:
        os.write(descriptor, text.encode("utf-8", "surrogateescape"))
    finally:
        os.close(descriptor)


def hosts(record: Record, host_hosts: str) -> str:
    """The content of /etc/hosts: the host's with its network, else localhost; then ``--add-host``.

    The own name resolves to the loopback address as long as the container has no other.
    """
    host = record.host_config
    extra = ""
    for entry in host.extra_hosts or ():
        name, _, address = entry.partition(":")
        extra += f"{address.strip('[]')}\t{name}\n"
    if host.network_mode == "host":
        return host_hosts + extra
    return _HOSTS + extra


def resolv_conf(record: Record, host_resolv_conf: str) -> str:
    """The content of /etc/resolv.conf: the host's, with what ``--dns...`` says instead.

    Servers at loopback addresses are left out unless the container has the host's network:
    nothing answers there.
    """
    host = record.host_config
    servers, search, options = _parse(host_resolv_conf)
    if host.network_mode == "host":
        if not (host.dns or host.dns_search or host.dns_options):
            return host_resolv_conf
    else:
        servers = [server for server in servers if not _is_loopback(server)]
    servers = host.dns or servers
    search = host.dns_search or search
    options = host.dns_options or options
    lines = [f"nameserver {server}" for server in servers]
    if search and search != ["."]:
        lines.append(f"search {' '.join(search)}")
    if options:
        lines.append(f"options {' '.join(options)}")
    return "".join(f"{line}\n" for line in lines)


def _parse(text: str) -> tuple[Sequence[str], Sequence[str], Sequence[str]]:
    """Servers, search list and options of a resolv.conf(5)."""
    servers: list[str] = []
    search: list[str] = []
    options: list[str] = []
    for line in text.splitlines():
        words = line.split()
        if len(words) < 2:
            continue
        if words[0] == "nameserver":
            servers.append(words[1])
        elif words[0] in {"search", "domain"}:
            search = words[1:]
        elif words[0] == "options":
            options += words[1:]
    return servers, search, options


def _is_loopback(server: str) -> bool:
    try:
        return ipaddress.ip_address(server.partition("%")[0]).is_loopback
    except ValueError:
        return False
