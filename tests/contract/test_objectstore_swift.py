"""The contract on a real Swift, on the sandbox with Keystone, and on a Swift that KARBOR_LIKE_TEST_SWIFT names."""

import contextlib
import json
import os
import uuid
from collections.abc import Iterator

import pytest
from oslo_config import cfg
from swiftclient import client as swiftclient

from karbor_like.bank.objectstore import base, body, retry
from karbor_like.bank.objectstore import swift as driver
from karbor_like.clock import SystemClock
from karbor_like.sandbox.cloud import Sandbox
from tests.contract import objectstore
from tests.fixtures.swift import Swift

ELSEWHERE = "KARBOR_LIKE_TEST_SWIFT"


def configured(options: dict[str, str]) -> cfg.ConfigOpts:
    """Create a provider's configuration with *options* in [swift_client] and a new container."""
    conf = cfg.ConfigOpts()
    for group, opts in driver.SwiftStore.options.items():
        conf.register_opts(opts, group=group)
    conf([], default_config_files=[], default_config_dirs=[])
    for name, value in options.items():
        conf.set_override(name, value, group="swift_client")
    conf.set_override("bank_swift_object_container", f"test-{uuid.uuid4().hex}", group="swift_bank_plugin")
    return conf


class _Contract(objectstore.ObjectStoreContract):
    examples = 10
    page = 100

    @pytest.fixture
    def store(self, options: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Iterator[driver.SwiftStore]:
        monkeypatch.setattr(driver.SwiftStore, "max_listing", 60)  # a page takes several requests
        conf = configured(options)
        self.container = conf.swift_bank_plugin.bank_swift_object_container
        store = driver.SwiftStore.from_conf(conf)
        yield store
        self.clear(store)
        store.close()

    @pytest.fixture
    def shared(self, store: driver.SwiftStore) -> base.ObjectStore:
        # Swift sometimes answers 503 to a reader of an object that is replaced.
        return retry.RetryingStore(store, base.RetryPolicy(attempts=20, backoff=0.01), SystemClock())

    def clear(self, store: driver.SwiftStore) -> None:
        """Remove the container, except from a Swift that ends with the session."""

    def plant(self, store: base.ObjectStore, name: str) -> None:
        assert isinstance(store, driver.SwiftStore)
        store._connect().put_object(self.container, name, body.Body([b"a foreign object"]))


class TestSwiftStore(_Contract):
    @pytest.fixture
    def options(self, swift: Swift) -> dict[str, str]:
        return {
            "swift_auth_version": "1",
            "swift_auth_url": swift.auth_url,
            "swift_user": swift.user,
            "swift_key": swift.key,
        }


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    with Sandbox(tmp_path_factory.mktemp("cloud")) as sandbox:
        yield sandbox


class TestSwiftStoreInSandbox(_Contract):
    @pytest.fixture
    def options(self, sandbox: Sandbox) -> dict[str, str]:
        return {
            "swift_auth_url": sandbox.auth_url,
            "swift_user": "alice",
            "swift_key": "secret",
            "swift_tenant_name": "alice",
        }


if ELSEWHERE in os.environ:

    class TestSwiftStoreElsewhere(_Contract):
        @pytest.fixture
        def options(self) -> dict[str, str]:
            return json.loads(os.environ[ELSEWHERE])

        def clear(self, store: driver.SwiftStore) -> None:
            connection = store._connect()
            with contextlib.suppress(swiftclient.ClientException):  # a container exists only after a put
                for row in connection.get_container(self.container, full_listing=True)[1]:
                    connection.delete_object(self.container, row["name"])
                connection.delete_container(self.container)
