"""A start that failed: which exit code the container keeps, and what the user is told.

The codes are those of a shell and of ``docker run``, whose client finds them by the words of the
message: so the words stay Docker's.

Source: moby ``daemon/start_unix.go`` and ``daemon/errors.go`` (translateContainerdStartErr).
"""

from __future__ import annotations

from knarr.errors import InvalidArgumentError, KnarrError, NotFoundError, PermissionDeniedError

NOT_FOUND = 127
NOT_EXECUTABLE = 126
OTHER = 128

_CODES = (
    ("executable file not found", NOT_FOUND),
    ("no such file or directory", NOT_FOUND),
    ("permission denied", NOT_EXECUTABLE),
    ("is a directory", NOT_EXECUTABLE),
    ("not a directory", NOT_EXECUTABLE),
    ("exec format error", NOT_EXECUTABLE),
)
_LOG = "failed to initialize logging driver: "
_MOUNT_HINT = (
    ": Are you trying to mount a directory onto a file (or vice-versa)? Check if the specified "
    "host path exists and is the expected type"
)


def exit_code(error: KnarrError) -> int:
    """The code that the container, or the exec, keeps."""
    text = error.message.lower()
    return next((code for words, code in _CODES if words in text), OTHER)


def of_container(error: KnarrError) -> KnarrError:
    """What the client is told when the runtime could not start a container."""
    runtime = "" if error.message.startswith(_LOG) else "OCI runtime create failed: "
    return _worded(error, f"failed to create task for container: {runtime}")


def of_exec(error: KnarrError) -> KnarrError:
    """What the client is told when the runtime could not start an exec."""
    return _worded(error, "OCI runtime exec failed: exec failed: ")


def _worded(error: KnarrError, prefix: str) -> KnarrError:
    message = f"{prefix}{error.message}"
    text = error.message.lower()
    if "not a directory" in text and "working directory" not in text:
        message += _MOUNT_HINT
    kind = type(error)
    if exit_code(error) != OTHER or isinstance(error, NotFoundError | PermissionDeniedError):
        # The command of the request is at fault, not the object that its URL names.
        kind = InvalidArgumentError
    return kind(message, hint=error.hint, detail=error.detail)
