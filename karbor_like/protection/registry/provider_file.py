"""Strict reader for the file of a provider: every mistake is reported with its line, and without what may be secret."""

import contextlib
import difflib
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from oslo_config import cfg, iniparser

from karbor_like import exception

_SYSTEM_DIRECTORY = Path("/etc/karbor_like")

#: An option in a message, ``[section] option = value``, as it is in the file.
_MENTIONED: Final = re.compile(r"\[(?P<section>[\w.-]+)\] (?P<option>[\w-]+)(?: = (?P<value>\S+))?")

#: The message of oslo.config about a value of the wrong type.
_INVALID_VALUE: Final = re.compile(r"Value for option (?P<option>\S+) from .* is not valid: (?P<reason>.*)", re.DOTALL)


def find_directory(conf: cfg.ConfigOpts) -> Path | None:
    """Find the directory of provider files: next to the main configuration file, in the working directory, or in /etc."""
    name = Path(conf.protection.provider_config_dir)
    parents = [Path(file).parent for file in conf.config_file or ()]
    candidates = [parent / name for parent in (*parents, Path(), _SYSTEM_DIRECTORY)]
    return next((candidate for candidate in candidates if candidate.is_dir()), None)


def parse(path: Path, opts: Sequence[cfg.Opt], group: str) -> cfg.ConfigOpts:
    """Parse a file as a separate configuration with *opts* registered.

    Raises ConfigurationError, which names the lines, if the file cannot be parsed, if *group* is missing, has an unknown
    option or lacks a required one, or if a value contains a reference to another option.
    """
    text = _Text(path)
    conf = cfg.ConfigOpts()
    conf.register_opts(opts, group=group)
    mistakes = [*text.references(), *text.unknown(conf, [group]), *text.lookalikes(group)]
    if mistakes:
        raise exception.ConfigurationError("; ".join(mistakes))
    with mistakes_of(path):
        conf([], project="karbor_like", prog=path.stem, default_config_files=[str(path)], default_config_dirs=[])
    return conf


@contextlib.contextmanager
def mistakes_of(path: Path) -> Iterator[None]:
    """Convert the configuration errors of a block to ConfigurationError, with the path and the line."""
    try:
        yield
    except exception.ConfigurationError as error:
        raise exception.ConfigurationError(located(path, error.message)) from error
    except cfg.RequiredOptError as error:
        section = getattr(error.group, "name", error.group)
        raise exception.ConfigurationError(f"{path}: [{section}] {error.opt_name} is missing") from error
    except (cfg.Error, ValueError) as error:
        raise exception.ConfigurationError(_Text(path).locate(error)) from error


def check_options(path: Path, conf: cfg.ConfigOpts, *, sections: bool = True) -> None:
    """Check a parsed file against the options that are registered by now.

    :param sections: whether all sections are known by now, so that others are mistakes

    Raises ConfigurationError for all mistakes: an option or section is unknown, or a value has the wrong type.
    """
    text = _Text(path)
    mistakes = [*text.unknown(conf, None if sections else _groups(conf)), *text.invalid(conf)]
    if mistakes:
        raise exception.ConfigurationError("; ".join(mistakes))


def located(path: Path, message: str) -> str:
    """Return *message* with the path and, if it names an option of the file (``[section] option = value``), the line."""
    return _Text(path).locate(message)


@dataclass(frozen=True)
class _Entry:
    """One assignment."""

    line: int
    section: str
    option: str
    value: str = field(repr=False)

    @property
    def name(self) -> str:
        """The option's name in oslo.config."""
        return self.option.replace("-", "_")


class _Parser(iniparser.BaseParser):
    """Collects the assignments of a file. oslo.config parses with the same class, but drops the lines."""

    def __init__(self) -> None:
        self.section: str | None = None
        self.sections: dict[str, int] = {}
        self.entries: list[_Entry] = []

    def new_section(self, section: str) -> None:
        self.section = section
        self.sections.setdefault(section, self.lineno)

    def assignment(self, key: str, value: list[str]) -> None:
        line = self.lineno - len(value)  # the parser has read the line after the value
        if self.section is None:
            raise self.parse_exc("an option before the first section", line, "")
        self.entries.append(_Entry(line, self.section, key, "\n".join(value)))


class _Text:
    """The assignments of a file. Raises ConfigurationError, without the text of a line, if it cannot be parsed."""

    def __init__(self, path: Path) -> None:
        self._path = path
        parser = _Parser()
        try:
            parser.parse([*path.read_text("utf-8").split("\n"), ""])
        except UnicodeDecodeError as error:
            raise exception.ConfigurationError(f"{path}: is not a text in UTF-8; at byte {error.start}") from None
        except iniparser.ParseError as error:
            raise exception.ConfigurationError(f"{path}:{error.lineno}: {error.msg}") from None
        self._entries = parser.entries
        self._sections = parser.sections

    def references(self) -> Iterator[str]:
        """Say where a value contains a reference to another option.

        A value may be a password, in which it is not intended. oslo.config would replace it, or show a part of the password.
        """
        for entry in self._entries:
            # oslo.config accepts both escapes.
            if cfg.ConfigOpts.Template(entry.value.replace(r"\$", "$$")).get_identifiers():
                yield self._at(entry, "contains a '$', which begins the name of another option; write '$$' for a '$'")

    def unknown(self, conf: cfg.ConfigOpts, sections: Iterable[str] | None) -> Iterator[str]:
        """Say which options nothing reads.

        :param sections: the only ones to look at; None: all
        """
        for entry in self._entries:
            if sections is not None and entry.section not in sections:
                continue
            if entry.section not in _groups(conf):
                close = difflib.get_close_matches(entry.section.lower(), _groups(conf), n=1)
                hint = f"did you mean [{close[0]}]?" if close else "is it misspelt, or is its plugin missing?"
                yield self._at(entry, f"nothing reads this section; {hint}")
            elif entry.name not in conf[entry.section]:
                yield self._at(entry, f"nothing reads this option; {_hint(conf, entry)}")

    def lookalikes(self, group: str) -> Iterator[str]:
        """Say which section was probably intended as *group*, if there is none."""
        if group in self._sections:
            return
        close = [name for name in self._sections if difflib.get_close_matches(name.lower(), [group])]
        for name in close:
            yield f"{self._path}:{self._sections[name]}: [{name}]: did you mean [{group}]?"
        if not close:
            yield f"{self._path}: section [{group}] is missing"

    def invalid(self, conf: cfg.ConfigOpts) -> Iterator[str]:
        """Say which values have the wrong type."""
        for entry in self._entries:
            if entry.section in _groups(conf) and entry.name in conf[entry.section]:
                try:
                    conf[entry.section][entry.name]
                except (cfg.Error, ValueError) as error:
                    yield self._at(entry, _reason(error))

    def locate(self, mistake: Exception | str) -> str:
        """Return a message with path and line."""
        message = str(mistake)
        if message.startswith(str(self._path)):
            return message
        if match := _INVALID_VALUE.fullmatch(message):
            for entry in self._entries:
                if entry.name == match["option"]:
                    return self._at(entry, match["reason"])
        if match := _MENTIONED.search(message):
            for entry in self._entries:
                if (entry.section, entry.option) == match.group("section", "option") and match["value"] in (
                    None,
                    entry.value,
                ):
                    return f"{self._path}:{entry.line}: {message}"
        return f"{self._path}: {message}"

    def _at(self, entry: _Entry, mistake: str) -> str:
        return f"{self._path}:{entry.line}: [{entry.section}] {entry.option}: {mistake}"


def _groups(conf: cfg.ConfigOpts) -> list[str]:
    return [name for name in conf if isinstance(conf[name], cfg.ConfigOpts.GroupAttr)]


def _hint(conf: cfg.ConfigOpts, entry: _Entry) -> str:
    close = difflib.get_close_matches(entry.name.lower(), list(conf[entry.section]), n=1)
    if close:
        return f"did you mean {close[0]}?"
    owners = [f"[{group}]" for group in _groups(conf) if entry.name in conf[group]]
    return f"it belongs in {' or '.join(owners)}" if owners else "is it misspelt, or is its plugin missing?"


def _reason(error: Exception) -> str:
    match = _INVALID_VALUE.fullmatch(str(error))
    return match["reason"] if match else str(error)
