"""The protection service and its double keep the same contract."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from karbor_like.db import migration, operations
from karbor_like.db.session import Database
from karbor_like.secret import Cipher
from tests.contract.protection_calls import DirectClient, ProtectionContract, Service
from tests.fixtures import fake_catalogue
from tests.fixtures.api import configuration
from tests.fixtures.fake_protection import FakeProtection
from tests.functional.protection import plugins, site

NODES = ("a", "b", "c")


class TestFakeProtection(ProtectionContract):
    @pytest.fixture(scope="class")
    def service(self, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
        conf = configuration(tmp_path_factory.mktemp("fake") / "db.sqlite")
        database = Database(conf)
        migration.sync(database)
        fake = FakeProtection(database, dict(conf.quota))
        fake.resources[fake_catalogue.VOLUME] = [
            {"type": fake_catalogue.VOLUME, "id": name, "name": name, "dependent_resources": []} for name in NODES
        ]
        yield Service(
            client=DirectClient(fake, Cipher.from_conf(conf)),
            database=database,
            provider_id=fake_catalogue.PROVIDER,
            other_provider_id=fake_catalogue.OTHER_PROVIDER,
            resource_type=fake_catalogue.VOLUME,
            resource_ids=NODES,
            option="retries",
            end_operations=fake.end_operations,
        )
        database.dispose()


class TestEndpoint(ProtectionContract):
    @pytest.fixture(scope="class")
    def service(self, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
        directory = tmp_path_factory.mktemp("site")
        path = site.write_files(directory, lease=3600)
        _write_providers(directory)
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv(plugins.VARIABLE, str(directory / "cloud"))
            real = site.Site(directory, path)
            real.cloud.plant({name: [] for name in NODES})
            yield Service(
                client=DirectClient(real.endpoint, real.env.cipher),
                database=real.env.database,
                provider_id=site.PROVIDER,
                other_provider_id=site.OTHER_PROVIDER,
                resource_type=plugins.NODE,
                resource_ids=NODES,
                option="size",
                end_operations=lambda *, succeed=True: _run(real, succeed=succeed),
            )
            real.close()


def _write_providers(directory: Path) -> None:
    """Let the first provider name the second one for copies."""
    path = site.write_provider(directory)
    path.write_text(path.read_text().replace("[provider]", f"[provider]\ncopy_to = {site.OTHER_PROVIDER}"))
    site.write_provider(directory, site.OTHER_PROVIDER, "other", "other-bank")


def _run(real: site.Site, *, succeed: bool) -> None:
    """Run all operations to their end. The executor was not started, so that none runs earlier."""
    real.cloud.fault(**({} if succeed else {f"main:{name}": "fail" for name in NODES}))
    while _unfinished(real):
        real.executor.poll()
        assert real.executor.wait_idle(300)


def _unfinished(real: site.Site) -> int:
    with real.env.database.reader() as session:
        return len(operations.unfinished_of(session))
