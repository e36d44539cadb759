"""The panel Plans."""

import requests
from cloud import SERVER_ID, VOLUME_ID, Case
from django.urls import reverse

from karbor_like_dashboard.common import forms as common_forms
from tests.fixtures.api import PROJECT_B
from tests.fixtures.fake_catalogue import PROVIDER, SERVER, VOLUME


def address(name, *args):
    return reverse(f"horizon:data_protection:plans:{name}", args=args)


class ListTest(Case):
    def test_a_page_has_a_bounded_number_of_requests(self):
        self.plan("first")
        self.client.get(address("index"))
        few = list(self.requests)
        for number in range(5):
            self.plan(f"plan-{number}")
        self.requests.clear()
        response = self.client.get(address("index"))
        self.assertEqual(few, self.requests)
        self.assertEqual([("GET", "/plans"), ("GET", "/providers")], self.requests)
        self.assertContains(response, "plan-4")
        self.assertContains(response, "Infra")

    def test_pages_go_forwards_and_backwards_and_keep_filters(self):
        names = [f"plan-{number}" for number in range(7)]
        for name in names:
            self.plan(name)
        self.plan("other")

        def shown(query):
            table = self.client.get(address("index") + query).context["table"]
            return table, [plan.name for plan in table.data]

        table, first = shown("?name=plan-")
        self.assertEqual(names[:3:-1], first)
        self.assertTrue(table.has_more_data())
        self.assertFalse(table.has_prev_data())
        table, second = shown("?" + table.get_pagination_string())
        self.assertEqual(names[3:0:-1], second)
        table, third = shown("?" + table.get_pagination_string())
        self.assertEqual(names[:1], third)
        self.assertFalse(table.has_more_data())
        table, again = shown("?" + table.get_prev_pagination_string())
        self.assertEqual(second, again)

    def test_markup_in_names_is_text(self):
        self.plan("<script>alert(1)</script>")
        response = self.client.get(address("index"))
        self.assertNotContains(response, "<script>alert(1)")
        self.assertContains(response, "&lt;script&gt;alert(1)")

    def test_every_failure_of_the_api_is_a_message(self):
        self.plan()
        for broken in (
            requests.ConnectionError("refused"),
            requests.Timeout("slow"),
            (500, {"computeFault": {"code": 500, "message": "broken", "type": "internal"}}),
            (503, b"<html>"),
            (200, b"<html>"),
            (200, []),
            (403, {"forbidden": {"code": 403, "message": "not allowed", "type": "policy"}}),
        ):
            with self.subTest(broken=broken):
                self.broken = broken
                response = self.client.get(address("index"))
                self.assertEqual(200, response.status_code)
                self.assertContains(response, "Unable to list the plans")

    def test_an_expired_session_leads_to_the_login(self):
        self.broken = (401, {"unauthorized": {"code": 401, "message": "expired", "type": "x"}})
        response = self.client.get(address("index"))
        self.assertEqual(302, response.status_code)
        self.assertIn("/auth/login/", response["Location"])

    def test_a_cloud_without_the_service_has_no_panel(self):
        self.log_in(endpoint=False)
        response = self.client.get(address("index"))
        self.assertNotEqual(500, response.status_code)
        self.assertEqual([], self.requests)

    def test_a_reader_has_no_actions(self):
        self.plan()
        self.log_in("reader")
        table = self.client.get(address("index")).context["table"]
        self.assertEqual([], [action.name for action in table.get_table_actions() if action.name != "filter"])
        self.assertEqual(["checkpoints"], [action.name for action in table.get_row_actions(table.data[0])])

    def test_another_project_sees_nothing(self):
        self.plan("secret")
        self.log_in(project=PROJECT_B)
        self.assertNotContains(self.client.get(address("index")), "secret")

    def test_actions_on_rows(self):
        plan = self.plan()
        for action, status in (("start", "started"), ("suspend", "suspended")):
            self.client.post(address("index"), {"action": f"plans__{action}__{plan['id']}"})
            self.assertEqual(status, self.alice.get(f"/plans/{plan['id']}")["plan"]["status"])
        self.client.post(address("index"), {"action": f"plans__delete__{plan['id']}"})
        self.assertEqual([], self.alice.get("/plans")["plans"])

    def test_an_action_that_fails_says_why(self):
        plan = self.plan()
        trigger = {"name": "t", "type": "time", "properties": {"format": "crontab", "pattern": "0 2 * * *"}}
        trigger_id = self.alice.post("/triggers", {"trigger_info": trigger})["trigger_info"]["id"]
        operation = {
            "name": "o",
            "operation_type": "protect",
            "trigger_id": trigger_id,
            "operation_definition": {"plan_id": plan["id"], "provider_id": PROVIDER},
        }
        self.alice.post("/scheduled_operations", {"scheduled_operation": operation})
        response = self.client.post(address("index"), {"action": f"plans__delete__{plan['id']}"}, follow=True)
        self.assertContains(response, "Unable to delete plan nightly")
        self.assertContains(response, "scheduled operation")


class DetailTest(Case):
    def test_a_plan_with_its_checkpoints(self):
        plan = self.plan("<b>bold</b>")
        self.checkpoint(plan)
        response = self.client.get(address("detail", plan["id"]))
        self.assertContains(response, "data-1")
        self.assertContains(response, "&lt;b&gt;bold")
        self.assertNotContains(response, "<b>bold")
        self.assertContains(response, "Available")

    def test_a_plan_that_is_gone_leads_to_the_list(self):
        response = self.client.get(address("detail", "11111111-1111-4111-8111-111111111111"))
        self.assertRedirectsNoFollow(response, address("index"))


class CreateTest(Case):
    def form(self, **more):
        self.page = self.client.get(address("create"))
        workflow = self.page.context["workflow"]
        key = workflow.get_step("details").action["request_key"].value()
        return {
            "name": "nightly",
            "description": "",
            "request_key": key,
            "resources": [f"{SERVER}#{SERVER_ID}"],
            "provider_id": PROVIDER,
            "when": "",
            **more,
        }

    def test_the_fields_are_made_of_the_options(self):
        page = self.client.get(address("create"))
        fields = page.context["workflow"].get_step("provider").action.fields
        kinds = {field.label: type(field.widget).__name__ for field in fields.values()}
        self.assertEqual("Select", kinds["Volume: Backup mode"])
        self.assertEqual("Select", kinds["Volume: Force"])
        self.assertEqual("NumberInput", kinds["Volume: Retries"])
        self.assertEqual("TextInput", kinds["Volume: Backup name"])
        self.assertContains(page, "<legend>Server</legend>")
        self.assertContains(page, 'aria-label="Protected with it"')
        self.assertContains(page, "<title>Create Plan")
        self.assertContains(page, 'name="request_key"')

    def test_the_form_has_a_bounded_number_of_requests(self):
        self.client.get(address("create"))
        few = len(self.requests)
        self.protection.resources[VOLUME] = [
            {**self.protection.resources[VOLUME][0], "id": f"{number:032x}"} for number in range(50)
        ]
        self.requests.clear()
        self.client.get(address("create"))
        self.assertEqual(few, len(self.requests))

    def test_a_plan_with_parameters_schedule_and_checkpoint(self):
        form = self.form(when="daily", at="02:30", timezone="Europe/Berlin")
        fields = self.page.context["workflow"].get_step("provider").action.fields
        by_label = {field.label: name for name, field in fields.items() if name.startswith("option_0")}
        form |= {by_label["Volume: Backup mode"]: "incremental", by_label["Volume: Retries"]: "2"}
        form |= {"daily": "7", "max_backups": "", "now": "on"}
        response = self.client.post(address("create"), form)
        self.assertEqual(302, response.status_code, response.content)
        (plan,) = self.alice.get("/plans")["plans"]
        self.assertEqual([{"type": SERVER, "id": SERVER_ID, "name": "web"}], plan["resources"])
        self.assertEqual({VOLUME: {"backup_mode": "incremental", "retries": 2}}, plan["parameters"])
        (trigger,) = self.alice.get("/triggers")["triggers"]
        self.assertEqual("30 2 * * *", trigger["properties"]["pattern"])
        self.assertEqual("Europe/Berlin", trigger["properties"]["timezone"])
        (operation,) = self.alice.get("/scheduled_operations")["operations"]
        self.assertEqual("retention_protect", operation["operation_type"])
        self.assertEqual("7", operation["operation_definition"]["daily"])
        self.assertEqual(1, len(self.alice.get(f"/providers/{PROVIDER}/checkpoints")["checkpoints"]))

    def test_a_second_submission_does_nothing_more(self):
        form = self.form()
        for _ in range(2):
            self.assertEqual(302, self.client.post(address("create"), form).status_code)
        self.assertEqual(1, len(self.alice.get("/plans")["plans"]))

    def test_wrong_values_are_shown_in_the_form(self):
        form = self.form()
        cases = (
            ({"name": ""}, "This field is required"),
            ({"name": "x" * 256}, "at most 255"),
            ({"resources": []}, "This field is required"),
            ({"resources": [f"{VOLUME}#gone"]}, "not one of the available choices"),
            ({"provider_id": "gone"}, "not one of the available choices"),
            ({"when": "daily", "at": ""}, "This field is required"),
            ({"when": "crontab", "pattern": ""}, "This field is required"),
            ({"when": "daily", "at": "25:00"}, "Enter a valid time"),
        )
        for change, message in cases:
            with self.subTest(change=change):
                response = self.client.post(address("create"), {**form, **change})
                self.assertContains(response, message)
        self.assertEqual([], self.alice.get("/plans")["plans"])

    def test_what_the_api_refuses_can_be_corrected_and_sent_again(self):
        form = self.form(description="\x07")
        self.assertEqual(200, self.client.post(address("create"), form).status_code)
        self.assertEqual(302, self.client.post(address("create"), {**form, "description": ""}).status_code)
        self.assertEqual(1, len(self.alice.get("/plans")["plans"]))

    def test_a_schedule_that_fails_leaves_the_plan_and_no_trigger(self):
        form = self.form(when="crontab", pattern="not a pattern")
        response = self.client.post(address("create"), form, follow=True)
        self.assertContains(response, "The plan was created, but not its schedule")
        self.assertEqual(1, len(self.alice.get("/plans")["plans"]))
        self.assertEqual([], self.alice.get("/triggers")["triggers"])

    def test_the_form_is_shown_while_the_api_is_down(self):
        self.broken = requests.ConnectionError("refused")
        response = self.client.get(address("create"))
        self.assertContains(response, "Unable to list your resources")

    def test_a_reader_cannot_open_the_form(self):
        self.log_in("reader")
        self.assertEqual(403, self.client.get(address("create")).status_code)


class ProtectTest(Case):
    def test_a_double_click_starts_one_checkpoint(self):
        plan = self.plan()
        page = self.client.get(address("protect", plan["id"]))
        key = page.context["form"]["request_key"].value()
        for _ in range(2):
            response = self.client.post(address("protect", plan["id"]), {"request_key": key, "skip_missing": "on"})
            self.assertEqual(302, response.status_code)
        (checkpoint,) = self.alice.get(f"/providers/{PROVIDER}/checkpoints")["checkpoints"]
        self.assertIn("skip_missing", checkpoint["extra_info"])

    def test_what_the_api_refuses_can_be_corrected_and_sent_again(self):
        plan = self.plan()
        form = {"request_key": self.client.get(address("protect", plan["id"])).context["form"]["request_key"].value()}
        with self.quota(checkpoints=0):
            response = self.client.post(address("protect", plan["id"]), form)
            self.assertContains(response, "quota for checkpoints exceeded")
        response = self.client.post(address("protect", plan["id"]), {**form, "skip_missing": "on"})
        self.assertEqual(302, response.status_code, self.texts(response))
        (checkpoint,) = self.alice.get(f"/providers/{PROVIDER}/checkpoints")["checkpoints"]
        self.assertIn("skip_missing", checkpoint["extra_info"])


class EditTest(Case):
    def form(self, plan_id, **more):
        page = self.client.get(address("edit", plan_id))
        form = page.context["form"]
        return {name: form[name].value() or "" for name in form.fields} | more

    def test_changes_are_saved(self):
        plan = self.plan()
        form = self.form(plan["id"], name="hourly", resources=[f"{SERVER}#{SERVER_ID}"])
        self.assertEqual(302, self.client.post(address("edit", plan["id"]), form).status_code)
        shown = self.alice.get(f"/plans/{plan['id']}")["plan"]
        self.assertEqual(("hourly", SERVER), (shown["name"], shown["resources"][0]["type"]))

    def test_a_plan_that_somebody_else_has_changed_is_not_overwritten(self):
        plan = self.plan()
        form = self.form(plan["id"], name="mine")
        self.alice.put(f"/plans/{plan['id']}", {"plan": {"name": "theirs"}})
        response = self.client.post(address("edit", plan["id"]), form)
        self.assertContains(response, "Another user has changed the plan")
        self.assertEqual("theirs", self.alice.get(f"/plans/{plan['id']}")["plan"]["name"])

    def test_a_resource_that_is_gone_can_be_kept(self):
        plan = self.plan()
        self.protection.resources[VOLUME] = []
        form = self.form(plan["id"], name="kept")
        self.assertEqual([f"{VOLUME}#{VOLUME_ID}"], form["resources"])
        self.assertEqual(302, self.client.post(address("edit", plan["id"]), form).status_code)
        self.assertEqual(VOLUME_ID, self.alice.get(f"/plans/{plan['id']}")["plan"]["resources"][0]["id"])

    def test_a_started_plan_says_that_it_cannot_be_changed(self):
        plan = self.plan()
        form = self.form(plan["id"])
        self.alice.put(f"/plans/{plan['id']}", {"plan": {"status": "started"}})
        form = self.form(plan["id"], name="other")
        response = self.client.post(address("edit", plan["id"]), form)
        self.assertContains(response, "suspended")


class OptionsTest(Case):
    def test_what_has_its_default_is_not_sent(self):
        properties = {"force": {"type": "boolean", "default": False}, "level": {"type": "integer", "default": 3}}
        options = common_forms.Options("option", {VOLUME: {"properties": properties}})
        data = {name: field.clean(field.initial) for name, field in options.fields.items()}
        self.assertEqual({}, options.parameters(data))
        data = {
            name: field.clean(value) for (name, field), value in zip(options.fields.items(), ("true", "4"), strict=True)
        }
        self.assertEqual({VOLUME: {"force": True, "level": 4}}, options.parameters(data))
