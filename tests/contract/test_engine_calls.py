"""The operation engine and its double keep the same contract."""

from collections.abc import Iterator

import pytest

from karbor_like.clock import ManualClock
from karbor_like.context import RequestContext
from karbor_like.db import migration
from karbor_like.db.session import Database
from karbor_like.operationengine.service import Endpoint
from karbor_like.secret import Cipher
from tests.contract.engine_calls import DirectClient, EngineContract, Service
from tests.fixtures.api import configuration
from tests.fixtures.cloud import SandboxCloud
from tests.fixtures.fake_engine import FakeEngine
from tests.functional.operationengine.site import START, Site, context_of

USERS = ("alice", "bob")


class TestFakeEngine(EngineContract):
    @pytest.fixture(scope="class")
    def service(self, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
        conf = configuration(tmp_path_factory.mktemp("fake") / "db.sqlite")
        database = Database(conf)
        migration.sync(database)
        fake = FakeEngine(database)
        fake.refused_tokens.add("refused")
        alice, bob = (RequestContext(user_id=name, project_id="p" * 32, auth_token=name) for name in USERS)
        refused = RequestContext(user_id="alice", project_id="p" * 32, auth_token="refused")
        client = DirectClient(fake, Cipher.from_conf(conf))
        yield Service(client, database, (alice, bob), refused, fake.owners)
        database.dispose()


class TestEndpoint(EngineContract):
    @pytest.fixture(scope="class")
    def service(self, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
        with SandboxCloud(tmp_path_factory.mktemp("sandbox")) as cloud:
            site = Site(cloud, ManualClock(START), tmp_path_factory.mktemp("engine"))
            alice, bob = (context_of(cloud.session(name)) for name in USERS)
            # Keystone refuses trusts that the user of the token would not give.
            refused = RequestContext(
                user_id=alice.user_id,
                project_id=alice.project_id,
                auth_token=bob.auth_token,
                roles=["member"],
                service_catalog=alice.service_catalog,
            )
            client = DirectClient(Endpoint(site.database, site.trusts, "here"), Cipher.from_conf(site.conf))
            yield Service(client, site.database, (alice, bob), refused, lambda: _in_keystone(cloud))
            site.close()


def _in_keystone(cloud: SandboxCloud) -> list[tuple[str, str]]:
    trusts = []
    for user in USERS:
        session = cloud.session(user)
        url = f"{cloud.auth_url}/OS-TRUST/trusts?trustor_user_id={session.get_user_id()}"
        trusts += [(trust["trustor_user_id"], trust["project_id"]) for trust in session.get(url).json()["trusts"]]
    return trusts
