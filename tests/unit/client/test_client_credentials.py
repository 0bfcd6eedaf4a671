"""Where the command line finds and keeps the secrets of registries."""

from __future__ import annotations

import base64
import contextlib
import json
import stat
import sys
import threading
from pathlib import Path

import pytest

from knarr.client.credentials import configfile, keychain
from knarr.client.credentials.helper import Helper
from knarr.client.credentials.login import HUB_KEY, Login, key_of_image, key_of_server
from knarr.errors import InvalidArgumentError, UnavailableError

HELPER = f"""#!{sys.executable} -I
import json, os, sys
store = os.environ["HELPER_STORE"]
known = json.load(open(store)) if os.path.exists(store) else {{}}
said = sys.stdin.read()
word = sys.argv[1]
assert len(sys.argv) == 2
if word == "list":
    print(json.dumps({{key: pair[0] for key, pair in known.items()}}))
elif word == "get":
    if said not in known:
        print("credentials not found in native keychain")
        sys.exit(1)
    user, secret = known[said]
    print(json.dumps({{"ServerURL": said, "Username": user, "Secret": secret}}))
else:
    if word == "store":
        new = json.loads(said)
        known[new["ServerURL"]] = [new["Username"], new["Secret"]]
    else:
        known.pop(said, None)
    json.dump(known, open(store, "w"))
"""


class Place:
    """A folder for the configuration, and one on the path for helpers."""

    def __init__(self, base: Path) -> None:
        self.config = base / "docker" / "config.json"
        self.programs = base / "bin"
        self.programs.mkdir()
        self.store = base / "keyring.json"

    def write(self, content: object) -> None:
        self.config.parent.mkdir(exist_ok=True)
        self.config.write_text(json.dumps(content))

    def read(self) -> dict[str, object]:
        content: dict[str, object] = json.loads(self.config.read_text())
        return content

    def helper(self, name: str, script: str = HELPER) -> None:
        path = self.programs / f"docker-credential-{name}"
        path.write_text(script)
        path.chmod(0o755)

    def program(self, name: str) -> None:
        (self.programs / name).write_text("#!/bin/sh\n")
        (self.programs / name).chmod(0o755)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    made = Place(tmp_path)
    # os.environ keeps its values in posix.environ, which the command line reads.
    monkeypatch.setenv("DOCKER_CONFIG", str(made.config.parent))
    monkeypatch.setenv("PATH", str(made.programs))
    monkeypatch.setenv("HELPER_STORE", str(made.store))
    return made


def pair(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("debian", HUB_KEY),
        ("me/app:1", HUB_KEY),
        ("docker.io/me/app", HUB_KEY),
        ("index.docker.io/me/app", HUB_KEY),
        ("ghcr.io/me/app", "ghcr.io"),
        ("localhost/app", "localhost"),
        ("h:5000/a@sha256:0", "h:5000"),
    ],
)
def test_a_name_means_a_registry(name: str, key: str) -> None:
    assert key_of_image(name) == key


@pytest.mark.parametrize(
    ("address", "key"),
    [
        ("", HUB_KEY),
        ("docker.io", HUB_KEY),
        ("https://index.docker.io/v1/", HUB_KEY),
        ("https://h:5000/v2/", "h:5000"),
        ("http://h", "h"),
    ],
)
def test_an_address_means_a_registry(address: str, key: str) -> None:
    assert key_of_server(address) == key


@pytest.mark.parametrize(
    ("auths", "expected"),
    [
        ({"h:1": {"auth": pair("a:b:c")}}, Login("a", "b:c")),
        ({"https://h:1/v1/": {"auth": pair("a:b")}}, Login("a", "b")),
        ({"h:1": {"username": "a", "password": "b"}}, Login("a", "b")),
        ({"h:1": {"auth": pair("a:"), "identitytoken": "t"}}, Login("a", "", "t")),
        ({"h:1": {}}, Login()),
        ({"other": {"auth": pair("a:b")}}, Login()),
        ({}, Login()),
        ([], Login()),
    ],
    ids=["auth", "url", "fields", "token", "elsewhere", "other", "none", "no-object"],
)
def test_the_file_is_read_as_docker_does(place: Place, auths: object, expected: Login) -> None:
    place.write({"auths": auths})
    assert keychain.find("h:1") == expected


def test_no_file_is_nobody(place: Place) -> None:
    assert keychain.find("h") == Login()
    assert keychain.headers("h/a") == []


@pytest.mark.parametrize("content", ["{", "[]", '"x"', '{"auths": {"h.x": {"auth": "%"}}}'])
def test_a_damaged_file_is_said(place: Place, content: str) -> None:
    place.write({})
    place.config.write_text(content)
    with pytest.raises(InvalidArgumentError, match=r"config\.json"):
        keychain.find("h.x")
    warnings: list[str] = []
    assert keychain.headers("h.x/a", warnings.append) == []
    assert len(warnings) == 1


def test_a_login_without_keyring_goes_to_the_file(place: Place) -> None:
    place.write(
        {"psFormat": "x", "auths": {"other": {"auth": pair("o:p")}}, "HttpHeaders": {"a": "b"}}
    )
    place.config.chmod(0o644)
    kept = keychain.keep("h:1", Login("alice", "pä:ss"))
    assert (kept.helper, kept.path) == ("", place.config)
    assert stat.S_IMODE(place.config.stat().st_mode) == 0o600
    content = place.read()
    assert list(content) == ["psFormat", "auths", "HttpHeaders"]
    assert content["auths"] == {
        "other": {"auth": pair("o:p")},
        "h:1": {"auth": pair("alice:pä:ss")},
    }
    assert keychain.find("h:1") == Login("alice", "pä:ss")
    assert [each.name for each in place.config.parent.iterdir()] == ["config.json"]


def test_a_link_stays_a_link(place: Place, tmp_path: Path) -> None:
    real = tmp_path / "dotfiles.json"
    real.write_text("{}")
    place.config.parent.mkdir()
    place.config.symlink_to(real)
    keychain.keep("h", Login("a", "b"))
    assert place.config.is_symlink()
    assert "h" in real.read_text()


def test_an_identity_token_takes_the_place_of_the_password(place: Place) -> None:
    keychain.keep("h.x", Login("alice", "", "tok"))
    assert place.read()["auths"] == {"h.x": {"auth": pair("alice:"), "identitytoken": "tok"}}
    name, value = keychain.headers("h.x/a")[0]
    assert name == "X-Registry-Auth"
    assert json.loads(base64.urlsafe_b64decode(value)) == {
        "username": "alice",
        "identitytoken": "tok",
        "serveraddress": "h.x",
    }


def test_the_configured_store_keeps_the_secret(place: Place) -> None:
    place.helper("mine")
    place.write({"credsStore": "mine"})
    assert keychain.keep("h", Login("alice", "secret")).helper == "mine"
    assert "secret" not in place.config.read_text()
    assert place.read()["auths"] == {"h": {}}
    assert keychain.find("h") == Login("alice", "secret")
    assert keychain.forget("h")
    assert keychain.find("h") == Login()
    assert json.loads(place.store.read_text()) == {}


def test_a_registry_may_have_a_helper_of_its_own(place: Place) -> None:
    place.helper("mine")
    place.store.write_text(json.dumps({"h": ["<token>", "tok"]}))
    place.write({"credHelpers": {"h": "mine"}, "auths": {"other": {"auth": pair("a:b")}}})
    assert keychain.find("h") == Login(identity_token="tok")
    assert keychain.find("other") == Login("a", "b")


def test_a_keyring_that_works_is_found(place: Place) -> None:
    place.helper("secretservice")
    place.write({"auths": {"h": {"auth": pair("old:secret")}, "other": {"auth": pair("a:b")}}})
    assert keychain.keep("h", Login("alice", "secret")).helper == "secretservice"
    content = place.read()
    assert content["credHelpers"] == {"h": "secretservice"}
    assert content["auths"] == {"h": {}, "other": {"auth": pair("a:b")}}
    assert keychain.find("h") == Login("alice", "secret")


@pytest.mark.parametrize("with_program", [True, False], ids=["with-pass", "without-pass"])
def test_pass_needs_its_program(place: Place, *, with_program: bool) -> None:
    place.helper("pass")
    if with_program:
        place.program("pass")
    assert keychain.detect() == ("pass" if with_program else "")


def test_a_keyring_that_does_not_answer_is_not_used(place: Place) -> None:
    place.helper("secretservice", "#!/bin/sh\necho Cannot autolaunch D-Bus\nexit 1\n")
    assert keychain.keep("h", Login("alice", "secret")).helper == ""


def test_a_configured_helper_that_fails_keeps_nothing(place: Place) -> None:
    place.write({"credsStore": "gone"})
    with pytest.raises(UnavailableError, match="docker-credential-gone: executable file not found"):
        keychain.keep("h", Login("alice", "secret"))
    assert place.read() == {"credsStore": "gone"}


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("#!/bin/sh\necho locked\necho now\nexit 3\n", "locked now"),
        ("#!/bin/sh\nexit 3\n", "exit status 3"),
        ("#!/bin/sh\necho '[1]'\n", "not understood"),
        ("#!/bin/sh\necho nonsense\n", "not understood"),
        (f"#!{sys.executable}\nprint('x' * 2_000_000)\n", "larger than"),
        (f"#!{sys.executable}\nimport time; time.sleep(60)\n", "no answer within 0.3 seconds"),
    ],
    ids=["fails", "silent", "a-list", "no-json", "endless", "sleeps"],
)
def test_a_helper_that_misbehaves_is_an_error(place: Place, script: str, words: str) -> None:
    place.helper("bad", script)
    patience = 0.3 if "seconds" in words else 20
    with pytest.raises(UnavailableError, match=words) as caught:
        Helper("bad", patience=patience).get("h")
    assert "docker-credential-bad" in str(caught.value)


def test_a_helper_is_no_path() -> None:
    with pytest.raises(InvalidArgumentError):
        Helper("../../bin/sh")


def test_an_entry_shows_no_secret() -> None:
    entry = Login("alice", "p", "i", "r")
    assert f"{entry!r} {entry}" == "Login(username='alice') Login(username='alice')"


def test_logins_at_the_same_time_lose_nothing(place: Place) -> None:
    threads = [
        threading.Thread(target=keychain.keep, args=(f"h{number}", Login("a", "b")))
        for number in range(12)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(configfile.load().keys()) == {f"h{number}" for number in range(12)}


def test_an_error_leaves_the_file_as_it_was(place: Place) -> None:
    place.write({"auths": {}})
    with contextlib.suppress(RuntimeError), configfile.changing() as config:
        config.set("h", Login("a", "b"))
        raise RuntimeError
    assert place.read() == {"auths": {}}
