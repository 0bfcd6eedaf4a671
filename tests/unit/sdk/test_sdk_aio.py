"""The library for asyncio, against an engine that answers as told."""

from __future__ import annotations

import asyncio
import gc
import io
import socket
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest

import knarr
from knarr.errors import InternalError, InvalidArgumentError, NotFoundError, UnavailableError
from support.fake_engine import FakeEngine, Request, answer

from .conftest import HEAD, UPGRADED, Endless, Script, chunk, cut, frame
from .test_sdk_blocking import EVENT, MULTIPLEXED, Recorder, echo, loaded

Go = Callable[..., Any]


@pytest.fixture
def go(serve: Callable[[Script], FakeEngine]) -> Go:
    """Run a coroutine function with an engine that answers as the script says."""

    def run(
        script: Script,
        use: Callable[[knarr.AsyncEngine], Coroutine[Any, Any, Any]],
        timeout: float | None = 20.0,
    ) -> Any:
        async def main() -> Any:
            async with knarr.connect_async(serve(script).host, timeout=timeout) as engine:
                return await use(engine)

        return asyncio.run(main())

    return run


def container(engine: knarr.AsyncEngine, name: str = "x") -> knarr.AsyncContainer:
    return knarr.AsyncContainer(engine._transport, name)


async def set_(event: threading.Event) -> bool:
    return await asyncio.to_thread(event.wait, 10)


def test_statuses_are_categories(go: Go) -> None:
    async def use(engine: knarr.AsyncEngine) -> None:
        with pytest.raises(NotFoundError, match="in the engine's words"):
            await engine.containers.get("x")

    go(lambda *_: answer(404, {"message": "in the engine's words"}), use)


def test_requests_share_a_connection(serve: Callable[[Script], FakeEngine]) -> None:
    fake = serve(lambda *_: answer(404, {"message": "no"}))

    async def main() -> None:
        async with knarr.connect_async(fake.host) as engine:
            for _ in range(5):
                with pytest.raises(NotFoundError):
                    await engine.images.get("x")
                await engine.ping()

    asyncio.run(main())
    assert len(fake._connections) == 1


def test_a_connection_that_the_engine_closed_is_not_used_again(go: Go) -> None:
    def script(_request: Request, sock: socket.socket) -> None:
        sock.sendall(answer(200, b"[]"))
        sock.shutdown(socket.SHUT_RDWR)

    async def use(engine: knarr.AsyncEngine) -> None:
        for _ in range(3):
            assert await engine.containers.list() == ()
            while any(each.alive for each in engine._transport._idle):
                await asyncio.sleep(0.001)

    go(script, use)


def test_a_hundred_wait_at_once(go: Go) -> None:
    together = threading.Barrier(100)

    def script(request: Request, _sock: socket.socket) -> bytes:
        together.wait(20)
        return answer(200, {"StatusCode": int(request.path.split("/")[2])})

    async def use(engine: knarr.AsyncEngine) -> list[int]:
        return await asyncio.gather(*(container(engine, str(n)).wait() for n in range(100)))

    assert go(script, use) == list(range(100))


def test_silence_is_a_timeout(go: Go) -> None:
    script = Endless(b"")

    async def use(engine: knarr.AsyncEngine) -> None:
        with pytest.raises(knarr.EngineTimeoutError, match=r"within 0.05 seconds"):
            await engine.info()
        assert await set_(script.left)

    go(script, use, 0.05)


def test_a_cancelled_request_leaves_no_connection(go: Go) -> None:
    script = Endless(b"")

    async def use(engine: knarr.AsyncEngine) -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await container(engine).wait()
        assert await set_(script.left)

    go(script, use)


def test_nobody_answers(tmp_path: Path) -> None:
    async def main() -> None:
        with pytest.raises(knarr.NoEngineError, match="Cannot connect") as caught:
            await knarr.connect_async(f"unix://{tmp_path}/none.sock")
        assert "KNARR_HOST" in str(caught.value.hint)
        with pytest.raises(knarr.NoEngineError):
            await knarr.connect_async("tcp://127.0.0.1:1")

    asyncio.run(main())


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort",
        b"not http\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nA: " + b"x" * 200_000,
        answer(200, b"no json"),
    ],
    ids=["nothing", "short", "no-http", "endless-head", "no-json"],
)
def test_damaged_answers(go: Go, raw: bytes) -> None:
    async def use(engine: knarr.AsyncEngine) -> None:
        with pytest.raises(UnavailableError):
            await engine.containers.get("x")

    go(cut(raw), use)


# Streams.


def test_the_engine_dies_in_a_stream(go: Go) -> None:
    async def use(engine: knarr.AsyncEngine) -> None:
        events = engine.events()
        assert (await anext(events)).action == "start"
        with pytest.raises(UnavailableError, match="hung up"):
            await anext(events)
        assert [each async for each in events] == []

    go(cut(HEAD, b"\r\n", chunk(EVENT), b"5\r\nab"), use)


def test_leaving_a_stream_closes_its_connection(go: Go) -> None:
    script = Endless(EVENT)

    async def use(engine: knarr.AsyncEngine) -> None:
        async with engine.events() as events:
            assert (await anext(events)).action == "start"
            assert not script.left.is_set()
        assert await set_(script.left)

    go(script, use)


def test_dropping_a_stream_closes_its_connection(go: Go) -> None:
    script = Endless(frame(1, b"a\nb\n"), MULTIPLEXED)

    async def use(engine: knarr.AsyncEngine) -> None:
        async for line in container(engine).logs(follow=True).lines():
            assert line.text == "a"
            break
        gc.collect()
        assert await set_(script.left)

    go(script, use)


def test_a_cancelled_iterator_leaves_no_connection(go: Go) -> None:
    script = Endless(frame(1, b"a\n"), MULTIPLEXED)

    async def use(engine: knarr.AsyncEngine) -> None:
        got = []
        first = asyncio.Event()

        async def follow() -> None:
            async for line in container(engine).logs(follow=True).lines():
                got.append(line.text)
                first.set()

        task = asyncio.create_task(follow())
        await first.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert got == ["a"]
        assert await set_(script.left)

    go(script, use)


def test_attach_goes_both_ways(go: Go) -> None:
    async def use(engine: knarr.AsyncEngine) -> None:
        async with container(engine).attach(stdin=True) as stream:
            assert await anext(stream) == ("stdout", b"ready")
            await stream.send(b"there and ")
            await stream.send(b"back")
            await stream.close_stdin()
            assert [each async for each in stream] == [("stderr", b"there and back")]

    go(echo, use)


def test_communicate_sends_more_than_any_buffer(go: Go) -> None:
    sent = b"x" * 3_000_000

    async def use(engine: knarr.AsyncEngine) -> knarr.Output:
        return await container(engine).attach(stdin=True).communicate(sent)

    assert go(echo, use) == (b"ready", sent)


def test_a_program_that_takes_no_input(go: Go) -> None:
    def script(_request: Request, sock: socket.socket) -> None:
        sock.sendall(UPGRADED + frame(1, b"bye"))
        sock.shutdown(socket.SHUT_RDWR)

    async def use(engine: knarr.AsyncEngine) -> knarr.Output:
        return await container(engine).attach(stdin=True).communicate(b"x" * 3_000_000)

    assert go(script, use) == (b"bye", b"")


# Uploads.


def test_content_in_all_its_forms(go: Go, tmp_path: Path) -> None:
    path = tmp_path / "x.tar"
    path.write_bytes(b"12345")

    async def pieces() -> AsyncIterator[bytes]:
        for piece in (b"12", b"", b"345"):
            yield piece

    async def use(engine: knarr.AsyncEngine) -> None:
        for form in (b"12345", path, io.BytesIO(b"12345"), [b"123", b"45"], pieces()):
            (image,) = await engine.images.load(form)
            assert image.name == "5:latest"
        with pytest.raises(InvalidArgumentError, match="a text is no content"):
            await engine.images.load(str(path))  # type: ignore[arg-type]

    go(loaded, use)


def test_content_that_fails(go: Go, tmp_path: Path) -> None:
    def broken() -> Iterator[bytes]:
        yield b"x"
        raise RuntimeError("broken")

    async def use(engine: knarr.AsyncEngine) -> None:
        with pytest.raises(RuntimeError, match="broken"):
            await engine.images.load(broken())
        with pytest.raises(FileNotFoundError):
            await engine.images.load(tmp_path / "nothing")

    go(loaded, use)


def test_an_upload_is_refused_half_way(tmp_path: Path) -> None:
    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if await reader.read(4096):
            writer.write(answer(400, {"message": "no tar"}))
            while await reader.read(4096):
                pass
        writer.close()

    async def endless() -> AsyncIterator[bytes]:
        yield b"x" * 1000
        await asyncio.Event().wait()

    async def main() -> None:
        server = await asyncio.start_unix_server(refuse, tmp_path / "s")
        async with server, knarr.connect_async(f"unix://{tmp_path}/s") as engine:
            with pytest.raises(InvalidArgumentError, match="no tar"):
                await engine.images.load(endless())

    asyncio.run(main())


def test_cancelling_breaks_an_upload_off(go: Go) -> None:
    script = Endless(b'{"stream":"x"}\n')

    async def use(engine: knarr.AsyncEngine) -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(_awaited(engine.images.load(b"x")), 0.05)
        assert await set_(script.left)

    go(script, use)


def test_archives_are_written_out(go: Go, tmp_path: Path) -> None:
    async def use(engine: knarr.AsyncEngine) -> None:
        image = knarr.AsyncImage(engine._transport, "i")
        assert await image.save().read() == b"tar"
        assert await image.save().write_to(tmp_path / "out") == 3
        into = io.BytesIO()
        assert await image.save().write_to(into) == 3
        assert into.getvalue() == (tmp_path / "out").read_bytes() == b"tar"

    go(lambda *_: answer(200, b"tar"), use)


# What is made is removed.


def test_the_end_of_a_block_removes(go: Go) -> None:
    script = Recorder()

    async def use(engine: knarr.AsyncEngine) -> None:
        with pytest.raises(ZeroDivisionError):
            async with engine.volumes.create(), engine.containers.run("i"):
                raise ZeroDivisionError

    go(script, use)
    assert script.said == [
        "POST /volumes/create",
        "POST /containers/create",
        "POST /containers/c1/start",
        "DELETE /containers/c1?force=1&v=1",
        "DELETE /volumes/v1?force=1",
    ]


def test_what_does_not_start_is_removed(go: Go) -> None:
    script = Recorder(fails="/containers/c1/start")

    async def use(engine: knarr.AsyncEngine) -> None:
        with pytest.raises(InternalError, match="refused"):
            await engine.containers.run("i")

    go(script, use)
    assert script.said[-1] == "DELETE /containers/c1?force=1&v=1"


def test_cancelling_removes(go: Go) -> None:
    script = Recorder()

    async def use(engine: knarr.AsyncEngine) -> None:
        async def work() -> None:
            async with engine.containers.run("i"):
                inside.set()
                await asyncio.Event().wait()

        inside = asyncio.Event()
        task = asyncio.create_task(work())
        await inside.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    go(script, use)
    assert script.said[-1] == "DELETE /containers/c1?force=1&v=1"


def test_cancelling_while_it_is_made_removes(go: Go) -> None:
    recorder = Recorder()
    asked, cancelled = threading.Event(), threading.Event()

    def script(request: Request, sock: socket.socket) -> bytes:
        if request.path == "/containers/create":
            asked.set()
            cancelled.wait(20)
        return recorder(request, sock)

    async def use(engine: knarr.AsyncEngine) -> None:
        task = asyncio.ensure_future(_awaited(engine.containers.create("i")))
        assert await set_(asked)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        cancelled.set()

    go(script, use)
    assert recorder.said == ["POST /containers/create", "DELETE /containers/c1?force=1&v=1"]


def test_a_failure_to_remove_is_a_note(go: Go) -> None:
    script = Recorder(fails="/containers/c1")

    async def use(engine: knarr.AsyncEngine) -> None:
        with pytest.raises(ZeroDivisionError) as caught:
            async with engine.containers.run("i"):
                raise ZeroDivisionError
        assert caught.value.__notes__ == ["<AsyncContainer c1> could not be removed: refused"]

    go(script, use)


def test_warnings_are_kept(go: Go) -> None:
    async def use(engine: knarr.AsyncEngine) -> None:
        assert (await engine.containers.create("i")).warnings == ("beware",)

    go(Recorder(), use)


async def _awaited(pending: Any) -> Any:
    return await pending
