"""The duplicates that the engine holds of the descriptors of running processes.

Law: one set per process, from the ``task`` event until its exit; nothing here is ever read or
written, only kept open and handed to the next supervisor. The end of the input that is held here
must be let go when the supervisor closes its own (``stdin-closed``), or the container would never
see the end of its input.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from knarr.supervisor import protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from knarr.supervisor.messages import TaskState


class _Set(NamedTuple):
    started_ns: int
    fds: dict[str, int]


class HeldDescriptors:
    """Descriptors by process and role (see ``task.ROLES``)."""

    def __init__(self) -> None:
        self._sets: dict[tuple[str, str], _Set] = {}

    def put(self, task: TaskState, roles: Sequence[str], fds: Sequence[int]) -> None:
        """Take over the descriptors of a process; replaces an earlier set of it."""
        self.forget(task.id, task.exec_id)
        held = dict(zip(roles, fds, strict=False))
        protocol.close_all(fds[len(held) :])
        self._sets[task.id, task.exec_id] = _Set(task.started_ns, held)

    def of(self, id_: str, exec_id: str) -> tuple[list[str], list[int]]:
        """Roles and descriptors of a process; they stay here."""
        held = self._sets.get((id_, exec_id))
        return ([], []) if held is None else (list(held.fds), list(held.fds.values()))

    def tasks(self) -> list[tuple[str, str, int]]:
        """The processes: id, exec id, when started."""
        return [(*key, held.started_ns) for key, held in self._sets.items()]

    def drop(self, id_: str, exec_id: str, role: str) -> None:
        """Let go of one descriptor."""
        held = self._sets.get((id_, exec_id))
        fd = held.fds.pop(role, -1) if held is not None else -1
        if fd >= 0:
            protocol.close_all([fd])

    def forget(self, id_: str, exec_id: str) -> None:
        """Let go of all descriptors of a process."""
        held = self._sets.pop((id_, exec_id), None)
        if held is not None:
            protocol.close_all(list(held.fds.values()))

    def close(self) -> None:
        """Let go of everything."""
        for id_, exec_id, _ in self.tasks():
            self.forget(id_, exec_id)
