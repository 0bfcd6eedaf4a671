"""The device program of a cgroup: attached, replaced, and kept loaded for the next container.

Most containers have the same rules, so a loaded program is kept and attached again (0.01 ms
instead of 0.08). The programs live as long as a cgroup or this process holds them.
"""

from __future__ import annotations

import os
import threading

from knarr.errors import FailedPreconditionError
from knarr.runtime.cgroups import devices, files
from knarr.sys import bpf

_KEPT = 16
_loaded: dict[devices.Policy, int] = {}
_lock = threading.Lock()
_usable: bool | None = None


def usable() -> bool:
    """Whether this kernel takes device programs from this process; tried once."""
    global _usable  # noqa: PLW0603 - a probe of the kernel has one answer for the whole process
    if _usable is None:
        try:
            os.close(_load(devices.Policy(allow_others=True, rules=())))
            _usable = True
        except OSError:
            _usable = False
    return _usable


def attach(directory: str, wanted: devices.Policy) -> None:
    """Make the policy hold in a v2 cgroup that was just made. Raises ``OSError``."""
    if wanted.everything:
        return
    cgroup = _open(directory)
    try:
        # Containers start in several threads: nobody may close a program between here and there.
        with _lock:
            program = _loaded.get(wanted)
            if program is None:
                if len(_loaded) >= _KEPT:
                    os.close(_loaded.pop(next(iter(_loaded))))
                program = _loaded[wanted] = _load(wanted)
            bpf.prog_attach(cgroup, program)
    finally:
        os.close(cgroup)


def replace(directory: str, wanted: devices.Policy) -> None:
    """Make the policy hold in a living v2 cgroup instead of what held before.

    There is no moment without a filter: the new program takes the old one's place in one step, or
    is attached before the old ones leave. Raises ``OSError``.
    """
    cgroup = _open(directory)
    held: list[int] = []
    try:
        held.extend(bpf.prog_get_fd_by_id(each) for each in bpf.prog_query(cgroup))
        before = list(held)
        if not wanted.everything:
            # A fresh program: the kernel refuses to attach one that is attached already.
            held.append(_load(wanted))
            bpf.prog_attach(cgroup, held[-1], before.pop() if len(before) == 1 else -1)
        for program in before:
            bpf.prog_detach(cgroup, program)
    finally:
        for descriptor in (*held, cgroup):
            os.close(descriptor)


def _load(wanted: devices.Policy) -> int:
    return bpf.prog_load_cgroup_device(devices.program(wanted), "knarr_devices")


def _open(directory: str) -> int:
    return os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)


def apply_legacy(directory: str, wanted: devices.Policy) -> None:
    """Make the policy hold in the v1 ``devices`` cgroup at ``directory``, new or living.

    Only what differs is written, so that no device in use is refused in between. Raises
    ``KnarrError``; ``FailedPreconditionError`` where there is no ``devices`` controller.
    """
    if wanted.everything and not directory:
        return
    if not directory:
        raise FailedPreconditionError(
            "devices cannot be limited: there is neither a device controller nor BPF for cgroups",
            hint="the kernel needs CONFIG_CGROUP_BPF, and the engine CAP_BPF or CAP_SYS_ADMIN",
        )
    exceptions = devices.exceptions(wanted)
    allow_all, held = devices.parse_list(files.read(f"{directory}/devices.list"))
    if allow_all or wanted.allow_others:
        files.write(f"{directory}/devices.{'allow' if wanted.allow_others else 'deny'}", "a")
        held = set()
    for line in held.difference(rule.line for rule in exceptions):
        files.write(f"{directory}/devices.deny", line)
    for rule in exceptions:
        if rule.line not in held:
            files.write(f"{directory}/devices.{'allow' if rule.allow else 'deny'}", rule.line)
