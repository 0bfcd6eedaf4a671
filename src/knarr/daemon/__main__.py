"""``python -m knarr.daemon``: what ``knarr daemon`` executes."""

import sys

from knarr.daemon.lazypackage import postpone

postpone("aiohttp")

from knarr.daemon.main import main  # noqa: E402 - what it imports comes after

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
