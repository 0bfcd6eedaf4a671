"""push, login, logout, search and the distribution endpoint, against two kinds of registries."""

from __future__ import annotations

import base64
import json
import secrets
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import docker
import pytest

from support import images, registries
from support.engine import Engine
from support.registries import PASSWORD, USER, Registry

pytestmark = pytest.mark.needs_peer("docker-registry")


@pytest.fixture(scope="module", params=registries.KINDS)
def registry(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Registry]:
    with registries.running(request.param, tmp_path_factory.mktemp("registry")) as host:
        yield Registry(host)


@pytest.fixture(scope="module", params=registries.KINDS)
def guarded(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    base = tmp_path_factory.mktemp("guarded")
    with registries.running(request.param, base, auth=True) as host:
        yield host


@pytest.fixture
def repo(daemon: Engine) -> Iterator[str]:
    """The path of a repository; all names of images that have it are removed after the test."""
    path = f"team{secrets.token_hex(4)}/app"
    yield path
    for image in daemon.get("/images/json?all=1"):
        names = (image["RepoTags"] or []) + (image["RepoDigests"] or [])
        for name in names:
            if path.partition("/")[0] in name:
                daemon.api("DELETE", f"/images/{name}?force=1")


def make(daemon: Engine, name: str, count: int = 1) -> list[bytes]:
    """An image of that name with layers that no other test has."""
    layers = [
        images.layer({f"f{number}": ("file", f"{name} {number}".encode() * 500)})
        for number in range(count)
    ]
    daemon.docker("load", "-q", input=images.docker_archive([name], layers, {"Cmd": ["/x"]}))
    return layers


def label(tar: bytes) -> str:
    return registries.digest_of(tar)[7:19]


def last(out: str) -> tuple[str, str]:
    """Tag and digest of the last line of a push."""
    tag, word, digest, *_ = out.splitlines()[-1].split()
    assert word == "digest:"
    return tag.rstrip(":"), digest


def test_a_push_tells_what_it_does(daemon: Engine, registry: Registry, repo: str) -> None:
    name = f"{registry.host}/{repo}"
    tar = make(daemon, f"{name}:1")[0]
    begun = int(time.time())
    out = daemon.docker("push", f"{name}:1").out
    kind, digest, raw = registry.manifest(repo, "1")
    assert out.splitlines() == [
        f"The push refers to repository [{name}]",
        f"{label(tar)}: Preparing",
        f"{label(tar)}: Pushed",
        f"1: digest: {digest} size: {len(raw)}",
    ]
    assert kind == "application/vnd.docker.distribution.manifest.v2+json"
    found = daemon.get(f"/images/{name}:1/json")
    assert found["RepoDigests"] == [f"{name}@{digest}"]
    document = json.loads(raw)
    assert document["config"]["digest"] == found["Id"]
    assert document["layers"][0]["mediaType"].endswith("diff.tar.gzip")
    assert raw == json.dumps(document, indent=3).encode()
    assert registry.layers(repo, "1") == [tar]
    until = int(time.time()) + 1
    filters = json.dumps({"event": ["push"]}).replace('"', "%22").replace(" ", "")
    status, body = daemon.api("GET", f"/events?since={begun}&until={until}&filters={filters}")
    events = [json.loads(line) for line in body.splitlines()]
    assert status == 200
    assert [each["Actor"] for each in events if repo in each["Actor"]["ID"]] == [
        {"ID": f"{name}:1", "Attributes": {"name": name}}
    ]


def test_what_the_registry_has_is_not_sent_again(
    daemon: Engine, registry: Registry, repo: str
) -> None:
    name = f"{registry.host}/{repo}"
    tar = make(daemon, f"{name}:1")[0]
    first = last(daemon.docker("push", f"{name}:1").out)
    daemon.docker("tag", f"{name}:1", f"{name}:2")
    out = daemon.docker("push", f"{name}:2").out
    assert f"{label(tar)}: Layer already exists" in out
    assert last(out) == ("2", first[1])
    daemon.docker("tag", f"{name}:1", f"{name}2:1")
    out = daemon.docker("push", f"{name}2:1").out
    assert f"{label(tar)}: Mounted from {repo}" in out
    assert last(out) == first
    assert set(daemon.get(f"/images/{name}:1/json")["RepoDigests"]) == {
        f"{name}@{first[1]}",
        f"{name}2@{first[1]}",
    }


def test_many_layers(daemon: Engine, registry: Registry, repo: str) -> None:
    name = f"{registry.host}/{repo}:1"
    tars = make(daemon, name, 12)
    out = daemon.docker("push", name).out.splitlines()
    order = [label(tar) for tar in reversed(tars)]
    assert [line for line in out if line.endswith("Preparing")] == [
        f"{each}: Preparing" for each in order
    ]
    assert len([line for line in out if line.endswith("Waiting")]) == 7
    assert {line for line in out if line.endswith("Pushed")} == {
        f"{each}: Pushed" for each in order
    }
    assert registry.layers(repo, "1") == tars


def test_all_tags(daemon: Engine, registry: Registry, repo: str) -> None:
    name = f"{registry.host}/{repo}"
    make(daemon, f"{name}:a")
    daemon.docker("tag", f"{name}:a", f"{name}:b")
    out = daemon.docker("push", "--all-tags", name).out
    assert registry.manifest(repo, "a") == registry.manifest(repo, "b")
    assert [line.partition(":")[0] for line in out.splitlines() if "digest:" in line] == ["a", "b"]
    assert daemon.docker("push", "-q", f"{name}:a").out == f"{name}:a\n"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["{0}/none"], "An image does not exist locally with the tag: {0}/none"),
        (["-a", "{0}/none"], "An image does not exist locally with the tag: {0}/none"),
        (["{0}/{1}:none"], "tag does not exist: {0}/{1}:none"),
    ],
    ids=["no-image", "no-tags", "no-tag"],
)
def test_what_is_not_here(
    daemon: Engine, registry: Registry, repo: str, arguments: list[str], words: str
) -> None:
    make(daemon, f"{registry.host}/{repo}:1")
    filled = [each.format(registry.host, repo) for each in arguments]
    result = daemon.docker("push", *filled, check=False)
    assert result.code == 1
    assert result.err == words.format(registry.host, repo) + "\n"
    assert result.out.splitlines()[-1].startswith("The push refers to repository [")


def test_a_platform_that_is_not_here(
    daemon: Engine, registry: Registry, repo: str, is_knarr: bool
) -> None:
    if not is_knarr:
        pytest.skip("dockerd 20.10 does not know the parameter")
    name = f"{registry.host}/{repo}:1"
    make(daemon, name)
    result = daemon.docker("push", "--platform", "linux/s390x", name, check=False)
    assert result.code == 1
    assert (
        f"image with reference {name} was found but its platform (linux/amd64) "
        "does not match the specified platform (linux/s390x)"
    ) in result.err
    daemon.docker("push", "-q", "--platform", "linux/amd64", name)


def test_what_was_pulled_keeps_its_digest(daemon: Engine, registry: Registry, repo: str) -> None:
    name = f"{registry.host}/{repo}"
    make(daemon, f"{name}:1", 3)
    _, digest = last(daemon.docker("push", f"{name}:1").out)
    daemon.docker("rmi", "-f", f"{name}:1", f"{name}@{digest}")
    daemon.docker("pull", "-q", f"{name}@{digest}")
    daemon.docker("tag", f"{name}@{digest}", f"{name}-again:x")
    assert last(daemon.docker("push", f"{name}-again:x").out) == ("x", digest)


def test_a_child_shares_the_layers_that_its_parent_was_pulled_with(
    daemon: Engine, registry: Registry, repo: str
) -> None:
    name = f"{registry.host}/{repo}"
    make(daemon, f"{name}:1", 2)
    daemon.docker("push", f"{name}:1")
    base = json.loads(registry.manifest(repo, "1")[2])
    container = daemon.docker("create", f"{name}:1", "/x").out.strip()
    try:
        daemon.docker("cp", "-", f"{container}:/", input=images.layer({"new": ("file", b"n")}))
        daemon.docker("commit", container, f"{name}-child:1")
    finally:
        daemon.docker("rm", "-f", container)
    out = daemon.docker("push", f"{name}-child:1").out
    assert out.count("Mounted from") == 2
    child = json.loads(registry.manifest(f"{repo}-child", "1")[2])
    assert child["layers"][:2] == base["layers"]
    assert len(registry.layers(f"{repo}-child", "1")) == 3


def test_names_that_cannot_be_pushed(daemon: Engine) -> None:
    for path in (
        "/images/a/BAD/push?tag=1",
        "/images/a/b/push?tag=-x",
    ):
        got, body = daemon.api("POST", path, {})
        assert got in (400, 500), (path, body)


# Registries that want to know who asks.


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A folder of the client's own."""
    return tmp_path / "docker-config"


def test_without_a_login(daemon: Engine, guarded: str, repo: str, config: Path) -> None:
    name = f"{guarded}/{repo}:1"
    make(daemon, name)
    result = daemon.docker("push", name, check=False, env={"DOCKER_CONFIG": str(config)})
    assert result.code == 1
    words = result.err.strip()
    assert words in (
        "no basic auth credentials",
        "unauthorized: authentication required",
        "denied: requested access to the resource is denied",
    )


def test_login_push_logout(daemon: Engine, guarded: str, repo: str, config: Path) -> None:
    env = {"DOCKER_CONFIG": str(config)}
    name = f"{guarded}/{repo}:1"
    make(daemon, name)
    said = daemon.docker(
        "login", "-u", USER, "--password-stdin", guarded, input="wrong", env=env, check=False
    )
    assert said.code == 1
    assert "401 Unauthorized" in said.err or "unauthorized" in said.err
    assert "wrong" not in said.err
    said = daemon.docker("login", "-u", USER, "--password-stdin", guarded, input=PASSWORD, env=env)
    assert "Login Succeeded" in said.out
    assert last(daemon.docker("push", name, env=env).out)[0] == "1"
    header = {"username": USER, "password": PASSWORD, "serveraddress": guarded}
    assert distribution(daemon, name, header)["Platforms"] == [
        {"architecture": "amd64", "os": "linux"}
    ]
    daemon.docker("logout", guarded, env=env)
    assert daemon.docker("push", name, env=env, check=False).code == 1


def test_docker_py_logs_in_and_pushes(daemon: Engine, guarded: str, repo: str) -> None:
    name = f"{guarded}/{repo}"
    make(daemon, f"{name}:1")
    client = docker.DockerClient(base_url=daemon.host)
    try:
        with pytest.raises(docker.errors.APIError):
            client.login(USER, "wrong", registry=guarded, dockercfg_path="/nonexistent")
        said = client.login(USER, PASSWORD, registry=guarded, dockercfg_path="/nonexistent")
        assert said["Status"] == "Login Succeeded"
        lines = list(client.images.push(name, tag="1", stream=True, decode=True))
        digest = lines[-1]["aux"]["Digest"]
        data = client.images.get_registry_data(f"{name}:1")
        assert data.id == digest
        assert data.has_platform("linux/amd64")
        refused = client.images.push(
            name, tag="1", auth_config={"username": USER, "password": "x"}, stream=True, decode=True
        )
        assert "error" in list(refused)[-1]
    finally:
        client.close()


def test_secrets_are_nowhere(daemon: Engine, guarded: str, repo: str, is_knarr: bool) -> None:
    if not is_knarr:
        pytest.skip("dockerd's log is not here")
    secret = "S3cr3t-that-must-not-be-seen"
    make(daemon, f"{guarded}/{repo}:1")
    config = {"username": USER, "password": secret, "serveraddress": guarded}
    status, body = daemon.api("POST", "/auth", config)
    assert (status in (401, 500), secret.encode() in body) == (True, False)
    status, body = call(daemon, "POST", f"/images/{guarded}/{repo}/push?tag=1", config)
    assert b"error" in body
    assert secret.encode() not in body
    encoded = base64.b64encode(f"{USER}:{secret}".encode()).decode()
    log = daemon.log.read_text()
    assert secret not in log
    assert encoded not in log


def call(daemon: Engine, method: str, path: str, auth: Any) -> tuple[int, bytes]:
    from support.engine import UnixConnection

    connection = UnixConnection(str(daemon.socket))
    header = base64.urlsafe_b64encode(json.dumps(auth).encode()).decode()
    connection.request(method, path, headers={"X-Registry-Auth": header})
    response = connection.getresponse()
    try:
        return response.status, response.read()
    finally:
        connection.close()


def distribution(daemon: Engine, name: str, auth: Any) -> Any:
    status, body = call(daemon, "GET", f"/distribution/{name}/json", auth)
    assert status == 200, body
    return json.loads(body)


def test_distribution(daemon: Engine, registry: Registry, repo: str) -> None:
    name = f"{registry.host}/{repo}:1"
    make(daemon, name)
    daemon.docker("push", "-q", name)
    kind, digest, raw = registry.manifest(repo, "1")
    assert daemon.get(f"/distribution/{name}/json") == {
        "Descriptor": {"mediaType": kind, "digest": digest, "size": len(raw)},
        "Platforms": [{"architecture": "amd64", "os": "linux"}],
    }
    status, body = daemon.api("GET", f"/distribution/{registry.host}/{repo}:none/json")
    assert status == 404
    assert "manifest unknown" in json.loads(body)["message"]


def test_search_needs_a_registry_that_can(daemon: Engine, registry: Registry) -> None:
    result = daemon.docker("search", f"{registry.host}/x", check=False)
    assert result.code == 1
    assert "Unexpected status code 404" in result.err
    status, body = daemon.api("GET", "/images/search?term=x&limit=101")
    assert (status, json.loads(body)["message"]) == (
        400,
        "Limit 101 is outside the range of [1, 100]",
    )
