from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from knarr.containers import record as records
from knarr.containers.record import MountKind, MountRecord, Record, State, Status
from knarr.engine.live import ContainerStore, LiveContainer, Outcome
from knarr.errors import ConflictError, DataLossError, InvalidArgumentError, NotFoundError
from knarr.metadata import ContainerRow

if TYPE_CHECKING:
    from collections.abc import Callable

    from knarr.engine.workers import Workers
    from knarr.metadata import Database


def test_found_by_id_name_and_unique_prefix(
    store: ContainerStore, add: Callable[..., LiveContainer], make_record: Callable[..., Record]
) -> None:
    one, two = add(1, "one"), add(2, "two")
    three = LiveContainer(make_record(1, "three", id="1" * 10 + "f" * 54))
    store.add(three)
    assert store.get("1" * 64) is one
    assert store.get("two") is two
    assert store.get("/two") is two
    assert store.get("22") is two
    assert store.get("1" * 10 + "f") is three
    with pytest.raises(InvalidArgumentError, match="Multiple IDs found with provided prefix: 111"):
        store.get("111")
    for absent in ("", "ff", "tw", "1" * 65):
        with pytest.raises(NotFoundError, match=f"No such container: {absent}"):
            store.get(absent)


def test_a_name_counts_more_than_the_beginning_of_an_id(
    store: ContainerStore, add: Callable[..., LiveContainer]
) -> None:
    add(2, "other")
    named = add(3, "22")
    assert store.get("22") is named


def test_names_are_claimed_once_also_while_one_is_being_made(
    store: ContainerStore, add: Callable[..., LiveContainer]
) -> None:
    live = add(1, "taken")
    store.reserve("coming", "a" * 64)
    for name, owner in (("taken", live.id), ("coming", "a" * 64)):
        with pytest.raises(ConflictError) as caught:
            store.reserve(name, "b" * 64)
        assert caught.value.message == (
            f'Conflict. The container name "/{name}" is already in use by container "{owner}". '
            "You have to remove (or rename) that container to be able to reuse that name."
        )
    store.release("coming")
    store.reserve("coming", "b" * 64)
    store.discard(live)
    store.reserve("taken", "b" * 64)
    assert len(store) == 0


def test_records_survive_and_names_change_with_them(
    store: ContainerStore,
    database: Database,
    workers: Workers,
    make_record: Callable[..., Record],
) -> None:
    record = make_record(
        1,
        "old",
        layers=(),
        state=State(status=Status.EXITED, exit_code=3, finished_ns=5),
        mounts=(MountRecord(kind=MountKind.TMPFS, target="/t", options=("size=1m",)),),
    )
    database.containers.insert(record.id, "old", "i", (), records.encode(record))
    live = LiveContainer(record)
    store.add(live)
    other = make_record(2, "other", layers=())
    database.containers.insert(other.id, "other", "i", (), records.encode(other))
    store.add(LiveContainer(other))

    async def change() -> None:
        with pytest.raises(ConflictError):
            await store.rename(live, "other")
        assert live.name == "old"
        await store.rename(live, "new")
        live.record.state.exit_code = 4
        await store.save(live)
        live.record.state.error = "said"
        await store.note(live)

    asyncio.run(change())
    assert store.find("old") is None
    later = ContainerStore(database.containers, workers)
    later.restore(database.containers.all())
    assert later.get("new").record == live.record
    assert later.get("new").record.state == State(
        status=Status.EXITED, exit_code=4, finished_ns=5, error="said"
    )


def test_a_record_that_cannot_be_read_says_whose_it_is() -> None:
    with pytest.raises(DataLossError, match='record of container "abc"'):
        records.decode(ContainerRow("abc", "n", "i", (), b'{"id": 5}'))


def test_waiting_ends_with_what_was_waited_for(make_record: Callable[..., Record]) -> None:
    async def scene() -> None:
        live = LiveContainer(make_record(1, "x"))
        exit_, gone = live.next_exit(), live.removal()
        live.record.state.exit_code = 9
        live.record.state.error = "why"
        live.tell_exit()
        assert exit_.result() == Outcome(9, "why")
        assert not gone.done()
        live.tell_failed_removal("busy")
        assert gone.result() == Outcome(9, "busy")
        second, last = live.next_exit(), live.removal()
        cancelled = live.removal()
        cancelled.cancel()
        live.tell_removal()
        assert second.done()
        assert last.result() == Outcome(9, "")

    asyncio.run(scene())


def test_kept_counts_its_keepers(make_record: Callable[..., Record]) -> None:
    async def scene() -> None:
        live = LiveContainer(make_record(1, "x"))
        with live.kept():
            with live.kept():
                pass
            assert live.is_kept
        assert not live.is_kept

    asyncio.run(scene())


def test_what_is_noted_lazily_is_stored_with_the_next_note_or_the_flush(
    database: Database, store: ContainerStore, make_record: Callable[..., Record]
) -> None:
    live = LiveContainer(make_record(1, "one", layers=()))
    state = live.record.state
    database.containers.insert(live.id, "one", "i", (), records.encode(live.record))
    store.add(live)

    def stored() -> State:
        database.write(lambda _: None)  # comes after what was asked before
        return records.decode(database.containers.all()[0]).state

    async def change() -> None:
        state.pid = 5
        store.note_lazily(live)
        assert stored().pid == 0
        state.exit_code = 1
        await store.note(live)
        assert (stored().pid, stored().exit_code) == (5, 1)
        state.pid = 6
        store.note_lazily(live)
        store.flush()
        assert stored().pid == 6

    asyncio.run(change())
