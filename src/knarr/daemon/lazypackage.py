"""Importing parts of a package without all of it.

``from aiohttp import web`` loads aiohttp's client as well, because the package's own ``__init__``
does: three and a half megabytes that an engine never uses. A postponed package has its name and
its place, so that its submodules can be imported; its own ``__init__`` is executed when somebody
asks for a name that is no submodule.
"""

from __future__ import annotations

import importlib
import importlib.util
import re
import sys
from pathlib import Path
from typing import Any

_VERSION = re.compile(r'^__version__ = "([^"]+)"', re.MULTILINE)


def postpone(name: str) -> None:
    """Let the package ``name`` be loaded by parts; without effect if that cannot be."""
    spec = None if name in sys.modules else importlib.util.find_spec(name)
    if spec is None or spec.loader is None or spec.origin is None:
        return
    version = _VERSION.search(Path(spec.origin).read_text(encoding="utf-8"))
    if version is None:
        return
    module: Any = importlib.util.module_from_spec(spec)
    loader = spec.loader

    def find(attribute: str) -> object:
        """What the package has under this name: a submodule, else what its ``__init__`` says."""
        if attribute.startswith("__"):
            raise AttributeError(attribute)
        if importlib.util.find_spec(f"{name}.{attribute}") is not None:
            return importlib.import_module(f"{name}.{attribute}")
        del module.__getattr__
        loader.exec_module(module)
        return getattr(module, attribute)

    module.__version__ = version[1]  # submodules ask for it
    module.__getattr__ = find
    sys.modules[name] = module
