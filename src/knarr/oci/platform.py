"""Platforms: operating system, architecture, variant; which of an index's manifests to take.

Law: platforms are compared in normal form (``x86_64`` is ``amd64``, ``arm`` without variant is
``v7``, ``arm64`` is ``v8``). A host runs its own platform best, then the older ones that its
processor also runs.

Sources: OCI image-spec image-index.md "platform"; Go's GOARCH names; Docker's ``--platform``.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

import msgspec

from knarr.errors import InvalidArgumentError

if TYPE_CHECKING:
    from collections.abc import Sequence

_COMPONENT = re.compile(r"[A-Za-z0-9_.-]+", re.ASCII)
_ARCHITECTURES = {
    "x86_64": ("amd64", ""),
    "x86-64": ("amd64", ""),
    "i386": ("386", ""),
    "i486": ("386", ""),
    "i586": ("386", ""),
    "i686": ("386", ""),
    "aarch64": ("arm64", ""),
    "armhf": ("arm", "v7"),
    "armel": ("arm", "v6"),
    "armv5tel": ("arm", "v5"),
    "armv6l": ("arm", "v6"),
    "armv7l": ("arm", "v7"),
    "armv8l": ("arm", "v7"),
}
_SYSTEMS = {"macos": "darwin"}
_ARM_VARIANTS = ("v8", "v7", "v6", "v5")
_AMD64_VARIANTS = ("v4", "v3", "v2", "")


class Platform(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, rename="lower", gc=False
):
    """What a manifest runs on; empty fields are unknown."""

    architecture: str
    os: str
    os_version: str = msgspec.field(default="", name="os.version")
    os_features: tuple[str, ...] = msgspec.field(default=(), name="os.features")
    variant: str = ""

    def normalized(self) -> Platform:
        """The same in Go's names, with a variant only where it is not the implied one."""
        system = _SYSTEMS.get(self.os.lower(), self.os.lower())
        architecture, variant = _ARCHITECTURES.get(
            self.architecture.lower(), (self.architecture.lower(), self.variant.lower())
        )
        if variant.isdigit():
            variant = "v" + variant
        if (architecture, variant) in {("amd64", "v1"), ("arm64", "v8")}:
            variant = ""
        if architecture == "arm" and not variant:
            variant = "v7"
        return msgspec.structs.replace(self, os=system, architecture=architecture, variant=variant)

    def __str__(self) -> str:
        normal = self.normalized()
        return "/".join(part for part in (normal.os, normal.architecture, normal.variant) if part)


def parse(text: str) -> Platform:
    """Parse ``os[/architecture[/variant]]`` or a lone architecture, as ``--platform`` takes it."""
    parts = text.split("/")
    for part in parts:
        if not _COMPONENT.fullmatch(part):
            raise InvalidArgumentError(
                f'"{part}" is an invalid component of "{text}": '
                "platform specifier component must match "
                f'"^{_COMPONENT.pattern}$": invalid argument'
            )
    if len(parts) == 1:
        return _parse_lone(parts[0])
    if len(parts) > 3:
        raise InvalidArgumentError(f'"{text}": cannot parse platform specifier: invalid argument')
    variant = parts[2] if len(parts) == 3 else ""
    return Platform(os=parts[0], architecture=parts[1], variant=variant).normalized()


def _parse_lone(part: str) -> Platform:
    mine = host()
    lowered = part.lower()
    if lowered in {"linux", "windows", "darwin", "freebsd", "macos"}:
        return Platform(
            os=lowered, architecture=mine.architecture, variant=mine.variant
        ).normalized()
    if lowered in _ARCHITECTURES or lowered in _KNOWN_ARCHITECTURES:
        return Platform(os="linux", architecture=lowered).normalized()
    raise InvalidArgumentError(
        f'"{part}": unknown operating system or architecture: invalid argument'
    )


_KNOWN_ARCHITECTURES = frozenset(
    {"amd64", "386", "arm", "arm64", "ppc64le", "riscv64", "s390x", "loong64", "mips64le"}
)


def host() -> Platform:
    """The platform of the machine that runs this, from uname(2)."""
    return Platform(os="linux", architecture=os.uname().machine).normalized()


def runnable(on: Platform) -> tuple[Platform, ...]:
    """The platforms that ``on`` runs, best first; ``on`` itself is always the first."""
    normal = on.normalized()
    if normal.architecture == "arm":
        found = [("arm", each) for each in _from(_ARM_VARIANTS, normal.variant)]
    elif normal.architecture == "arm64":
        found = [("arm64", normal.variant)] + ([("arm64", "")] if normal.variant else [])
        found += [("arm", each) for each in _ARM_VARIANTS]
    elif normal.architecture == "amd64":
        found = [("amd64", each) for each in _from(_AMD64_VARIANTS, normal.variant)]
        found.append(("386", ""))
    else:
        found = [(normal.architecture, normal.variant)]
    return tuple(
        Platform(os=normal.os, architecture=architecture, variant=variant)
        for architecture, variant in found
    )


def _from(variants: tuple[str, ...], first: str) -> tuple[str, ...]:
    return variants[variants.index(first) :] if first in variants else (first,)


def best(candidates: Sequence[Platform | None], wanted: Platform) -> int | None:
    """The position of the candidate that runs best on ``wanted``, or None when none does.

    A candidate that names no platform is taken only when no other fits.
    """
    order = [(each.os, each.architecture, each.variant) for each in runnable(wanted)]
    ranked: list[tuple[int, int]] = []
    for position, candidate in enumerate(candidates):
        if candidate is None:
            ranked.append((len(order), position))
            continue
        normal = candidate.normalized()
        key = (normal.os, normal.architecture, normal.variant)
        if key in order:
            ranked.append((order.index(key), position))
    return min(ranked)[1] if ranked else None
