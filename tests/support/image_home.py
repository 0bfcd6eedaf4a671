"""The stores of one engine in a directory, and image archives of every kind, made by hand."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
import uuid
from typing import TYPE_CHECKING, Any, BinaryIO

from knarr.content import BlobStore
from knarr.errors import DataLossError, InvalidArgumentError, NotFoundError
from knarr.images import ContainerUse, ImageStore
from knarr.metadata import Database
from knarr.oci.digest import DiffID, hexdigest
from knarr.snapshots import LayerInfo

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from knarr.snapshots import LayerStore


class FileLayerStore:
    """A layer store without a filesystem on top: each layer is its tar in one file."""

    backend = "files"

    def __init__(self, root: Path) -> None:
        self.root = root
        root.mkdir(parents=True, exist_ok=True)
        self.ingested = 0

    def ingest(self, stream: BinaryIO, *, expected: DiffID | None) -> LayerInfo:
        if expected is not None and (known := self.find(expected)) is not None:
            return known
        self.ingested += 1
        staged = self.root / f"ingest-{uuid.uuid4().hex}"
        digest = hashlib.sha256()
        try:
            with staged.open("wb") as out:
                while chunk := stream.read(1 << 20):
                    digest.update(chunk)
                    out.write(chunk)
            diff_id = DiffID("sha256:" + digest.hexdigest())
            if expected is not None and diff_id != expected:
                raise DataLossError(f"layer has diff_id {diff_id}, expected {expected}")
            try:
                if staged.stat().st_size:  # nothing at all is an empty layer
                    with tarfile.open(staged) as archive:
                        archive.getmembers()
            except tarfile.TarError as error:
                raise InvalidArgumentError(f"no tar: {error}") from error
            staged.rename(self.root / hexdigest(diff_id))
        finally:
            staged.unlink(missing_ok=True)
        return LayerInfo(diff_id, (self.root / hexdigest(diff_id)).stat().st_size)

    def find(self, diff_id: DiffID) -> LayerInfo | None:
        path = self.root / hexdigest(diff_id)
        return LayerInfo(diff_id, path.stat().st_size) if path.exists() else None

    def open_tar(self, diff_id: DiffID) -> BinaryIO:
        if self.find(diff_id) is None:
            raise NotFoundError(f"layer {diff_id}: not found")
        return (self.root / hexdigest(diff_id)).open("rb")

    def remove(self, diff_id: DiffID) -> None:
        (self.root / hexdigest(diff_id)).unlink(missing_ok=True)

    def mounted(self, diff_id: DiffID) -> Path:
        raise NotFoundError(f"layer {diff_id}: cannot be mounted")

    def implied(self, diff_id: DiffID) -> tuple[bytes, ...]:
        return ()

    def all(self) -> list[DiffID]:
        return sorted(DiffID("sha256:" + each.name) for each in self.root.iterdir())

    def disk_usage(self, diff_id: DiffID) -> int:
        return (self.root / hexdigest(diff_id)).stat().st_size

    def close(self) -> None:
        pass


class Home:
    """The stores of one engine, and the images in them."""

    def __init__(self, root: Path, layers: LayerStore | None = None) -> None:
        self.root = root
        root.mkdir(exist_ok=True)
        self.db = Database(root / "knarr.db")
        self.blobs = BlobStore(root / "content")
        self.layers = layers or FileLayerStore(root / "layers")
        self.images = ImageStore(self.db, self.blobs, self.layers)
        self.users: dict[str, list[ContainerUse]] = {}

    def in_use(self, image_id: str) -> list[ContainerUse]:
        return self.users.get(image_id, [])

    def load(self, data: bytes, **options: Any) -> list[str]:
        return self.images.load(Pipe(data), **options)  # type: ignore[arg-type]

    def save(self, *names: str, platform: str | None = None) -> bytes:
        return b"".join(self.images.save(list(names), platform))

    def remove(self, name: str, *, force: bool = False) -> list[str]:
        items = self.images.remove(name, force=force, in_use=self.in_use)
        return [f"-{item.deleted}" if item.deleted else f"~{item.untagged}" for item in items]

    def assert_empty(self) -> None:
        """Nothing at all is stored: no blob, no layer, nothing staged, no row."""
        assert self.layers.all() == []
        assert self.blobs.all() == []
        assert list((self.root / "content/ingest").iterdir()) == []
        with self.db.reading() as connection:
            for table in ("blobs", "layers", "edges", "images", "image_refs", "leases", "doomed"):
                count = connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
                assert count == 0, table

    def close(self) -> None:
        self.db.close()


class Pipe:
    """Bytes that can only be read forwards, in pieces of odd sizes, like those of a socket."""

    def __init__(self, data: bytes) -> None:
        self._stream = io.BytesIO(data)
        self._turn = 0

    def read(self, count: int = -1) -> bytes:
        if count < 0:
            return self._stream.read()
        self._turn += 1
        return self._stream.read(max(1, min(count, 7919 * (self._turn % 5 + 1))))


def layer(files: Mapping[str, bytes]) -> bytes:
    """The tar of a layer."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def sha(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


def config(*layers: bytes, **extra: Any) -> bytes:
    """An image config over uncompressed layers."""
    document: dict[str, Any] = {
        "architecture": "amd64",
        "os": "linux",
        "created": "2024-02-03T04:05:06.789Z",
        "config": {"Cmd": ["/bin/sh"], "Env": ["PATH=/bin"], "Labels": None},
        "rootfs": {"type": "layers", "diff_ids": [sha(each) for each in layers]},
        "history": [{"created_by": f"step {n}"} for n, _ in enumerate(layers)],
    }
    return json.dumps(document | extra).encode()


def tar(files: Mapping[str, bytes | tuple[str, str]]) -> bytes:
    """An archive of files, and of links (type, target), in this order."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            if isinstance(data, tuple):
                info.type = tarfile.SYMTYPE if data[0] == "symlink" else tarfile.LNKTYPE
                info.linkname = data[1]
                archive.addfile(info)
            else:
                info.size = len(data)
                archive.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def docker_archive(*images: tuple[bytes, list[bytes], list[str] | None]) -> bytes:
    """An archive as docker 20.10 writes it: (config, layers, tags) each, the manifest last."""
    files: dict[str, bytes] = {}
    entries = []
    for raw, layers, tags in images:
        paths = []
        for each in layers:
            path = f"{sha(b'v1' + each)[7:]}/layer.tar"
            files[path] = each
            paths.append(path)
        name = sha(raw)[7:] + ".json"
        files[name] = raw
        entries.append({"Config": name, "RepoTags": tags, "Layers": paths})
    files["manifest.json"] = json.dumps(entries).encode()
    return tar(files)


def oci_archive(
    *images: tuple[bytes, list[bytes]],
    names: list[str] | None = None,
    platforms: list[dict[str, str]] | None = None,
    tops: list[dict[str, Any]] | None = None,
) -> bytes:
    """An OCI layout; with ``platforms`` the images are in one index, else each is its own."""
    files: dict[str, bytes] = {"oci-layout": b'{"imageLayoutVersion":"1.0.0"}'}
    entries: list[dict[str, Any]] = []
    for raw, blobs in images:
        for blob in (raw, *blobs):
            files[f"blobs/sha256/{sha(blob)[7:]}"] = blob
        document = json.dumps(
            {
                "schemaVersion": 2,
                "mediaType": "application/vnd.oci.image.manifest.v1+json",
                "config": {
                    "mediaType": "application/vnd.oci.image.config.v1+json",
                    "digest": sha(raw),
                    "size": len(raw),
                },
                "layers": [
                    {
                        "mediaType": "application/vnd.oci.image.layer.v1.tar+gzip",
                        "digest": sha(blob),
                        "size": len(blob),
                    }
                    for blob in blobs
                ],
            }
        ).encode()
        entries.append(put(files, document, "application/vnd.oci.image.manifest.v1+json"))
    if platforms is not None:
        for entry, each in zip(entries, platforms, strict=True):
            entry["platform"] = each
        index = json.dumps({"schemaVersion": 2, "manifests": entries}).encode()
        entries = [put(files, index, "application/vnd.oci.image.index.v1+json")]
    for entry, name in zip(entries, names or [], strict=False):
        entry["annotations"] = {"org.opencontainers.image.ref.name": name}
    entries.extend(tops or [])
    files["index.json"] = json.dumps({"schemaVersion": 2, "manifests": entries}).encode()
    return tar(files)


def put(files: dict[str, bytes], document: bytes, media_type: str) -> dict[str, Any]:
    """Add a document to a layout; returns its descriptor."""
    files[f"blobs/sha256/{sha(document)[7:]}"] = document
    return {"mediaType": media_type, "digest": sha(document), "size": len(document)}
