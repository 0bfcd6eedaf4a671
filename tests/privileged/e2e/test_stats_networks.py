"""The traffic of a container: that of its network namespace, whoever made the interfaces."""

from __future__ import annotations

import subprocess
from typing import Any

import pytest

from support import probes
from support.engine import Engine

pytestmark = [pytest.mark.needs_root, pytest.mark.needs_peer("ip")]
IDLE = ("busybox", "sleep", "1000")


def networks(engine: Engine, name: str) -> Any:
    found = engine.get(f"/containers/{name}/stats?stream=false&one-shot=true")
    return found.get("networks")


def test_interfaces_and_their_counts(engine: Engine) -> None:
    engine.knarr("run", "-d", "--name", "net-a", "--network", "none", *IDLE)
    engine.knarr("run", "-d", "--name", "net-b", "--network", "container:net-a", *IDLE)
    engine.knarr("run", "-d", "--name", "net-c", "--network", "host", *IDLE)
    try:
        assert networks(engine, "net-a") is None  # loopback is not told
        pid = str(engine.get("/containers/net-a/json")["State"]["Pid"])
        inside = ["nsenter", "-t", pid, "-n", str(probes.find_program("ip"))]
        for words in (
            "link add eth0 type veth peer name eth1",
            "link set eth0 up",
            "link set eth1 up",
            "addr add 10.9.9.1/24 dev eth0",
        ):
            subprocess.run([*inside, *words.split()], check=True)
        ping = ["ping", "-c", "1", "-W", "1", "10.9.9.2"]  # nobody answers the question who that is
        engine.knarr("exec", "net-a", *ping, check=False)
        found = networks(engine, "net-a")
        assert set(found) == {"eth0", "eth1"}
        counts = ("bytes", "packets", "errors", "dropped")
        assert set(found["eth0"]) == {f"{way}_{what}" for way in ("rx", "tx") for what in counts}
        assert found["eth0"]["tx_bytes"] > 0
        assert set(networks(engine, "net-b")) == {"eth0", "eth1"}
        assert networks(engine, "net-c") is None  # that would be all of the host's
    finally:
        engine.knarr("rm", "-f", "net-a", "net-b", "net-c")
