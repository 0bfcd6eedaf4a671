"""Image references: ``[domain/]path[:tag][@digest]``.

Law: the grammar and its errors are those of the ``distribution/reference`` package, which Docker
and all registries use. A ``Reference`` is always normalized: it has a domain (``docker.io`` unless
named) and ``library/`` in front of one-part names of that domain. ``familiar()`` is the short form
that people read and write, ``canonical()`` the full one that is stored.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from knarr.errors import InvalidArgumentError
from knarr.oci import digest as digests

if TYPE_CHECKING:
    from knarr.oci.digest import Digest

DEFAULT_DOMAIN = "docker.io"
DEFAULT_TAG = "latest"
LONGEST_PATH = 255
"""The longest path in characters, without domain, tag and digest."""

_LEGACY_DOMAIN = "index.docker.io"
_OFFICIAL = "library/"

_DOMAIN_LABEL = r"(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])"
_HOST = rf"(?:{_DOMAIN_LABEL}(?:\.{_DOMAIN_LABEL})*|\[(?:[a-fA-F0-9:]+)\])"
_DOMAIN = rf"{_HOST}(?::[0-9]+)?"
_COMPONENT = r"[a-z0-9]+(?:(?:[._]|__|[-]+)[a-z0-9]+)*"
_PATH = rf"{_COMPONENT}(?:/{_COMPONENT})*"
_TAG = r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}"
_ALGORITHM = r"[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*"
_DIGEST = rf"{_ALGORITHM}:[0-9a-fA-F]{{32,}}"
_REFERENCE = re.compile(
    rf"(?P<name>(?:(?P<domain>{_DOMAIN})/)?(?P<path>{_PATH}))"
    rf"(?::(?P<tag>{_TAG}))?(?:@(?P<digest>{_DIGEST}))?",
    re.ASCII,
)
_IDENTIFIER = re.compile(r"[a-f0-9]{64}", re.ASCII)
_ANCHORED_TAG = re.compile(_TAG, re.ASCII)


class Reference(NamedTuple):
    """A normalized name of an image; at most one of tag and digest is used to find it."""

    domain: str
    path: str
    tag: str | None = None
    digest: Digest | None = None

    @property
    def name(self) -> str:
        """Domain and path, as ``docker.io/library/debian``."""
        return f"{self.domain}/{self.path}"

    @property
    def familiar_name(self) -> str:
        """The short form of ``name``, as ``debian``."""
        if self.domain != DEFAULT_DOMAIN:
            return self.name
        short = self.path.removeprefix(_OFFICIAL)
        return self.path if "/" in short else short

    @property
    def is_name_only(self) -> bool:
        """True when neither tag nor digest is given."""
        return self.tag is None and self.digest is None

    def familiar(self) -> str:
        """The short form, as ``debian:12``."""
        return self.familiar_name + self._suffix()

    def canonical(self) -> str:
        """The full form, as ``docker.io/library/debian:12``."""
        return self.name + self._suffix()

    def with_default_tag(self) -> Reference:
        """The same with ``:latest`` when neither tag nor digest is given."""
        return self._replace(tag=DEFAULT_TAG) if self.is_name_only else self

    def with_tag(self, tag: str) -> Reference:
        """The same name with this tag and without digest; refuses a bad tag."""
        if not _ANCHORED_TAG.fullmatch(tag):
            raise InvalidArgumentError("invalid tag format")
        return self._replace(tag=tag, digest=None)

    def _suffix(self) -> str:
        tag = f":{self.tag}" if self.tag is not None else ""
        return tag + (f"@{self.digest}" if self.digest is not None else "")

    def __str__(self) -> str:
        return self.canonical()


def parse_normalized(text: str) -> Reference:
    """Parse what a person wrote; raises InvalidArgumentError with Docker's words."""
    if is_identifier(text):
        raise InvalidArgumentError(
            f"invalid repository name ({text}), cannot specify 64-byte hexadecimal strings"
        )
    domain, remainder = _split_domain(text)
    remote = remainder.partition(":")[0]
    if remote.lower() != remote:
        raise InvalidArgumentError(
            f"invalid reference format: repository name ({remote}) must be lowercase"
        )
    return parse_canonical(f"{domain}/{remainder}")


def parse_canonical(text: str) -> Reference:
    """Parse the full form, where the first component is the domain; adds nothing to it."""
    match = _REFERENCE.fullmatch(text)
    if match is None or match["domain"] is None:
        if _REFERENCE.fullmatch(text.lower()):
            raise InvalidArgumentError("repository name must be lowercase")
        raise InvalidArgumentError("invalid reference format")
    if len(match["path"]) > LONGEST_PATH:
        raise InvalidArgumentError(
            f"repository name must not be more than {LONGEST_PATH} characters"
        )
    digest = digests.parse(match["digest"]) if match["digest"] else None
    return Reference(match["domain"], match["path"], match["tag"], digest)


def is_identifier(text: str) -> bool:
    """True for 64 lower-case hex digits, which always mean an id and never a name."""
    return _IDENTIFIER.fullmatch(text) is not None


def _split_domain(text: str) -> tuple[str, str]:
    """Tell a domain from the first part of a path, as Docker guesses it.

    The first part is a domain when it is ``localhost``, holds a dot or a colon, or holds an
    upper-case letter (no path may).
    """
    first, slash, rest = text.partition("/")
    if not slash:
        return DEFAULT_DOMAIN, _OFFICIAL + text
    if first == _LEGACY_DOMAIN:
        domain, remainder = DEFAULT_DOMAIN, rest
    elif first == "localhost" or "." in first or ":" in first or first.lower() != first:
        domain, remainder = first, rest
    else:
        domain, remainder = DEFAULT_DOMAIN, text
    if domain == DEFAULT_DOMAIN and "/" not in remainder:
        remainder = _OFFICIAL + remainder
    return domain, remainder
