"""The engine's own log: one line an event on standard error, as ``key=value``.

Form: ``time=2024-05-01T10:00:00.123Z level=info msg="knarr is ready" pid=4711``. A value is quoted
where it holds blanks, quotes or control characters, so that a line is always one event.
"""

from __future__ import annotations

import json
import logging
import time
import traceback

_PLAIN_QUOTES = str.maketrans({" ": "", '"': "", "=": "", "\\": ""})


class KeyValueFormatter(logging.Formatter):
    """Formats records as ``key=value``."""

    def format(self, record: logging.LogRecord) -> str:
        """One line; an exception becomes the last key."""
        moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        line = (
            f"time={moment}.{int(record.msecs):03}Z level={record.levelname.lower()} "
            f"logger={record.name} msg={quoted(record.getMessage())}"
        )
        if record.exc_info:
            text = "".join(traceback.format_exception(*record.exc_info))
            line += f" error={quoted(text)}"
        return line


def quoted(value: str) -> str:
    """The value, in quotes if it needs them."""
    if value and value.isprintable() and value.translate(_PLAIN_QUOTES) == value:
        return value
    return json.dumps(value, ensure_ascii=False)


def configure(level: str) -> None:
    """Send everything from ``level`` on to standard error."""
    handler = logging.StreamHandler()
    handler.setFormatter(KeyValueFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    logging.getLogger("asyncio").setLevel(logging.WARNING)
    logging.getLogger("aiohttp.access").setLevel(logging.WARNING)
