"""The parts that Horizon finds by their names."""

import configparser
import importlib
import pathlib
import pkgutil

import default_policies
import horizon
import yaml
from cloud import Case
from django.conf import settings
from django.template.loader import get_template
from django.urls import reverse
from openstack_auth import policy

import karbor_like_dashboard
from karbor_like_dashboard import enabled

PACKAGE = pathlib.Path(karbor_like_dashboard.__file__).parent
PANELS = {
    "overview",
    "plans",
    "checkpoints",
    "restores",
    "schedules",
    "verifications",
    "operation_logs",
    "quotas",
    "providers",
}


class PluginTest(Case):
    def setUp(self):
        super().setUp()
        # Horizon registers dashboards when the first address is resolved.
        reverse("horizon:data_protection:overview:index")

    def test_all_files_that_enable_something_can_be_imported(self):
        # Horizon only logs an error, and leaves the panel out.
        for module in pkgutil.iter_modules(enabled.__path__, "karbor_like_dashboard.enabled."):
            importlib.import_module(module.name)

    def test_all_panels_are_registered(self):
        dashboard = horizon.get_dashboard("data_protection")
        found = {panel.slug for group in dashboard.get_panel_groups().values() for panel in group}
        self.assertEqual(PANELS, found)
        self.assertTrue(dashboard.default_panel in found)

    def test_all_panels_have_an_address(self):
        for panel in PANELS:
            self.assertTrue(reverse(f"horizon:data_protection:{panel}:index"))

    def test_all_templates_can_be_compiled(self):
        for path in (PACKAGE / "templates").rglob("*.html"):
            get_template(str(path.relative_to(PACKAGE / "templates")))

    def test_all_files_are_in_the_distribution(self):
        configuration = configparser.ConfigParser()
        configuration.read(PACKAGE.parent / "setup.cfg")
        _package, _sign, patterns = configuration["files"]["package_data"].strip().partition(" = ")
        for path in PACKAGE.rglob("*.*"):
            is_module = path.suffix == ".py" and (path.parent / "__init__.py").exists()
            if path.is_file() and path.suffix != ".pyc" and not is_module:
                self.assertTrue(any(path.relative_to(PACKAGE).match(each) for each in patterns.split()), path)

    def test_the_default_rules_are_those_of_the_service(self):
        content = yaml.safe_load((PACKAGE / "policies" / "karbor_like.yaml").read_text())
        self.assertEqual(default_policies.rules(), content)

    def test_the_rules_are_loaded(self):
        self.assertIn("data-protect", settings.POLICY_FILES)
        self.assertTrue(policy.check((("data-protect", "plan:create"),), self.request))
        self.assertFalse(policy.check((("data-protect", "health:get"),), self.request))

    def test_all_rules_that_pages_name_exist(self):
        known = {rule["name"] for rule in default_policies.rules()}
        named = set()
        for dashboard in ("data_protection",):
            for group in horizon.get_dashboard(dashboard).get_panel_groups().values():
                named |= {rule for panel in group for _service, rule in panel.policy_rules}
        for module in pkgutil.walk_packages(karbor_like_dashboard.__path__, "karbor_like_dashboard."):
            if ".local_settings" in module.name:
                continue
            for member in vars(importlib.import_module(module.name)).values():
                named |= {
                    rule for _service, rule in getattr(member, "policy_rules", None) or () if _service == "data-protect"
                }
                named |= {rule for rule in [getattr(member, "rule", None)] if isinstance(rule, str)}
        self.assertEqual(set(), named - known)
