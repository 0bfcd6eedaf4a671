"""Detach keys: typed at a terminal they leave a container without ending it. Sans-I/O.

A sequence is a comma-separated list of single characters and ``ctrl-`` with one of
``a-z @ [ \\ ] ^ _``. The default is ``ctrl-p,ctrl-q``.
"""

from __future__ import annotations

from knarr.errors import InvalidArgumentError

DEFAULT = b"\x10\x11"

_CONTROLS = {
    **{chr(ord("a") + index): index + 1 for index in range(26)},
    "@": 0,
    "[": 27,
    "\\": 28,
    "]": 29,
    "^": 30,
    "_": 31,
}


def parse(text: str) -> bytes:
    """The bytes of a sequence; an empty text is the default. Raises ``InvalidArgumentError``."""
    if not text:
        return DEFAULT
    keys = bytearray()
    for key in text.split(","):
        control = _CONTROLS.get(key.removeprefix("ctrl-")) if key.startswith("ctrl-") else None
        if control is not None:
            keys.append(control)
        elif len(key) == 1 and key.isascii():
            keys.append(ord(key))
        else:
            raise InvalidArgumentError(f"Invalid detach keys ({text}) provided")
    return bytes(keys)


class Scanner:
    """Finds the sequence in what is typed, also when it arrives in pieces.

    Law: bytes that may still become the sequence are held back; when they do not, all of them go
    on unchanged and in order.
    """

    def __init__(self, keys: bytes) -> None:
        self._keys = keys
        self._held = b""

    def feed(self, data: bytes) -> tuple[bytes, bool]:
        """What to pass on, and whether the sequence is complete (the rest is then dropped)."""
        text = self._held + data
        if not self._keys:
            return text, False
        found = text.find(self._keys)
        if found >= 0:
            self._held = b""
            return text[:found], True
        keep = next(
            size
            for size in range(min(len(self._keys) - 1, len(text)), -1, -1)
            if text.endswith(self._keys[:size])
        )
        self._held = text[len(text) - keep :]
        return text[: len(text) - keep], False

    def close(self) -> bytes:
        """What was held back when no more bytes come."""
        held, self._held = self._held, b""
        return held
