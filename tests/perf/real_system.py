"""The services on a real OpenStack, for benchmarks."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import psutil
import pytest

from tests.cloud.cloud import Cloud
from tests.cloud.handle import RealCloud
from tests.cloud.layout import Layout
from tests.fixtures.cloud import Backing
from tests.fixtures.system import System

S = TypeVar("S", bound=System)


@contextmanager
def real_system(kind: type[S]) -> Iterator[tuple[RealCloud, S]]:
    """Start the services with an empty database and bus, and OpenStack if necessary. Stop what was started."""
    harness = Cloud(Layout.from_environment())
    with harness.session(), tempfile.TemporaryDirectory() as directory, pytest.MonkeyPatch.context() as patch:
        cloud = RealCloud(harness)
        # This process and the services can import the modules of Ceph.
        patch.syspath_prepend(cloud.ceph.bindings)
        patch.setenv("PYTHONPATH", str(cloud.ceph.bindings), prepend=os.pathsep)
        backing = Backing(cloud.mariadb.new_database(), cloud.rabbitmq.new_vhost())
        system = kind(cloud, backing, Path(directory))
        system.up()
        try:
            yield cloud, system
        finally:
            system.stop()
            cloud.rabbitmq.drop(backing.transport_url)
            cloud.mariadb.drop(backing.database_url)


def peak_mib(system: System) -> float:
    """Return the peak memory of the processes of the protection service."""
    parent = psutil.Process(system.process("protection"))
    peaks = []
    for process in (parent, *parent.children(recursive=True)):
        status = Path(f"/proc/{process.pid}/status").read_text()
        peaks.append(int(status.split("VmHWM:")[1].split()[0]) / 1024)
    return max(peaks)
