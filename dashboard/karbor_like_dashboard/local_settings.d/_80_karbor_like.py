# Settings of Horizon for data protection. Copy this file to openstack_dashboard/local/local_settings.d/.

import pathlib

import karbor_like_dashboard

_POLICIES = pathlib.Path(karbor_like_dashboard.__file__).parent / "policies"

# The rules that show or hide actions. They must be those of the service: if you change its policy.yaml, let POLICY_FILES
# name a copy of it.
POLICY_FILES["data-protect"] = str(_POLICIES / "policy.yaml")  # noqa: F821
DEFAULT_POLICY_FILES["data-protect"] = str(_POLICIES / "karbor_like.yaml")  # noqa: F821

# "Protect" in the tables of instances and volumes. If you have a customization_module, import this one in it instead.
HORIZON_CONFIG.setdefault("customization_module", "karbor_like_dashboard.overrides")  # noqa: F821

# Seconds after which a page stops waiting for an answer of the service.
# KARBOR_LIKE_TIMEOUT = 20
