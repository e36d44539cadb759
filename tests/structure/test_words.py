"""The check of the word list finds avoided words in prose, and only there."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

from tests.structure.source import ROOT

GLOSSARY = """\
Words to avoid
==============

.. list-table::

   * - Avoid
     - Write instead
     - Accepted
   * - ``heretofore``
     - ``again`` or ``re-``
     -
   * - ``goes hither``, ``abides``
     - ``continues``
     - ``abides by``, ``Abides``
"""


@pytest.fixture(scope="module")
def tool() -> ModuleType:
    spec = importlib.util.spec_from_file_location("check_words", ROOT / "tools" / "check_words.py")
    assert spec
    assert spec.loader
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def glossary(tmp_path: Path) -> Path:
    path = tmp_path / "glossary.rst"
    path.write_text(GLOSSARY)
    return path


def hits(tool: ModuleType, glossary: Path, text: str, suffix: str) -> list[tuple[int, str]]:
    return [(hit.line, hit.phrase) for hit in tool.read_words(glossary).check(text, suffix)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("# It goes hither.\n", [(1, "goes hither")]),
        ("x = 1\n# It goes\n# hither here.\n", [(2, "goes hither")]),
        ('"""Made heretofore.\n\nHeretofore.\n"""\n', [(1, "heretofore"), (3, "Heretofore")]),
        ('LOG.info("made heretofore")\n', [(1, "heretofore")]),
        ('LOG.info("it goes "\n         f"hither at {place}")\n', [(1, "goes hither")]),
        ('f"{heretofore} is a variable here"\n', []),
        ('f"{name} was made heretofore"\n', [(1, "heretofore")]),
        ("def heretofore(abides): return {'heretofore': abides}\n", []),
        ('"""The word ``heretofore`` and :func:`heretofore`; a newspaper abides-in."""\n', []),
        ("# It abides by 'checkpoint'. It abides.\n", [(1, "abides")]),
        ("# Abides by nothing: Abides, ABIDES.\n", [(1, "ABIDES")]),
    ],
)
def test_in_python_comments_and_texts_are_prose(
    tool: ModuleType, glossary: Path, text: str, expected: list[tuple[int, str]]
) -> None:
    assert hits(tool, glossary, text, ".py") == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("It is\nmade heretofore.\n", [(2, "heretofore")]),
        ("Run::\n\n    make heretofore\n\nAnd heretofore.\n", [(5, "heretofore")]),
        ("Run:\n\n.. code-block:: bash\n   :name: x\n\n   make heretofore\n\n   heretofore\n", []),
        ("* Run::\n\n      heretofore\n\n  It abides.\n", [(5, "abides")]),
        (".. note::\n\n   Made heretofore.\n", [(3, "heretofore")]),
        ("``heretofore``, `heretofore <https://heretofore.example>`_\n", []),
    ],
)
def test_in_documentation_everything_but_code_is_prose(
    tool: ModuleType, glossary: Path, text: str, expected: list[tuple[int, str]]
) -> None:
    assert hits(tool, glossary, text, ".rst") == expected


def test_in_scripts_comments_are_prose(tool: ModuleType, glossary: Path) -> None:
    assert hits(tool, glossary, "heretofore=1\n  # made heretofore\n", ".sh") == [(2, "heretofore")]


def test_a_hit_is_printed_with_its_replacement(
    tool: ModuleType, tmp_path: Path, glossary: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pages = tmp_path / "pages"
    pages.mkdir()
    (pages / "page.rst").write_text("It is built\nheretofore.\n")
    (pages / "picture.bin").write_bytes(b"\xff")

    assert tool.main([str(pages)], glossary) == 1

    assert capsys.readouterr().out == f'{pages}/page.rst:2: "heretofore": write "again" or "re-"\n'


def test_clean_files_pass(tool: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "page.rst").write_text("It is rebuilt.\n")
    assert tool.main([str(tmp_path / "page.rst")]) == 0


def test_every_row_of_the_glossary_is_read(tool: ModuleType) -> None:
    section = tool.GLOSSARY.read_text().partition("\nWords to avoid\n")[2]
    rows = section.count("\n   * - ") - 1
    assert len(tool._ROW.findall(section)) == rows > 20


def test_a_glossary_without_words_is_an_error(tool: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "glossary.rst").write_text("Glossary\n")
    with pytest.raises(ValueError, match="no table of words"):
        tool.read_words(tmp_path / "glossary.rst")
