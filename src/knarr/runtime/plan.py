"""From a specification to a plan: pure, it touches nothing.

Order of a start. Each step needs what the ones before it made, or must come before what they take
away:

1. tie the process to its parent, standard streams, close what was inherited;
2. join cgroups (before the cgroup namespace is unshared), join and make namespaces;
3. make all mounts slaves, mount the root and what is inside it, devices;
4. with hooks: wait for the parent; then terminal, masks, read-only paths, pivot;
5. names, kernel parameters, loopback;
6. bounding set, user, working directory; for `create`: wait for `start`; limits;
7. seccomp filter and capabilities (with no_new_privs the filter is last), exec.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from knarr.errors import InvalidArgumentError
from knarr.runtime import command, console, finish, furnish, ops, rootfs
from knarr.runtime.inside import ROOT
from knarr.runtime.options import MS_SLAVE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from knarr.mount import Mount
    from knarr.oci.runtime_spec import Hook, Process, Spec
    from knarr.runtime.facts import Facts
    from knarr.runtime.ops import Operation
    from knarr.runtime.table import Shared
    from knarr.runtime.wiring import Wiring

CLONE_VM = 0x00000100
CLONE_VFORK = 0x00004000

Filter = tuple[bytes, int]  # a compiled seccomp program and the flags to load it with


class Plan(NamedTuple):
    """The flags for clone and the operations that make a process, in order."""

    clone: int
    operations: tuple[Operation, ...]
    warnings: tuple[str, ...] = ()

    def describe(self) -> list[str]:
        """One line for each operation, written like the system calls that it makes."""
        memory = "CLONE_VM|CLONE_VFORK|" if self.clone & CLONE_VM else ""
        first = f"clone3({memory}{ops.flag_names(self.clone)})"
        return [first, *(each.text for each in self.operations if each.text)]


def shares_memory(spec: Spec) -> bool:
    """Whether the fast way may be taken: the child borrows this process's memory until exec.

    Not where the parent has to act in between, and only for the first process of a new pid
    namespace: in any other some process could exist that may trace the child, and so write into
    the memory of this one.
    """
    own = namespaces(spec)
    hooks = spec.get("hooks") or {}
    before = ("prestart", "createRuntime", "createContainer", "startContainer")
    return own.get("pid") == "" and "user" not in own and not any(hooks.get(at) for at in before)


def start(
    spec: Spec,
    bundle: str,
    root_mounts: Sequence[Mount],
    wiring: Wiring,
    facts: Facts,
    filter_: Filter | None = None,
) -> Plan:
    """The plan that starts a container of ``spec``, whose relative paths start at ``bundle``.

    No ``root_mounts`` means the directory ``root.path`` itself. Raises ``InvalidArgumentError`` for
    a spec that cannot be carried out.
    """
    spaces = namespaces(spec)
    process = _process(spec)
    if spaces.get("mount") != "":
        raise InvalidArgumentError("a container needs a mount namespace of its own")
    own = {kind for kind, path in spaces.items() if not path}
    new_user = "user" in own
    clone = CLONE_VM | CLONE_VFORK if wiring.report < 0 else 0
    clone |= ops.CLONE_NEWPID if "pid" in own else 0
    clone |= ops.CLONE_NEWUSER if new_user else 0
    operations = [
        *_begin(process, wiring),
        *(ops.join_cgroup(path) for path in wiring.joins),
        *_enter(spaces, wiring),
        *furnish.shared_binds(spec, bundle),
        rootfs.propagate(MS_SLAVE),
        *furnish.root(spec, bundle, root_mounts, facts),
        *furnish.tree(spec, bundle, facts, own, wiring),
    ]
    if wiring.hooks:
        operations.append(ops.sync(wiring.report, ops.FURNISHED))
    operations += _terminal(process, wiring, ROOT)
    if process.get("terminal"):
        operations.append(console.bind_console())
    operations += [
        *furnish.hide(spec),
        # Before the pivot: the files are found in the host's /proc, the values in our namespaces.
        *furnish.names_and_parameters(spec, spaces),
        *((ops.loopback_up(),) if "network" in own else ()),
        rootfs.pivot(),
        *furnish.outer_propagation(spec.get("linux", {})),
    ]
    ending = finish.plan(process, wiring, facts, filter_, new_user=new_user)
    return Plan(clone, (*operations, *ending.operations), tuple(ending.warnings))


def join(
    process: Process,
    pidfd: int,
    flags: int,
    wiring: Wiring,
    facts: Facts,
    filter_: Filter | None = None,
) -> Plan:
    """The plan that starts ``process`` in the namespaces ``flags`` of the process ``pidfd``."""
    operations = [
        *_begin(process, wiring, pidfd),
        *(ops.join_cgroup(path) for path in wiring.joins),
        ops.join_process(pidfd, flags),
    ]
    if flags & ops.CLONE_NEWPID:
        # The new process is no child of the one that was tied.
        operations += [ops.fork_into_pid_namespace(), ops.die_with_parent()]
    if flags & ops.CLONE_NEWUSER:
        operations.append(ops.become_root())
    operations.append(ops.new_session())
    operations += _terminal(process, wiring, ops.AT_FDCWD)
    new_user = bool(flags & ops.CLONE_NEWUSER)
    ending = finish.plan(process, wiring, facts, filter_, new_user=new_user)
    return Plan(0, (*operations, *ending.operations), tuple(ending.warnings))


def hook(wanted: Hook, bundle: str, pidfd: int, wiring: Wiring) -> Plan:
    """The plan that runs a hook in ``bundle``, or in the namespaces of the process ``pidfd``."""
    place = [ops.change_directory(bundle)]
    if pidfd >= 0:
        # Not its pid and user namespace: a hook acts on the container with the runtime's rights.
        flags = ops.CLONE_NEWNS | ops.CLONE_NEWNET | ops.CLONE_NEWIPC | ops.CLONE_NEWUTS
        place = [ops.join_process(pidfd, flags)]
    environment = wanted.get("env") or ()
    return Plan(
        0,
        (
            ops.die_with_parent(),
            ops.take_stdio(wiring.stdio[:3]),
            ops.close_others((wiring.report, pidfd)),
            *place,
            ops.tell(wiring.report, ops.EXECUTING),
            ops.outlive_parent(),
            command.execute_file(
                wanted["path"], wanted.get("args") or (wanted["path"],), environment
            ),
        ),
    )


def namespaces(spec: Spec) -> Mapping[str, str]:
    """The namespaces of the spec: for each kind the path that is joined, "" for a new one."""
    result: dict[str, str] = {}
    for each in spec.get("linux", {}).get("namespaces") or ():
        kind = each["type"]
        if kind not in ops.NAMESPACES:
            raise InvalidArgumentError(f'namespace "{kind}" does not exist')
        if kind in result:
            raise InvalidArgumentError(f'namespace "{kind}" is given twice')
        result[kind] = each.get("path") or ""
    return result


def namespace_flags(spec: Spec) -> int:
    """The namespaces in which a container of ``spec`` lives apart from the host."""
    flags = 0
    for kind in namespaces(spec):
        flags |= ops.NAMESPACES[kind]
    return flags


def _process(spec: Spec) -> Process:
    process = spec.get("process")
    if not process:
        raise InvalidArgumentError("the specification has no process")
    return process


def _begin(process: Process, wiring: Wiring, *keep: int) -> list[Operation]:
    operations = [ops.die_with_parent()]
    if not process.get("terminal"):
        operations.append(ops.take_stdio(wiring.stdio[:3]))
    kept = (wiring.report, wiring.stdio.console, wiring.fifo, *wiring.preserved, *keep)
    operations += [ops.close_others(kept), ops.set_umask(0)]
    score = process.get("oomScoreAdj")
    if score is not None:
        operations.append(ops.set_oom_score(score))
    return operations


def _enter(spaces: Mapping[str, str], wiring: Wiring) -> list[Operation]:
    """Join the namespaces that have a path, then make the others."""
    operations = []
    if spaces.get("user") == "":
        operations += [ops.sync(wiring.report, ops.CLONED), ops.become_root()]
    new = 0
    for kind in ops.NAMESPACES:
        path = spaces.get(kind)
        if path:
            operations.append(ops.join_namespace(kind, path))
        elif path is not None and kind not in {"pid", "user"}:
            new |= ops.NAMESPACES[kind]
    if spaces.get("pid"):
        operations += [ops.fork_into_pid_namespace(), ops.die_with_parent()]
    if spaces.get("user"):
        operations.append(ops.become_root())
    return [*operations, ops.unshare(new), ops.new_session()]


def _terminal(process: Process, wiring: Wiring, root: Shared | int) -> list[Operation]:
    if not process.get("terminal"):
        return []
    uid = (process.get("user") or {}).get("uid", 0)
    size = process.get("consoleSize")
    opened = console.open_terminal(wiring.stdio.console, size, uid=uid, root=root)
    return [opened, console.control_terminal()]
