"""``knarr-runtime features``: what the runtime can do. Source: OCI runtime-spec features.md."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

from knarr import __version__
from knarr.runtime import capabilities, ops, options
from knarr.runtime.seccomp import actions
from knarr.runtime.state import OCI_VERSION

if TYPE_CHECKING:
    import argparse

_HOOKS = (
    "prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop",
)  # fmt: skip


def features(_: argparse.Namespace) -> int:
    """``features``: print what this runtime can do, as JSON."""
    sys.stdout.write(json.dumps(_features(), indent=2) + "\n")
    return 0


def _features() -> dict[str, object]:
    return {
        "ociVersionMin": "1.0.0",
        "ociVersionMax": OCI_VERSION,
        "hooks": list(_HOOKS),
        "mountOptions": options.names(),
        "linux": {
            "namespaces": sorted(ops.NAMESPACES),
            "capabilities": sorted(capabilities.NAMES),
            "cgroup": {"v1": True, "v2": True, "systemd": False, "systemdUser": False},
            "seccomp": {
                "enabled": True,
                "actions": actions.action_names(),
                "operators": actions.operator_names(),
            },
            "apparmor": {"enabled": True},
            "selinux": {"enabled": True},
        },
        "annotations": {"io.knarr.runtime.version": __version__},
    }
