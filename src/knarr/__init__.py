"""knarr: a container engine that answers the Docker Engine API.

The package tree is drawn in ARCHITECTURE.md; a package imports only packages on lower lines.

For programs that use an engine: ``knarr.connect()`` and ``knarr.connect_async()``, described in
docs/python.md. They, and the types of what they give, are loaded when they are first used, so that
this import costs nothing.
"""

__version__ = "0.1.0"


def __getattr__(name: str) -> object:
    """A name of ``knarr.sdk``, or the module ``knarr.errors``."""
    if name == "errors":
        __import__("knarr.errors")
        return globals()[name]
    if name.startswith("_") or not (name[0].isupper() or name.startswith("connect")):
        raise AttributeError(f"module 'knarr' has no attribute {name!r}")
    sdk = __import__("knarr.sdk", fromlist=["connect"])
    if name not in sdk.__all__:
        raise AttributeError(f"module 'knarr' has no attribute {name!r}")
    globals()[name] = value = getattr(sdk, name)
    return value
