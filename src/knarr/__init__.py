"""knarr: a container engine that answers the Docker Engine API.

The package tree is drawn in ARCHITECTURE.md; a package imports only packages on lower lines.
"""

__version__ = "0.1.0"
