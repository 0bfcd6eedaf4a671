from __future__ import annotations

import json
import logging
import socket
from typing import Any

import pytest

from knarr.server import app, call


def test_ping(serving: Any) -> None:
    status, headers, body = serving.request("GET", "/_ping")
    assert (status, body) == (200, b"OK")
    assert headers["Api-Version"] == "1.51"
    assert headers["Ostype"] == "linux"
    assert headers["Docker-Experimental"] == "false"
    assert headers["Content-Type"] == "text/plain; charset=utf-8"
    status, headers, body = serving.request("HEAD", "/_ping")
    assert (status, body) == (200, b"")
    assert headers["Content-Length"] == "0"
    assert headers["Builder-Version"] == "1"


def test_version_prefixes(serving: Any) -> None:
    for path in ("/version", "/v1.24/version", "/v1.51/version", "/v1.41/version"):
        status, answer = serving.json("GET", path)
        assert (status, answer["ApiVersion"], answer["MinAPIVersion"]) == (200, "1.51", "1.24")


@pytest.mark.parametrize(
    ("path", "status", "message"),
    [
        (
            "/v1.23/version",
            400,
            (
                "client version 1.23 is too old. Minimum supported API version is 1.24, please "
                "upgrade your client to a newer version"
            ),
        ),
        (
            "/v1.52/version",
            400,
            "client version 1.52 is too new. Maximum supported API version is 1.51",
        ),
        (
            "/v2.0/version",
            400,
            "client version 2.0 is too new. Maximum supported API version is 1.51",
        ),
        ("/v1.x/version", 404, "page not found"),
        ("/v1.40", 404, "page not found"),
        ("/nothing", 404, "page not found"),
        ("/", 404, "page not found"),
        ("/containers", 404, "page not found"),
        ("/containers//json", 404, "page not found"),
        ("/containers/x/json", 404, "No such container: x"),
        ("/containers/x/json?size=1", 404, "No such container: x"),
        ("/swarm", 503, "This node is not a swarm manager. knarr has no swarm mode."),
    ],
)
def test_errors_are_json(serving: Any, path: str, status: int, message: str) -> None:
    got, headers, body = serving.request("GET", path)
    assert (got, json.loads(body)) == (status, {"message": message})
    assert headers["Content-Type"] == "application/json"
    assert headers["Api-Version"] == "1.51"


def test_networks_are_pruned(serving: Any) -> None:
    assert serving.json("POST", "/networks/prune") == (200, {"NetworksDeleted": None})
    pruned = serving.json(
        "POST", "/networks/prune?filters=" + json.dumps({"label": ["a"]}, separators=(",", ":"))
    )
    assert pruned == (200, {"NetworksDeleted": ["a"]})


def test_wrong_method_is_not_found(serving: Any) -> None:
    assert serving.json("PUT", "/version") == (404, {"message": "page not found"})


@pytest.mark.parametrize(
    ("body", "content_type", "message"),
    [
        (b"{", "application/json", "invalid JSON: "),
        (b"", "", "invalid JSON: got EOF while reading request body"),
        (
            b"{}",
            "text/plain",
            "unsupported Content-Type header (text/plain): must be 'application/json'",
        ),
        (b'{"Image":"i"}', "application/json; charset=utf-8", ""),
        (b'{"Image":7}', "application/json", "invalid JSON: "),
        (b'{"Image":"i"}{}', "application/json", "invalid JSON: "),
    ],
)
def test_bodies(serving: Any, body: bytes, content_type: str, message: str) -> None:
    headers = {"Content-Type": content_type} if content_type else {}
    status, _, answer = serving.request("POST", "/containers/create", body, headers)
    if message:
        assert status == 400
        assert json.loads(answer)["message"].startswith(message)
    else:
        assert status == 201


def test_body_without_content_type(serving: Any) -> None:
    with serving.raw() as sock:
        sock.sendall(b"POST /containers/create HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}")
        answer = sock.recv(65536)
    assert b" 400 " in answer
    assert b"malformed Content-Type header (): mime: no media type" in answer


def test_huge_body_is_refused(serving: Any) -> None:
    body = b'{"Image":"' + b"x" * call.MAX_BODY + b'"}'
    headers = {"Content-Type": "application/json"}
    status, _, answer = serving.request("POST", "/containers/create", body, headers)
    assert status == 400
    assert "larger than" in json.loads(answer)["message"]


def test_long_query_is_taken(serving: Any) -> None:
    filters = json.dumps({"label": ["x" * 100_000]})
    status, _ = serving.json("GET", f"/containers/json?filters={filters.replace(' ', '')}")
    assert status == 200
    assert serving.containers.calls[-1][1][3] == {"label": ["x" * 100_000]}


def test_no_traceback_reaches_the_client(serving: Any, caplog: pytest.LogCaptureFixture) -> None:
    key = serving.container("exit", "0")
    with caplog.at_level(logging.ERROR):
        status, answer = serving.json("POST", f"/containers/{key}/kill")
    assert status == 500
    assert answer == {"message": "internal error (RuntimeError); the engine's log says more"}
    assert any(record.exc_info for record in caplog.records)


def test_statuses_of_a_life(serving: Any) -> None:
    key = serving.container("exit", "3")
    assert serving.json("POST", f"/containers/{key}/start") == (204, None)
    assert serving.json("POST", f"/containers/{key}/start") == (304, None)
    assert serving.json("POST", f"/containers/{key}/wait") == (200, {"StatusCode": 3})
    assert serving.json("POST", f"/containers/{key}/stop?t=-1&signal=TERM") == (204, None)
    assert serving.containers.calls[-1] == ("stop", (key, -1, "TERM"))
    assert serving.json("DELETE", f"/v1.40/containers/{key}?force=1&v=0&link=no") == (204, None)
    assert serving.containers.calls[-1] == ("remove", (key, True, False, False))
    assert serving.json("DELETE", f"/containers/{key}")[0] == 404


def test_name_with_its_slash(serving: Any) -> None:
    status, _ = serving.json("POST", "/containers/create?name=web", {"Image": "i"})
    assert status == 201
    assert serving.json("GET", "/containers//web/json")[0] == 200
    assert serving.json("GET", "/containers/%2Fweb/json")[0] == 200
    status, answer = serving.json("POST", "/containers/create?name=web", {"Image": "i"})
    assert (status, answer["message"][:9]) == (409, "Conflict.")


@pytest.mark.parametrize(
    ("method", "path", "message"),
    [
        ("GET", "/containers/json?limit=x", 'strconv.Atoi: parsing "x": invalid syntax'),
        ("GET", "/containers/json?filters=x", "invalid filter"),
        ("POST", "/containers/ID/stop?t=1.5", 'strconv.Atoi: parsing "1.5": invalid syntax'),
        ("POST", "/containers/ID/wait?condition=soon", 'invalid condition: "soon"'),
        ("POST", "/containers/ID/resize?h=1", 'invalid resize width ""'),
        ("POST", "/containers/ID/resize?h=70000&w=1", 'invalid resize height "70000"'),
        ("GET", "/containers/ID/logs", "Bad parameters: you must choose at least one stream"),
        ("GET", "/containers/ID/logs?stdout=1&since=x", "failed to parse value as time"),
        ("GET", "/events?since=10&until=5", "`since` time (10) cannot be after `until` time (5)"),
        ("GET", "/images/get", "no image names were given"),
        ("GET", "/images/get?names=a&platform={x", "failed to parse platform"),
    ],
)
def test_bad_parameters(serving: Any, method: str, path: str, message: str) -> None:
    key = serving.container("exit", "0")
    status, answer = serving.json(method, path.replace("ID", key))
    assert status == 400
    assert answer["message"].startswith(message)


def test_parameters(serving: Any) -> None:
    serving.json("GET", "/containers/json?all=true&limit=5&size=False&filters=%7B%7D")
    assert serving.containers.calls[-1] == ("list", (True, 5, False, {}))
    serving.json("GET", "/system/df?type=image&type=volume")
    assert serving.system.calls[-1] == ("df", ["image", "volume"])
    key = serving.container("exit", "0")
    serving.request("GET", f"/containers/{key}/logs?stderr=1&tail=20&since=1.5&timestamps=1&until=")
    options = serving.containers.calls[-1][1]
    assert (options.stdout, options.stderr, options.tail) == (False, True, 20)
    assert (options.since, options.until, options.timestamps) == (1_500_000_000, 0, True)
    serving.request("GET", f"/containers/{key}/logs?stdout=1&tail=all")
    assert serving.containers.calls[-1][1].tail is None


def test_image_names_with_slashes(serving: Any) -> None:
    serving.json("POST", "/images/reg.example:5000/a/b/json:x/tag?repo=c&tag=d")
    assert serving.images.calls[-1] == ("tag", ("reg.example:5000/a/b/json:x", "c", "d"))
    status, answer = serving.json("DELETE", "/v1.45/images/a/b%3Ac")
    assert status == 200
    assert answer == [{"Untagged": "a/b:c"}, {"Deleted": "sha256:1"}]


def test_image_list_of_older_versions(serving: Any) -> None:
    new = serving.json("GET", "/v1.44/images/json")[1][0]
    old = serving.json("GET", "/v1.40/images/json")[1][0]
    assert new["RepoTags"] == []
    assert "VirtualSize" not in new
    assert old["RepoTags"] == ["<none>:<none>"]
    assert old["VirtualSize"] == 7


def test_disk_usage_of_older_versions(serving: Any) -> None:
    new = serving.json("GET", "/v1.44/system/df")[1]
    middle = serving.json("GET", "/v1.43/system/df")[1]
    old = serving.json("GET", "/v1.41/system/df")[1]
    assert "BuilderSize" not in new
    assert "BuilderSize" not in middle
    assert old["BuilderSize"] == 0
    assert all("VirtualSize" in image for image in (middle["Images"] or []))
    assert {"LayersSize", "Images", "Containers", "Volumes", "BuildCache"} <= set(old)


def test_defaults_of_older_versions(serving: Any) -> None:
    options = {"CreateMountpoint": True}
    mount = {"Type": "bind", "Source": "/a", "Target": "/b", "BindOptions": options}
    mount["TmpfsOptions"] = {"SizeBytes": 1}
    body = {"Image": "i", "HostConfig": {"PidsLimit": 0, "Mounts": [mount], "KernelMemory": 5}}
    serving.json("POST", "/v1.39/containers/create", body)
    (_, request), (_, was_shallow) = serving.containers.calls[-2:]
    old = request.host_config
    serving.json("POST", "/v1.50/containers/create", body)
    (_, request), (_, is_shallow) = serving.containers.calls[-2:]
    new = request.host_config
    assert (old.ipc_mode, old.cgroupns_mode, old.pids_limit) == ("shareable", "host", None)
    assert (new.ipc_mode, new.cgroupns_mode, new.pids_limit) == ("", "", None)
    assert (was_shallow, is_shallow) == (True, False)
    assert (old.kernel_memory, new.kernel_memory) == (5, 0)
    assert not old.mounts[0].bind_options.create_mountpoint
    assert new.mounts[0].bind_options.create_mountpoint
    assert (old.mounts[0].tmpfs_options, new.mounts[0].tmpfs_options.size_bytes) == (None, 1)


def test_explain(serving: Any) -> None:
    answer = serving.json("POST", "/knarr/explain", {"Image": "i", "Cmd": ["x"]})
    assert answer == (200, {"Plan": ["clone", "exec ['x']"]})


def test_pipelined_requests(serving: Any) -> None:
    with serving.raw() as sock:
        sock.sendall(b"GET /_ping HTTP/1.1\r\nHost: x\r\n\r\n" * 3)
        sock.shutdown(socket.SHUT_WR)
        answer = b""
        while chunk := sock.recv(65536):
            answer += chunk
    assert answer.count(b"HTTP/1.1 200 OK") == 3


def test_ping_before_other_requests(serving: Any) -> None:
    ping = b"HEAD /_ping HTTP/1.1\r\nHost: x\r\n\r\n"
    with serving.raw() as sock:
        for _ in range(2):
            sock.sendall(ping)
            answer = sock.recv(65536)
            assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
            assert answer.endswith(b"\r\n\r\n")
            assert b"Api-Version: 1.51\r\n" in answer
        sock.sendall(ping + ping)  # two at once go the ordinary way
        answer = b""
        while answer.count(b"\r\n\r\n") < 2:
            answer += sock.recv(65536)
        sock.sendall(b"GET /version HTTP/1.1\r\nHost: x\r\n\r\n")
        assert b'"MinAPIVersion":"1.24"' in sock.recv(65536)


def test_nonsense_instead_of_http(serving: Any) -> None:
    with serving.raw() as sock:
        sock.sendall(b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03\r\n\r\n")
        answer = sock.recv(65536)
    assert answer[8:13] == b" 400 "
    assert b"Traceback" not in answer


def test_keep_alive(serving: Any) -> None:
    with serving.raw() as sock:
        for _ in range(3):
            sock.sendall(b"GET /v1.50/version HTTP/1.1\r\nHost: x\r\n\r\n")
            assert sock.recv(65536).startswith(b"HTTP/1.1 200 OK")
        assert serving.connections() == 1
    serving.eventually(lambda: serving.connections() == 0)


def test_every_documented_route_of_this_release_is_known() -> None:
    routes = app.router()
    for method, path in [
        ("GET", "/containers/json"),
        ("GET", "/containers/abc/top"),
        ("POST", "/containers/abc/attach"),
        ("GET", "/images/a/b/c/get"),
        ("GET", "/images/a/history"),
        ("DELETE", "/images/a/b:c"),
        ("POST", "/exec/abc/start"),
        ("GET", "/volumes/x"),
        ("GET", "/networks/none"),
        ("POST", "/session"),
        ("GET", "/distribution/a/b/json"),
        ("PUT", "/containers/x/archive"),
    ]:
        routes.find(method, path)
