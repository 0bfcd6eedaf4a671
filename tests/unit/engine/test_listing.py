from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from knarr.api.containers import ContainerConfig, Empty
from knarr.api.host_config import HostConfig
from knarr.api.networks import EndpointSettings
from knarr.containers.record import MountKind, MountRecord, State, Status
from knarr.engine import inspection, listing, selecting
from knarr.errors import InvalidArgumentError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from knarr.engine.live import ContainerStore, LiveContainer

RUNNING = State(status=Status.RUNNING, started_ns=1, pid=7)


@pytest.fixture
def filled(store: ContainerStore, add: Callable[..., LiveContainer]) -> ContainerStore:
    config = ContainerConfig(labels={"tier": "front", "a": ""}, exposed_ports={"80/tcp": Empty()})
    add(
        1,
        "web",
        state=RUNNING,
        config=config,
        host_config=HostConfig(network_mode="bridge"),
        endpoints={"none": EndpointSettings()},
    )
    add(2, "web-2", state=State(status=Status.EXITED, exit_code=3))
    volume = MountRecord(kind=MountKind.VOLUME, name="vol", target="/data", source="/v")
    add(3, "db", state=State(status=Status.PAUSED), mounts=(volume,))
    bind = MountRecord(kind=MountKind.BIND, target="/dst", source="/src")
    add(4, "new", config=ContainerConfig(labels={"tier": "back"}), mounts=(bind,))
    add(5, "again", state=State(status=Status.RESTARTING))
    return store


def names(
    store: ContainerStore,
    filters: Mapping[str, Sequence[str]] | None = None,
    *,
    every: bool = True,
    limit: int = 0,
) -> str:
    found = listing.select(store, every=every, limit=limit, filters=filters or {}, ancestors=None)
    return " ".join(live.name for live in found)


def test_newest_first_and_running_only(filled: ContainerStore) -> None:
    assert names(filled) == "again new db web-2 web"
    assert names(filled, every=False) == "again db web"
    assert names(filled, every=False, limit=2) == "again new"


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({"name": ["web"]}, "web-2 web"),
        ({"name": ["^web$"]}, "web"),
        ({"name": ["^/db"]}, "db"),
        ({"id": ["33"]}, "db"),
        ({"status": ["exited", "paused"]}, "db web-2"),
        ({"exited": ["3"]}, "web-2"),
        ({"exited": ["0"]}, ""),
        ({"label": ["tier"]}, "new web"),
        ({"label": ["tier=front", "a"]}, "web"),
        ({"label": ["tier=none"]}, ""),
        ({"volume": ["vol"]}, "db"),
        ({"volume": ["/data"]}, "db"),
        ({"volume": ["/v"]}, ""),
        ({"volume": ["/src"]}, "new"),
        ({"name": ["["]}, ""),
        ({"name": ["[", "db"]}, "db"),
        ({"id": [""]}, ""),
        ({"expose": ["79-81"]}, "web"),
        ({"expose": ["81"]}, ""),
        ({"expose": ["80"], "publish": ["99"]}, "web"),
        ({"network": ["none"]}, "web"),
        ({"before": ["db"]}, "web-2 web"),
        ({"since": ["db"]}, "again new"),
        ({"since": ["web"], "before": ["new"]}, "db web-2"),
        ({"expose": ["80"]}, "web"),
        ({"expose": ["80/udp"]}, ""),
        ({"publish": ["80"]}, ""),
        ({"health": ["none"], "name": ["db"]}, "db"),
        ({"health": ["healthy"]}, ""),
        ({"is-task": ["true"]}, ""),
    ],
)
def test_filters(filled: ContainerStore, filters: dict[str, list[str]], expected: str) -> None:
    assert names(filled, filters) == expected


def test_a_status_filter_looks_at_all(filled: ContainerStore) -> None:
    assert names(filled, {"status": ["exited"]}, every=False) == "web-2"
    assert names(filled, {"exited": ["3"]}, every=False) == ""
    assert names(filled, {"exited": ["3"], "status": ["exited"]}, every=False) == "web-2"


@pytest.mark.parametrize(
    "filters",
    [
        {"colour": ["red"]},
        {"status": ["asleep"]},
        {"exited": ["x"]},
        {"health": ["fine"]},
        {"before": ["ghost"]},
        {"expose": ["x"]},
        {"expose": ["80:80"]},
        {"publish": ["70000"]},
        {"is-task": ["perhaps"]},
    ],
)
def test_bad_filters(filled: ContainerStore, filters: dict[str, list[str]]) -> None:
    with pytest.raises(InvalidArgumentError):
        names(filled, filters)


def test_prunable(filled: ContainerStore) -> None:
    def pruned(filters: Mapping[str, Sequence[str]]) -> list[str]:
        return sorted(live.name for live in selecting.prunable(filled, filters))

    assert pruned({}) == ["new", "web-2"]
    assert pruned({"label": ["tier=back"]}) == ["new"]
    assert pruned({"label!": ["tier=back"]}) == ["web-2"]
    assert pruned({"until": ["0.000000002"]}) == ["web-2"]
    with pytest.raises(InvalidArgumentError):
        pruned({"status": ["exited"]})
    with pytest.raises(InvalidArgumentError, match="more than one until filter specified"):
        pruned({"until": ["1h", "2h"]})


def test_summary_and_inspection_agree(add: Callable[..., LiveContainer]) -> None:
    config = ContainerConfig(exposed_ports={"80/tcp": Empty(), "53/udp": Empty()})
    live = add(
        6,
        "x",
        path="/bin/sh",
        args=("-c", "echo hi"),
        state=RUNNING,
        config=config,
        host_config=HostConfig(network_mode="bridge"),
        created_ns=10**18,
    )
    (summary,) = listing.summaries([live], images={live.id: "img"})
    assert summary.command == "/bin/sh -c 'echo hi'"
    assert [(port.private_port, port.type) for port in summary.ports] == [(80, "tcp"), (53, "udp")]
    assert (summary.state, summary.created) == ("running", 10**9)
    state = inspection.state(live.record)
    assert (state.running, state.pid, state.finished_at) == (True, 7, "0001-01-01T00:00:00Z")
    assert state.started_at == "1970-01-01T00:00:00.000000001Z"
