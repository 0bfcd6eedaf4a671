"""The configuration of a registry: a TOML file and the options of the command line.

::

    listen = "127.0.0.1:5000"
    root = "/var/lib/knarr-registry"
    largest-blob = 1099511627776      # bytes

    [tls]
    certificate = "/etc/.../server.pem"
    key = "/etc/.../server.key"
"""

from __future__ import annotations

import ssl
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from knarr.errors import InvalidArgumentError

if TYPE_CHECKING:
    from typing import Any

_LARGEST_FILE = 1 << 20
_HIGHEST_PORT = 65535


class Tls(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Files in PEM form."""

    certificate: str
    key: str


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="kebab", kw_only=True):
    """All settings. ``listen`` is HOST:PORT, sizes are bytes."""

    listen: str = "127.0.0.1:5000"
    root: str = "/var/lib/knarr-registry"
    largest_blob: int = 1 << 40
    tls: Tls | None = None

    @property
    def address(self) -> tuple[str, int]:
        """Host and port. Raises ``InvalidArgumentError``."""
        host, _, port = self.listen.rpartition(":")
        if not host or not port.isdecimal() or int(port) > _HIGHEST_PORT:
            raise InvalidArgumentError(
                f'invalid address "{self.listen}"', hint="say HOST:PORT, as 127.0.0.1:5000"
            )
        return host.strip("[]"), int(port)

    def ssl_context(self) -> ssl.SSLContext | None:
        """What to serve TLS with, None for plain HTTP. Raises ``InvalidArgumentError``."""
        if self.tls is None:
            return None
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        try:
            context.load_cert_chain(self.tls.certificate, self.tls.key)
        except (OSError, ssl.SSLError) as error:
            raise InvalidArgumentError(
                f'cannot use the certificate "{self.tls.certificate}": {error}'
            ) from error
        return context


def read(path: str | None, **given: Any) -> Config:
    """The settings of a file, overruled by those that are ``given`` and not None.

    Raises ``InvalidArgumentError`` for what is no setting.
    """
    values: dict[str, Any] = {}
    if path is not None:
        try:
            raw = Path(path).read_bytes()
            if len(raw) > _LARGEST_FILE:
                raise InvalidArgumentError(f'configuration "{path}" is too large')
            values = tomllib.loads(raw.decode())
        except (OSError, ValueError) as error:
            raise InvalidArgumentError(f'cannot read configuration "{path}": {error}') from error
    values |= {key: value for key, value in given.items() if value is not None}
    try:
        return msgspec.convert(values, Config)
    except msgspec.ValidationError as error:
        raise InvalidArgumentError(f"invalid configuration: {error}") from error
