# shellcheck shell=bash
# Creates .venv with tox. Needs only Python 3.11 or newer. The other scripts of this directory source it.

find_python() {
    local candidate
    for candidate in "${PYTHON:-python3}" python3.13 python3.12 python3.11; do
        if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            echo "$candidate"
            return
        fi
    done
    echo "Python: no version 3.11 or newer found; install one, or set PYTHON to its path." >&2
    return 1
}

make_venv() {
    local python
    python=$(find_python)
    # On Debian, the module venv is in a separate package.
    if ! "$python" -c 'import ensurepip' 2>/dev/null; then
        if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
            echo "$python: cannot create virtual environments; on Debian, install python3-venv." >&2
            return 1
        fi
        apt-get update -q >/dev/null
        DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends python3-venv >/dev/null
    fi
    echo "Creating a virtual environment in .venv ..."
    "$python" -m venv .venv
    .venv/bin/python -m pip install -q --disable-pip-version-check -c constraints.txt -r tools/requirements.txt
}

cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit
[ -x .venv/bin/tox ] || make_venv
