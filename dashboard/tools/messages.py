"""Renews the files with the texts of the dashboard: ``python tools/messages.py`` in the directory of the dashboard.

It extracts all texts from Python and from templates, and adds new ones to each language, where a person translates them. Run
once more after that, it compiles what Django reads.
"""

import datetime
import io
import pathlib
import sys
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from babel.messages import catalog, extract, frontend, mofile, pofile
from django.utils.translation import template as django_template

ROOT = pathlib.Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "karbor_like_dashboard"
LOCALE = PACKAGE / "locale"
_CONFIGURATION = ROOT / "babel-django.cfg"
KEYWORDS: Mapping[str, Any] = {
    **extract.DEFAULT_KEYWORDS,
    "gettext_lazy": None,
    "ngettext_lazy": (1, 2),
    "pgettext_lazy": ((1, "c"), 2),
}

#: In all files, instead of the times of changes, which the history of the repository has.
_DATE = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)

#: In front of texts that need an explanation, in comments.
_TAG = "Translators:"

#: What differs between the versions of Babel, and what is not filled in.
_NEVER = (b'"Generated-By:', b'"Report-Msgid-Bugs-To: EMAIL', b'"Last-Translator: FULL', b'"PO-Revision-Date: YEAR')

_Message = tuple[int, str, Any, list[str]]


def templates(
    file: Any, keywords: Mapping[str, Any], comment_tags: Collection[str], options: Mapping[str, Any]
) -> Iterator[_Message]:
    """Yield the texts of a template, as an extractor of Babel."""
    python = django_template.templatize(file.read().decode())
    # What is not a text has become a row of letters, whose indentation means nothing.
    lines = "\n".join(line.strip() for line in python.split("\n"))
    yield from extract.extract_python(io.BytesIO(lines.encode()), keywords, comment_tags, options)


def extracted() -> catalog.Catalog:
    """Return all texts, in the order of files, without dates and line numbers, which would change with each edit."""
    # By this name, the configuration names the extractor for templates.
    sys.modules.setdefault("messages", sys.modules[__name__])
    with _CONFIGURATION.open() as file:
        methods, options = frontend.parse_mapping_cfg(file)
    found = catalog.Catalog(
        header_comment="# Texts of the dashboard. Renewed with tools/messages.py.",
        project="karbor_like_dashboard",
        creation_date=_DATE,
        fuzzy=False,
    )
    texts = sorted(
        extract.extract_from_dir(PACKAGE, methods, options, keywords=KEYWORDS, comment_tags=[_TAG]),
        key=lambda each: (each[0], each[1]),
    )
    for name, _line, text, comments, context in texts:
        found.add(text, None, [(f"karbor_like_dashboard/{name}", None)], auto_comments=comments, context=context)
    return found


def read(path: pathlib.Path) -> catalog.Catalog:
    """Return the texts of a file; its language is that of its directory."""
    language = None if path.suffix == ".pot" else path.parts[-3]
    with path.open("rb") as file:
        return pofile.read_po(file, locale=language)


def written(texts: catalog.Catalog) -> bytes:
    """Return the content of a file with texts."""
    made = io.BytesIO()
    pofile.write_po(made, texts, width=120, ignore_obsolete=True, include_lineno=False)
    lines = made.getvalue().split(b"\n")
    return b"\n".join(line for line in lines if not line.startswith(_NEVER))


def compiled(texts: catalog.Catalog) -> bytes:
    """Return what Django reads of a language."""
    made = io.BytesIO()
    mofile.write_mo(made, texts)
    return made.getvalue()


def main() -> None:
    """Renew all files."""
    found = extracted()
    (LOCALE / "django.pot").write_bytes(written(found))
    for path in sorted(LOCALE.glob("*/LC_MESSAGES/django.po")):
        texts = read(path)
        # A similar text is no translation.
        texts.update(found, no_fuzzy_matching=True, update_creation_date=False)
        path.write_bytes(written(texts))
        path.with_suffix(".mo").write_bytes(compiled(texts))
        print(f"{path}: {sum(not each.string for each in texts if each.id)} texts are not translated")


if __name__ == "__main__":
    main()
