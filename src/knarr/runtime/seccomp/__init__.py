"""Seccomp: which system calls a container may do.

Law: who makes the spec resolves a profile for the container's capabilities (``resolve``); who
starts the container loads the bytes that ``compile`` gives with ``flags``. Compiling takes a tenth
of a second once for each different filter: call ``compile`` with the same directory early (when
the engine starts, when a container is created), and the start finds the bytes.

```python
filter_ = resolve(default_profile(), spec["process"]["capabilities"]["bounding"])
program = compile(filter_, "/run/knarr/seccomp")
```
"""

from knarr.runtime.seccomp.cache import DIRECTORY, compile, flags  # noqa: A004 - see there
from knarr.runtime.seccomp.profile import Profile, default_profile, parse, resolve

__all__ = ["DIRECTORY", "Profile", "compile", "default_profile", "flags", "parse", "resolve"]
