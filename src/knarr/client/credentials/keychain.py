"""Where the secrets of a registry are: with a helper, or in the file."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, NamedTuple

from knarr.client.credentials import configfile
from knarr.client.credentials.helper import PREFIX, Helper
from knarr.client.credentials.login import Login, key_of_image
from knarr.errors import KnarrError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_KEYRINGS = (("pass", "pass"), ("secretservice", ""))
"""Helpers that keep secrets of any registry, and the program that each needs beside itself."""


class Kept(NamedTuple):
    """Where a secret went: to a helper, or, ``helper`` "", in clear text into the file."""

    path: Path
    helper: str


def find(key: str) -> Login:
    """The user of a registry; empty for none.

    Raises InvalidArgumentError for a damaged file, UnavailableError for a helper that fails.
    """
    config = configfile.load()
    name = config.helper(key)
    if not name:
        return config.find(key)
    found = Helper(name).get(key)
    # A login before there was a helper left it in the file.
    return found or config.find(key)


def keep(key: str, entry: Login) -> Kept:
    """Remember the user of a registry: with the helper that is configured, else with one that works
    here, else in the file. Raises as ``find``.
    """
    with configfile.changing() as config:
        name = config.helper(key)
        if not name:
            name = detect()
            if name:
                config.choose_helper(key, name)
        if name:
            Helper(name).store(key, entry)
        config.set(key, None if name else entry)
        return Kept(config.path, name)


def forget(key: str) -> bool:
    """Forget the user of a registry, here and with the helper; whether the file knew one."""
    with configfile.changing() as config:
        name = config.helper(key)
        known = config.remove(key)
    if name:
        Helper(name).erase(key)
    return known


def detect() -> str:
    """The name of a helper whose keyring works here, though nobody configured it; or ""."""
    for name, needed in _KEYRINGS:
        if needed and shutil.which(needed) is None:
            continue
        if shutil.which(PREFIX + name) is not None and Helper(name, patience=15).works():
            return name
    return ""


def headers(
    image: str,
    warn: Callable[[str], None] = lambda text: None,
    *,
    login: Login | None = None,
) -> list[tuple[str, str]]:
    """What to send with a request about an image, so that its registry knows the user.

    ``login`` is who that is, where the caller knows. ``warn`` is told why nothing is known, when
    that is because something failed.
    """
    key = key_of_image(image)
    if login is None:
        try:
            login = find(key)
        except (KnarrError, OSError) as error:
            warn(f"WARNING: {error}")
            return []
    return [login.header(key)] if login else []
