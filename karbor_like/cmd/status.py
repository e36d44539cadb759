"""``karbor-like-status upgrade check``: whether the services of the code that is installed will start and work here.

Asks the configuration, the database and the providers' files. Changes nothing. The exit code is the worst result's: 0 for
success, 1 for a warning, 2 for a failure (https://docs.openstack.org/oslo.upgradecheck).
"""

import functools
import sys
from collections.abc import Callable, Sequence

from oslo_config import cfg
from oslo_db import exception as db_exception
from oslo_policy import policy as oslo_policy
from oslo_upgradecheck import upgradecheck
from oslo_upgradecheck.upgradecheck import Code, Result

from karbor_like import exception, policy, service
from karbor_like.clock import SystemClock
from karbor_like.db import migration
from karbor_like.db.session import Database
from karbor_like.protection.registry import provider_file, providers
from karbor_like.secret import Cipher
from karbor_like.triggers.contract import Limits

_EXPECTED = (exception.KarborLikeError, cfg.Error, db_exception.DBError, oslo_policy.InvalidDefinitionError)

Check = Callable[["Checks"], Result]


def _told(check: Check) -> Check:
    """*check*, with an error that an operator can mend as a failure in a sentence."""

    @functools.wraps(check)
    def run(checks: "Checks") -> Result:
        try:
            return check(checks)
        except _EXPECTED as error:
            return Result(Code.FAILURE, str(error))

    return run


class Checks(upgradecheck.UpgradeCommands):
    """The checks, in the order in which an operator would mend what they find.

    :param conf: asked when the checks run; by then it has been read
    """

    def __init__(self, conf: cfg.ConfigOpts) -> None:
        self._conf = conf

    @_told
    def configuration(self) -> Result:
        """Whether the processes would start with it."""
        Cipher.from_conf(self._conf)
        Limits.of(self._conf)
        return Result(Code.SUCCESS)

    @_told
    def policies(self) -> Result:
        """Whether the operator's policy file names rules that there are, and none that go round in circles."""
        enforcer = policy.make_enforcer(self._conf)
        enforcer.load_rules()
        enforcer.check_rules(raise_on_violation=True)
        return Result(Code.SUCCESS)

    @_told
    def schema(self) -> Result:
        """Whether the database has the schema of this code."""
        database = Database(self._conf)
        try:
            found, newest = migration.version(database), migration.head()
        finally:
            database.dispose()
        if found == newest:
            return Result(Code.SUCCESS)
        return Result(
            Code.FAILURE,
            f"the schema's version is {found or 'none'}, the code's {newest}: run 'karbor-like-manage db sync'",
        )

    @_told
    def providers(self) -> Result:
        """Whether each file makes a provider."""
        directory = provider_file.find_directory(self._conf)
        mistakes, enabled = [], 0
        for path in sorted(directory.glob("*.conf")) if directory else []:
            try:
                provider = providers.read(path, SystemClock())
            except (exception.ConfigurationError, OSError) as error:
                mistakes.append(str(error))
                continue
            if provider is not None:
                enabled += 1
                provider.close()
        if mistakes:
            return Result(Code.WARNING, f"left out when the protection service starts: {'; '.join(mistakes)}")
        if not enabled:
            where = directory or self._conf.protection.provider_config_dir
            return Result(Code.WARNING, f"no provider is enabled in {where}: nothing can be protected")
        return Result(Code.SUCCESS)

    _upgrade_checks = (
        ("Configuration", configuration),
        ("Policies", policies),
        ("Database schema", schema),
        ("Providers", providers),
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Check what the command line says. Returns the exit code."""
    conf = service.known_options()
    arguments = list(sys.argv[1:] if argv is None else argv)
    return upgradecheck.main(conf, service.PROJECT, Checks(conf), arguments)


if __name__ == "__main__":
    sys.exit(main())
