"""Settings of Horizon for tests: its own ones for tests, with this dashboard."""

import pathlib

from openstack_dashboard import enabled as core
from openstack_dashboard.test.settings import *  # noqa: F403
from openstack_dashboard.utils import settings as utils

from karbor_like_dashboard import enabled

# The list is made once more, because all dashboards must be configured together.
INSTALLED_APPS = [name for name in INSTALLED_APPS if not name.startswith("openstack_dashboard.dashboards.")]  # noqa: F405
utils.update_dashboards([core, enabled], HORIZON_CONFIG, INSTALLED_APPS)  # noqa: F405

_SNIPPET = pathlib.Path(enabled.__file__).parents[1] / "local_settings.d" / "_80_karbor_like.py"
exec(compile(_SNIPPET.read_text(), str(_SNIPPET), "exec"))

CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}
API_RESULT_PAGE_SIZE = 3
# The tests of Horizon allow everything.
POLICY_CHECK_FUNCTION = "openstack_auth.policy.check"
# Styles are compiled by the test with a browser.
COMPRESS_ENABLED = False
COMPRESS_PRECOMPILERS = ()
# Horizon's settings for tests compile each template again for each page.
_OPTIONS = TEMPLATES[0]["OPTIONS"]  # noqa: F405
_OPTIONS["loaders"] = [("django.template.loaders.cached.Loader", _OPTIONS["loaders"])]
