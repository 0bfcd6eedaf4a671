"""The configuration of a registry: a TOML file and the options of the command line.

::

    listen = "127.0.0.1:5000"
    root = "/var/lib/knarr-registry"
    largest-blob = 1099511627776      # bytes

    public-url = "https://registry.example"   # behind a proxy that ends TLS
    audit = "/var/log/registry-audit.log"
    database = "postgresql://..."     # instead of a file in the root: several servers share it

    [storage]                         # instead of files in the root
    driver = "s3"
    endpoint = "s3.example:9000"
    bucket = "registry"               # must exist
    prefix = "images/"
    region = "us-east-1"
    secure = true                     # TLS
    ca = "/etc/.../ca.pem"            # instead of the system's
    access-key = "..."                # else AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY
    secret-key-file = "/etc/.../s3.secret"

    [tls]
    certificate = "/etc/.../server.pem"
    key = "/etc/.../server.key"

    [limits]
    rate = 50.0                       # requests a second for each user or address
    burst = 200.0

    [access]
    htpasswd = "/etc/.../htpasswd"    # made by htpasswd -B
    token-key = "/etc/.../token.key"  # made if missing; the same for all servers of one registry
    token-seconds = 300

    [[access.rules]]
    repositories = ["public/**"]
    users = ["anonymous"]
    role = "pull"

    [[access.rules]]
    repositories = ["team/**"]
    users = ["alice"]
    role = "admin"

    [upkeep]
    interval = 3600                   # seconds between two collections, 0 for none
    grace = 3600                      # seconds that unused content is young
    upload-age = 604800               # seconds after which an upload is dropped

    [[retention]]                     # see ``upkeep.retention``
    repositories = ["**"]
    keep = "v[0-9.]+|latest"
    newest = 20
    untagged-days = 7

    [[proxies]]                       # repositories that are a cache of another registry
    repositories = ["hub/**"]
    prefix = "hub/"                   # what the names have here and not there
    upstream = "https://registry-1.docker.io"
    ttl = 300                         # seconds for which a tag is believed
    username = "..."                  # with password-file; else anonymous
    password-file = "/etc/.../hub.password"
    ca = "/etc/.../ca.pem"

    [[quotas]]
    repositories = ["team/**"]
    size = 10737418240                # bytes of all blobs of one repository

Without ``[access]`` everyone may do everything. With it, nobody may do what no rule allows.
"""

from __future__ import annotations

import ssl
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import msgspec

from knarr.errors import InvalidArgumentError
from knarr.registry.access.roles import Rule, pattern
from knarr.registry.storage.place import S3Place
from knarr.registry.upkeep.retention import RetentionRule

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

_LARGEST_FILE = 1 << 20
_HIGHEST_PORT = 65535


class Tls(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Files in PEM form."""

    certificate: str
    key: str


class Storage(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="kebab"):
    """Where blobs are: files of the root, or a bucket."""

    driver: Literal["files", "s3"] = "files"
    endpoint: str = ""
    bucket: str = ""
    prefix: str = ""
    region: str = "us-east-1"
    secure: bool = True
    ca: str = ""
    access_key: str = ""
    secret_key_file: str = ""

    def place(self) -> S3Place:
        """The bucket. Raises ``InvalidArgumentError``."""
        if not self.endpoint or not self.bucket:
            raise InvalidArgumentError("storage in S3 needs an endpoint and a bucket")
        if self.access_key and not self.secret_key_file:
            raise InvalidArgumentError("storage: access-key needs a secret-key-file")
        try:
            secret = Path(self.secret_key_file).read_text().strip() if self.access_key else ""
        except (OSError, ValueError) as error:
            raise InvalidArgumentError(f'cannot read "{self.secret_key_file}": {error}') from error
        return S3Place(
            self.endpoint,
            self.bucket,
            self.prefix,
            region=self.region,
            secure=self.secure,
            access_key=self.access_key,
            secret_key=secret,
            ca=self.ca,
        )


class Limits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Requests a second, and how many at once."""

    rate: Annotated[float, msgspec.Meta(gt=0)] = 50.0
    burst: Annotated[float, msgspec.Meta(ge=1)] = 200.0


class AccessConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="kebab"):
    """Users, tokens and rights."""

    htpasswd: str
    token_key: str = ""
    token_seconds: Annotated[int, msgspec.Meta(ge=30, le=86400)] = 300
    rules: list[Rule] = []


class Upkeep(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="kebab"):
    """When garbage is collected, and what counts as garbage; all in seconds."""

    interval: Annotated[float, msgspec.Meta(ge=0)] = 3600
    grace: Annotated[float, msgspec.Meta(ge=0)] = 3600
    upload_age: Annotated[float, msgspec.Meta(ge=0)] = 7 * 86400


class Quota(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The most bytes of each repository that fits; the first one that fits counts."""

    repositories: list[str]
    size: Annotated[int, msgspec.Meta(ge=0)]


class ProxyConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="kebab"):
    """A cache: which repositories, and of what."""

    repositories: list[str]
    upstream: str
    prefix: str = ""
    ttl: Annotated[float, msgspec.Meta(ge=0)] = 300
    username: str = ""
    password_file: str = ""
    ca: str = ""

    def password(self) -> str:
        """Raises ``InvalidArgumentError``."""
        if not self.username:
            return ""
        try:
            return Path(self.password_file).read_text().strip()
        except (OSError, ValueError) as error:
            raise InvalidArgumentError(f'cannot read "{self.password_file}": {error}') from error


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="kebab", kw_only=True):
    """All settings. ``listen`` is HOST:PORT, sizes are bytes."""

    listen: str = "127.0.0.1:5000"
    root: str = "/var/lib/knarr-registry"
    largest_blob: int = 1 << 40
    storage: Storage = Storage()
    tls: Tls | None = None
    public_url: str = ""
    audit: str = ""
    database: str = ""
    limits: Limits | None = None
    access: AccessConfig | None = None
    upkeep: Upkeep = Upkeep()
    retention: list[RetentionRule] = []
    quotas: list[Quota] = []
    proxies: list[ProxyConfig] = []

    def quota(self) -> Callable[[str], int | None]:
        """What tells the quota of a repository, None for no limit."""
        limits = [([pattern(each) for each in one.repositories], one.size) for one in self.quotas]

        def find(repository: str) -> int | None:
            for patterns, size in limits:
                if any(each.fullmatch(repository) for each in patterns):
                    return size
            return None

        return find

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
