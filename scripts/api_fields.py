"""Take the fields of some messages, with their types, out of the description of the Engine API.

Usage: python scripts/api_fields.py engine-api-v1.51.yaml > tests/conformance/walk/fields-1.51.json

A field is a type, with a ``!`` behind it when it is required; a list is a list of one field, an
object a mapping of names, and ``{"*": field}`` a mapping with any names. PyYAML is needed.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import yaml

MESSAGES = (
    "ContainerInspectResponse",
    "ContainerSummary",
    "ImageInspect",
    "ImageSummary",
    "SystemInfo",
    "SystemVersion",
    "Volume",
    "Network",
    "ExecInspectResponse",
    "ContainerWaitResponse",
    "ContainerTopResponse",
    "EventMessage",
)


def field(  # noqa: PLR0911 - one for each kind of schema
    schema: dict[str, Any], all_: dict[str, Any], depth: int = 0
) -> Any:
    """The short form of a schema."""
    if "$ref" in schema:
        return field(all_[schema["$ref"].rpartition("/")[2]], all_, depth + 1)
    if depth > 12:
        return "any"
    if "allOf" in schema:
        parts = [field(part, all_, depth + 1) for part in schema["allOf"]]
        if not all(isinstance(part, dict) for part in parts):
            return parts[0]
        return {name: each for part in parts for name, each in part.items()}
    if "properties" in schema:
        required = set(schema.get("required", ()))
        return {
            name + ("!" if name in required else ""): field(each, all_, depth + 1)
            for name, each in schema["properties"].items()
        }
    if isinstance(schema.get("additionalProperties"), dict):
        return {"*": field(schema["additionalProperties"], all_, depth + 1)}
    if schema.get("type") == "array":
        return [field(schema.get("items", {}), all_, depth + 1)]
    return schema.get("type", "any")


def main() -> None:
    """Print the fields as JSON."""
    definitions = yaml.safe_load(Path(sys.argv[1]).read_text())["definitions"]
    found = {
        name: field(definitions[name], definitions) for name in MESSAGES if name in definitions
    }
    json.dump(found, sys.stdout, indent=1, sort_keys=True)
    sys.stdout.write("\n")


if __name__ == "__main__":
    main()
