"""``python -m knarr.daemon``."""

import sys

from knarr.daemon.main import main

sys.exit(main(sys.argv[1:]))
