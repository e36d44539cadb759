#!/usr/bin/env bash
# Protects, deletes and restores a project with servers, networks and volumes on the sandbox. Needs neither root nor a cloud.
# --volume shows one volume only.
# --serve keeps everything running and prints how to use the openstack commands on them.
# --horizon runs Horizon with the dashboard on a sandbox instead, and prints where to log in.
set -euo pipefail
. "$(dirname "$0")/venv.sh"

environment=demo
[[ " $* " == *" --serve "* ]] && environment=demo-serve
if [ "${1:-}" = --horizon ]; then
    environment=demo-horizon
    set -- "${2:-$(mktemp -d -t karbor_like.XXXXXX)}"
fi
[ -d .tox/$environment ] || echo "Installing karbor_like and its dependencies ..."
exec .venv/bin/tox run -q -e $environment -- "$@"
