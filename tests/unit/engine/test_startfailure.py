import pytest

from knarr.engine import startfailure
from knarr.errors import (
    InternalError,
    InvalidArgumentError,
    KnarrError,
    NotFoundError,
    PermissionDeniedError,
    ResourceExhaustedError,
)


@pytest.mark.parametrize(
    ("error", "code", "kind"),
    [
        (NotFoundError('exec: "x": executable file not found in $PATH'), 127, InvalidArgumentError),
        (InternalError("stat /x: no such file or directory"), 127, InvalidArgumentError),
        (PermissionDeniedError('exec: "/x": permission denied'), 126, InvalidArgumentError),
        (InternalError("mount a on b: not a directory"), 126, InvalidArgumentError),
        (ResourceExhaustedError("clone: cannot allocate memory"), 128, ResourceExhaustedError),
    ],
)
def test_codes_and_categories(error: KnarrError, code: int, kind: type[KnarrError]) -> None:
    assert startfailure.exit_code(error) == code
    told = startfailure.of_container(error)
    assert isinstance(told, kind)
    assert error.message in told.message
    assert told.message.startswith(
        "failed to create task for container: OCI runtime create failed:"
    )
    assert startfailure.of_exec(error).message.startswith("OCI runtime exec failed: exec failed:")


def test_a_mount_of_the_wrong_kind_gets_dockers_hint() -> None:
    told = startfailure.of_container(InternalError("mount a on b: not a directory"))
    assert "Are you trying to mount a directory onto a file (or vice-versa)?" in told.message


def test_a_working_directory_that_is_a_file_is_no_mount() -> None:
    error = InternalError("create working directory /etc/passwd: not a directory")
    assert startfailure.of_container(error).message.endswith("passwd: not a directory")


def test_a_log_that_cannot_be_begun_is_no_fault_of_the_runtime() -> None:
    told = startfailure.of_container(InternalError("failed to initialize logging driver: x"))
    assert told.message == (
        "failed to create task for container: failed to initialize logging driver: x"
    )
