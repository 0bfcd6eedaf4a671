"""What uses the disk, and giving it back: ``system df`` and the ``prune`` commands."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from support.engine import Engine

MB = 1_000_000
WRITE = "head -c 1000000 /dev/zero > /own; head -c 500000 /dev/zero > /data/v; ln /data/v /data/w"


def filters(**values: list[str]) -> str:
    return "filters=" + quote(json.dumps(values))


def post(daemon: Engine, path: str) -> Any:
    status, body = daemon.api("POST", path)
    assert status == 200, body
    return json.loads(body)


@pytest.fixture
def mark(daemon: Engine, name: str) -> Iterator[str]:
    """A label. NAME has ended and NAME-r runs; both have written 1 MB, and 0.5 MB to volumes."""
    label = f"tidy={name}"
    for suffix, script in (("", WRITE), ("-r", f"{WRITE}; echo ready; sleep 1000")):
        daemon.docker("volume", "create", "--label", label, f"{name}{suffix}-v")
        daemon.docker(
            *("run", "-d", "--name", f"{name}{suffix}", "--label", label, "--network", "none"),
            *("-v", f"{name}{suffix}-v:/data", "busybox", "sh", "-c", script),
        )
    daemon.docker("wait", name)
    while "ready" not in daemon.docker("logs", f"{name}-r").out:
        pass
    yield label
    daemon.docker("rm", "-f", "-v", name, f"{name}-r", check=False)
    daemon.docker("volume", "rm", "-f", f"{name}-v", f"{name}-r-v", check=False)


def test_figures(daemon: Engine, mark: str, name: str) -> None:
    known = daemon.get("/system/df")
    sizes = {each["Names"][0]: each.get("SizeRw", 0) for each in known["Containers"]}
    assert (sizes[f"/{name}"], sizes[f"/{name}-r"]) == (MB, MB)
    usage = {each["Name"]: each["UsageData"] for each in known["Volumes"]}
    assert usage[f"{name}-v"] == {"RefCount": 1, "Size": MB // 2}  # the hard link counts once
    images = {tag: each for each in known["Images"] for tag in each["RepoTags"] or ()}
    assert images["busybox:latest"]["Containers"] >= 2
    assert known["LayersSize"] >= images["busybox:latest"]["Size"] > 0
    assert not known["BuildCache"]
    text = daemon.docker("system", "df", "--format", "{{.Type}}: {{.Active}} {{.Size}}").out
    assert [line.partition(":")[0] for line in text.splitlines()] == [
        *("Images", "Containers", "Local Volumes", "Build Cache")
    ]
    verbose = daemon.docker("system", "df", "-v").out
    assert "Build cache usage: 0B" in verbose
    (line,) = [line for line in verbose.splitlines() if line.split()[-1:] == [name]]
    assert "1MB" in line.split()


def test_pruning_containers(daemon: Engine, mark: str, name: str) -> None:
    for values in ({"label": ["tidy=other"]}, {"until": ["1h"]}, {"label!": ["tidy"]}):
        # Others' containers may go; these are made, marked and young.
        if "label!" not in values:
            post(daemon, f"/containers/prune?{filters(**values)}")
    assert daemon.api("GET", f"/containers/{name}/json")[0] == 200
    done = post(daemon, f"/containers/prune?{filters(label=[mark])}")
    assert len(done["ContainersDeleted"]) == 1
    assert done["SpaceReclaimed"] == MB
    assert daemon.api("GET", f"/containers/{name}/json")[0] == 404
    assert daemon.get(f"/containers/{name}-r/json")["State"]["Running"]
    again = daemon.docker("container", "prune", "-f", "--filter", f"label={mark}")
    assert again.out == "Total reclaimed space: 0B\n"


def test_pruning_volumes(daemon: Engine, mark: str, name: str, is_knarr: bool) -> None:
    daemon.docker("rm", name)
    place = Path(daemon.get(f"/volumes/{name}-v")["Mountpoint"])
    if is_knarr:  # older peers take named ones, too
        assert post(daemon, f"/volumes/prune?{filters(label=[mark])}")["VolumesDeleted"] == []
    done = post(daemon, f"/v1.41/volumes/prune?{filters(label=[mark])}")
    assert done == {"VolumesDeleted": [f"{name}-v"], "SpaceReclaimed": MB // 2}
    assert not place.exists()
    assert daemon.get(f"/volumes/{name}-r-v")["Name"] == f"{name}-r-v"


def test_pruning_volumes_with_names(daemon: Engine, mark: str, name: str, is_knarr: bool) -> None:
    if not is_knarr:
        pytest.skip("API 1.42")
    daemon.docker("rm", name)
    done = daemon.docker("volume", "prune", "-a", "-f", "--filter", f"label={mark}")
    assert done.out == f"Deleted Volumes:\n{name}-v\n\nTotal reclaimed space: 500kB\n"


def test_a_volume_that_shows_something_else_stays(
    daemon: Engine, name: str, tmp_path: Path
) -> None:
    made = f"{name}-o"
    options = [f"device={tmp_path}", "type=none", "o=bind"]
    flags = [word for option in options for word in ("-o", option)]
    daemon.docker("volume", "create", "--label", f"tidy={name}", *flags, made)
    try:
        assert made not in {each["Name"] for each in daemon.get("/system/df")["Volumes"] or ()}
        done = post(daemon, f"/v1.41/volumes/prune?{filters(label=[f'tidy={name}'])}")
        assert done == {"VolumesDeleted": [], "SpaceReclaimed": 0}
        assert daemon.get(f"/volumes/{made}")["Options"]["type"] == "none"
    finally:
        daemon.docker("volume", "rm", made)


def test_pruning_the_system(daemon: Engine, mark: str, name: str) -> None:
    done = daemon.docker("system", "prune", "-f", "--filter", f"label={mark}")
    assert done.out.startswith("Deleted Containers:\n")
    assert done.out.endswith("\n\nTotal reclaimed space: 1MB\n")
    assert daemon.api("GET", f"/containers/{name}/json")[0] == 404
    assert daemon.api("GET", f"/volumes/{name}-v")[0] == 200
    both = daemon.docker("system", "prune", "--volumes", "--filter", "until=1h", check=False)
    assert both.err == 'ERROR: The "until" filter is not supported with "--volumes"\n'


@pytest.mark.parametrize("noun", ["containers", "images", "volumes", "networks"])
def test_filters_that_do_not_exist(daemon: Engine, noun: str) -> None:
    status, body = daemon.api("POST", f"/{noun}/prune?{filters(foo=['bar'])}")
    assert status == 400
    assert json.loads(body)["message"].lower() == "invalid filter 'foo'"


@pytest.mark.parametrize("noun", ["containers", "images"])
def test_moments(daemon: Engine, noun: str) -> None:
    status, body = daemon.api("POST", f"/{noun}/prune?{filters(until=['1h', '2h'])}")
    assert (status, json.loads(body)) == (
        400,
        {"message": "more than one until filter specified"},
    ) or status == 500
    assert daemon.api("POST", f"/{noun}/prune?{filters(until=['x'])}")[0] in (400, 500)


def test_volume_lists(daemon: Engine, mark: str, name: str) -> None:
    def names(*words: str) -> list[str]:
        return daemon.docker("volume", "ls", "-q", "-f", f"label={mark}", *words).out.split()

    both = [f"{name}-r-v", f"{name}-v"]
    assert names() == both
    assert names("-f", f"name=^{name}-v$") == both[1:]
    assert names("-f", f"name={name}") == both
    assert names("-f", "dangling=false") == both
    daemon.docker("rm", name)
    assert names("-f", "dangling=true") == both[1:]
    assert names("-f", "driver=local", "-f", "name=-r-") == both[:1]
    assert names("-f", "driver=other") == []
    used = daemon.docker("volume", "rm", "-f", f"{name}-r-v", check=False)
    assert "volume is in use - [" in used.err
    assert daemon.docker("volume", "rm", "-f", "nosuch").out == "nosuch\n"
