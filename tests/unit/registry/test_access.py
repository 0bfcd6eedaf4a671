"""Roles, passwords, tokens, limits and the audit log, each by itself."""

from __future__ import annotations

import json
import time
from pathlib import Path

import bcrypt
import pytest

from knarr.errors import InvalidArgumentError, UnavailableError
from knarr.registry.access import limits
from knarr.registry.access.audit import Audit
from knarr.registry.access.htpasswd import Htpasswd
from knarr.registry.access.limits import RateLimit
from knarr.registry.access.roles import Roles, Rule
from knarr.registry.access.tokens import Signer, Token, load_key
from knarr.registry.refusals import RefusedError

ROLES = Roles(
    [
        Rule(["public/**"], ["anonymous", "*"], "pull"),
        Rule(["team/*"], ["ann"], "push"),
        Rule(["team/app"], ["ann"], "delete"),
        Rule(["**"], ["root"], "admin"),
    ]
)


@pytest.mark.parametrize(
    ("user", "action", "repository", "may"),
    [
        ("", "pull", "public/a/b", True),
        ("", "push", "public/a", False),
        ("", "pull", "public", False),
        ("bob", "pull", "public/a", True),
        ("bob", "pull", "team/app", False),
        ("ann", "push", "team/lib", True),
        ("ann", "pull", "team/lib", True),
        ("ann", "delete", "team/lib", False),
        ("ann", "delete", "team/app", True),
        ("ann", "push", "team/a/b", False),
        ("root", "admin", "any/thing", True),
        ("root", "fly", "any/thing", False),
        ("anonymous", "push", "public/a", False),
        ("", "admin", "public/a", False),
    ],
)
def test_roles(user: str, action: str, repository: str, may: bool) -> None:
    assert ROLES.may(user, action, repository) is may


def test_a_pattern_is_no_expression() -> None:
    roles = Roles([Rule(["a.b/(x|y)*"], ["*"], "pull")])
    assert not roles.may("u", "pull", "aXb/x")
    assert not roles.may("u", "pull", "a.b/x")


def test_an_unknown_role_is_refused() -> None:
    with pytest.raises(InvalidArgumentError, match='unknown role "write"'):
        Roles([Rule(["**"], ["*"], "write")])


def hashed(password: str) -> str:
    return bcrypt.hashpw(password.encode(), bcrypt.gensalt(4)).decode()


@pytest.fixture
def users(tmp_path: Path) -> Htpasswd:
    (tmp_path / "htpasswd").write_text(f"# users\n\nann:{hashed('secret')}\nbob:{hashed('')}\n")
    return Htpasswd(str(tmp_path / "htpasswd"))


@pytest.mark.parametrize(
    ("user", "password", "right"),
    [
        ("ann", "secret", True),
        ("ann", "Secret", False),
        ("ann", "", False),
        ("bob", "", True),
        ("nobody", "secret", False),
        ("", "", False),
        ("ann", "secret\0more", False),
        ("ann", "x" * 100, False),
    ],
    ids=["right", "wrong", "empty", "none-set", "unknown", "nobody", "nul", "long"],
)
def test_passwords(users: Htpasswd, user: str, password: str, right: bool) -> None:
    for _ in range(2):
        assert users.check(user, password) is right


def test_a_changed_file_counts_at_once(users: Htpasswd, tmp_path: Path) -> None:
    assert users.check("ann", "secret")
    (tmp_path / "htpasswd").write_text(f"ann:{hashed('other')}\n")
    assert not users.check("ann", "secret")
    assert users.check("ann", "other")
    (tmp_path / "htpasswd").unlink()
    with pytest.raises(UnavailableError):
        users.check("ann", "other")


@pytest.mark.parametrize("line", ["ann", "ann:{SHA}xyz", "ann:$apr1$x"])
def test_other_kinds_of_passwords_are_refused(tmp_path: Path, line: str) -> None:
    (tmp_path / "htpasswd").write_text(f"{line}\n")
    with pytest.raises(InvalidArgumentError, match="line 1"):
        Htpasswd(str(tmp_path / "htpasswd"))


def token(seconds: float = 60) -> Token:
    return Token("ann", time.time() + seconds, {"team/app": ["pull"]})


def test_tokens(tmp_path: Path) -> None:
    key = load_key(tmp_path / "key")
    assert load_key(tmp_path / "key") == key
    text = Signer(key).sign(token())
    found = Signer(key).check(text)
    assert found is not None
    assert found.may("pull", "team/app")
    assert not found.may("push", "team/app")
    assert not found.may("pull", "team/other")


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text[:-2],
        lambda text: "x" + text,
        lambda text: text.partition(".")[0],
        lambda text: text.partition(".")[0] + ".",
        lambda text: "." + text.partition(".")[2],
        lambda _: "",
        lambda _: "a" * 100_000,
        lambda _: "é.é",
    ],
    ids=["short", "changed", "no-dot", "unsigned", "empty-payload", "empty", "long", "no-ascii"],
)
def test_tokens_that_are_not_ours(change: object) -> None:
    signer = Signer(b"k" * 32)
    assert signer.check(change(signer.sign(token()))) is None  # type: ignore[operator]
    assert Signer(b"other" * 8).check(signer.sign(token())) is None
    assert signer.check(signer.sign(token(-1))) is None


def test_a_key_that_others_may_read_is_refused(tmp_path: Path) -> None:
    load_key(tmp_path / "key")
    (tmp_path / "key").chmod(0o644)
    with pytest.raises(InvalidArgumentError, match="others may read"):
        load_key(tmp_path / "key")


def test_too_many_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1000.0]
    monkeypatch.setattr(limits.time, "monotonic", lambda: now[0])
    limit = RateLimit(rate=2, burst=3)
    for _ in range(3):
        limit.take("a")
    with pytest.raises(RefusedError) as refused:
        limit.take("a")
    assert refused.value.code.status == 429
    assert refused.value.headers["Retry-After"] == "1"
    limit.take("b")
    now[0] += 0.5
    limit.take("a")
    with pytest.raises(RefusedError):
        limit.take("a")


def test_the_buckets_of_the_quiet_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "_MOST_BUCKETS", 10)
    limit = RateLimit(rate=1000, burst=2)
    for number in range(100):
        limit.take(str(number))
    assert len(limit._buckets) <= 10


def test_the_audit_log(tmp_path: Path) -> None:
    path = tmp_path / "audit"
    audit = Audit(path)
    common = {"user": "ann", "peer": "127.0.0.1", "path": "/v2/a/manifests/1"}
    audit.note(**common, method="GET", status=200)
    audit.note(**common, method="PUT", status=201)
    path.rename(tmp_path / "audit.1")
    audit.note(**common, method="GET", status=403)
    audit.close()
    (first,) = map(json.loads, (tmp_path / "audit.1").read_text().splitlines())
    (second,) = map(json.loads, path.read_text().splitlines())
    assert (first["method"], first["status"], first["user"]) == ("PUT", 201, "ann")
    assert (second["method"], second["status"]) == ("GET", 403)
    assert path.stat().st_mode & 0o777 == 0o600
