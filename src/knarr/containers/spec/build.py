"""Puts the parts of the spec together."""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import mounts, namespaces, process, resources

if TYPE_CHECKING:
    from knarr.oci.runtime_spec import Linux, Spec

    from .inputs import SpecInputs

OCI_VERSION = "1.2.0"


def build(inputs: SpecInputs) -> Spec:
    """The whole ``config.json`` of the container."""
    record = inputs.record
    host = record.host_config
    spec: Spec = {
        "ociVersion": OCI_VERSION,
        "process": process.process(inputs),
        "root": {"path": "rootfs", "readonly": host.readonly_rootfs},
        "mounts": mounts.mounts(inputs),
        "linux": _linux(inputs),
    }
    if host.uts_mode != "host":
        spec["hostname"] = record.config.hostname
        if record.config.domainname:
            spec["domainname"] = record.config.domainname
    if host.annotations:
        spec["annotations"] = dict(host.annotations)
    return spec


def _linux(inputs: SpecInputs) -> Linux:
    host = inputs.record.host_config
    linux: Linux = {
        "namespaces": namespaces.namespaces(inputs),
        "cgroupsPath": inputs.cgroups_path,
        "resources": resources.resources(inputs),
        "sysctl": namespaces.sysctls(host),
        "maskedPaths": list(host.masked_paths or ()),
        "readonlyPaths": list(host.readonly_paths or ()),
    }
    if inputs.devices:
        linux["devices"] = [device.node for device in inputs.devices]
    if inputs.seccomp is not None:
        linux["seccomp"] = inputs.seccomp
    propagation = mounts.root_propagation(inputs.record.mounts)
    if propagation:
        linux["rootfsPropagation"] = propagation
    return linux
