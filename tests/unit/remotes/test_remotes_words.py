"""What is read and judged without a connection: challenges, addresses, rules, links."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from knarr.errors import InvalidArgumentError
from knarr.remotes import Credentials, RegistryRule, Rules, challenge, failure, rules, tls, urls
from knarr.remotes.challenge import Challenge


@pytest.mark.parametrize(
    ("values", "found"),
    [
        ([], []),
        (["Basic"], [("basic", {})]),
        (['Basic realm="a b"'], [("basic", {"realm": "a b"})]),
        (['bearer Realm="r",service = s , scope="a:b,c d"'],
         [("bearer", {"realm": "r", "service": "s", "scope": "a:b,c d"})]),
        (['Basic realm="x", Bearer realm="y\\"z\\\\"'],
         [("basic", {"realm": "x"}), ("bearer", {"realm": 'y"z\\'})]),
        (['Negotiate', 'Bearer realm="y"'], [("negotiate", {}), ("bearer", {"realm": "y"})]),
        (['Negotiate abc=, Basic realm=q'], [("negotiate", {}), ("basic", {"realm": "q"})]),
        (['Basic realm="a", realm="b"'], [("basic", {"realm": "a"})]),
        (['Bearer realm="never ends'], [("bearer", {})]),
        (['"', ',,,', '=', 'Basic realm="' + "a" * 9000 + '"'], []),
    ],
    ids=["none", "scheme", "quoted", "loose", "two", "headers", "token68", "twice", "open", "junk"],
)  # fmt: skip
def test_challenges(values: list[str], found: list[tuple[str, dict[str, str]]]) -> None:
    assert challenge.parse(values)[: len(found)] == [Challenge(*each) for each in found]


def test_many_challenges_are_bounded() -> None:
    assert len(challenge.parse(["a " + ", a" * 2000] * 9)) <= 16


@pytest.mark.parametrize(
    ("base", "location", "result"),
    [
        ("https://a/x/y?z", "w", "https://a/x/w"),
        ("https://a/x", "/w?k=v", "https://a/w?k=v"),
        ("https://a/x", "//b:8/w", "https://b:8/w"),
        ("https://a/x", "http://[::1]:80/w", "http://[::1]/w"),
    ],
    ids=["relative", "path", "host", "ip6"],
)
def test_locations(base: str, location: str, result: str) -> None:
    url = urls.parse(base).joined(location)
    assert f"{url.origin}{url.target}" == result
    assert "?" not in url.shown


@pytest.mark.parametrize(
    "text",
    ["", "x", "ftp://a/", "file:///etc/passwd", "https:///x", "https://u:p@a/", "https://u@a/",
     "https://a:99999/", "https://a:0/", "https://a b/", "https://a/\r\nHost: b", "https://a\\b/",
     "https://é/", "https://a/" + "x" * 9000, "https://a%00b/"],
    ids=range(15),
)  # fmt: skip
def test_bad_addresses(text: str) -> None:
    with pytest.raises(InvalidArgumentError):
        urls.parse(text)


@pytest.mark.parametrize(
    ("host", "is_insecure"),
    [
        ("localhost", True),
        ("localhost:5000", True),
        ("a.localhost", True),
        ("127.0.0.1:5000", True),
        ("127.9.9.9", True),
        ("[::1]:5000", True),
        ("a.example:5000", True),
        ("A.example:5000", True),
        ("a.example", False),
        ("10.1.2.3", True),
        ("11.1.2.3", False),
        ("[fd00::1]:1", True),
        ("table.example", True),
        ("docker.io", False),
    ],
)
def test_insecure_registries(host: str, is_insecure: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rules, "_resolved", lambda name: [])
    tables = {"table.example": RegistryRule(insecure=True)}
    found = Rules(tables, ("a.example:5000", "10.0.0.0/8", "fd00::/8"))
    assert found.is_insecure(host) == is_insecure


@pytest.mark.usefixtures("names")
def test_a_name_is_insecure_only_inside_a_named_network() -> None:
    assert not Rules().is_insecure("a.test")  # this machine, but that is what the name's owner says
    assert Rules({}, ("127.0.0.0/8",)).is_insecure("a.test")
    assert not Rules({}, ("10.0.0.0/8",)).is_insecure("b.example.invalid")


def test_certificates_of_both_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    docker, own = tmp_path / "docker", tmp_path / "own"
    monkeypatch.setattr(tls, "FOLDERS", (docker, own))
    for folder, name in ((docker, "a.crt"), (own, "b.crt"), (own, "c.cert"), (own, "c.key")):
        (folder / "r.example:5000").mkdir(parents=True, exist_ok=True)
        (folder / "r.example:5000" / name).touch()
    rule = RegistryRule(ca="/ca.pem")
    found = tls.found(rule, ("r.example:5000",), verify=True)
    names = [Path(each).name for each in found.authorities]
    assert names == ["a.crt", "b.crt", "ca.pem"]
    assert (Path(found.client_cert).name, Path(found.client_key).name) == ("c.cert", "c.key")
    others = found.for_other_hosts()
    assert (others.authorities, others.client_cert, others.client_key) == (found[1], "", "")
    assert tls.found(rule, ("other.example",), verify=True).authorities == ("/ca.pem",)
    (own / "r.example:5000/c.key").unlink()
    with pytest.raises(InvalidArgumentError, match=r"missing key c.key for client certificate c"):
        tls.found(rule, ("r.example:5000",), verify=True)
    with pytest.raises(InvalidArgumentError, match=r'certificates "/ca.pem": .*No such file'):
        tls.Tls(True, ("/ca.pem",)).context()


def test_secrets_are_not_shown() -> None:
    login = Credentials("someone", "hidden1", "hidden2", "hidden3")
    assert "hidden" not in f"{login} {login!r} {[login]}"
    text = failure.shown("you sent hidden1\nand\x1b[31m more " + "x" * 999, [login.password])
    assert text.startswith("you sent xxxxx and [31m more xxx")
    assert len(text) < 600


def test_the_client_of_http_is_loaded_only_when_it_is_needed() -> None:
    code = "import sys, knarr.remotes as r; r.Remotes(); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"urllib3", "ssl", "http.client"} & set(done.stdout.split())
