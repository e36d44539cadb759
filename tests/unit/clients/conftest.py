"""A sandbox and the configuration of a service in it."""

from collections.abc import Iterator

import pytest
from keystoneauth1 import loading
from oslo_config import cfg

from karbor_like.conf import opts
from karbor_like.context import RequestContext
from karbor_like.sandbox.cloud import Sandbox


@pytest.fixture(scope="module")
def shared_cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    with Sandbox(tmp_path_factory.mktemp("cloud")) as sandbox:
        sandbox.settings(job_delay=0.0, gib=1 << 20)
        yield sandbox


@pytest.fixture
def cloud(shared_cloud: Sandbox) -> Iterator[Sandbox]:
    """A sandbox without faults."""
    yield shared_cloud
    shared_cloud.clear_faults()


@pytest.fixture
def conf(cloud: Sandbox) -> cfg.ConfigOpts:
    """The configuration with the service user and an allowed target."""
    conf = cfg.ConfigOpts()
    conf([], default_config_files=[])
    opts.register(conf)
    conf.register_opts(loading.get_auth_plugin_conf_options("v3password"), group="service_auth")
    for name, value in {"auth_type": "v3password", **cloud.credentials("karbor")}.items():
        conf.set_override(name, value, "service_auth")
    conf.set_override("allowed_urls", [cloud.auth_url], "restore_target")
    return conf


@pytest.fixture
def context(cloud: Sandbox) -> RequestContext:
    """The context of a request by Alice."""
    return make_context(cloud, "alice")


def make_context(cloud: Sandbox, user: str) -> RequestContext:
    session = cloud.session(user)
    access = session.auth.get_access(session)
    return RequestContext(
        auth_token=access.auth_token,
        user_id=access.user_id,
        project_id=access.project_id,
        project_name=access.project_name,
        service_catalog=access.service_catalog.catalog,
    )
