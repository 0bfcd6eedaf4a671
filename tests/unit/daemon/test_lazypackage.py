"""The engine loads the parts of aiohttp that it uses; the rest is there for who asks."""

from __future__ import annotations

import subprocess
import sys


def run(code: str) -> None:
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_engine_does_without_the_client() -> None:
    run(
        "import sys, knarr.daemon.__main__\n"
        "assert 'aiohttp.web_server' in sys.modules\n"
        "assert 'aiohttp.client' not in sys.modules\n"
        "assert 'aiohttp.connector' not in sys.modules\n"
    )


def test_who_asks_for_the_client_gets_it() -> None:
    run(
        "import knarr.daemon.__main__, aiohttp\n"
        "from aiohttp import ClientSession, web\n"
        "assert aiohttp.ClientSession is ClientSession\n"
        "assert aiohttp.web is web\n"
        "assert not hasattr(aiohttp, 'nothing_of_that_name')\n"
    )


def test_a_package_that_is_loaded_or_unknown_stays_as_it_is() -> None:
    run(
        "import json, sys\n"
        "from knarr.daemon.lazypackage import postpone\n"
        "postpone('json'), postpone('no_such_package'), postpone('wave')\n"
        "assert json.loads('1') == 1\n"
        "assert 'no_such_package' not in sys.modules\n"
        "import wave\n"
        "assert wave.open\n"
    )
