"""Images: Glance with its file store."""

from collections.abc import Sequence

from tests.cloud.component import Site
from tests.cloud.ini import write_ini
from tests.cloud.processes import Daemon


class Glance:
    def __init__(self, site: Site) -> None:
        self._site = site
        self._config = site.layout.etc("glance") / "glance-api.conf"

    def prepare(self) -> None:
        site = self._site
        data = site.layout.data("glance")
        stores = {name: data / name for name in ("images", "staging", "tasks")}
        for directory in stores.values():
            directory.mkdir(exist_ok=True)
        write_ini(
            self._config,
            {
                "DEFAULT": {"enabled_backends": "images:file"},
                "glance_store": {"default_backend": "images"},
                "images": {"filesystem_store_datadir": stores["images"]},
                "os_glance_staging_store": {"filesystem_store_datadir": stores["staging"]},
                "os_glance_tasks_store": {"filesystem_store_datadir": stores["tasks"]},
                "database": site.database("glance"),
                "paste_deploy": {
                    "flavor": "keystone",
                    "config_file": site.layout.venv / "etc" / "glance" / "glance-api-paste.ini",
                },
                "oslo_messaging_notifications": {"driver": "noop"},
                "keystone_authtoken": site.authtoken("glance"),
            },
        )
        site.sync("glance", [site.program("glance-manage"), "--config-file", str(self._config), "db_sync"])

    def daemons(self) -> Sequence[Daemon]:
        env = {"OS_GLANCE_CONFIG_DIR": str(self._config.parent)}
        api = self._site.wsgi("glance-api", "glance.wsgi.api:application", self._config, path="/healthcheck", env=env)
        return [api]
