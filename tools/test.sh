#!/usr/bin/env bash
# Runs all tests and checks, or only the given tox environments: tools/test.sh py3,lint
# As root on Debian, it also installs and starts the servers and the OpenStack that some tests need.
# --all: run the long scenarios of all turns on real OpenStack, not only those of this commit's turn.
set -euo pipefail
. "$(dirname "$0")/venv.sh"

turn=all
if [ "${1:-}" = --all ]; then
    shift
elif [ "$(git rev-parse --is-shallow-repository 2>/dev/null)" = false ]; then
    # The number of the commit selects the turn, so that three consecutive commits run all scenarios.
    turn=$(($(git rev-list --count HEAD) % 3))
fi
environments=${1:-py3,install,lint,docs,releasenotes,dashboard,services,cloud}
export KARBOR_LIKE_CLOUD_RUN="--turn $turn"
case ",$environments,:$(id -u)" in
    # Tests that need only one cloud run on the real one.
    *,cloud,*:0) export KARBOR_LIKE_SANDBOX_RUN="--real-follows" ;;
esac
case "$environments" in
    # py3 saturates two cores, and the checks use idle time. Afterwards, services and cloud mostly wait.
    *,*) run=(run-parallel --parallel 3 --parallel-no-spinner) ;;
    *) run=(run) ;;
esac

# Temporary files go to memory if there is enough of it: databases of tests flush to the disk at each commit.
if [ "$(df --output=avail -B1M /dev/shm 2>/dev/null | tail -n 1)" -gt 8192 ] 2>/dev/null; then
    TMPDIR=$(mktemp -d /dev/shm/karbor_like.XXXXXX)
    chmod 1777 "$TMPDIR" # database servers run as other users
    export TMPDIR
    trap 'rm -rf "$TMPDIR"' EXIT
fi

rm -rf .tox/results
mkdir -p .tox/results
code=0
.venv/bin/tox "${run[@]}" --result-json .tox/results/tox.json -e "$environments" || code=$?
.venv/bin/python tools/summary.py .tox/results || code=1
exit "$code"
