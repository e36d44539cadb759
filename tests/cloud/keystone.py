"""Identity: Keystone with Fernet tokens."""

import time
from collections.abc import Sequence

import msgpack
from cryptography.fernet import Fernet, MultiFernet

from tests.cloud.component import Site
from tests.cloud.ini import write_ini
from tests.cloud.layout import PASSWORD, REGION
from tests.cloud.processes import Daemon

#: Version of the payload of a token with a project, and the place of its expiry: keystone.token.token_formatters.
_PROJECT_SCOPED, _EXPIRY = 2, 4


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

    def shortened(self, token: str, seconds: float) -> str:
        """Return a copy of a token that expires *seconds* from now. All services take it for one that Keystone issued.

        The lifetime of tokens is a setting of the whole cloud, and the tests share the cloud.
        """
        paths = sorted((self._etc / "fernet").iterdir(), key=lambda path: int(path.name), reverse=True)
        keys = MultiFernet([Fernet(path.read_bytes()) for path in paths])
        payload = msgpack.unpackb(keys.decrypt(token + "=" * (-len(token) % 4)))
        if payload[0] != _PROJECT_SCOPED:
            raise ValueError(f"the token has a payload of version {payload[0]}; use one that is scoped to a project")
        payload[_EXPIRY] = time.time() + seconds
        return keys.encrypt(msgpack.packb(payload)).decode().rstrip("=")
