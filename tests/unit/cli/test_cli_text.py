"""What is printed: tables, moments, indented JSON, templates."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

import pytest

from knarr.cli import timestamps
from knarr.cli.command import CommandError
from knarr.cli.indent import indent
from knarr.cli.output import View
from knarr.cli.table import align, layout
from knarr.cli.template import Template
from knarr.cli.template.errors import TemplateError
from knarr.cli.template.typed import typed


@pytest.fixture
def berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def test_table() -> None:
    rows = [("A", "LONGER HEAD", "LAST"), ("value …", "x", "")]
    assert layout(rows) == "A         LONGER HEAD   LAST\nvalue …   x             \n"


def test_columns_of_separate_blocks_are_independent() -> None:
    text = "a\tb\nplain\nvery long cell indeed\tb\n"
    assert align(text) == "a         b\nplain\nvery long cell indeed   b\n"


def test_no_rows() -> None:
    assert layout([]) == ""


@pytest.mark.parametrize(
    ("text", "seconds", "nanoseconds"),
    [
        ("1970-01-01T00:00:00Z", 0, 0),
        ("2024-02-29T12:34:56.789Z", 1709210096, 789000000),
        ("2024-02-29T13:34:56.123456789+01:00", 1709210096, 123456789),
        ("1969-12-31T23:59:59Z", -1, 0),
        ("0001-01-01T00:00:00Z", -62135596800, 0),
    ],
)
def test_moments(text: str, seconds: int, nanoseconds: int) -> None:
    assert timestamps.parse(text) == (seconds, nanoseconds)


def test_forms_of_a_moment() -> None:
    assert timestamps.clock("2026-05-07T21:09:36.000000000+00:00") == "Thu May  7 21:09:36 2026"
    assert timestamps.clock("unknown") == "unknown"
    assert timestamps.zoned_fraction("0001-01-01T00:00:00Z") == "0001-01-01 00:00:00 +0000 UTC"


@pytest.mark.usefixtures("berlin")
def test_local_moments() -> None:
    assert timestamps.zoned(1709210096) == "2024-02-29 13:34:56 +0100 CET"
    assert timestamps.local_iso(1709210096) == "2024-02-29T13:34:56+01:00"
    assert timestamps.local_iso(0, 5, fraction=True) == "1970-01-01T01:00:00.000000005+01:00"


@pytest.mark.usefixtures("berlin")
@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1709210096", "1709210096"),
        ("1709210096.5", "1709210096.5"),
        ("2024-02-29T12:34:56Z", "1709210096.000000000"),
        ("2024-02-29T13:34:56", "1709210096.000000000"),
        ("2024-02-29T13:34", "1709210040.000000000"),
        ("2024-07-01", "1719784800.000000000"),
        ("2024-02-29T12:34:56.25+00:00", "1709210096.250000000"),
        ("2024-02-29T9:34:56Z", "1709199296.000000000"),
        ("2024-02-29T12Z", "1709208000.000000000"),
        ("2024-02-29Z", "1709164800.000000000"),
        ("2024-02-29+01:00", "1709161200.000000000"),
        ("0", "0"),
    ],
)
def test_since(text: str, value: str) -> None:
    assert timestamps.query_value(text, "since") == value


def test_since_a_duration() -> None:
    before = time.time() - 90
    assert before <= float(timestamps.query_value("1m30s", "since")) <= time.time() - 89


@pytest.mark.parametrize(
    "text",
    [
        *("yesterday", "", "-5", "2024-13-01", "2023-02-29", "2024-02-30T10:00", "2024-2-9"),
        *("2024-02-29T1:2", "2024-02-29T10:00:00:00", "2024-02-29x", "2024-02-29T12:34:56X"),
    ],
)
def test_bad_since(text: str) -> None:
    with pytest.raises(CommandError, match='invalid value for "since": failed to parse value'):
        timestamps.query_value(text, "since")


@pytest.mark.parametrize(
    "value",
    [{}, [], [{}], {"a": [1, {"b": None}], "c": {}}, "x", {'q"\\"': "br{ace}s, [x]: y\\"}],
)
def test_indent_agrees_with_the_library(value: object) -> None:
    for raw in (
        json.dumps(value),
        json.dumps(value, indent=1),
        json.dumps(value, separators=(",", ":")),
    ):
        assert indent(raw) == json.dumps(value, indent=4)


def test_indent_keeps_numbers_and_escapes() -> None:
    assert indent('{"a":1.0e+5,"b":"\\u003c"}') == '{\n    "a": 1.0e+5,\n    "b": "\\u003c"\n}'


VALUE = {
    "A": {"B": [1, "x", None, 1.5, 2e30], "M": {"z": 1, "a": "b"}},
    "Labels": {"k": "v"},
    "None": None,
    "S": "abc",
    "L": ["p", "q"],
    "T": True,
    "E": [],
    "Id": "<id>",
}


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain", "plain"),
        ("{{.A.B}} {{.A.M}} {{.None}} {{.S}}", "[1 x <nil> 1.5 2e+30] map[a:b z:1] <no value> abc"),
        ("{{json .A.M}} {{json .Id}}", '{"z":1,"a":"b"} "<id>"'),
        ("{{range .L}}<{{.}}>{{end}}", "<p><q>"),
        ("{{range $i, $x := .L}}{{$i}}={{$x}},{{end}}", "0=p,1=q,"),
        ("{{range $k, $v := .A.M}}{{$k}}{{$v}}{{end}}", "abz1"),
        ("{{range .E}}x{{else}}empty{{end}}", "empty"),
        ("{{if .E}}y{{else if .T}}t{{else}}n{{end}}", "t"),
        ("{{if not .T}}y{{else}}n{{end}}", "n"),
        ('{{if and .T (eq .S "abc" "d")}}ok{{end}}', "ok"),
        ('{{.S | upper | printf "%-6s|%5d|%05.1f" .S 7 1.25}}', "abc   |    7|001.2%!(EXTRA ABC)"),
        ('{{join .L ","}} {{len .L}} {{index .L 1}} {{index .A.M "z"}}', "p,q 2 q 1"),
        ("{{with .A.M}}{{.a}}{{end}}", "b"),
        ("{{with .None}}x{{else}}{{.S}}{{end}}", "abc"),
        ("a  {{- .S -}}  b", "aabcb"),
        ("{{/* comment }} */}}z", "z"),
        ('{{println .S .T 3}}{{print .S 1 2 "x"}}', "abc true 3\nabc1 2x"),
        ("{{$x := .S}}{{$x}}{{$.T}}", "abctrue"),
        ('{{"a\\tb\\"" }}{{`c\\`}}', 'a\tb"c\\'),
        (
            '{{split "a,b" ","}} {{title "ab"}} {{pad "x" 1 2}}| {{truncate "abcdef" 3}}',
            "[a b] Ab  x  | abc",
        ),
        ('{{(index .L 0)}} {{slice .S 1}} {{slice .S 0 2}} {{lower "X"}}', "p bc ab x"),
        ("{{.ID}}", "<id>"),
        ("{{.Labels.k}} {{.Labels.missing}}", "v <no value>"),
        ('{{1 | printf "%T"}} {{true}} {{nil | printf "%v"}}', "int true <nil>"),
        ("{{range 2}}{{.}}{{end}}", "01"),
        ("{{range 5}}{{if eq . 3}}{{break}}{{end}}{{.}}{{end}}", "012"),
        ("{{range 4}}{{if eq . 1}}{{continue}}{{end}}{{.}}{{end}}", "023"),
        ('{{define "t"}}<{{.}}>{{end}}{{template "t" .S}}{{template "t"}}', "<abc><<no value>>"),
        ('{{block "b" .S}}[{{.}}]{{end}}', "[abc]"),
        ('{{html "<a>"}} {{js "a\'b"}} {{urlquery "a b&"}}', "&lt;a&gt; a\\'b a+b%26"),
        ("{{1e3}} {{0x10}}", "1000 16"),
    ],
)
def test_template(text: str, shown: str) -> None:
    assert Template(text).render(VALUE) == shown


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{{.S", "template: :1: unclosed action"),
        ("{{range .L}}", "template: :1: unexpected EOF"),
        ("{{end}}", "template: :1: unexpected {{end}}"),
        ("{{else}}", "template: :1: unexpected {{else}}"),
        ("{{foo}}", 'template: :1: function "foo" not defined'),
        ('{{"x}}', "template: :1: unterminated quoted string"),
        ("{{.S | }}", "template: :1: missing value for command"),
        ("{{(.S}}", 'template: :1: unexpected "" in parenthesis'),
        ("{{.Foo}}", 'template: :1:2: executing "" at <.Foo>: map has no entry for key "Foo"'),
        ("{{.A.Q.R}}", 'template: :1:4: executing "" at <.A.Q.R>: map has no entry for key "Q"'),
        (
            "{{index .L 5}}",
            'template: :1:2: executing "" at <index .L 5>: error calling index: index out of',
        ),
        ('{{index .L "a"}}', "error calling index: cannot index slice/array with type string"),
        ("{{index .None 0}}", "error calling index: index of untyped nil"),
        ("{{break}}", "template: :1: {{break}} outside {{range}}"),
        ('{{template "t"}}', 'template "t" not defined'),
        ('{{define "t"}}', "template: :1: unexpected EOF"),
        ("{{define x}}{{end}}", 'template: :1: unexpected "x" in define clause'),
        (
            '{{define "t"}}{{template "t"}}{{end}}{{template "t"}}',
            "exceeded maximum template depth",
        ),
        ("{{call .S}}", "error calling call: non-function of type string"),
        ("{{range .S}}{{end}}", "template: :1: range can't iterate over abc"),
        ("{{$y}}", 'template: :1: undefined variable "$y"'),
        ('{{"a" "b"}}', "template: :1: can't give argument to non-function"),
        ("{{if .T}}{{else x}}{{end}}", 'template: :1: unexpected "" in else'),
    ],
)
def test_template_errors(text: str, message: str) -> None:
    with pytest.raises(TemplateError) as caught:
        Template(text).render(VALUE)
    assert message in str(caught.value)


VIEW = View(
    "thingContext",
    {"ID": lambda each: each["id"], "Size": lambda each: each["size"]},
    {"ID": "THING ID", "Size": "SIZE"},
    ("ID", "Size"),
    {"Label": lambda each, names: each["labels"].get(names[0], "")},
)
THINGS = [
    {"id": "one", "size": "1<B", "labels": {"a.b-c": "x"}},
    {"id": "two", "size": "2B", "labels": {}},
]


CONTAINER = {
    "Id": "x",
    "State": {"Status": "running", "Pid": 7},
    "Config": {"Labels": None, "Cmd": ["sh"], "Env": None},
    "HostConfig": {"Memory": 0, "PidsLimit": None, "Binds": None, "PortBindings": {"80/tcp": None}},
    "NetworkSettings": {"Networks": {"none": {"NetworkID": "n", "Aliases": None}}},
    "Mounts": [{"Type": "bind", "RW": True}],
}


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("{{.State}} {{.Mounts}}", "{running 7 <nil>} [{bind true}]"),
        ("{{if .State.Health}}x{{else}}none{{end}} {{.State.Health}}", "none <nil>"),
        ("{{.SizeRw}} {{.HostConfig.Init}} {{.HostConfig.PidsLimit}}", "<nil> <nil> <nil>"),
        ("{{.Config.Env}} {{.Config.Labels}} {{len .Config.Env}}", "[] map[] 0"),
        ("{{.HostConfig.Tmpfs}} {{.Config.StopSignal}}|{{.HostConfig.Mounts}}", "map[] |[]"),
        ("{{.HostConfig.PortBindings}}", "map[80/tcp:[]]"),
        ('{{(index .NetworkSettings.Networks "none").NetworkID}}', "n"),
        ('{{index .NetworkSettings.Networks "other"}}', "<nil>"),
        ('{{index .Config.Labels "a"}}|', "|"),
        ("{{range .Config.Env}}x{{end}}{{range $k, $v := .Config.Labels}}x{{end}}|", "|"),
    ],
)
def test_objects_have_all_fields_of_their_type(text: str, shown: str) -> None:
    assert Template(text).render(typed(CONTAINER)) == shown


def test_as_json_they_are_what_was_sent() -> None:
    assert json.loads(Template("{{json .}}").render(typed(CONTAINER))) == CONTAINER


@pytest.mark.parametrize(
    ("kind", "text", "shown"),
    [
        ({"RootFS": {}, "Config": {"Env": None}}, "{{.Author}}|{{.Config.Shell}}", "|[]"),
        ({"Mountpoint": "/x", "Labels": None}, "{{.Labels}} {{.UsageData}}", "map[] <nil>"),
        ({"IPAM": {"Config": None}, "Options": None}, "{{.Options}} {{.Peers}}", "map[] []"),
    ],
)
def test_other_kinds(kind: dict[str, object], text: str, shown: str) -> None:
    assert Template(text).render(typed(kind)) == shown


def test_view_as_table() -> None:
    assert VIEW.show(THINGS, "") == "THING ID   SIZE\none        1<B\ntwo        2B\n"
    assert VIEW.show([], "table") == "THING ID   SIZE\n"


def test_view_with_templates() -> None:
    assert VIEW.show(THINGS, "{{.ID}}:{{.Size}}\\t") == "one:1<B\t\ntwo:2B\t\n"
    table = VIEW.show(THINGS, 'table {{.ID}}\\t{{.Label "a.b-c"}}')
    assert table == "THING ID   b c\none        x\ntwo        \n"


def test_view_as_json_and_quiet() -> None:
    assert VIEW.show(THINGS[:1], "json") == '{"ID":"one","Size":"1\\u003cB"}\n'
    assert VIEW.show(THINGS, "", quiet="ID") == "one\ntwo\n"


def test_view_errors() -> None:
    with pytest.raises(CommandError, match="template parsing error: template: :1: unclosed"):
        VIEW.show(THINGS, "{{.ID")
    with pytest.raises(CommandError, match=r"can't evaluate field Foo in type \*thing"):
        VIEW.show(THINGS, "{{.Foo}}")
