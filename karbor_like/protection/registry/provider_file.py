"""Strict reader for the file of a provider: every mistake is reported with its line."""

import contextlib
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from oslo_config import cfg

from karbor_like import exception

_SYSTEM_DIRECTORY = Path("/etc/karbor_like")


def find_directory(conf: cfg.ConfigOpts) -> Path | None:
    """Find the directory of provider files: next to the main configuration file, in the working directory, or in /etc."""
    name = Path(conf.protection.provider_config_dir)
    parents = [Path(file).parent for file in conf.config_file or ()]
    candidates = [parent / name for parent in (*parents, Path(), _SYSTEM_DIRECTORY)]
    return next((candidate for candidate in candidates if candidate.is_dir()), None)


def parse(path: Path, opts: Sequence[cfg.Opt], group: str) -> cfg.ConfigOpts:
    """Parse a file as a separate configuration with *opts* registered. Raises the errors of oslo.config."""
    conf = cfg.ConfigOpts()
    conf.register_opts(opts, group=group)
    conf([], project="karbor_like", prog=path.stem, default_config_files=[str(path)], default_config_dirs=[])
    return conf


@contextlib.contextmanager
def mistakes_of(path: Path) -> Iterator[None]:
    """Convert the configuration errors of a block to ConfigurationError, with the path and the line."""
    try:
        yield
    except exception.ConfigurationError as error:
        raise exception.ConfigurationError(f"{_place(path, error.message)}: {error.message}") from error
    except cfg.ConfigFileParseError as error:
        raise exception.ConfigurationError(f"{path}: {error.msg}") from error
    except cfg.RequiredOptError as error:
        section = getattr(error.group, "name", error.group)
        raise exception.ConfigurationError(f"{path}: [{section}] {error.opt_name} is missing") from error
    except (cfg.ConfigFileValueError, ValueError) as error:
        raise exception.ConfigurationError(f"{_place(path, str(error))}: {error}") from error
    except cfg.Error as error:
        raise exception.ConfigurationError(f"{path}: {error}") from error


def check_options(path: Path, conf: cfg.ConfigOpts) -> None:
    """Check a parsed file against the options that are registered by now.

    :raises ConfigurationError: an option or section is unknown, or a value has the wrong type
    """
    sections: dict[str, dict[str, list[str]]] = {}
    cfg.ConfigParser(str(path), sections).parse()
    for section, options in sections.items():
        known = conf[section] if section in conf else None  # noqa: SIM401 - get() raises for an unknown one
        for option in options:
            if known is None or option.replace("-", "_") not in known:
                what = "option" if known is not None else "section"
                raise exception.ConfigurationError(
                    f"[{section}] {option}: nothing reads this {what}; is it misspelt, or is its plugin missing?"
                )
            known[option.replace("-", "_")]


def _place(path: Path, message: str) -> str:
    """Return ``path:line`` of the option that a message names (``[section] option = value``), or ``path``."""
    mentioned = re.search(r"\[(?P<section>[\w.-]+)\] (?P<option>[\w-]+)(?: = (?P<value>\S+))?", message) or re.search(
        r"option (?P<option>[\w-]+)", message
    )
    if mentioned is None:
        return str(path)
    section, value = mentioned.groupdict().get("section"), mentioned.groupdict().get("value")
    current = None
    for number, line in enumerate(path.read_text(errors="replace").splitlines(), start=1):
        header = re.fullmatch(r"\s*\[(.+?)\]\s*", line)
        if header:
            current = header[1]
            continue
        option, _, given = (part.strip() for part in re.sub("[=:]", "=", line, count=1).partition("="))
        if option == mentioned["option"] and section in (None, current) and value in (None, given):
            return f"{path}:{number}"
    return str(path)
