"""The contract on S3: with the server of moto, and with the S3 API of a real Swift."""

import uuid
from collections.abc import Iterator

import pytest
from moto.server import ThreadedMotoServer
from oslo_config import cfg

from karbor_like.bank.objectstore import base, retry, s3
from karbor_like.clock import ManualClock
from tests.contract import objectstore
from tests.fixtures.swift import Swift


def configured(endpoint: str, access_key: str, secret_key: str) -> cfg.ConfigOpts:
    """Create a provider's configuration."""
    conf = cfg.ConfigOpts()
    for group, opts in s3.S3Store.options.items():
        conf.register_opts(opts, group=group)
    conf([], default_config_files=[], default_config_dirs=[])
    conf.set_override("s3_endpoint", endpoint, group="s3_client")
    conf.set_override("s3_access_key", access_key, group="s3_client")
    conf.set_override("s3_secret_key", secret_key, group="s3_client")
    return conf


@pytest.fixture(scope="module")
def moto() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


class _Contract(objectstore.ObjectStoreContract):
    examples = 10
    page = 100

    @pytest.fixture(scope="class")
    @classmethod
    def opened(cls, conf: cfg.ConfigOpts) -> Iterator[s3.S3Store]:
        """A store whose client all tests share: boto3 is slow to create one, which takes 12 MB."""
        store = s3.S3Store.from_conf(conf)
        yield store
        store.close()

    @pytest.fixture
    def store(self, opened: s3.S3Store, monkeypatch: pytest.MonkeyPatch) -> base.ObjectStore:
        """A store with a new bucket."""
        monkeypatch.setattr(s3.S3Store, "max_listing", 60)  # a page takes several requests
        driver = s3.S3Store(opened._client, f"test-{uuid.uuid4().hex}", opened._region)
        # moto sometimes answers 500 to concurrent puts of one object, and Swift 503 to a reader of one that is replaced.
        return retry.RetryingStore(driver, base.RetryPolicy(attempts=20), ManualClock())

    def plant(self, store: base.ObjectStore, name: str) -> None:
        assert isinstance(store, retry.RetryingStore)
        driver = store._inner
        assert isinstance(driver, s3.S3Store)
        driver._client.put_object(Bucket=driver._container, Key=name, Body=b"a foreign object")


class TestS3StoreOnMoto(_Contract):
    @pytest.fixture(scope="class")
    @classmethod
    def conf(cls, moto: str) -> cfg.ConfigOpts:
        return configured(moto, "access", "secret")


class TestS3StoreOnSwift(_Contract):
    @pytest.fixture(scope="class")
    @classmethod
    def conf(cls, swift: Swift) -> cfg.ConfigOpts:
        return configured(swift.url, swift.user, swift.key)
