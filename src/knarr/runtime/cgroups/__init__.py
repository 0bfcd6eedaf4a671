"""Cgroups: which resources a container may use, and which processes belong to it.

Law: policy is pure and the kernel is touched in one place. ``limits`` (with ``v1`` and ``v2``)
turns OCI resources into settings, ``devices`` device rules into lines or a BPF program; ``Cgroup``
makes, joins, changes, watches and removes. ``detect`` says once which hierarchies this host has,
and ``features`` which limits it can keep.

```python
layout = detect()
cgroup = Cgroup("/knarr/<container id>", layout)
cgroup.create(spec["linux"]["resources"])
directory = cgroup.open()                         # for CLONE_INTO_CGROUP; -1 without v2
joins = cgroup.join_paths(cloned_into=directory >= 0)   # the child writes "0" to each
```

Systemd's own names (``slice:prefix:name``) and rootless delegation over D-Bus are beyond it.
"""

from knarr.runtime.cgroups.cgroup import Cgroup
from knarr.runtime.cgroups.features import Features, features
from knarr.runtime.cgroups.layout import Layout, detect

__all__ = ["Cgroup", "Features", "Layout", "detect", "features"]
