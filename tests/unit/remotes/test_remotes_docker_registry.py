"""Against docker-registry: what is pushed is what is pulled, byte for byte."""

from __future__ import annotations

import io
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

import pytest

from knarr.errors import NotFoundError, UnauthenticatedError, UnavailableError
from knarr.oci import manifest as documents
from knarr.oci import reference
from knarr.oci.descriptor import DOCKER_MANIFEST, OCI_CONFIG, OCI_MANIFEST
from knarr.remotes import Credentials, RegistryRule, Remotes, Repository, Rules
from support.docker_registry import PASSWORD, USER, Certificates, docker_registry
from support.registry_content import CONFIG, descriptor, digest
from support.registry_stub import HURRIED

pytestmark = pytest.mark.needs_peer("docker-registry")

Connect = Callable[..., Repository]
LAYER = random.Random(3).randbytes(5_000_000)
MANIFEST = documents.encode_manifest(descriptor(CONFIG, OCI_CONFIG), (descriptor(LAYER),))


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with docker_registry(tmp_path_factory.mktemp("registry")) as running:
        yield running


def opener(data: bytes) -> Callable[[int], BinaryIO]:
    def open_at(offset: int) -> BinaryIO:
        stream = io.BytesIO(data)
        stream.seek(offset)
        return stream

    return open_at


def push(repository: Repository, tag: str = "1") -> None:
    for data in (CONFIG, LAYER):
        repository.push_blob(descriptor(data), opener(data))
    assert repository.push_manifest(tag, MANIFEST, OCI_MANIFEST) == digest(MANIFEST)


def pulled(repository: Repository, tag: str = "1") -> bytes:
    found = repository.resolve(tag)
    assert (found.digest, found.size) == (digest(MANIFEST), len(MANIFEST))
    document = repository.manifest(found.digest)
    assert document.raw == MANIFEST
    assert isinstance(document.view, documents.Manifest)
    with repository.open_blob(document.view.layers[0]) as stream:
        return stream.read()


def test_there_and_back(host: str, connect: Connect) -> None:
    repository = connect(f"{host}/some/where")
    assert repository.has_blob(digest(LAYER)) is None
    push(repository)
    assert repository.has_blob(digest(LAYER)) == len(LAYER)
    assert pulled(repository) == LAYER
    with repository.open_blob(descriptor(LAYER), 4_999_990) as stream:
        assert stream.read() == LAYER[-10:]
    assert not repository.referrers(digest(MANIFEST)).manifests


def test_mounting_and_tags(host: str, connect: Connect) -> None:
    push(connect(f"{host}/from"))
    repository = connect(f"{host}/to")
    assert repository.mount_blob(digest(LAYER), "from")
    assert repository.has_blob(digest(LAYER)) == len(LAYER)
    assert not repository.mount_blob(digest(b"nothing"), "from")
    repository.mount_blob(digest(CONFIG), "from")
    tags = [f"t{number:03}" for number in range(120)]
    for tag in tags:
        repository.push_manifest(tag, MANIFEST, OCI_MANIFEST)
    assert sorted(repository.tags()) == tags


def test_words(host: str, connect: Connect) -> None:
    push(connect(f"{host}/known"))
    with pytest.raises(NotFoundError) as caught:
        connect(f"{host}/known").resolve("2")
    words = f"manifest for {host}/known:2 not found: manifest unknown: manifest unknown"
    assert str(caught.value) == words
    with pytest.raises(NotFoundError, match=r"repository .*/unknown not found: name unknown"):
        list(connect(f"{host}/unknown").tags())


def test_a_manifest_of_another_type_is_refused(host: str, connect: Connect) -> None:
    repository = connect(f"{host}/types")
    push(repository)
    with pytest.raises(Exception, match="manifest"):
        repository.push_manifest("2", MANIFEST, DOCKER_MANIFEST)


def test_as_a_mirror_of_docker_io(host: str, connect: Connect) -> None:
    push(connect(f"{host}/library/thing"))
    rules = Rules({"docker.io": RegistryRule(mirrors=(f"http://{host}",))})
    assert pulled(connect("thing", rules=rules)) == LAYER


def test_with_password_and_tls(
    tmp_path: Path, certificates: Certificates, connect: Connect
) -> None:
    with docker_registry(tmp_path, auth=True, certificates=certificates) as host:
        secure = Rules({host: RegistryRule(ca=str(certificates.ca))})
        login = Credentials(USER, PASSWORD)
        push(connect(f"{host}/a", login, rules=secure))
        assert pulled(connect(f"{host}/a", login)) == LAYER  # loopback: not verified
        with pytest.raises(UnauthenticatedError) as caught:
            connect(f"{host}/a").resolve("1")
        words = f'Head "https://{host}/v2/a/manifests/1": no basic auth credentials'
        assert str(caught.value) == words
        wrong = Credentials(USER, "wrong")
        with pytest.raises(UnauthenticatedError) as caught:
            connect(f"{host}/a", wrong).manifest("1")
        assert str(caught.value) == "unauthorized: authentication required"
        remotes = Remotes(secure, HURRIED)
        assert remotes.check_login(host, login) == ""
        with pytest.raises(UnauthenticatedError, match="401 Unauthorized"):
            remotes.check_login(host, wrong)
        remotes.close()


@pytest.mark.usefixtures("names")
def test_the_folder_of_certificates_is_read(
    tmp_path: Path, certificates: Certificates, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("knarr.remotes.tls.FOLDERS", (tmp_path / "certs.d",))
    with docker_registry(tmp_path / "r", certificates=certificates) as running:
        host = f"registry.test:{running.partition(':')[2]}"
        with pytest.raises(UnavailableError, match="certificate signed by unknown authority"):
            connect(f"{host}/a").resolve("1")
        folder = tmp_path / "certs.d" / host
        folder.mkdir(parents=True)
        (folder / "ca.crt").write_bytes(certificates.ca.read_bytes())
        push(connect(f"{host}/a"))
        remotes = Remotes(None, HURRIED)
        name = reference.parse_normalized(f"{host}/a")
        assert pulled(remotes.repository(name)) == LAYER
        (folder / "ca.crt").unlink()  # no restart is needed for either
        with pytest.raises(UnavailableError, match="certificate signed by unknown authority"):
            remotes.repository(name).resolve("1")
        remotes.close()
