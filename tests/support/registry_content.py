"""Documents and blobs to be served."""

from __future__ import annotations

import hashlib

from knarr.oci import manifest as documents
from knarr.oci.descriptor import OCI_CONFIG, OCI_LAYER, OCI_MANIFEST, Descriptor
from knarr.oci.digest import Digest
from support.registry_stub import Reply

CONFIG = b'{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]}}'


def digest(data: bytes) -> Digest:
    return Digest("sha256:" + hashlib.sha256(data).hexdigest())


def descriptor(data: bytes, media_type: str = OCI_LAYER) -> Descriptor:
    return Descriptor(media_type=media_type, digest=digest(data), size=len(data))


MANIFEST = documents.encode_manifest(descriptor(CONFIG, OCI_CONFIG), ())
DIGEST = digest(MANIFEST)


def manifest_reply(raw: bytes = MANIFEST, media_type: str = OCI_MANIFEST, **headers: str) -> Reply:
    return Reply(200, {"Content-Type": media_type, **headers}, raw)


def error(status: int, code: str, message: str, **headers: str) -> Reply:
    body = f'{{"errors":[{{"code":"{code}","message":"{message}"}}]}}'.encode()
    return Reply(status, {"Content-Type": "application/json", **headers}, body)
