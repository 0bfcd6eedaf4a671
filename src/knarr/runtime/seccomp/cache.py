"""Compiled filters, kept in memory and on disk: compiling takes a tenth of a second.

```
<directory>/<sha256 of version, machine and filter>.bpf     the program, then its SHA-256
```

Law: a file is staged under a name of its own and renamed, so that readers see all or nothing; one
that does not match its digest is compiled anew. No fsync: after a power cut the digest decides.
The directory belongs to root and dies with ``/run``, or with an upgrade of libseccomp that one
wants to make use of.
"""

from __future__ import annotations

import contextlib
import hashlib
import marshal
import os
import threading
from typing import TYPE_CHECKING, cast

from knarr.errors import InvalidArgumentError
from knarr.runtime.seccomp import compiler
from knarr.sys import seccomp as library

if TYPE_CHECKING:
    from knarr.oci.runtime_spec import Seccomp

DIRECTORY = "/run/knarr/seccomp"
_VERSION = "2"  # of the compiler; raise it when the same filter makes another program
_KEPT = 32
_DIGEST = 32
_LIMIT = 4096 * 8 + _DIGEST  # BPF_MAXINSNS instructions
_programs: dict[bytes, bytes] = {}
_lock = threading.Lock()


def compile(filter_: Seccomp, directory: str | None = DIRECTORY) -> bytes:  # noqa: A001 - what the border to the plan calls it
    """The BPF program of the filter: an array of struct sock_filter for seccomp(2).

    From memory, else from ``directory`` (None: no disk), else through libseccomp. A directory that
    cannot be written costs time and is no error. Raises as ``compiler.build``.
    """
    key = _key(filter_)
    program = _programs.get(key)
    if program is not None:
        return program
    path = f"{directory}/{key.hex()}.bpf" if directory else None
    program = _read(path) if path else None
    if program is None:
        program = compiler.build(filter_)
        if path:
            with contextlib.suppress(OSError):
                _write(path, program)
    with _lock:
        if len(_programs) >= _KEPT:
            _programs.pop(next(iter(_programs)))
        _programs[key] = program
    return program


def flags(filter_: Seccomp) -> int:
    """The flags of seccomp(2) with which to load the program.

    A filter that names none gets SPEC_ALLOW, as under runc: without it older kernels slow the
    process down for speculation. TSYNC has no meaning for a process with one thread.
    """
    if (names := filter_.get("flags")) is None:
        return library.FLAG_SPEC_ALLOW
    value = 0
    for name in names:
        if name not in _FLAGS:
            raise InvalidArgumentError(f'seccomp flag "{name}" is not known')
        value |= _FLAGS[name]
    return value


_FLAGS = {
    "SECCOMP_FILTER_FLAG_TSYNC": 0,
    "SECCOMP_FILTER_FLAG_LOG": library.FLAG_LOG,
    "SECCOMP_FILTER_FLAG_SPEC_ALLOW": library.FLAG_SPEC_ALLOW,
    "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV": library.FLAG_WAIT_KILLABLE_RECV,
}


def _key(filter_: Seccomp) -> bytes:
    # marshal's version 2 has no references: equal values give equal bytes, in 0.05 ms where json
    # takes 0.3. Another order of keys is another key, which costs one more compilation.
    content = marshal.dumps((_VERSION, os.uname().machine, cast("dict[str, str]", filter_)), 2)
    return hashlib.sha256(content).digest()


def _read(path: str) -> bytes | None:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return None
    try:
        content = os.read(descriptor, _LIMIT + 1)
    finally:
        os.close(descriptor)
    program, digest = content[:-_DIGEST], content[-_DIGEST:]
    if not program or len(program) % 8 or hashlib.sha256(program).digest() != digest:
        return None
    return program


def _write(path: str, program: bytes) -> None:
    os.makedirs(os.path.dirname(path), 0o700, exist_ok=True)
    staged = f"{path}.{os.getpid()}.{threading.get_ident()}"
    mode = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW
    descriptor = os.open(staged, mode, 0o600)
    try:
        os.write(descriptor, program + hashlib.sha256(program).digest())
    finally:
        os.close(descriptor)
    os.rename(staged, path)
