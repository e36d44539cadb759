#!/usr/bin/env bash
# Protects, deletes and restores a project with servers, networks and volumes on the sandbox. Needs neither root nor a cloud.
# --volume shows one volume only.
# --serve keeps everything running and prints the environment for the openstack command line.
set -euo pipefail
. "$(dirname "$0")/venv.sh"

[ -d .tox/demo ] || echo "Installing karbor_like and its dependencies ..."
exec .venv/bin/tox run -q -e demo -- "$@"
