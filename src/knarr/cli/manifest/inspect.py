"""``knarr manifest inspect``."""

from __future__ import annotations

import base64
import json
import sys

from knarr.cli.command import Command, CommandError
from knarr.client.credentials import keychain
from knarr.client.session import EngineError
from knarr.oci import reference

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from knarr.cli.command import Call
    from knarr.oci.reference import Reference

    Json = dict[str, Any]

_OCI = "application/vnd.oci."
_ORDER = ("mediaType", "digest", "size", "urls", "annotations", "data", "platform", "artifactType")


class _Registry:
    """The registry of one name, asked through the engine."""

    def __init__(self, call: Call, name: Reference) -> None:
        self._session = call.session
        self._name = name
        self._headers = keychain.headers(
            name.canonical(), lambda text: print(text, file=sys.stderr)
        )

    def document(self, name: Reference) -> tuple[str, str, bytes]:
        """A manifest or index: media type, digest, its bytes. Raises ``CommandError``."""
        path = f"/distribution/{name.canonical()}/document"
        try:
            response = self._session.call("GET", path, headers=self._headers)
        except EngineError as error:
            if error.status != 404 or "manifest" not in str(error):
                raise
            raise CommandError(f"no such manifest: {name.familiar()}") from error
        fields = response.head.headers
        digest = fields.get("docker-content-digest", "")
        return fields.get("content-type", ""), digest, response.read()

    def platforms(self, name: Reference) -> list[Json]:
        """What the image runs on, as its config says."""
        found = self._session.get(f"/distribution/{name.canonical()}/json", headers=self._headers)
        return found.get("Platforms") or []


def execute(call: Call) -> int:
    """Print the manifest of an image on its registry, or the list of its manifests."""
    name = reference.parse_normalized(call.arguments[-1]).with_default_tag()
    registry = _Registry(call, name)
    media_type, digest, raw = registry.document(name)
    document = json.loads(raw)
    is_index = isinstance(document.get("manifests"), list)
    if not call.flags.on("verbose"):
        print(_text(document, indent="   " if is_index else "\t"))
        return 0
    if not is_index:
        platforms = registry.platforms(name)
        entry = {"mediaType": media_type, "digest": digest, "size": len(raw)}
        if platforms:
            entry["platform"] = platforms[0]
        print(_text(_told(name.canonical(), entry, raw)))
        return 0
    found = []
    for entry in document["manifests"]:
        child = name._replace(tag=None, digest=entry["digest"])
        found.append(
            _told(f"{name.canonical()}@{entry['digest']}", entry, registry.document(child)[2])
        )
    print(_text(found))
    return 0


def _told(name: str, descriptor: Json, raw: bytes) -> Json:
    kind = "OCIManifest" if descriptor["mediaType"].startswith(_OCI) else "SchemaV2Manifest"
    return {
        "Ref": name,
        "Descriptor": {name: descriptor[name] for name in _ORDER if name in descriptor},
        "Raw": base64.b64encode(raw).decode(),
        kind: json.loads(raw),
    }


def _text(value: object, indent: str = "\t") -> str:
    return json.dumps(value, indent=indent, ensure_ascii=False)


COMMAND = Command(
    "[OPTIONS] [MANIFEST_LIST] MANIFEST",
    execute,
    (
        ("insecure", "", "", False, "Accepted; the engine's settings decide"),
        ("verbose", "v", "", False, "Also show digests, platforms and the raw bytes"),
    ),
    arguments=(1, 2),
)
