"""Manifests, tags, the catalogue and referrers as the distribution specification wants them."""

from __future__ import annotations

import hashlib
import json

import pytest

from support.registry import OCI_INDEX, OCI_MANIFEST, RegistryServer, sha256

NAME = "manifests/of-a-test"
ABSENT = sha256(b"never pushed")


def test_by_tag_and_by_digest(registry: RegistryServer) -> None:
    digest = registry.push_image(NAME, "one", b"layer")
    by_tag = registry.ask("GET", f"/v2/{NAME}/manifests/one")
    by_digest = registry.ask("GET", f"/v2/{NAME}/manifests/{digest}")
    assert (by_tag.status, by_digest.status) == (200, 200)
    assert by_tag.body == by_digest.body
    assert sha256(by_tag.body) == digest == by_tag.headers["docker-content-digest"]
    assert by_tag.headers["content-type"] == OCI_MANIFEST
    head = registry.ask("HEAD", f"/v2/{NAME}/manifests/one")
    assert (head.status, head.body) == (200, b"")
    assert head.headers["content-length"] == str(len(by_tag.body))
    tag = head.headers["etag"]
    assert registry.ask("GET", f"/v2/{NAME}/manifests/one", If_None_Match=tag).status == 304


def test_the_bytes_are_kept_as_they_came(registry: RegistryServer) -> None:
    registry.push_image(NAME, "spaced", b"x")
    document = json.loads(registry.ask("GET", f"/v2/{NAME}/manifests/spaced").body)
    raw = json.dumps(document, indent=7).encode() + b"\n\n"
    done = registry.ask("PUT", f"/v2/{NAME}/manifests/spaced", raw, Content_Type=OCI_MANIFEST)
    assert done.headers["docker-content-digest"] == sha256(raw)
    assert registry.ask("GET", f"/v2/{NAME}/manifests/spaced").body == raw


def test_a_digest_of_another_algorithm(registry: RegistryServer) -> None:
    registry.push_image(NAME, "base", b"y")
    raw = registry.ask("GET", f"/v2/{NAME}/manifests/base").body
    digest = "sha512:" + hashlib.sha512(raw).hexdigest()
    path = f"/v2/{NAME}/manifests/{digest}"
    done = registry.ask("PUT", f"{path}?tag=a512&tag=b512", raw, Content_Type=OCI_MANIFEST)
    assert (done.status, done.headers["oci-tag"]) == (201, "a512, b512")
    found = registry.ask("GET", f"/v2/{NAME}/manifests/b512")
    assert (found.body, found.headers["docker-content-digest"]) == (raw, digest)
    wrong = f"/v2/{NAME}/manifests/sha256:{'0' * 64}"
    assert registry.ask("PUT", wrong, raw, Content_Type=OCI_MANIFEST).code == "DIGEST_INVALID"


def test_an_index(registry: RegistryServer) -> None:
    one, two = (registry.push_image("index/a", tag, tag.encode()) for tag in ("amd64", "arm64"))
    entries = [{"mediaType": OCI_MANIFEST, "digest": each, "size": 1} for each in (one, two)]
    index = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries}
    registry.push_manifest("index/a", "all", index)
    found = registry.ask("GET", "/v2/index/a/manifests/all")
    assert found.headers["content-type"] == OCI_INDEX
    raw = json.dumps({**index, "manifests": [{**entries[0], "digest": ABSENT}]}).encode()
    answer = registry.ask("PUT", "/v2/index/a/manifests/x", raw, Content_Type=OCI_INDEX)
    assert (answer.status, answer.code) == (404, "MANIFEST_BLOB_UNKNOWN")


def test_what_refers_to_nothing_is_refused(registry: RegistryServer) -> None:
    registry.push_image("refs/a", "ok", b"layer of a")
    raw = registry.ask("GET", "/v2/refs/a/manifests/ok").body
    answer = registry.ask("PUT", "/v2/refs/b/manifests/ok", raw, Content_Type=OCI_MANIFEST)
    assert (answer.status, answer.code) == (404, "MANIFEST_BLOB_UNKNOWN")


@pytest.mark.parametrize(
    ("raw", "kind"),
    [
        (b"", OCI_MANIFEST),
        (b"no json", OCI_MANIFEST),
        (b"[]", OCI_MANIFEST),
        (b'{"schemaVersion":1,"fsLayers":[]}', OCI_MANIFEST),
        (b'{"schemaVersion":2,"layers":[]}', OCI_MANIFEST),
        (b'{"schemaVersion":2,"manifests":[]}', OCI_MANIFEST),
        (b'{"schemaVersion":2,"manifests":[],"layers":[{"digest":"x","size":1}]}', OCI_INDEX),
        (b'{"schemaVersion":2,"mediaType":"%s","manifests":[]}' % OCI_INDEX.encode(), OCI_MANIFEST),
        (b'{"schemaVersion":2,"config":{"digest":"sha256:0","size":1}}', OCI_MANIFEST),
        (b'{"schemaVersion":2,"config":{"digest":"x","size":-1}}', OCI_MANIFEST),
        (b'{"schemaVersion":2}', "text/plain"),
        (b"[" * 100_000, OCI_MANIFEST),
        (b'\xff\xfe{"schemaVersion":2}', OCI_MANIFEST),
    ],
    ids=[
        *("empty", "no-json", "array", "schema1", "no-config", "index-as-manifest", "both"),
        *("other-type", "bad-digest", "bad-size", "unknown-type", "deep", "no-utf8"),
    ],
)
def test_what_is_no_manifest(registry: RegistryServer, raw: bytes, kind: str) -> None:
    answer = registry.ask("PUT", "/v2/bad/manifests/x", raw, Content_Type=kind)
    assert (answer.status, answer.code in {"MANIFEST_INVALID", "DIGEST_INVALID"}) == (400, True)
    assert registry.ask("GET", "/v2/bad/tags/list").code == "NAME_UNKNOWN"


def test_a_manifest_that_is_too_large(registry: RegistryServer) -> None:
    raw = b'{"schemaVersion":2,"x":"' + b"x" * (4 << 20) + b'"}'
    answer = registry.ask("PUT", "/v2/bad/manifests/x", raw, Content_Type=OCI_MANIFEST)
    assert answer.status == 413


@pytest.mark.parametrize("tag", ["-x", ".x", "a" * 129, "a%20b"])
def test_bad_tags(registry: RegistryServer, tag: str) -> None:
    answer = registry.ask("PUT", f"/v2/{NAME}/manifests/{tag}", b"{}", Content_Type=OCI_MANIFEST)
    assert (answer.status, answer.code) == (400, "TAG_INVALID")


def test_unknown_manifests_and_repositories(registry: RegistryServer) -> None:
    registry.push_image(NAME, "known", b"x")
    for reference in ("unknown", ABSENT):
        answer = registry.ask("GET", f"/v2/{NAME}/manifests/{reference}")
        assert (answer.status, answer.code) == (404, "MANIFEST_UNKNOWN")
    assert registry.ask("GET", "/v2/no/where/manifests/x").code == "NAME_UNKNOWN"
    assert registry.ask("GET", "/v2/no/where/tags/list").code == "NAME_UNKNOWN"


def test_tags_in_pages(registry: RegistryServer) -> None:
    names = [f"v{number}" for number in range(7)]
    for name in reversed(names):
        registry.push_image("tags/many", name, b"x")
    assert registry.ask("GET", "/v2/tags/many/tags/list").json() == {
        "name": "tags/many",
        "tags": names,
    }
    seen, path = [], "/v2/tags/many/tags/list?n=3"
    while path:
        answer = registry.ask("GET", path)
        page = answer.json()["tags"]
        assert len(page) <= 3
        seen += page
        link = answer.headers.get("link", "")
        path = link.partition(">")[0].removeprefix("<")
    assert seen == names
    assert registry.ask("GET", "/v2/tags/many/tags/list?n=0").json()["tags"] == []
    assert registry.ask("GET", "/v2/tags/many/tags/list?last=v4").json()["tags"] == ["v5", "v6"]
    assert registry.ask("GET", "/v2/tags/many/tags/list?n=-1").status == 400


def test_the_catalogue(registry: RegistryServer) -> None:
    for name in ("catalog/b", "catalog/a"):
        registry.push_image(name, "x", b"x")
    found = registry.ask("GET", "/v2/_catalog?n=1000").json()["repositories"]
    assert found == sorted(found)
    assert {"catalog/a", "catalog/b"} <= set(found)
    page = registry.ask("GET", "/v2/_catalog?n=1&last=catalog/a")
    assert page.json() == {"repositories": ["catalog/b"]}


def test_deleting_tags_and_manifests(registry: RegistryServer) -> None:
    digest = registry.push_image("delete/m", "a", b"x")
    registry.push_image("delete/m", "b", b"x")
    path = "/v2/delete/m/manifests/"
    assert registry.ask("DELETE", path + "a").status == 202
    assert registry.ask("GET", path + "a").status == 404
    assert registry.ask("GET", path + "b").status == 200
    assert registry.ask("DELETE", path + digest).status == 202
    for reference in ("b", digest):
        assert registry.ask("GET", path + reference).code == "MANIFEST_UNKNOWN"
    assert registry.ask("DELETE", path + digest).code == "MANIFEST_UNKNOWN"
    assert registry.ask("GET", "/v2/delete/m/tags/list").json()["tags"] == []


def test_referrers(registry: RegistryServer) -> None:
    name = "referrers/a"
    subject = registry.push_image(name, "app", b"x")
    path = f"/v2/{name}/referrers/{subject}"
    assert registry.ask("GET", path).json()["manifests"] == []
    about = {"mediaType": OCI_MANIFEST, "digest": subject, "size": 1}
    made = {}
    for kind in ("application/sbom", "application/signature"):
        raw = json.dumps(
            {
                "schemaVersion": 2,
                "mediaType": OCI_MANIFEST,
                "artifactType": kind,
                "config": registry.descriptor(name, b"{}", "empty.v1+json"),
                "layers": [],
                "subject": about,
                "annotations": {"kind": kind},
            }
        ).encode()
        reference = f"/v2/{name}/manifests/{sha256(raw)}"
        done = registry.ask("PUT", reference, raw, Content_Type=OCI_MANIFEST)
        assert (done.status, done.headers["oci-subject"]) == (201, subject)
        made[kind] = (sha256(raw), len(raw))
    answer = registry.ask("GET", path)
    assert answer.headers["content-type"] == OCI_INDEX
    found = {each["artifactType"]: each for each in answer.json()["manifests"]}
    for kind, (digest, size) in made.items():
        assert found[kind] == {
            "mediaType": OCI_MANIFEST,
            "digest": digest,
            "size": size,
            "artifactType": kind,
            "annotations": {"kind": kind},
        }
    filtered = registry.ask("GET", f"{path}?artifactType=application/sbom")
    assert filtered.headers["oci-filters-applied"] == "artifactType"
    assert [each["artifactType"] for each in filtered.json()["manifests"]] == ["application/sbom"]
    registry.ask("DELETE", f"/v2/{name}/manifests/{made['application/sbom'][0]}")
    assert len(registry.ask("GET", path).json()["manifests"]) == 1


def test_the_subject_need_not_be_there(registry: RegistryServer) -> None:
    digest = registry.push_image("referrers/b", "x", b"x", subject={
        "mediaType": OCI_MANIFEST, "digest": ABSENT, "size": 1,
    })  # fmt: skip
    (found,) = registry.ask("GET", f"/v2/referrers/b/referrers/{ABSENT}").json()["manifests"]
    assert found["digest"] == digest
    assert found["artifactType"] == "application/vnd.oci.image.config.v1+json"
    nothing = registry.ask("GET", f"/v2/not/there/referrers/{ABSENT}")
    assert (nothing.status, nothing.json()["manifests"]) == (200, [])


def test_all_is_there_after_a_kill(registry: RegistryServer) -> None:
    digest = registry.push_image("survives/a", "x", b"layer that survives")
    registry.kill9()
    registry.start()
    found = registry.ask("GET", "/v2/survives/a/manifests/x")
    assert found.headers["docker-content-digest"] == digest
    layer = json.loads(found.body)["layers"][0]["digest"]
    assert registry.ask("GET", f"/v2/survives/a/blobs/{layer}").body == b"layer that survives"
