"""Images on the real layer stores: what unit tests do on tars in files, on mounted layers."""

from __future__ import annotations

import bz2
import gzip
import io
import tarfile

import pytest
import zstandard

from knarr.errors import InvalidArgumentError
from support.image_home import Home, config, docker_archive, layer, oci_archive, sha, tar

pytestmark = pytest.mark.needs_root

BACKENDS = [
    pytest.param("erofs-file", marks=pytest.mark.needs_erofs),
    pytest.param("erofs-loop", marks=pytest.mark.needs_loop),
    "directory",
]
# The padding behind the end mark belongs to the layer: its digest is that of all bytes.
PADDED = layer({"a": b"x" * 3000}) + bytes(20480)
BARE = layer({"b": b"y"})[: 512 + 512 + 1024]
EMPTY = bytes(1024)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("data", [PADDED, BARE, EMPTY], ids=["padded", "bare", "empty"])
def test_the_exact_tar_comes_back(open_home, backend, data):
    home = open_home(backend=backend)
    blob = gzip.compress(data)
    home.load(docker_archive((config(data), [data], ["plain:1"])))
    home.load(oci_archive((config(data, created=None), [blob]), names=["packed:1"]))
    assert home.images.resolve("plain:1").layers == (sha(data),)
    saved = home.save("plain:1")
    with tarfile.open(fileobj=io.BytesIO(saved)) as archive:
        assert archive.extractfile(f"blobs/sha256/{sha(data)[7:]}").read() == data
    assert home.images.resolve("plain:1").size == len(data)
    home.remove("plain:1")
    home.remove("packed:1")
    home.assert_empty()


@pytest.mark.parametrize("backend", BACKENDS)
def test_every_compression_makes_the_same_layer(open_home, backend):
    home = open_home(backend=backend)
    for number, compress in enumerate((bytes, gzip.compress, zstandard.compress, bz2.compress)):
        raw = config(PADDED, created=f"202{number}-01-01T00:00:00Z")
        home.load(docker_archive((raw, [compress(PADDED)], [f"x:{number}"])))
    assert home.layers.all() == [sha(PADDED)]
    assert (home.layers.mounted(sha(PADDED)) / "a").read_bytes() == b"x" * 3000


@pytest.mark.parametrize("backend", BACKENDS)
def test_failures_leave_nothing_in_the_layer_store(open_home, backend):
    home = open_home(backend=backend)
    good = docker_archive((config(PADDED), [PADDED], ["x:1"]))
    for data in (good[:3000], tar({"l.tar": PADDED}), gzip.compress(good)[:-20]):
        with pytest.raises(InvalidArgumentError):
            home.load(data)
        home.assert_empty()
    ingest = home.root / "layers/ingest"
    assert not ingest.exists() or not list(ingest.iterdir())


def test_rmi_takes_the_mounted_layer_away(open_home):
    home: Home = open_home()
    home.load(docker_archive((config(PADDED), [PADDED], ["x:1"])))
    assert home.layers.mounted(sha(PADDED)).is_dir()
    home.remove("x:1")
    home.assert_empty()
