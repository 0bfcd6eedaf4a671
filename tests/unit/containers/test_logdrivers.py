"""Log drivers and options: what is refused, in Docker's words, and what the supervisor is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from knarr.api.containers import ContainerConfig
from knarr.api.host_config import HostConfig, LogConfig
from knarr.containers import logdrivers
from knarr.containers.files import ContainerDirectory
from knarr.containers.record import Record
from knarr.errors import InvalidArgumentError, UnimplementedError
from knarr.oci.digest import Digest
from knarr.supervisor.messages import BLOCKS, JSON

INIT = "failed to initialize logging driver: "


@pytest.mark.parametrize(
    ("driver", "options", "words"),
    [
        ("bogus", {}, 'error looking up logging plugin bogus: plugin "bogus" not found'),
        ("", {"mode": "x"}, "logger: logging mode not supported: x"),
        (
            "json-file",
            {"max-buffer-size": "1m"},
            "logger: max-buffer-size option is only supported with 'mode=non-blocking'",
        ),
        (
            "local",
            {"mode": "non-blocking", "max-buffer-size": "z"},
            "error parsing option max-buffer-size: invalid size: 'z'",
        ),
        ("json-file", {"foo": "bar"}, "unknown log opt 'foo' for json-file log driver"),
        ("json-file", {"max-size": "bogus"}, INIT + "invalid size: 'bogus'"),
        ("json-file", {"max-size": "-1"}, INIT + "invalid size: '-1'"),
        ("json-file", {"max-size": "0"}, INIT + "max-size must be a positive number"),
        (
            "json-file",
            {"max-file": "x"},
            INIT + 'strconv.Atoi: parsing "x": invalid syntax',
        ),
        ("json-file", {"max-file": "0"}, INIT + "max-file cannot be less than 1"),
        (
            "json-file",
            {"compress": "x"},
            INIT + 'strconv.ParseBool: parsing "x": invalid syntax',
        ),
        (
            "json-file",
            {"compress": "true", "max-file": "1"},
            INIT + "compress cannot be true when max-file is less than 2 or max-size is not set",
        ),
        ("local", {"tag": "x"}, "unknown log opt 'tag' for log driver local"),
        (
            "local",
            {"max-size": "z"},
            INIT + "invalid value for max-size: z: invalid size: 'z'",
        ),
        (
            "local",
            {"max-file": "z"},
            INIT + 'invalid value for max-file: z: strconv.Atoi: parsing "z": invalid syntax',
        ),
        (
            "local",
            {"max-file": "1"},
            INIT + "compression cannot be enabled when max file count is 1",
        ),
        ("local", {"max-file": "-1"}, INIT + "max file count cannot be less than 0"),
        (
            "local",
            {"compress": "z"},
            INIT + 'error reading compress log option: strconv.ParseBool: parsing "z": '
            "invalid syntax",
        ),
        ("syslog", {"foo": "zz"}, "unknown log opt 'foo' for syslog log driver"),
        ("syslog", {"syslog-facility": "zz"}, "invalid syslog facility"),
        ("syslog", {"syslog-facility": "24"}, "invalid syslog facility"),
        ("syslog", {"syslog-format": "zz"}, "Invalid syslog format"),
        (
            "syslog",
            {"syslog-address": "foo://nope"},
            "syslog-address should be in form proto://address, got foo://nope",
        ),
        (
            "syslog",
            {"syslog-address": "udp://127.0.0.1:x"},
            'parse "udp://127.0.0.1:x": invalid port ":x" after host',
        ),
        ("syslog", {"cache-max-size": "z"}, INIT + "invalid value for max-size: z: "
         "invalid size: 'z'"),
        ("journald", {"foo": "bar"}, "unknown log opt 'foo' for journald log driver"),
        (
            "journald",
            {"cache-disabled": "bar"},
            "invalid value for option cache-disabled: bar",
        ),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_as_docker_says_it(driver: str, options, words: str) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        logdrivers.check(LogConfig(type=driver, config=options))
    assert caught.value.message == words


@pytest.mark.parametrize(
    ("driver", "options"),
    [
        ("none", {"whatever": "x"}),
        ("json-file", {"max-size": "10.5 MB", "max-file": "+3", "compress": "T", "labels": "a"}),
        ("json-file", {"tag": "{{index .ContainerLabels \"a\"}}{{slice .ID 0 6}}"}),
        ("local", {"max-size": "1k", "max-file": "2", "mode": "blocking"}),
        ("syslog", {"syslog-address": "tcp://[::1]", "syslog-facility": "local7"}),
        ("syslog", {"syslog-address": "unixgram:///dev/log", "syslog-facility": "3"}),
        ("journald", {"tag": "{{.Name}}", "cache-disabled": "true"}),
    ],
    ids=["none", "json-file", "tag", "local", "tcp", "unixgram", "journald"],
)  # fmt: skip
def test_what_is_right_passes(driver: str, options) -> None:
    logdrivers.check(LogConfig(type=driver, config=options))


def test_the_default_of_the_engine_names_itself() -> None:
    with pytest.raises(InvalidArgumentError, match="failed to set log opts: unknown log opt 'x'"):
        logdrivers.check_default(LogConfig(type="local", config={"x": "y"}))


def record(driver: str, options: dict[str, str] | None = None) -> Record:
    return Record(
        id="0123456789ab" + "c" * 52,
        name="web",
        created_ns=1,
        image_id=Digest("sha256:" + "d" * 64),
        image_name="busybox:1",
        layers=(),
        path="sh",
        args=("-c", "true"),
        config=ContainerConfig(labels={"l": "1"}, env=["E=2", "PATH=/bin"]),
        host_config=HostConfig(log_config=LogConfig(type=driver, config=options)),
    )


def destination(driver: str, options: dict[str, str] | None = None):
    one = record(driver, options)
    return logdrivers.destination(one, ContainerDirectory(Path("/c"), one.id), "host")


def test_where_the_output_goes() -> None:
    found = destination("json-file")
    assert found is not None
    assert (found.path[-9:], found.max_size, found.max_file) == ("-json.log", 20_000_000, 5)
    assert (found.form, found.compress, found.buffer, found.remote) == (JSON, False, 0, ())
    assert destination("none") is None
    found = destination("json-file", {"max-size": "1m", "labels": "l", "env-regex": "^E"})
    assert found is not None
    assert (found.max_size, found.max_file) == (1_000_000, 5)
    assert found.attrs == (("E", "2"), ("l", "1"))
    found = destination("local", {"mode": "non-blocking"})
    assert found is not None
    assert (found.path[-10:], found.form, found.compress) == ("-local.log", BLOCKS, True)
    assert found.buffer == 1024 * 1024


def test_what_is_sent_elsewhere_is_kept_here_too() -> None:
    options = {
        "syslog-address": "tcp://logs.example",
        "syslog-facility": "local0",
        "tag": "{{.Name}}",
    }
    found = destination("syslog", {**options, "cache-max-size": "1m", "cache-max-file": "2"})
    assert found is not None
    assert (found.form, found.max_size, found.max_file) == (BLOCKS, 1_000_000, 2)
    assert dict(found.remote) == {
        "driver": "syslog", "network": "tcp", "address": "logs.example:514", "format": "",
        "facility": "128", "tag": "web", "hostname": "host",
    }  # fmt: skip
    found = destination("journald", {"env": "E", "cache-disabled": "1"})
    assert found is not None
    assert found.path == ""
    assert dict(found.remote) == {
        "driver": "journald",
        "field:CONTAINER_ID": "0123456789ab",
        "field:CONTAINER_ID_FULL": "0123456789ab" + "c" * 52,
        "field:CONTAINER_NAME": "web",
        "field:CONTAINER_TAG": "0123456789ab",
        "field:IMAGE_NAME": "busybox:1",
        "field:SYSLOG_IDENTIFIER": "0123456789ab",
        "field:E": "2",
    }


@pytest.mark.parametrize(
    ("driver", "options"),
    [("none", None), ("syslog", {"cache-disabled": "true"}), ("journald", {"cache-disabled": "1"})],
    ids=["none", "syslog", "journald"],
)
def test_what_is_not_kept_cannot_be_read(driver: str, options) -> None:
    one = record(driver, options)
    with pytest.raises(UnimplementedError, match="does not support reading"):
        logdrivers.readable(one, ContainerDirectory(Path("/c"), one.id))


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("1", 1),
        ("10k", 10_000),
        ("1.5m", 1_500_000),
        ("2 GiB", 2_000_000_000),
        ("20mb", 20_000_000),
    ],
)
def test_sizes_of_files_are_decimal(text: str, size: int) -> None:
    assert logdrivers.parse_size(text) == size
    assert logdrivers.parse_size("1m", base=1024) == 1 << 20
