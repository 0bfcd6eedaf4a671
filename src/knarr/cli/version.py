"""``knarr version``."""

from __future__ import annotations

import os
import sys

from knarr import __version__
from knarr.cli.command import Command, CommandError
from knarr.cli.timestamps import clock
from knarr.client import jsontext
from knarr.client.session import API_VERSION
from knarr.errors import KnarrError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from knarr.cli.command import Call

    Json = dict[str, Any]

_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "i686": "386", "armv7l": "arm"}
_LABELS = (
    ("ApiVersion", "API version"),
    ("PythonVersion", "Python version"),
    ("GoVersion", "Go version"),
    ("GitCommit", "Git commit"),
    ("BuildTime", "Built"),
)


def execute(call: Call) -> int:
    """Show this program's versions and the engine's; an engine that is missing is a failure."""
    problem: KnarrError | None = None
    server: Json | None = None
    try:
        server = call.session.get("/version")
    except KnarrError as error:
        problem = error
    versions = {"Client": _client(server), "Server": server}
    form = call.flags.text("format")
    if form:
        sys.stdout.write(_formatted(versions, form))
    else:
        sys.stdout.write(_text(versions))
    if problem:
        raise problem
    return 0


def _client(server: Json | None) -> Json:
    machine = os.uname().machine
    spoken = min_version(str(server["ApiVersion"]), API_VERSION) if server else API_VERSION
    return {
        "Version": __version__,
        "ApiVersion": spoken,
        "DefaultAPIVersion": API_VERSION,
        "PythonVersion": sys.version.partition(" ")[0],
        "Os": sys.platform,
        "Arch": _ARCHITECTURES.get(machine, machine),
        "Context": "default",
    }


def min_version(*versions: str) -> str:
    """The oldest of some API versions."""
    return min(versions, key=lambda text: [int(part) for part in text.split(".")])


def _formatted(versions: Json, form: str) -> str:
    if form == "json":
        return jsontext.dumps(versions, ascii_only=False) + "\n"
    from knarr.cli.template import Template
    from knarr.cli.template.errors import TemplateError

    try:
        return Template(form, "version").render(versions) + "\n"
    except TemplateError as error:
        print()
        raise CommandError(str(error)) from None


def _text(versions: Json) -> str:
    client = versions["Client"]
    lines = ["Client:", *_lines(client, 18, _downgrade(client))]
    server = versions["Server"]
    if server is None:
        return "\n".join(lines) + "\n"
    platform = (server.get("Platform") or {}).get("Name") or ""
    lines += ["", f"Server: {platform}".rstrip()]
    components = server.get("Components") or [{"Name": "Engine", "Version": server["Version"]}]
    for component in components:
        lines += [f" {component['Name']}:", *_component(component)]
    return "\n".join(lines) + "\n"


def _component(component: Json) -> list[str]:
    """The engine's details under their names, those of other programs as they are."""
    details = component.get("Details") or {}
    if component["Name"] != "Engine":
        rows = {"Version": component["Version"], **dict(sorted(details.items()))}
        return [f"  {f'{key}:':<17} {value}" for key, value in rows.items()]
    least = f" (minimum version {details['MinAPIVersion']})" if "MinAPIVersion" in details else ""
    known = {**details, "Version": component["Version"]}
    if built := known.get("BuildTime"):
        known["BuildTime"] = clock(built)
    return [f" {line}" for line in _lines(known, 17, least)]


def _downgrade(client: Json) -> str:
    spoken, newest = client["ApiVersion"], client["DefaultAPIVersion"]
    return "" if spoken == newest else f" (downgraded from {newest})"


def _lines(known: Json, width: int, remark: str) -> list[str]:
    rows = [("Version", known["Version"])]
    for key, label in _LABELS:
        if key in known:
            rows.append((label, known[key] + (remark if key == "ApiVersion" else "")))
    if "Os" in known:
        rows.append(("OS/Arch", f"{known['Os']}/{known['Arch']}"))
    rows += [(key, known[key]) for key in ("Context", "Experimental") if key in known]
    return [f" {f'{label}:':<{width}} {value}" for label, value in rows]


COMMAND = Command(
    "[OPTIONS]",
    execute,
    (("format", "f", "string", "", "How to print: 'json' or TEMPLATE"),),
)
