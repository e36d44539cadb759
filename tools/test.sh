#!/usr/bin/env bash
# Runs all tests and checks; or only the tox environments that are named: tools/test.sh py3,lint
# As root on Debian it also installs and starts real servers and real OpenStack for those that need them.
set -euo pipefail
. "$(dirname "$0")/venv.sh"

rm -rf .tox/results
code=0
.venv/bin/tox run -e "${1:-lint,docs,releasenotes,py3,services,cloud}" || code=$?
.venv/bin/python tools/summary.py .tox/results || code=1
exit "$code"
