"""The library for threads, against an engine that answers as told."""

from __future__ import annotations

import gc
import io
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import knarr
from knarr.errors import (
    ConflictError,
    InternalError,
    InvalidArgumentError,
    KnarrError,
    NotFoundError,
    PermissionDeniedError,
    UnavailableError,
    UnimplementedError,
)
from support.fake_engine import FakeEngine, Request, answer

from .conftest import HEAD, UPGRADED, Endless, Script, chunk, cut, frame

Use = Callable[..., knarr.Engine]
EVENT = b'{"Type":"container","Action":"start","Actor":{"ID":"x"}}\n'
MULTIPLEXED = "application/vnd.docker.multiplexed-stream"


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, InvalidArgumentError),
        (403, PermissionDeniedError),
        (404, NotFoundError),
        (409, ConflictError),
        (500, InternalError),
        (501, UnimplementedError),
        (503, UnavailableError),
        (502, InternalError),
        (418, InvalidArgumentError),
    ],
)
def test_statuses_are_categories(use: Use, status: int, kind: type[KnarrError]) -> None:
    engine = use(lambda *_: answer(status, {"message": "in the engine's words"}))
    with pytest.raises(KnarrError) as caught:
        engine.containers.get("x")
    assert type(caught.value) is kind
    assert str(caught.value) == "in the engine's words"


def test_requests_share_a_connection(serve: Callable[[Script], FakeEngine]) -> None:
    fake = serve(lambda *_: answer(404, {"message": "no"}))
    with knarr.connect(fake.host) as engine:
        for _ in range(5):
            with pytest.raises(NotFoundError):
                engine.images.get("x")
            engine.ping()
    assert len(fake._connections) == 1
    assert fake.paths() == ["GET /images/x/json"] * 5


def test_threads_do_not_share_a_connection(use: Use) -> None:
    together = threading.Barrier(10)

    def script(request: Request, _sock: socket.socket) -> bytes:
        together.wait(20)
        return answer(200, {"StatusCode": int(request.path.split("/")[2])})

    engine = use(script)
    got: dict[int, int] = {}

    def wait(number: int) -> None:
        container = knarr.Container(engine._transport, str(number))
        got[number] = container.wait()

    threads = [threading.Thread(target=wait, args=(number,)) for number in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert got == {number: number for number in range(10)}
    assert len(engine._transport._idle) == 8


def test_unchanged_is_no_error(use: Use) -> None:
    engine = use(lambda *_: b"HTTP/1.1 304 Not Modified\r\n\r\n")
    knarr.Container(engine._transport, "x").start()
    knarr.Container(engine._transport, "x").stop(grace=0)


def test_zero_grace_is_sent(serve: Callable[[Script], FakeEngine]) -> None:
    fake = serve(lambda *_: answer(204))
    with knarr.connect(fake.host) as engine:
        knarr.Container(engine._transport, "x").stop(grace=0, signal="INT")
    assert fake.requests[-1].target == "/containers/x/stop?signal=INT&t=0"


def test_silence_is_a_timeout(use: Use) -> None:
    released = threading.Event()

    def script(*_: object) -> None:
        released.wait(20)

    engine = use(script, timeout=0.05)
    try:
        with pytest.raises(knarr.EngineTimeoutError, match=r"did not answer within 0.05 seconds"):
            engine.info()
        with pytest.raises(TimeoutError):
            knarr.Container(engine._transport, "x").wait(timeout=0.05)
    finally:
        released.set()


def test_waiting_has_no_limit_of_its_own(use: Use) -> None:
    def script(_request: Request, sock: socket.socket) -> bytes:
        threading.Event().wait(0.2)
        return answer(200, {"StatusCode": 7})

    engine = use(script, timeout=0.05)
    assert knarr.Container(engine._transport, "x").wait() == 7


def test_nobody_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(knarr.NoEngineError, match="Cannot connect") as caught:
        knarr.connect(f"unix://{tmp_path}/none.sock")
    assert "KNARR_HOST" in str(caught.value.hint)
    assert isinstance(caught.value, UnavailableError)
    with pytest.raises(InvalidArgumentError, match="unknown scheme"):
        knarr.connect("ssh://x")


def test_the_engine_is_found_as_the_command_line_finds_it(
    serve: Callable[[Script], FakeEngine],
) -> None:
    import os
    import subprocess
    import sys

    host = serve(lambda *_: None).host
    code = "import knarr; print(knarr.connect().host)"
    environment = {k: v for k, v in os.environ.items() if k not in ("KNARR_HOST", "DOCKER_HOST")}
    for name in ("KNARR_HOST", "DOCKER_HOST"):
        done = subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            check=True,
            env=environment | {"DOCKER_HOST": "unix:///nowhere", name: host},
        )
        assert done.stdout.strip() == host


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort",
        b"not http\r\n\r\n",
        answer(200, b'{"Id": 5}'),
        answer(200, b"no json"),
        answer(200, b""),
    ],
    ids=["nothing", "short", "no-http", "wrong-type", "no-json", "empty"],
)
def test_damaged_answers(use: Use, raw: bytes) -> None:
    with pytest.raises(UnavailableError):
        use(cut(raw)).containers.get("x")


def test_null_where_a_list_is_meant(use: Use) -> None:
    engine = use(lambda *_: answer(200, b"null"))
    assert engine.containers.list() == ()


# Streams.


def test_a_stream_ends_with_its_last_item(use: Use) -> None:
    engine = use(lambda *_: HEAD + b"\r\n" + chunk(EVENT) + chunk(EVENT[:9]) + chunk(EVENT[9:]))
    events = engine.events()
    assert next(events).action == "start"
    assert next(events).actor.id == "x"


def test_the_engine_dies_in_a_stream(use: Use) -> None:
    events = use(cut(HEAD, b"\r\n", chunk(EVENT), b"5\r\nab")).events()
    assert next(events).action == "start"
    with pytest.raises(UnavailableError, match="hung up"):
        next(events)
    with pytest.raises(StopIteration):
        next(events)


def test_leaving_a_stream_closes_its_connection(use: Use) -> None:
    script = Endless(EVENT)
    with use(script).events() as events:
        assert next(events).action == "start"
        assert not script.left.is_set()
    assert script.left.wait(10)
    assert list(events) == []


def test_dropping_a_stream_closes_its_connection(use: Use) -> None:
    script = Endless(frame(1, b"a\nb\n"), MULTIPLEXED)
    lines = knarr.Container(use(script)._transport, "x").logs(follow=True).lines()
    assert next(lines).text == "a"
    del lines
    gc.collect()
    assert script.left.wait(10)


def test_another_thread_closes_a_stream(use: Use) -> None:
    script = Endless(EVENT)
    events = use(script).events()
    assert next(events).action == "start"
    timer = threading.Timer(0.05, events.close)
    timer.start()
    assert list(events) == []
    timer.join()
    assert script.left.wait(10)


def test_logs_of_a_terminal_are_one_stream(use: Use) -> None:
    script = Endless(b"\x01\x00plain", "application/vnd.docker.raw-stream")
    with knarr.Container(use(script)._transport, "x").logs() as logs:
        assert next(logs) == ("stdout", b"\x01\x00plain")


def test_refused_streams(use: Use) -> None:
    engine = use(lambda *_: answer(404, {"message": "No such container: x"}))
    container = knarr.Container(engine._transport, "x")
    for ask in (container.logs, container.attach, container.stats, container.export):
        with pytest.raises(NotFoundError, match="No such container: x"):
            ask()


def echo(_request: Request, sock: socket.socket) -> None:
    """Take over; send everything back on standard error when the input has ended."""
    sock.sendall(UPGRADED + frame(1, b"ready"))
    received = b""
    while data := sock.recv(65536):
        received += data
    sock.sendall(frame(2, received))
    sock.shutdown(socket.SHUT_RDWR)


def test_attach_goes_both_ways(use: Use) -> None:
    container = knarr.Container(use(echo)._transport, "x")
    with container.attach(stdin=True) as stream:
        assert next(stream) == ("stdout", b"ready")
        stream.send(b"there and ")
        stream.send(b"back")
        stream.close_stdin()
        assert list(stream) == [("stderr", b"there and back")]


def test_communicate_sends_more_than_any_buffer(use: Use) -> None:
    container = knarr.Container(use(echo)._transport, "x")
    sent = b"x" * 3_000_000
    assert container.attach(stdin=True).communicate(sent) == (b"ready", sent)


def test_communicate_has_a_limit(use: Use) -> None:
    left = threading.Event()

    def script(_request: Request, sock: socket.socket) -> None:
        sock.sendall(UPGRADED + frame(1, b"ready"))
        sock.recv(1)
        while sock.recv(1):
            pass
        left.set()

    container = knarr.Container(use(script)._transport, "x")
    with pytest.raises(knarr.EngineTimeoutError):
        container.attach(stdin=True).communicate(b"xx", timeout=0.05)
    assert left.wait(10)


# Uploads.


def loaded(request: Request, _sock: socket.socket) -> bytes:
    return answer(200, b'{"stream":"Loaded image: %d:latest\\n"}\r\n' % len(request.body))


def test_content_in_all_its_forms(use: Use, tmp_path: Path) -> None:
    engine = use(loaded)
    path = tmp_path / "x.tar"
    path.write_bytes(b"12345")
    with path.open("rb") as file:
        forms = (b"12345", path, file, io.BytesIO(b"12345"), [b"123", b"", b"45"])
        for form in forms:
            (image,) = engine.images.load(form)
            assert image.name == "5:latest"
    with pytest.raises(InvalidArgumentError, match="a text is no content"):
        engine.images.load(str(path))  # type: ignore[arg-type]


def test_content_that_fails(use: Use, tmp_path: Path) -> None:
    engine = use(loaded)

    def broken() -> Iterator[bytes]:
        yield b"x"
        raise RuntimeError("broken")

    with pytest.raises(RuntimeError, match="broken"):
        engine.images.load(broken())
    with pytest.raises(FileNotFoundError):
        engine.images.load(tmp_path / "nothing")


def test_an_upload_is_refused_half_way(tmp_path: Path) -> None:
    released = threading.Event()

    def pieces() -> Iterator[bytes]:
        yield b"x" * 1000
        released.wait(20)

    def refuse() -> None:
        peers = [listener.accept()[0]]
        peers[0].recv(4096)
        peers[0].sendall(answer(400, {"message": "no tar"}))
        while peers[0].recv(4096):
            pass
        peers[0].close()

    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "s"))
        listener.listen()
        thread = threading.Thread(target=refuse)
        thread.start()
        engine = knarr.connect(f"unix://{tmp_path}/s")
        with engine, pytest.raises(InvalidArgumentError, match="no tar"):
            engine.images.load(pieces())
        released.set()
        thread.join()


def test_progress_ends_with_an_error(use: Use) -> None:
    body = b'{"stream":"x"}\r\n{"errorDetail":{"message":"damaged"},"error":"damaged"}\r\n'
    engine = use(lambda *_: answer(200, body))
    with engine.images.load_stream(b"x") as lines:
        assert next(lines).stream == "x"
        with pytest.raises(InternalError, match="damaged"):
            next(lines)


def test_archives_are_written_out(use: Use, tmp_path: Path) -> None:
    engine = use(lambda *_: answer(200, b"tar"))
    image = knarr.Image(engine._transport, "i")
    assert image.save().read() == b"tar"
    assert image.save().write_to(tmp_path / "out") == 3
    assert (tmp_path / "out").read_bytes() == b"tar"
    into = io.BytesIO()
    assert image.save().write_to(into) == 3
    assert into.getvalue() == b"tar"


# What is made is removed.


class Recorder:
    """Answers what creating and removing needs; ``fails`` is a path that is refused."""

    def __init__(self, fails: str = "") -> None:
        self.fails = fails
        self.said: list[str] = []

    def __call__(self, request: Request, _sock: socket.socket) -> bytes:
        self.said.append(f"{request.method} {request.target}")
        if request.path == self.fails:
            return answer(500, {"message": "refused"})
        if request.path == "/containers/create":
            return answer(201, {"Id": "c1", "Warnings": ["beware"]})
        if request.path == "/volumes/create":
            return answer(201, {"Name": "v1", "Mountpoint": "/", "Driver": "local"})
        return answer(204)


def test_the_end_of_a_block_removes(use: Use) -> None:
    script = Recorder()
    engine = use(script)
    with pytest.raises(ZeroDivisionError), engine.volumes.create(), engine.containers.run("i"):
        raise ZeroDivisionError
    assert script.said == [
        "POST /volumes/create",
        "POST /containers/create",
        "POST /containers/c1/start",
        "DELETE /containers/c1?force=1&v=1",
        "DELETE /volumes/v1?force=1",
    ]


def test_what_does_not_start_is_removed(use: Use) -> None:
    script = Recorder(fails="/containers/c1/start")
    engine = use(script)
    with pytest.raises(InternalError, match="refused"):
        engine.containers.run("i")
    assert script.said[-1] == "DELETE /containers/c1?force=1&v=1"


def test_a_failure_to_remove_is_a_note(use: Use) -> None:
    engine = use(Recorder(fails="/containers/c1"))
    with pytest.raises(ZeroDivisionError) as caught, engine.containers.run("i"):
        raise ZeroDivisionError
    assert caught.value.__notes__ == ["<MadeContainer c1> could not be removed: refused"]
    with pytest.raises(InternalError, match="refused"), engine.containers.run("i"):
        pass


def test_warnings_are_kept(use: Use) -> None:
    with use(Recorder()).containers.create("i") as made:
        assert made.warnings == ("beware",)


def test_a_container_that_was_found_is_not_removed() -> None:
    assert not hasattr(knarr.Container, "__exit__")
