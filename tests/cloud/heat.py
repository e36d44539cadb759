"""Stacks: Heat, which acts for the tenants with trusts."""

from collections.abc import Sequence

from keystoneauth1.adapter import Adapter

from tests.cloud.accounts import STACK_ADMIN, STACK_DOMAIN
from tests.cloud.component import Site
from tests.cloud.ini import write_ini
from tests.cloud.layout import PASSWORD
from tests.cloud.net import HOST
from tests.cloud.processes import Daemon


class Heat:
    def __init__(self, site: Site) -> None:
        self._site = site
        self._config = site.layout.etc("heat") / "heat.conf"

    def prepare(self) -> None:
        site, shipped = self._site, self._site.layout.venv / "etc" / "heat"
        write_ini(
            self._config,
            {
                "DEFAULT": {
                    "transport_url": site.rabbitmq.transport_url(),
                    "num_engine_workers": 1,
                    "auth_encryption_key": PASSWORD.ljust(32, "-"),
                    "stack_user_domain_name": STACK_DOMAIN,
                    "stack_domain_admin": STACK_ADMIN,
                    "stack_domain_admin_password": PASSWORD,
                    "environment_dir": shipped / "environment.d",
                    "template_dir": shipped / "templates",
                    # Servers would ask for their metadata there. There is no cloudformation service.
                    "heat_metadata_server_url": f"http://{HOST}:{site.layout.port('heat')}",
                    "max_stacks_per_tenant": 1000,
                },
                "paste_deploy": {"api_paste_config": shipped / "api-paste.ini"},
                "database": site.database("heat"),
                "oslo_messaging_rabbit": site.queues(),
                "clients_keystone": {"auth_uri": site.layout.auth_url},
                "trustee": site.credentials("heat"),
                "keystone_authtoken": site.authtoken("heat"),
            },
        )
        site.sync("heat", [site.program("heat-manage"), "--config-file", str(self._config), "db_sync"])

    def daemons(self) -> Sequence[Daemon]:
        site = self._site
        api = site.wsgi("heat-api", "heat.wsgi.api:application", self._config, path="/healthcheck", workers=1)
        return [api, site.worker("heat-engine", self._config)]

    @staticmethod
    def is_ready(stacks: Adapter) -> bool:
        """Return whether the engine responds."""
        # Without an engine, Heat responds with an error only after a long time.
        return bool(stacks.get("/services").json()["services"])
