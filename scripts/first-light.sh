#!/bin/sh
# Sets knarr up on a fresh Debian 12 machine and runs a first container from a real image.
#
# Needs root, python3 with venv (3.11 or newer), gcc and Python's headers; the Python packages come
# from wherever pip is configured to look. May be run again at any time.
set -eu

cd "$(dirname "$0")/.."

die() {
    echo "first-light: $*" >&2
    exit 1
}

[ "$(id -u)" = 0 ] || die "must run as root: it starts containers"

# The system's interpreter if it is new enough: its headers are the ones that are installed.
python=
for candidate in /usr/bin/python3 "$(command -v python3 || true)"; do
    [ -x "$candidate" ] || continue
    if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
        python=$candidate
        break
    fi
done
[ -n "$python" ] || die "needs python3, 3.11 or newer"
command -v gcc >/dev/null || die "needs gcc"

if ! .venv/bin/python -c 'import pip' 2>/dev/null; then
    "$python" -m venv --clear .venv || die "needs python3-venv"
fi
.venv/bin/pip install --quiet --disable-pip-version-check .

# The first command that needs an engine starts one.
exec .venv/bin/knarr run --rm hello
