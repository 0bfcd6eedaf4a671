"""import, its --change instructions, and the embedded image."""

from __future__ import annotations

import gzip
import json
import subprocess
from pathlib import Path

import pytest

from knarr.api.images import ImageConfig
from knarr.errors import InvalidArgumentError
from knarr.images import Description, changes, hello
from knarr.oci import platform
from support.image_home import Home, Pipe, layer, sha

A = layer({"a": b"a"})


def test_an_import_makes_an_image_of_one_layer(home):
    description = Description(
        changes=['CMD ["/a"]', "ENV X=1"], message="why", created_ns=1_700_000_000_000_000_005
    )
    image_id = home.images.import_(Pipe(gzip.compress(A)), reference="x", description=description)
    image = home.images.resolve("x:latest")
    assert image.id == image_id == sha(image.raw)
    document = json.loads(image.raw)
    assert document["rootfs"] == {"type": "layers", "diff_ids": [sha(A)]}
    assert document["created"] == "2023-11-14T22:13:20.000000005Z"
    assert document["history"] == [{"created": document["created"], "comment": "why"}]
    assert (image.config.cmd, image.config.env) == (["/a"], ["X=1"])
    assert image.platform == platform.host()
    assert home.images.inspect("x").comment == "why"


def test_the_same_import_gives_the_same_id(home, monkeypatch):
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    first = home.images.import_(Pipe(A))
    assert home.images.import_(Pipe(A), reference="x:1") == first
    assert home.images.resolve("x:1").created_ns == 1_700_000_000_000_000_000


def test_the_platform_can_be_given(home):
    description = Description(platform=platform.parse("linux/arm/v6"))
    home.images.import_(Pipe(A), reference="x", description=description)
    assert str(home.images.resolve("x").platform) == "linux/arm/v6"


@pytest.mark.parametrize(
    ("reference", "description"),
    [
        ("X", Description()),
        ("x@" + sha(b""), Description()),
        ("x", Description(changes=["RUN x"])),
        ("x", Description(platform=platform.parse("windows/amd64"))),
    ],
)
def test_bad_imports_leave_nothing(home, reference, description):
    with pytest.raises(InvalidArgumentError):
        home.images.import_(Pipe(A), reference=reference, description=description)
    home.assert_empty()


def test_an_import_of_nothing_can_be_saved_and_loaded(home, tmp_path):
    image_id = home.images.import_(Pipe(b""), reference="x", description=Description())
    saved = home.save("x")
    other = Home(tmp_path / "other")
    other.load(saved)
    assert other.images.resolve("x").id == image_id
    other.close()


@pytest.mark.parametrize(
    "data", [b"x" * 5000, gzip.compress(A, mtime=0)[:-9], A[:700]], ids=["text", "cut gzip", "cut"]
)
def test_what_is_no_tar_leaves_nothing(home, data):
    with pytest.raises(InvalidArgumentError):
        home.images.import_(Pipe(data), reference="x")
    home.assert_empty()


def applied(*lines: str, config: ImageConfig | None = None) -> ImageConfig:
    return changes.apply(config or ImageConfig(), lines)


def test_commands():
    assert applied('CMD ["a", "b c"]').cmd == ["a", "b c"]
    assert applied("cmd a b").cmd == ["/bin/sh", "-c", "a b"]
    assert applied("ENTRYPOINT [a]").entrypoint == ["/bin/sh", "-c", "[a]"]
    assert applied("CMD x", config=ImageConfig(shell=["/s"])).cmd == ["/s", "x"]


def test_environment():
    assert applied("ENV A=1 B='x y' C=\"$A z\"", "ENV A 2 3", "ENV D=${A}-${E:-e}${A:+p}").env == [
        "A=2 3",
        "B=x y",
        "C= z",
        "D=2 3-ep",
    ]
    assert applied(r'ENV A=a\ b "B=\"q\$"').env == ["A=a b", 'B="q$']


def test_labels_ports_and_volumes():
    found = applied(
        "LABEL a=b 'c d'=e", "EXPOSE 80 53/UDP 1-3/tcp", 'VOLUME ["/a", "/b c"]', "VOLUME /c /d"
    )
    assert found.labels == {"a": "b", "c d": "e"}
    assert sorted(found.exposed_ports) == ["1/tcp", "2/tcp", "3/tcp", "53/udp", "80/tcp"]
    assert list(found.volumes) == ["/a", "/b c", "/c", "/d"]


def test_the_rest():
    found = applied(
        "# a comment", "", "USER a:b", "WORKDIR /x", "WORKDIR y/../z", "STOPSIGNAL TERM",
        "ONBUILD RUN x", "ONBUILD ADD y z",
    )  # fmt: skip
    assert (found.user, found.working_dir, found.stop_signal) == ("a:b", "/x/z", "TERM")
    assert found.on_build == ["RUN x", "ADD y z"]
    assert applied("STOPSIGNAL 9\nUSER 1").stop_signal == "9"
    assert applied("STOPSIGNAL SIGRTMIN+3").stop_signal == "SIGRTMIN+3"


def test_health():
    found = applied('HEALTHCHECK --interval=5s --retries=3 CMD ["a", "b"]').healthcheck
    assert (found.test, found.interval, found.retries) == (["CMD", "a", "b"], 5_000_000_000, 3)
    assert applied("HEALTHCHECK CMD a b").healthcheck.test == ["CMD-SHELL", "a b"]
    assert applied("HEALTHCHECK NONE").healthcheck.test == ["NONE"]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("RUN x", "run is not a valid change command"),
        ("FROM x", "from is not a valid change command"),
        ("ENV", "ENV requires at least one argument"),
        ("ENV A", "ENV must have two arguments"),
        ("ENV A=1 B", "can't find ="),
        ("ENV =1", "names can not be blank"),
        ("ENV A='x", "unexpected end of statement"),
        ('LABEL A="x', "unexpected end of statement"),
        ("EXPOSE x", "invalid containerPort: x"),
        ("EXPOSE 65536", "invalid containerPort"),
        ("EXPOSE 5-4", "invalid containerPort"),
        ("EXPOSE 5/icmp", "invalid proto: icmp"),
        ('VOLUME [""]', "can not be an empty string"),
        ("USER a b", "exactly one argument"),
        ("STOPSIGNAL NOPE", "invalid signal: NOPE"),
        ("STOPSIGNAL 0", "invalid signal: 0"),
        ("ONBUILD ONBUILD RUN x", "Chaining ONBUILD"),
        ("ONBUILD FROM x", "FROM isn't allowed as an ONBUILD trigger"),
        ("HEALTHCHECK x", "Unknown type"),
        ("HEALTHCHECK CMD", "Missing command"),
        ("HEALTHCHECK NONE x", "takes no arguments"),
        ("HEALTHCHECK --interval=x CMD y", "invalid duration"),
        ("HEALTHCHECK --nope=x CMD y", "unknown flag"),
    ],
)
def test_bad_changes(line, message):
    with pytest.raises(InvalidArgumentError, match=message):
        applied(line)


def test_hello_is_there_from_the_first_start_and_only_then(home, monkeypatch, tmp_path):
    program = tmp_path / "hello"
    source = Path(hello.__file__).with_name("hello.c")
    build = ["cc", "-Os", "-static", "-nostdlib", "-fno-stack-protector", "-o", program, source]
    subprocess.run(build, check=True)
    run = subprocess.run([program], capture_output=True, check=True)
    assert run.stdout.startswith(b"\nHello from knarr!\n")
    with Path("/dev/full").open("wb") as full:
        assert subprocess.run([program], stdout=full, check=False).returncode == 1
    monkeypatch.setattr(hello, "_PROGRAM", program)
    first = home.images.ensure_hello()
    image = home.images.resolve("hello")
    assert (image.id, image.config.cmd) == (first, ["/hello"])
    assert home.images.ensure_hello() is None
    home.remove("hello")
    assert home.images.ensure_hello() is None
    assert home.images.list({}) == []


def test_without_its_program_there_is_no_hello_yet(home, monkeypatch, tmp_path, caplog):
    monkeypatch.setattr(hello, "_PROGRAM", tmp_path / "missing")
    assert home.images.ensure_hello() is None
    assert "no image hello" in caplog.text
    (tmp_path / "missing").write_bytes(b"program")
    assert home.images.ensure_hello() is not None


def test_hello_is_reproducible():
    assert hello._tar(b"program") == hello._tar(b"program")
