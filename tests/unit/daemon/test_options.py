from __future__ import annotations

import logging
import sys
from pathlib import Path

import pytest

from knarr.daemon import locks, logs, options
from knarr.errors import ConflictError, InvalidArgumentError
from knarr.remotes import RegistryRule, Rules


@pytest.fixture(autouse=True)
def no_default_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(options, "DEFAULT_CONFIG", tmp_path / "absent.toml")


def test_defaults() -> None:
    chosen = options.parse([])
    assert chosen.data_root == Path("/var/lib/knarr")
    assert chosen.exec_root == Path("/run/knarr")
    assert chosen.hosts == ("unix:///run/knarr/knarr.sock",)
    assert chosen.pidfile == Path("/run/knarr/knarr.pid")
    assert (chosen.log_level, chosen.default_runtime, chosen.backend) == ("info", "knarr", None)


def test_flags() -> None:
    chosen = options.parse(
        "--data-root d --exec-root /e -H fd:// --host unix:///x --pidfile p -l debug".split()
    )
    assert chosen.data_root == Path.cwd() / "d"
    assert chosen.hosts == ("fd://", "unix:///x")
    assert chosen.pidfile == Path.cwd() / "p"
    assert chosen.log_level == "debug"


def test_the_socket_follows_the_exec_root() -> None:
    assert options.parse(["--exec-root", "/e"]).hosts == ("unix:///e/knarr.sock",)


def test_file_and_flags(tmp_path: Path) -> None:
    file = tmp_path / "knarr.toml"
    file.write_text('data-root = "/file"\nhosts = ["unix:///a", "fd://"]\nlog-level = "error"\n')
    chosen = options.parse(["--config", str(file), "--log-level", "debug"])
    assert chosen.data_root == Path("/file")
    assert chosen.hosts == ("unix:///a", "fd://")
    assert chosen.log_level == "debug"


def test_log_drivers_of_file_and_flags(tmp_path: Path) -> None:
    chosen = options.parse([])
    assert (chosen.log_driver, chosen.log_options) == ("json-file", {})
    file = tmp_path / "knarr.toml"
    file.write_text('log-driver = "local"\n[log-opts]\nmax-size = "1m"\nmax-file = "3"\n')
    chosen = options.parse(["--config", str(file)])
    assert (chosen.log_driver, chosen.log_options) == ("local", {"max-size": "1m", "max-file": "3"})
    flags = ["--log-driver", "syslog", "--log-opt", "max-file=2", "--log-opt", "tag=a=b"]
    chosen = options.parse(["--config", str(file), *flags])
    assert chosen.log_driver == "syslog"
    assert chosen.log_options == {"max-size": "1m", "max-file": "2", "tag": "a=b"}


def test_runtimes_of_file_and_flags(tmp_path: Path) -> None:
    file = tmp_path / "knarr.toml"
    file.write_text(
        'default-runtime = "box"\n[runtimes]\nold = "/old"\nplain = "/plain"\n'
        '[runtimes.box]\npath = "/box"\nargs = ["--a=b", "-c"]\n'
    )
    chosen = options.parse(["--config", str(file), "--add-runtime", "old=/new=1"])
    assert chosen.default_runtime == "box"
    assert {name: tuple(each) for name, each in chosen.runtimes.items()} == {
        "old": ("/new=1", ()),
        "plain": ("/plain", ()),
        "box": ("/box", ("--a=b", "-c")),
    }
    chosen = options.parse(["--config", str(file), "--default-runtime", "plain"])
    assert chosen.default_runtime == "plain"


def test_dockers_own_runtime_is_ours_unless_there_is_one_of_that_name() -> None:
    assert options.parse(["--default-runtime", "runc"]).default_runtime == "knarr"
    chosen = options.parse(["--default-runtime", "runc", "--add-runtime", "runc=/usr/sbin/runc"])
    assert chosen.default_runtime == "runc"


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["--add-runtime", "runc"], 'invalid runtime "runc": NAME=PATH is needed'),
        (["--add-runtime", "=/x"], 'invalid runtime "=/x": NAME=PATH is needed'),
        (["--add-runtime", "x=y"], 'runtime "x" needs an absolute path'),
        (["--add-runtime", "knarr=/x"], "runtime name 'knarr' is reserved"),
        (["--default-runtime", "x"], 'default runtime "x" is not configured'),
    ],
)
def test_bad_runtimes(argv: list[str], words: str) -> None:
    with pytest.raises(InvalidArgumentError, match=words):
        options.parse(argv)


def test_a_missing_file_is_an_error_only_if_it_was_named(tmp_path: Path) -> None:
    options.parse([])
    with pytest.raises(InvalidArgumentError, match="read configuration"):
        options.parse(["--config", str(tmp_path / "absent.toml")])


@pytest.mark.parametrize("argv", [["--data"], ["--nonsense"], ["word"], ["-l", "loud"]])
def test_wrong_flags_end_the_process(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        options.parse(argv)
    assert caught.value.code == 2
    assert "usage: knarr daemon" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("plain", "plain"),
        ("/a/b:c", "/a/b:c"),
        ("", '""'),
        ("two words", '"two words"'),
        ('a"b', '"a\\"b"'),
        ("a=b", '"a=b"'),
        ("line\nbreak", '"line\\nbreak"'),
        ("grüße", "grüße"),
    ],
)
def test_values_are_quoted_where_a_reader_needs_it(value: str, shown: str) -> None:
    assert logs.quoted(value) == shown


def test_an_event_is_one_line() -> None:
    try:
        int("x")
    except ValueError:
        record = logging.LogRecord("n", logging.ERROR, "", 0, "it %s", ("broke\n",), sys.exc_info())
    line = logs.KeyValueFormatter().format(record)
    assert "\n" not in line
    assert line.startswith("time=20")
    assert 'level=error logger=n msg="it broke\\n" error="Traceback' in line


def test_a_root_is_locked_once(tmp_path: Path) -> None:
    with (
        locks.RootLock(tmp_path, "data root"),
        pytest.raises(ConflictError, match="in use by another engine, process"),
        locks.RootLock(tmp_path, "data root"),
    ):
        pytest.fail("two at once")
    with locks.RootLock(tmp_path, "data root"):
        pass


def test_registries_of_file_and_flags(tmp_path: Path) -> None:
    assert options.parse([]).rules == Rules()
    file = tmp_path / "knarr.toml"
    file.write_text(
        'registry-mirrors = ["https://second.example"]\ninsecure-registries = ["10.0.0.0/8"]\n'
        '[registries."docker.io"]\nmirrors = ["http://third.example:5000/"]\n'
        '[registries."Reg.example:5000"]\ninsecure = true\nca = "/ca.pem"\n'
        'client-cert = "/c.pem"\nclient-key = "/k.pem"\n'
    )
    flags = ["--registry-mirror", "https://first.example/path", "--insecure-registry", "a.b:1"]
    rules = options.parse(["--config", str(file), *flags]).rules
    assert rules.registries == {
        "docker.io": RegistryRule(
            mirrors=(
                "https://second.example",
                "https://first.example/path",
                "http://third.example:5000",
            )
        ),
        "reg.example:5000": RegistryRule((), True, "/ca.pem", "/c.pem", "/k.pem"),
    }
    assert rules.insecure == ("10.0.0.0/8", "a.b:1")


@pytest.mark.parametrize(
    ("argv", "toml", "words"),
    [
        (["--registry-mirror", "ftp://x"], "", 'unsupported scheme "ftp" in "ftp://x"'),
        (["--registry-mirror", "x.example"], "", "unsupported scheme"),
        (["--registry-mirror", "https://x/?a"], "", "query or fragment at end of the URI"),
        (["--registry-mirror", "https://u:secret@x"], "", 'not allowed in URI "https://u:xxxxx@x"'),
        (["--insecure-registry", "http://x"], "", "http://x should not contain 'http://'"),
        (["--insecure-registry", "a b"], "", "insecure registry a b is not valid"),
        ([], '[registries.x]\nca = "relative"', '"relative" is not an absolute path'),
        ([], '[registries.x]\nclient-cert = "/c"', "both or not at all"),
        ([], "[registries.x]\nmirror = []", "unknown field `mirror`"),
    ],
)
def test_bad_registries(tmp_path: Path, argv: list[str], toml: str, words: str) -> None:
    file = tmp_path / "knarr.toml"
    file.write_text(toml)
    with pytest.raises(InvalidArgumentError) as caught:
        options.parse(["--config", str(file), *argv])
    assert words in str(caught.value)
    assert "secret" not in str(caught.value)
