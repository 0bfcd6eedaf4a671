from __future__ import annotations

import hashlib

import pytest

from knarr.errors import InvalidArgumentError
from knarr.oci import digest
from knarr.oci.digest import DiffID

A = DiffID("sha256:" + "a" * 64)
B = DiffID("sha256:" + "b" * 64)


def test_digest_of_bytes_is_sha256():
    assert digest.of_bytes(b"x") == "sha256:" + hashlib.sha256(b"x").hexdigest()
    assert digest.hexdigest(digest.of_bytes(b"x")) == hashlib.sha256(b"x").hexdigest()


@pytest.mark.parametrize("text", ["sha256:" + "0f" * 32, "sha512:" + "0f" * 64])
def test_good_digests_parse(text):
    assert digest.parse(text) == text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "invalid checksum digest format"),
        ("sha256", "invalid checksum digest format"),
        ("sha256:", "invalid checksum digest format"),
        ("sha256:" + "a" * 63, "invalid checksum digest length"),
        ("sha256:" + "a" * 65, "invalid checksum digest length"),
        ("sha256:" + "A" * 64, "invalid checksum digest format"),
        ("sha256:" + "g" * 64, "invalid checksum digest format"),
        ("sha256:" + "a" * 64 + "\n", "invalid checksum digest format"),
        ("md5:" + "a" * 32, "unsupported digest algorithm"),
        ("sha256:../../../../etc/passwd", "invalid checksum digest format"),
    ],
)
def test_bad_digests_have_dockers_words(text, message):
    with pytest.raises(InvalidArgumentError, match=f"^{message}$"):
        digest.parse(text)


def test_only_sha256_is_stored():
    with pytest.raises(InvalidArgumentError, match="unsupported digest algorithm"):
        digest.parse_stored("sha512:" + "0f" * 64)


def test_chain_ids_follow_the_image_spec():
    first, second = digest.chain_ids([A, B])
    assert first == A
    assert second == "sha256:" + hashlib.sha256(f"{A} {B}".encode()).hexdigest()
    assert digest.chain_ids([]) == []
