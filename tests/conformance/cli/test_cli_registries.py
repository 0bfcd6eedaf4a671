"""Commands that speak of registries: docker and knarr say and ask for the same."""

from __future__ import annotations

import base64
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support import probes
from support.fake_engine import FakeEngine, Request, answer

from .conftest import KNARR, Outcome, run

FOUND = [
    {"name": "few", "description": "", "star_count": 1, "is_official": False},
    {
        "name": "debian",
        "description": "A long description\nof more than forty-five characters in two lines",
        "star_count": 5000,
        "is_official": True,
    },
    {"name": "a/b", "description": "short", "star_count": 20, "is_automated": True},
]
PUSHED = [
    {"status": "The push refers to repository [h:5000/a/b]"},
    {"status": "Preparing", "progressDetail": {}, "id": "0123456789ab"},
    {"status": "Pushing", "progressDetail": {"current": 5, "total": 10}, "id": "0123456789ab"},
    {"status": "Pushed", "progressDetail": {}, "id": "0123456789ab"},
    {"status": "1: digest: sha256:00 size: 5"},
    {"progressDetail": {}, "aux": {"Tag": "1", "Digest": "sha256:00", "Size": 5}},
]
PARTIAL: dict[str, Any] = {
    "manifestPushedInsteadOfIndex": True,
    "originalIndex": {"mediaType": "a", "digest": "sha256:" + "1" * 64, "size": 1},
    "selectedManifest": {"mediaType": "b", "digest": "sha256:" + "2" * 64, "size": 1},
}
REFUSED = "denied: requested access to the resource is denied"


def script(request: Request, _: object) -> bytes:
    if request.path == "/auth":
        if request.json()["password"] != "right":
            return answer(401, {"message": "unauthorized: incorrect username or password"})
        token = "tok" if request.json()["username"] == "tokens" else ""
        return answer(200, {"IdentityToken": token, "Status": "Login Succeeded"})
    if request.path == "/images/search":
        return answer(200, FOUND)
    if request.path.endswith("/push"):
        lines = PUSHED
        if "partial" in request.path:
            lines = [*PUSHED[:4], {"aux": PARTIAL}, *PUSHED[4:]]
        if "refused" in request.path:
            lines = [*PUSHED[:2], {"errorDetail": {"message": REFUSED}, "error": REFUSED}]
        body = "".join(json.dumps(line) + "\r\n" for line in lines).encode()
        return answer(200, body, Content_Type="application/json")
    return answer(404, {"message": "no such thing"})


class Both:
    """The two programs, each with a configuration of its own, and what they asked the engine."""

    def __init__(self, base: Path, engine: FakeEngine) -> None:
        self._base = base
        self._engine = engine
        self.asked: list[list[Any]] = []
        docker = probes.docker_cli()
        assert docker
        self._programs = {"docker": [docker], "knarr": KNARR}

    def configure(self, content: object) -> None:
        for name in self._programs:
            self.config(name).parent.mkdir(parents=True, exist_ok=True)
            self.config(name).write_text(json.dumps(content))

    def config(self, program: str) -> Path:
        return self._base / program / "config.json"

    def content(self, program: str) -> object:
        return json.loads(self.config(program).read_text())

    def one(self, name: str, *arguments: str) -> Outcome:
        folder = ("--config", str(self.config(name).parent))
        return run([*self._programs[name], *folder], self._engine.host, self._base, arguments)

    def run(self, *arguments: str) -> tuple[Outcome, Outcome]:
        found, self.asked = [], []
        for name in self._programs:
            self._engine.requests.clear()
            found.append(self.one(name, *arguments))
            self.asked.append([_told(each) for each in self._engine.requests if _counts(each)])
        return found[0], found[1]


def _counts(request: Request) -> bool:
    return request.path not in ("/_ping", "/info", "/version")


def _told(request: Request) -> Any:
    header = request.headers.get("x-registry-auth", request.headers.get("X-Registry-Auth", ""))
    auth = json.loads(base64.urlsafe_b64decode(header)) if header else {}
    auth.pop("serveraddress", None)
    body = request.json() if request.body else None
    if isinstance(body, dict):
        body = {name: value for name, value in body.items() if value}
    return request.method, request.path, sorted(request.query.split("&")), auth, body


@pytest.fixture
def both(tmp_path: Path) -> Iterator[Both]:
    engine = FakeEngine(tmp_path / "fake.sock", script)
    yield Both(tmp_path, engine)
    engine.close()


def pair(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


@pytest.mark.parametrize(
    "arguments",
    [
        ("search", "x"),
        ("search", "--no-trunc", "x"),
        ("search", "--limit", "7", "x"),
        ("search", "--filter", "is-official=true", "--filter", "stars=3", "x"),
        ("search", "--format", "json", "x"),
        ("search", "--format", "{{json .}}", "x"),
        ("search", "--format", "{{.Name}} {{.StarCount}} {{.IsOfficial}}", "x"),
        ("search", "--format", "{{.IsAutomated}}", "x"),
        ("search", "--format", "table {{.Name}}\t{{.IsOfficial}}", "x"),
        ("push", "h:5000/a/b:1"),
        ("push", "h:5000/a/b"),
        ("push", "-q", "h:5000/a/b"),
        ("push", "-a", "h:5000/a/b"),
        ("push", "-a", "h:5000/a/b:1"),
        ("push", "h:5000/refused/b:1"),
        ("push", "h:5000/a/b@sha256:" + "0" * 64),
        ("push", "a/B"),
        ("image", "push", "me/app"),
        ("login", "h:5000"),
        ("login", "-u", "me", "h:5000"),
        ("login", "--password-stdin", "h:5000"),
        ("login", "-u", "me", "-p", "x", "--password-stdin", "h:5000"),
        ("login", "-u", "me", "-p", "wrong", "h:5000"),
        ("logout", "h:5000"),
        ("logout",),
        ("search",),
        ("push",),
    ],
    ids=" ".join,
)
def test_alike(both: Both, arguments: tuple[str, ...]) -> None:
    auths = {
        "h:5000": {"auth": pair("me:right")},
        "https://index.docker.io/v1/": {"auth": pair("hub:pw")},
    }
    both.configure({"auths": auths if arguments[0] != "login" else {}})
    docker, knarr = both.run(*arguments)
    assert knarr == docker
    assert both.asked[1] == both.asked[0]


@pytest.mark.parametrize("user", ["me", "tokens"])
def test_a_login_is_kept_alike(both: Both, user: str) -> None:
    both.configure({"psFormat": "x", "auths": {"other": {"auth": pair("a:b")}}})
    docker, knarr = both.run("login", "-u", user, "-p", "right", "h:5000")
    assert knarr.out == docker.out == "Login Succeeded\n"
    if user == "me":
        assert knarr.err == docker.err
    else:  # docker does not warn of a token
        assert knarr.err.startswith(docker.err)
        assert "stored unencrypted" in knarr.err
    assert both.asked[1] == both.asked[0]
    assert both.content("knarr") == both.content("docker")
    docker, knarr = both.run("push", "h:5000/a/b:1")
    assert knarr == docker
    assert both.asked[1] == both.asked[0]
    docker, knarr = both.run("logout", "h:5000")
    assert knarr == docker
    assert both.content("knarr") == both.content("docker")


HELPER = f"""#!{sys.executable} -I
import json, sys
store = "STORE"
known, said = json.load(open(store)), sys.stdin.read()
if sys.argv[1] == "list":
    print(json.dumps({{key: pair[0] for key, pair in known.items()}}))
elif sys.argv[1] == "get":
    if said not in known:
        print("credentials not found in native keychain")
        sys.exit(1)
    print(json.dumps({{"ServerURL": said, "Username": known[said][0], "Secret": known[said][1]}}))
elif sys.argv[1] == "store":
    new = json.loads(said)
    json.dump({{**known, new["ServerURL"]: [new["Username"], new["Secret"]]}}, open(store, "w"))
else:
    known.pop(said, None)
    json.dump(known, open(store, "w"))
"""


@pytest.mark.parametrize("user", ["me", "tokens"])
def test_one_logs_in_for_the_other(
    both: Both, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, user: str
) -> None:
    keyring = tmp_path / "keyring.json"
    keyring.write_text("{}")
    helper = tmp_path / "docker-credential-mine"
    helper.write_text(HELPER.replace("STORE", str(keyring)))
    helper.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    both.configure({"credsStore": "mine"})
    for first, second in (("docker", "knarr"), ("knarr", "docker")):
        done = both.one(first, "login", "-u", user, "-p", "right", "h:5000")
        assert done.code == 0, done.err
        assert "unencrypted" not in done.err
        assert "right" not in both.config(first).read_text()
        both.config(second).write_text(both.config(first).read_text())
        docker, knarr = both.run("push", "h:5000/a/b:1")
        assert knarr == docker
        assert both.asked[0] == both.asked[1]
        secret = {"identitytoken": "tok"} if user == "tokens" else {"password": "right"}
        assert secret.items() <= both.asked[0][0][3].items()
        assert both.one(second, "logout", "h:5000").code == 0
        assert json.loads(keyring.read_text()) == {}


def test_a_part_of_an_index_is_told_of(both: Both) -> None:
    docker, knarr = both.run("push", "h:5000/partial/b:1")
    assert docker.out.startswith(knarr.out)
    for digest in (PARTIAL["originalIndex"]["digest"], PARTIAL["selectedManifest"]["digest"]):
        assert digest in docker.out
        assert digest in knarr.err


def test_existing_credentials_are_used(both: Both) -> None:
    both.configure({"auths": {"h:5000": {"auth": pair("me:right")}}})
    docker, knarr = both.run("login", "h:5000")
    assert (knarr.code, docker.code) == (0, 0)
    assert both.asked[1] == both.asked[0]
