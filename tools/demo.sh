#!/usr/bin/env bash
# Protects a volume on the sandbox, loses it and gets it back; needs neither root nor a cloud.
# --serve leaves everything running and prints the environment for the openstack command line.
set -euo pipefail
. "$(dirname "$0")/venv.sh"

[ -d .tox/demo ] || echo "Installing karbor_like and what it needs ..."
exec .venv/bin/tox run -q -e demo -- "$@"
