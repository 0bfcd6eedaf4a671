"""From an OCI runtime spec to a plan, and from a plan to a process."""
