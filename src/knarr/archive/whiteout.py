"""Whiteouts: how a layer says that something below it is gone.

In a layer's tar a removed name is an empty file ``.wh.<name>`` beside it, and a directory of which
nothing below may be seen holds a file ``.wh..wh..opq`` (OCI image-spec layer.md "Whiteouts"). In
overlayfs a removed name is a character device 0:0, and an opaque directory has the attribute
``trusted.overlay.opaque`` (kernel: filesystems/overlayfs.rst "whiteouts and opaque directories").
"""

from __future__ import annotations

import stat

PREFIX = b".wh."
METADATA_PREFIX = b".wh..wh."
"""Names of AUFS's own files at the root of old layers; they are no part of the tree."""
OPAQUE = b".wh..wh..opq"

OVERLAY_PRIVATE = b"trusted.overlay."
"""Attributes that belong to overlayfs: never taken from a tar and never written to one."""
OPAQUE_XATTR = b"trusted.overlay.opaque"
OPAQUE_VALUE = b"y"
WHITEOUT_XATTR = b"trusted.overlay.whiteout"
"""The other form of a whiteout: an empty regular file with this attribute (Linux 6.7)."""
ORIGIN_XATTR = b"trusted.overlay.origin"
"""With an empty value on a directory it says: may hold whiteouts though nothing is merged here.

Without it overlayfs lists the whiteouts of a directory that exists in one lower layer only.
"""


def is_overlay_whiteout(mode: int, rdev: int) -> bool:
    """Whether a file of an overlay's layer is a whiteout: a character device 0:0."""
    return stat.S_ISCHR(mode) and rdev == 0
