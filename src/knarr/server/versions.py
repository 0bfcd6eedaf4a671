"""API versions: the prefix of the path, and what older clients expect to be different.

Law: the prefix is taken off before routing. A path without one speaks the newest version. The rest
of the server treats all versions alike; only the differences that clients notice are made here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from knarr.api.system import API_VERSION, MIN_API_VERSION
from knarr.errors import InvalidArgumentError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from knarr.api.containers import ContainerCreateRequest
    from knarr.api.host_config import HostConfig
    from knarr.api.images import ImageInspect, ImageSummary
    from knarr.api.mounts import Mount
    from knarr.api.system import DiskUsage

Version = tuple[int, int]

NEWEST: Version = (1, 51)
OLDEST: Version = (1, 24)


def split(path: str) -> tuple[Version, str]:
    """The version that a path asks for, and the path without it.

    Raises ``InvalidArgumentError`` with Docker's words for a version that is not spoken. A path
    that only looks like a version is returned as it is, for the router to refuse.
    """
    if not path.startswith("/v") or not path[2:3].isdigit():
        return NEWEST, path
    text, slash, rest = path[2:].partition("/")
    major, _, minor = text.partition(".")
    if not slash or not (major + minor).isdigit() or not (major + minor).isascii():
        return NEWEST, path
    version = int(major[:9]), int(minor[:9] or "0")
    if version < OLDEST:
        raise InvalidArgumentError(
            f"client version {text} is too old. Minimum supported API version is "
            f"{MIN_API_VERSION}, please upgrade your client to a newer version"
        )
    if version > NEWEST:
        raise InvalidArgumentError(
            f"client version {text} is too new. Maximum supported API version is {API_VERSION}"
        )
    return version, "/" + rest


def adjusted_create(request: ContainerCreateRequest, version: Version) -> ContainerCreateRequest:
    """The request with the defaults that clients of this version rely on."""
    host = request.host_config
    if host is None:
        return request
    changes: dict[str, object] = {}
    if host.pids_limit is not None and host.pids_limit <= 0:
        # 0 and every negative number have always meant "no limit" here.
        changes["pids_limit"] = None
    if version < (1, 40) and not host.ipc_mode:
        changes["ipc_mode"] = "shareable"
    if version < (1, 41) and not host.cgroupns_mode:
        changes["cgroupns_mode"] = "host"
    if version >= (1, 42):
        changes["kernel_memory"] = 0
    else:
        changes["console_size"] = (0, 0)
        changes["mounts"] = host.mounts and [_of_old_client(each) for each in host.mounts]
    if not changes:
        return request
    adjusted: HostConfig = msgspec.structs.replace(host, **changes)
    return msgspec.structs.replace(request, host_config=adjusted)


def image_summaries(summaries: Sequence[ImageSummary], version: Version) -> object:
    """The list of images, with the fields that were taken out of it since this version."""
    if version >= (1, 44):
        return summaries
    made = [msgspec.to_builtins(each) for each in summaries]
    for each in made:
        each["VirtualSize"] = each["Size"]
        if version < (1, 43) and not each["RepoTags"]:
            each["RepoTags"] = ["<none>:<none>"]
        if version < (1, 43) and not each["RepoDigests"] and each["RepoTags"] == ["<none>:<none>"]:
            each["RepoDigests"] = ["<none>@<none>"]
    return made


def disk_usage(used: DiskUsage, version: Version) -> object:
    """What ``system df`` shows, with the fields that were taken out of it since this version."""
    if version >= (1, 44):
        return used
    made = msgspec.to_builtins(used)
    if used.images is not None:
        made["Images"] = image_summaries(used.images, version)
    if version < (1, 42):
        made["BuilderSize"] = sum(each.size for each in used.build_cache or ())
    return made


def image_inspect(image: ImageInspect, version: Version) -> object:
    """An image, with the fields that were taken out of it since this version.

    They were fields of a container's configuration, always the same in an image.
    """
    if version >= (1, 50):
        return image
    made = msgspec.to_builtins(image)
    if made["Config"] is not None:
        made["Config"] = _EMPTY_CONFIG | made["Config"]
    if version < (1, 45):
        made |= {"Container": "", "ContainerConfig": _EMPTY_CONFIG}
    if version < (1, 44):
        made["VirtualSize"] = made["Size"]
    return made


#: What an image's configuration always had before API 1.50.
_EMPTY_CONFIG: dict[str, object] = {
    **dict.fromkeys(("Hostname", "Domainname", "User", "Image", "WorkingDir"), ""),
    **dict.fromkeys(("AttachStdin", "AttachStdout", "AttachStderr"), False),
    **dict.fromkeys(("Tty", "OpenStdin", "StdinOnce"), False),
    **dict.fromkeys(("Env", "Cmd", "Volumes", "Entrypoint", "OnBuild", "Labels"), None),
}


def leaves_submounts_writable(version: Version) -> bool:
    """Whether a read-only bind mount is so for this client alone, not for what is below it."""
    return version < (1, 44)


def _of_old_client(mount: Mount) -> Mount:
    """Before 1.42 options of other types of mounts were passed over."""
    options = mount.bind_options
    if options is not None:
        options = msgspec.structs.replace(options, create_mountpoint=False)
    return msgspec.structs.replace(
        mount,
        bind_options=options,
        volume_options=mount.volume_options if mount.type == "volume" else None,
        tmpfs_options=mount.tmpfs_options if mount.type == "tmpfs" else None,
    )
