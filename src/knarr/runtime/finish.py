"""Planning of what every process goes through last, new and in a running container. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from knarr.runtime import capabilities, command, ops, privileges, rlimits

if TYPE_CHECKING:
    from knarr.oci.runtime_spec import Process
    from knarr.runtime.facts import Facts
    from knarr.runtime.ops import Operation
    from knarr.runtime.wiring import Wiring

_UMASK = 0o022
_FULL = (1 << 64) - 1


class Ending(NamedTuple):
    """The last operations, and what the user should know about them."""

    operations: list[Operation]
    warnings: list[str]


def plan(
    process: Process,
    wiring: Wiring,
    facts: Facts,
    filter_: tuple[bytes, int] | None,
    *,
    new_user: bool = False,
) -> Ending:
    """User, limits, rights and exec of ``process``.

    In a ``new_user`` namespace every capability is there to be given, whatever this process has.
    """
    operations: list[Operation] = []
    available = (1 << facts.last_capability + 1) - 1
    if not new_user:
        available &= facts.capabilities
    sets, missing = capabilities.sets(process.get("capabilities") or {}, available)
    warnings = []
    if missing:
        warnings.append(f"not available here: capabilities {capabilities.shown(missing)}")
    operations += _identity(process, wiring, sets, facts, available)
    operations += _rendezvous(process, wiring)
    if limits := process.get("rlimits"):
        # After everything that opens a file: what this process has open counts until exec.
        limit, lowered = rlimits.set_limits(
            limits, facts.hard_limits, may_raise=facts.may_raise_limits and not new_user
        )
        operations.append(limit)
        warnings += lowered
    operations.append(ops.close_on_exec(3 + wiring.stdio.preserved))
    if wiring.fifo < 0:
        operations.append(ops.outlive_parent())
    loaded = [] if filter_ is None else [privileges.load_filter(*filter_)]
    if process.get("noNewPrivileges"):
        operations += [
            privileges.set_capabilities(sets), privileges.no_new_privileges(), *loaded
        ]  # fmt: skip
    else:
        operations += [*loaded, privileges.set_capabilities(sets)]
    operations += command.execute(process)
    return Ending(operations, warnings)


def _identity(
    process: Process, wiring: Wiring, sets: capabilities.Sets, facts: Facts, available: int
) -> list[Operation]:
    user = process.get("user") or {}
    uid, gid = user.get("uid", 0), user.get("gid", 0)
    operations = []
    if uid and wiring.streams:
        operations.append(privileges.own_streams(wiring.streams, uid))
    operations += [
        ops.new_keyring(),
        privileges.drop_bounding(sets.bounding, facts.last_capability),
    ]
    for kind, label in (
        ("apparmor", process.get("apparmorProfile")),
        ("selinux", process.get("selinuxLabel")),
    ):
        if label:
            operations.append(privileges.set_label(kind, label))
    groups = user.get("additionalGids") or ()
    operations += [
        ops.set_umask(user.get("umask", _UMASK)),
        privileges.set_user(uid, gid, groups, available),
        command.enter_directory(process.get("cwd") or "/"),
    ]
    return operations


def _rendezvous(process: Process, wiring: Wiring) -> list[Operation]:
    """Where the process waits for the parent, or for `start`, when everything else is done."""
    if wiring.report < 0:
        return []
    operations = []
    if wiring.waits:
        operations.append(command.check(process))
        if wiring.fifo >= 0:
            # The parent may go away from here on; if it does so before it answers, the wait fails.
            kept = (wiring.report, wiring.fifo, *wiring.preserved)
            operations += [ops.outlive_parent(), ops.close_others(kept)]
        operations.append(ops.sync(wiring.report, ops.CREATED))
        if wiring.fifo >= 0:
            return [*operations, ops.wait_for_start(wiring.fifo)]
    return [*operations, ops.tell(wiring.report, ops.EXECUTING)]
