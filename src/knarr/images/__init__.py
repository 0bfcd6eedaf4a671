"""Images: load, save, import, tag, remove, list, inspect.

Scope: what an image is and which names it has. An image is its config: its id is the config's
digest, as in Docker. It keeps the manifest and the blobs that it came with, so that it can go out
as it came in. Layers are ``snapshots``' business, rows ``metadata``'s, bytes ``content``'s.

Law: an operation is complete and durable or it never was. What is on disk without a row, after a
failure or a kill, is deleted at the end of the operation's lease or at the next start.
"""

from knarr.images.image import Image
from knarr.images.imports import Description
from knarr.images.removal import ContainerUse, InUse
from knarr.images.store import ImageStore

__all__ = ["ContainerUse", "Description", "Image", "ImageStore", "InUse"]
