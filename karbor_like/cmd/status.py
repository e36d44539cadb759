"""``karbor-like-status upgrade check``: check whether the services of the installed code will start and work.

It reads the configuration, the database and the provider files, and changes nothing. The exit code is that of the worst
result: 0 for success, 1 for a warning, 2 for a failure (https://docs.openstack.org/oslo.upgradecheck).
"""

import functools
import sys
from collections.abc import Callable, Sequence

from oslo_config import cfg
from oslo_db import exception as db_exception
from oslo_policy import policy as oslo_policy
from oslo_upgradecheck import upgradecheck
from oslo_upgradecheck.upgradecheck import Code, Result

from karbor_like import configfile, exception, policy, service
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

    _upgrade_checks = (
        ("Configuration", configuration),
        ("Policies", policies),
        ("Database schema", schema),
        ("Providers", providers),
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
