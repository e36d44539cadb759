"""``karbor-like-status upgrade check``: check whether the services of the installed code will start and work.

It reads the configuration, the database and the provider files, sends one request through the API, and changes nothing. The
exit code is that of the worst result: 0 for success, 1 for a warning, 2 for a failure
(https://docs.openstack.org/oslo.upgradecheck).
"""

import functools
import importlib.util
import sys
from collections.abc import Callable, Sequence

from keystonemiddleware import opts as auth_token_options
from oslo_config import cfg
from oslo_db import exception as db_exception
from oslo_policy import policy as oslo_policy
from oslo_upgradecheck import upgradecheck
from oslo_upgradecheck.upgradecheck import Code, Result

from karbor_like import configfile, exception, policy, service
from karbor_like.clients import errors
from karbor_like.clients.factory import ClientFactory
from karbor_like.clock import SystemClock
from karbor_like.db import migration
from karbor_like.protection.registry import provider_file, providers
from karbor_like.secret import Cipher
from karbor_like.triggers.contract import Limits

_EXPECTED = (exception.KarborLikeError, cfg.Error, db_exception.DBError, oslo_policy.InvalidDefinitionError)

Check = Callable[["Checks"], Result]


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
        _check_token_cache(self._conf)
        return Result(Code.SUCCESS)

    @_report_errors
    def policies(self) -> Result:
        """Check that the operator's policy file refers to existing rules only, and not in circles."""
        enforcer = policy.make_enforcer(self._conf)
        enforcer.load_rules()
        enforcer.check_rules(raise_on_violation=True)
        return Result(Code.SUCCESS)

    @_report_errors
    def schema(self) -> Result:
        """Check that the database has the schema of this code."""
        migration.check_of(self._conf)
        return Result(Code.SUCCESS)

    @_report_errors
    def providers(self) -> Result:
        """Check that each provider file is valid, and that a provider is enabled."""
        directory = provider_file.find_directory(self._conf)
        paths = sorted(directory.glob("*.conf")) if directory else []
        enabled, mistakes = providers.check(paths, SystemClock())
        for provider in enabled:
            provider.close()
        if mistakes:
            return Result(Code.WARNING, f"the protection service will skip these providers: {'; '.join(mistakes)}")
        if not enabled:
            place = directory or self._conf.protection.provider_config_dir
            return Result(Code.WARNING, f"{place}: no provider is enabled, so nothing can be protected")
        return Result(Code.SUCCESS)

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
        ("Policies", policies),
        ("Database schema", schema),
        ("Providers", providers),
        ("API", api),
    )


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


if __name__ == "__main__":
    sys.exit(main())
