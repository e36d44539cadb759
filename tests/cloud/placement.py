"""Inventory of the hypervisors: Placement."""

from collections.abc import Sequence

from tests.cloud.component import Site
from tests.cloud.ini import write_ini
from tests.cloud.processes import Daemon


class Placement:
    def __init__(self, site: Site) -> None:
        self._site = site
        self._config = site.layout.etc("placement") / "placement.conf"

    def prepare(self) -> None:
        site = self._site
        write_ini(
            self._config,
            {
                "placement_database": site.database("placement"),
                "keystone_authtoken": site.authtoken("placement"),
            },
        )
        site.sync("placement", [site.program("placement-manage"), "--config-file", str(self._config), "db", "sync"])

    def daemons(self) -> Sequence[Daemon]:
        env, application = {"OS_PLACEMENT_CONFIG_DIR": str(self._config.parent)}, "placement.wsgi.api:application"
        return [self._site.wsgi("placement-api", application, self._config, path="/", workers=1, env=env)]
