"""Docker's ``config.json``: ``auths``, ``credsStore``, ``credHelpers``; the rest is kept as it is.

Law: written whole, 0600, under another name and renamed, to where a link leads if it is one. Two
that write at the same time take turns.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import pwd
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

from knarr.client.address import variable
from knarr.client.credentials.login import Login, decode_pair, encode_pair, host_of
from knarr.errors import InvalidArgumentError

if TYPE_CHECKING:
    from collections.abc import Iterator

_NAME = "config.json"
_LARGEST = 8 << 20


def directory() -> Path:
    """The folder of the configuration: ``DOCKER_CONFIG``, or ``.docker`` in the home."""
    chosen = variable("DOCKER_CONFIG")
    if chosen:
        return Path(chosen)
    home = variable("HOME")
    if not home:
        with contextlib.suppress(KeyError):
            home = pwd.getpwuid(os.getuid()).pw_dir
    return Path(home or "/", ".docker")


class ConfigFile:
    """The file as it was read; changes are made by ``changing``."""

    def __init__(self, path: Path, content: dict[str, Any]) -> None:
        self.path = path
        self._content = content

    @property
    def store(self) -> str:
        """The name of the helper for all registries, or ""."""
        return _text(self._content.get("credsStore"))

    def helper(self, key: str) -> str:
        """The name of the helper for a registry: its own, or that of all; "" is none."""
        helpers = self._map("credHelpers")
        return _text(helpers.get(key)) or _text(helpers.get(host_of(key))) or self.store

    def helpers(self) -> dict[str, str]:
        """The registries that have a helper of their own, with its name."""
        return {key: _text(name) for key, name in self._map("credHelpers").items()}

    def keys(self) -> list[str]:
        """The registries that somebody is logged in to, as far as the file knows."""
        return list(self._map("auths"))

    def has_secrets(self) -> bool:
        """Whether a secret stands in the file."""
        return any(self._entry(each) for each in self.keys())

    def find(self, key: str) -> Login:
        """The user that the file knows for a registry; empty for none.

        Raises InvalidArgumentError when what stands there cannot be understood.
        """
        for each in self.keys():
            if each == key or host_of(each) == key:
                found = self._entry(each)
                if found:
                    return found
        return Login()

    def set(self, key: str, entry: Login | None) -> None:
        """Know this user; None: only that a helper knows one."""
        auths = self._content.setdefault("auths", {})
        for each in [name for name in auths if host_of(name) == key]:
            del auths[each]
        auths[key] = {} if entry is None else _as_json(entry)

    def remove(self, key: str) -> bool:
        """Forget the user of a registry; whether there was one."""
        auths = self._map("auths")
        known = [each for each in auths if each == key or host_of(each) == key]
        for each in known:
            del auths[each]
        return bool(known)

    def choose_helper(self, key: str, name: str) -> None:
        """Let a helper keep the secrets of a registry from now on."""
        self._content.setdefault("credHelpers", {})[key] = name

    def _map(self, name: str) -> dict[str, Any]:
        found = self._content.get(name)
        return found if isinstance(found, dict) else {}

    def _entry(self, key: str) -> Login:
        raw = self._map("auths").get(key)
        if not isinstance(raw, dict):
            return Login()
        username, password = _text(raw.get("username")), _text(raw.get("password"))
        if raw.get("auth"):
            try:
                username, password = decode_pair(_text(raw["auth"]))
            except ValueError as error:
                raise InvalidArgumentError(f'{error}: "{self.path}", registry "{key}"') from error
        tokens = _text(raw.get("identitytoken")), _text(raw.get("registrytoken"))
        return Login(username, password, *tokens)

    def text(self) -> str:
        """The whole file, as Docker writes it."""
        return json.dumps(self._content, indent="\t", ensure_ascii=False)


def load(path: Path | None = None) -> ConfigFile:
    """The configuration; empty where there is no file.

    Raises InvalidArgumentError for a file that is damaged, ``OSError`` for one that is not for us.
    """
    path = path or directory() / _NAME
    try:
        with path.open("rb") as stream:
            raw = stream.read(_LARGEST + 1)
    except (FileNotFoundError, NotADirectoryError):
        return ConfigFile(path, {})
    if len(raw) > _LARGEST:
        raise InvalidArgumentError(f'"{path}" is larger than {_LARGEST} bytes')
    try:
        content = json.loads(raw) if raw.strip() else {}
    except (ValueError, RecursionError) as error:
        raise InvalidArgumentError(f'"{path}" is damaged: {error}') from error
    if not isinstance(content, dict):
        raise InvalidArgumentError(f'"{path}" is damaged: it is no JSON object')
    return ConfigFile(path, content)


@contextlib.contextmanager
def changing() -> Iterator[ConfigFile]:
    """The configuration, written back at the end; nobody else changes it meanwhile.

    Raises as ``load``; an error inside leaves the file as it was.
    """
    folder = directory()
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        config = load(folder / _NAME)
        before = config.text()
        yield config
        if config.text() != before:
            _write(Path(os.path.realpath(config.path)), config.text())
    finally:
        os.close(lock)


def _write(path: Path, text: str) -> None:
    staged = path.with_name(f"{path.name}.{uuid.uuid4().hex}")
    descriptor = os.open(staged, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
            with contextlib.suppress(OSError):  # of another owner, as with sudo
                old = path.stat()
                os.fchown(stream.fileno(), old.st_uid, old.st_gid)
        staged.rename(path)
    except BaseException:
        staged.unlink(missing_ok=True)
        raise


def _as_json(entry: Login) -> dict[str, str]:
    pair = encode_pair(entry.username, entry.password)
    return {
        "auth": pair,
        **({"identitytoken": entry.identity_token} if entry.identity_token else {}),
    }


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""
