"""Operations that end the plan: enter the working directory and execute the program. Pure."""

from __future__ import annotations

import errno
from functools import lru_cache
from typing import TYPE_CHECKING

from knarr.errors import InvalidArgumentError
from knarr.runtime import inside
from knarr.runtime.ops import AT_FDCWD, Operation
from knarr.runtime.table import ANY_ERROR, Call, Slot, Words, call, fail, fail_if

if TYPE_CHECKING:
    from collections.abc import Sequence

    from knarr.oci.runtime_spec import Process

_X_OK = 1
_F_OK = 0
_AT_EACCESS = 0x200

FIND = "find the program"
EXECUTE = "execute the program"
INTERPRETER = "execute the interpreter of the program"


@lru_cache(64)
def enter_directory(path: str) -> Operation:
    """Make ``path`` the working directory, from inside the new root.

    Links of procfs are refused: one could lead to a directory of the host that the runtime has
    open (CVE-2024-21626).
    """
    place = Slot("working directory")
    return Operation(
        f"enter working directory {path}",
        f'chdir("{path}")',
        (
            inside.opened(path, inside.DIRECTORY, place, root=AT_FDCWD),
            call("fchdir", place),
        ),
    )


def check(process: Process) -> Operation:
    """Fail as ``execute`` would when there is no program to execute, without executing it."""
    found = Slot("found")
    candidates = _candidates(process)
    last: tuple[Call, ...] = (fail_if(found, errno.EACCES), fail(errno.ENOENT))
    for path in reversed(candidates):
        usable = call(
            "faccessat2", AT_FDCWD, path, _X_OK, _AT_EACCESS, store=found, flags=ANY_ERROR
        )
        last = (usable.otherwise(*last),)
    return Operation(FIND, f'faccessat2("{process["args"][0]}", X_OK)', last)


def execute(process: Process) -> list[Operation]:
    """Execute the program, searched in the PATH of ``process`` unless its name holds a slash.

    As execvp(3): a candidate that is not there is passed over, one that may not be executed is
    remembered and reported when no other is found.
    """
    argv = process["args"]
    arguments = Words("argv", (*argv, 0))
    environment = Words("envp", (*(process.get("env") or ()), 0))
    candidates = _candidates(process)
    tried = [Slot(f"exec {number}") for number in range(len(candidates))]
    absent = (errno.ENOENT, errno.ENOTDIR, errno.EACCES)
    calls = [
        call("execve", path, arguments, environment, store=result, allow=absent)
        for path, result in zip(candidates, tried, strict=True)
    ]
    refused = tuple(fail_if(result, errno.EACCES) for result in tried)
    # A program that is there and yet "does not exist" names an interpreter that does not.
    exists = tuple(
        call("faccessat2", AT_FDCWD, path, _F_OK, 0, flags=ANY_ERROR).then(fail(errno.ENOENT))
        for path in candidates
    )
    text = f"execve({candidates[0] if len(candidates) == 1 else argv[0]!r}, {list(argv)!r})"
    return [
        Operation(EXECUTE, text, (*calls, *refused)),
        Operation(INTERPRETER, "", exists),
        Operation(FIND, "", (fail(errno.ENOENT),)),
    ]


def execute_file(path: str, argv: Sequence[str], environment: Sequence[str]) -> Operation:
    """Execute just the file ``path``."""
    arguments, variables = Words("argv", (*argv, 0)), Words("envp", (*environment, 0))
    text = f"execve({path!r}, {list(argv)!r})"
    return Operation(EXECUTE, text, (call("execve", path, arguments, variables),))


def _candidates(process: Process) -> Sequence[str]:
    argv = process.get("args") or ()
    if not argv:
        raise InvalidArgumentError("args must not be empty")
    name = argv[0]
    if "/" in name:
        return (name,)
    path = ""
    for variable in process.get("env") or ():
        if variable.startswith("PATH="):
            path = variable[5:]
    found = [f"{directory}/{name}" for directory in path.split(":") if directory]
    return found if name and found else (f"/nonexistent/{name}",)
