"""The event loop and its workers."""

import os
import threading

import pytest

from knarr.errors import InternalError, KnarrError, NotFoundError
from knarr.supervisor.loop import IN, Loop
from knarr.supervisor.workers import Workers


def fail(error: Exception) -> None:
    raise AssertionError from error


def test_timers_come_in_order_and_can_be_cancelled() -> None:
    loop = Loop(fail)
    seen: list[str] = []
    loop.call_later(0.02, lambda: seen.append("second"))
    loop.call_later(0.01, lambda: seen.append("first"))
    loop.call_later(0.001, lambda: seen.append("never")).cancel()
    loop.call_later(0.03, loop.stop)
    loop.run()
    loop.close()
    assert seen == ["first", "second"]


def test_a_callback_that_fails_ends_alone() -> None:
    errors: list[Exception] = []
    loop = Loop(errors.append)

    def broken() -> None:
        raise ValueError

    loop.call_from_thread(broken)
    loop.call_from_thread(loop.stop)
    loop.run()
    loop.close()
    assert [type(error) for error in errors] == [ValueError]


def test_a_descriptor_is_not_heard_after_it_is_unwatched() -> None:
    loop = Loop(fail)
    out, into = os.pipe()
    seen: list[int] = []

    def heard(events: int) -> None:
        seen.append(events)
        loop.unwatch(out)
        loop.unwatch(out)
        loop.call_later(0.01, loop.stop)

    loop.watch(out, IN, heard)
    os.write(into, b"x")
    loop.run()
    loop.close()
    os.close(out)
    os.close(into)
    assert seen == [IN]


@pytest.mark.parametrize(
    ("error", "kind"), [(NotFoundError("x"), NotFoundError), (OSError(5, "x"), InternalError)]
)
def test_workers_answer_in_the_thread_of_the_loop(error: Exception, kind: type) -> None:
    loop = Loop(fail)
    workers = Workers(loop, 2)
    threads: set[int] = set()
    answers: list[object] = []

    def job() -> int:
        threads.add(threading.get_ident())
        return 1

    def broken() -> int:
        raise error

    def done(value: object) -> None:
        assert threading.get_ident() not in threads
        answers.append(value)
        if len(answers) == 11:
            loop.stop()

    for _ in range(10):
        workers.run(job, done, done)
    workers.run(broken, done, done)
    assert workers.busy == 11
    loop.run()
    loop.close()
    assert workers.busy == 0
    assert len(threads) <= 2
    assert sum(answer == 1 for answer in answers) == 10
    assert [type(each) for each in answers if isinstance(each, KnarrError)] == [kind]
