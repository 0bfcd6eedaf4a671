"""Whole commands against an engine that answers as told, in this process."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import knarr
from knarr.cli import main, registry
from knarr.cli.command import Command
from support.fake_engine import FakeEngine, Request, answer

Serve = Callable[[Callable[[Request, socket.socket], bytes | None]], FakeEngine]
ENTRY = Path(knarr.__file__).parent / "cli/__main__.py"

CONTAINER: dict[str, Any] = {
    "Id": "0123456789abcdef" * 4,
    "Names": ["/c1", "/other/alias"],
    "Image": "busybox",
    "ImageID": "sha256:ab",
    "Command": "sh -c 'a long command line'",
    "Created": 0,
    "State": "running",
    "Status": "Up 2 seconds",
    "Ports": [],
    "Labels": {"a": "b"},
    "Mounts": [],
    "NetworkSettings": {"Networks": {"none": {}}},
}


@pytest.mark.parametrize("words", [(name,) for name in registry.SHORT])
def test_every_command_exists(words: tuple[str, ...]) -> None:
    target = registry.module(words)
    assert target
    if target == "daemon":
        return
    place = "knarr.cli." + registry.FILES.get(target, target)
    assert isinstance(__import__(place, fromlist=("COMMAND",)).COMMAND, Command)


@pytest.mark.parametrize(
    "words",
    [
        (group, child)
        for group, found in registry.CHILDREN.items()
        for child in found
        if group != "registry"  # a program of its own, which would take this process's place
    ],
)
def test_every_command_has_help(words: tuple[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run([*words, "--help"]) == 0
    out = capsys.readouterr().out
    assert out.startswith(f"Usage:  knarr {' '.join(words)}")
    assert max(map(len, out.splitlines())) <= 100


def test_synonyms_lead_to_the_same_command() -> None:
    assert registry.module(("container", "ps")) == registry.module(("ps",)) == "container.ls"
    assert registry.module(("image", "remove")) == registry.module(("rmi",)) == "image.rm"
    assert registry.module(("nonsense",)) is None
    assert registry.aliases("container.ls") == [
        "container ls",
        "container list",
        "container ps",
        "ps",
    ]


def test_overview(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run([]) == 0
    overview = capsys.readouterr().out
    for name in registry.SHORT:
        assert f"\n  {name} " in overview
    assert main.run(["image"]) == 0
    assert "Usage:  knarr image COMMAND" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (
            ["ps", "--bogus"],
            125,
            (
                "unknown flag: --bogus\n\nUsage:  knarr ps [OPTIONS]\n\n"
                "Run 'knarr ps --help' for more information\n"
            ),
        ),
        (
            ["container", "stop"],
            1,
            (
                "knarr: 'knarr container stop' requires at least 1 argument\n\n"
                "Usage:  knarr container stop [OPTIONS] CONTAINER [CONTAINER...]\n\n"
                "See 'knarr container stop --help' for more information\n"
            ),
        ),
        (
            ["ps", "x"],
            1,
            (
                "knarr: 'knarr ps' accepts no arguments\n\nUsage:  knarr ps [OPTIONS]\n\n"
                "Run 'knarr ps --help' for more information\n"
            ),
        ),
        (
            ["bogus"],
            1,
            "knarr: unknown command: knarr bogus\n\nRun 'knarr --help' for more information\n",
        ),
        (
            ["-z"],
            125,
            (
                "unknown shorthand flag: 'z' in -z\n\nUsage:  knarr [OPTIONS] COMMAND [ARG...]\n\n"
                "Run 'knarr --help' for more information\n"
            ),
        ),
        (
            ["-H", "unix:///nonexistent/k.sock", "ps"],
            1,
            "Cannot connect to the knarr engine at unix:///nonexistent/k.sock. Is it running?\n",
        ),
        (
            ["-H", "unix:///nonexistent/k.sock", "run", "x"],
            125,
            (
                "knarr: Cannot connect to the knarr engine at unix:///nonexistent/k.sock. "
                "Is it running?\n\nRun 'knarr run --help' for more information\n"
            ),
        ),
        (["-H", "nonsense", "ps"], 1, "unable to parse docker host `nonsense`\n"),
        (
            ["run", "--rm", "--restart=always", "x"],
            125,
            (
                "knarr: conflicting options: cannot specify both --restart and --rm\n\n"
                "Run 'knarr run --help' for more information\n"
            ),
        ),
        (
            ["run", "-d", "-a", "stdout", "x"],
            1,
            "conflicting options: cannot specify both --attach and --detach\n",
        ),
        (["load", "-i", "/nonexistent"], 1, "open /nonexistent: no such file or directory\n"),
    ],
)
def test_mistakes(
    arguments: list[str], code: int, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.run(arguments) == code
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == message


def test_ps(serve: Serve, capsys: pytest.CaptureFixture[str]) -> None:
    now = int(time.time())
    engine = serve(lambda *_: answer(200, [{**CONTAINER, "Created": now - 70}]))
    assert main.run(["-H", engine.host, "ps", "-a", "-n", "3", "-f", "name=x"]) == 0
    assert engine.requests[0].target == (
        "/containers/json?all=1&limit=3&filters=%7B%22name%22%3A%7B%22x%22%3Atrue%7D%7D"
    )
    assert capsys.readouterr().out == (
        "CONTAINER ID   IMAGE     COMMAND                  CREATED              STATUS         "
        "PORTS     NAMES\n"
        '0123456789ab   busybox   "sh -c \'a long comma…"   About a minute ago   Up 2 seconds   '
        "          c1\n"
    )


def test_ps_quiet_and_formats(serve: Serve, capsys: pytest.CaptureFixture[str]) -> None:
    engine = serve(lambda *_: answer(200, [CONTAINER]))
    assert main.run(["-H", engine.host, "ps", "-q"]) == 0
    assert main.run(["-H", engine.host, "ps", "--format", '{{.Names}} {{.Label "a"}}']) == 0
    assert main.run(["-H", engine.host, "ps", "--no-trunc", "--format", "{{.Names}}"]) == 0
    assert capsys.readouterr().out == "0123456789ab\nc1 b\nc1,other/alias\n"


def test_remove_goes_on_after_a_failure(serve: Serve, capsys: pytest.CaptureFixture[str]) -> None:
    engine = serve(
        lambda request, _: (
            answer(204)
            if request.path == "/containers/a"
            else answer(404, {"message": "No such container: b"})
        )
    )
    assert main.run(["-H", engine.host, "rm", "b", "a", ""]) == 1
    captured = capsys.readouterr()
    assert captured.err.startswith("Container name cannot be empty")
    assert main.run(["-H", engine.host, "rm", "-v", "b", "a"]) == 1
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == (
        "a\n",
        "Error response from daemon: No such container: b\n",
    )
    assert {each.query for each in engine.requests} == {"v=1"}
    assert main.run(["-H", engine.host, "rm", "-f", "b"]) == 0


def test_many_are_asked_at_once(serve: Serve, capsys: pytest.CaptureFixture[str]) -> None:
    from threading import Barrier

    together = Barrier(3, timeout=20)

    def script(request: Request, _: socket.socket) -> bytes:
        together.wait()
        return answer(204)

    engine = serve(script)
    assert main.run(["-H", engine.host, "stop", "-t", "1", "a", "b", "c"]) == 0
    assert capsys.readouterr().out == "a\nb\nc\n"


class Runner:
    """An engine whose one container prints something and exits."""

    def __init__(self, *, start_error: str = "", code: int = 0) -> None:
        self._start_error = start_error
        self._code = code
        self.created: dict[str, Any] = {}

    def __call__(self, request: Request, sock: socket.socket) -> bytes | None:
        if request.path == "/containers/create":
            self.created = request.json()
            return answer(201, {"Id": "abc", "Warnings": ["be careful"]})
        if request.path.endswith("/attach"):
            sock.sendall(b"HTTP/1.1 101 UPGRADED\r\nUpgrade: tcp\r\n\r\n")
            for stream, text in ((1, b"out\n"), (2, b"err\n")):
                sock.sendall(bytes([stream, 0, 0, 0]) + len(text).to_bytes(4, "big") + text)
            sock.shutdown(socket.SHUT_WR)
            return None
        if request.path.endswith("/start") and self._start_error:
            return answer(400, {"message": self._start_error})
        if request.path.endswith("/wait"):
            return answer(200, {"StatusCode": self._code})
        return answer(204)


def test_run(serve: Serve, capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    runner = Runner(code=7)
    engine = serve(runner)
    cidfile = tmp_path / "cid"
    arguments = ["run", "--sig-proxy=false", "--rm", "--cidfile", str(cidfile), "image", "-x", "y"]
    assert main.run(["-H", engine.host, *arguments]) == 7
    captured = capfd.readouterr()
    assert (captured.out, captured.err) == ("out\n", "WARNING: be careful\nerr\n")
    assert runner.created["Cmd"] == ["-x", "y"]
    assert cidfile.read_text() == "abc"
    paths = engine.paths()
    assert paths[0] == "POST /containers/create"
    assert sorted(paths[1:3]) == ["POST /containers/abc/attach", "POST /containers/abc/wait"]
    assert paths[3] == "POST /containers/abc/start"
    assert [each.query for each in engine.requests if each.path.endswith("/wait")] == [
        "condition=removed"
    ]


def test_run_detached(serve: Serve, capsys: pytest.CaptureFixture[str]) -> None:
    engine = serve(Runner())
    assert main.run(["-H", engine.host, "run", "-d", "image"]) == 0
    assert capsys.readouterr().out == "abc\n"
    assert engine.paths() == ["POST /containers/create", "POST /containers/abc/start"]


@pytest.mark.parametrize(
    ("problem", "code"),
    [
        ('exec: "x": executable file not found in $PATH', 127),
        ('exec: "/x": stat /x: no such file or directory', 127),
        ('exec: "/": permission denied', 126),
        ('exec: "/": is a directory', 126),
        ("no room", 125),
    ],
)
def test_run_that_cannot_start(
    serve: Serve, capfd: pytest.CaptureFixture[str], problem: str, code: int
) -> None:
    engine = serve(Runner(start_error=problem))
    assert main.run(["-H", engine.host, "run", "--sig-proxy=false", "image"]) == code
    assert f"knarr: Error response from daemon: {problem}\n\n" in capfd.readouterr().err


def test_explain_starts_nothing(serve: Serve, capsys: pytest.CaptureFixture[str]) -> None:
    engine = serve(lambda *_: answer(200, {"Plan": ["clone", "exec"]}))
    assert main.run(["-H", engine.host, "run", "--explain", "image"]) == 0
    assert main.run(["-H", engine.host, "run", "--explain", "--json", "image"]) == 0
    assert capsys.readouterr().out == 'clone\nexec\n{"Plan":["clone","exec"]}\n'
    assert set(engine.paths()) == {"POST /knarr/explain"}


def test_inspect(serve: Serve, capsys: pytest.CaptureFixture[str]) -> None:
    def script(request: Request, _: socket.socket) -> bytes:
        if request.path == "/images/b/json":
            return answer(200, b'{"Id":"b","N":1.0}')
        return answer(404, {"message": "no"})

    engine = serve(script)
    assert main.run(["-H", engine.host, "inspect", "b", "nosuch"]) == 1
    captured = capsys.readouterr()
    assert captured.out == '[\n    {\n        "Id": "b",\n        "N": 1.0\n    }\n]\n'
    assert captured.err == "Error: No such object: nosuch\n"
    assert main.run(["-H", engine.host, "inspect", "-f", "{{.Id}}", "--type", "image", "b"]) == 0
    assert capsys.readouterr().out == "b\n"


def test_load_and_its_messages(
    serve: Serve, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    archive = tmp_path / "x.tar"
    archive.write_bytes(b"tar")
    progress = [
        {"status": "Loading layer", "progressDetail": {"current": 1, "total": 2}, "id": "a"},
        {"stream": "Loaded image: x:latest\n"},
    ]
    import json

    body = "".join(json.dumps(each) + "\r\n" for each in progress).encode()
    engine = serve(lambda *_: answer(200, body, Content_Type="application/json"))
    assert main.run(["-H", engine.host, "load", "-i", str(archive)]) == 0
    assert capsys.readouterr().out == "Loaded image: x:latest\n"
    assert engine.requests[0].body == b"tar"
    failing = b'{"errorDetail":{"message":"bad"},"error":"bad"}\r\n'
    engine = serve(lambda *_: answer(200, failing, Content_Type="application/json"))
    assert main.run(["-H", engine.host, "load", "-i", str(archive)]) == 1
    assert capsys.readouterr().err == "bad\n"


def test_save_leaves_no_half_file(serve: Serve, tmp_path: Path) -> None:
    def script(_: Request, sock: socket.socket) -> None:
        sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
        sock.shutdown(socket.SHUT_RDWR)

    engine = serve(script)
    target = tmp_path / "out.tar"
    assert main.run(["-H", engine.host, "save", "-o", str(target), "x"]) == 1
    assert [path.name for path in tmp_path.iterdir() if path.suffix != ".sock"] == []
    engine = serve(lambda *_: answer(200, b"whole"))
    assert main.run(["-H", engine.host, "save", "-o", str(target), "x"]) == 0
    assert target.read_bytes() == b"whole"


def test_events(serve: Serve, capsys: pytest.CaptureFixture[str]) -> None:
    event = (
        b'{"Type":"container","Action":"start","Actor":{"ID":"c1","Attributes":{"n":"x","a":"1"}},'
        b'"time":1,"timeNano":1000000002}\n'
    )
    engine = serve(lambda *_: answer(200, event, Content_Type="application/json"))
    assert main.run(["-H", engine.host, "events", "--until", "0s"]) == 0
    line = capsys.readouterr().out
    assert line.endswith(".000000002Z container start c1 (a=1, n=x)\n")
    assert main.run(["-H", engine.host, "events", "--format", "{{.Status}}|{{.Action}}"]) == 0
    assert capsys.readouterr().out == "|start\n"


def test_prune_asks_first(
    serve: Serve, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from knarr.cli import pruning

    answers = iter(b"no\n")
    monkeypatch.setattr(pruning.os, "read", lambda *_: bytes([next(answers)]))
    engine = serve(lambda *_: answer(200, {"ContainersDeleted": ["a"], "SpaceReclaimed": 5}))
    assert main.run(["-H", engine.host, "container", "prune"]) == 0
    assert "[y/N]" in capsys.readouterr().out
    assert engine.requests == []
    assert main.run(["-H", engine.host, "container", "prune", "-f"]) == 0
    assert capsys.readouterr().out == "Deleted Containers:\na\n\nTotal reclaimed space: 5B\n"


def test_no_traceback_for_a_fault_of_ours(serve: Serve, capsys: pytest.CaptureFixture[str]) -> None:
    engine = serve(lambda *_: answer(200, [{"unexpected": 1}]))
    assert main.run(["-H", engine.host, "ps"]) == 1
    assert capsys.readouterr().err == "knarr: internal error: KeyError: 'Id' (-D shows where)\n"
    with pytest.raises(KeyError):
        main.run(["-D", "-H", engine.host, "ps"])


def program(host: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-I", "-S", str(ENTRY), "-H", host, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_the_program(serve: Serve) -> None:
    engine = serve(lambda *_: answer(200, [CONTAINER]))
    done = program(engine.host, "ps", "-q")
    assert (done.returncode, done.stdout, done.stderr) == (0, "0123456789ab\n", "")


def test_a_reader_that_went_away_is_no_error(serve: Serve) -> None:
    rows = [CONTAINER] * 5000
    engine = serve(lambda *_: answer(200, rows))
    command = (
        f"{sys.executable} -I -S {ENTRY} -H {engine.host} ps | head -1; echo ${{PIPESTATUS[0]}}"
    )
    done = subprocess.run(
        ["bash", "-c", command], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.endswith("\n141\n")
    assert done.stderr == ""


NOT_FOR_A_SHORT_COMMAND = {"os", "re", "json", "typing", "enum", "socket", "signal", "datetime"}


def test_a_short_command_imports_next_to_nothing(serve: Serve, tmp_path: Path) -> None:
    engine = serve(lambda *_: answer(200, [CONTAINER]))
    script = (
        "import sys, atexit\n"
        f"sys.path.append({str(ENTRY.parents[2])!r})\n"
        "from knarr.cli.main import run\n"
        f"code = run(['-H', {engine.host!r}, 'ps'])\n"
        "print(code, *sys.modules)\n"
    ).replace(", atexit", "")
    command = [sys.executable, "-I", "-S", "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    code, *modules = done.stdout.splitlines()[-1].split()
    assert code == "0"
    assert not NOT_FOR_A_SHORT_COMMAND & set(modules)
    assert len([name for name in modules if name.startswith("knarr")]) <= 20


def test_running_imports_little(serve: Serve) -> None:
    engine = serve(Runner())
    script = (
        "import sys\n"
        f"sys.path.append({str(ENTRY.parents[2])!r})\n"
        "from knarr.cli.main import run\n"
        f"code = run(['-H', {engine.host!r}, 'run', '-i', '-e', 'A=1', 'image'])\n"
        "print(code, *sys.modules)\n"
    )
    command = [sys.executable, "-I", "-S", "-c", script]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=60, check=True, stdin=subprocess.DEVNULL
    )
    code, *modules = done.stdout.splitlines()[-1].split()
    assert code == "0"
    assert not NOT_FOR_A_SHORT_COMMAND & set(modules)
