"""What needs no engine: options, queries, decoders, what a name of the package loads."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

import knarr
from knarr.api import streams
from knarr.client.http import Head
from knarr.errors import InvalidArgumentError, NotFoundError, UnavailableError
from knarr.sdk.core import decoders, failures, images, options, request
from knarr.sdk.core.request import Pump

from .conftest import frame


def body(**given: object) -> dict[str, object]:
    made = options.create_request("i", None, given)  # type: ignore[arg-type]
    return msgspec.json.decode(msgspec.json.encode(made))


OPTIONS = [
    ({"env": {"A": "b", "C": ""}}, ("Env",), ["A=b", "C="]),
    ({"labels": {"a": "b"}}, ("Labels",), {"a": "b"}),
    ({"entrypoint": "sh -c"}, ("Entrypoint",), ["sh", "-c"]),
    ({"working_dir": "/x"}, ("WorkingDir",), "/x"),
    ({"tty": True}, ("Tty",), True),
    ({"stdin": True}, ("OpenStdin",), True),
    ({"stop_timeout": 3}, ("StopTimeout",), 3),
    ({"network": "none"}, ("HostConfig", "NetworkMode"), "none"),
    ({"memory": 5}, ("HostConfig", "Memory"), 5),
    ({"cpus": 1.5}, ("HostConfig", "NanoCpus"), 1_500_000_000),
    ({"cpuset": "0"}, ("HostConfig", "CpusetCpus"), "0"),
    ({"read_only": True}, ("HostConfig", "ReadonlyRootfs"), True),
    ({"uts": "host"}, ("HostConfig", "UTSMode"), "host"),
    ({"cap_add": ("A",)}, ("HostConfig", "CapAdd"), ["A"]),
    ({"tmpfs": {"/t": ""}}, ("HostConfig", "Tmpfs"), {"/t": ""}),
    ({"extra_hosts": {"h": "1.2.3.4"}}, ("HostConfig", "ExtraHosts"), ["h:1.2.3.4"]),
    ({"restart": "on-failure:3"}, ("HostConfig", "RestartPolicy", "MaximumRetryCount"), 3),
    ({"ports": {"80": 8080}}, ("ExposedPorts",), {"80/tcp": {}}),
    (
        {"ports": {"53/udp": ("127.0.0.1", 53)}},
        ("HostConfig", "PortBindings", "53/udp"),
        [{"HostIp": "127.0.0.1", "HostPort": "53"}],
    ),
    (
        {"ulimits": {"nofile": 5, "nproc": (1, 2)}},
        ("HostConfig", "Ulimits"),
        [{"Name": "nofile", "Hard": 5, "Soft": 5}, {"Name": "nproc", "Hard": 2, "Soft": 1}],
    ),
    (
        {"devices": ["/dev/null:/dev/n:r"]},
        ("HostConfig", "Devices"),
        [{"PathOnHost": "/dev/null", "PathInContainer": "/dev/n", "CgroupPermissions": "r"}],
    ),
    ({"log_driver": "none"}, ("HostConfig", "LogConfig", "Type"), "none"),
    ({"name": "n", "platform": "linux/amd64"}, ("Image",), "i"),
]


@pytest.mark.parametrize(("given", "path", "expected"), OPTIONS, ids=[str(o[0]) for o in OPTIONS])
def test_option(given: dict[str, object], path: tuple[str, ...], expected: object) -> None:
    found: object = body(**given)
    for key in path:
        assert isinstance(found, dict)
        found = found[key]
    assert found == expected


def test_every_option_has_a_place() -> None:
    known = set(options.ContainerOptions.__annotations__)
    placed = {"name", "platform", "stdin", "ports", "log_driver", "log_options", "cpus", "restart"}
    for table in (
        options._HOST_TEXTS,
        options._HOST_LISTS,
        options._HOST_MAPS,
        options._HOST_OTHERS,
        options._CONFIG_TEXTS,
        options._CONFIG_OTHERS,
        options._LIMITS,
    ):
        placed |= set(table)
    assert known == placed


def test_every_option_is_documented() -> None:
    paper = (Path(__file__).parents[3] / "docs/python.md").read_text()
    table = paper.partition("| what | options |")[2].partition("\n\n")[0]
    shown = set(re.findall(r"`([a-z_]+)`", table))
    assert set(options.ContainerOptions.__annotations__) == shown - {"knarr"}


def test_bad_options() -> None:
    with pytest.raises(TypeError, match="unknown option nosuch"):
        body(nosuch="x")
    with pytest.raises(InvalidArgumentError, match="invalid restart policy: on-failure:x"):
        body(restart="on-failure:x")
    with pytest.raises(TypeError, match="unknown option name"):
        options.update_request({"name": "x"})  # type: ignore[typeddict-unknown-key]


def test_words() -> None:
    assert options.words("sh -c 'a b'") == ["sh", "-c", "a b"]
    assert options.words(("a b", "c")) == ["a b", "c"]
    assert options.words(None) is None


def test_query_leaves_out_what_says_nothing() -> None:
    given = {"a": None, "b": False, "c": "", "d": 0, "e": True, "f": "x"}
    assert request.query(given) == (("d", 0), ("e", True), ("f", "x"))


def test_filters() -> None:
    assert request.filters(None) == ""
    given = {"label": ["a", "b=c"], "name": "x", "dangling": False}
    text = '{"label":["a","b=c"],"name":["x"],"dangling":["false"]}'
    assert request.filters(given) == text


def test_moments() -> None:
    assert request.moment(None) == ""
    assert 590 < time.time() - float(request.moment("10m")) < 700
    with pytest.raises(InvalidArgumentError, match="failed to parse value as time"):
        request.moment("yesterday")
    assert request.moment(5) == "5.000000"
    assert request.moment(datetime(1970, 1, 2, 0, 0, 0, 500000, UTC)) == "86400.500000"


def test_lines_out_of_chunks() -> None:
    pump: Pump[knarr.Chunk, knarr.Line] = Pump(decoders.Lines())
    got = []
    for stream, data in (("stdout", b"a\nb"), ("stderr", b"e\r\n"), ("stdout", b"c\n\nlast")):
        pump.push(knarr.Chunk(stream, data))  # type: ignore[arg-type]
        while line := pump.take():
            got.append((line.stream, line.text))
    pump.finish()
    while line := pump.take():
        got.append((line.stream, line.text))
    out = [text for stream, text in got if stream == "stdout"]
    assert out == ["a", "bc", "", "last"]
    assert ("stderr", "e") in got


def test_endless_line_is_cut() -> None:
    lines = list(decoders.Lines().feed(knarr.Chunk("stdout", b"x" * 2_500_000)))
    assert [len(line.data) for line in lines] == [1024 * 1024, 1024 * 1024]


@pytest.mark.parametrize("step", [1, 3, 1000])
@pytest.mark.parametrize(
    ("fields", "raw", "expected"),
    [
        ({"content-type": streams.MULTIPLEXED}, frame(2, b"x" * 9), ("stderr", b"x" * 9)),
        ({"content-type": streams.RAW}, frame(1, b"x"), ("stdout", frame(1, b"x"))),
        ({"content-type": streams.RAW, "api-version": "1.41"}, frame(1, b"x"), ("stdout", b"x")),
        ({"content-type": streams.RAW, "api-version": "1.41"}, b"# ls", ("stdout", b"# ls")),
        ({"api-version": "1.41"}, b"\x01", ("stdout", b"\x01")),
        ({}, b"x\0\0\0", ("stdout", b"x\0\0\0")),
    ],
    ids=["frames", "raw", "old-frames", "old-raw", "short", "unlucky"],
)
def test_form_of_output(
    fields: dict[str, str], raw: bytes, expected: tuple[str, bytes], step: int
) -> None:
    decoder = decoders.output(Head(200, "OK", fields))
    chunks = [
        chunk
        for start in range(0, len(raw), step)
        for chunk in decoder.feed(raw[start : start + step])
    ]
    chunks += decoder.end()
    assert (chunks[0].stream, b"".join(chunk.data for chunk in chunks)) == expected


def test_an_error_in_frames_comes_after_what_was_before_it() -> None:
    pump: Pump[bytes, knarr.Chunk] = Pump(decoders.FramedOutput())
    pump.push(frame(1, b"good") + frame(3, b"boom"))
    assert pump.take() == ("stdout", b"good")
    with pytest.raises(UnavailableError, match="boom"):
        pump.take()


def test_progress_that_fails() -> None:
    lines = decoders.ProgressLines()
    raw = b'{"stream":"x"}\r\n{"errorDetail":{"code":404,"message":"gone"},"error":"gone"}\r\n'
    items = iter(lines.feed(raw))
    assert next(items).stream == "x"
    with pytest.raises(NotFoundError, match="gone"):
        next(items)


def test_document_that_is_none() -> None:
    with pytest.raises(UnavailableError, match="not understood"):
        list(decoders.Documents(int).feed(b'"x"\n'))


def test_names_of_loaded_images() -> None:
    from knarr.api.images import Progress

    lines = [
        Progress(status="Loading layer", id="a"),
        Progress(stream="Loaded image: a/b:c\n"),
        Progress(stream="Loaded image ID: sha256:0\n"),
    ]
    assert images.loaded(lines) == ("a/b:c", "sha256:0")


def test_failures() -> None:
    error = failures.CommandFailedError(["a", "b"], knarr.Result(3, b"", b"bad\n"))
    assert str(error) == 'the command "a b" ended with exit code 3: bad'
    assert isinstance(failures.too_late(1.5), TimeoutError)
    assert str(failures.too_late(1.5)) == "the engine did not answer within 1.5 seconds"
    assert str(failures.from_answer(418, "Teapot", b"")) == "Teapot (418)"


def test_unknown_names() -> None:
    for name in ("nothing", "Nothing", "connection", "AsyncNothing"):
        with pytest.raises(AttributeError):
            getattr(knarr, name)


@pytest.mark.parametrize("name", ["connect", "connect_async"])
def test_public_names_are_loaded_late(name: str) -> None:
    code = f"import sys, knarr; a = 'msgspec' in sys.modules; knarr.{name}; "
    code += "print(a, 'msgspec' in sys.modules, 'asyncio' in sys.modules, 'aiohttp' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "True", str(name == "connect_async"), "False"]
