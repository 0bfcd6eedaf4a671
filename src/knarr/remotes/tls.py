"""What makes a registry's TLS trusted: certificates from the configuration and from certs.d.

::

    /etc/docker/certs.d/HOST[:PORT]/*.crt     authorities, beside the system's
                                    X.cert    our certificate
                                    X.key     and its key

The same below ``/etc/knarr/certs.d``. Source: Docker's documentation, "Verify repository client
with certificates".
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from knarr.errors import InvalidArgumentError

if TYPE_CHECKING:
    import ssl

    from knarr.remotes.rules import RegistryRule

FOLDERS = (Path("/etc/docker/certs.d"), Path("/etc/knarr/certs.d"))


class Tls(NamedTuple):
    """How certificates are judged, and ours. ``verify`` False trusts everybody.

    ``changed`` are the times of the files: other content is another value.
    """

    verify: bool = True
    authorities: tuple[str, ...] = ()
    client_cert: str = ""
    client_key: str = ""
    changed: tuple[int, ...] = ()

    def for_other_hosts(self) -> Tls:
        """The same for a host that the registry names: it does not learn who we are."""
        return self._replace(client_cert="", client_key="")

    def context(self) -> ssl.SSLContext:
        """A context for connections; raises InvalidArgumentError for a file that is not right."""
        import ssl  # noqa: PLC0415 - only who speaks TLS needs it

        try:
            context = ssl.create_default_context()
            if not self.verify:
                context.check_hostname = False
                context.verify_mode = ssl.CERT_NONE
            for path in self.authorities:
                context.load_verify_locations(path)
            if self.client_cert:
                context.load_cert_chain(self.client_cert, self.client_key, password=_no_password)
        except (OSError, ValueError) as error:
            names = ", ".join((*self.authorities, self.client_cert, self.client_key)).strip(", ")
            raise InvalidArgumentError(f'certificates "{names}": {error}') from error
        return context


def found(rule: RegistryRule, hosts: tuple[str, ...], *, verify: bool) -> Tls:
    """The certificates for a registry that is known by these names."""
    authorities, cert, key = [], rule.client_cert, rule.client_key
    for host in hosts:
        for folder in FOLDERS:
            place = folder / host
            names = _names(place)
            authorities += [str(place / name) for name in names if name.endswith(".crt")]
            for name in names:
                if name.endswith(".cert") and not cert:
                    cert, key = str(place / name), str(place / name.removesuffix(".cert")) + ".key"
                    _need_key(place, name, names)
    authorities += [rule.ca] if rule.ca else []
    changed = tuple(_changed(path) for path in (*authorities, cert, key) if path)
    return Tls(verify, tuple(authorities), cert, key, changed)


def _changed(path: str) -> int:
    try:
        return Path(path).stat().st_mtime_ns
    except OSError:
        return 0  # whoever connects is told


def _names(place: Path) -> list[str]:
    try:
        return sorted(entry.name for entry in place.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        text = f'read certificates "{place}": {(error.strerror or str(error)).lower()}'
        raise InvalidArgumentError(text) from error


def _need_key(place: Path, name: str, names: list[str]) -> None:
    key = name.removesuffix(".cert") + ".key"
    if key not in names:
        raise InvalidArgumentError(
            f"missing key {key} for client certificate {name} in {place}. "
            "CA certificates must use the extension .crt"
        )


def _no_password() -> str:
    raise ValueError("the key has a password")
