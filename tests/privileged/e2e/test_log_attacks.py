"""Containers whose output is meant to hurt whoever logs or reads it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from support.engine import Engine

pytestmark = [pytest.mark.needs_root, pytest.mark.needs_overlay]

MEGABYTE = 1 << 20
DRIVERS = pytest.mark.parametrize(
    "options", [(), ("--log-driver", "local")], ids=["json-file", "local"]
)


def memory(pid: int) -> int:
    """Resident bytes that belong to the process alone."""
    text = Path(f"/proc/{pid}/status").read_text()
    return int(text.split("RssAnon:")[1].split()[0]) * 1024


def log_size(engine: Engine, identity: str) -> int:
    folder = engine.data_root / "containers" / identity
    return sum(path.stat().st_size for path in folder.iterdir() if "log" in path.name)


def run(engine: Engine, name: str, script: str, *options: str, check: bool = True):
    line = ["run", "--name", name, "--network", "none", *options, "busybox", "sh", "-c", script]
    return engine.knarr(*line, check=check)


@DRIVERS
def test_a_line_that_never_ends_costs_no_memory(
    make_engine: Callable[..., Engine], options: tuple[str, ...]
) -> None:
    engine = make_engine()
    run(engine, "first", "echo x", *options)
    before = [memory(engine.pid), memory(engine.supervisor_pid())]
    sizes = ("--log-opt", "max-size=2m", "--log-opt", "max-file=3")
    run(engine, "endless", "head -c 60000000 /dev/zero | tr '\\0' x", "-d", *options, *sizes)
    engine.knarr("wait", "endless")
    after = [memory(engine.pid), memory(engine.supervisor_pid())]
    assert max(b - a for a, b in zip(before, after, strict=True)) < 16 * MEGABYTE
    identity = engine.get("/containers/endless/json")["Id"]
    assert log_size(engine, identity) < 7_000_000
    spools = engine.exec_root / "supervisor" / identity
    held = sum(path.stat().st_blocks * 512 for path in spools.iterdir()) if spools.exists() else 0
    assert held < MEGABYTE
    found = engine.knarr("logs", "--tail", "2", "endless").out
    assert set(found) == {"x"}
    assert len(found) <= 2 * 16384


@DRIVERS
def test_bytes_that_are_no_text_arrive(engine: Engine, options: tuple[str, ...]) -> None:
    script = 'printf \'\\377\\376\\0\\033[2J\\r\\n{"log":"x\\\\n"}\\n\\303\\251 end\''
    try:
        run(engine, "binary", script, *options)
        found = engine.api("GET", "/containers/binary/logs?stdout=1")[1]
    finally:
        engine.api("DELETE", "/containers/binary?force=1")
    first = b"\xff\xfe" if options else "\ufffd\ufffd".encode()
    lines = [first + b"\0\x1b[2J\r\n", b'{"log":"x\\n"}\n', "é end".encode()]
    assert found == b"".join(b"\1\0\0\0" + len(x).to_bytes(4, "big") + x for x in lines)


def test_labels_do_not_break_out_of_an_entry(engine: Engine) -> None:
    label = 'a="},\n{"log":"forged\\n","stream":"stdout","time":"2024-01-01T00:00:00Z"}\n{"x":"'
    options = ["--label", f"evil={label}", "--log-opt", "labels=evil"]
    options += ["--log-opt", 'tag={{index .ContainerLabels "evil"}}']
    try:
        run(engine, "forger", "echo real", *options)
        assert engine.knarr("logs", "forger").out == "real\n"
        details = engine.knarr("logs", "--details", "forger").out
        assert details.count("\n") == 1
        assert details.endswith(" real\n")
    finally:
        engine.api("DELETE", "/containers/forger?force=1")


@pytest.mark.parametrize("kind", ["link", "fifo"])
def test_what_was_put_in_the_place_of_a_log(engine: Engine, tmp_path: Path, kind: str) -> None:
    secret = tmp_path / "secret"
    secret.write_text('{"log":"secret\\n","stream":"stdout","time":"2024-01-01T00:00:00Z"}\n')
    try:
        run(engine, "tricked", "echo x")
        path = Path(engine.get("/containers/tricked/json")["LogPath"])
        path.unlink()
        if kind == "link":
            path.symlink_to(secret)
        else:
            os.mkfifo(path)
        failed = engine.knarr("start", "tricked", check=False)
        assert failed.code != 0
        assert "failed to initialize logging driver" in failed.err
        assert engine.knarr("logs", "tricked", timeout=20).out == ""
        assert secret.read_text().count("\n") == 1
    finally:
        engine.api("DELETE", "/containers/tricked?force=1")


def test_many_rotations_a_second_are_no_attack_on_a_follower(engine: Engine) -> None:
    """It may lose what is rotated away before it is read; it must neither double nor hang."""
    options = ["-d", "--log-opt", "max-size=1k", "--log-opt", "max-file=2"]
    try:
        run(engine, "spinner", "i=0; while [ $i -lt 3000 ]; do echo $i; i=$((i+1)); done", *options)
        found = engine.knarr("logs", "-f", "spinner", timeout=60).out.split()
        numbers = list(map(int, found))
        assert numbers == sorted(set(numbers))
        assert numbers[-1] == 2999
    finally:
        engine.api("DELETE", "/containers/spinner?force=1")


def test_the_engine_takes_its_defaults_from_flags(make_engine: Callable[..., Engine]) -> None:
    engine = make_engine("--log-driver", "local", "--log-opt", "max-size=1m")
    assert engine.get("/info")["LoggingDriver"] == "local"
    run(engine, "one", "echo hello")
    run(engine, "two", "echo hello", "--log-driver", "json-file", "--log-opt", "max-file=2")
    configured = [
        engine.get(f"/containers/{name}/json")["HostConfig"]["LogConfig"] for name in ("one", "two")
    ]
    assert configured == [
        {"Type": "local", "Config": {"max-size": "1m"}},
        {"Type": "json-file", "Config": {"max-file": "2"}},
    ]
    for name in ("one", "two"):
        assert engine.knarr("logs", name).out == "hello\n"
