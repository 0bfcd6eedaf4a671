"""knarr's answers at API 1.51 have the fields that the description of that version names.

``fields-1.51.json`` is made by ``scripts/api_fields.py``. A field that is missing, has another type
or is not described must be listed here; a listed one that is well after all is a failure, too.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.engine import Engine

pytestmark = [pytest.mark.needs_root, pytest.mark.needs_overlay]

FIELDS = json.loads((Path(__file__).parent / "fields-1.51.json").read_text())
TYPES = {"string": str, "boolean": bool, "integer": int, "number": (int, float), "object": dict}
#: What does not fit, and why; the keys are regular expressions.
LISTED = {
    r".*\.Healthcheck\.(Interval|Retries|StartInterval|StartPeriod|Timeout) is missing": "not set",
    r".*\.Config\.(ArgsEscaped|MacAddress|NetworkDisabled|Shell) is missing": "left out when empty",
    r"ImageInspect\.Config\.\w+ is missing": "left out when empty",
    r"ImageInspect\.(OsVersion|Variant) is missing": "left out when empty",
    r".*\.HostConfig\.Mounts\[\]\.[\w.]+ is missing": "left out when empty",
    r".*\.HostConfig\.StorageOpt is missing": "left out when empty",
    r".*\.HostConfig\.(MemorySwappiness|PidsLimit) is None and no integer": "null means no limit",
    r".*\.KernelMemoryTCP is missing": "gone from Docker and from the kernel",
    r"Container\w+\.Mounts\[\]\.(Driver|Name) is missing": "only volumes have one",
    r"ContainerSummary\.SizeRw is missing": "left out when 0",
    r".*\.(ImageManifestDescriptor|Descriptor|Manifests) is missing": "of containerd's store",
    r"Network\.Peers is missing": "of swarm",
    r"SystemInfo\.Swarm\.(Cluster|Managers|Nodes) is missing": "there is no swarm",
    r"Volume\.ClusterVolume is missing": "of swarm",
    r"SystemInfo\.(Containerd|ProductLicense) is missing": "there is no such thing",
    r"SystemInfo\.(DefaultAddressPools|FirewallBackend) is missing": "no network of users yet",
    r"SystemInfo\.DiscoveredDevices is missing": "left out when empty",
    r"SystemInfo\.Runtimes\.\*\.(runtimeArgs|status) is missing": "left out when empty",
    r"SystemVersion\.(BuildTime|Experimental) is missing": "left out when empty",
    r"Volume\.(Status|UsageData) is missing": "only where it was asked for",
}


def problems(value: Any, field: Any, path: str) -> Iterator[str]:
    """What does not fit; null stands for a list or a map without anything, as Go writes it."""
    if isinstance(field, list):
        if not isinstance(value, list):
            if value is not None:
                yield f"{path} is no list"
            return
        for each in value:
            yield from problems(each, field[0], f"{path}[]")
    elif isinstance(field, dict) and not isinstance(value, dict):
        if value is not None:
            yield f"{path} is no object"
    elif isinstance(field, dict) and "*" in field:
        for each in value.values():
            yield from problems(each, field["*"], f"{path}.*")
    elif isinstance(field, dict):
        known = {name.removesuffix("!"): each for name, each in field.items()}
        for name, each in known.items():
            if name in value:
                yield from problems(value[name], each, f"{path}.{name}")
            else:
                must = "required and " if f"{name}!" in field else ""
                yield f"{path}.{name} is {must}missing"
        yield from (f"{path}.{name} is not described" for name in value.keys() - known)
    elif field != "any" and not fits(value, field):
        yield f"{path} is {value!r} and no {field}"


def fits(value: Any, name: str) -> bool:
    if name == "integer" and isinstance(value, bool):
        return False
    return isinstance(value, TYPES[name])


@pytest.fixture(scope="module")
def answers(engine: Engine) -> Iterator[dict[str, Any]]:
    """An answer for each kind of message."""
    engine.docker(
        *("run", "-d", "--name", "fielded", "--network", "none", "--init", "-l", "a=b"),
        *("--annotation", "x=y", "--health-cmd", "true", "--expose", "80", "-m", "64m"),
        *("-v", "fielded:/v", "--mount", "type=tmpfs,dst=/t,tmpfs-size=1m", "--ulimit", "core=0"),
        *("--device", "/dev/null", "--stop-timeout", "0", "--log-opt", "max-size=1m", "--rm"),
        *("--stop-signal", "KILL", "--tmpfs", "/tt:size=1m", "--sysctl", "net.ipv4.ip_forward=0"),
        *("busybox", "sleep", "1000"),
    )
    volume, container = "/volumes/fielded", "/containers/fielded"
    yield {
        "ContainerInspectResponse": engine.get(f"/v1.51{container}/json?size=1"),
        "ContainerSummary": engine.get("/v1.51/containers/json?size=1")[0],
        "ContainerTopResponse": engine.get(f"/v1.51{container}/top"),
        "ImageInspect": engine.get("/v1.51/images/busybox/json"),
        "ImageSummary": engine.get("/v1.51/images/json")[0],
        "SystemInfo": engine.get("/v1.51/info"),
        "SystemVersion": engine.get("/v1.51/version"),
        "Volume": engine.get(f"/v1.51{volume}"),
        "Network": engine.get("/v1.51/networks/none"),
    }
    engine.api("DELETE", f"{container}?force=1&v=1")
    engine.api("DELETE", volume)


def test_no_answer_lacks_a_field(answers: dict[str, Any]) -> None:
    found = {
        problem
        for name, answer in answers.items()
        for problem in problems(answer, FIELDS[name], name)
    }
    unlisted = {one for one in found if not any(re.fullmatch(key, one) for key in LISTED)}
    assert not unlisted, "\n".join(sorted(unlisted))
    gone = {key for key in LISTED if not any(re.fullmatch(key, one) for one in found)}
    assert not gone
