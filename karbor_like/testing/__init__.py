"""Contract suites for plugins, importable by packages that provide plugins. They need pytest (extra ``testing``).

:mod:`.protectable` and :mod:`.protection` test any plugin. :mod:`.sandbox` adds tests for plugins that call OpenStack:
crashes, refusals and lost answers at every request, against the sandbox cloud.
"""

import pytest

for _module in ("host", "protectable", "protection", "sandbox"):
    pytest.register_assert_rewrite(f"{__name__}.{_module}")
