"""Output, input, terminals and attachments of real processes."""

import asyncio
import json
import os
import socket
import sys

import pytest

from knarr.errors import FailedPreconditionError
from knarr.oci.runtime_spec import Process
from knarr.supervisor.client import ExecRequest, LogConfig

from .conftest import Bench, frames, read_all

PYTHON = (sys.executable, "-I", "-S", "-c")


def test_output_is_logged_and_attached_from_the_first_byte(bench: Bench) -> None:
    async def scenario() -> None:
        engine = await bench.connect()
        sock = await engine.client.attach("c", stdin=False, stdout=True, stderr=True)
        ended = await engine.run("c", "/bin/sh", "-c", "echo out; echo err >&2; exit 7")
        assert (ended.exit_code, ended.error) == (7, "")
        assert frames(await read_all(sock)) == {1: b"out\n", 2: b"err\n"}
        sock.close()
        assert bench.logged("c") == "out\n"
        assert bench.logged("c", "stderr") == "err\n"
        await engine.client.delete("c")
        assert await engine.client.list() == ()
        assert not (bench.exec_root / "supervisor" / "c").exists()
        await engine.client.close()

    asyncio.run(scenario())


def test_attaching_to_one_stream_gets_only_that_one(bench: Bench) -> None:
    async def scenario() -> None:
        engine = await bench.connect()
        sock = await engine.client.attach("c", stdin=False, stdout=False, stderr=True)
        await engine.run("c", "/bin/sh", "-c", "echo out; echo err >&2")
        assert frames(await read_all(sock)) == {2: b"err\n"}
        sock.close()
        await engine.client.close()

    asyncio.run(scenario())


def test_a_signal_is_128_and_its_number(bench: Bench) -> None:
    async def scenario() -> None:
        engine = await bench.connect()
        await engine.start("c", "/bin/sleep", "100")
        await engine.client.kill("c", 15)
        assert (await engine.ended("c")).exit_code == 143
        with pytest.raises(FailedPreconditionError, match="container c is not running"):
            await engine.client.kill("c", 15)
        await engine.client.close()

    asyncio.run(scenario())


def test_input_ends_for_the_process_when_the_attachment_shuts_down(bench: Bench) -> None:
    async def scenario() -> None:
        engine = await bench.connect()
        loop = asyncio.get_running_loop()
        sock = await engine.client.attach("c", stdin=True, stdout=True, stderr=True)
        await engine.start("c", "/bin/cat", open_stdin=True, stdin_once=True)
        text = os.urandom(3_000_000)
        reader = asyncio.create_task(read_all(sock))
        await loop.sock_sendall(sock, text)
        sock.shutdown(socket.SHUT_WR)
        assert frames(await reader)[1] == text
        assert (await engine.ended("c")).exit_code == 0
        sock.close()
        await engine.client.close()

    asyncio.run(scenario())


def test_input_of_a_client_that_is_gone_still_arrives(bench: Bench) -> None:
    async def scenario() -> None:
        engine = await bench.connect()
        sock = await engine.client.attach("c", stdin=True, stdout=False, stderr=False)
        sock.setblocking(True)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
        text = b"".join(b"%06d\n" % n for n in range(20_000))
        sent = sock.send(text)
        sock.close()
        slow = "import sys,time; time.sleep(.3); print(len(sys.stdin.buffer.read()))"
        await engine.run("c", *PYTHON, slow, open_stdin=True, stdin_once=True)
        assert bench.logged("c") == f"{sent}\n"
        await engine.client.close()

    asyncio.run(scenario())


def test_open_input_outlives_its_attachments_unless_once(bench: Bench) -> None:
    async def scenario() -> None:
        engine = await bench.connect()
        loop = asyncio.get_running_loop()
        await engine.start("c", "/bin/cat", open_stdin=True)
        for word in (b"one\n", b"two\n"):
            sock = await engine.client.attach("c", stdin=True, stdout=True, stderr=True)
            await loop.sock_sendall(sock, word)
            data = b""
            while len(data) < 8 + len(word):
                data += await loop.sock_recv(sock, 100)
            assert frames(data) == {1: word}
            sock.shutdown(socket.SHUT_WR)
            assert await read_all(sock) == b""
            sock.close()
        assert [state.exit for state in await engine.client.list()] == [None]
        await engine.client.kill("c", 9)
        await engine.ended("c")
        await engine.client.close()

    asyncio.run(scenario())


def test_a_process_without_input_reads_its_end(bench: Bench) -> None:
    async def scenario() -> None:
        engine = await bench.connect()
        assert (await engine.run("c", "/bin/cat")).exit_code == 0
        await engine.client.close()

    asyncio.run(scenario())


def test_a_terminal_is_raw_and_takes_a_size(bench: Bench) -> None:
    async def scenario() -> None:
        engine = await bench.connect()
        loop = asyncio.get_running_loop()
        sock = await engine.client.attach("c", stdin=True, stdout=True, stderr=True)
        await engine.start("c", "/bin/sh", terminal=True, open_stdin=True)
        await engine.client.resize("c", None, 33, 44)
        await loop.sock_sendall(sock, b"PS1=; stty -echo; stty size; exit 4\n")
        text = await read_all(sock)
        assert text.endswith(b"33 44\r\n"), text
        assert (await engine.ended("c")).exit_code == 4
        assert bench.logged("c").encode() == text
        sock.close()
        await engine.client.close()

    asyncio.run(scenario())


def test_a_terminal_that_nobody_has_open_can_be_opened_again(bench: Bench) -> None:
    async def scenario() -> None:
        engine = await bench.connect()
        code = (
            "import os,time; name=os.ttyname(0)\n"
            "[os.close(n) for n in (0,1,2)]; time.sleep(.3)\n"
            "fd=os.open(name, os.O_RDWR|os.O_NOCTTY); os.write(fd, b'again\\n')"
        )
        await engine.start("c", *PYTHON, "import signal;signal.signal(1,1)\n" + code, terminal=True)
        assert (await engine.ended("c")).exit_code == 0
        assert bench.logged("c") == "again\r\n"
        await engine.client.close()

    asyncio.run(scenario())


def test_a_reader_that_stalls_holds_the_writer_and_loses_nothing(bench: Bench) -> None:
    async def scenario() -> None:
        engine = await bench.connect()
        stalled = await engine.client.attach("c", stdin=False, stdout=True, stderr=True)
        lively = await engine.client.attach("c", stdin=False, stdout=True, stderr=True)
        reader = asyncio.create_task(read_all(lively))
        await engine.start("c", "/bin/sh", "-c", "seq -f %099.0f 1 40000")
        with pytest.raises(TimeoutError):
            await engine.ended("c", seconds=1.5)
        logged = len(bench.logged("c"))
        assert 1_000_000 < logged < 3_500_000
        text = frames(await read_all(stalled))[1]
        assert text == b"".join(b"%099d\n" % n for n in range(1, 40_001))
        assert frames(await reader)[1] == text
        assert bench.logged("c").encode() == text
        await engine.ended("c")
        stalled.close()
        lively.close()
        await engine.client.close()

    asyncio.run(scenario())


def test_a_stalled_reader_that_goes_away_lets_the_writer_go_on(bench: Bench) -> None:
    async def scenario() -> None:
        engine = await bench.connect()
        stalled = await engine.client.attach("c", stdin=False, stdout=True, stderr=True)
        await engine.start("c", "/bin/sh", "-c", "seq -f %099.0f 1 40000")
        with pytest.raises(TimeoutError):
            await engine.ended("c", seconds=1)
        stalled.close()
        await engine.ended("c")
        assert len(bench.logged("c")) == 4_000_000
        await engine.client.close()

    asyncio.run(scenario())


def test_the_end_of_a_process_does_not_wait_for_a_stalled_reader(bench: Bench) -> None:
    async def scenario() -> None:
        engine = await bench.connect()
        stalled = await engine.client.attach("c", stdin=False, stdout=True, stderr=True)
        await engine.run("c", "/bin/sh", "-c", "seq -f %099.0f 1 9000")
        text = b"".join(b"%099d\n" % n for n in range(1, 9_001))
        assert bench.logged("c").encode() == text
        await engine.client.delete("c")
        assert frames(await read_all(stalled))[1] == text
        stalled.close()
        await engine.client.close()

    asyncio.run(scenario())


def test_the_last_words_are_logged_also_without_a_newline(bench: Bench) -> None:
    async def scenario() -> None:
        engine = await bench.connect()
        await engine.run("c", "/bin/sh", "-c", r"printf 'a\nunfinished'; printf '\377\\n\1' >&2")
        assert bench.logged("c") == "a\nunfinished"
        assert bench.logged("c", "stderr") == "\ufffd\\n\x01"
        await engine.client.close()

    asyncio.run(scenario())


def test_a_stray_process_that_keeps_the_pipe_open_does_not_hold_the_exit(bench: Bench) -> None:
    async def scenario() -> None:
        engine = await bench.connect()
        script = f"{sys.executable} -c 'import os,time; os.setsid(); time.sleep(30)' & echo $!"
        ended = await engine.run("c", "/bin/sh", "-c", script, private=False)
        assert ended.exit_code == 0
        stray = int(bench.logged("c"))
        os.kill(stray, 9)
        await engine.client.close()

    asyncio.run(scenario())


def test_the_rest_of_a_container_with_shared_pids_is_killed(bench: Bench) -> None:
    async def scenario() -> None:
        engine = await bench.connect()
        loop = asyncio.get_running_loop()
        before = loop.time()
        await engine.run("c", "/bin/sh", "-c", "sleep 30 & exit 2", private=False)
        assert loop.time() - before < 1.5
        await engine.client.close()

    asyncio.run(scenario())


def test_exec_has_the_same_stdio_and_no_log(bench: Bench) -> None:
    async def scenario() -> None:
        engine = await bench.connect()
        loop = asyncio.get_running_loop()
        await engine.start("c", "/bin/sleep", "100")
        sock = await engine.client.attach("c", "e1", stdin=True, stdout=True, stderr=True)
        process: Process = {"args": ["/bin/sh", "-c", "cat; echo end >&2; exit 9"]}
        await engine.client.exec(ExecRequest("c", "e1", process, open_stdin=True))
        await loop.sock_sendall(sock, b"text")
        sock.shutdown(socket.SHUT_WR)
        assert frames(await read_all(sock)) == {1: b"text", 2: b"end\n"}
        assert (await engine.ended("c", "e1")).exit_code == 9
        sock.close()
        await asyncio.sleep(0.1)
        assert [(state.id, state.exec_id) for state in await engine.client.list()] == [("c", "")]
        assert bench.logged("c") == ""
        await engine.client.kill("c", 9)
        await engine.ended("c")
        with pytest.raises(FailedPreconditionError, match="container c is not running"):
            await engine.client.exec(ExecRequest("c", "e2", process))
        await engine.client.close()

    asyncio.run(scenario())


def test_rotation_keeps_so_many_files_of_that_size(bench: Bench) -> None:
    async def scenario() -> None:
        engine = await bench.connect()
        log = LogConfig(str(bench.log_path("c")), 20_000, 3, (("tag", "x"),))
        await engine.run("c", "/bin/sh", "-c", "seq 1 3000", log=log)
        names = sorted(path.name for path in bench.root.glob("c-json.log*"))
        assert names == ["c-json.log", "c-json.log.1", "c-json.log.2"]
        for name in names[1:]:
            assert 20_000 <= (bench.root / name).stat().st_size < 20_200
        numbers = [int(line) for line in bench.logged("c").split()]
        assert numbers == list(range(numbers[0], 3001))
        first = json.loads((bench.root / names[0]).read_text().splitlines()[0])
        assert first["attrs"] == {"tag": "x"}
        await engine.client.close()

    asyncio.run(scenario())


def test_attaching_to_what_does_not_run_can_be_refused(bench: Bench) -> None:
    async def scenario() -> None:
        engine = await bench.connect()
        with pytest.raises(FailedPreconditionError):
            await engine.client.attach("c", stdin=False, stdout=True, stderr=True, running=True)
        waiting = await engine.client.attach("c", stdin=False, stdout=True, stderr=True)
        with pytest.raises(Exception, match="no such file"):
            await engine.start("c", "/nowhere")
        assert await read_all(waiting) == b""
        waiting.close()
        assert await engine.client.list() == ()
        await engine.client.close()

    asyncio.run(scenario())
