"""Blobs by digest: ingest, commit, read.

Scope: a dumb store of bytes under their sha256 digest. It knows no media types, no references and
no garbage; ``metadata`` decides what is kept.

Law: what stands under ``blobs/`` is complete and has the digest that its name says. A blob never
changes. Committing a blob that is already there is success.
"""

from knarr.content.partial import Partial, PartialBlobs
from knarr.content.reader import VerifyingReader
from knarr.content.store import BlobInfo, BlobStore
from knarr.content.writer import Writer

__all__ = ["BlobInfo", "BlobStore", "Partial", "PartialBlobs", "VerifyingReader", "Writer"]
