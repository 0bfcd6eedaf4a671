"""The supervisor: all processes, and what the engine can ask about them.

A process is, in this order: being started (``_busy``), running (``_tasks``), ended (``_ended``),
deleted. After the death of a supervisor the next one finds it as an orphan, until the engine has
handed over its descriptors or has said ``sync``. Attachments may come before the start
(``_waiting``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from knarr.errors import ConflictError, FailedPreconditionError, KnarrError
from knarr.supervisor import adoption, starting
from knarr.supervisor.messages import Exit, TaskState, unknown_exit
from knarr.supervisor.state import Record
from knarr.supervisor.task import Surroundings, Task, not_running

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from knarr.supervisor.attachment import Attachment
    from knarr.supervisor.loop import Loop
    from knarr.supervisor.messages import ExecRequest, StartRequest
    from knarr.supervisor.orphans import Orphans
    from knarr.supervisor.protocol import Packet
    from knarr.supervisor.runtimes import Runtime
    from knarr.supervisor.starting import Launched
    from knarr.supervisor.state import Key, Store
    from knarr.supervisor.workers import Workers

_SIGKILL = 9


class _Ended(NamedTuple):
    record: Record
    exit: Exit


class Supervisor:
    """All processes of one engine. ``notify`` sends events to the engine."""

    def __init__(
        self,
        loop: Loop,
        workers: Workers,
        store: Store,
        runtime: Callable[[tuple[str, ...] | None], Runtime],
        complain: Callable[[str], None],
    ) -> None:
        self._loop = loop
        self._workers = workers
        self._store = store
        self._runtime = runtime
        self._complain = complain
        self._around = Surroundings(loop, store, self, complain)
        self._tasks: dict[Key, Task] = {}
        self._ended: dict[Key, _Ended] = {}
        self._orphans: dict[Key, Record] = {}
        self._busy: set[Key] = set()
        self._waiting: dict[Key, list[Attachment]] = {}
        self._undoing: dict[Key, list[tuple[Callable[[], None], Callable[[KnarrError], None]]]] = {}
        self._orphanage: Orphans | None = None
        self.notify: Callable[[Packet, Mapping[str, int]], None] = lambda _packet, _fds: None
        self.on_idle: Callable[[], None] = lambda: None

    @property
    def idle(self) -> bool:
        """Whether nothing runs and nothing is being done."""
        return not (self._tasks or self._orphans or self._busy or self._workers.busy)

    def load(self) -> None:
        """Read what an earlier supervisor has left; remove what it had only half done."""
        for record in self._store.records():
            ended = self._store.read_exit(record.key)
            if record.pid == 0 and record.runtime is not None:
                self._undo_beside(record)
            elif record.pid == 0:
                self._undo(record)
            elif ended is None:
                self._orphans[record.key] = record
            else:
                self._ended[record.key] = _Ended(record, ended)
                if record.log is not None and record.log.remote:
                    adoption.send_rest(self._loop, record, self._store, self._complain)

    def orphans(self) -> list[Key]:
        """The processes that wait to be adopted."""
        return list(self._orphans)

    def adopt(self, key: Key, held: dict[str, int]) -> bool:
        """Take over a process with the descriptors that the engine held; False if unknown."""
        record = self._orphans.pop(key, None)
        if record is None:
            return False
        launched = adoption.adopt(record, held, self._store, self._complain)
        if launched is None:
            self._lose(record)
        else:
            self._begin(launched)
        return True

    def adopt_rest(self) -> None:
        """Take over those whose descriptors nobody holds."""
        for key in self.orphans():
            self.adopt(key, {})

    def running(self) -> list[Task]:
        """All tasks that have not ended."""
        return list(self._tasks.values())

    def states(self) -> list[TaskState]:
        """All that is known."""
        running = [task.state() for task in self._tasks.values()]
        ended = [_state(record)._replace(exit=exit_) for record, exit_ in self._ended.values()]
        return [*running, *ended]

    def start(
        self,
        request: StartRequest,
        done: Callable[[Launched], None],
        failed: Callable[[KnarrError], None],
    ) -> None:
        """Start a container, in a worker; the answer comes through ``done`` or ``failed``."""
        key = (request.id, "")
        self._claim(key)
        runtime = self._runtime(request.runtime)
        if request.runtime is not None:
            self._take_orphans()
        stale = self._ended.pop(key, None)

        def job() -> Launched:
            if stale is not None:
                self._remove(stale.record)
            return starting.start(request, runtime, self._store, self._complain)

        self._launch(key, job, done, failed)

    def exec(
        self,
        request: ExecRequest,
        done: Callable[[Launched], None],
        failed: Callable[[KnarrError], None],
    ) -> None:
        """Run a process in a container, in a worker; answers as ``start``."""
        key = (request.container_id, request.exec_id)
        container = self._tasks.get((request.container_id, ""))
        if container is None:
            self._end_waiting(key)
            raise not_running(request.container_id, "")
        self._claim(key)
        runtime = self._runtime(container.record.runtime)
        if container.record.runtime is not None:
            self._take_orphans()
        self._launch(
            key,
            lambda: starting.exec_process(request, runtime, self._store, self._complain),
            done,
            failed,
        )

    def task(self, key: Key) -> Task:
        """A running task; ``FailedPreconditionError`` when there is none."""
        task = self._tasks.get(key)
        if task is None:
            raise not_running(*key)
        return task

    def kill(
        self,
        key: Key,
        number: int,
        done: Callable[[], None],
        failed: Callable[[KnarrError], None],
    ) -> None:
        """Send a signal; raises ``FailedPreconditionError`` when there is no such process.

        Another runtime than our own sends it itself, in a worker. What it cannot kill is killed
        all the same.
        """
        task = self.task(key)
        if task.record.runtime is None:
            task.kill(number)
            done()
            return
        runtime = self._runtime(task.record.runtime)

        def not_sent(error: KnarrError) -> None:
            try:
                if number != _SIGKILL:
                    raise error
                self.task(key).kill(number)  # it may have ended meanwhile
            except KnarrError as still:
                failed(still)
            else:
                done()

        self._workers.run(lambda: runtime.signal(key[0], number), lambda _: done(), not_sent)

    def attach(self, key: Key, make: Callable[[Callable[[Attachment], None]], Attachment]) -> None:
        """Connect an attachment with a running process or with the next one of that id."""
        self._store.folder(key)
        attachment = make(lambda closed: self._detached(key, closed))
        task = self._tasks.get(key)
        if task is None:
            self._waiting.setdefault(key, []).append(attachment)
        else:
            task.attach(attachment)

    def delete(
        self, container_id: str, done: Callable[[], None], failed: Callable[[KnarrError], None]
    ) -> None:
        """Forget a container that has ended and its execs, in a worker."""
        key = (container_id, "")
        if key in self._tasks:
            raise FailedPreconditionError(f"container {container_id} is running")
        self._store.folder(key)
        if key in self._undoing:
            self._undoing[key].append((done, failed))
            return
        self._claim(key)
        known = self._ended.get(key)
        record = Record(*key) if known is None else known.record

        def job() -> None:
            self._remove(record)

        def finished(_: None) -> None:
            self._busy.discard(key)
            for each in [each for each in self._ended if each[0] == container_id]:
                del self._ended[each]
            for attachment in tuple(self._waiting.get(key, ())):
                if attachment.abandoned:
                    attachment.close()
            done()
            self.on_idle()

        def not_finished(error: KnarrError) -> None:
            self._busy.discard(key)
            failed(error)

        self._workers.run(job, finished, not_finished)

    def discard(self, key: Key) -> None:
        """Forget an exec that has ended."""
        if key[1] and self._ended.pop(key, None) is not None:
            self._store.remove(key)

    def input_closed(self, task: Task) -> None:
        """The engine must let go of its duplicate, or the process sees no end of its input."""
        container_id, exec_id = task.record.key
        self.notify({"event": "stdin-closed", "id": container_id, "exec_id": exec_id}, {})

    def kill_rest(self, task: Task) -> None:
        """End the processes of a container that outlive its first one."""
        runtime = self._runtime(task.record.runtime)
        container_id = task.record.id

        def failed(error: KnarrError) -> None:
            self._complain(f"kill what is left of {container_id}: {error}")

        self._workers.run(lambda: runtime.kill_all(container_id), lambda _: None, failed)

    def was_oom_killed(self, task: Task) -> bool:
        """Whether processes of the container were killed for want of memory."""
        return self._runtime(task.record.runtime).oom_killed(task.record.id)

    def ended(self, task: Task, ended: Exit) -> None:
        """A process has ended and its exit is on disk: tell the engine."""
        key = task.record.key
        self._tasks.pop(key, None)
        self._ended[key] = _Ended(task.record, ended)
        self.notify({"event": "exit", "exit": ended}, {})
        self.on_idle()

    def _take_orphans(self) -> None:
        """Another runtime is used: from now on orphans come to this process."""
        if self._orphanage is None:
            from knarr.supervisor.orphans import Orphans  # noqa: PLC0415 - a rare feature

            self._orphanage = Orphans(self._loop, self._workers, self._pids)
            self._orphanage.watch()

    def _pids(self) -> set[int]:
        return {task.record.pid for task in self._tasks.values()}

    def _lose(self, record: Record) -> None:
        """A process has ended, and nobody can tell its code."""
        reason = "the process ended while no supervisor ran"
        ended = unknown_exit(*record.key, record.started_ns, reason)
        try:
            self._store.write_exit(ended)
        except OSError as error:
            self._complain(f"record the exit of {record.key}: {error.strerror}")
        self._ended[record.key] = _Ended(record, ended)

    def _claim(self, key: Key) -> None:
        if key in self._busy or key in self._tasks or key in self._orphans:
            raise ConflictError(f'process "{key[1] or key[0]}" is running or in use')
        self._busy.add(key)

    def _launch(
        self,
        key: Key,
        job: Callable[[], Launched],
        done: Callable[[Launched], None],
        failed: Callable[[KnarrError], None],
    ) -> None:
        def started(launched: Launched) -> None:
            self._busy.discard(key)
            self._begin(launched)
            done(launched)

        def not_started(error: KnarrError) -> None:
            self._busy.discard(key)
            self._end_waiting(key)
            failed(error)
            self.on_idle()

        self._workers.run(job, started, not_started)

    def _begin(self, launched: Launched) -> None:
        key = launched.record.key
        task = Task(self._around, launched)
        self._tasks[key] = task
        for attachment in self._waiting.pop(key, []):
            task.attach(attachment)
        state = task.state()
        self.notify({"event": "task", "task": state}, task.handles())
        task.begin()

    def _end_waiting(self, key: Key) -> None:
        """What was attached to a process that could not be started sees its end."""
        for attachment in self._waiting.pop(key, []):
            attachment.close()

    def _detached(self, key: Key, attachment: Attachment) -> None:
        task = self._tasks.get(key)
        if task is not None:
            task.detached(attachment)
        waiting = self._waiting.get(key, [])
        if attachment in waiting:
            waiting.remove(attachment)
            if not waiting:
                del self._waiting[key]

    def _undo(self, record: Record) -> None:
        """Remove what a start or a removal that was killed half-way has left."""
        try:
            self._remove(record)
        except KnarrError as error:
            self._complain(f"clean up {record.key}: {error}")

    def _undo_beside(self, record: Record) -> None:
        """As ``_undo``, in a worker: the program of another runtime takes its time."""
        self._busy.add(record.key)
        waiting = self._undoing[record.key] = []

        def end() -> None:
            self._busy.discard(record.key)
            del self._undoing[record.key]
            self.on_idle()

        def finished(_: None) -> None:
            end()
            for done, _failed in waiting:
                done()

        def not_finished(error: KnarrError) -> None:
            self._complain(f"clean up {record.key}: {error}")
            end()
            for _done, failed in waiting:
                failed(error)

        self._workers.run(lambda: self._remove(record), finished, not_finished)

    def _remove(self, record: Record) -> None:
        if not record.exec_id:
            self._runtime(record.runtime).delete(record.id)
        self._store.remove(record.key)


def _state(record: Record) -> TaskState:
    return TaskState(record.id, record.exec_id, record.pid, record.started_ns, record.terminal)
