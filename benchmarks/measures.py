"""What is measured, one function for each row of the table.

Law: the peers take turns within one run, on the same input, through the same client; a row gives
the median of each and their ratio. Nothing here asserts a time.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import json
import os
import statistics
import subprocess
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from peers import Connection, Dockerd, Engine, api, images, pss, runc_bundle

from support import probes
from support.docker_registry import docker_registry
from support.registry_images import Pusher, large

TRUE = {"Image": "busybox:latest", "Cmd": ["true"], "HostConfig": {"NetworkMode": "none"}}
RUN = ["run", "--rm", "--network", "none", "busybox:latest", "true"]


class Row(NamedTuple):
    """One line of the table; ``ours`` and ``theirs`` in ``unit``."""

    name: str
    peer: str
    ours: float
    theirs: float
    unit: str
    goal: str

    @property
    def ratio(self) -> float:
        return self.ours / self.theirs


def interleaved(rounds: int, *work: Callable[[], object]) -> list[float]:
    """The median seconds of each piece of work; the pieces take turns, one round unmeasured."""
    times: list[list[float]] = [[] for _ in work]
    for number in range(rounds + 1):
        for index, piece in enumerate(work):
            start = time.perf_counter()
            piece()
            if number:
                times[index].append(time.perf_counter() - start)
    return [statistics.median(each) for each in times]


def command(args: list[str], host: str | None = None) -> Callable[[], None]:
    """A command that must succeed, with DOCKER_HOST set."""
    env = os.environ | ({"DOCKER_HOST": host} if host else {})

    def run() -> None:
        subprocess.run(args, env=env, check=True, stdout=subprocess.DEVNULL)

    return run


def run_rm(ours: Engine, theirs: Dockerd, program: str, rounds: int = 25) -> list[Row]:
    """``docker run --rm`` through the docker command line, and ``knarr run --rm`` through ours."""
    docker = probes.docker_cli() or "docker"
    mine, other, own, version = interleaved(
        rounds,
        command([docker, *RUN], ours.host),
        command([docker, *RUN], theirs.host),
        command([program, *RUN], ours.host),
        command([docker, "version"], ours.host),
    )
    unit = "ms"
    return [
        Row("`docker run --rm --network none`", "dockerd", mine * 1e3, other * 1e3, unit, "0.15"),
        Row(
            "`knarr run --rm --network none`",
            "dockerd, docker",
            own * 1e3,
            other * 1e3,
            unit,
            "0.12",
        ),
        Row(
            "`docker run` above `docker version`",
            "20 ms",
            (mine - version) * 1e3,
            20.0,
            unit,
            "1 (20 ms)",
        ),
    ]


def request_to_exit(ours: Engine, base: Path, rounds: int = 40) -> list[Row]:
    """Start a created container over the API until its exit is known, against ``runc run``.

    Twice: until the engine knows the exit status (``FinishedAt``), and until a client that has
    asked by a second request has been told.
    """
    bundle = runc_bundle(base, ["true"])
    connection = Connection(ours.socket)
    for number in range(rounds + 1):
        connection.ask("POST", f"/containers/create?name=bench-{number}", 201, TRUE)
    numbers = iter(range(rounds + 1))
    known: list[float] = []

    def engine() -> None:
        name = f"bench-{next(numbers)}"
        asked = time.time()
        connection.ask("POST", f"/containers/{name}/start", 204)
        connection.ask("POST", f"/containers/{name}/wait", 200)
        state = json.loads(connection.ask("GET", f"/containers/{name}/json", 200))["State"]
        known.append(seconds(state["FinishedAt"]) - asked)

    runc = command(["runc", "--root", f"{base}/runc", "run", "--bundle", str(bundle), "bench"])
    mine, other = interleaved(rounds, engine, runc)
    for number in range(rounds + 1):
        connection.ask("DELETE", f"/containers/bench-{number}", 204)
    connection.close()
    inside = statistics.median(known[1:])
    rows = (("inside the engine", inside, "0.35"), ("told to the client", mine, "-"))
    return [
        Row(f"request to exit status, {name}", "`runc run`", took * 1e3, other * 1e3, "ms", goal)
        for name, took, goal in rows
    ]


def seconds(timestamp: str) -> float:
    """Seconds since 1970 of a time as the API writes it, with nanoseconds."""
    whole, _, fraction = timestamp.removesuffix("Z").partition(".")
    moment = datetime.fromisoformat(whole).replace(tzinfo=UTC)
    return moment.timestamp() + float(f"0.{fraction or 0}")


def starts_per_second(ours: Engine, theirs: Dockerd, number: int = 48) -> list[Row]:
    """Create, start, wait and remove over the API by eight clients at once; the better of two."""
    rates = []
    for socket in (ours.socket, theirs.socket, ours.socket, theirs.socket):
        start = time.perf_counter()
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda n, path=socket: _cycles(path, n, number // 8), range(8)))
        rates.append(number / (time.perf_counter() - start))
    mine, other = max(rates[0::2]), max(rates[1::2])
    name, goal = "containers a second, 8 at once", "20 (more is better)"
    return [Row(name, "dockerd", mine, other, "1/s", goal)]


def _cycles(socket: Path, client: int, number: int) -> None:
    """What one client does, over one connection."""
    connection = Connection(socket)
    for index in range(number):
        name = f"rate-{client}-{index}"
        connection.ask("POST", f"/containers/create?name={name}", 201, TRUE)
        connection.ask("POST", f"/containers/{name}/start", 204)
        connection.ask("POST", f"/containers/{name}/wait", 200)
        connection.ask("DELETE", f"/containers/{name}", 204)
    connection.close()


def idle_memory(ours: Engine, theirs: Dockerd, number: int = 100) -> list[Row]:
    """PSS of everything but the containers themselves, with idle containers running."""
    sizes = []
    for socket, pids in (
        (ours.socket, lambda: [ours.pid, ours.supervisor_pid()]),
        (theirs.socket, theirs.pids),
    ):
        body = {"Image": "busybox:latest", "Cmd": ["sleep", "1000"]}
        body |= {"HostConfig": {"NetworkMode": "none"}}
        for index in range(number):
            name = f"idle-{index}"
            assert api(socket, "POST", f"/containers/create?name={name}", body)[0] == 201
            assert api(socket, "POST", f"/containers/{name}/start")[0] == 204
        sizes.append(pss(pids()) / (1 << 20))
        for index in range(number):
            assert api(socket, "DELETE", f"/containers/idle-{index}?force=1")[0] == 204
    return [Row(f"memory with {number} idle containers", "dockerd", *sizes, "MiB", "0.15")]


def load_and_rmi(ours: Engine, theirs: Dockerd, archive: Path, rounds: int = 3) -> list[Row]:
    """``docker load -i`` and ``docker rmi`` of a Debian image; the peers take turns."""
    docker = probes.docker_cli() or "docker"
    times: dict[tuple[str, str], list[float]] = {}
    for _ in range(rounds):
        for who, host in (("ours", ours.host), ("theirs", theirs.host)):
            for verb, args in (
                ("load", ["load", "-q", "-i", str(archive)]),
                ("rmi", ["rmi", "bench/debian:1"]),
            ):
                start = time.perf_counter()
                command([docker, *args], host)()
                times.setdefault((verb, who), []).append(time.perf_counter() - start)
    rows = []
    for verb, goal in (("load", "0.5"), ("rmi", "0.1")):
        mine, other = (statistics.median(times[verb, who]) for who in ("ours", "theirs"))
        name = f"`docker {verb}` of a Debian image"
        rows.append(Row(name, "dockerd", mine * 1e3, other * 1e3, "ms", goal))
    return rows


def pull_to_runnable(ours: Engine, theirs: Dockerd, base: Path, rounds: int = 3) -> list[Row]:
    """``docker pull`` of an image from a registry on this machine, and ``docker create`` of it.

    The image has a Debian root filesystem in one layer and 30 MB that do not compress in another.
    Processor time is that of the engine and its helpers, without the command line and the registry.
    """
    docker = probes.docker_cli() or "docker"
    walls: dict[str, list[float]] = {}
    loads: dict[str, list[float]] = {}
    with docker_registry(base / "registry") as host:
        pusher = Pusher(host, "bench/debian")
        pusher.image("1", images.debian_root().read_bytes(), large(1, 30 << 20))
        name = f"{pusher.name}:1"
        for number in range(rounds + 1):
            for who, engine in (("ours", ours), ("theirs", theirs)):
                before = cpu_seconds(pids(engine))
                start = time.perf_counter()
                command([docker, "pull", "-q", name], engine.host)()
                create = ["create", "--name", "bench-pulled", "--network", "none", name, "true"]
                command([docker, *create], engine.host)()
                took = time.perf_counter() - start
                used = cpu_seconds(pids(engine)) - before
                if number:
                    walls.setdefault(who, []).append(took)
                    loads.setdefault(who, []).append(used)
                command([docker, "rm", "bench-pulled"], engine.host)()
                command([docker, "rmi", name], engine.host)()
    rows = []
    for what, found, goal in (("", walls, "0.4"), (", processor time", loads, "0.15")):
        mine, other = (statistics.median(found[who]) * 1e3 for who in ("ours", "theirs"))
        title = f"`docker pull` of a Debian image to runnable{what}"
        rows.append(Row(title, "dockerd", mine, other, "ms", goal))
    return rows


def pids(engine: Engine | Dockerd) -> list[int]:
    """The processes of an engine."""
    if isinstance(engine, Dockerd):
        return engine.pids()
    return [engine.pid, engine.supervisor_pid()]


def cpu_seconds(pids: list[int]) -> float:
    """The processor time of processes and of their children that have ended."""
    ticks = 0
    for pid in pids:
        with contextlib.suppress(OSError):
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            ticks += sum(int(field) for field in fields[11:15])
    return ticks / os.sysconf("SC_CLK_TCK")


def commit_and_save(ours: Engine, theirs: Dockerd, base: Path, rounds: int = 5) -> list[Row]:
    """``docker commit`` of a container that has written 50 MB, and ``docker save`` of the image.

    The image is removed after each round, so that every commit writes its layer.
    """
    docker = probes.docker_cli() or "docker"
    write = "mkdir /d; for i in $(seq 400); do head -c 128k /dev/urandom >/d/$i; done"
    run = ["run", "--network", "none", "--name", "bench-changes", "busybox", "sh", "-ec", write]
    times: dict[tuple[str, str], list[float]] = {}
    for number in range(rounds + 1):
        for who, host in (("ours", ours.host), ("theirs", theirs.host)):
            if not number:
                command([docker, *run], host)()
            for verb, args in (
                ("commit", ["commit", "bench-changes", "bench/changes:1"]),
                ("save", ["save", "-o", str(base / f"saved-{who}.tar"), "bench/changes:1"]),
            ):
                start = time.perf_counter()
                command([docker, *args], host)()
                if number:  # the first round warms the caches
                    times.setdefault((verb, who), []).append(time.perf_counter() - start)
            command([docker, "rmi", "bench/changes:1"], host)()
    for host in (ours.host, theirs.host):
        command([docker, "rm", "bench-changes"], host)()
    rows = []
    for verb, what in (
        ("commit", "of a container with 50 MB of changes"),
        ("save", "of an image with a layer of 50 MB"),
    ):
        mine, other = (statistics.median(times[verb, who]) for who in ("ours", "theirs"))
        rows.append(Row(f"`docker {verb}` {what}", "dockerd", mine * 1e3, other * 1e3, "ms", "0.5"))
    return rows


def listing(ours: Engine, program: str, rounds: int = 25) -> list[Row]:
    """``knarr ps`` against ``docker ps``, both asking knarr."""
    docker = probes.docker_cli() or "docker"
    mine, other = interleaved(
        rounds, command([program, "ps", "-a"], ours.host), command([docker, "ps", "-a"], ours.host)
    )
    return [Row("`knarr ps`", "`docker ps`", mine * 1e3, other * 1e3, "ms", "1")]


def listing_many(
    ours: Engine, theirs: Dockerd, stopped: int = 1000, running: int = 100, rounds: int = 15
) -> list[Row]:
    """``docker ps -a`` with many containers, most of which do not run."""
    idle = TRUE | {"Cmd": ["sleep", "1000"]}
    names = [f"many-{index}" for index in range(stopped + running)]
    for socket in (ours.socket, theirs.socket):
        connection = Connection(socket)
        for index, name in enumerate(names):
            body = TRUE if index < stopped else idle
            connection.ask("POST", f"/containers/create?name={name}", 201, body)
            if index >= stopped:
                connection.ask("POST", f"/containers/{name}/start", 204)
        connection.close()
    docker = probes.docker_cli() or "docker"
    mine, other = interleaved(
        rounds,
        command([docker, "ps", "-a"], ours.host),
        command([docker, "ps", "-a"], theirs.host),
    )
    for socket in (ours.socket, theirs.socket):
        connection = Connection(socket)
        for name in names:
            connection.ask("DELETE", f"/containers/{name}?force=1", 204)
        connection.close()
    name = f"`docker ps -a` of {stopped} stopped and {running} running"
    return [Row(name, "dockerd", mine * 1e3, other * 1e3, "ms", "1")]


def logs(ours: Engine, theirs: Dockerd, megabytes: int = 50, rounds: int = 3) -> list[Row]:
    """A container writes lines of 101 bytes as fast as it can; then its log is read over the API.

    Writing is what the engines say the container took, without its start. dockerd gets the options
    that are our defaults (five files of 20 MB), so both do the same work and keep all of it.
    """
    script = f"yes {'0123456789' * 10} | head -c {megabytes}000000"
    host = {"NetworkMode": "none"}
    host |= {"LogConfig": {"Type": "json-file", "Config": {"max-size": "20m", "max-file": "5"}}}
    body = {"Image": "busybox:latest", "Cmd": ["sh", "-c", script], "HostConfig": host}
    written: dict[Path, list[float]] = {ours.socket: [], theirs.socket: []}
    read: dict[Path, list[float]] = {ours.socket: [], theirs.socket: []}
    for number in range(rounds):
        for socket in (ours.socket, theirs.socket):
            name = f"logs-{number}"
            connection = Connection(socket)
            connection.ask("POST", f"/containers/create?name={name}", 201, body)
            connection.ask("POST", f"/containers/{name}/start", 204)
            connection.ask("POST", f"/containers/{name}/wait", 200)
            state = json.loads(connection.ask("GET", f"/containers/{name}/json", 200))["State"]
            written[socket].append(seconds(state["FinishedAt"]) - seconds(state["StartedAt"]))
            start = time.perf_counter()
            answer = connection.ask("GET", f"/containers/{name}/logs?stdout=1", 200)
            read[socket].append(time.perf_counter() - start)
            assert len(answer) > megabytes * 1_000_000, len(answer)
            connection.ask("DELETE", f"/containers/{name}", 204)
            connection.close()
    rows = []
    for name, times in ((f"a container writes {megabytes} MB", written), ("its log is read", read)):
        mine, other = (statistics.median(times[each.socket]) for each in (ours, theirs))
        rows.append(Row(name, "dockerd, json-file", mine * 1e3, other * 1e3, "ms", "1"))
    return rows
