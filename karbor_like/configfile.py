"""Configuration files with the lines of their options, for messages that show no value, as any value may be secret.

oslo.config shows the text of a line that it cannot parse. It also shows the part of a password after a ``$``, because it
expects the name of an option there.
"""

import logging
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from oslo_config import cfg, iniparser

from karbor_like import exception

LOG = logging.getLogger(__name__)

_SECRET_NAME: Final = re.compile(r"(?:password|secret|token|secret_id|token_id|(?:^|_)keys?)$", re.IGNORECASE)
_URL_WITH_PASSWORD: Final = re.compile(r"://[^@\s]*\$[^@\s]*@")
_USER_AND_PASSWORD: Final = re.compile(r"://[^@/\s]*:[^@/\s]+@")


@dataclass(frozen=True)
class Entry:
    """One assignment.

    :param line: number of its first line, from 1
    """

    line: int
    section: str
    option: str
    value: str = field(repr=False)

    @property
    def name(self) -> str:
        """The option's name in oslo.config."""
        return self.option.replace("-", "_")

    @property
    def has_reference(self) -> bool:
        """Whether oslo.config takes a part of the value for a reference to another option."""
        # oslo.config accepts both escapes.
        return bool(cfg.ConfigOpts.Template(self.value.replace(r"\$", "$$")).get_identifiers())

    @property
    def is_secret(self) -> bool:
        """Whether the value is a password or a similar secret, or a URL that contains one."""
        return bool(_SECRET_NAME.search(self.name) or _URL_WITH_PASSWORD.search(self.value))

    @property
    def has_password(self) -> bool:
        """Whether the value contains a URL with a password, as of a database or of the message bus."""
        return bool(_USER_AND_PASSWORD.search(self.value))


class ConfigFile:
    """The assignments of a file.

    Raises ConfigurationError that names the line, but not its text, if the file cannot be parsed.
    """

    def __init__(self, path: Path) -> None:
        self.path: Final = path
        parser = _Parser()
        try:
            parser.parse([*path.read_text("utf-8").split("\n"), ""])
        except UnicodeDecodeError as error:
            raise exception.ConfigurationError(f"{path}: is not a text in UTF-8; at byte {error.start}") from None
        except iniparser.ParseError as error:
            raise exception.ConfigurationError(f"{path}:{error.lineno}: {error.msg}") from None
        self.entries: Final = parser.entries
        #: Section -> its first line.
        self.sections: Final = parser.sections

    def references(self) -> Iterator[tuple[Entry, str]]:
        """Yield each option whose value contains a reference to another option, and a message about it."""
        for entry in self.entries:
            if entry.has_reference:
                what = "contains a '$', which begins the name of another option; write '$$' for a '$'"
                yield entry, self.at(entry, what)

    def at(self, entry: Entry, mistake: str) -> str:
        """Return a message about an option."""
        return f"{self.path}:{entry.line}: [{entry.section}] {entry.option}: {mistake}"


def paths(conf: cfg.ConfigOpts) -> list[Path]:
    """Return the files that *conf* has read."""
    found = [Path(name) for name in conf.config_file or ()]
    return [*found, *(path for name in conf.config_dir or () for path in sorted(Path(name).glob("*.conf")))]


def check_secrets(conf: cfg.ConfigOpts) -> None:
    """Check the files that *conf* has read. Raises ConfigurationError if a secret contains a reference to another option."""
    mistakes = [said for path in paths(conf) for entry, said in ConfigFile(path).references() if entry.is_secret]
    if mistakes:
        raise exception.ConfigurationError("; ".join(mistakes))


def without_text(error: cfg.ConfigFileParseError) -> exception.ConfigurationError:
    """Return an error that says the same as *error*, without the text of the line."""
    try:
        ConfigFile(Path(error.config_file))
    except exception.ConfigurationError as mistake:
        return mistake
    return exception.ConfigurationError(f"{error.config_file}: cannot be parsed")


class Options(cfg.ConfigOpts):
    """Options that a mistake in a file does not change while the process runs.

    oslo.config raises an error if it cannot parse a file, which would end a worker with its operations. It accepts an invalid
    value, and raises the error later in each thread that reads the option.
    """

    def mutate_config_files(self) -> dict[tuple[str | None, str], tuple[Any, Any]]:
        """Read the files again, and change the mutable options, all or none: a mistake is logged.

        :returns: the group and the name of each option that has changed -> the old and the new value
        """
        try:
            self._check_mutable()
            return super().mutate_config_files()
        except cfg.ConfigFileParseError as error:
            mistake = without_text(error).message
        except (cfg.Error, OSError, UnicodeDecodeError) as error:
            mistake = str(error)
        LOG.error("The configuration is not reloaded, and no option is changed: %s", mistake)
        return {}

    def _check_mutable(self) -> None:
        """Raise an error of oslo.config if a file cannot be parsed, or has an invalid value of a mutable option."""
        found = self._reload_config_files()
        for info, group in self._all_opt_infos():
            if info["opt"].mutable:
                self._do_get(info["opt"].dest, group, found)


class _Parser(iniparser.BaseParser):
    """Collects the assignments of a file. oslo.config parses with the same class, but drops the lines."""

    def __init__(self) -> None:
        self.section: str | None = None
        self.sections: dict[str, int] = {}
        self.entries: list[Entry] = []

    def new_section(self, section: str) -> None:
        self.section = section
        self.sections.setdefault(section, self.lineno)

    def assignment(self, key: str, value: list[str]) -> None:
        line = self.lineno - len(value)  # the parser has read the line after the value
        if self.section is None:
            raise self.parse_exc("an option before the first section", line, "")
        self.entries.append(Entry(line, self.section, key, "\n".join(value)))
