"""``karbor-like-manage provider``: checks of providers' files."""

import contextlib
import os
from pathlib import Path
from typing import Any

from oslo_config import cfg

from karbor_like import exception, service
from karbor_like.clock import SystemClock
from karbor_like.protection.registry import provider_file, providers


def register(nouns: Any) -> None:
    """Add ``provider check``."""
    verbs = nouns.add_parser("provider", help="check providers' files").add_subparsers(dest="verb", required=True)
    text = "find the mistakes in providers' files, and check that their banks can be read and written"
    checking = verbs.add_parser("check", help=text, description=text)
    checking.add_argument("files", nargs="*", type=Path, metavar="FILE", help="default: all files of this installation")
    checking.add_argument("--offline", action="store_true", help="do not connect to the banks")
    checking.set_defaults(run=check)


def check(conf: cfg.ConfigOpts) -> int:
    """Print the mistakes in providers' files, or what was checked. A provider that is not enabled is checked, too.

    :returns: exit code, 1 if there are mistakes or no files
    """
    found, mistakes = providers.check(conf.command.files or _installed(conf), SystemClock(), disabled=True)
    for provider in found:
        with contextlib.closing(provider):
            problem = None if conf.command.offline else _try_bank(provider)
        print(*(f"{remark}\n" for remark in provider.remarks), sep="", end="")
        if problem is None:
            print(f"{provider.path}: provider {provider.name} ({provider.id}): no mistakes found")
        else:
            mistakes.append(f"{provider.path}: {problem}")
    print(*mistakes, sep="\n", end="\n" if mistakes else "")
    return 1 if mistakes else 0


def _installed(conf: cfg.ConfigOpts) -> list[Path]:
    directory = provider_file.find_directory(conf)
    paths = sorted(directory.glob("*.conf")) if directory else []
    if not paths:
        raise exception.InvalidInput(
            f"there are no files *.conf in {directory or conf.protection.provider_config_dir}; name the files to check"
        )
    return paths


def _try_bank(provider: providers.Provider) -> str | None:
    """Write a small object to the provider's bank, read it and delete it. Return what does not work, or None."""
    holder = f"{service.MANAGE_BINARY} provider check {os.getpid()}"
    try:
        with provider.bank.leases.acquire(holder=holder, kind="read") as lease:
            provider.bank.leases.list()
            refusal = lease.unprotected
    except exception.KarborLikeError as error:
        return f"its bank cannot be used: {error}"
    return f"its bank can be read, but not written, so it protects nothing: {refusal}" if refusal else None
