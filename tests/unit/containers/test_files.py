from __future__ import annotations

from typing import TYPE_CHECKING

from knarr.api.containers import ContainerConfig
from knarr.api.host_config import HostConfig
from knarr.containers import files

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from knarr.containers.record import Record

HOST_RESOLV = "# c\nnameserver 127.0.0.1\nnameserver 10.0.0.1\nsearch corp\noptions ndots:2 edns0\n"


def test_hosts(record: Callable[..., Record]) -> None:
    made = record(HostConfig(extra_hosts=["db:10.1.1.1", "six:[::2]"]))
    content = files.hosts(made, "host's own\n")
    assert content.startswith("127.0.0.1\tlocalhost\n::1\tlocalhost")
    assert content.endswith("10.1.1.1\tdb\n::2\tsix\n")
    assert "host's own" not in content
    shared = record(HostConfig(network_mode="host", extra_hosts=["db:10.1.1.1"]))
    assert files.hosts(shared, "host's own\n") == "host's own\n10.1.1.1\tdb\n"


def test_resolv_conf_leaves_loopback_servers_out(record: Callable[..., Record]) -> None:
    assert files.resolv_conf(record(), HOST_RESOLV) == (
        "nameserver 10.0.0.1\nsearch corp\noptions ndots:2 edns0\n"
    )
    assert files.resolv_conf(record(HostConfig(network_mode="host")), HOST_RESOLV) == HOST_RESOLV


def test_resolv_conf_as_asked(record: Callable[..., Record]) -> None:
    host = HostConfig(dns=["9.9.9.9"], dns_search=["a", "b"], dns_options=["ndots:1"])
    assert files.resolv_conf(record(host), HOST_RESOLV) == (
        "nameserver 9.9.9.9\nsearch a b\noptions ndots:1\n"
    )
    assert "search" not in files.resolv_conf(record(HostConfig(dns_search=["."])), HOST_RESOLV)


def test_files_keep_their_inodes(record: Callable[..., Record], tmp_path: Path) -> None:
    made = record(config=ContainerConfig(cmd=["sh"], hostname="box"))
    directory = files.ContainerDirectory(tmp_path, made.id)
    directory.write(made)
    before = {path.name: path.stat().st_ino for path in directory.path.iterdir()}
    directory.write(made)
    assert {path.name: path.stat().st_ino for path in directory.path.iterdir()} == before
    assert set(before) == {"hosts", "hostname", "resolv.conf"}
    assert (directory.path / "hostname").read_text() == "box\n"
