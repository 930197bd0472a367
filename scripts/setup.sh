#!/usr/bin/env bash
# Makes .venv with frameperfect built into it. What the system lacks is installed with apt-get where that is
# possible, else named. An extra that can't be installed is named and left out; with CI=true that is an error.
# `scripts/setup.sh --games` also installs the games of docs/sdl.md, and Wine for docs/windows.md.
set -euo pipefail
cd "$(dirname "$0")/.."
python=${PYTHON:-python3}

as_root() { if [ "$(id -u)" = 0 ]; then "$@"; elif command -v sudo >/dev/null; then sudo "$@"; else return 1; fi; }

need_packages=()
command -v "$python" >/dev/null || need_packages+=(python3 python3-dev)
command -v "$python" >/dev/null && ! "$python" -c 'import ensurepip, venv' 2>/dev/null && need_packages+=(python3-venv)
command -v "$python" >/dev/null && ! "$python" -c '
import os, sys, sysconfig
sys.exit(not os.path.exists(os.path.join(sysconfig.get_paths()["include"], "Python.h")))' && need_packages+=(python3-dev)
command -v c++ >/dev/null || need_packages+=(g++)
# two of stable-retro's cores and OpenCV link these
for lib in libGL.so.1 libgomp.so.1; do
  ldconfig -p 2>/dev/null | grep -q "$lib" || case $lib in
    libGL.so.1) need_packages+=(libgl1) ;;
    libgomp.so.1) need_packages+=(libgomp1) ;;
  esac
done
command -v ca65 >/dev/null || need_packages+=(cc65)  # the tests build the bundled NES game anew
install() {
  [ $# -gt 0 ] || return 0
  echo "setup: installing $*"
  if ! { as_root apt-get update -qq && as_root env DEBIAN_FRONTEND=noninteractive \
         apt-get install -y -qq --no-install-recommends "$@" >/dev/null; }; then
    echo "setup: could not install them; run: apt-get install $*" >&2
    [ "${CI:-}" = true ] && exit 1
  fi
  return 0
}
install "${need_packages[@]}"
# the native machine's game: its tests are skipped where there is no such package
PATH="$PATH:/usr/games" command -v DDNet-Server >/dev/null || install ddnet-server
# Other games, DDNet's client, and Wine with a compiler for what is injected there: 430 MB to download, 1.8 GB on the
# disk, for those who want them and for CI. Each by itself; without one, its tests are skipped.
if [ "${CI:-}" = true ] || [ "${1:-}" = --games ]; then
  PATH="$PATH:/usr/games" command -v supertux2 >/dev/null || install supertux
  PATH="$PATH:/usr/games" command -v DDNet >/dev/null || install ddnet
  command -v Xvfb >/dev/null || install xvfb  # a display for its client's tests
  ldconfig -p 2>/dev/null | grep -q libXtst.so.6 || install libxtst6
  { command -v wine64 || command -v wine || [ -e /usr/lib/wine/wine64 ]; } >/dev/null || install wine64
  command -v x86_64-w64-mingw32-g++ >/dev/null || install g++-mingw-w64-x86-64
fi

"$python" -c 'import sys; sys.exit(sys.version_info < (3, 10))' || {
  echo "setup: Python 3.10 or newer is needed; set PYTHON=/path/to/python3" >&2; exit 1; }
[ -x .venv/bin/python ] || "$python" -m venv .venv
pip() { .venv/bin/python -m pip --disable-pip-version-check install -q "$@" 2> >(grep -v '^WARNING: Location' >&2); }

pip "scikit-build-core>=0.11" "nanobind>=2.4" "cmake>=3.26" "ninja>=1.11"
missing=()
# Torch first and exactly: a range asked for by another package would bring the newest build.
pip "torch==2.13.0" || missing+=(torch)
pip --no-build-isolation -e .
for extra in libretro atari movies learn view play ram sweep multi attach ray docs dev; do
  pip --no-build-isolation -e ".[$extra]" || missing+=("$extra")
done
if [ ${#missing[@]} -gt 0 ]; then
  echo "setup: not installed: ${missing[*]} (their tests will be skipped)" >&2
  [ "${CI:-}" = true ] && exit 1
fi
touch .venv/ready
touch .venv/built  # after ready: make need not build again
echo "setup: done. Try: . .venv/bin/activate && frameperfect doctor"
