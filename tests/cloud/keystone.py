"""Identity: Keystone with Fernet tokens."""

from collections.abc import Sequence

from tests.cloud.component import Site, write_ini
from tests.cloud.layout import PASSWORD, REGION
from tests.cloud.processes import Daemon


class Keystone:
    def __init__(self, site: Site) -> None:
        self._site = site
        self._etc = site.layout.etc("keystone")
        self._config = self._etc / "keystone.conf"

    def prepare(self) -> None:
        site, url = self._site, self._site.layout.auth_url
        keys = {name: self._etc / name for name in ("fernet", "credential")}
        for directory in keys.values():
            directory.mkdir(mode=0o700, exist_ok=True)
        write_ini(
            self._config,
            {
                "database": site.database("keystone"),
                "token": {"provider": "fernet", "expiration": 86400},
                # The cheapest hash, because tests request many tokens.
                "identity": {"password_hash_rounds": 4},
                "fernet_tokens": {"key_repository": keys["fernet"]},
                "credential": {"key_repository": keys["credential"]},
            },
        )
        manage = [site.program("keystone-manage"), "--config-file", str(self._config)]
        owner = ["--keystone-user", "root", "--keystone-group", "root"]
        urls = [part for kind in ("admin", "internal", "public") for part in (f"--bootstrap-{kind}-url", url)]
        site.sync(
            "keystone",
            [*manage, "fernet_setup", *owner],
            [*manage, "credential_setup", *owner],
            [*manage, "db_sync"],
            [*manage, "bootstrap", "--bootstrap-password", PASSWORD, "--bootstrap-region-id", REGION, *urls],
        )

    def daemons(self) -> Sequence[Daemon]:
        return [self._site.wsgi("keystone", "keystone.wsgi.api:application", self._config, path="/v3")]
