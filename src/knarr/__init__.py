"""knarr: a container engine that answers the Docker Engine API.

The package tree is drawn in ARCHITECTURE.md; a package imports only packages on lower lines.

For programs that use an engine: ``knarr.connect()`` and ``knarr.connect_async()``, described in
docs/python.md. They, and the types of what they give, are loaded when they are first used, so that
this import costs nothing.
"""

__version__ = "0.1.0"


def __getattr__(name: str) -> object:
    """A public name of the library, or the module ``knarr.errors``."""
    if name == "errors":
        __import__("knarr.errors")
        return globals()[name]
    for form in ("aio",) if "sync" in name else ("core", "blocking"):
        if name[0].isupper() or name.startswith("connect"):
            module = __import__(f"knarr.sdk.{form}", fromlist=["__all__"])
            if name in module.__all__:
                globals()[name] = value = getattr(module, name)
                return value
    raise AttributeError(f"module 'knarr' has no attribute {name!r}")
