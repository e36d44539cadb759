"""The panel Schedules."""

import types
from datetime import UTC, datetime, time, timedelta

from cloud import Case
from django.urls import reverse

from karbor_like.db.operations import OPERATIONS
from karbor_like.db.scheduled_runs import RUNS
from karbor_like.db.triggers import TRIGGERS
from karbor_like_dashboard.common import schedules, texts
from karbor_like_dashboard.content.schedules import tables, views
from tests.fixtures.api import PROJECT_A
from tests.fixtures.fake_catalogue import PROVIDER


def address(name, *args):
    return reverse(f"horizon:data_protection:schedules:{name}", args=args)


class SchedulesTest(Case):
    def create(self, **more):
        plan = self.plan()
        page = f"{address('create')}?plan={plan['id']}"
        form = self.client.get(page).context["form"]
        self.assertEqual(plan["id"], form["plan_id"].value())
        data = {"request_key": form["request_key"].value(), "plan_id": plan["id"], "name": "nightly", "timezone": "UTC"}
        response = self.client.post(page, {**data, **more})
        return plan, response

    def operations(self):
        return self.alice.get("/scheduled_operations")["operations"]

    def test_a_schedule_with_retention_is_listed(self):
        self.create(when="weekly", weekday="1", at="23:05", max_backups="3")
        response = self.client.get(address("index"))
        self.assertContains(response, "every Monday at 23:05 (UTC)")
        self.assertContains(response, "max_backups: 3")
        (operation,) = self.operations()
        self.assertEqual("retention_protect", operation["operation_type"])

    def test_a_trigger_that_exists_is_used_again(self):
        self.create(when="daily", at="01:00")
        (trigger,) = self.alice.get("/triggers")["triggers"]
        self.create(when="existing", trigger=trigger["id"])
        self.assertEqual(1, len(self.alice.get("/triggers")["triggers"]))
        self.assertEqual({trigger["id"]}, {each["trigger_id"] for each in self.operations()})

    def test_a_refused_schedule_leaves_no_new_trigger(self):
        self.create(when="daily", at="01:00")
        (trigger,) = self.alice.get("/triggers")["triggers"]
        self.refusals = {"POST /scheduled_operations": "no more schedules"}
        for more in ({"when": "daily", "at": "02:00"}, {"when": "existing", "trigger": trigger["id"]}):
            _plan, response = self.create(**more)
            self.assertContains(response, "no more schedules")
            self.assertNotContains(response, "was not deleted")
            self.assertEqual([trigger], self.alice.get("/triggers")["triggers"])

    def test_a_new_trigger_that_cannot_be_deleted_is_named(self):
        self.refusals = {"POST /scheduled_operations": "no more schedules", "DELETE /triggers": "try later"}
        _plan, response = self.create(when="daily", at="01:00")
        (trigger,) = self.alice.get("/triggers")["triggers"]
        self.assertContains(response, "no more schedules")
        self.assertContains(response, f"the new trigger nightly ({trigger['id']}) was not deleted: try later")

    def test_pause_resume_and_delete(self):
        self.create(when="daily", at="01:00")
        (operation,) = self.operations()
        for action, enabled in (("pause", False), ("resume", True)):
            self.client.post(address("index"), {"action": f"schedules__{action}__{operation['id']}"})
            self.assertEqual(enabled, self.operations()[0]["enabled"])
        self.client.post(address("index"), {"action": f"schedules__delete__{operation['id']}"})
        self.assertEqual([], self.operations())

    def test_a_schedule_runs_now_but_not_twice_at_once(self):
        self.create(when="daily", at="01:00")
        (operation,) = self.operations()
        act = {"action": f"schedules__run__{operation['id']}"}
        self.client.post(address("index"), act)
        self.assertEqual([], self.alice.get("/operation_logs")["operation_logs"])
        with self.database.reader() as session:
            self.assertEqual(1, RUNS.count(session, state="started"))
        response = self.client.post(address("index"), act, follow=True)
        self.assertTrue(any("has not ended" in text for text in self.texts(response)), self.texts(response))

    def test_a_paused_schedule_is_not_offered_to_run(self):
        self.create(when="daily", at="01:00")
        (operation,) = self.operations()
        self.assertContains(self.client.get(address("index")), f"schedules__run__{operation['id']}")
        self.client.post(address("index"), {"action": f"schedules__pause__{operation['id']}"})
        self.assertNotContains(self.client.get(address("index")), f"schedules__run__{operation['id']}")

    def test_the_next_run_is_shown_in_the_list_and_all_on_the_page(self):
        self.create(when="daily", at="01:00")
        (operation,) = self.operations()
        self.assertContains(self.client.get(address("index")), "2030-01-01 01:00:00 UTC")
        self.assertContains(self.client.get(address("detail", operation["id"])), "2030-01-05 01:00:00 UTC")

    def test_what_the_rules_would_delete_is_shown(self):
        plan, _response = self.create(when="daily", at="01:00", max_backups="1")
        old, new = self.checkpoint(plan), self.checkpoint(plan)
        (operation,) = self.operations()
        response = self.client.get(address("detail", operation["id"]))
        self.assertContains(response, old["id"])
        self.assertContains(response, new["id"])
        self.assertEqual([False, True], [each["delete"] for each in response.context["simulated"]])
        self.assertNotContains(response, "+00:00")
        self.assertEqual([], response.context["runs"], "none of these is a run of the schedule")

    def test_the_last_runs_lead_to_the_log_with_all_of_them(self):
        plan, _response = self.create(when="daily", at="01:00")
        (operation,) = self.operations()
        page = address("detail", operation["id"])
        start = datetime(2030, 1, 1, tzinfo=UTC)

        def runs(session, first, last):
            for number in range(first, last):
                self.log(session, plan, operation["id"], start + timedelta(days=number))

        self.database.write(lambda session: runs(session, 0, views._LAST))
        response = self.client.get(page)
        self.assertEqual(views._LAST, len(response.context["runs"]))
        self.assertNotContains(response, "Older runs")
        self.database.write(lambda session: runs(session, views._LAST, views._LAST + 2))
        self.checkpoint(plan)
        response = self.client.get(page)
        self.assertEqual("2030-01-12 00:00:00 UTC", response.context["runs"][0]["started"])
        self.assertEqual(views._LAST, len(response.context["runs"]))
        older = self.client.get(response.context["older_runs"]).context["table"].data
        self.assertEqual([start + timedelta(days=day) for day in (1, 0)], [each.started_at for each in older])
        everything = self.client.get(response.context["all_runs"]).context["table"].data
        self.assertEqual({operation["id"]}, {each.scheduled_operation_id for each in everything})

    def log(self, session, plan, operation_id, moment):
        OPERATIONS.insert(
            session,
            operation_type="protect",
            project_id=PROJECT_A,
            user_id="user-member",
            provider_id=PROVIDER,
            plan_id=plan["id"],
            scheduled_operation_id=operation_id,
            status="success",
            created_at=moment,
            started_at=moment,
            ended_at=moment,
        )

    def test_the_times_of_a_trigger_are_not_overwritten(self):
        self.create(when="daily", at="01:00")
        (trigger,) = self.alice.get("/triggers")["triggers"]
        page = address("edit_trigger", trigger["id"])
        form = self.client.get(page).context["form"]
        data = {name: form[name].value() or "" for name in form.fields} | {"pattern": "0 3 * * *"}
        self.alice.put(f"/triggers/{trigger['id']}", {"trigger_info": {"name": "theirs"}})
        self.assertContains(self.client.post(page, data), "Another user has changed the trigger")
        form = self.client.get(page).context["form"]
        data = {name: form[name].value() or "" for name in form.fields} | {"pattern": "0 3 * * *"}
        self.assertEqual(302, self.client.post(page, data).status_code)
        properties = self.alice.get(f"/triggers/{trigger['id']}")["trigger_info"]["properties"]
        self.assertEqual("0 3 * * *", properties["pattern"])

    def test_a_window_that_is_no_number_is_an_error_of_the_form(self):
        self.create(when="daily", at="01:00")
        (trigger,) = self.alice.get("/triggers")["triggers"]
        properties = {**trigger["properties"], "window": 900.0}
        self.database.write(lambda session: TRIGGERS.update(session, trigger["id"], {"properties": properties}))
        page = address("edit_trigger", trigger["id"])
        form = self.client.get(page).context["form"]
        data = {name: form[name].value() or "" for name in form.fields}
        self.assertContains(self.client.post(page, data), "is not of type integer")

    def test_a_time_zone_that_is_removed_is_not_kept(self):
        self.create(when="daily", at="01:00", timezone="Europe/Madrid")
        (trigger,) = self.alice.get("/triggers")["triggers"]
        page = address("edit_trigger", trigger["id"])
        form = self.client.get(page).context["form"]
        self.assertEqual("Europe/Madrid", form["timezone"].value())
        data = {name: form[name].value() or "" for name in form.fields} | {"timezone": ""}
        self.assertEqual(302, self.client.post(page, data).status_code)
        self.assertContains(self.client.get(address("triggers")), "every day at 01:00 (UTC)")
        shown = self.alice.get(f"/triggers/{trigger['id']}")["trigger_info"]
        self.assertEqual("2030-01-01T01:00:00.000000", shown["next_runs"][0])


class TextsTest(Case):
    def test_patterns_for_the_reader(self):
        for pattern, text in (
            ("5 2 * * *", "every day at 02:05 (UTC)"),
            ("0 2 * * 0", "every Sunday at 02:00 (UTC)"),
            ("0 2 13 * *", "every month on day 13 at 02:00 (UTC)"),
            ("7 * * * *", "every hour at minute 7 (UTC)"),
            ("*/5 * * * *", "*/5 * * * * (UTC)"),
            ("0 2 13 * fri", "0 2 13 * fri (UTC)"),
        ):
            self.assertEqual(text, texts.trigger({"format": "crontab", "pattern": pattern}))
        calendar = "BEGIN:VEVENT\nRRULE:FREQ=DAILY;COUNT=3\nEND:VEVENT"
        self.assertEqual(
            "FREQ=DAILY;COUNT=3 (Europe/Berlin)",
            texts.trigger({"format": "calendar", "pattern": calendar, "timezone": "Europe/Berlin"}),
        )

    def test_fields_make_patterns(self):
        at = time(23, 5)
        for data, pattern in (
            ({"when": "hourly", "minute": 7}, "7 * * * *"),
            ({"when": "daily", "at": at}, "5 23 * * *"),
            ({"when": "weekly", "at": at, "weekday": "1"}, "5 23 * * 1"),
            ({"when": "monthly", "at": at, "day": 31}, "5 23 31 * *"),
            ({"when": "crontab", "pattern": " 1  2 * * * "}, "1 2 * * *"),
        ):
            self.assertEqual(pattern, schedules.pattern(data))

    def test_next_runs_are_shown_if_the_api_states_them(self):
        self.assertEqual([], tables.next_runs(types.SimpleNamespace()))
        runs = tables.next_runs(
            types.SimpleNamespace(next_runs=["2031-05-06T02:00:00+02:00", "2031-05-06T02:00:00.000000", "soon"])
        )
        self.assertEqual(["2031-05-06 00:00:00 UTC", "2031-05-06 02:00:00 UTC", "soon"], runs)
