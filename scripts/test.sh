#!/bin/sh
# Installs what the tests need on a Debian 12 machine and runs them all.
#   scripts/test.sh            everything, as CI does
#   scripts/test.sh ARGS...    pytest with these arguments
set -eu
cd "$(dirname "$0")/.."

packages="busybox-static mmdebstrap skopeo podman buildah docker.io runc qemu-system-x86
  qemu-system-common erofs-utils e2fsprogs libcap2-bin attr zstd xz-utils iproute2 nftables strace
  libseccomp2 uidmap catatonit conmon gcc libc6-dev python3-dev python3-venv git ca-certificates
  linux-image-cloud-amd64 procps postgresql runsc docker-registry openssl wrk"

missing=
for package in $packages; do
  dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' ||
    missing="$missing $package"
done
if [ -n "$missing" ]; then
  apt-get update -qq
  # Services of the peers must not start by themselves: tests start what they need.
  policy=/usr/sbin/policy-rc.d
  own_policy=
  if [ ! -e $policy ]; then
    printf '#!/bin/sh\nexit 101\n' >$policy
    chmod +x $policy
    own_policy=yes
  fi
  # shellcheck disable=SC2086
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing
  [ -z "$own_policy" ] || rm -f $policy
fi

python=/usr/bin/python3
[ -x $python ] || python=python3
venv=${KNARR_TEST_VENV:-.venv-test}
[ -x "$venv/bin/python" ] || "$python" -m venv "$venv"
"$venv/bin/pip" install -q --disable-pip-version-check -e '.[test]'

[ $# -eq 0 ] || exec "$venv/bin/python" -m pytest "$@"
"$venv/bin/python" -m pytest -n 2 --dist loadscope tests && exit 0
status=$?
# 1: tests failed. What fails beside other tests and passes alone depends on what else the machine
# does: it is run again, alone, and named here, so that it is seen and mended. Two failures count.
[ $status -eq 1 ] || exit $status
printf '\nSome tests failed. They are run once more, alone:\n\n'
exec "$venv/bin/python" -m pytest -v --last-failed --last-failed-no-failures none tests
