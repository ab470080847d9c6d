#!/bin/sh
# Make the developers' virtual environment. usage: venv.sh PYTHON FOLDER
set -eu
python=$1 venv=$2
if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
    echo "Error: $("$python" --version) is too old; 3.11 or newer is needed." >&2
    echo " Hint: run \`make PYTHON=python3.12 ...\` with one that is." >&2
    exit 1
fi
if ! "$python" -c 'import ensurepip' 2>/dev/null; then
    # Debian keeps this in a package of its own.
    if [ "$(id -u)" != 0 ]; then
        echo "Error: $python cannot make virtual environments." >&2
        echo " Hint: run \`sudo apt-get install python3-venv\`." >&2
        exit 1
    fi
    apt-get update -q >/dev/null
    DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends python3-venv >/dev/null
fi
echo "making $venv with $("$python" --version)" >&2
"$python" -m venv --clear "$venv"
pip() { "$venv/bin/python" -m pip install --quiet --disable-pip-version-check "$@"; }
# The very files of the lock and nothing else: an unknown hash ends this. `make lock` makes it anew.
pip --require-hashes --only-binary=:all: --requirement requirements/dev.txt
pip --no-deps --no-build-isolation --editable .
