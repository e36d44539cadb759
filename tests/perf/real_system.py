"""The services on a real OpenStack, for benchmarks."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.cloud.cloud import Cloud
from tests.cloud.handle import RealCloud
from tests.cloud.layout import Layout
from tests.fixtures.cloud import Backing
from tests.fixtures.system import System


@contextmanager
def real_system() -> Iterator[tuple[RealCloud, System]]:
    """Start the services with an empty database and bus, and OpenStack if necessary. Stop what was started."""
    harness = Cloud(Layout.from_environment())
    with harness.session(), tempfile.TemporaryDirectory() as directory:
        cloud = RealCloud(harness)
        backing = Backing(cloud.mariadb.new_database(), cloud.rabbitmq.new_vhost())
        system = System(cloud, backing, Path(directory))
        system.up()
        try:
            yield cloud, system
        finally:
            system.stop()
            cloud.rabbitmq.drop(backing.transport_url)
            cloud.mariadb.drop(backing.database_url)
