"""The texts: all are in the files for translators, and all are translated into each language that is delivered."""

import re

import messages
from babel.messages import mofile
from cloud import Case
from django.urls import reverse

LANGUAGES = sorted(messages.LOCALE.glob("*/LC_MESSAGES/django.po"))
RENEW = "run tools/messages.py in the directory of the dashboard, translate what is new, and run it again"


def placeholders(text):
    """Return what is replaced in a text, and the markup in it, as a sorted list."""
    return sorted(re.findall(r"%\(\w+\)[a-z]|%[sd%]|<[^>]*>", text))


def texts(value):
    return list(value) if isinstance(value, list | tuple) else [value]


class LocaleTest(Case):
    def test_all_texts_are_extracted(self):
        content = (messages.LOCALE / "django.pot").read_bytes()
        self.assertEqual(messages.written(messages.extracted()).decode(), content.decode(), RENEW)

    def test_all_texts_are_translated(self):
        self.assertIn("de", [path.parts[-3] for path in LANGUAGES])
        known = {(each.context, each.id) for each in messages.extracted() if each.id}
        for path in LANGUAGES:
            catalog = messages.read(path)
            with self.subTest(path=path):
                self.assertEqual(known, {(each.context, each.id) for each in catalog if each.id}, RENEW)
                self.assertEqual([], [each.id for each in catalog if each.id and not all(texts(each.string))], RENEW)
                self.assertEqual([], [each.id for each in catalog if each.id and each.fuzzy])

    def test_translations_have_the_placeholders_of_the_texts(self):
        for path in LANGUAGES:
            for each in messages.read(path):
                *_singular, text = texts(each.id)
                for translation in texts(each.string) if each.id else ():
                    with self.subTest(path=path, text=text):
                        self.assertEqual(placeholders(text), placeholders(translation))

    def test_what_django_reads_is_compiled(self):
        for path in LANGUAGES:
            with path.with_suffix(".mo").open("rb") as file:
                compiled = mofile.read_mo(file)
            # The header names the version of Babel.
            content, read = (
                {(each.context, *texts(each.id)): texts(each.string) for each in catalog if each.id}
                for catalog in (messages.read(path), compiled)
            )
            self.assertEqual(content, read, RENEW)

    def test_a_page_has_the_language_of_the_browser(self):
        response = self.client.get(reverse("horizon:data_protection:plans:index"), headers={"accept-language": "de"})
        self.assertContains(response, "Plan erstellen")
        self.assertContains(response, "Anbieter")
