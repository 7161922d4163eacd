#!/bin/sh
# Makes .venv at the root from the locked requirements, and puts this checkout into it.
# Debian ships python3 without venv; it is installed when this may be done without asking.
set -eu
python=${PYTHON:-python3}

"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
    echo "mpiolab needs Python 3.11 or newer; $python is $("$python" -V 2>&1)" >&2
    exit 1
}
if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
    . "$(dirname "$0")/root.sh"
    as_root apt-get update -qq && as_root apt-get install -y -qq --no-install-recommends python3-venv || {
        echo "python3's venv module is missing: install Debian's python3-venv and try again" >&2
        exit 1
    }
fi
"$python" -m venv .venv
.venv/bin/python -m pip install -q --disable-pip-version-check --require-hashes -r requirements.lock
.venv/bin/python -m pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e .
