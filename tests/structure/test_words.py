"""The check of the word list finds prose, and nothing but prose."""

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
   * - ``anew``
     - ``again`` or ``re-``
     -
   * - ``goes on``, ``stands``
     - ``continues``
     - ``stands for``
"""


@pytest.fixture(scope="module")
def tool() -> ModuleType:
    spec = importlib.util.spec_from_file_location("check_words", ROOT / "tools" / "check_words.py")
    assert spec
    assert spec.loader
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def hits(tool: ModuleType, directory: Path, text: str, suffix: str) -> list[tuple[int, str]]:
    glossary = directory / "glossary.rst"
    glossary.write_text(GLOSSARY)
    return [(hit.line, hit.phrase) for hit in tool.read_words(glossary).check(text, suffix)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("# It goes on.\n", [(1, "goes on")]),
        ("x = 1\n# It goes\n# on here.\n", [(2, "goes on")]),
        ('"""Made anew.\n\nAnew.\n"""\n', [(1, "anew"), (3, "Anew")]),
        ('LOG.info("made anew")\n', [(1, "anew")]),
        ('LOG.info("it goes "\n         f"on at {place}")\n', [(1, "goes on")]),
        ('f"{anew} is a variable here"\n', []),
        ('f"{name} is made anew"\n', [(1, "anew")]),
        ("def anew(stands): return {'anew': stands}\n", []),
        ('"""The word ``anew`` and :func:`anew`; a newspaper stands-off."""\n', []),
        ("# It stands for 'checkpoint'. It stands.\n", [(1, "stands")]),
    ],
)
def test_in_python_comments_and_texts_are_prose(
    tool: ModuleType, tmp_path: Path, text: str, expected: list[tuple[int, str]]
) -> None:
    assert hits(tool, tmp_path, text, ".py") == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("It is\nmade anew.\n", [(2, "anew")]),
        ("Run::\n\n    make anew\n\nAnd anew.\n", [(5, "anew")]),
        ("Run:\n\n.. code-block:: bash\n   :name: x\n\n   make anew\n\n   anew\n", []),
        ("* Run::\n\n      anew\n\n  It stands.\n", [(5, "stands")]),
        (".. note::\n\n   Made anew.\n", [(3, "anew")]),
        ("``anew``, `anew <https://anew.example>`_\n", []),
    ],
)
def test_in_documentation_everything_but_code_is_prose(
    tool: ModuleType, tmp_path: Path, text: str, expected: list[tuple[int, str]]
) -> None:
    assert hits(tool, tmp_path, text, ".rst") == expected


def test_in_scripts_comments_are_prose(tool: ModuleType, tmp_path: Path) -> None:
    assert hits(tool, tmp_path, "anew=1\n  # made anew\n", ".sh") == [(2, "anew")]


def test_a_hit_is_printed_with_its_replacement(
    tool: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "page.rst").write_text("It is built\nanew.\n")
    (tmp_path / "picture.bin").write_bytes(b"\xff")

    assert tool.main([str(tmp_path)]) == 1

    assert capsys.readouterr().out == f'{tmp_path}/page.rst:2: "anew": write "again" or "re-"\n'


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
