"""``karbor-like-status upgrade check``: check whether the services of the installed code will start and work.

It reads the configuration, the database and the provider files, sends one request through the API, and changes nothing. The
exit code is that of the worst result: 0 for success, 1 for a warning, 2 for a failure
(https://docs.openstack.org/oslo.upgradecheck).
"""

import difflib
import functools
import importlib.util
import os
import re
import stat
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from keystonemiddleware import opts as auth_token_options
from oslo_config import cfg
from oslo_db import exception as db_exception
from oslo_policy import policy as oslo_policy
from oslo_upgradecheck import upgradecheck
from oslo_upgradecheck.upgradecheck import Code, Result
from sqlalchemy import orm

from karbor_like import configfile, exception, policy, service
from karbor_like.clients import errors
from karbor_like.clients.factory import ClientFactory
from karbor_like.clock import SystemClock
from karbor_like.db import migration, services
from karbor_like.db.session import Database
from karbor_like.protection.registry import provider_file, providers
from karbor_like.rpc import client, operationengine, protection
from karbor_like.secret import Cipher
from karbor_like.triggers.contract import Limits

_EXPECTED = (exception.KarborLikeError, cfg.Error, db_exception.DBError, oslo_policy.InvalidDefinitionError)

Check = Callable[["Checks"], Result]

#: Binary of a service -> the client that calls it.
_RPC: Final[Mapping[str, type[client.Client]]] = {
    service.PROTECTION_BINARY: protection.ProtectionClient,
    service.OPERATION_ENGINE_BINARY: operationengine.OperationEngineClient,
}
_BANK_PATH: Final = ("file_system_bank_plugin", "file_system_bank_path")
_REFERENCE: Final = re.compile(r"rule:([^\s()]+)")


def _report_errors(check: Check) -> Check:
    """Decorate *check* so that an error that an operator can fix is reported as a failure."""

    @functools.wraps(check)
    def run(checks: "Checks") -> Result:
        try:
            return check(checks)
        except (cfg.NoSuchOptError, cfg.TemplateSubstitutionError):
            # The message may contain a part of a password.
            return Result(
                Code.FAILURE, "a value refers with '$' to an option that does not exist; write '$$' for a '$'"
            )
        except _EXPECTED as error:
            return Result(Code.FAILURE, str(error))

    return run


class Checks(upgradecheck.UpgradeCommands):
    """The checks, in the order in which an operator would fix their findings.

    :param conf: read when the checks run; by then the configuration files have been loaded
    """

    def __init__(self, conf: cfg.ConfigOpts) -> None:
        self._conf = conf

    @_report_errors
    def configuration(self) -> Result:
        """Check that the processes can start with the configuration."""
        configfile.check_secrets(self._conf)
        Cipher.from_conf(self._conf)
        Limits.of(self._conf)
        for kind in _RPC.values():
            kind.called(self._conf)
        _check_token_cache(self._conf)
        return Result(Code.SUCCESS)

    @_report_errors
    def files(self) -> Result:
        """Check that only the services can read files with secrets, and that they can write their logs."""
        paths = [*configfile.paths(self._conf), *_provider_files(self._conf)]
        return _warn(*map(_exposed, filter(_has_secret, paths)), _unusable("log_dir", self._conf.log_dir))

    @_report_errors
    def policies(self) -> Result:
        """Check that the operator's policy files refer to existing rules, not in circles, and set rules that are used."""
        enforcer = policy.make_enforcer(self._conf)
        enforcer.load_rules()
        enforcer.check_rules(raise_on_violation=True)
        return _warn(*useless_rules(enforcer))

    @_report_errors
    def schema(self) -> Result:
        """Check that the database has the schema of this code."""
        migration.check_of(self._conf)
        return Result(Code.SUCCESS)

    @_report_errors
    def providers(self) -> Result:
        """Check that each provider file is valid, and that a provider is enabled."""
        enabled, mistakes = providers.check(_provider_files(self._conf), SystemClock())
        for provider in enabled:
            provider.close()
        if mistakes:
            return Result(Code.WARNING, f"the protection service will skip these providers: {'; '.join(mistakes)}")
        if not enabled:
            place = provider_file.find_directory(self._conf) or self._conf.protection.provider_config_dir
            return Result(Code.WARNING, f"{place}: no provider is enabled, so nothing can be protected")
        return _warn(*(_unusable(*found) for provider in enabled for found in _bank_directories(provider.path)))

    @_report_errors
    def running_services(self) -> Result:
        """Check that the services that run now can be called by this code, if hosts are upgraded in turn."""
        database = Database(self._conf)
        try:
            if migration.compare(migration.version(database)) is not migration.Schema.MATCHES:
                return Result(Code.WARNING, "not checked, because the schema of the database is not that of this code")
            with database.reader() as session:
                return _warn(*_incompatible(session, self._conf))
        finally:
            database.dispose()

    @_report_errors
    def api(self) -> Result:
        """Send a request through the API as the service user, as other parts of the cloud would."""
        if not self._conf.service_auth.auth_type:
            return Result(Code.WARNING, "[service_auth] is not configured, so no request was sent through the API")
        try:
            with errors.translated("request through the API"):
                adapter = ClientFactory(self._conf).as_service().adapter("data_protect")
                health = adapter.get("/health").json()["health"]
        except exception.Unsupported as error:
            return Result(
                Code.WARNING,
                f"{error}; register the endpoint of the API in Keystone, start the API, and repeat this check",
            )
        except exception.KarborLikeError as error:
            return _judge(error)
        if health["problems"]:
            return Result(Code.WARNING, "; ".join(health["problems"]))
        return Result(Code.SUCCESS)

    _upgrade_checks = (
        ("Configuration", configuration),
        ("Files", files),
        ("Policies", policies),
        ("Database schema", schema),
        ("Providers", providers),
        ("Running services", running_services),
        ("API", api),
    )


def _warn(*found: str | None) -> Result:
    """Return a warning about everything that was found, or success."""
    mistakes = list(filter(None, found))
    return Result(Code.WARNING, "; ".join(mistakes)) if mistakes else Result(Code.SUCCESS)


def _provider_files(conf: cfg.ConfigOpts) -> list[Path]:
    directory = provider_file.find_directory(conf)
    return sorted(directory.glob("*.conf")) if directory else []


def _has_secret(path: Path) -> bool:
    try:
        return any(entry.is_secret or entry.has_password for entry in configfile.ConfigFile(path).entries)
    except (exception.ConfigurationError, OSError):
        return False  # the other checks report it


def _exposed(path: Path) -> str | None:
    """Say whether accounts other than the owner and the group have access to a file."""
    if path.stat().st_mode & stat.S_IRWXO:
        return f"{path}: every user of this host has access to its secrets; run 'chmod o= {path}'"
    return None


def _unusable(option: str, path: str | None) -> str | None:
    """Say whether this user cannot write to a directory. The checks must run as the user of the services."""
    if not path:
        return None
    if not os.path.isdir(path):
        return f"{option} = {path} is not a directory; create it, or mount it"
    if not os.access(path, os.R_OK | os.W_OK | os.X_OK):
        return f"{option} = {path}: this user cannot write there; run this check as the user of the services"
    return None


def _bank_directories(path: Path) -> Iterator[tuple[str, str]]:
    """Yield the option and the directory of a bank on a file system."""
    for entry in configfile.ConfigFile(path).entries:
        if (entry.section, entry.name) == _BANK_PATH:
            yield f"{path}:{entry.line}: [{entry.section}] {entry.option}", entry.value


def useless_rules(enforcer: oslo_policy.Enforcer) -> Iterator[str]:
    """Say which rules of the operator's files have no effect or will lose it.

    A rule has an effect if the code checks it, or if another rule of the files refers to it.
    """
    known, found = enforcer.registered_rules, enforcer.file_rules
    used = {name for rule in found.values() for name in _REFERENCE.findall(rule.check_str)}
    former = {rule.deprecated_rule.name: rule.name for rule in known.values() if rule.deprecated_rule}
    for name in sorted(found):
        if name not in known and name in former:
            yield f"policy {name!r} is deprecated; name it {former[name]!r}"
        elif name in known and known[name].deprecated_for_removal:
            yield f"policy {name!r} is deprecated: {known[name].deprecated_reason}"
        elif name not in known and name not in used:
            close = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {close[0]!r}?" if close else "remove it"
            yield f"nothing uses the policy {name!r}; {hint}"


def _incompatible(session: orm.Session, conf: cfg.ConfigOpts) -> list[str]:
    """Say which processes of running services this code cannot call, which pins are not needed, and what to do."""
    found = []
    for binary, kind in _RPC.items():
        called = kind.called(conf)
        offers = {
            f"{binary} on {row.host} ({process})": report.get("rpc")
            for row in services.list_all(session, binary=binary)
            if services.is_up(session, row, conf.service.down_time)
            for process, report in sorted((row.reports or {}).items())
        }
        found += [
            f"{name} {problem}" for name, offered in offers.items() if (problem := _compare(offered, called, kind))
        ]
        needed = any(_compare(offered, kind.version, kind) for offered in offers.values())
        if called != kind.version and offers and not needed:
            found.append(
                f"[upgrade_levels] {kind.level} = {called}: every {kind.service} is upgraded; remove the option"
            )
    return found


def _compare(offered: str | None, called: str, kind: type[client.Client]) -> str | None:
    """Say why a service that offers a version of RPC cannot be called with another one."""
    if offered is None:
        # An operator who set the option knows the version that this release cannot find out.
        if called != kind.version:
            return None
        return (
            f"is of an earlier release, which does not report the version of its RPC; set [upgrade_levels] {kind.level}"
            " until it is upgraded, or upgrade it first"
        )
    (major, minor), (called_major, called_minor) = client.parse(offered), client.parse(called)
    if major != called_major:
        return f"has version {offered} of its RPC, this release has {called}; stop all services before you start this release"
    if minor < called_minor:
        return (
            f"has version {offered} of its RPC, this release calls {called}; set [upgrade_levels] {kind.level} = {offered}"
            " until it is upgraded, or upgrade it first"
        )
    return None


def _judge(error: exception.KarborLikeError) -> Result:
    """Return what the failure of a request through the API means."""
    status = getattr(error.__cause__, "http_status", None)
    if isinstance(error, exception.Unavailable) and status is None:
        return Result(Code.WARNING, f"{error}; if the API is not started yet, start it and repeat this check")
    if status == 403:
        return Result(Code.WARNING, f"{error}; the API works, but give the service user the role 'service'")
    if status == 404:
        return Result(
            Code.WARNING, f"{error}; the API works, but is of an earlier release, or its endpoint is another service"
        )
    if status is not None and status >= 500:
        return Result(Code.FAILURE, f"{error}; the log of the API has the reason")
    return Result(Code.FAILURE, str(error))


def _check_token_cache(conf: cfg.ConfigOpts) -> None:
    """Check that the package that caches tokens is installed: without it, every request to the API fails.

    :raises ConfigurationError: it is not
    """
    for group, options in auth_token_options.list_auth_token_opts():
        conf.register_opts(options, group)
    if not conf.keystone_authtoken.memcached_servers:
        return
    module, package = "memcache", "python-memcached"
    if conf.keystone_authtoken.memcache_sasl_enabled:
        module, package = "bmemcached", "python-binary-memcached"
    if importlib.util.find_spec(module) is None:
        raise exception.ConfigurationError(
            f"[keystone_authtoken] memcached_servers: the package {package} is not installed, so that every request to the"
            f" API would fail; run 'pip install {package}', or remove the option"
        )


def main(argv: Sequence[str] | None = None) -> int:
    """Run the checks.

    :returns: exit code
    """
    conf = service.known_options()
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        return upgradecheck.main(conf, service.PROJECT, Checks(conf), arguments)
    except cfg.ConfigFileParseError as error:
        print(f"karbor-like-status: {configfile.without_text(error)}", file=sys.stderr)
        return Code.FAILURE
    except service.UNREADABLE as error:
        print(f"karbor-like-status: {error}", file=sys.stderr)
        return Code.FAILURE


if __name__ == "__main__":
    sys.exit(main())
