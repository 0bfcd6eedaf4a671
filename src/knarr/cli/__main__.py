"""Runs the command line; also as a plain file, without the ``site`` module (``python -I -S``)."""

import sys

_ROOT = __file__.removesuffix("/knarr/cli/__main__.py")
if _ROOT not in sys.path:
    sys.path.append(_ROOT)

from knarr.cli.main import main  # noqa: E402 (found through the line above)

main()
