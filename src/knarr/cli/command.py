"""What a command is: its usage, its flags, its arguments, and the function that does it.

Law: a command returns its exit code or raises; only ``knarr.cli.main`` prints errors and exits.
Exit codes are docker's: 125 for flags that cannot be understood, 1 for other failures; ``run`` has
its own (125, 126, 127, the program's).
"""

from __future__ import annotations

import posix

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from knarr.cli.flags import FlagRow, Flags
    from knarr.client.address import Address
    from knarr.client.session import Session

PROGRAM = "knarr"


class Command:
    """One command. ``least`` and ``most`` bound its positional arguments."""

    __slots__ = ("checks", "execute", "flags", "interspersed", "least", "most", "usage")

    def __init__(
        self,
        usage: str,
        execute: Callable[[Call], int],
        flags: Sequence[FlagRow] = (),
        *,
        arguments: tuple[int, int | None] = (0, 0),
        interspersed: bool = True,
        checks: Mapping[str, str] | None = None,
    ) -> None:
        self.usage = usage
        self.execute = execute
        self.flags = flags
        self.least, self.most = arguments
        self.interspersed = interspersed
        self.checks = checks or {}


class Call:
    """One use of a command: the words it was called by, its flags and arguments, the engine."""

    def __init__(self, words: str, flags: Flags, arguments: list[str], address: Address) -> None:
        self.words = words
        self.flags = flags
        self.arguments = arguments
        self.address = address
        self._session: Session | None = None

    @property
    def session(self) -> Session:
        """The conversation with the engine; the engine is started if this is for us to do.

        Errors: ``NoEngineError``, ``InvalidArgumentError`` for a bad address.
        """
        if self._session is None:
            from knarr.client.session import Session

            self._session = Session(self.address)
            if not self.address.named:
                self._ensure_engine(self._session)
        return self._session

    def close(self) -> None:
        """Close the conversation, if there was one."""
        if self._session is not None:
            self._session.close()

    def _ensure_engine(self, session: Session) -> None:
        from knarr.client.connection import NoEngineError

        try:
            session.open()
        except NoEngineError:
            if posix.geteuid() != 0:
                raise
            from knarr.client.autostart import start_engine

            start_engine(self.address)


class UsageError(Exception):
    """The command line is wrong; the text is the whole message; ``code`` the exit code."""

    def __init__(self, message: str, code: int = 1) -> None:
        super().__init__(message)
        self.code = code


class CommandError(Exception):
    """The command failed for a reason of its own; the text is printed as it is."""

    def __init__(self, message: str, code: int = 1) -> None:
        super().__init__(message)
        self.code = code


def message(error: Exception) -> str:
    """An error as docker prints it: what the engine said is marked, a file is named."""
    if isinstance(error, OSError):
        text = (error.strerror or str(error)).lower()
        return f"open {error.filename}: {text}" if error.filename else text
    text = str(error)
    if type(error).__name__ != "EngineError":  # its module may not be loaded
        return text
    # Docker's command line looks at references itself.
    own = text.startswith("invalid reference format")
    return text if own else f"Error response from daemon: {text}"
