"""Strict reader for the file of a provider: every mistake is reported with its line, and without what may be secret."""

import contextlib
import difflib
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

from oslo_config import cfg

from karbor_like import configfile, exception
from karbor_like.protection.registry import karbor_files

_SYSTEM_DIRECTORY = Path("/etc/karbor_like")

#: An option in a message, ``[section] option = value``, as it is in the file.
_MENTIONED: Final = re.compile(r"\[(?P<section>[\w.-]+)\] (?P<option>[\w-]+)(?P<value> = )?")

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
    mistakes = [*(said for _, said in text.references()), *text.unknown(conf, [group]), *text.lookalikes(group)]
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


def karbor_remarks(path: Path) -> list[str]:
    """Say which lines of a file of Karbor mean something else here, or nothing."""
    return list(_Text(path).karbor_remarks())


def located(path: Path, message: str) -> str:
    """Return *message* with the path and, if it names an option of the file (``[section] option = value``), the line."""
    return _Text(path).locate(message)


class _Text(configfile.ConfigFile):
    """The assignments of a provider's file, and the mistakes in them."""

    def unknown(self, conf: cfg.ConfigOpts, sections: Iterable[str] | None) -> Iterator[str]:
        """Say which options nothing reads.

        :param sections: the only ones to look at; None: all
        """
        for entry in self.entries:
            if (sections is not None and entry.section not in sections) or _ignored(entry):
                continue
            if entry.section not in _groups(conf):
                close = difflib.get_close_matches(entry.section.lower(), _groups(conf), n=1)
                hint = f"did you mean [{close[0]}]?" if close else "is it misspelt, or is its plugin missing?"
                yield self.at(entry, f"nothing reads this section; {hint}")
            elif entry.name not in conf[entry.section]:
                yield self.at(entry, f"nothing reads this option; {_hint(conf, entry)}")

    def lookalikes(self, group: str) -> Iterator[str]:
        """Say which section was probably intended as *group*, if there is none."""
        if group in self.sections:
            return
        close = [name for name in self.sections if difflib.get_close_matches(name.lower(), [group])]
        for name in close:
            yield f"{self.path}:{self.sections[name]}: [{name}]: did you mean [{group}]?"
        if not close:
            yield f"{self.path}: section [{group}] is missing"

    def invalid(self, conf: cfg.ConfigOpts) -> Iterator[str]:
        """Say which values have the wrong type."""
        for entry in self.entries:
            if entry.section in _groups(conf) and entry.name in conf[entry.section]:
                try:
                    conf[entry.section][entry.name]
                except (cfg.Error, ValueError) as error:
                    yield self.at(entry, _reason(error))

    def karbor_remarks(self) -> Iterator[str]:
        """Say which lines are ignored or replaced."""
        for entry in self.entries:
            replacement = karbor_files.PLUGINS.get(entry.value) if entry.option == "plugin" else None
            if replacement:
                yield self.at(entry, f"{entry.value} {replacement.remark}")
            elif said := _ignored(entry):
                yield self.at(entry, said)

    def locate(self, mistake: Exception | str) -> str:
        """Return a message with path and line."""
        message = str(mistake)
        if message.startswith(str(self.path)):
            return message
        if match := _INVALID_VALUE.fullmatch(message):
            for entry in self.entries:
                if entry.name == match["option"]:
                    return self.at(entry, match["reason"])
        if match := _MENTIONED.search(message):
            for entry in self.entries:
                if (entry.section, entry.option) == match.group("section", "option") and (
                    match["value"] is None or f"{message[match.end() :]} ".startswith(f"{entry.value} ")
                ):
                    return f"{self.path}:{entry.line}: {message}"
        return f"{self.path}: {message}"


def _ignored(entry: configfile.Entry) -> str | None:
    return karbor_files.OPTIONS.get((entry.section, entry.name))


def _groups(conf: cfg.ConfigOpts) -> list[str]:
    return [name for name in conf if isinstance(conf[name], cfg.ConfigOpts.GroupAttr)]


def _hint(conf: cfg.ConfigOpts, entry: configfile.Entry) -> str:
    close = difflib.get_close_matches(entry.name.lower(), list(conf[entry.section]), n=1)
    if close:
        return f"did you mean {close[0]}?"
    owners = [f"[{group}]" for group in _groups(conf) if entry.name in conf[group]]
    return f"it belongs in {' or '.join(owners)}" if owners else "is it misspelt, or is its plugin missing?"


def _reason(error: Exception) -> str:
    match = _INVALID_VALUE.fullmatch(str(error))
    return match["reason"] if match else str(error)
