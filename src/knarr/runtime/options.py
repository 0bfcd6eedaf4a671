"""Mount options in fstab form: which are attributes of the mount, and which the filesystem's. Pure.

Sources: mount(8), mount_setattr(2), OCI runtime-spec config.md "Linux mount options".
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

RDONLY = 0x1
NOSUID = 0x2
NODEV = 0x4
NOEXEC = 0x8
ATIME = 0x70  # a field of three bits: relatime is zero
NOATIME = 0x10
STRICTATIME = 0x20
NODIRATIME = 0x80
NOSYMFOLLOW = 0x200000

MS_UNBINDABLE = 1 << 17
MS_PRIVATE = 1 << 18
MS_SLAVE = 1 << 19
MS_SHARED = 1 << 20

# name: (attributes to set, attributes to clear)
_ATTRIBUTES = {
    "ro": (RDONLY, 0),
    "rw": (0, RDONLY),
    "nosuid": (NOSUID, 0),
    "suid": (0, NOSUID),
    "nodev": (NODEV, 0),
    "dev": (0, NODEV),
    "noexec": (NOEXEC, 0),
    "exec": (0, NOEXEC),
    "noatime": (NOATIME, ATIME),
    "atime": (0, ATIME),
    "relatime": (0, ATIME),
    "norelatime": (0, ATIME),
    "strictatime": (STRICTATIME, ATIME),
    "nostrictatime": (0, ATIME),
    "nodiratime": (NODIRATIME, 0),
    "diratime": (0, NODIRATIME),
    "nosymfollow": (NOSYMFOLLOW, 0),
    "symfollow": (0, NOSYMFOLLOW),
}

PROPAGATION = {
    "private": MS_PRIVATE,
    "shared": MS_SHARED,
    "slave": MS_SLAVE,
    "unbindable": MS_UNBINDABLE,
}

SUBDIR = "X-mount.subdir"  # as in mount(8)
NAMESPACE = "X-knarr.mount-namespace"

_NO_MEANING = frozenset(("defaults", "auto", "noauto", "nofail", "_netdev", "silent", "loud"))


def names() -> list[str]:
    """All options that are known here; others are the filesystem's."""
    plain = (*_ATTRIBUTES, *PROPAGATION)
    return sorted({*plain, *(f"r{name}" for name in plain), "bind", "rbind", *_NO_MEANING})


class Attributes(NamedTuple):
    """What mount_setattr(2) shall set and clear, and the propagation (0: leave it)."""

    set: int = 0
    clear: int = 0
    propagation: int = 0

    def __bool__(self) -> bool:
        return bool(self.set or self.clear or self.propagation)

    def with_option(self, option: str) -> Attributes:
        """The attributes after one more option, that overrides earlier ones."""
        add, remove = _ATTRIBUTES[option]
        return self._replace(
            set=self.set & ~remove | add,
            # An atime mode can only be set when the whole field is cleared in the same call.
            clear=self.clear & ~add | remove,
        )


class Options(NamedTuple):
    """The options of one mount.

    ``top`` goes to the mount itself, ``tree`` to it and all below it; ``data`` holds the
    filesystem's own, a value of None being a flag. ``subdir`` is the part of the source that is
    mounted, ``namespace`` the mount namespace in which a source of ``bind`` is found.
    """

    bind: bool = False
    recursive: bool = False
    top: Attributes = Attributes()
    tree: Attributes = Attributes()
    data: tuple[tuple[str, str | None], ...] = ()
    subdir: str = ""
    namespace: str = ""


@lru_cache(512)
def parse(options: tuple[str, ...]) -> Options:
    """Sort ``options``; later ones override earlier ones. What is unknown is the filesystem's."""
    result = Options()
    for option in options:
        result = _with(result, option)
    return result


def _with(result: Options, option: str) -> Options:
    recursive = option not in _ATTRIBUTES and option[:1] == "r"
    name = option[1:] if recursive else option
    attributes = result.tree if recursive else result.top
    if name in _ATTRIBUTES:
        attributes = attributes.with_option(name)
    elif name in PROPAGATION:
        attributes = attributes._replace(propagation=PROPAGATION[name])
    elif option in {"bind", "rbind"}:
        return result._replace(bind=True, recursive=result.recursive or option == "rbind")
    elif option in _NO_MEANING or not option:
        return result
    else:
        key, separator, value = option.partition("=")
        if key[:2] in {"X-", "x-"}:
            return _with_own(result, key, value)
        return result._replace(data=(*result.data, (key, value if separator else None)))
    return result._replace(tree=attributes) if recursive else result._replace(top=attributes)


def _with_own(result: Options, key: str, value: str) -> Options:
    """Options that are for who mounts, not for the kernel; mount(8) passes over unknown ones."""
    if key == SUBDIR:
        return result._replace(subdir=value)
    return result._replace(namespace=value) if key == NAMESPACE else result
