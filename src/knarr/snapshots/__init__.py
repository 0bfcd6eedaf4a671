"""Layers on disk and the writable snapshots on top of them.

Scope: from the uncompressed tar of a layer to something that can be mounted, and from a stack of
layers to the ``Mount`` values of a root filesystem. Nothing here knows images or containers, and
nothing here mounts a root filesystem: that is the runtime's work.

Vocabulary. A *layer* is named by its ``diff_id``, never changes, and is shared by every image
that has it. A *key* names an active snapshot (knarr uses the container's id): the writable
directory on top of a stack of layers. A *view* is a stack without a writable directory.

Laws:
- A layer exists completely or not at all: it is staged under a unique name, fsynced, renamed.
- A layer that is there already is a success, whoever put it there.
- ``open_tar`` gives the very bytes that ``ingest`` got, so the diff_id can be checked again.
- A directory that a layer only implies (an entry lies in it, but it has no entry of its own)
  never changes the attributes that lower layers gave to that directory.
- All stores of ``open_stores`` show the same tree for the same tar (``tests/contract``).

On disk::

    <data-root>/layers/sha256/<hex>.erofs      backends erofs-file and erofs-loop
    <data-root>/layers/sha256/<hex>/           backend directory: layer.tar, layer.info, tree/
    <data-root>/layers/implied/<hex>/<chain>/  attributes of implied directories, see implied.py
    <data-root>/layers/ingest/<uuid>           staged; removed by the next start
    <data-root>/snapshots/<key>/{upper,work}
    <data-root>/trash/<uuid>                   deleted by ``Trash.empty``
    <exec-root>/layers/<hex>/                  mount points, made once per layer
"""

from .failure import DigestMismatchError
from .opening import BACKENDS, open_stores
from .protocols import LayerInfo, LayerStore, Snapshotter
from .trash import Trash

__all__ = [
    "BACKENDS",
    "DigestMismatchError",
    "LayerInfo",
    "LayerStore",
    "Snapshotter",
    "Trash",
    "open_stores",
]
