"""From the flags of ``run`` and ``create`` to the body of the request that makes a container.

What has its default is left out: the engine knows the defaults.
Source: Engine API, ContainerCreate; the conflicts and their words are docker's.
"""

from __future__ import annotations

from knarr.cli.command import CommandError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from knarr.cli.flags import Flags

    Json = dict[str, Any]

#: Fields of the host configuration by option: numbers, then texts, switches and lists.
NUMBERS = {
    "blkio-weight": "BlkioWeight",
    "cpu-period": "CpuPeriod",
    "cpu-quota": "CpuQuota",
    "cpu-rt-period": "CpuRealtimePeriod",
    "cpu-rt-runtime": "CpuRealtimeRuntime",
    "cpu-shares": "CpuShares",
    "cpus": "NanoCpus",
    "memory": "Memory",
    "memory-reservation": "MemoryReservation",
    "memory-swap": "MemorySwap",
    "memory-swappiness": "MemorySwappiness",
    "oom-score-adj": "OomScoreAdj",
    "pids-limit": "PidsLimit",
    "shm-size": "ShmSize",
}
TEXTS = {
    "cgroup-parent": "CgroupParent",
    "cgroupns": "CgroupnsMode",
    "cidfile": "ContainerIDFile",
    "cpuset-cpus": "CpusetCpus",
    "cpuset-mems": "CpusetMems",
    "ipc": "IpcMode",
    "isolation": "Isolation",
    "pid": "PidMode",
    "runtime": "Runtime",
    "userns": "UsernsMode",
    "uts": "UTSMode",
    "volume-driver": "VolumeDriver",
}
_SWITCHES = {
    "init": "Init",
    "oom-kill-disable": "OomKillDisable",
    "privileged": "Privileged",
    "publish-all": "PublishAllPorts",
    "read-only": "ReadonlyRootfs",
    "rm": "AutoRemove",
}
_LISTS = {
    "add-host": "ExtraHosts",
    "blkio-weight-device": "BlkioWeightDevice",
    "device-cgroup-rule": "DeviceCgroupRules",
    "device-read-bps": "BlkioDeviceReadBps",
    "device-read-iops": "BlkioDeviceReadIOps",
    "device-write-bps": "BlkioDeviceWriteBps",
    "device-write-iops": "BlkioDeviceWriteIOps",
    "dns": "Dns",
    "dns-option": "DnsOptions",
    "dns-search": "DnsSearch",
    "group-add": "GroupAdd",
    "link": "Links",
    "mount": "Mounts",
    "volumes-from": "VolumesFrom",
}
_CONFIG_TEXTS = {
    "domainname": "Domainname",
    "hostname": "Hostname",
    "stop-signal": "StopSignal",
    "user": "User",
    "workdir": "WorkingDir",
}


def build(flags: Flags, image: str, command: Sequence[str]) -> Json:
    """The body.

    Errors: ``CommandError`` for flags that conflict or cannot be understood; ``OSError`` for a
    file that cannot be read.
    """
    from knarr.cli.container import networks

    if flags.given("memory-swappiness") and not -1 <= flags.number("memory-swappiness") <= 100:
        value = flags.number("memory-swappiness")
        raise CommandError(f"invalid value: {value}. Valid memory swappiness range is 0-100")
    _check_modes(flags)
    _check_address(flags.text("mac-address"))
    body = _config(flags, image, command)
    host = _host_config(flags)
    attachments = flags.many("network")
    host["NetworkMode"] = networks.mode(attachments)
    body["HostConfig"] = host
    if endpoints := networks.endpoints(attachments, flags):
        body["NetworkingConfig"] = {"EndpointsConfig": endpoints}
    _add_ports(flags, body, host)
    _add_volumes(flags, body, host)
    return body


def _config(flags: Flags, image: str, command: Sequence[str]) -> Json:
    attach = flags.many("attach")
    interactive = flags.on("interactive")
    body: Json = {
        "Image": image,
        "AttachStdin": interactive or "stdin" in attach,
        "AttachStdout": not attach or "stdout" in attach,
        "AttachStderr": not attach or "stderr" in attach,
        "OpenStdin": interactive,
        "StdinOnce": interactive,
        "Tty": flags.on("tty"),
    }
    if command:
        body["Cmd"] = list(command)
    if flags.given("entrypoint"):
        body["Entrypoint"] = [flags.text("entrypoint")]
    for flag, key in _CONFIG_TEXTS.items():
        if flags.given(flag):
            body[key] = flags.text(flag)
    if flags.given("stop-timeout"):
        body["StopTimeout"] = flags.number("stop-timeout")
    if environment := _environment(flags):
        body["Env"] = environment
    if labels := _labels(flags):
        body["Labels"] = labels
    if health := _health(flags):
        body["Healthcheck"] = health
    return body


def _environment(flags: Flags) -> list[str]:
    """The variables, those of files first; of two flags with one name the last one counts."""
    entries = []
    if paths := flags.many("env-file"):
        from knarr.cli.container.envfile import read
        from knarr.client.address import variable

        entries = read(paths, variable)
    own = {entry.partition("=")[0]: entry for entry in flags.many("env")}
    return [*entries, *own.values()]


def _labels(flags: Flags) -> dict[str, str]:
    entries = []
    if paths := flags.many("label-file"):
        from knarr.cli.container.envfile import read

        entries = read(paths, None)
    return pairs(entries + flags.many("label"))


def pairs(entries: Sequence[str]) -> dict[str, str]:
    """``name=value`` texts as a mapping; a name alone has an empty value."""
    return {name: value for name, _, value in (entry.partition("=") for entry in entries)}


def _health(flags: Flags) -> Json:
    names = ("cmd", "interval", "timeout", "start-period", "start-interval", "retries")
    wanted = any(flags.given(f"health-{name}") for name in names)
    if flags.on("no-healthcheck"):
        if wanted:
            raise CommandError("--no-healthcheck conflicts with --health-* options")
        return {"Test": ["NONE"]}
    if not wanted:
        return {}
    for name in names[1:]:
        if flags.number(f"health-{name}") < 0:
            raise CommandError(f"--health-{name} cannot be negative")
    health: Json = {
        "Interval": flags.number("health-interval"),
        "Timeout": flags.number("health-timeout"),
        "StartPeriod": flags.number("health-start-period"),
        "StartInterval": flags.number("health-start-interval"),
        "Retries": flags.number("health-retries"),
    }
    if command := flags.text("health-cmd"):
        health["Test"] = ["CMD-SHELL", command]
    return health


def _host_config(flags: Flags) -> Json:
    host: Json = {}
    for names, read in (
        (NUMBERS, flags.number),
        (TEXTS, flags.text),
        (_SWITCHES, flags.on),
        (_LISTS, flags.many),
    ):
        for flag, key in names.items():
            if flags.given(flag):
                host[key] = read(flag)
    host["RestartPolicy"] = _restart_policy(flags)
    for flag, (key, convert) in _CONVERTED.items():
        if flags.given(flag):
            host[key] = convert(flags.many(flag))
    if flags.given("health-on-failure"):
        annotations = host.setdefault("Annotations", {})
        annotations["io.knarr.health-on-failure"] = flags.text("health-on-failure")
    _add_log(flags, host)
    _add_storage(flags, host)
    _add_devices(flags, host)
    if flags.given("security-opt"):
        from knarr.cli.container import security

        host.update(security.options(flags.many("security-opt")))
    return host


def _restart_policy(flags: Flags) -> Json:
    policy = restart_policy(flags.text("restart"))
    if flags.on("rm") and policy["Name"] not in ("", "no"):
        raise CommandError("conflicting options: cannot specify both --restart and --rm")
    return policy


def restart_policy(text: str) -> Json:
    """The policy of ``on-failure:3``.

    Errors: ``CommandError``.
    """
    name, colon, count = text.partition(":")
    if not colon:
        return {"Name": name}
    if not name:
        raise CommandError("invalid restart policy format: no policy provided before colon")
    if not count.lstrip("-").isdecimal():
        raise CommandError("invalid restart policy format: maximum retry count must be an integer")
    return {"Name": name, "MaximumRetryCount": int(count)}


def _capabilities(names: Sequence[str]) -> list[str]:
    """The names with their prefix, in order and once."""
    upper = {name.strip().upper() for name in names}
    return sorted(
        name if name == "ALL" or name.startswith("CAP_") else f"CAP_{name}" for name in upper
    )


def _tmpfs(entries: Sequence[str]) -> dict[str, str]:
    return {path: options for path, _, options in (entry.partition(":") for entry in entries)}


def _ulimits(limits: Sequence[Json]) -> list[Json]:
    """The limits; of two with one name the last one counts."""
    return list({limit["Name"]: limit for limit in limits}.values())


_CONVERTED: dict[str, tuple[str, Callable[[list[Any]], object]]] = {
    "annotation": ("Annotations", pairs),
    "cap-add": ("CapAdd", _capabilities),
    "cap-drop": ("CapDrop", _capabilities),
    "sysctl": ("Sysctls", pairs),
    "tmpfs": ("Tmpfs", _tmpfs),
    "ulimit": ("Ulimits", _ulimits),
}


def _check_modes(flags: Flags) -> None:
    pid = flags.text("pid")
    if pid not in ("", "host", "private") and not pid[:10] == "container:" != pid:
        raise CommandError("--pid: invalid PID mode")
    for flag, allowed, name in (
        ("uts", ("", "host"), "UTS"),
        ("userns", ("", "host"), "USER"),
        ("cgroupns", ("", "host", "private"), "CGROUP"),
    ):
        if flags.text(flag) not in allowed:
            raise CommandError(f"--{flag}: invalid {name} mode")


def _check_address(text: str) -> None:
    """Refuse what is no MAC address: six or eight bytes."""
    parts = text.replace("-", ":").split(":")
    digits = set("0123456789abcdefABCDEF")
    fits = len(parts) in (6, 8) and all(len(part) == 2 and digits >= set(part) for part in parts)
    if text and not fits:
        raise CommandError(f"{text} is not a valid mac address")


def _add_log(flags: Flags, host: Json) -> None:
    driver, options = flags.text("log-driver"), flags.many("log-opt")
    if driver == "none" and options:
        raise CommandError("invalid logging opts for driver none")
    if driver or options:
        host["LogConfig"] = {"Type": driver, "Config": pairs(options)}


def _add_storage(flags: Flags, host: Json) -> None:
    options = flags.many("storage-opt")
    if any("=" not in option for option in options):
        raise CommandError("invalid storage option")
    if options:
        host["StorageOpt"] = pairs(options)


def _add_devices(flags: Flags, host: Json) -> None:
    if not flags.given("device") and not flags.given("gpus"):
        return
    from knarr.cli.container import devices

    found, requests = devices.mappings(flags.many("device"))
    requests += flags.many("gpus")
    host["Devices"] = found
    if requests:
        host["DeviceRequests"] = requests


def _add_ports(flags: Flags, body: Json, host: Json) -> None:
    if not flags.given("publish") and not flags.given("expose"):
        return
    from knarr.cli.container import ports

    bindings = ports.published(flags.many("publish"))
    body["ExposedPorts"] = {port: {} for port in (*bindings, *ports.exposed(flags.many("expose")))}
    host["PortBindings"] = bindings


def _add_volumes(flags: Flags, body: Json, host: Json) -> None:
    """Sort ``--volume``: with a source it is a bind, without one an anonymous volume."""
    binds: list[str] = []
    volumes: Json = {}
    for text in dict.fromkeys(flags.many("volume")):
        if not _has_source(text):
            volumes[text] = {}
            continue
        source, _, rest = text.partition(":")
        if source.startswith("."):
            from os.path import abspath

            source = abspath(source)
        binds.append(f"{source}:{rest}")
    if binds:
        host["Binds"] = binds
    if volumes:
        body["Volumes"] = volumes


def _has_source(text: str) -> bool:
    """Whether a ``--volume`` names what is mounted; ``CommandError`` for one that cannot be read.

    A letter before a colon is part of a path, as on Windows.
    """
    if not text:
        raise CommandError("invalid empty volume spec")
    if len(text) < 3:
        return False
    parts = [""]
    for character in text:
        part = parts[-1]
        if character != ":" or (len(part) == 1 and part.isalpha()):
            parts[-1] += character
        elif not part:
            break
        else:
            parts.append("")
    if not parts[-1]:
        raise CommandError(f"invalid spec: {text}: empty section between colons")
    if len(parts) > 3:
        raise CommandError(f"invalid spec: {text}: too many colons")
    return len(parts) > 1
