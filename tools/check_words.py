"""Check prose for the words that the glossary tells authors to avoid: ``python tools/check_words.py PATH...``.

The words, their replacements and the exceptions are read from the table "Words to avoid" of
``doc/source/contributor/glossary.rst``. Prose is: comments, docstrings and other texts of several words in Python files;
everything but literal blocks and inline literals in reStructuredText and YAML; comments in shell scripts; whole files of
any other type. Prints one line for each hit and exits with 1 if there are any.
"""

import io
import re
import sys
import tokenize
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

GLOSSARY: Final = Path(__file__).resolve().parents[1] / "doc" / "source" / "contributor" / "glossary.rst"

#: Types of files that are checked in directories.
SUFFIXES: Final = (".py", ".rst", ".yaml", ".sh", ".sample")

_SECTION = re.compile(r"^Words to avoid\n=+\n(.*)", re.MULTILINE | re.DOTALL)
_ROW = re.compile(r"^ {3}\* - (``.*)\n {5}- (.+)\n {5}-(.*)$", re.MULTILINE)
_LITERAL = re.compile(r"``(.+?)``")

#: Stands for a character that is not prose. No pattern matches it and it ends words.
_MASK: Final = "\N{MIDDLE DOT}"
#: What may separate two words of a phrase: line ends, comment signs, and the quotes of adjacent strings.
_GAP: Final = r"(?:[\s#\"']+(?:f[\"'])?)"


@dataclass(frozen=True)
class Hit:
    """An avoided phrase in a file.

    :param line: counted from 1
    :param phrase: as it is in the file, with single spaces
    :param instead: the replacement that the glossary gives
    """

    line: int
    phrase: str
    instead: str


class Words:
    """The word list.

    :param replacements: what to write instead of each avoided phrase, which is in lower case
    :param exceptions: phrases in which an avoided phrase is accepted; case matters in those with an upper-case letter
    """

    def __init__(self, replacements: dict[str, str], exceptions: Iterable[str] = ()) -> None:
        self._replacements = replacements
        self._avoid = _pattern(replacements)
        self._accept = _pattern(exceptions)

    def check(self, text: str, suffix: str) -> Iterator[Hit]:
        """Find the avoided phrases in the prose of a file.

        :param suffix: the type of the file, such as ``.py``
        """
        if not self._avoid.search(text):
            return
        prose = self._accept.sub(_masked, _PROSE.get(suffix, str)(text))
        for match in self._avoid.finditer(prose):
            phrase = " ".join(re.split(_GAP, match.group()))
            yield Hit(text.count("\n", 0, match.start()) + 1, phrase, self._replacements[phrase.lower()])


def read_words(glossary: Path = GLOSSARY) -> Words:
    """Read the word list from the glossary.

    :raises ValueError: the glossary has no table of words
    """
    section = _SECTION.search(glossary.read_text())
    rows = _ROW.findall(section.group(1)) if section else []
    if not rows:
        raise ValueError(f"{glossary}: no table of words; expected a section 'Words to avoid' with rows of three cells")
    replacements = {
        phrase: instead.replace("``", '"') for avoid, instead, _ in rows for phrase in _LITERAL.findall(avoid)
    }
    return Words(replacements, [phrase for *_, accepted in rows for phrase in _LITERAL.findall(accepted)])


def _pattern(phrases: Iterable[str]) -> re.Pattern[str]:
    alternatives = "|".join(map(_alternative, sorted(phrases, key=len, reverse=True))) or "(?!)"
    return re.compile(rf"\b(?<!-)(?:{alternatives})(?![\w-])")


def _alternative(phrase: str) -> str:
    words = _GAP.join(map(re.escape, phrase.split()))
    return f"(?i:{words})" if phrase.islower() else words


def _masked(match: re.Match[str]) -> str:
    return re.sub(r"\S", _MASK, match.group())


_INLINE = re.compile(r"``[^`]+?``|`[^`]+?`_|https?://\S+|(?<!\w):[a-z]+:`[^`]+`|^\s*:[a-z]+ \w+:", re.MULTILINE)
#: What precedes a literal block: a directive for code, or a paragraph that ends with two colons.
_OPENER = re.compile(
    r"(?P<indent> *(?:(?:[*-]|#\.|\d+\.) +)*)(?:\.\. (?:code-block|literalinclude)::.*|(?!\.\. ).*::)$"
)


def _rst_prose(text: str) -> str:
    lines = text.split("\n")
    indent: int | None = None
    for number, line in enumerate(lines):
        if indent is not None and (not line.strip() or len(line) - len(line.lstrip()) > indent):
            lines[number] = re.sub(r"\S", _MASK, line)
        else:
            opener = _OPENER.match(line)
            indent = len(opener["indent"]) if opener else None
    return _INLINE.sub(_masked, "\n".join(lines))


def _shell_prose(text: str) -> str:
    return re.sub(r"^(?!\s*#).*$", _masked, text, flags=re.MULTILINE)


def _python_prose(source: str) -> str:
    lines = [re.sub(r"\S", _MASK, line) for line in source.splitlines(keepends=True)]
    original = source.splitlines(keepends=True)
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT or _is_text(token):
            _restore(lines, original, token)
    return _INLINE.sub(_masked, "".join(lines))


def _is_text(token: tokenize.TokenInfo) -> bool:
    """Whether a token is a string of several words, as opposed to a name or a key."""
    if tokenize.tok_name[token.type] == "FSTRING_MIDDLE":
        return True
    return token.type == tokenize.STRING and " " in token.string.strip("\"' ")


def _restore(lines: list[str], original: Sequence[str], token: tokenize.TokenInfo) -> None:
    """Undo the masking of a token, except for the expressions in an f-string."""
    (first, start), (last, end) = token.start, token.end
    for number in range(first, last + 1):
        left, right = start if number == first else 0, end if number == last else len(original[number - 1])
        prose = original[number - 1][left:right]
        if token.type == tokenize.STRING and "f" in token.string[:2].lower():
            prose = re.sub(r"\{[^{}]*\}", _masked, prose)
        lines[number - 1] = lines[number - 1][:left] + prose + lines[number - 1][right:]


_PROSE: Final = {".py": _python_prose, ".rst": _rst_prose, ".yaml": _rst_prose, ".sh": _shell_prose}


def _files(paths: Iterable[Path]) -> Iterator[Path]:
    for path in paths:
        if path.is_dir():
            inside = (file for file in path.rglob("*") if file.suffix in SUFFIXES)
            yield from sorted(file for file in inside if not _is_generated(file.relative_to(path)))
        else:
            yield path


def _is_generated(path: Path) -> bool:
    return any(part.startswith(".") or part in ("build", "_static") for part in path.parts)


def main(arguments: Sequence[str], glossary: Path = GLOSSARY) -> int:
    """Check files and directories, and print each hit.

    :returns: the exit code
    """
    words = read_words(glossary)
    failed = False
    for path in _files(map(Path, arguments)):
        for hit in words.check(path.read_text(), path.suffix):
            failed = True
            print(f'{path}:{hit.line}: "{hit.phrase}": write {hit.instead}')
    return int(failed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
