"""The OCI runtime spec of a container.

Law: ``build`` is pure: the same inputs give the same spec. What must be looked up on the host
(users, devices, namespaces of others) is looked up before and passed in. Everything that the
record asks for is in the spec; what cannot be expressed was refused at ``create``.

Source: OCI runtime-spec 1.2; moby ``daemon/oci_linux.go`` for Docker's defaults.
"""

from .build import build
from .inputs import Join, ManagedFiles, MappedDevice, SpecInputs

__all__ = ["Join", "ManagedFiles", "MappedDevice", "SpecInputs", "build"]
