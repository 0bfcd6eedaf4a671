"""Signals of this process, passed on to a container, and changes of the terminal's size.

``_signal`` is the C part of ``signal``, without ``enum``. Handlers run between two system calls of
the main thread, so they may talk to the engine over connections of their own.
"""

from __future__ import annotations

import posix

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal as _signal
    from collections.abc import Callable
else:
    import _signal

_NOT_PASSED_ON = frozenset(
    {
        _signal.SIGKILL,
        _signal.SIGSTOP,
        _signal.SIGCHLD,  # about this process
        _signal.SIGPIPE,  # about this process
        _signal.SIGURG,  # about this process
        _signal.SIGWINCH,  # about this terminal; a server may take it as an order to stop
        _signal.SIGSEGV,
        _signal.SIGBUS,
        _signal.SIGFPE,
        _signal.SIGILL,
    }
)
_FORCED = 3
_SYNONYMS = ("SIGCLD", "SIGIOT", "SIGPOLL")


def names() -> dict[int, str]:
    """The names of the signals that have one: ``15`` is ``SIGTERM``."""
    return {
        number: name
        for name, number in vars(_signal).items()
        if name.startswith("SIG")
        and not name.startswith("SIG_")
        and name not in _SYNONYMS
        and isinstance(number, int)
    }


def forward(send: Callable[[str], None]) -> None:
    """Pass all signals on by name; the third SIGINT or SIGTERM ends this process at once."""
    known = names()
    insisted = 0

    def handle(number: int, _frame: object) -> None:
        nonlocal insisted
        if number in (_signal.SIGINT, _signal.SIGTERM):
            insisted += 1
            if insisted >= _FORCED:
                posix.write(2, b"\ngot 3 SIGTERM/SIGINTs, forcefully exiting\n")
                posix._exit(1)  # noqa: SLF001 (public as os._exit)
        send(known[number])

    for number in known:
        if number not in _NOT_PASSED_ON and number < _signal.SIGRTMIN:
            _signal.signal(number, handle)


def on_resize(react: Callable[[], None]) -> None:
    """Call ``react`` whenever the terminal's size changes."""
    _signal.signal(_signal.SIGWINCH, lambda _number, _frame: react())
