"""The grammar of ``distribution/reference``, by its own kinds of cases."""

from __future__ import annotations

import pytest

from knarr.errors import InvalidArgumentError
from knarr.oci import reference
from knarr.oci.matching import familiar_match
from knarr.oci.reference import parse_normalized

HEX = "1a3f5e7d9c1b3a5f7e9d1c3b5a7f9e1d3c5b7a9f1e3d5d7c9b1a3f5e7d9c1b3a"


@pytest.mark.parametrize(
    ("text", "canonical", "familiar"),
    [
        ("debian", "docker.io/library/debian", "debian"),
        ("debian:12", "docker.io/library/debian:12", "debian:12"),
        ("docker.io/debian", "docker.io/library/debian", "debian"),
        ("index.docker.io/debian", "docker.io/library/debian", "debian"),
        ("index.docker.io/a/b", "docker.io/a/b", "a/b"),
        ("a/b", "docker.io/a/b", "a/b"),
        ("library/foo/bar", "docker.io/library/foo/bar", "library/foo/bar"),
        ("localhost/a", "localhost/a", "localhost/a"),
        ("localhost:5000/a:b", "localhost:5000/a:b", "localhost:5000/a:b"),
        ("127.0.0.1:5000/a/b", "127.0.0.1:5000/a/b", "127.0.0.1:5000/a/b"),
        ("[fc00::1]:5000/a", "[fc00::1]:5000/a", "[fc00::1]:5000/a"),
        ("192.168.0.1:80", "docker.io/library/192.168.0.1:80", "192.168.0.1:80"),
        ("Foo/bar", "Foo/bar", "Foo/bar"),
        ("test_com/foo", "docker.io/test_com/foo", "test_com/foo"),
        ("docker---rules/a__b.c-d", "docker.io/docker---rules/a__b.c-d", "docker---rules/a__b.c-d"),
        (f"docker.io/{HEX}", f"docker.io/library/{HEX}", HEX),
        (f"a@sha256:{HEX}", f"docker.io/library/a@sha256:{HEX}", f"a@sha256:{HEX}"),
        (f"a:t@sha256:{HEX}", f"docker.io/library/a:t@sha256:{HEX}", f"a:t@sha256:{HEX}"),
        ("a:" + "t" * 128, "docker.io/library/a:" + "t" * 128, "a:" + "t" * 128),
    ],
)
def test_names_are_normalized(text, canonical, familiar):
    name = parse_normalized(text)
    assert name.canonical() == canonical
    assert name.familiar() == familiar
    assert reference.parse_canonical(canonical) == name


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "invalid reference format"),
        ("Foo", "invalid reference format: repository name (library/Foo) must be lowercase"),
        ("a/Foo:x", "invalid reference format: repository name (a/Foo) must be lowercase"),
        (HEX, f"invalid repository name ({HEX}), cannot specify 64-byte hexadecimal strings"),
        ("https://github.com/docker/docker", "invalid reference format"),
        ("-docker/docker", "invalid reference format"),
        ("docker-/docker", "invalid reference format"),
        ("docker///docker", "invalid reference format"),
        ("____/____", "invalid reference format"),
        ("dock..er/docker", "invalid reference format"),
        ("dock_.er/docker", "invalid reference format"),
        ("docker/", "invalid reference format"),
        ("[fc00::1]", "invalid reference format"),
        ("[fe80::1%eth0]:5000/debian", "invalid reference format"),
        ("a:", "invalid reference format"),
        ("a:-x", "invalid reference format"),
        ("a:" + "t" * 129, "invalid reference format"),
        ("a:b:c", "invalid reference format"),
        ("a\n", "invalid reference format"),
        ("a:b\n", "invalid reference format"),
        ("\u0661", "invalid reference format"),
        ("a@sha256:12", "invalid reference format"),
        ("a@sha256:" + "a" * 40, "invalid checksum digest length"),
        ("a@md5:" + "a" * 32, "unsupported digest algorithm"),
        ("example.com/" + "a" * 256, "repository name must not be more than 255 characters"),
    ],
)
def test_bad_names_have_dockers_words(text, message):
    with pytest.raises(InvalidArgumentError) as caught:
        parse_normalized(text)
    assert caught.value.message == message


def test_the_default_tag_goes_only_where_nothing_is():
    assert parse_normalized("a").with_default_tag().tag == "latest"
    assert parse_normalized("a:b").with_default_tag().tag == "b"
    assert parse_normalized(f"a@sha256:{HEX}").with_default_tag().tag is None


def test_a_bad_tag_is_refused_in_dockers_words():
    with pytest.raises(InvalidArgumentError, match=r"^invalid tag format$"):
        parse_normalized("a").with_tag("-x")


@pytest.mark.parametrize(
    ("pattern", "name", "fits"),
    [
        ("foo", "foo:1", True),
        ("foo:1", "foo:1", True),
        ("f*", "foo:1", True),
        ("f*", "foo/bar:1", False),
        ("foo/**/ba[rz]", "foo/any/bat", False),
        ("foo/**/ba[rz]", "foo/a/bar", True),
        ("foo/*/baz:tag", "foo/c/baz:tag", True),
        ("*/foo/c", "example.com/foo/c:tag", True),
        ("f?o:[0-9]", "foo:7", True),
        ("f?o:[^0-9]", "foo:7", False),
        (r"fo\o", "foo:7", True),
        ("f.o", "foo:7", False),
        ("[z-a]oo", "foo:7", False),
    ],
)
def test_patterns_match_as_go_does(pattern, name, fits):
    assert familiar_match(pattern, parse_normalized(name)) is fits


@pytest.mark.parametrize("pattern", ["[-x]", "[", "[a", "[]", "x\\", "[a-", "[\\"])
def test_malformed_patterns_are_refused(pattern):
    with pytest.raises(InvalidArgumentError, match="syntax error in pattern"):
        familiar_match(pattern, parse_normalized("foo"))
