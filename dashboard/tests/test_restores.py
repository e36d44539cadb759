"""The panel Restores, and its wizard."""

import json

from cloud import SERVER_ID, VOLUME_ID, Case
from django.urls import reverse

from karbor_like.db import operations
from karbor_like.db.checkpoints import CHECKPOINTS
from karbor_like.db.restores import RESTORES
from karbor_like.plugins.nova.server import RESTORE_SCHEMA as SERVER_SCHEMA
from tests.fixtures.fake_catalogue import PROVIDER, SERVER, VOLUME

GRAPH = json.dumps(
    [{"0x0": [VOLUME, VOLUME_ID, "data", None], "0x1": [SERVER, SERVER_ID, "web", None]}, [["0x1", ["0x0"]]]]
)
ALL = [f"{SERVER}#{SERVER_ID}", f"{VOLUME}#{VOLUME_ID}"]


def address(name, *args):
    return reverse(f"horizon:data_protection:restores:{name}", args=args)


class WizardTest(Case):
    def setUp(self):
        super().setUp()
        checkpoint = self.checkpoint(self.plan())
        self.database.write(lambda session: CHECKPOINTS.update(session, checkpoint["id"], {"resource_graph": GRAPH}))
        self.page = f"{address('create')}?provider={PROVIDER}&checkpoint={checkpoint['id']}"
        self.start = f"{self.page}&start=1"

    def form(self, **more):
        form = self.client.get(self.page).context["form"]
        return {
            "request_key": form["request_key"].value(),
            "resources": form["resources"].value(),
            "where": "here",
            "checked": "",
            **more,
        }

    def checked(self, form):
        """Submit the form for a dry run, and return it as the page shows it then."""
        response = self.client.post(self.page, form)
        self.assertEqual(200, response.status_code)
        return response, {**form, "checked": response.context["form"]["checked"].value()}

    def started(self):
        return [call for method, call in self.protection.calls if method == "restore" and not call["dry_run"]]

    def dry(self):
        return [call for method, call in self.protection.calls if method == "restore" and call["dry_run"]]

    def test_all_resources_are_chosen_at_first(self):
        self.assertEqual(ALL, self.form()["resources"])

    def test_a_dry_run_is_shown_before_the_start(self):
        response, form = self.checked(self.form(rename_1="copy"))
        self.assertContains(response, "Start Restore")
        self.assertEqual((1, 0), (len(self.dry()), len(self.started())))
        restored = self.client.post(self.start, form)
        self.assertEqual(302, restored.status_code)
        self.assertEqual(1, len(self.started()))
        (made,) = [each for each in self.alice.get("/restores")["restores"] if not each["dry_run"]]
        self.assertEqual(address("detail", made["id"]), restored["Location"])
        self.assertEqual({ALL[1]: {"restore_name": "copy"}}, made["parameters"])

    def test_a_start_that_the_api_refuses_can_be_corrected(self):
        _, form = self.checked(self.form())
        with self.quota(restores=1):
            self.assertContains(self.client.post(self.start, form), "quota for restores exceeded")
        _, form = self.checked({**form, "rename_1": "copy"})
        for _attempt in range(2):
            self.assertEqual(302, self.client.post(self.start, form).status_code)
        (made,) = [each for each in self.alice.get("/restores")["restores"] if not each["dry_run"]]
        self.assertEqual({ALL[1]: {"restore_name": "copy"}}, made["parameters"])

    def test_nothing_starts_that_was_not_checked(self):
        form = self.form()
        self.client.post(self.start, form)
        self.assertEqual((1, 0), (len(self.dry()), len(self.started())))
        _, form = self.checked(form)
        self.client.post(self.start, {**form, "resources": ALL[:1]})
        self.assertEqual((3, 0), (len(self.dry()), len(self.started())))

    def test_a_double_click_starts_one_restore(self):
        _, form = self.checked(self.form())
        first, second = (self.client.post(self.start, form) for _ in range(2))
        self.assertEqual(first["Location"], second["Location"])

    def test_some_resources_with_names_and_mappings(self):
        _, form = self.checked(self.form(resources=ALL[1:], rename_1="data-2"))
        self.client.post(self.start, form)
        (call,) = self.started()
        self.assertEqual((ALL[1:], False), (call["resources"], call["with_children"]))
        made = next(each for each in self.alice.get("/restores")["restores"] if not each["dry_run"])
        self.assertEqual({ALL[1]: {"restore_name": "data-2"}}, made["parameters"])

    def test_a_map_of_networks(self):
        name = "network_map"
        schema = {"type": "object", "properties": {name: SERVER_SCHEMA["properties"][name]}}
        self.protection.providers[PROVIDER]["extended_info_schema"]["restore_schema"] = {SERVER: schema}
        fields = self.client.get(self.page).context["form"].fields
        (field,) = [key for key, field in fields.items() if field.label == "Server: Network Map"]
        response = self.client.post(self.page, self.form(**{field: "old"}))
        self.assertContains(response, "Line 1 is not a pair")
        self.assertEqual([], self.dry())
        response, form = self.checked(self.form(**{field: "old-1 = new-1\r\nold-2 = new-2"}))
        self.assertContains(response, "old-1 = new-1")
        self.assertEqual(302, self.client.post(self.start, form).status_code)
        made = next(each for each in self.alice.get("/restores")["restores"] if not each["dry_run"])
        self.assertEqual({SERVER: {name: {"old-1": "new-1", "old-2": "new-2"}}}, made["parameters"])

    def test_existing_resources_are_offered_by_type(self):
        self.protection.resources[VOLUME][0]["name"] = "<b>d</b>"
        self.requests.clear()
        response = self.client.get(self.page)
        self.assertContains(response, 'list="dp-existing-OS-Cinder-Volume"')
        self.assertContains(response, f'<option value="{VOLUME_ID}">&lt;b&gt;d&lt;/b&gt;</option>')
        listed = [path for _method, path in self.requests if path.endswith("/instances")]
        self.assertEqual(2, len(listed), "one request for each type")

    def test_a_restore_needs_no_list_of_existing_resources(self):
        del self.protection.resources[VOLUME]
        del self.protection.resources[SERVER]
        response, _form = self.checked(self.form())
        self.assertContains(response, "Start Restore")

    def test_another_cloud_needs_a_credential_that_no_page_shows(self):
        there = {"where": "there", "restore_target": "https://other.test/v3", "restore_username": "alice"}
        response = self.client.post(self.page, {**self.form(**there)})
        self.assertContains(response, "This field is required")
        response, _form = self.checked(self.form(**there, restore_password="very secret"))
        self.assertNotContains(response, "very secret")
        (call,) = self.dry()
        self.assertEqual("very secret", call["restore_auth"]["password"])

    def test_what_the_api_refuses_is_shown_in_the_form(self):
        response = self.client.post(self.page, {**self.form(map_0="x")})
        self.assertEqual(200, response.status_code)
        self.assertTrue(response.context["form"].errors)
        self.assertNotContains(response, "Start Restore")

    def test_a_checkpoint_that_is_gone_leads_to_the_list(self):
        for query in (
            "",
            f"?provider={PROVIDER}",
            f"?provider={PROVIDER}&checkpoint=11111111-1111-4111-8111-111111111111",
        ):
            self.assertEqual(302, self.client.get(address("create") + query).status_code)


class DetailTest(Case):
    def test_what_was_made_has_links(self):
        checkpoint = self.checkpoint(self.plan())
        of = {"provider_id": PROVIDER, "checkpoint_id": checkpoint["id"], "parameters": {}}
        restore = self.alice.post("/restores", {"restore": of})["restore"]
        made = {"resources_status": {f"{SERVER}#{SERVER_ID}": "available"}, "resources_reason": {}, "status": "success"}
        self.database.write(lambda session: RESTORES.update(session, restore["id"], made))
        response = self.client.get(address("detail", restore["id"]))
        self.assertContains(response, reverse("horizon:project:instances:detail", args=[SERVER_ID]))

    def test_the_names_of_originals_and_of_what_was_made_have_a_bounded_number_of_requests(self):
        checkpoint = self.checkpoint(self.plan())
        of = {"provider_id": PROVIDER, "checkpoint_id": checkpoint["id"], "parameters": {}}
        restore = self.alice.post("/restores", {"restore": of})["restore"]
        numbers = range(4)
        nodes = {hex(number): [VOLUME, f"old-{number}", f"<i>data-{number}</i>", None] for number in numbers}
        self.protection.resources[VOLUME] = [
            {"type": VOLUME, "id": f"new-{number}", "name": f"copy-{number}", "dependent_resources": []}
            for number in numbers
        ]
        made = {"resources_status": {f"{VOLUME}#new-{number}": "available" for number in numbers}, "status": "success"}

        def change(session):
            CHECKPOINTS.update(session, checkpoint["id"], {"resource_graph": json.dumps([nodes, []])})
            RESTORES.update(session, restore["id"], {**made, "resources_reason": {}})
            (operation,) = operations.unfinished_of(session, checkpoint_id=checkpoint["id"])
            for number in numbers:
                result = {"status": "available", "result_key": f"{VOLUME}#new-{number}"}
                operations.set_resource(session, operation.id, f"{VOLUME}#old-{number}", **result)

        self.database.write(change)
        self.requests.clear()
        response = self.client.get(address("detail", restore["id"]))
        rows = [(row["original"], row["name"], row["id"]) for row in response.context["made"]]
        self.assertEqual([(f"<i>data-{each}</i>", f"copy-{each}", f"new-{each}") for each in numbers], rows)
        self.assertContains(response, "&lt;i&gt;data-3")
        self.assertLessEqual(len(self.requests), 4, self.requests)

    def test_a_checkpoint_that_was_deleted_leaves_the_ids(self):
        checkpoint = self.checkpoint(self.plan())
        of = {"provider_id": PROVIDER, "checkpoint_id": checkpoint["id"], "parameters": {}}
        restore = self.alice.post("/restores", {"restore": of})["restore"]
        made = {"resources_status": {f"{SERVER}#{SERVER_ID}": "available"}, "resources_reason": {}, "status": "success"}

        def change(session):
            RESTORES.update(session, restore["id"], made)
            CHECKPOINTS.delete(session, checkpoint["id"])

        self.database.write(change)
        response = self.client.get(address("detail", restore["id"]))
        self.assertContains(response, SERVER_ID)
        self.assertEqual([], self.texts(response))

    def test_a_dry_run_shows_what_it_found(self):
        checkpoint = self.checkpoint(self.plan())
        of = {"provider_id": PROVIDER, "checkpoint_id": checkpoint["id"], "parameters": {}, "dry_run": True}
        restore = self.alice.post("/restores", {"restore": of})["restore"]
        plan = {
            "actions": [{"action": "conflict", "resource": f"{VOLUME}#1", "name": "<b>d</b>", "reason": "no quota"}],
            "bytes": 2048,
            "quotas": [{"resource": "gigabytes", "needed": 5, "free": None, "limit": -1}],
            "deployer": "direct",
        }
        self.database.write(lambda session: RESTORES.update(session, restore["id"], {"plan": plan}))
        response = self.client.get(address("detail", restore["id"]))
        self.assertContains(response, "conflict")
        self.assertContains(response, "no quota")
        self.assertContains(response, "gigabytes")
        self.assertContains(response, "&lt;b&gt;d")

    def test_cancel(self):
        checkpoint = self.checkpoint(self.plan())
        of = {"provider_id": PROVIDER, "checkpoint_id": checkpoint["id"], "parameters": {}}
        restore = self.alice.post("/restores", {"restore": of})["restore"]
        self.client.post(address("index"), {"action": f"restores__cancel__{restore['id']}"})
        self.assertEqual(1, sum(method == "cancel" for method, _ in self.protection.calls))
