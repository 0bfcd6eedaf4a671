"""A small engine in memory, served by the real server on a real socket.

Its containers are coroutines that behave like simple programs: their streams are real sockets, as
the supervisor's are.
"""

from __future__ import annotations

import asyncio
import http.client
import itertools
import json
import socket
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from knarr.api import (
    containers,
    detach,
    events,
    images,
    networks,
    registry,
    streams,
    system,
    volumes,
)
from knarr.api import exec as execs
from knarr.engine.engine import Engine
from knarr.engine.services import Attachment, AttachOptions, LogOptions, LogStream
from knarr.errors import (
    ConflictError,
    DataLossError,
    InvalidArgumentError,
    NotFoundError,
    NotModifiedError,
    PermissionDeniedError,
    UnauthenticatedError,
)
from knarr.oci.platform import Platform
from knarr.server.listen import Api, open_host

Filters = dict[str, list[str]]


class Program:
    """What runs in a fake container: echo, cat, count, flood, sleep, exit, late."""

    def __init__(self, command: Sequence[str], *, tty: bool) -> None:
        self.command = list(command)
        self.tty = tty
        self.sockets: list[socket.socket] = []
        self.exit: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self.written = 0
        self.started = False
        self.detached = 0
        self.input_gone = asyncio.Event()

    def attach(self, *, keys: bytes = detach.DEFAULT) -> Attachment:
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        theirs.setblocking(False)
        self.sockets.append(ours)
        return Attachment(self.tty, theirs, None, keys, self._on_detach)

    def _on_detach(self) -> None:
        self.detached += 1

    async def run(self) -> None:
        self.started = True
        try:
            code = await self._program()
        finally:
            for each in self.sockets:
                each.close()
        self.exit.set_result(code)

    async def _program(self) -> int:
        name, *rest = self.command
        if name == "echo":
            await self._say((" ".join(rest) + "\n").encode())
        elif name == "late":
            await asyncio.sleep(0.05)
            await self._say(b"late\n", streams.STDERR)
        elif name == "cat":
            async for chunk in self._input():
                await self._say(chunk)
        elif name == "count":
            size = 0
            async for chunk in self._input():
                size += len(chunk)
                await asyncio.sleep(0)
            await self._say(f"{size}\n".encode())
        elif name == "flood":
            for _ in range(int(rest[0])):
                await self._say(b"x" * 65536)
        elif name == "sleep":
            async for _ in self._input():
                pass
            self.input_gone.set()
            await asyncio.sleep(float(rest[0]))
        return int(rest[0]) if name == "exit" else 0

    async def _input(self) -> AsyncIterator[bytes]:
        loop = asyncio.get_running_loop()
        try:
            while chunk := await loop.sock_recv(self.sockets[0], 65536):
                yield chunk
        except ConnectionResetError:
            return

    async def _say(self, data: bytes, stream: int = streams.STDOUT) -> None:
        loop = asyncio.get_running_loop()
        for each in self.sockets:
            wire = data if self.tty else streams.frame(stream, data)
            try:
                await loop.sock_sendall(each, wire)
            except OSError:
                continue
        self.written += len(data)


class Waiting:
    def __init__(self, program: Program) -> None:
        self._program = program

    async def result(self) -> containers.WaitResponse:
        return containers.WaitResponse(status_code=await asyncio.shield(self._program.exit))


class FakeContainers:
    def __init__(self) -> None:
        self.made: dict[str, tuple[containers.ContainerCreateRequest, Program]] = {}
        self.names: dict[str, str] = {}
        self.tasks: set[asyncio.Task[None]] = set()
        self.calls: list[tuple[str, Any]] = []
        self._ids = itertools.count(1)

    def program(self, ref: str) -> Program:
        return self._find(ref)[1]

    def _find(self, ref: str) -> tuple[containers.ContainerCreateRequest, Program]:
        key = self.names.get(ref, ref)
        if key not in self.made:
            raise NotFoundError(f"No such container: {ref}")
        return self.made[key]

    async def create(
        self,
        name: str,
        request: containers.ContainerCreateRequest,
        platform: str | None = None,
        *,
        shallow_read_only: bool = False,
    ) -> containers.ContainerCreateResponse:
        self.calls.append(("create", request))
        self.calls.append(("shallow_read_only", shallow_read_only))
        if request.image == "missing":
            raise NotFoundError("No such image: missing:latest")
        if name in self.names:
            raise ConflictError(f'Conflict. The container name "/{name}" is already in use')
        key = f"{next(self._ids):064x}"
        self.made[key] = request, Program(request.cmd or ["exit", "0"], tty=request.tty)
        self.names[name or key[:12]] = key
        return containers.ContainerCreateResponse(id=key)

    async def start(self, ref: str, *, detach_keys: str | None = None) -> None:
        program = self._find(ref)[1]
        if program.started:
            raise NotModifiedError("already started")
        task = asyncio.create_task(program.run())
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def stop(self, ref: str, *, grace: int | None = None, signal: str = "") -> None:
        self.calls.append(("stop", (ref, grace, signal)))

    async def kill(self, ref: str, *, signal: str = "KILL") -> None:
        raise RuntimeError("secret of the engine")

    async def wait(self, ref: str, *, condition: str = "") -> Waiting:
        self.calls.append(("wait", condition))
        return Waiting(self._find(ref)[1])

    async def remove(
        self, ref: str, *, force: bool = False, volumes: bool = False, link: bool = False
    ) -> None:
        self.calls.append(("remove", (ref, force, volumes, link)))
        self._find(ref)
        self.made.pop(self.names.pop(ref, ref))

    async def list(
        self, *, every: bool = False, limit: int = 0, size: bool = False, filters: Filters
    ) -> Sequence[containers.ContainerSummary]:
        self.calls.append(("list", (every, limit, size, filters)))
        return [
            containers.ContainerSummary(
                id=key,
                names=["/" + name],
                image=self.made[key][0].image,
                image_id="sha256:" + "0" * 64,
                command=" ".join(self.made[key][0].cmd or []),
                created=1_700_000_000,
                state="running",
                status="Up 2 hours",
            )
            for name, key in self.names.items()
        ]

    async def inspect(self, ref: str, *, size: bool = False) -> containers.ContainerInspect:
        request, program = self._find(ref)
        return containers.ContainerInspect(
            id=self.names.get(ref, ref),
            created="2024-01-01T00:00:00Z",
            path="/bin/x",
            args=[],
            state=containers.ContainerState(status="running", running=not program.exit.done()),
            image="sha256:" + "0" * 64,
            name="/" + ref,
            driver="erofs",
            host_config=request.host_config or containers.HostConfig(),
            graph_driver=containers.DriverData(name="erofs"),
            config=request.config(),
            network_settings=networks.NetworkSettings(),
        )

    async def logs(self, ref: str, options: LogOptions) -> LogStream:
        program = self._find(ref)[1]
        self.calls.append(("logs", options))

        async def chunks() -> AsyncIterator[bytes]:
            yield b"raw\n" if program.tty else streams.frame(streams.STDOUT, b"logged\n")
            if ref == "torn":
                raise DataLossError("the log is torn")
            if options.follow:
                await asyncio.Event().wait()

        return LogStream(program.tty, chunks())

    async def attach(self, ref: str, options: AttachOptions) -> Attachment:
        program = self._find(ref)[1]
        self.calls.append(("attach", options))
        keys = detach.parse(options.detach_keys or "")
        attachment = program.attach(keys=keys)
        if not options.logs:
            return attachment

        async def logs() -> AsyncIterator[bytes]:
            yield streams.frame(streams.STDOUT, b"before\n")

        return attachment._replace(logs=logs())

    async def resize(self, ref: str, *, height: int, width: int) -> None:
        self.calls.append(("resize", (ref, height, width)))

    async def explain(self, request: containers.ContainerCreateRequest) -> Sequence[str]:
        return ["clone", f"exec {request.cmd}"]


class FakeExecs:
    def __init__(self) -> None:
        self.made: dict[str, tuple[execs.ExecCreateRequest, Program]] = {}
        self.tasks: set[asyncio.Task[None]] = set()

    async def create(self, ref: str, request: execs.ExecCreateRequest) -> str:
        key = f"{len(self.made) + 1:064x}"
        self.made[key] = request, Program(request.cmd or [], tty=request.tty)
        return key

    async def start(
        self, exec_id: str, *, detach: bool, console_size: tuple[int, int] | None = None
    ) -> Attachment | None:
        request, program = self.made[exec_id]
        if (request.cmd or [""])[0] == "nope":
            raise InvalidArgumentError('exec: "nope": executable file not found in $PATH')
        attachment = None if detach else program.attach()
        task = asyncio.create_task(program.run())
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
        return attachment

    async def inspect(self, exec_id: str) -> execs.ExecInspect:
        if exec_id not in self.made:
            raise NotFoundError(f"No such exec instance: {exec_id}")
        request, program = self.made[exec_id]
        return execs.ExecInspect(
            id=exec_id,
            running=program.started and not program.exit.done(),
            exit_code=program.exit.result() if program.exit.done() else None,
            process_config=execs.ProcessConfig(tty=request.tty, entrypoint="x"),
            open_stdin=request.attach_stdin,
            container_id="c",
        )


class FakeImages:
    def __init__(self) -> None:
        self.loaded = b""
        self.calls: list[tuple[str, Any]] = []

    async def push(self, name: str, **options: Any) -> AsyncIterator[images.Progress]:
        self.calls.append((name, options))

        async def progress() -> AsyncIterator[images.Progress]:
            yield images.Progress(status="The push refers to repository [x]")
            raise PermissionDeniedError("denied: requested access to the resource is denied")

        return progress()

    async def load(
        self, body: AsyncIterator[bytes], *, quiet: bool = False, platform: str | None = None
    ) -> AsyncIterator[images.Progress]:
        self.calls.append(("load", (quiet, platform)))

        async def progress() -> AsyncIterator[images.Progress]:
            self.loaded = b""
            async for chunk in body:
                self.loaded += chunk
            if self.loaded == b"bad":
                raise InvalidArgumentError("not an archive")
            yield images.Progress(stream="Loaded image: a:latest\n")
            if self.loaded == b"half":
                raise DataLossError("layer is damaged")

        return progress()

    async def save(
        self, names: Sequence[str], *, platform: str | None = None
    ) -> AsyncIterator[bytes]:
        self.calls.append(("save", (list(names), platform)))

        async def chunks() -> AsyncIterator[bytes]:
            yield b"tar" * 1000
            if "torn" in names:
                raise DataLossError("a blob is damaged")
            yield b"end"

        return chunks()

    async def pull(self, name: str, **options: Any) -> AsyncIterator[Any]:
        self.calls.append(("pull", (name, options)))

        async def progress() -> AsyncIterator[images.Progress]:
            if name.endswith("missing"):
                raise NotFoundError("pull access denied for missing")
            yield images.Progress(status="Status: Image is up to date for a:b")

        return progress()

    async def import_(self, body: AsyncIterator[bytes], **options: Any) -> AsyncIterator[Any]:
        self.calls.append(("import", options))

        async def progress() -> AsyncIterator[images.Progress]:
            async for _ in body:
                pass
            yield images.Progress(status="sha256:1")

        return progress()

    async def tag(self, source: str, *, repo: str, tag: str = "") -> None:
        self.calls.append(("tag", (source, repo, tag)))

    async def remove(
        self, name: str, *, force: bool = False, prune: bool = True
    ) -> Sequence[images.DeleteItem]:
        return [images.DeleteItem(untagged=name), images.DeleteItem(deleted="sha256:1")]

    async def list(
        self, *, every: bool = False, filters: Filters, digests: bool = False
    ) -> Sequence[images.ImageSummary]:
        return [images.ImageSummary(created=1, id="sha256:1", size=7)]


class FakeSystem:
    def __init__(self) -> None:
        self.queues: list[asyncio.Queue[events.Event]] = []
        self.calls: list[tuple[str, Any]] = []

    async def version(self) -> system.Version:
        return system.Version(
            platform=system.Platform(name="knarr"), version="0.1", os="linux", arch="amd64"
        )

    async def info(self) -> system.SystemInfo:
        return system.SystemInfo(id="id", driver="erofs", server_version="0.1")

    async def disk_usage(self, types: Sequence[str] = ()) -> system.DiskUsage:
        self.calls.append(("df", list(types)))
        return system.DiskUsage()

    async def events(
        self, *, since: int | None = None, until: int | None = None, filters: Filters
    ) -> AsyncIterator[events.Event]:
        self.calls.append(("events", (since, until, filters)))
        queue: asyncio.Queue[events.Event] = asyncio.Queue()
        self.queues.append(queue)

        async def happening() -> AsyncIterator[events.Event]:
            try:
                while True:
                    yield await queue.get()
            finally:
                self.queues.remove(queue)

        return happening()


class FakeVolumes:
    async def list(self, filters: Filters) -> volumes.VolumeList:
        return volumes.VolumeList(volumes=[volumes.Volume(name="v", mountpoint="/m")])

    async def create(self, request: volumes.VolumeCreateRequest) -> volumes.Volume:
        return volumes.Volume(name=request.name or "generated", mountpoint="/m")


class FakeNetworks:
    async def list(self, filters: Filters) -> Sequence[networks.Network]:
        return [networks.Network(name="none", id="1" * 64, driver="null")]

    async def prune(self, filters: Filters) -> networks.NetworkPrune:
        return networks.NetworkPrune(networks_deleted=[*filters.get("label", ())] or None)


class FakeArchives:
    async def changes(self, ref: str) -> None:
        return None


class FakeRegistries:
    """Remembers who asked; ``secret`` is the only password."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, Any]] = []

    async def login(self, config: registry.AuthConfig) -> registry.AuthResponse:
        self.calls.append(("login", config))
        if config.password != "secret":
            raise UnauthenticatedError("login attempt failed")
        return registry.AuthResponse(identity_token="tok")

    async def distribution(self, name: str, credentials: Any) -> registry.DistributionInspect:
        self.calls.append((name, credentials))
        found = registry.Descriptor(media_type="m", digest="sha256:0", size=3)
        return registry.DistributionInspect(
            descriptor=found, platforms=[Platform(architecture="amd64", os="linux")]
        )

    async def document(self, name: str, credentials: Any) -> tuple[str, str, bytes]:
        self.calls.append((name, credentials))
        return "application/x", "sha256:0", b"{ }"

    async def search(
        self, term: str, *, limit: int, filters: Any, credentials: Any
    ) -> list[registry.SearchResult]:
        self.calls.append((term, (limit, filters, credentials)))
        return [registry.SearchResult(name="a/b", star_count=4)]


class UnixHTTP(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=20)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(20)
        self.sock.connect(str(self._path))


class Serving:
    """The fake engine behind the real server, in a thread with its own loop."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.host = f"unix://{path}"
        self.loop = asyncio.new_event_loop()
        self.api: Api
        self._thread = threading.Thread(target=self.loop.run_forever)
        self._thread.start()
        self.run(self._start())

    async def _start(self) -> None:
        self.containers, self.execs, self.images = FakeContainers(), FakeExecs(), FakeImages()
        self.system, self.registries = FakeSystem(), FakeRegistries()
        parts: Any = (
            self.containers,
            self.execs,
            self.images,
            FakeVolumes(),
            FakeNetworks(),
            self.system,
            FakeArchives(),
            self.registries,
        )
        self.api = Api(Engine(*parts))
        await self.api.start(open_host(self.host))

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(20)

    def eventually(self, holds: Callable[[], bool]) -> None:
        """Wait, in the loop's own time, until something holds."""

        async def wait() -> None:
            async with asyncio.timeout(10):
                while not holds():
                    await asyncio.sleep(0.005)

        self.run(wait())

    def connections(self) -> int:
        return len(self.api._server.connections)

    def request(
        self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None
    ) -> tuple[int, dict[str, str], bytes]:
        connection = UnixHTTP(self.path)
        sent = {} if headers is None else headers
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
            sent = {"Content-Type": "application/json", **sent}
        connection.request(method, path, body=body, headers=sent)
        answer = connection.getresponse()
        try:
            return answer.status, dict(answer.getheaders()), answer.read()
        finally:
            connection.close()

    def json(self, method: str, path: str, body: Any = None) -> Any:
        status, _, data = self.request(method, path, body)
        return status, json.loads(data) if data else None

    def raw(self) -> socket.socket:
        sock = socket.socket(socket.AF_UNIX)
        sock.settimeout(20)
        sock.connect(str(self.path))
        return sock

    def container(self, *command: str, **options: Any) -> str:
        status, made = self.json(
            "POST", "/containers/create", {"Image": "i", "Cmd": list(command), **options}
        )
        assert status == 201
        return str(made["Id"])

    def close(self) -> None:
        self.run(self._end())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(10)
        self.loop.close()

    async def _end(self) -> None:
        await self.api.close(grace=1)
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for _, program in (*self.containers.made.values(), *self.execs.made.values()):
            for each in program.sockets:
                each.close()


@pytest.fixture
def serving(tmp_path: Path) -> Iterator[Serving]:
    running = Serving(tmp_path / "k.sock")
    try:
        yield running
    finally:
        running.close()
