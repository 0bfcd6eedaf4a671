"""The keys that end an attachment without ending the container, as functions over bytes (no I/O).

Source: the ``--detach-keys`` option: keys separated by commas, each one character or ``ctrl-`` and
one of ``a`` to ``z``, ``@``, ``[``, ``\\``, ``]``, ``^``, ``_``.
"""

from __future__ import annotations

from knarr.errors import InvalidArgumentError

DEFAULT = b"\x10\x11"
"""ctrl-p, ctrl-q."""


def parse(text: str) -> bytes:
    """The bytes that the keys send.

    Errors: ``InvalidArgumentError`` for an unknown key.
    """
    return bytes(_key(name, text) for name in text.split(","))


def _key(name: str, text: str) -> int:
    if len(name) == 1 and name.isascii():
        return ord(name)
    letter = name.removeprefix("ctrl-")
    if letter != name and len(letter) == 1 and ("a" <= letter <= "z" or letter in "@[\\]^_"):
        return ord(letter.upper()) - ord("@")
    raise InvalidArgumentError(f"Invalid detach keys ({text}) provided")


class Detector:
    """Watches what is typed; bytes that may begin the sequence are held back until that is clear.

    ``found`` becomes true when the whole sequence was typed.
    """

    __slots__ = ("_held", "_keys", "found")

    def __init__(self, keys: bytes) -> None:
        self._keys = keys
        self._held = b""
        self.found = False

    def feed(self, data: bytes) -> bytes:
        """What may be sent on."""
        if not self._keys:
            return data
        data = self._held + data
        self._held = b""
        at = data.find(self._keys)
        if at >= 0:
            self.found = True
            return data[:at]
        for length in range(min(len(self._keys) - 1, len(data)), 0, -1):
            if data.endswith(self._keys[:length]):
                self._held = data[-length:]
                return data[:-length]
        return data
