"""What holds for all pages: they can be shown, failures of the API are messages, and the number of requests is bounded."""

import types
from urllib import parse

import requests
from cloud import Case
from django.urls import reverse
from objects import INDEXES, TENANT, make_objects
from openstack_dashboard.dashboards.project.instances import tables as instances
from openstack_dashboard.dashboards.project.volumes import tables as volumes

from tests.fixtures.api import PROJECT_A, PROJECT_B
from tests.fixtures.fake_catalogue import PROVIDER, SERVER, VOLUME


class PagesTest(Case):
    def test_all_pages(self):
        pages = make_objects(self)
        for name, page in pages.items():
            with self.subTest(page=name):
                self.requests.clear()
                response = self.client.get(page)
                self.assertEqual(200, response.status_code)
                self.assertEqual([], self.texts(response))
                self.assertNotContains(response, "<i>")
                self.assertLessEqual(len(self.requests), 10, self.requests)

    def test_every_failure_is_a_message_or_leads_to_a_list(self):
        pages = make_objects(self)
        for broken in (
            requests.ConnectionError("refused"),
            (500, {"computeFault": {"code": 500, "message": "broken", "type": "internal"}}),
            (200, {}),
        ):
            self.broken = broken
            for name, page in pages.items():
                with self.subTest(page=name, broken=broken):
                    response = self.client.get(page)
                    # A page that asks for a fragment keeps the last one.
                    expected = (503,) if name.endswith("progress") else (200, 302)
                    self.assertIn(response.status_code, expected)

    def test_the_reason_is_part_of_the_message(self):
        self.broken = (500, {"computeFault": {"code": 500, "message": "100 % <b>", "type": "internal"}})
        (text,) = self.texts(self.client.get(reverse(f"{TENANT}:restores:index")))
        self.assertTrue(text.startswith("Unable to list the restores: "), text)
        self.assertIn("100 % <b>", text)

    def test_nobody_without_rights_opens_a_form(self):
        pages = make_objects(self)
        self.log_in("reader")
        for name in (
            "edit",
            "protect",
            "create plan",
            "verify",
            "copy",
            "create restore",
            "create schedule",
            "edit trigger",
        ):
            with self.subTest(page=name):
                self.assertEqual(403, self.client.get(pages[name]).status_code)

    def test_lists_have_a_bounded_number_of_requests(self):
        make_objects(self)
        few = {}
        for name in INDEXES:
            self.requests.clear()
            self.client.get(reverse(f"{TENANT}:{name}:index"))
            few[name] = list(self.requests)
        for number in range(4):
            checkpoint = self.checkpoint(self.plan(f"p{number}"))
            of = {"provider_id": PROVIDER, "checkpoint_id": checkpoint["id"], "parameters": {}}
            self.alice.post("/restores", {"restore": of})
            self.alice.post("/verifications", {"verification": of})
        for name in INDEXES:
            with self.subTest(page=name):
                self.requests.clear()
                self.client.get(reverse(f"{TENANT}:{name}:index"))
                self.assertEqual(few[name], self.requests)

    def test_filters_and_dialogs_share_no_ids(self):
        pages = make_objects(self)
        filters = self.client.get(pages["schedules"]).context["filters"]
        form = self.client.get(pages["create schedule"]).context["form"]
        self.assertIn("name", set(filters.fields) & set(form.fields))
        self.assertEqual(set(), {field.auto_id for field in filters} & {field.auto_id for field in form})

    def test_all_fields_of_forms_have_labels(self):
        pages = make_objects(self)
        for name in ("edit", "protect", "verify", "copy", "create schedule", "edit trigger", "create restore"):
            with self.subTest(page=name):
                form = self.client.get(pages[name]).context["form"]
                self.assertEqual([], [field.name for field in form.visible_fields() if not field.label])


ADMIN = (
    "horizon:admin:protection_services:index",
    "horizon:admin:protection_projects:index",
    "horizon:admin:protection_projects:plans",
    "horizon:admin:protection_projects:restores",
    "horizon:admin:protection_quotas:index",
)


class AdministratorsTest(Case):
    def test_all_pages_and_their_failures(self):
        self.checkpoint(self.plan("of alice"))
        self.log_in("admin", PROJECT_B)
        for name in ADMIN:
            with self.subTest(page=name):
                self.requests.clear()
                response = self.client.get(reverse(name))
                self.assertEqual(200, response.status_code)
                self.assertEqual([], self.texts(response))
                self.assertLessEqual(len(self.requests), 3)
        self.assertContains(self.client.get(reverse(ADMIN[2])), "of alice")
        self.broken = requests.ConnectionError("refused")
        for name in ADMIN:
            self.assertEqual(200, self.client.get(reverse(name)).status_code)

    def test_quotas_of_a_project(self):
        self.log_in("admin", PROJECT_B)
        response = self.client.get(reverse("horizon:admin:protection_quotas:index") + f"?project={PROJECT_A}")
        page = reverse("horizon:admin:protection_quotas:project", args=[PROJECT_A])
        self.assertRedirectsNoFollow(response, page)
        form = self.client.get(page).context["form"]
        data = {name: form[name].value() for name in form.fields} | {"plans": "3"}
        self.assertEqual(302, self.client.post(page, data).status_code)
        self.assertEqual(3, self.alice.get(f"/quotas/{PROJECT_A}")["quota"]["plans"])

    def test_nobody_else_sees_them(self):
        for name in ADMIN:
            self.assertNotEqual(200, self.client.get(reverse(name)).status_code)
            self.assertEqual([], self.requests)


class ProtectActionTest(Case):
    def test_instances_and_volumes_have_the_action_once(self):
        reverse("horizon:data_protection:overview:index")
        for table, kind in ((instances.InstancesTable, SERVER), (volumes.VolumesTable, VOLUME)):
            actions = [action for action in table._meta.row_actions if action.name == "data_protection_protect"]
            self.assertEqual(1, len(actions))
            link = table.base_actions["data_protection_protect"].get_link_url(types.SimpleNamespace(id="1"))
            self.assertIn(parse.quote(f"{kind}#1", safe=""), link)
