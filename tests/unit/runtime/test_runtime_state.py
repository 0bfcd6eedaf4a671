from __future__ import annotations

import os
from pathlib import Path

import pytest

from knarr.errors import AlreadyExistsError, InvalidArgumentError, NotFoundError
from knarr.runtime import process, state


def test_record_is_written_and_read(tmp_path: Path) -> None:
    root = str(tmp_path / "deep/root")
    directory = state.claim(root, "one")
    state.write(root, {"id": "one", "status": "creating"})
    state.write(root, {"id": "one", "status": "running", "pid": 7})
    assert state.read(root, "one") == {"id": "one", "status": "running", "pid": 7}
    assert [each.name for each in Path(directory).iterdir()] == ["state.json"]
    assert list(state.everything(root)) == ["one"]
    state.forget(root, "one")
    state.forget(root, "one")
    assert list(state.everything(root)) == []


def test_id_can_be_claimed_once(tmp_path: Path) -> None:
    state.claim(str(tmp_path), "one")
    with pytest.raises(AlreadyExistsError, match='"one" already exists'):
        state.claim(str(tmp_path), "one")


@pytest.mark.parametrize("bad", ["", ".", "..", "a/b", "../x", "a\0b", "x" * 256, "a b"])
def test_id_that_is_no_name_is_refused(tmp_path: Path, bad: str) -> None:
    with pytest.raises(InvalidArgumentError, match="invalid container id"):
        state.claim(str(tmp_path), bad)
    with pytest.raises(InvalidArgumentError):
        state.read(str(tmp_path), bad)


def test_unknown_container_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match='container "x" does not exist'):
        state.read(str(tmp_path), "x")
    assert list(state.everything(str(tmp_path / "nothing"))) == []


def test_look_survives_strange_names() -> None:
    pid = os.fork()
    if pid == 0:
        Path("/proc/self/comm").write_text("a) Z (b")
        os.kill(os.getpid(), 19)
        os._exit(0)
    os.waitpid(pid, os.WUNTRACED)
    seen = process.look(pid)
    os.kill(pid, 9)
    os.waitpid(pid, 0)
    assert seen is not None
    assert seen[0] == "T"
    mine = process.look(os.getpid())
    assert mine is not None
    assert seen[1] >= mine[1]
    assert process.look(pid) is None
