"""Mount values, mounted for a test."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from knarr.mount import Mount
from knarr.sys import mount


@contextlib.contextmanager
def mounted(value: Mount, target: Path) -> Iterator[Path]:
    """The overlay that ``value`` describes, at ``target``; unmounted at the end."""
    target.mkdir(exist_ok=True)
    context = mount.fsopen(value.type)
    try:
        mount.fsconfig_set_string(context, "source", value.source)
        for lower in value.lower:
            mount.fsconfig_set_string(context, "lowerdir+", lower)
        if value.upper:
            mount.fsconfig_set_string(context, "upperdir", value.upper)
            mount.fsconfig_set_string(context, "workdir", value.work)
        for option in value.options:
            key, _, text = option.partition("=")
            if text:
                mount.fsconfig_set_string(context, key, text)
            else:
                mount.fsconfig_set_flag(context, key)
        mount.fsconfig_create(context)
        tree = mount.fsmount(context)
    finally:
        os.close(context)
    mount.move_mount(tree, os.fspath(target))
    os.close(tree)
    try:
        yield target
    finally:
        mount.umount2(os.fspath(target), 0)
