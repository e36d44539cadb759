#!/usr/bin/env bash
# Runs all tests and checks, or only the tox environments that are named: tools/test.sh py3,lint
# As root on Debian it also installs and starts real servers and real OpenStack for the tests that need them.
# --all: also the long scenarios on real OpenStack that take turns, whose turn this commit is not.
set -euo pipefail
. "$(dirname "$0")/venv.sh"

turn=all
if [ "${1:-}" = --all ]; then
    shift
elif [ "$(git rev-parse --is-shallow-repository 2>/dev/null)" = false ]; then
    # The number of the commit, so that three commits in a row run them all.
    turn=$(($(git rev-list --count HEAD) % 3))
fi
environments=${1:-py3,install,lint,docs,releasenotes,services,cloud}
export KARBOR_LIKE_CLOUD_RUN="--turn $turn"
case ",$environments,:$(id -u)" in
    # What one cloud is enough for runs on the real one.
    *,cloud,*:0) export KARBOR_LIKE_SANDBOX_RUN="--real-follows" ;;
esac
case "$environments" in
    # py3 takes both cores and more; the checks fill the gaps. After it, services and cloud wait most of the time.
    *,*) run=(run-parallel --parallel 3 --parallel-no-spinner) ;;
    *) run=(run) ;;
esac

rm -rf .tox/results
mkdir -p .tox/results
code=0
.venv/bin/tox "${run[@]}" --result-json .tox/results/tox.json -e "$environments" || code=$?
.venv/bin/python tools/summary.py .tox/results || code=1
exit "$code"
