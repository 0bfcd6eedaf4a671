"""Where knarr differs from dockerd on purpose, or not yet agrees; docs/differences.md tells it.

A difference covers a field of a step: ``where`` is searched in ``"STEP | FIELD"``, ``docker`` and
``knarr`` in what the two have there.
"""

from __future__ import annotations

import re
from typing import NamedTuple


class Difference(NamedTuple):
    """One entry of the list; ``reason`` is a sentence for people."""

    reason: str
    where: re.Pattern[str]
    docker: re.Pattern[str] | None = None
    knarr: re.Pattern[str] | None = None


def _difference(
    reason: str, where: str, *, docker: str | None = None, knarr: str | None = None
) -> Difference:
    return Difference(
        reason,
        re.compile(where),
        None if docker is None else re.compile(docker),
        None if knarr is None else re.compile(knarr),
    )


DIFFERENCES: dict[str, Difference] = {
    "storage-driver": _difference(
        "A layer is one file or folder of knarr's own; the driver's name says which, and there is "
        "no folder of a mounted root filesystem to tell of",
        r"out\.(Driver|GraphDriver\.\S+)$",
    ),
    "cgroup-namespace": _difference(
        "A container has a cgroup namespace of its own on cgroup v1 too, not only on v2",
        r"out\.HostConfig\.CgroupnsMode$",
        docker="host",
        knarr="private",
    ),
    "kernel-memory": _difference(
        "Limits of kernel memory are gone from newer versions of Docker and of the kernel",
        r"out\.HostConfig\.KernelMemory(TCP)?$",
        docker="^0$",
    ),
    "masked-paths": _difference(
        "Newer versions of Docker mask these two as well",
        r"out\.HostConfig\.MaskedPaths\{/(proc/interrupts|sys/devices/virtual/powercap)\}$|"
        r"'mount \| cut",
        knarr="present|/proc/interrupts",
    ),
    "runtime-name": _difference(
        "The default runtime is knarr's own", r"out\.HostConfig\.Runtime$", knarr='"knarr"'
    ),
    "newer-network-fields": _difference(
        "Fields that newer versions of Docker add at every API version",
        r"NetworkSettings\.Networks\.\w+\.(DNSNames|GwPriority)$",
        knarr="null|0",
    ),
    "network-id-early": _difference(
        "The id of the network is there as soon as the container is",
        r"NetworkSettings\.Networks\.\w+\.NetworkID$",
        docker='^""$',
    ),
    "sandbox-of-the-dead": _difference(
        "A container that has ended has no network namespace and names none",
        r"out\.NetworkSettings\.Sandbox(ID|Key)$",
        knarr='^""$',
    ),
    "no-search": _difference(
        "Of a registry that has no search it is said so",
        r"search .* \| err$",
        docker="unexpected status code 404",
        knarr="this registry cannot be searched",
    ),
    "auth-401": _difference(
        "A login without a password is refused with 401, as the API's description says",
        r"POST /auth \| status$",
        docker="500",
        knarr="401",
    ),
    "other-words": _difference(
        "Newer versions of Docker, and knarr, say the same in other words",
        r"\| (err|out\.message)$",
        docker="|".join(
            (
                "you cannot remove a running container",
                "container \\w+ is paused, unpause",
                "unknown runtime specified",
                "no such image: (\\w+): no such image",
                "no such image: nosuch\\b",
                "failed to initialize logging driver",
                "error looking up logging plugin",
                "strconv.atoi: parsing",
                "no such container missing",
                "can't join ipc of container",
                "invalid restart policy 'nosuch'",
                "invalid mode: zz",
                "Content-Type specified \\(\\)",
                '^"EOF"',
                "looking for beginning of value",
                "Invalid filter",
                "repository name must be lowercase",
                "no such image: missing",
                "not part of a swarm",
                "pathcannot be empty",
                "[Ee]rror processing tar file",
                "merged/tmp/file/: not a directory",
                "docker swarm init",
            )
        ),
    ),
    "status-400": _difference(
        "Newer versions of Docker, and knarr, answer 400 where a request makes no sense",
        r"\| (status|out.*)$",
        docker="^(500|404)$|^.No such container",
        knarr="^400$|invalid condition",
    ),
    "start-failure-words": _difference(
        "The words before the reason are those of a newer version of Docker, without runc's name",
        r"\| (err|out)$",
        docker="(failed to create shim task|exec failed): (oci|OCI|unable)",
        knarr="(failed to create task for container|exec failed): (oci|OCI|unable)",
    ),
    "exec-127": _difference(
        "As in newer versions of Docker, an exec of a program that is not there ends with 127",
        r"^exec (-w /nosuch )?\w+ \w+ \| code$",
        docker="^126$",
        knarr="^127$",
    ),
    "init-layer": _difference(
        "There is no layer with empty files below the mounts of /etc/hosts and the like: a volume "
        "that is filled from /etc, and an export, have the files of the image alone",
        r"copied:/\w+ busybox ls|tar tf /x.tar",
        docker="mtab",
    ),
    "newer-hosts": _difference(
        "/etc/hosts and /etc/resolv.conf are written as newer versions of Docker write them",
        r"cat /etc/(hosts|resolv.conf)",
    ),
    "working-directory-late": _difference(
        "The working directory is made when the container starts, not when it is created: one that "
        "cannot be made is found out then",
        r"\bfx4\b|^ps -a .*Names}} {{.Status}}' \| out$",
        knarr="fx4|working directory|^0?$",
    ),
    "network-checked-early": _difference(
        "A network that does not exist is refused when the container is created",
        r"^ps -a .*Names}} {{.Status}}' \| out$",
        docker="fx7 Created",
    ),
    "selinux-labels": _difference(
        "knarr knows no SELinux labels, so it notes none where they would be off",
        r"HostConfig.SecurityOpt",
        docker="label=disable|^$",
    ),
    "older-image-fields": _difference(
        "Version of the engine that made an image: knarr writes none",
        r"out.DockerVersion$",
    ),
    "no-digests": _difference(
        "An image without digests has an empty list of them, as in newer versions of Docker",
        r"RepoDigests$",
        docker="null",
        knarr=r"\[\]",
    ),
    "exec-duration": _difference(
        "The event of an end tells how long the container ran, as in newer versions of Docker",
        r"execDuration$",
        knarr='^"\\d+"$',
    ),
    "prune-destroys": _difference(
        "Each volume that a prune removes has an event of its own, as each container has, so that "
        "who listens learns of it",
        r"\| out\{volume destroy\}$",
    ),
    "no-builder": _difference(
        "There is no builder yet, and no event that its cache was pruned",
        r"\| out\{builder prune\}$",
    ),
    "filter-without-image": _difference(
        "A container without an image is refused", r"POST /containers/create \| ", docker="ommand"
    ),
    "no-bridge": _difference(
        "The default network is not built yet: a warning says so",
        r"POST /containers/create \| out.Warnings",
    ),
    "fewer-controllers": _difference(
        "On cgroup v1 a container is only in the hierarchies that limit or count something for it",
        r"grep -c walked /proc/self/cgroup",
    ),
    "oldest-version": _difference(
        "The oldest and the newest version of the API are those of the newest Docker",
        r"^GET /v1.(23|99)/version \| (status|out.message)$",
    ),
    "version": _difference(
        "knarr's own versions, and no containerd or runc beside it",
        r"^GET /version \| out\.(ApiVersion|BuildTime|Components.*|GitCommit|GoVersion|"
        r"MinAPIVersion|Platform.Name|Version)$",
    ),
    "info": _difference(
        "Facts of knarr itself: its storage, its drivers, its runtimes; fields that newer versions "
        "of Docker dropped are not there",
        r"^GET /info \| out\.(BridgeNf\w+|CDISpecDirs|ContainerdCommit.*|DefaultRuntime|Driver|"
        r"DriverStatus.*|Init\w+.*|KernelMemory\w*|LiveRestoreEnabled|NGoroutines|"
        r"Plugins.(Log|Network).*|RegistryConfig.*|RuncCommit.*|Runtimes.*|SecurityOptions.*|"
        r"ServerVersion)$",
    ),
    "networks": _difference(
        "Networks of users are not built yet; the built-in ones cannot be managed",
        r"^network (inspect none|rm \w+) \| |^GET /v1\.\d+/networks/none \| out.EnableIPv4$",
    ),
    "attach-json": _difference(
        "An attach that fails is answered in JSON, as every other request",
        r"attach\?stream=1 \| out",
    ),
    "committed-config": _difference(
        "A committed image has the configuration of an image, without the container's host name "
        "and streams, and does not name its container, as in newer versions of Docker",
        r"^inspect made:v1 \| out.(Config|Container|ContainerConfig)\b",
    ),
    "empty-load": _difference(
        "An archive without an image is an error", r"^POST /images/load \| status$", docker="200"
    ),
}

#: The differences of ``inspect`` of every container with ``--network none``.
CONTAINER: tuple[str, ...] = (
    "storage-driver",
    "cgroup-namespace",
    "kernel-memory",
    "masked-paths",
    "runtime-name",
    "newer-network-fields",
    "network-id-early",
)
