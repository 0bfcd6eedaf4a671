"""Who gets to see credentials: the registry, the token service that it names, nobody else."""

from __future__ import annotations

import base64
import json
import logging
import threading
from collections.abc import Callable
from urllib.parse import parse_qs

import pytest

from knarr.errors import InvalidArgumentError, KnarrError, UnauthenticatedError, UnavailableError
from knarr.remotes import Credentials, RegistryRule, Remotes, Repository, Rules, session
from support.docker_registry import Certificates
from support.registry_content import DIGEST, MANIFEST, descriptor, digest, manifest_reply
from support.registry_stub import HURRIED, Reply, Script, Seen, Stub, blob, stub

Connect = Callable[..., Repository]
TAG, BY_DIGEST = "/v2/a/b/manifests/1", f"/v2/a/b/manifests/{DIGEST}"
LOGIN = Credentials("someone", "pass:word")
BASIC = "Basic " + base64.b64encode(b"someone:pass:word").decode()
BLOB = f"/v2/a/b/blobs/{digest(MANIFEST)}"


def guarded(proof: str, reply: Script, challenge: str) -> Callable[[Seen], Reply]:
    """``reply`` for who sends ``proof``, else the challenge."""

    def answer(request: Seen) -> Reply:
        if request.headers.get("authorization") != proof:
            return Reply(401, {"WWW-Authenticate": challenge}, b"{}")
        return reply if isinstance(reply, Reply) else reply(request)

    return answer


def token(text: str = "t1", **more: object) -> Reply:
    return Reply(200, {}, json.dumps({"token": text, **more}).encode())


def bearer(service: Stub, path: str = "/token", more: str = "") -> str:
    return f'Bearer realm="{service.url}{path}",service="the service"{more}'


def test_basic(registry: Stub, connect: Connect) -> None:
    registry.on("GET", TAG, guarded(BASIC, manifest_reply(), 'Basic realm="x"'))
    repository = connect(f"{registry.host}/a/b", LOGIN)
    assert repository.manifest("1").digest == repository.manifest("1").digest == DIGEST
    proofs = [each.headers.get("authorization") for each in registry.seen("GET", TAG)]
    assert proofs == [None, BASIC, BASIC]


def test_wrong_password(registry: Stub, connect: Connect) -> None:
    registry.on("GET", TAG, guarded("another", manifest_reply(), 'Basic realm="x"'))
    with pytest.raises(UnauthenticatedError) as caught:
        connect(f"{registry.host}/a/b", LOGIN).manifest("1")
    assert str(caught.value) == "unauthorized: authentication required"
    assert len(registry.seen("GET", TAG)) == 2


def test_a_token_is_asked_for_once(registry: Stub, other: Stub, connect: Connect) -> None:
    registry.on("GET", TAG, guarded("Bearer t1", manifest_reply(), bearer(other)))
    registry.on("GET", BLOB, guarded("Bearer t1", blob(MANIFEST), bearer(other)))
    other.on("GET", "/token", token())
    repository = connect(f"{registry.host}/a/b", LOGIN)
    repository.manifest("1")
    with repository.open_blob(descriptor(MANIFEST)) as stream:
        assert stream.read() == MANIFEST
    [asked] = other.seen("GET", "/token")
    assert asked.headers["authorization"] == BASIC
    query = parse_qs(asked.target.partition("?")[2])
    assert (query["service"], query["scope"]) == (["the service"], ["repository:a/b:pull"])
    assert (query["account"], query["client_id"]) == (["someone"], ["knarr"])
    assert len(registry.seen("GET", BLOB)) == 1  # with the token at once


def test_an_anonymous_token(registry: Stub, other: Stub, connect: Connect) -> None:
    registry.on("GET", TAG, guarded("Bearer t1", manifest_reply(), bearer(other)))
    other.on("GET", "/token", Reply(200, {}, b'{"access_token":"t1"}'))
    connect(f"{registry.host}/a/b").manifest("1")
    assert "authorization" not in other.seen("GET", "/token")[0].headers


def test_many_at_once_ask_for_one_token(registry: Stub, other: Stub, connect: Connect) -> None:
    registry.on("GET", TAG, guarded("Bearer t1", manifest_reply(), bearer(other)))
    other.on("GET", "/token", token())
    repository = connect(f"{registry.host}/a/b")
    threads = [threading.Thread(target=repository.manifest, args=["1"]) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    # who was refused with a token that came meanwhile may ask once more, nobody else
    assert len(other.seen("GET", "/token")) <= 2


def test_a_token_that_ended_is_asked_for_again(
    registry: Stub, other: Stub, connect: Connect
) -> None:
    challenge = bearer(other, more=',error="invalid_token"')
    first = guarded("Bearer t1", manifest_reply(), challenge)
    registry.on("GET", TAG, first, first, guarded("Bearer t2", manifest_reply(), challenge))
    other.on("GET", "/token", token("t1"), token("t2"))
    repository = connect(f"{registry.host}/a/b")
    assert repository.manifest("1").digest == repository.manifest("1").digest


def test_scopes_of_pushing(registry: Stub, other: Stub, connect: Connect) -> None:
    extra = ',scope="repository:a/b:pull repository:prefix/a/b:pull"'
    registry.on("PUT", TAG, guarded("Bearer t1", Reply(201), bearer(other, more=extra)))
    other.on("GET", "/token", token())
    connect(f"{registry.host}/a/b").push_manifest("1", MANIFEST, "x/y")
    query = parse_qs(other.seen("GET", "/token")[0].target.partition("?")[2])
    assert query["scope"] == ["repository:a/b:pull,push", "repository:prefix/a/b:pull"]
    assert registry.seen("PUT", TAG)[1].body == MANIFEST


def test_an_identity_token_is_sent_as_oauth2(registry: Stub, other: Stub, connect: Connect) -> None:
    registry.on("GET", TAG, guarded("Bearer t1", manifest_reply(), bearer(other)))
    other.on("POST", "/token", token())
    connect(f"{registry.host}/a/b", Credentials("x", "", "the refresh")).manifest("1")
    [asked] = other.seen("POST", "/token")
    assert "authorization" not in asked.headers
    form = parse_qs(asked.body.decode())
    assert (form["grant_type"], form["refresh_token"]) == (["refresh_token"], ["the refresh"])
    assert form["scope"] == ["repository:a/b:pull"]


def test_a_registry_token_is_sent_as_it_is(registry: Stub, connect: Connect) -> None:
    registry.on("GET", TAG, guarded("Bearer raw", manifest_reply(), "Basic"))
    connect(f"{registry.host}/a/b", Credentials(registry_token="raw")).manifest("1")


def test_a_registry_token_that_is_none_is_not_shown(registry: Stub, connect: Connect) -> None:
    repository = connect(f"{registry.host}/a/b", Credentials(registry_token="hid\r\nden: x"))
    with pytest.raises(UnauthenticatedError) as caught:
        repository.manifest("1")
    assert str(caught.value) == "invalid registry token"


def test_a_token_is_not_used_beyond_its_life(
    registry: Stub, other: Stub, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("knarr.remotes.tokens._SHORTEST_LIFE", 10.0)  # as much as is left unused
    registry.on("GET", TAG, guarded("Bearer t1", manifest_reply(), bearer(other)))
    other.on("GET", "/token", token(expires_in=1))
    repository = connect(f"{registry.host}/a/b")
    repository.manifest("1")
    repository.manifest("1")
    assert len(other.seen("GET", "/token")) == 3  # the second time at once, before any refusal
    assert len(registry.seen("GET", TAG)) == 3


@pytest.mark.parametrize(
    ("value", "least", "most"),
    [
        ("5", 5, 5),
        ("", None, None),
        ("soon", None, None),
        ("-1", None, None),
        ("1e9", None, None),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 0, 0),
        ("Wed, 21 Oct 2999 07:28:00 GMT", 1e9, 1e11),
        ("9" * 400, None, None),
    ],
    ids=range(8),
)
def test_retry_after(value: str, least: float | None, most: float | None) -> None:
    class Given:
        def header(self, name: str) -> str:
            return value

    found = session._retry_after(Given())  # type: ignore[arg-type]
    if least is None or most is None:
        assert found is None
    else:
        assert found is not None
        assert least <= found <= most


def test_insufficient_scope_is_denied(registry: Stub, other: Stub, connect: Connect) -> None:
    more = ',error="insufficient_scope"'
    registry.on("GET", TAG, guarded("never", manifest_reply(), bearer(other, more=more)))
    other.on("GET", "/token", token())
    with pytest.raises(KnarrError) as caught:
        connect(f"{registry.host}/a/b").manifest("1")
    assert str(caught.value) == (
        f"pull access denied for {registry.host}/a/b, repository does not exist or may require "
        "'docker login': denied: requested access to the resource is denied"
    )


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        (Reply(401, {}, b'{"details":"incorrect username or password"}'),
         "unauthorized: incorrect username or password"),
        (Reply(401, {}, b'{"errors":[{"code":"UNAUTHORIZED","message":"you said pass:word"}]}'),
         "unauthorized: you said xxxxx"),
        (Reply(200, {}, b"{}"), "gave no token"),
        (Reply(200, {}, b'{"token":"a\\r\\nb"}'), "gave no token"),
        (Reply(200, {}, b"<html>"), "gave no token"),
        (Reply(200, {}, b"x", length=2 << 20), "gave no token"),
        (Reply(302, {"Location": "http://127.0.0.1:1/"}), "received unexpected HTTP status: 302"),
        (Reply(500), "received unexpected HTTP status: 500"),
    ],
    ids=["password", "echo", "empty", "newline", "html", "large", "redirect", "500"],
)  # fmt: skip
def test_bad_token_services(
    registry: Stub, other: Stub, connect: Connect, reply: Reply, words: str
) -> None:
    registry.on("GET", TAG, guarded("Bearer t1", manifest_reply(), bearer(other)))
    other.on("GET", "/token", reply)
    with pytest.raises(KnarrError) as caught:
        connect(f"{registry.host}/a/b", LOGIN).manifest("1")
    assert words in str(caught.value)
    assert "pass:word" not in str(caught.value)


def secure(host: str, certificates: Certificates) -> Rules:
    return Rules({host: RegistryRule(ca=str(certificates.ca))})


@pytest.mark.usefixtures("names")
def test_no_credentials_to_a_token_service_without_tls(
    certificates: Certificates, other: Stub, connect: Connect
) -> None:
    with stub(certificates.context()) as registry:
        host = f"registry.test:{registry.port}"
        registry.on("GET", TAG, guarded("Bearer t1", manifest_reply(), bearer(other)))
        repository = connect(f"{host}/a/b", LOGIN, rules=secure(host, certificates))
        with pytest.raises(UnauthenticatedError, match="is not spoken to without TLS"):
            repository.manifest("1")
    assert not other.requests


@pytest.mark.parametrize("kind", ["basic", "bearer"])
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_credentials_stay_when_another_host_is_named(
    registry: Stub,
    other: Stub,
    connect: Connect,
    caplog: pytest.LogCaptureFixture,
    kind: str,
    status: int,
) -> None:
    caplog.set_level(logging.DEBUG)
    away = Reply(status, {"Location": f"{other.url}/there?signature=x"})
    if kind == "basic":
        script = guarded(BASIC, away, "Basic realm=x")
    else:
        script = guarded("Bearer t1", away, bearer(registry))
    registry.on("GET", "/token", token())
    registry.on("GET", TAG, script)
    other.on("GET", "/there", manifest_reply())
    assert connect(f"{registry.host}/a/b", LOGIN).manifest("1").digest == DIGEST
    [came] = other.seen("GET", "/there")
    assert "authorization" not in came.headers
    assert not {"someone", "pass:word", "t1"} & set(str(came).split("'"))
    assert "signature" not in caplog.text


def test_another_host_that_asks_for_credentials_gets_none(
    registry: Stub, other: Stub, connect: Connect
) -> None:
    away = Reply(307, {"Location": f"{other.url}/there"})
    registry.on("GET", TAG, guarded(BASIC, away, "Basic realm=x"))
    other.on("GET", "/there", Reply(401, {"WWW-Authenticate": "Basic realm=y"}))
    with pytest.raises(UnauthenticatedError):
        connect(f"{registry.host}/a/b", LOGIN).manifest("1")
    assert ["authorization" in each.headers for each in other.seen("GET", "/there")] == [False]


def test_credentials_go_along_on_the_same_host(registry: Stub, connect: Connect) -> None:
    registry.on("GET", TAG, guarded(BASIC, Reply(307, {"Location": "/there"}), "Basic realm=x"))
    registry.on("GET", "/there", guarded(BASIC, manifest_reply(), "Basic realm=x"))
    assert connect(f"{registry.host}/a/b", LOGIN).manifest("1").digest == DIGEST


def test_redirects_end(registry: Stub, connect: Connect) -> None:
    registry.on("GET", TAG, Reply(302, {"Location": TAG}))
    with pytest.raises(InvalidArgumentError, match="stopped after 5 redirects"):
        connect(f"{registry.host}/a/b").manifest("1")
    for location in ("", "file:///etc/passwd", "http://u:p@127.0.0.1/", "x" * 9000):
        registry.on("GET", TAG, Reply(302, {"Location": location}))
        with pytest.raises(InvalidArgumentError, match="redirect: invalid address"):
            connect(f"{registry.host}/a/b").manifest("1")


@pytest.mark.usefixtures("names")
def test_from_tls_to_none_only_for_what_is_checked(
    certificates: Certificates, other: Stub, connect: Connect
) -> None:
    with stub(certificates.context()) as registry:
        host = f"registry.test:{registry.port}"
        for path in (TAG, BY_DIGEST):
            away = Reply(307, {"Location": f"{other.url}/there"})
            registry.on("GET", path, guarded(BASIC, away, "Basic realm=x"))
        other.on("GET", "/there", manifest_reply())
        repository = connect(f"{host}/a/b", LOGIN, rules=secure(host, certificates))
        with pytest.raises(InvalidArgumentError, match="redirect from https to http"):
            repository.manifest("1")
        assert not other.requests
        assert repository.manifest(DIGEST).digest == DIGEST
    assert "authorization" not in other.seen("GET", "/there")[0].headers


def test_a_mirror_gets_no_credentials(registry: Stub, other: Stub, connect: Connect) -> None:
    other.on("GET", TAG, guarded(BASIC, manifest_reply(), "Basic realm=x"))
    registry.on("GET", TAG, guarded(BASIC, manifest_reply(), "Basic realm=x"))
    rules = Rules({registry.host: RegistryRule(mirrors=(other.url,))})
    assert connect(f"{registry.host}/a/b", LOGIN, rules=rules).manifest("1").digest == DIGEST
    assert ["authorization" in each.headers for each in other.requests] == [False]


def test_one_persons_token_is_not_anothers(registry: Stub, other: Stub) -> None:
    from knarr.oci import reference

    registry.on("GET", TAG, guarded("Bearer t1", manifest_reply(), bearer(other)))
    other.on("GET", "/token", guarded(BASIC, token(), "Basic"))
    remotes = Remotes(None, HURRIED)
    name = reference.parse_normalized(f"{registry.host}/a/b")
    remotes.repository(name, LOGIN).manifest("1")
    for wrong in (None, Credentials("someone", "else")):
        with pytest.raises(UnauthenticatedError):
            remotes.repository(name, wrong).manifest("1")
    remotes.close()


def test_login(registry: Stub, other: Stub, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    remotes = Remotes(None, HURRIED)
    registry.on("GET", "/v2/", guarded("Bearer t1", Reply(200), bearer(other)))
    other.on("GET", "/token", guarded(BASIC, token(refresh_token="identity"), "Basic realm=x"))
    assert remotes.check_login(f"https://{registry.host}/v1/", LOGIN) == "identity"
    assert "offline_token=true" in other.requests[-1].target
    with pytest.raises(UnauthenticatedError) as caught:
        remotes.check_login(registry.host, Credentials("someone", "wrong one"))
    assert str(caught.value) == (f'Get "{registry.url}/v2/": unauthorized: authentication required')
    registry.on("GET", "/v2/", guarded(BASIC, Reply(200), "Basic realm=x"))
    assert remotes.check_login(registry.host, LOGIN) == ""
    with pytest.raises(UnauthenticatedError) as caught:
        remotes.check_login(registry.host, Credentials("someone", "wrong one"))
    words = f"login attempt to {registry.url}/v2/ failed with status: 401 Unauthorized"
    assert str(caught.value) == words
    assert "pass:word" not in caplog.text
    assert "wrong one" not in caplog.text
    remotes.close()


@pytest.mark.usefixtures("names")
def test_certificates_are_verified(certificates: Certificates, connect: Connect) -> None:
    with stub(certificates.context()) as registry:
        registry.on("GET", TAG, manifest_reply())
        host = f"registry.test:{registry.port}"
        with pytest.raises(UnavailableError) as caught:
            connect(f"{host}/a/b").manifest("1")
        assert str(caught.value) == (
            f'Get "https://{host}/v2/": tls: failed to verify certificate: x509: '
            "certificate signed by unknown authority"
        )
        assert connect(f"{host}/a/b", rules=secure(host, certificates)).manifest("1")
        wrong = f"sub.registry.test:{registry.port}"
        with pytest.raises(UnavailableError, match=r"certificate is not valid for sub"):
            connect(f"{wrong}/a/b", rules=secure(wrong, certificates)).manifest("1")
        assert connect(f"{wrong}/a/b", rules=Rules({}, (wrong,))).manifest("1")


@pytest.mark.usefixtures("names")
def test_without_tls_only_if_it_may_be(registry: Stub, connect: Connect) -> None:
    registry.on("GET", TAG, manifest_reply())
    host = f"registry.test:{registry.port}"
    with pytest.raises(UnavailableError) as caught:
        connect(f"{host}/a/b").manifest("1")
    words = f'Get "https://{host}/v2/": http: server gave HTTP response to HTTPS client'
    assert str(caught.value) == words
    assert not registry.requests
    assert connect(f"{host}/a/b", rules=Rules({}, ("127.0.0.0/8",))).manifest("1")


@pytest.mark.usefixtures("names")
def test_our_certificate_is_shown_to_the_registry_alone(
    certificates: Certificates, connect: Connect
) -> None:
    with (
        stub(certificates.context(client=True)) as registry,
        stub(certificates.context(client=True)) as elsewhere,
    ):
        host = f"registry.test:{registry.port}"
        mine = RegistryRule(
            ca=str(certificates.ca),
            client_cert=str(certificates.cert),
            client_key=str(certificates.key),
        )
        registry.on("GET", BY_DIGEST, manifest_reply())
        with pytest.raises(UnavailableError):
            connect(f"{host}/a/b", rules=secure(host, certificates)).manifest(DIGEST)
        repository = connect(f"{host}/a/b", rules=Rules({host: mine}))
        assert repository.manifest(DIGEST).digest == DIGEST
        other = f"https://other.test:{elsewhere.port}/there"
        registry.on("GET", BY_DIGEST, Reply(307, {"Location": other}))
        elsewhere.on("GET", "/there", manifest_reply())
        with pytest.raises(UnavailableError):
            repository.manifest(DIGEST)
        assert not elsewhere.requests


def test_a_proxy_carries_it(
    registry: Stub, other: Stub, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", f"http://me:hidden@{other.host}")
    rules = Rules({"docker.io": RegistryRule(mirrors=("http://mirror.example.invalid",))})
    other.on("GET", "http://mirror.example.invalid/v2/library/x/manifests/1", manifest_reply())
    assert connect("x", rules=rules).manifest("1").digest == DIGEST
    assert "proxy-authorization" in other.requests[-1].headers
    registry.on("GET", TAG, manifest_reply())
    assert connect(f"{registry.host}/a/b").manifest("1").digest == DIGEST  # never this machine
    assert len(other.requests) == 1
