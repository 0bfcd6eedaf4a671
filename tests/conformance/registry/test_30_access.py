"""A registry with users: what they may do, what others learn, and real clients with passwords."""

from __future__ import annotations

import base64
import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import bcrypt
import pytest

from support import images
from support.registry import OCI_MANIFEST, RegistryServer

CONFIG = """\
audit = "{base}/audit.log"
[access]
htpasswd = "{base}/htpasswd"
[[access.rules]]
repositories = ["public/**"]
users = ["anonymous", "*"]
role = "pull"
[[access.rules]]
repositories = ["**"]
users = ["root"]
role = "admin"
[[access.rules]]
repositories = ["team/**"]
users = ["ann"]
role = "push"
"""


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RegistryServer]:
    base = tmp_path_factory.mktemp("guarded")
    lines = [
        f"{user}:{bcrypt.hashpw(f'{user}-pw'.encode(), bcrypt.gensalt(5)).decode()}\n"
        for user in ("root", "ann", "bob")
    ]
    (base / "htpasswd").write_text("".join(lines))
    (base / "registry.toml").write_text(CONFIG.format(base=base))
    server = RegistryServer(base / "root", "--config", str(base / "registry.toml")).start()
    for name in ("public/a", "team/a", "secret/a"):
        admin = Client(server, "root")
        blob = admin.push_blob(name, b"{}")
        manifest = {
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "config": {"mediaType": "x/y", "digest": blob, "size": 2},
            "layers": [],
        }
        raw = json.dumps(manifest).encode()
        assert (
            admin.ask("PUT", f"/v2/{name}/manifests/1", raw, Content_Type=OCI_MANIFEST).status
            == 201
        )
    yield server
    assert server.stop() == 0


class Client(RegistryServer):
    """Talks to a server that runs, as one of its users; gets a token when it is asked for one."""

    def __init__(self, server: RegistryServer, user: str = "") -> None:
        super().__init__(server.root)
        self.address = server.address
        self._server, self._user = server, user

    def ask(self, method, path, body=None, **headers):  # type: ignore[no-untyped-def]
        first = self._server.ask(method, path, body, **headers)
        if first.status != 401:
            return first
        challenge = dict(re.findall(r'(\w+)="([^"]*)"', first.headers["www-authenticate"]))
        query = f"?service={challenge['service']}&scope={challenge.get('scope', '')}"
        realm = challenge["realm"].removeprefix(f"http://{self.address}")
        granted = self._server.ask("GET", realm + query, **self.basic())
        if granted.status != 200:
            return granted
        token = granted.json()["token"]
        return self._server.ask(method, path, body, Authorization=f"Bearer {token}", **headers)

    def basic(self) -> dict[str, str]:
        if not self._user:
            return {}
        pair = base64.b64encode(f"{self._user}:{self._user}-pw".encode()).decode()
        return {"Authorization": f"Basic {pair}"}


def manifest(name: str) -> str:
    return f"/v2/{name}/manifests/1"


@pytest.mark.parametrize(
    ("user", "name", "pull", "push"),
    [
        ("", "public/a", 200, 401),
        ("", "secret/a", 401, 401),
        ("bob", "public/a", 200, 401),
        ("bob", "team/a", 401, 401),
        ("ann", "team/a", 200, 202),
        ("ann", "secret/a", 401, 401),
        ("root", "secret/a", 200, 202),
    ],
)
def test_what_users_may_do(
    guarded: RegistryServer, user: str, name: str, pull: int, push: int
) -> None:
    client = Client(guarded, user)
    assert client.ask("GET", manifest(name)).status == pull
    assert client.ask("POST", f"/v2/{name}/blobs/uploads/").status == push


def test_credentials_themselves_do_as_well(guarded: RegistryServer) -> None:
    for user, status in (("ann", 200), ("bob", 403)):
        basic = Client(guarded, user).basic()
        assert guarded.ask("GET", manifest("team/a"), **basic).status == status


def test_only_who_may_delete_deletes(guarded: RegistryServer) -> None:
    assert Client(guarded, "ann").ask("DELETE", manifest("team/a")).status == 401
    assert Client(guarded, "root").ask("PUT", manifest("team/b"), b"{}").status == 400


def test_nobody_learns_what_exists(guarded: RegistryServer) -> None:
    """The answers for what is there and for what is not are the same to who may not see it."""
    for client in (guarded, Client(guarded, "bob")):
        there, absent = (client.ask("GET", manifest(name)) for name in ("secret/a", "secret/none"))
        assert there.status == absent.status == 401
        assert there.body == absent.body
    mount = "/v2/team/x/blobs/uploads/?mount="
    digest = json.loads(Client(guarded, "root").ask("GET", manifest("secret/a")).body)["config"]
    answer = Client(guarded, "ann").ask("POST", f"{mount}{digest['digest']}&from=secret/a")
    assert answer.status == 202, "it is not mounted from where she may not read"


def test_the_catalogue_shows_what_one_may_pull(guarded: RegistryServer) -> None:
    seen = {
        user: Client(guarded, user).ask("GET", "/v2/_catalog").json()["repositories"]
        for user in ("ann", "bob", "root")
    }
    assert seen["bob"] == ["public/a"]
    assert {"public/a", "team/a"} <= set(seen["ann"])
    assert "secret/a" not in seen["ann"]
    assert "secret/a" in seen["root"]
    assert guarded.ask("GET", "/v2/_catalog").status == 401


def test_wrong_passwords(guarded: RegistryServer) -> None:
    for pair in ("ann:wrong", "nobody:x", "ann", ":"):
        basic = {"Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}
        for path in ("/v2/", "/v2/token?service=x", manifest("public/a")):
            answer = guarded.ask("GET", path, **basic)
            assert (answer.status, answer.code) == (401, "UNAUTHORIZED")
    for header in ("Basic !!!", "Bearer forged.token", "Digest x"):
        assert guarded.ask("GET", "/v2/", Authorization=header).status == 401


def test_an_oauth_grant_by_password(guarded: RegistryServer) -> None:
    form = (
        b"grant_type=password&username=ann&password=ann-pw&scope=repository:team/a:pull&service=s"
    )
    granted = guarded.ask("POST", "/v2/token", form)
    token = granted.json()["access_token"]
    bearer = {"Authorization": f"Bearer {token}"}
    assert guarded.ask("GET", manifest("team/a"), **bearer).status == 200
    assert guarded.ask("GET", manifest("public/a"), **bearer).status == 401, "another scope"


def test_the_audit_log_names_who_did_it(guarded: RegistryServer) -> None:
    text = (guarded.root.parent / "audit.log").read_text()
    done = {
        (each["user"], each["status"], each["path"]) for each in map(json.loads, text.splitlines())
    }
    assert ("root", 201, manifest("team/a")) in done
    assert ("", 401, manifest("secret/a")) in done
    assert "-pw" not in text


@pytest.mark.needs_peer("skopeo")
def test_skopeo_with_a_password(guarded: RegistryServer, tmp_path: Path) -> None:
    archive = tmp_path / "busybox.tar"
    archive.write_bytes(images.busybox_archive())
    to = f"docker://{guarded.address}/team/busybox:1"
    copy = ["skopeo", "--insecure-policy", "copy", "--dest-tls-verify=false"]
    refused = subprocess.run(
        [*copy, "--dest-creds=bob:bob-pw", f"docker-archive:{archive}", to], capture_output=True
    )
    assert refused.returncode != 0
    assert b"ann-pw" not in refused.stderr
    subprocess.run([*copy, "--dest-creds=ann:ann-pw", f"docker-archive:{archive}", to], check=True)
    shown = subprocess.run(
        ["skopeo", "inspect", "--tls-verify=false", "--creds=ann:ann-pw", to],
        check=True,
        capture_output=True,
    )
    assert json.loads(shown.stdout)["RepoTags"] == ["1"]
