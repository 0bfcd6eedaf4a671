"""Docker's seccomp profiles: reading one, and making the OCI form for one container of it. Pure.

A profile holds rules for all machines: rules that count only with or without a capability, on some
architectures, from some kernel on. ``resolve`` picks those that count. The built-in profile is
Docker's own (moby ``profiles/seccomp/default.json``, Apache-2.0), unchanged, so that a program
meets the same limits under both engines.
"""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any, TypedDict, cast

from knarr.errors import InvalidArgumentError
from knarr.runtime.seccomp import actions

if TYPE_CHECKING:
    from collections.abc import Collection

    from knarr.oci.runtime_spec import Seccomp, SeccompArg, SeccompSyscall

LIMIT = 1 << 20  # bytes of a profile; Docker's own has 17 thousand


class ArchMap(TypedDict, total=False):
    """An architecture and those whose programs it runs too, by ``SCMP_ARCH_`` names."""

    architecture: str
    subArchitectures: list[str] | None


class Filter(TypedDict, total=False):
    """When a rule counts: capabilities of the container, architectures, the oldest kernel."""

    caps: list[str]
    arches: list[str]
    minKernel: str


class ProfileCall(TypedDict, total=False):
    """A rule of a profile; ``name`` is the old form of ``names``."""

    name: str
    names: list[str]
    action: str
    errnoRet: int | None
    args: list[SeccompArg] | None
    includes: Filter
    excludes: Filter


class Profile(TypedDict, total=False):
    """A whole profile; either ``architectures`` or ``archMap`` says for which programs."""

    defaultAction: str
    defaultErrnoRet: int | None
    architectures: list[str] | None
    archMap: list[ArchMap] | None
    flags: list[str] | None
    syscalls: list[ProfileCall] | None


_SCMP = {  # uname(2) machine to libseccomp and to the names that profiles use (Go's)
    "x86_64": ("SCMP_ARCH_X86_64", "amd64"),
    "i386": ("SCMP_ARCH_X86", "386"),
    "i686": ("SCMP_ARCH_X86", "386"),
    "aarch64": ("SCMP_ARCH_AARCH64", "arm64"),
    "armv7l": ("SCMP_ARCH_ARM", "arm"),
    "ppc64le": ("SCMP_ARCH_PPC64LE", "ppc64le"),
    "riscv64": ("SCMP_ARCH_RISCV64", "riscv64"),
    "s390x": ("SCMP_ARCH_S390X", "s390x"),
    "loongarch64": ("SCMP_ARCH_LOONGARCH64", "loong64"),
    "mips64": ("SCMP_ARCH_MIPS64", "mips64"),
}
_default: Profile | None = None


def default_profile() -> Profile:
    """The built-in profile; treat it as read-only."""
    global _default  # noqa: PLW0603 - one file, read once
    if _default is None:
        path = os.path.join(os.path.dirname(__file__), "docker-default.json")
        with open(path, encoding="utf-8") as file:
            _default = cast("Profile", json.load(file))
    return _default


def parse(text: str | bytes) -> Profile:
    """A profile from its JSON text, as ``--security-opt seccomp=`` brings it.

    Raises ``InvalidArgumentError`` in Docker's words when it is no profile.
    """
    if len(text) > LIMIT:
        raise InvalidArgumentError(f"seccomp profile is larger than {LIMIT} bytes")
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidArgumentError(f"decoding seccomp profile failed: {error}") from None
    _expect(document, dict, "the profile")
    for key, kind in _FIELDS.items():
        if document.get(key) is not None:
            _expect(document[key], kind, key)
    for call in document.get("syscalls") or ():
        _check_call(call)
    for entry in document.get("archMap") or ():
        _expect(entry, dict, "archMap")
    if not document.get("defaultAction"):
        raise InvalidArgumentError("seccomp profile has no defaultAction")
    return cast("Profile", document)


_FIELDS: dict[str, type] = {
    "defaultAction": str,
    "defaultErrnoRet": int,
    "architectures": list,
    "archMap": list,
    "flags": list,
    "syscalls": list,
}
_CALL_FIELDS: dict[str, type] = {
    "name": str,
    "names": list,
    "action": str,
    "errnoRet": int,
    "args": list,
    "includes": dict,
    "excludes": dict,
}


def _check_call(call: Any) -> None:
    _expect(call, dict, "syscalls")
    for key, kind in _CALL_FIELDS.items():
        if call.get(key) is not None:
            _expect(call[key], kind, key)
    for name in call.get("names") or ():
        _expect(name, str, "names")
    for argument in call.get("args") or ():
        _expect(argument, dict, "args")
        for key in ("index", "value", "valueTwo"):
            _expect(argument.get(key, 0), int, key)
        actions.condition(cast("SeccompArg", argument))
    actions.action(call.get("action", ""), call.get("errnoRet"))


def _expect(value: object, kind: type, name: str) -> None:
    if not isinstance(value, kind):
        raise InvalidArgumentError(
            f"decoding seccomp profile failed: {name} is not of type {kind.__name__}"
        )


def resolve(
    profile: Profile,
    capabilities: Collection[str],
    machine: str | None = None,
    kernel: str | None = None,
) -> Seccomp:
    """The OCI form of the profile for a container with these (bounding) capabilities.

    ``machine`` and ``kernel`` are as uname(2) gives them, by default this host's. Raises
    ``InvalidArgumentError`` for contradictions, in Docker's words.
    """
    here = os.uname()
    scmp, arch = _SCMP.get(machine or here.machine, ("", machine or here.machine))
    facts = _Facts(frozenset(capabilities), arch, _version(kernel or here.release))
    resolved: Seccomp = {"defaultAction": profile.get("defaultAction", "")}
    if (errno_return := profile.get("defaultErrnoRet")) is not None:
        resolved["defaultErrnoRet"] = errno_return
    resolved["architectures"] = _architectures(profile, scmp)
    if (flags := profile.get("flags")) is not None:
        resolved["flags"] = list(flags)
    resolved["syscalls"] = [
        _rule(call) for call in profile.get("syscalls") or () if facts.count(call)
    ]
    return resolved


class _Facts:
    """What decides whether a rule counts."""

    __slots__ = ("arch", "capabilities", "kernel")

    def __init__(
        self, capabilities: frozenset[str], arch: str, kernel: tuple[int, int] | None
    ) -> None:
        self.capabilities = capabilities
        self.arch = arch
        self.kernel = kernel

    def count(self, call: ProfileCall) -> bool:
        """Whether the rule is for this container on this host."""
        excludes, includes = call.get("excludes") or {}, call.get("includes") or {}
        if self.arch in (excludes.get("arches") or ()):
            return False
        if self.capabilities.intersection(excludes.get("caps") or ()):
            return False
        if (oldest := excludes.get("minKernel")) and self._reaches(oldest):
            return False
        if (arches := includes.get("arches")) and self.arch not in arches:
            return False
        if not self.capabilities.issuperset(includes.get("caps") or ()):
            return False
        return not (oldest := includes.get("minKernel")) or self._reaches(oldest)

    def _reaches(self, oldest: str) -> bool:
        wanted = _version(oldest)
        if wanted is None:
            raise InvalidArgumentError(f'invalid kernel version "{oldest}" in seccomp profile')
        return self.kernel is None or self.kernel >= wanted


def _architectures(profile: Profile, native: str) -> list[str]:
    plain, mapped = profile.get("architectures") or [], profile.get("archMap") or []
    if plain and mapped:
        raise InvalidArgumentError(
            "both 'architectures' and 'archMap' are specified in the seccomp profile,"
            " use either 'architectures' or 'archMap'"
        )
    for entry in mapped:
        if entry.get("architecture") == native:
            return [native, *(entry.get("subArchitectures") or ())]
    return list(plain)


def _rule(call: ProfileCall) -> SeccompSyscall:
    name, names = call.get("name"), call.get("names") or []
    if name and names:
        raise InvalidArgumentError(
            "both 'name' and 'names' are specified in the seccomp profile, use either 'name' or"
            " 'names'"
        )
    rule: SeccompSyscall = {"names": [name] if name else names, "action": call.get("action", "")}
    if (errno_return := call.get("errnoRet")) is not None:
        rule["errnoRet"] = errno_return
    if arguments := call.get("args"):
        rule["args"] = arguments
    return rule


def _version(release: str) -> tuple[int, int] | None:
    """Major and minor of a kernel release, or None for a name without them."""
    major, _, rest = release.partition(".")
    digits = rest[: next((i for i, c in enumerate(rest) if not c.isdigit()), len(rest))]
    if not major.isdigit() or not digits:
        return None
    return int(major), int(digits)
