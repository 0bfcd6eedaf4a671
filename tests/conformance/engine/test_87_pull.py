"""pull, against two kinds of registries, and beside what dockerd makes of the same images."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import secrets
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import TypeVar

import docker
import pytest

import knarr
from knarr.errors import NotFoundError
from support import images, registries, waiting
from support.dockerd import Dockerd
from support.engine import Engine, UnixConnection
from support.registries import PASSWORD, USER, digest_of
from support.registry_images import MANIFEST, Cutter, Pusher, large, small

T = TypeVar("T")

pytestmark = pytest.mark.needs_peer("docker-registry")

BASE, TOP = small("base"), small("top")


@pytest.fixture(scope="module", params=registries.KINDS)
def registry(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    with registries.running(request.param, tmp_path_factory.mktemp("registry")) as host:
        yield host


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pusher]:
    """A repository of a registry of our own, for what does not depend on the registry."""
    with registries.running("knarr", tmp_path_factory.mktemp("ours")) as host:
        yield Pusher(host, "team/ours")


@pytest.fixture
def pusher(daemon: Engine, registry: str) -> Iterator[Pusher]:
    """A repository of its own; all names of images that have it are removed after the test."""
    path = f"team{secrets.token_hex(4)}/app"
    yield Pusher(registry, path)
    forget(daemon, path)


def forget(engine: Engine, path: str) -> None:
    for image in engine.get("/images/json?all=1"):
        for name in (image["RepoTags"] or []) + (image["RepoDigests"] or []):
            if path in name:
                engine.api("DELETE", f"/images/{name}?force=1")


@pytest.fixture(scope="module")
def dockerd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dockerd]:
    other = Dockerd(tmp_path_factory.mktemp("peer"))
    try:
        other.start()
        yield other
    finally:
        other.stop_all()


def fill(pusher: Pusher) -> dict[str, str]:
    """A repository with everything in it; digests by tag."""
    found = {
        "1": pusher.image("1", BASE, TOP),
        "2": pusher.image("2", BASE, small("other")),
        "arm": pusher.image("arm", BASE, architecture="arm64"),
    }
    found["multi"] = pusher.index("multi", arm64=found["arm"], amd64=found["1"])
    thing = {"mediaType": "application/vnd.some.thing+json", "size": 16}
    thing["digest"] = digest_of(b'{"some":"thing"}')
    body = {"schemaVersion": 2, "config": thing, "layers": []}
    oci = "application/vnd.oci.image.manifest.v1+json"
    other = Pusher(pusher.host, f"{pusher.repository}things")
    other.blob(b'{"some":"thing"}')
    other.document({**body, "mediaType": oci}, "artifact")
    other.document({**body, "mediaType": MANIFEST}, "plugin")
    return found


@pytest.mark.needs_peer("dockerd")
def test_the_same_as_dockerd(daemon: Engine, dockerd: Dockerd, pusher: Pusher) -> None:
    digests = fill(pusher)
    name = pusher.name
    pulls = (
        [f"{name}:1"],
        [f"{name}:1"],
        [f"{name}:2"],
        [f"{name}:multi"],
        ["--platform", "linux/arm64", f"{name}:multi"],
        ["--platform", "linux/s390x", f"{name}:multi"],
        [f"{name}@{digests['2']}"],
        [f"{name}:1@{digests['1']}"],
        [f"{name}:none"],
        [f"{name}none"],
        ["-a", f"{name}none"],
        [f"{name}things:artifact"],
        [f"{name}things:plugin"],
        ["-q", f"{name}:1"],
        ["-a", name],
    )
    for words in pulls:
        ours, theirs = (each.docker("pull", *words, check=False) for each in (daemon, dockerd))
        assert ours.code == theirs.code, words
        assert told(ours.out) == told(theirs.out), words
        assert ours.err == theirs.err, words
    shown = "{{.Id}} {{.RepoTags}} {{.RepoDigests}} {{.RootFS.Layers}} {{.Architecture}}"
    for tag in ("1", "2", "arm", "multi"):
        ours, theirs = (
            each.docker("image", "inspect", "-f", shown, f"{name}:{tag}")
            for each in (daemon, dockerd)
        )
        assert ours.out == theirs.out
    listing = ["images", "--digests", "--format", "{{.Tag}} {{.Digest}} {{.ID}}", name]
    assert sorted(daemon.docker(*listing).out.splitlines()) == sorted(
        dockerd.docker(*listing).out.splitlines()
    )
    for what in (f"{name}@{digests['2']}", f"{name}:2", f"{name}:1"):
        ours, theirs = (each.docker("rmi", what) for each in (daemon, dockerd))
        assert removed(ours.out) == removed(theirs.out)
    forget(dockerd, name)


def told(out: str) -> list[str]:
    """The lines of a pull without those whose number or order is a matter of chance."""
    lines = [line for line in out.splitlines() if not re.search(r": (Verif|Wait)", line)]
    layers = sorted(line for line in lines if re.match(r"[0-9a-f]{12}: ", line))
    return layers + [line for line in lines if not re.match(r"[0-9a-f]{12}: ", line)]


def removed(out: str) -> list[str]:
    return sorted(out.splitlines())


def test_the_stream_of_messages(daemon: Engine, pusher: Pusher) -> None:
    digest = pusher.image("1", BASE)
    begun = time.time()
    query = f"fromImage={pusher.name}&tag=1"
    status, body = daemon.api("POST", f"/images/create?{query}")
    assert status == 200
    lines = [json.loads(line) for line in body.splitlines()]
    assert lines[0] == {"status": f"Pulling from {pusher.repository}", "id": "1"}
    assert {"progressDetail": {}, **lines[1]} == lines[1]
    assert lines[1]["status"] == "Pulling fs layer"
    assert lines[-2:] == [
        {"status": f"Digest: {digest}"},
        {"status": f"Status: Downloaded newer image for {pusher.name}:1"},
    ]
    until = f"{time.time():.9f}"
    status, body = daemon.api("GET", f"/events?since={begun:.9f}&until={until}")
    events = [json.loads(line) for line in body.splitlines()]
    assert [
        (each["Action"], each["Actor"]["ID"], each["Actor"]["Attributes"]["name"])
        for each in events
        if pusher.name in each["Actor"]["ID"]
    ] == [("pull", f"{pusher.name}:1", pusher.name)]


@pytest.mark.needs_peer("dockerd")
def test_the_fields_of_messages_are_those_of_dockerd(
    daemon: Engine, dockerd: Dockerd, pusher: Pusher
) -> None:
    pusher.image("1", large(5, 2 << 20))
    shapes = []
    for each in (daemon, dockerd):
        body = each.api("POST", f"/images/create?fromImage={pusher.name}&tag=1")[1]
        found = set()
        for line in map(json.loads, body.splitlines()):
            bar = re.sub(r"=*> *", ">", line.get("progress", ""))
            bar = re.sub(r" *[0-9.]+[kM]?B", "N", bar)
            kind = re.sub(r"(: | for ).*", "", line["status"])
            found.add((kind, tuple(sorted(line)), bar))
        shapes.append({each for each in found if each[0] in ("Downloading", "Extracting")})
    assert shapes[0] <= shapes[1]
    assert ("Extracting", ("id", "progress", "progressDetail", "status"), "[>]N/N") in shapes[0]
    forget(dockerd, pusher.repository)


@pytest.mark.parametrize(
    ("query", "status", "words"),
    [
        ("fromImage={name}&tag=none", 404, "manifest for {name}:none not found: manifest unknown"),
        ("fromImage={name}&tag=sha256:12", 400, "invalid tag format"),
        ("fromImage=Upper&tag=1", 400, "must be lowercase"),
        ("fromImage=127.0.0.1:1/x&tag=1", 500, "connection refused"),
    ],
    ids=["tag", "digest", "name", "registry"],
)
def test_refusals(
    daemon: Engine, pusher: Pusher, is_knarr: bool, query: str, status: int, words: str
) -> None:
    pusher.image("1", BASE)
    got, body = daemon.api("POST", "/images/create?" + query.format(name=pusher.name))
    assert words.format(name=pusher.name) in json.loads(body)["message"]
    assert got == status or (not is_knarr and got == 500)


def test_credentials(daemon: Engine, tmp_path: Path) -> None:
    with registries.running("knarr", tmp_path / "guarded", auth=True) as host:
        refused = daemon.docker("pull", f"{host}/team/app:1", check=False)
        assert refused.code == 1
        assert f"pull access denied for {host}/team/app" in refused.err
        config = tmp_path / "config"
        login = ["--config", str(config), "login", "-u", USER, "--password-stdin", host]
        daemon.docker(*login, input=PASSWORD.encode())
        missing = daemon.docker("--config", str(config), "pull", f"{host}/team/app:1", check=False)
        assert "not found" in missing.err


def test_run_pulls_what_is_missing(daemon: Engine, pusher: Pusher) -> None:
    pusher.image("1", BASE)
    for program in (daemon.docker, daemon.knarr):
        forget(daemon, pusher.repository)
        never = program("create", "--pull", "never", f"{pusher.name}:1", "x", check=False)
        assert f"No such image: {pusher.name}:1" in never.err
        made = program("create", "--network", "none", f"{pusher.name}:1", "x")
        assert f"Unable to find image '{pusher.name}:1' locally" in made.err
        assert f"Status: Downloaded newer image for {pusher.name}:1" in made.err
        program("rm", made.line)
        again = program("create", "--network", "none", "--pull", "always", f"{pusher.name}:1", "x")
        assert f"Status: Image is up to date for {pusher.name}:1" in again.err
        program("rm", again.line)
        quiet = program("create", "--network", "none", f"{pusher.name}:1", "x")
        assert "up to date" not in quiet.err
        program("rm", quiet.line)


def test_what_was_pulled_runs(daemon: Engine, pusher: Pusher) -> None:
    pusher.image("1", images.busybox_layer(), TOP)
    for program in (daemon.docker, daemon.knarr):
        forget(daemon, pusher.repository)
        words = ["run", "--rm", "--network", "none", f"{pusher.name}:1", "/bin/cat", "/top.txt"]
        assert program(*words).out == "top" * 50


def test_docker_hub_through_a_mirror(make_engine: Callable[..., Engine], registry: str) -> None:
    digest = Pusher(registry, "library/thing").image("latest", BASE)
    engine = make_engine("--registry-mirror", f"http://{registry}", busybox=False)
    assert engine.docker("pull", "thing").out.splitlines()[-3:] == [
        f"Digest: {digest}",
        "Status: Downloaded newer image for thing:latest",
        "docker.io/library/thing:latest",
    ]
    shown = engine.docker("image", "inspect", "-f", "{{.RepoTags}} {{.RepoDigests}}", "thing")
    assert shown.line == f"[thing:latest] [thing@{digest}]"


def test_the_knarr_command_line(daemon: Engine, pusher: Pusher) -> None:
    digests = fill(pusher)
    name = pusher.name
    for words in (
        [f"{name}:1"],
        ["-q", f"{name}:1"],
        [f"{name}@{digests['2']}"],
        ["--platform", "linux/arm64", f"{name}:multi"],
        [f"{name}:none"],
        [name],
        ["-a", f"{name}:1"],
    ):
        forget(daemon, pusher.repository)
        ours = daemon.knarr("pull", *words, check=False)
        forget(daemon, pusher.repository)
        theirs = daemon.docker("pull", *words, check=False)
        assert ours.code == theirs.code, words
        assert told(ours.out) == told(theirs.out), words
        assert ours.err == theirs.err, words


def test_docker_py(client: docker.DockerClient, pusher: Pusher) -> None:
    digest = pusher.image("1", BASE)
    pusher.image("2", BASE, TOP)
    image = client.images.pull(pusher.name, "1")
    assert image.attrs["RepoDigests"] == [f"{pusher.name}@{digest}"]
    assert len(client.images.pull(pusher.name, all_tags=True)) == 2
    with pytest.raises(docker.errors.NotFound):
        client.images.pull(pusher.name, "none")
    lines = list(client.api.pull(pusher.name, "1", stream=True, decode=True))
    assert lines[-1]["status"] == f"Status: Image is up to date for {pusher.name}:1"


def test_the_library(daemon: Engine, pusher: Pusher) -> None:
    digests = fill(pusher)
    name = f"{pusher.name}:multi"
    with knarr.connect(daemon.host) as engine:
        with engine.images.pull(name, platform="linux/arm64") as image:
            assert image.inspect().architecture == "arm64"
        with pytest.raises(NotFoundError):
            image.inspect()
        by_digest = engine.images.pull(f"{pusher.name}@{digests['1']}")
        assert by_digest.inspect().repo_digests == [by_digest.name]
        with pytest.raises(NotFoundError, match="manifest unknown"):
            engine.images.pull(f"{pusher.name}:none")
        with engine.images.pull_stream(pusher.name, every=True) as lines:
            begun = [line.id for line in lines if "Pulling from" in line.status]
        assert sorted(begun) == sorted(digests)

    async def concurrently() -> None:
        async with knarr.connect_async(daemon.host) as engine:
            names = [f"{pusher.name}:1", f"{pusher.name}:2"]
            pulls = (engine.images.pull(each) for each in names)
            found = await asyncio.gather(*(awaited(each) for each in pulls))
            assert [each.name for each in found] == names

    asyncio.run(concurrently())


async def awaited(pending: Awaitable[T]) -> T:
    return await pending


def test_saved_and_loaded_a_partial_index_is_the_same(
    daemon: Engine, pusher: Pusher, tmp_path: Path
) -> None:
    fill(pusher)
    name = f"{pusher.name}:multi"
    daemon.docker("pull", name)
    archive = tmp_path / "saved.tar"
    daemon.docker("save", "-o", str(archive), name)
    before = daemon.docker("image", "inspect", "-f", "{{.Id}}", name).line
    forget(daemon, pusher.repository)
    daemon.docker("load", "-i", str(archive))
    assert daemon.docker("image", "inspect", "-f", "{{.Id}}", name).line == before


def test_a_dropped_connection_is_made_again(daemon: Engine, pusher: Pusher) -> None:
    tar = large(1, 6 << 20)
    pusher.image("1", tar)
    cutter = Cutter(pusher.host, 2 << 20, 2 << 20)
    try:
        name = f"{cutter.host}/{pusher.repository}:1"
        daemon.docker("pull", name)
        layers = daemon.docker("image", "inspect", "-f", "{{json .RootFS.Layers}}", name).line
        assert json.loads(layers) == [digest_of(tar)]
        assert cutter.cuts == []
        assert cutter.passed < 8 << 20
    finally:
        cutter.close()


@pytest.mark.parametrize("fault", ["content.partial-written:3", "pull.layer-done:2"])
def test_killed_it_goes_on_where_it_was(
    make_engine: Callable[..., Engine], ours: Pusher, fault: str
) -> None:
    tars = [large(2, 3 << 20), large(3, 3 << 20)]
    ours.image("1", *tars)
    cutter = Cutter(ours.host)
    try:
        name = f"{cutter.host}/{ours.repository}:1"
        engine = faulty(make_engine, fault)
        engine.docker("pull", name, check=False)
        assert engine.process
        assert engine.process.wait(20) == -9
        engine.start()
        left = [each.stat().st_size for each in partials(engine)]
        assert sum(left) > 0
        first = cutter.passed
        engine.docker("pull", name)
        assert cutter.passed - first <= (6 << 20) - sum(left) + (64 << 10)
        layers = engine.docker("image", "inspect", "-f", "{{json .RootFS.Layers}}", name).line
        assert json.loads(layers) == [digest_of(each) for each in tars]
        assert partials(engine) == []
    finally:
        cutter.close()


def faulty(make_engine: Callable[..., Engine], fault: str) -> Engine:
    """An engine that will kill itself; the next start of it will not."""
    engine = make_engine(busybox=False)
    engine.terminate()
    return engine.start(env={"KNARR_FAULT": fault})


def partials(engine: Engine) -> list[Path]:
    return list((engine.data_root / "content/ingest").iterdir())


@pytest.mark.parametrize(
    "fault",
    [
        "pull.document",
        "content.partial-complete",
        "load.layer-renamed",
        "pull.layers-done",
        "pull.published",
        "load.blobs-done",
        "load.recorded",
    ],
)
def test_killed_anywhere_it_recovers(
    make_engine: Callable[..., Engine], ours: Pusher, fault: str
) -> None:
    ours.image("1", BASE, TOP)
    engine = faulty(make_engine, fault)
    engine.docker("pull", f"{ours.name}:1", check=False)
    assert engine.process
    assert engine.process.wait(20) == -9
    engine.start()
    found = [tag for each in engine.get("/images/json") for tag in each["RepoTags"]]
    assert (f"{ours.name}:1" in found) == (fault == "load.recorded")
    engine.docker("pull", f"{ours.name}:1")
    engine.docker("rmi", f"{ours.name}:1")
    engine.docker("image", "prune", "-f")
    assert partials(engine) == []
    stored = {each.name for each in (engine.data_root / "content/blobs/sha256").iterdir()}
    known = {each["Id"].removeprefix("sha256:") for each in engine.get("/images/json")}
    assert stored <= known


def test_a_client_that_goes_away_cancels(make_engine: Callable[..., Engine], ours: Pusher) -> None:
    ours.image("1", large(4, 3 << 20))
    engine = make_engine(busybox=False)
    cutter = Cutter(ours.host, stall=1 << 20)
    name = f"{cutter.host}/{ours.repository}"
    try:
        connection = UnixConnection(str(engine.socket))
        connection.request("POST", f"/images/create?fromImage={name}&tag=1")
        response = connection.getresponse()
        assert response.read(1)
        waiting.until(lambda: is_fetching(engine))
        connection.close()
        waiting.until(lambda: not is_fetching(engine))
        assert engine.api("GET", f"/images/{name}:1/json")[0] == 404
        assert partials(engine) != []
        engine.docker("image", "prune", "-f")
        assert partials(engine) == []
    finally:
        cutter.close()


def is_fetching(engine: Engine) -> bool:
    found = []
    for each in Path(f"/proc/{engine.pid}/fd").iterdir():
        with contextlib.suppress(OSError):
            found.append(each.readlink().name)
    return any(each.endswith(".partial") for each in found)
