"""A mount, described as a value.

Law: ``Mount`` values are all that passes between ``snapshots`` (which says what a root filesystem
is made of) and ``runtime`` (which mounts it inside the container's mount namespace). Neither
imports the other. A value mounts nothing by itself.
"""

from __future__ import annotations

from typing import NamedTuple


class Mount(NamedTuple):
    """One mount(2): what, from where, with which options.

    ``type`` is the filesystem type, or ``bind``. ``source`` is a device, a file or a directory.
    ``target`` is relative to the root filesystem that is being built ("" is the root itself).
    ``options`` are in fstab(5) form (``ro``, ``nosuid``, ``size=64m``).

    For ``type == "overlay"`` the layers stand in ``lower``, uppermost first, each an absolute
    directory, and ``upper`` and ``work`` are directories or "" for a read-only view. They are
    fields and not options, because paths may hold ``:`` and ``,`` and because ``lowerdir+`` of
    fsconfig(2) takes them one by one.
    """

    type: str
    source: str = ""
    target: str = ""
    options: tuple[str, ...] = ()
    lower: tuple[str, ...] = ()
    upper: str = ""
    work: str = ""
