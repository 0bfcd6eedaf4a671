"""The grammar of flags and the kinds of their values."""

from __future__ import annotations

import pytest

from knarr.cli import csv, quantities
from knarr.cli.flags import BadValueError, FlagError, Flags, integer, quoted, uint16

ROWS = (
    ("all", "a", "", False, ""),
    ("cpus", "", "decimal", 0, ""),
    ("env", "e", "list", "", ""),
    ("filter", "f", "filter", "", ""),
    ("interactive", "i", "", False, ""),
    ("last", "n", "int", -1, ""),
    ("memory", "m", "bytes", 0, ""),
    ("name", "", "string", "none", ""),
    ("platform", "", "strings", "", ""),
    ("proxy", "", "", True, ""),
    ("tty", "t", "", False, ""),
)


def parse(*arguments: str, interspersed: bool = True) -> tuple[Flags, list[str]]:
    flags = Flags(ROWS, {})
    return flags, flags.parse(arguments, interspersed=interspersed)


def test_defaults() -> None:
    flags, rest = parse("x")
    assert rest == ["x"]
    assert (flags.text("name"), flags.number("last"), flags.on("proxy")) == ("none", -1, True)
    assert flags.many("env") == []
    assert not flags.given("name")


def test_clusters_and_values() -> None:
    flags, rest = parse("-it", "-e", "A=1", "-eB=2", "-e=C=3", "--env=D", "--env", "E", "-aim64m")
    assert rest == []
    assert flags.on("tty")
    assert flags.on("interactive")
    assert flags.on("all")
    assert flags.many("env") == ["A=1", "B=2", "C=3", "D", "E"]
    assert flags.number("memory") == 64 << 20


def test_short_value_that_is_only_an_equals_sign() -> None:
    assert parse("-e=")[0].many("env") == ["="]


def test_booleans() -> None:
    flags, rest = parse("--proxy=false", "-t=0", "--all", "false")
    assert not flags.on("proxy")
    assert not flags.on("tty")
    assert flags.on("all")
    assert rest == ["false"]


def test_end_of_flags() -> None:
    assert parse("a", "-t", "b")[1] == ["a", "b"]
    assert parse("a", "-t", "b", interspersed=False)[1] == ["a", "-t", "b"]
    assert parse("-t", "--", "-a", "--x", interspersed=False)[1] == ["-a", "--x"]
    assert parse("a", "--", "-t")[1] == ["a", "-t"]
    assert parse("-")[1] == ["-"]


def test_last_value_counts_and_lists_split() -> None:
    flags, _ = parse("--name", "a", "--name=b", "--platform", "x,y", "--platform=z")
    assert flags.text("name") == "b"
    assert flags.many("platform") == ["x", "y", "z"]


def test_filter_is_trimmed() -> None:
    assert parse("-f", " Label = a=b ")[0].many("filter") == ["label=a=b"]


def test_help() -> None:
    assert parse("--help")[0].wants_help
    flags, _ = parse("-h")
    assert flags.wants_help
    assert flags.shorthand_help


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--bogus"], "unknown flag: --bogus"),
        (["--bogus=1"], "unknown flag: --bogus"),
        (["-iz"], "unknown shorthand flag: 'z' in -iz"),
        (["--=x"], "bad flag syntax: --=x"),
        (["--name"], "flag needs an argument: --name"),
        (["-ie"], "flag needs an argument: 'e' in -ie"),
        (
            ["-it=x"],
            (
                'invalid argument "x" for "-t, --tty" flag: '
                'strconv.ParseBool: parsing "x": invalid syntax'
            ),
        ),
        (
            ["-n", "x"],
            (
                'invalid argument "x" for "-n, --last" flag: '
                'strconv.ParseInt: parsing "x": invalid syntax'
            ),
        ),
        (
            ["--cpus", 'a"b'],
            'invalid argument "a\\"b" for "--cpus" flag: failed to parse a"b as a rational number',
        ),
        (
            ["-f", "x"],
            (
                'invalid argument "x" for "-f, --filter" flag: '
                "bad format of filter (expected name=value)"
            ),
        ),
    ],
)
def test_errors(arguments: list[str], message: str) -> None:
    with pytest.raises(FlagError) as caught:
        parse(*arguments)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain é…", '"plain é…"'),
        ('a"b\\', '"a\\"b\\\\"'),
        ("\n\t\x1b[2J\x7f", '"\\n\\t\\x1b[2J\\x7f"'),
        ("\u200b\udcff\U000e0001", '"\\u200b\\xff\\U000e0001"'),
    ],
)
def test_quoted(text: str, shown: str) -> None:
    assert quoted(text) == shown


@pytest.mark.parametrize(
    ("text", "value"),
    [("0", 0), ("-5", -5), ("+7", 7), ("0x10", 16), ("010", 8), ("0b11", 3), ("00", 0)],
)
def test_integers(text: str, value: int) -> None:
    assert integer(text) == value


@pytest.mark.parametrize(
    "text", ["", " 1", "1 ", "1.5", "abc", "08", "--1", "99999999999999999999"]
)
def test_bad_integers(text: str) -> None:
    with pytest.raises(BadValueError):
        integer(text)


def test_uint16() -> None:
    assert uint16("65535") == 65535
    with pytest.raises(BadValueError, match="value out of range"):
        uint16("65536")
    with pytest.raises(BadValueError, match="invalid syntax"):
        uint16("-1")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0", 0),
        ("64", 64),
        ("64b", 64),
        ("1k", 1024),
        ("1.5m", 1572864),
        ("2GB", 2 << 30),
        ("2GiB", 2 << 30),
        ("3 KB", 3072),
        ("1t", 1 << 40),
        (".5k", 512),
        ("1p", 1 << 50),
    ],
)
def test_memory(text: str, value: int) -> None:
    assert quantities.memory(text) == value


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "invalid size: ''"),
        ("abc", "invalid size: 'abc'"),
        ("-1", "invalid size: '-1'"),
        ("1x", "invalid suffix: 'x'"),
        ("1kbb", "invalid suffix: 'kbb'"),
        ("1bb", "invalid suffix: 'bb'"),
        ("1.2.3", 'strconv.ParseFloat: parsing "1.2.3": invalid syntax'),
    ],
)
def test_bad_memory(text: str, message: str) -> None:
    with pytest.raises(BadValueError) as caught:
        quantities.memory(text)
    assert str(caught.value) == message


def test_swap_may_be_unlimited() -> None:
    assert quantities.swap("-1") == -1
    assert quantities.swap("1k") == 1024


@pytest.mark.parametrize(
    ("text", "value"),
    [("1", 10**9), ("1.5", 15 * 10**8), ("3/4", 75 * 10**7), (".5", 5 * 10**8), ("-1", -(10**9))],
)
def test_cpus(text: str, value: int) -> None:
    assert quantities.nano_cpus(text) == value


@pytest.mark.parametrize("text", ["", "x", "1/0", "1.2.3", "0.0000000001", "1/3", "1e"])
def test_bad_cpus(text: str) -> None:
    with pytest.raises(BadValueError):
        quantities.nano_cpus(text)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0", 0),
        ("1s", 10**9),
        ("1h2m3.5s", 3723500000000),
        ("-1ms", -(10**6)),
        ("2us", 2000),
        ("2µs", 2000),
        ("5ns", 5),
        ("1m", 60 * 10**9),
        (".5s", 5 * 10**8),
    ],
)
def test_durations(text: str, value: int) -> None:
    assert quantities.duration(text) == value


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", 'time: invalid duration ""'),
        ("x", 'time: invalid duration "x"'),
        ("5", 'time: missing unit in duration "5"'),
        ("5x", 'time: unknown unit "x" in duration "5x"'),
        ("-", 'time: invalid duration "-"'),
        (".s", 'time: invalid duration ".s"'),
    ],
)
def test_bad_durations(text: str, message: str) -> None:
    with pytest.raises(BadValueError) as caught:
        quantities.duration(text)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("size", "shown"),
    [(0, "0B"), (999, "999B"), (1000, "1kB"), (1982256, "1.982MB"), (1234567890, "1.235GB")],
)
def test_human_size(size: int, shown: str) -> None:
    assert quantities.human_size(size) == shown


def test_human_size_for_tables() -> None:
    assert quantities.human_size3(1982256) == "1.98MB"
    assert quantities.human_size3(999999) == "1e+03kB"  # as docker prints it
    assert quantities.human_memory(8320901120) == "7.749GiB"


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0, "Less than a second"),
        (1, "1 second"),
        (59, "59 seconds"),
        (60, "About a minute"),
        (119, "About a minute"),
        (120, "2 minutes"),
        (3599, "59 minutes"),
        (3600, "About an hour"),
        (5399, "About an hour"),
        (5400, "2 hours"),
        (86400, "24 hours"),
        (2 * 86400, "2 days"),
        (14 * 86400, "2 weeks"),
        (60 * 86400, "2 months"),
        (730 * 86400, "2 years"),
    ],
)
def test_human_duration(seconds: int, shown: str) -> None:
    assert quantities.human_duration(seconds) == shown


@pytest.mark.parametrize(
    ("text", "fields"),
    [
        ("a,b", ["a", "b"]),
        ("a,", ["a", ""]),
        ('"a,b",c', ["a,b", "c"]),
        ('a,"b ""c"" d"', ["a", 'b "c" d']),
        ('""', [""]),
    ],
)
def test_csv(text: str, fields: list[str]) -> None:
    assert csv.fields(text) == fields


@pytest.mark.parametrize("text", ["", 'a"b', '"a', '"a"b', 'x,"'])
def test_bad_csv(text: str) -> None:
    with pytest.raises(BadValueError):
        csv.fields(text)


def test_another_name_of_a_flag() -> None:
    rows = (("long-name", "", "list", "", "Shown"), ("old", "", "=long-name", "", ""))
    flags = Flags(rows, {})
    assert flags.parse(["--old", "a", "--long-name=b", "--old=c", "rest"], interspersed=True) == [
        "rest"
    ]
    assert flags.many("long-name") == ["a", "b", "c"]
