"""A container that is being made and the removal of its volume: one of them wins."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import pytest

from support.engine import Engine

pytestmark = pytest.mark.needs_root
ROUNDS = 12


def _together(*work: Any) -> list[tuple[int, bytes]]:
    answers: list[Any] = [None] * len(work)
    gate = threading.Barrier(len(work))

    def do(index: int) -> None:
        gate.wait()
        answers[index] = work[index]()

    threads = [threading.Thread(target=do, args=(index,)) for index in range(len(work))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers


def _body(volume: str) -> dict[str, Any]:
    mounts = {"NetworkMode": "none", "Binds": [f"{volume}:/data"]}
    return {"Image": "busybox", "Cmd": ["true"], "HostConfig": mounts}


@pytest.mark.parametrize("prunes", [False, True], ids=["rm", "prune"])
def test_a_container_keeps_the_volume_that_it_was_made_with(engine: Engine, prunes: bool) -> None:
    filters = "?filters=%7B%22all%22%3A%5B%22true%22%5D%7D"
    for number in range(ROUNDS):
        volume = f"race-{number}"
        assert engine.api("POST", "/volumes/create", {"Name": volume})[0] == 201
        removal = (
            ("POST", f"/volumes/prune{filters}") if prunes else ("DELETE", f"/volumes/{volume}")
        )
        made, removed = _together(
            lambda volume=volume: engine.api("POST", "/containers/create", _body(volume)),
            lambda removal=removal: engine.api(*removal),
        )
        assert removed[0] in (200, 204, 409), removed
        if made[0] != 201:
            assert made[0] == 409
            assert f"volume {volume} is being removed" in json.loads(made[1])["message"]
            continue
        identity = json.loads(made[1])["Id"]
        (mount,) = engine.get(f"/containers/{identity}/json")["Mounts"]
        assert Path(mount["Source"]).is_dir()
        assert engine.get(f"/volumes/{volume}")["Mountpoint"] == mount["Source"]
        assert engine.api("DELETE", f"/volumes/{volume}")[0] == 409
        assert engine.api("POST", f"/containers/{identity}/start")[0] == 204
        engine.api("POST", f"/containers/{identity}/wait")
        assert engine.api("DELETE", f"/containers/{identity}?v=1")[0] == 204
        assert engine.api("DELETE", f"/volumes/{volume}")[0] == 204


def test_an_anonymous_volume_stays_for_who_takes_it_over(engine: Engine) -> None:
    """``rm -v`` of the first user, while a second one is made from it."""
    for _ in range(ROUNDS):
        body = {"Image": "busybox", "Cmd": ["true"], "Volumes": {"/data": {}}}
        body["HostConfig"] = {"NetworkMode": "none"}
        first = json.loads(engine.api("POST", "/containers/create", body)[1])["Id"]
        (mount,) = engine.get(f"/containers/{first}/json")["Mounts"]
        made, removed = _together(
            lambda name=mount["Name"]: engine.api("POST", "/containers/create", _body(name)),
            lambda first=first: engine.api("DELETE", f"/containers/{first}?v=1"),
        )
        assert removed[0] == 204
        if made[0] == 409:
            continue
        second = json.loads(made[1])["Id"]
        assert Path(mount["Source"]).is_dir()
        assert engine.get(f"/volumes/{mount['Name']}")["Name"] == mount["Name"]
        assert engine.api("DELETE", f"/containers/{second}?v=1")[0] == 204
        engine.api("DELETE", f"/volumes/{mount['Name']}")
