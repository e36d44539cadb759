"""The panel Checkpoints."""

from datetime import UTC, datetime

import freezegun
from cloud import Case
from django.urls import reverse

from karbor_like.db.checkpoints import CHECKPOINTS
from karbor_like_client.v1 import work
from karbor_like_dashboard.common import progress
from tests.fixtures.fake_catalogue import OTHER_PROVIDER, PROVIDER


def address(name, *args):
    return reverse(f"horizon:data_protection:checkpoints:{name}", args=args)


class ListTest(Case):
    def ids(self, query=""):
        table = self.client.get(address("index") + query).context["table"]
        return {checkpoint.id for checkpoint in table.data}

    def test_filters_are_those_of_the_api(self):
        first, second = self.plan("first"), self.plan("second")
        good, bad = self.checkpoint(first), self.checkpoint(second, "error")
        self.assertEqual({good["id"], bad["id"]}, self.ids())
        self.assertEqual({bad["id"]}, self.ids("?status=error"))
        self.assertEqual({good["id"]}, self.ids(f"?plan_id={first['id']}"))
        self.assertEqual(set(), self.ids(f"?provider={OTHER_PROVIDER}"))
        self.assertEqual(set(), self.ids("?start_date=2001-01-01&end_date=2001-01-02"))
        self.assertEqual({good["id"], bad["id"]}, self.ids("?start_date=2001-01-01&end_date=2999-01-02"))
        self.assertEqual(set(), self.ids("?end_date=2001-01-02"))
        self.assertEqual({good["id"], bad["id"]}, self.ids("?end_date=2999-01-02"))

    def test_a_wrong_date_is_an_error_of_the_field(self):
        response = self.client.get(address("index") + "?start_date=yesterday")
        self.assertContains(response, "Enter a valid date")

    def test_a_row_is_polled_while_something_runs(self):
        checkpoint = self.checkpoint(self.plan(), "protecting")
        row = f"{PROVIDER}_{checkpoint['id']}"
        query = f"?action=row_update&table=checkpoints&obj_id={row}"
        update = self.client.get(address("index") + query, HTTP_X_REQUESTED_WITH="XMLHttpRequest")
        self.assertContains(update, "512")
        # Horizon polls rows of this class.
        self.assertContains(update, "warning")
        self.protection.set_status(checkpoint["id"], "available")
        update = self.client.get(address("index") + query, HTTP_X_REQUESTED_WITH="XMLHttpRequest")
        self.assertContains(update, "Available")
        self.assertNotContains(update, "warning")

    def test_actions_depend_on_the_status(self):
        plan = self.plan()
        for status, names in (
            ("protecting", ["cancel"]),
            ("available", ["restore", "verify", "copy", "delete"]),
            ("error", ["delete"]),
        ):
            with self.subTest(status=status):
                checkpoint = self.checkpoint(plan, status)
                table = self.client.get(f"{address('index')}?status={status}").context["table"]
                (datum,) = [each for each in table.data if each.id == checkpoint["id"]]
                self.assertEqual(names, [action.name for action in table.get_row_actions(datum)])

    def test_cancel_and_delete(self):
        plan = self.plan()
        running, done = self.checkpoint(plan, "protecting"), self.checkpoint(plan)
        for action, checkpoint in (("cancel", running), ("delete", done)):
            data = {"action": f"checkpoints__{action}__{PROVIDER}_{checkpoint['id']}"}
            self.assertEqual(302, self.client.post(address("index"), data).status_code)
        self.assertEqual(2, sum(method == "delete_checkpoint" for method, _ in self.protection.calls))


class FormsTest(Case):
    def submit(self, name, times=1, **values):
        checkpoint = self.checkpoint(self.plan())
        page = address(name, PROVIDER, checkpoint["id"])
        key = self.client.get(page).context["form"]["request_key"].value()
        for _ in range(times):
            response = self.client.post(page, {"request_key": key, **values})
        return response

    def test_verify_twice_starts_one_verification(self):
        self.assertEqual(302, self.submit("verify", times=2, option_0="full").status_code)
        (verification,) = self.alice.get("/verifications")["verifications"]
        self.assertEqual({"level": "full"}, next(iter(verification["parameters"].values())))

    def test_what_the_api_refuses_can_be_corrected_and_sent_again(self):
        checkpoint = self.checkpoint(self.plan())
        for name, limit, first, second in (
            ("verify", "verifications", {"option_0": "full"}, {"option_0": "quick"}),
            ("copy", "checkpoints", {"target": OTHER_PROVIDER}, {"target": OTHER_PROVIDER}),
        ):
            with self.subTest(form=name):
                page = address(name, PROVIDER, checkpoint["id"])
                key = self.client.get(page).context["form"]["request_key"].value()
                with self.quota(**{limit: 0}):
                    self.assertContains(self.client.post(page, {"request_key": key, **first}), "exceeded")
                self.assertEqual(302, self.client.post(page, {"request_key": key, **second}).status_code)

    def test_copy(self):
        response = self.submit("copy", target=OTHER_PROVIDER)
        self.assertIn(OTHER_PROVIDER, response["Location"])
        self.assertEqual(1, len(self.alice.get(f"/providers/{OTHER_PROVIDER}/checkpoints")["checkpoints"]))


class CalendarTest(Case):
    def test_a_day_has_a_mark(self):
        plan = self.plan()
        good, bad = self.checkpoint(plan), self.checkpoint(plan, "error")
        then = datetime(2031, 5, 6, 12, tzinfo=UTC)

        def move(session):
            for each in (good, bad):
                CHECKPOINTS.update(session, each["id"], {"created_at": then})

        self.database.write(move)
        self.requests.clear()
        response = self.client.get(address("calendar") + "?month=2031-05")
        self.assertContains(response, "start_date=2031-05-06&amp;end_date=2031-05-06")
        self.assertContains(response, "1 available")
        self.assertContains(response, "1 failed")
        self.assertContains(response, "May 2031")
        self.assertEqual(2, len(self.requests))

    def test_a_month_that_is_none_is_the_current_one(self):
        for month in ("2031-13", "x", "99999-01", "", "0001-01", "9999-12", "0999-12"):
            with self.subTest(month=month):
                earliest = f"{datetime.now(UTC):%Y-%m}"
                response = self.client.get(f"{address('calendar')}?month={month}")
                self.assertIn(response.context["value"], (earliest, f"{datetime.now(UTC):%Y-%m}"))


class ProgressTest(Case):
    def test_the_fragment_ends_with_the_operation(self):
        checkpoint = self.checkpoint(self.plan(), "protecting")
        page = address("progress", PROVIDER, checkpoint["id"])
        running = self.client.get(page)
        self.assertContains(running, f'data-dp-poll="{page}"')
        self.assertContains(running, "50 %")
        self.assertContains(running, "upload")
        self.protection.set_status(checkpoint["id"], "available")
        self.assertContains(self.client.get(page), 'data-dp-poll=""')

    def test_rate_and_time_left(self):
        class Work:
            status, reason = "protecting", None

            def progress_now(self):
                return work.Progress("protecting", 1024, 4096, {})

        with freezegun.freeze_time("2031-05-06 12:00"):
            shown = progress.context(Work(), started=datetime(2031, 5, 6, 11, 58, 56, tzinfo=UTC))
        self.assertEqual((25, True), (shown["percent"], shown["running"]))
        self.assertEqual("3 min 12 s", shown["left"])
        self.assertIn("16", shown["rate"])
