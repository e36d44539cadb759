"""What users do to all pages: sessions that expire, providers that disappear, and forms that are sent again."""

from cloud import Case
from django.urls import reverse
from objects import TENANT, make_objects

from tests.fixtures.fake_catalogue import OTHER_PROVIDER, PROVIDER

FORMS = ("edit", "protect", "verify", "copy", "create schedule", "edit trigger")
EXPIRED = (401, {"unauthorized": {"code": 401, "message": "expired", "type": "unauthorized"}})


def filled(form):
    """Return what a browser sends of a form as it was opened."""
    found = {}
    for name, field in form.fields.items():
        value = form[name].value()
        # A list without a default sends its first item.
        choices = [key for key, _text in getattr(field, "choices", ()) if key]
        found[name] = value if value not in (None, "") or name in ("trigger",) else (choices or [""])[0]
    return {name: value for name, value in found.items() if value not in (None, "", False)}


class ExpiredSessionTest(Case):
    def test_all_pages_lead_to_the_login(self):
        pages = make_objects(self)
        self.broken = EXPIRED
        for name, page in pages.items():
            for headers in ({}, {"x-requested-with": "XMLHttpRequest"}):
                with self.subTest(page=name, headers=headers):
                    response = self.client.get(page, headers=headers)
                    # Horizon's own scripts go to the login after an answer 401.
                    self.assertEqual(401 if headers else 302, response.status_code)
                    if not headers:
                        self.assertIn("/auth/", response["Location"])

    def test_what_is_sent_then_is_not_lost_silently(self):
        pages = make_objects(self)
        for name in FORMS:
            with self.subTest(form=name):
                self.broken = None
                data = filled(self.client.get(pages[name]).context["form"])
                self.broken = EXPIRED
                response = self.client.post(pages[name], data)
                self.assertEqual(302, response.status_code)
                self.assertIn("/auth/", response["Location"])

    def test_a_form_can_be_sent_again_after_the_login(self):
        pages = make_objects(self)
        before = len(self.checkpoints())
        data = filled(self.client.get(pages["protect"]).context["form"])
        self.broken = EXPIRED
        self.client.post(pages["protect"], data)
        self.broken = None
        self.assertEqual(302, self.client.post(pages["protect"], data).status_code)
        self.assertEqual(before + 1, len(self.checkpoints()))

    def checkpoints(self):
        return self.alice.get(f"/providers/{PROVIDER}/checkpoints")["checkpoints"]


class DisappearedProviderTest(Case):
    def test_all_pages_are_shown_or_say_so(self):
        pages = make_objects(self)
        del self.protection.providers[PROVIDER]
        for name, page in pages.items():
            with self.subTest(page=name):
                response = self.client.get(page, follow=True)
                self.assertIn(response.status_code, (200, 404))

    def test_forms_that_were_opened_before_say_so(self):
        pages = make_objects(self)
        data = {name: filled(self.client.get(pages[name]).context["form"]) for name in ("protect", "verify", "copy")}
        create = filled(self.client.get(pages["create restore"]).context["form"])
        del self.protection.providers[PROVIDER]
        for name, fields in data.items():
            with self.subTest(form=name):
                response = self.client.post(pages[name], fields, follow=True)
                self.assertEqual(200, response.status_code)
                shown = self.texts(response) or [str(response.context["form"].errors)]
                self.assertTrue(any("provider" in text.lower() for text in shown), shown)
        response = self.client.post(pages["create restore"], create, follow=True)
        self.assertTrue(any("does not exist any more" in text for text in self.texts(response)), self.texts(response))

    def test_the_wizard_does_not_take_it(self):
        page = reverse(f"{TENANT}:plans:create")
        data = {}
        for step in self.client.get(page).context["workflow"].steps:
            data |= filled(step.action)
        data |= {"name": "p", "resources": [self.resource()], "provider_id": OTHER_PROVIDER, "when": ""}
        del self.protection.providers[OTHER_PROVIDER]
        self.assertContains(self.client.post(page, data), "not one of the available choices")
        self.assertEqual([], self.alice.get("/plans")["plans"])

    def resource(self):
        ((kind, (resource,)), *_more) = self.protection.resources.items()
        return f"{kind}#{resource['id']}"


class SentAgainTest(Case):
    """A double click, and the back button of the browser, which shows a form as it was sent."""

    def counts(self):
        checkpoints = [
            each
            for provider in (PROVIDER, OTHER_PROVIDER)
            for each in self.alice.get(f"/providers/{provider}/checkpoints")["checkpoints"]
        ]
        listed = {
            "verifications": self.alice.get("/verifications")["verifications"],
            "schedules": self.alice.get("/scheduled_operations")["operations"],
            "triggers": self.alice.get("/triggers")["triggers"],
        }
        return {"checkpoints": len(checkpoints), **{name: len(found) for name, found in listed.items()}}

    def test_each_form_has_one_effect(self):
        pages = make_objects(self)
        for name, effect in (
            ("protect", {"checkpoints": 1}),
            ("verify", {"verifications": 1}),
            ("copy", {"checkpoints": 1}),
            ("create schedule", {"schedules": 1, "triggers": 1}),
        ):
            with self.subTest(form=name):
                data = filled(self.client.get(pages[name]).context["form"])
                data |= {"name": "again", "at": "01:00"} if name == "create schedule" else {}
                before = self.counts()
                for _ in range(2):
                    self.assertEqual(302, self.client.post(pages[name], data).status_code)
                self.assertEqual({kind: count + effect.get(kind, 0) for kind, count in before.items()}, self.counts())

    def test_a_change_that_was_sent_does_not_undo_a_later_one(self):
        pages = make_objects(self)
        (plan,) = self.alice.get("/plans")["plans"]
        data = filled(self.client.get(pages["edit"]).context["form"]) | {"name": "first"}
        self.assertEqual(302, self.client.post(pages["edit"], data).status_code)
        self.alice.put(f"/plans/{plan['id']}", {"plan": {"name": "second"}})
        self.assertEqual(302, self.client.post(pages["edit"], data).status_code)
        self.assertEqual("second", self.alice.get(f"/plans/{plan['id']}")["plan"]["name"])
