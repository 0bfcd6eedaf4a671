from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest

from knarr.api import requests
from knarr.api.containers import ContainerCreateRequest
from knarr.api.message import encode
from knarr.errors import InvalidArgumentError


def test_strict_body() -> None:
    request = requests.decode(ContainerCreateRequest, b'{"Image":"a","Cmd":["x"],"New":{"y":[1]}}')
    assert (request.image, request.cmd, request.host_config) == ("a", ["x"], None)


def test_null_in_a_map_is_an_empty_object() -> None:
    body = b'{"Volumes":{"/a":null,"/b":{}},"ExposedPorts":{"80/tcp":null}}'
    request = requests.decode(ContainerCreateRequest, body)
    assert list(request.volumes or ()) == ["/a", "/b"]
    assert list(request.exposed_ports or ()) == ["80/tcp"]


def test_null_means_zero_and_a_string_a_list() -> None:
    body = {
        "Hostname": None,
        "Image": "a",
        "Cmd": "echo",
        "Entrypoint": ["", None],
        "Tty": None,
        "Labels": {"x": None},
        "StopTimeout": None,
        "HostConfig": {
            "Memory": None,
            "CapAdd": "ALL",
            "RestartPolicy": None,
            "PortBindings": {"80/tcp": None, "81/tcp": [{"HostPort": None}]},
            "Mounts": [{"Type": "bind", "BindOptions": {"Propagation": None}}],
            "MaskedPaths": [],
            "ReadonlyPaths": None,
            "OomKillDisable": None,
        },
        "NetworkingConfig": {"EndpointsConfig": {"none": None}},
    }
    request = requests.decode(ContainerCreateRequest, json.dumps(body).encode())
    assert request.hostname == ""
    assert request.cmd == ["echo"]
    assert request.entrypoint == ["", ""]
    assert request.tty is False
    assert request.labels == {"x": ""}
    host = request.host_config
    assert host is not None
    assert host.memory == 0
    assert host.cap_add == ["ALL"]
    assert host.restart_policy.name == ""
    assert host.port_bindings is not None
    assert host.port_bindings["80/tcp"] is None
    assert [each.host_port for each in host.port_bindings["81/tcp"] or ()] == [""]
    assert host.mounts is not None
    assert host.mounts[0].bind_options is not None
    assert host.masked_paths == []
    assert host.readonly_paths is None


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b"", "invalid JSON: got EOF while reading request body"),
        (b"  ", "invalid JSON: got EOF while reading request body"),
        (b"{", "invalid JSON: input data was truncated"),
        (b"{x}", "invalid JSON: JSON is malformed"),
        (b'{"Image":5,', "invalid JSON: input data was truncated"),
        (b"[]", "invalid JSON: "),
        (b'{"Image":5}', r"invalid JSON: .*\$\.Image"),
        (b'{"HostConfig":{"Memory":"1g"}}', r"invalid JSON: .*\$\.HostConfig\.Memory"),
        (b'{"HostConfig":{"NanoCpus":1.5}}', "invalid JSON: "),
        (b'{"HostConfig":{"ShmSize":9223372036854775808}}', "invalid JSON: the number 92.* range"),
        (b'{"HostConfig":{"Ulimits":[{"Name":"x","Hard":-9223372036854775809}]}}', "out of range"),
        (b'{"Image":"a"} x', "invalid JSON: "),
        (b'{"Image":"\xff"}', "invalid JSON: "),
        (b'{"Cmd":' + b"[" * 100_000, "invalid JSON: "),
    ],
)
def test_bad_bodies(body: bytes, text: str) -> None:
    with pytest.raises(InvalidArgumentError, match=text):
        requests.decode(ContainerCreateRequest, body)


def test_an_empty_request_shows_dockers_nulls() -> None:
    sent = json.loads(encode(ContainerCreateRequest().config()))
    assert sent["Env"] is None
    assert sent["Cmd"] is None
    assert sent["Hostname"] == ""
    assert "ExposedPorts" not in sent
    assert "HostConfig" not in sent


@pytest.mark.parametrize("name", ["docker-28-run", "docker-28-run-many-flags"])
def test_what_docker_sends_is_kept_and_decodes_in_one_pass(name: str) -> None:
    body = (Path(__file__).parent / f"{name}.json").read_bytes()
    request = msgspec.json.decode(body, type=ContainerCreateRequest)
    assert json.loads(encode(request)) == json.loads(body)
