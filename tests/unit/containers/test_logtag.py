"""Tags and attributes of logs: Docker's templates, and hostile ones."""

from __future__ import annotations

import pytest

from knarr.api.containers import ContainerConfig
from knarr.api.host_config import HostConfig
from knarr.containers import logattributes, logtag
from knarr.containers.record import Record
from knarr.errors import InvalidArgumentError
from knarr.oci.digest import Digest

FIELDS = {
    "ID": "0123456789ab",
    "Name": "web",
    "ImageName": "registry.example/app:1.2",
    "ContainerLabels": {"a": "1", "b": "two words"},
    "ContainerArgs": ["x", "y"],
    "Empty": "",
}


@pytest.mark.parametrize(
    ("template", "tag"),
    [
        ("", ""),
        ("plain {x}", "plain {x}"),
        ("{{.Name}}/{{ .ID }}", "web/0123456789ab"),
        ("{{- .Name -}}  x {{- /* nothing */ -}} y", "webxy"),
        ("{{upper .Name}}{{.Name | title}}", "WEBWeb"),
        ('{{join (split .ImageName ":") "_"}}', "registry.example/app_1.2"),
        ('{{index .ContainerLabels "b"}}{{index .ContainerLabels "none"}}', "two words"),
        ("{{index .ContainerArgs 1}}", "y"),
        ("{{.ContainerArgs}}{{json .ContainerLabels}}", '[x y]{"a":"1","b":"two words"}'),
        ("{{if .Empty}}a{{else if .Name}}b{{else}}c{{end}}", "b"),
        ("{{if .Empty}}a{{if .Name}}b{{end}}{{else}}c{{end}}d", "cd"),
        ("{{with .Name}}<{{.}}>{{else}}none{{end}}", "<web>"),
        ("{{with .Empty}}x{{else}}none{{end}}", "none"),
        ('{{printf "%s-%q-%d%%" .Name .ID 5}}', 'web-"0123456789ab"-5%'),
        ('{{if and (eq .Name "web") (not .Empty)}}yes{{end}}', "yes"),
        ("{{truncate .ID 4}}{{slice .ID 4 6}}{{len .Name}}{{pad .Name 1 2}}|", "0123453 web  |"),
        ('{{"}}"}}{{`{{`}}', "}}{{"),
        ('{{or .Empty "x"}}{{ne .Name "web"}}{{true}}', "xfalsetrue"),
    ],
)
def test_templates(template: str, tag: str) -> None:
    assert logtag.render(template, FIELDS) == tag


@pytest.mark.parametrize(
    ("template", "words"),
    [
        (
            "{{.Nope}}",
            (
                'template: log-tag:1:2: executing "log-tag" at <.Nope>: can\'t evaluate field '
                "Nope in type *logger.Info"
            ),
        ),
        ("{{.Name", "template: log-tag:1: unclosed action"),
        ("{{}}", "template: log-tag:1: missing value for command"),
        ("{{foo .Name}}", 'template: log-tag:1: function "foo" not defined'),
        ("{{range .ContainerArgs}}x{{end}}", "template: log-tag:1: {{range}} is not supported"),
        ("{{if .Name}}x", "template: log-tag:1: unexpected EOF"),
        ("x{{end}}", "template: log-tag:1: unexpected {{end}}"),
        ("{{(.Name}}", "template: log-tag:1: unclosed left paren"),
        ("{{upper}}", 'template: log-tag:1: executing "log-tag" at <upper>: error calling upper: '),
    ],
)  # fmt: skip
def test_bad_templates_are_said_in_gos_words(template: str, words: str) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        logtag.render(template, FIELDS)
    assert caught.value.message.startswith(words)


GROWING = (
    '{{join (split (join (split (join (split (pad "a" 3000 3000) "") "xxxxxxxxxx") "") '
    '"xxxxxxxxxxxxxxxx") "") "yyyyyyyyyyyyyyyy"}}'
)


@pytest.mark.parametrize(
    "template",
    [
        "{{" + "(" * 1500 + ".Name" + ")" * 1500 + "}}",
        "{{if .Name}}" * 300 + "x" + "{{end}}" * 300,
        "{{pad .Name 1000000000 0}}",
        "{{pad .Name -1 0}}",
        GROWING,
        '{{printf "%1000000000d" 1}}{{pad .Name 4096 4096}}',
        "{{.Name}}" * 2000,
        "{{ .Name | }}",
        "{{index .ContainerArgs 99999999}}",
        "{{slice .Name .Name}}",
        "{{len 5}}{{join 5 5}}",
        "{{eq}}",
        "{{and}}",
        "{{\"\\x\"}}",
        "{{.Name}}{{else}}",
        "{{\0}}",
    ],
    ids=range(16),
)  # fmt: skip
def test_hostile_templates_are_refused_at_once(template: str) -> None:
    with pytest.raises(InvalidArgumentError):
        logtag.render(template, FIELDS)


def record(env: list[str], labels: dict[str, str]) -> Record:
    return Record(
        id="0123456789ab" + "c" * 52,
        name="web",
        created_ns=1,
        image_id=Digest("sha256:" + "d" * 64),
        image_name="busybox:1",
        layers=(),
        path="sh",
        args=("-c", "true"),
        config=ContainerConfig(labels=labels, env=env),
        host_config=HostConfig(),
    )


def test_attributes() -> None:
    one = record(["A=1", "B=x=y", "OS_X=3", "NONE"], {"com.example/a": "4", "other": "5"})
    options = {
        "env": "A,missing",
        "env-regex": "^(OS|B)",
        "labels": "other",
        "labels-regex": "^com\\.",
        "tag": "{{.Name}}/{{.ImageID}}/{{.Command}}/{{.DaemonName}}",
    }
    assert logattributes.of(one, options) == (
        ("A", "1"),
        ("B", "x=y"),
        ("OS_X", "3"),
        ("com.example/a", "4"),
        ("other", "5"),
        ("tag", "web/sha256:ddddd/sh -c true/knarr"),
    )


def test_attributes_have_a_limit() -> None:
    with pytest.raises(InvalidArgumentError, match="too large"):
        logattributes.of(record(["A=" + "x" * 100_000], {}), {"env": "A"})


@pytest.mark.parametrize(
    "pattern",
    ["(", "[z", "(a+)+$", "(a|aa)+$", "(?=a)", r"(a)\1", "a*" * 10, "(a{1,5}){1,5}", "x" * 5000,
     "(" * 2000 + ")" * 2000, "(a?){50}", "a{9999999999}", "(?<=a)b"],
    ids=range(13),
)  # fmt: skip
def test_patterns_that_are_wrong_or_could_take_for_ever(pattern: str) -> None:
    with pytest.raises(InvalidArgumentError, match="error parsing regexp"):
        logattributes.check({"labels-regex": pattern})


@pytest.mark.parametrize(
    "pattern", ["^(dev|stage).*", "a.*b", "[a-z_]+$", "^x{3}", "(ab)+", "(?i)a"]
)
def test_patterns_that_are_used(pattern: str) -> None:
    logattributes.check({"labels-regex": pattern})
    one = record(["a" * 127 + "=x"], {"a" * 5000: "y"})
    logattributes.of(one, {"labels-regex": pattern, "env-regex": pattern})


@pytest.mark.parametrize(
    ("name", "field"),
    [
        ("com.example/a-b", "COM_EXAMPLE_A_B"),
        ("_x", "X"),
        ("1a", "1A"),
        ("é", ""),
        ("ab=c\n", "AB_C_"),
    ],
)
def test_names_of_journal_fields(name: str, field: str) -> None:
    assert logattributes.journal_name(name) == field
