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
    echo "Creating a virtual environment in .venv ..."
    # The pip of the system, if it has a recent one, saves the installation of another one.
    "$python" -m venv --without-pip .venv
    if ! "$python" -m pip --python .venv/bin/python --version >/dev/null 2>&1; then
        install_pip "$python"
        python=.venv/bin/python
    fi
    "$python" -m pip --python .venv/bin/python install -q --disable-pip-version-check --no-compile \
        -c constraints.txt -r tools/requirements.txt
}

install_pip() {
    # On Debian, the module ensurepip is in a separate package.
    if ! "$1" -c 'import ensurepip' 2>/dev/null; then
        if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
            echo "$1: has no pip; on Debian, install python3-venv." >&2
            return 1
        fi
        apt-get update -q >/dev/null
        DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends python3-venv >/dev/null
    fi
    .venv/bin/python -m ensurepip >/dev/null
}

cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit
[ -x .venv/bin/tox ] || make_venv
