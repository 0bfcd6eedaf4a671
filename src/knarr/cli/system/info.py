"""``knarr info``."""

from __future__ import annotations

import sys

from knarr import __version__
from knarr.cli.command import Command, CommandError
from knarr.cli.quantities import human_memory
from knarr.errors import KnarrError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from knarr.cli.command import Call

    Json = dict[str, Any]


def execute(call: Call) -> int:
    """Show the engine's state and abilities; warnings go to standard error."""
    form = call.flags.text("format")
    client = {"Debug": False, "Version": __version__, "Context": "default"}
    try:
        known = call.session.get("/info")
    except KnarrError:
        if not form:
            sys.stdout.write("\n".join(_client_lines(client)) + "\n\nServer:\n")
        raise
    if form:
        sys.stdout.write(_formatted({**known, "ClientInfo": client}, form))
        return 0
    lines = [*_client_lines(client), "", "Server:", *server_lines(known), ""]
    sys.stdout.write("\n".join(lines) + "\n")
    sys.stdout.flush()
    for warning in known.get("Warnings") or ():
        print(warning, file=sys.stderr)
    return 0


def _formatted(known: Json, form: str) -> str:
    from knarr.cli.template import Template
    from knarr.cli.template.errors import TemplateError
    from knarr.client import jsontext

    if form == "json":
        return jsontext.dumps(known, ascii_only=False) + "\n"
    try:
        return Template(form).render(known) + "\n"
    except TemplateError as error:
        print()
        raise CommandError(str(error)) from None


def _client_lines(client: Json) -> list[str]:
    return [
        "Client:",
        f" Version:    {client['Version']}",
        f" Context:    {client['Context']}",
        " Debug Mode: false",
    ]


def server_lines(known: Json) -> list[str]:
    """The engine's part."""
    return [
        *_state(known),
        *_plugins(known),
        *_runtimes(known),
        *_security(known),
        *_machine(known),
        *_settings(known),
    ]


def _line(label: str, value: object, depth: int = 1) -> str:
    return f"{' ' * depth}{label}: {value}"


def _lines(
    known: Json, labels: Iterable[tuple[str, str]], *, all_of_them: bool = True
) -> list[str]:
    return [
        _line(label, _shown(known.get(key, "")))
        for key, label in labels
        if all_of_them or known.get(key)
    ]


def _shown(value: object) -> object:
    return str(value).lower() if isinstance(value, bool) else value


def _state(known: Json) -> list[str]:
    counts = ("Running", "Paused", "Stopped")
    lines = [_line("Containers", known["Containers"])]
    lines += [_line(each, known[f"Containers{each}"], 2) for each in counts]
    lines += _lines(
        known,
        (("Images", "Images"), ("ServerVersion", "Server Version"), ("Driver", "Storage Driver")),
    )
    lines += [_line(name, value, 2) for name, value in known.get("DriverStatus") or ()]
    labels = (("LoggingDriver", "Logging Driver"), ("CgroupDriver", "Cgroup Driver"))
    lines += _lines(known, (*labels, ("CgroupVersion", "Cgroup Version")), all_of_them=False)
    return lines


def _plugins(known: Json) -> list[str]:
    plugins = known.get("Plugins") or {}
    kinds = [kind for kind in ("Volume", "Network", "Authorization", "Log") if plugins.get(kind)]
    lines = [" Plugins:", *(_line(kind, " ".join(plugins[kind]), 2) for kind in kinds)]
    folders = known.get("CDISpecDirs") or ()
    if folders:
        lines += [" CDI spec directories:", *(f"  {folder}" for folder in folders)]
    swarm = known.get("Swarm") or {}
    lines.append(_line("Swarm", swarm.get("LocalNodeState") or "inactive"))
    return lines


def _runtimes(known: Json) -> list[str]:
    lines = []
    if known.get("Runtimes"):
        lines.append(_line("Runtimes", " ".join(sorted(known["Runtimes"]))))
        lines.append(_line("Default Runtime", known.get("DefaultRuntime", "")))
    if known.get("OSType") != "linux":
        return lines
    lines.append(_line("Init Binary", known.get("InitBinary", "")))
    for key, label in (
        ("ContainerdCommit", "containerd version"),
        ("RuncCommit", "runc version"),
        ("InitCommit", "init version"),
    ):
        lines.append(_line(label, (known.get(key) or {}).get("ID", "")))
    return lines


def _security(known: Json) -> list[str]:
    """``name=seccomp,profile=default`` as a name and its properties."""
    options = known.get("SecurityOptions") or ()
    lines = [" Security Options:"] if options else []
    for option in options:
        pairs = [part.partition("=") for part in option.split(",")]
        for key, found, value in pairs:
            if not found:
                lines.append(f"  {key}")
            elif key == "name":
                lines.append(f"  {value}")
            else:
                lines.append(f"   {key.capitalize()}: {value}")
    return lines


def _machine(known: Json) -> list[str]:
    labels = (
        ("KernelVersion", "Kernel Version"),
        ("OperatingSystem", "Operating System"),
        ("OSType", "OSType"),
        ("Architecture", "Architecture"),
        ("NCPU", "CPUs"),
    )
    lines = _lines(known, labels)
    lines.append(_line("Total Memory", human_memory(known.get("MemTotal") or 0)))
    last = (("Name", "Name"), ("ID", "ID"), ("DockerRootDir", "Docker Root Dir"))
    return lines + _lines(known, (*last, ("Debug", "Debug Mode")))


def _settings(known: Json) -> list[str]:
    labels = (("HttpProxy", "HTTP Proxy"), ("HttpsProxy", "HTTPS Proxy"), ("NoProxy", "No Proxy"))
    lines = _lines(known, labels, all_of_them=False)
    if known.get("Labels"):
        lines += [" Labels:", *(f"  {label}" for label in known["Labels"])]
    lines.append(_line("Experimental", _shown(bool(known.get("ExperimentalBuild")))))
    registries = known.get("RegistryConfig") or {}
    insecure = [
        name
        for name, each in (registries.get("IndexConfigs") or {}).items()
        if not each.get("Secure", True)
    ]
    ranges = registries.get("InsecureRegistryCIDRs") or ()
    if insecure or ranges:
        lines += [" Insecure Registries:", *(f"  {name}" for name in (*insecure, *ranges))]
    if registries.get("Mirrors"):
        lines += [" Registry Mirrors:", *(f"  {name}" for name in registries["Mirrors"])]
    lines.append(_line("Live Restore Enabled", _shown(bool(known.get("LiveRestoreEnabled")))))
    return lines


COMMAND = Command(
    "[OPTIONS]",
    execute,
    (("format", "f", "string", "", "How to print: 'json' or TEMPLATE"),),
)
