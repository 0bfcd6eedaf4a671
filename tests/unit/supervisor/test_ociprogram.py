"""Calls of another runtime's program, without containers: a shell script stands for it."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from knarr.errors import FailedPreconditionError, InternalError
from knarr.runtime.cgroups import Layout
from knarr.runtime.facts import Facts
from knarr.runtime.process import Stdio
from knarr.supervisor import ociplace
from knarr.supervisor.ociplace import Place
from knarr.supervisor.ociprogram import Program


@pytest.fixture
def place(tmp_path: Path) -> Place:
    made = Place(str(tmp_path), "c")
    Path(made.path).mkdir(parents=True)
    return made


def program(tmp_path: Path, script: str) -> Program:
    path = tmp_path / "runtime"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return Program(str(path), ("--own=1",))


def logging(message: str) -> str:
    """A script that ends with an error in its log, as runc does."""
    line = json.dumps({"level": "error", "msg": message, "time": "now"})
    return f"printf '%s\\n' 'noise' '{line}' > $5; exit 1"


def test_arguments_and_streams(place: Place, tmp_path: Path) -> None:
    fd = os.open(tmp_path / "out", os.O_CREAT | os.O_RDWR)
    program(tmp_path, 'echo "$*"; pwd').call(place, "create", "-b", "x", stdio=Stdio(-1, fd, fd))
    os.close(fd)
    said, folder = (tmp_path / "out").read_text().splitlines()
    words = said.split()
    assert words[:4] == ["--own=1", "--root", place.state, "--log"]
    assert words[5:] == ["--log-format", "json", "create", "-b", "x"]
    assert folder == place.path
    assert not list(Path(place.path).glob("log*"))


@pytest.mark.parametrize(
    ("script", "kind", "message"),
    [
        (logging("it broke"), InternalError, "it broke"),
        (logging("exec failed: no"), InternalError, "no"),
        (logging("container not running"), FailedPreconditionError, "container not running"),
        ("echo one line >&2; exit 3", InternalError, "one line"),
        ("echo note; echo panic: oh; echo rest; exit 2", InternalError, "panic: oh"),
        ("exit 3", InternalError, "runtime start ended with status 3 and did not say why"),
        ("kill -9 $$", InternalError, "runtime start was killed and did not say why"),
        ("echo a; echo b; exit 2", InternalError, "did not say why .it may be a runtime without"),
    ],
)
def test_failures_are_told(
    place: Place, tmp_path: Path, script: str, kind: type[Exception], message: str
) -> None:
    with pytest.raises(kind, match=message):
        program(tmp_path, script).call(place, "start", "c")


def test_the_first_of_several_errors_is_the_cause(place: Place, tmp_path: Path) -> None:
    entries = [{"level": "error", "msg": "the cause"}, {"level": "info", "msg": "and on"}]
    entries.append({"level": "fatal", "msg": "the effect"})
    log = "".join(json.dumps(each) for each in entries)  # as runsc writes it: not in lines
    with pytest.raises(InternalError) as caught:
        program(tmp_path, f"printf %s '{log}' > $5; exit 1").call(place, "start", "c")
    assert (caught.value.message, caught.value.hint) == ("the effect", "the cause")


def test_of_a_long_log_the_end_is_read(place: Place, tmp_path: Path) -> None:
    line = json.dumps({"level": "error", "msg": "at last"})
    script = f"head -c 9000000 /dev/zero > $5; printf %s '{line}' >> $5; exit 1"
    with pytest.raises(InternalError, match="at last"):
        program(tmp_path, script).call(place, "start", "c")


def test_a_program_that_cannot_be_run(place: Place, tmp_path: Path) -> None:
    with pytest.raises(InternalError, match="no such file or directory"):
        Program("/nonexistent/runtime").call(place, "start", "c")
    (tmp_path / "plain").write_text("")
    with pytest.raises(InternalError, match="permission denied"):
        Program(str(tmp_path / "plain")).call(place, "start", "c")


@pytest.mark.parametrize(
    ("script", "known"),
    [
        ("""echo '{"mountOptions": ["ro", "rro"]}'""", {"ro", "rro"}),
        ("echo usage; exit 1", set()),
        ("echo no document", set()),
        ("echo '[]'", set()),
        ("echo '{}'", set()),
    ],
)
def test_mount_options(tmp_path: Path, script: str, known: set[str]) -> None:
    assert program(tmp_path, script).mount_options() == known


def facts(capabilities: int) -> Facts:
    layout = Layout("", frozenset(), {})
    return Facts((6, 1), capabilities, 40, {"RLIMIT_NOFILE": 1000}, layout)


def test_what_the_kernel_would_refuse_is_left_out() -> None:
    limits = [{"type": "RLIMIT_NOFILE", "soft": 500, "hard": 5000}]
    process = {"args": ["x"], "rlimits": limits, "oomScoreAdj": -5}
    kept, warnings = ociplace.adapted_process(process, facts(0))
    assert kept == {
        "args": ["x"],
        "rlimits": [{"type": "RLIMIT_NOFILE", "soft": 500, "hard": 1000}],
    }
    assert len(warnings) == 2
    assert ociplace.adapted_process(process, facts(1 << 24)) == (process, ())
    kept, _ = ociplace.adapted_process({"oomScoreAdj": 5}, facts(0))
    assert kept == {"oomScoreAdj": 5}


def test_recursive_options_are_given_to_who_knows_them() -> None:
    spec = {"mounts": [{"destination": "/a", "options": ["rbind", "rro"]}]}
    same, warnings = ociplace.adapted(spec, facts(0), lambda: {"rro"})
    assert (same["mounts"], warnings) == (spec["mounts"], ())
    other, warnings = ociplace.adapted(spec, facts(0), set)
    assert other["mounts"] == [{"destination": "/a", "options": ["rbind", "ro"]}]
    assert "the runtime has no rro" in warnings[0]
    assert other["root"] == {"path": "rootfs"}
