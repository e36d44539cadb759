"""Identities for requests to other services, against a Keystone that checks them."""

import json
import logging
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import requests
import webob
from keystoneauth1 import loading, session
from keystoneauth1.identity import v3
from keystonemiddleware import opts as middleware
from oslo_config import cfg

from karbor_like import exception, policy
from karbor_like.api.request import read_identity
from karbor_like.clients.errors import translated
from karbor_like.clients.factory import ClientFactory, Clients
from karbor_like.clients.session import Identities
from karbor_like.context import RequestContext
from karbor_like.sandbox.cloud import Sandbox

TARGET_AUTH = {"type": "password", "username": "bob", "password": "secret"}


def volumes_of(clients: Clients) -> list[Any]:
    with translated("volumes"):
        return clients.cinder().volumes.list()


class TestUser:
    def test_acts_as_the_user(self, conf: cfg.ConfigOpts, context: RequestContext) -> None:
        clients = ClientFactory(conf).for_context(context)
        made = clients.cinder().volumes.create(1)
        assert made.user_id == context.user_id
        assert clients.session.get_project_id() == context.project_id

    def test_expired_token_is_accepted_with_a_service_token(
        self, conf: cfg.ConfigOpts, context: RequestContext, cloud: Sandbox
    ) -> None:
        clients = ClientFactory(conf).for_context(context)
        cloud.expire_token(context.auth_token)
        volumes_of(clients)
        assert list(clients.glance().images.list()) == []

    def test_service_token_is_renewed(self, conf: cfg.ConfigOpts, context: RequestContext, cloud: Sandbox) -> None:
        clients = ClientFactory(conf).for_context(context)
        volumes_of(clients)
        cloud.expire_token(context.auth_token)
        service = cloud.session("karbor")
        cloud.expire_tokens_of(service.get_user_id())
        volumes_of(clients)

    def test_without_a_service_user_expiry_ends_it(
        self, conf: cfg.ConfigOpts, context: RequestContext, cloud: Sandbox
    ) -> None:
        conf.clear_override("auth_type", "service_auth")
        clients = ClientFactory(conf).for_context(context)
        volumes_of(clients)
        cloud.expire_token(context.auth_token)
        with pytest.raises(exception.NotAuthorized):
            volumes_of(clients)

    def test_service_user_with_a_wrong_password(self, conf: cfg.ConfigOpts, context: RequestContext) -> None:
        conf.set_override("password", "wrong", "service_auth")
        with pytest.raises(exception.NotAuthorized):
            volumes_of(ClientFactory(conf).for_context(context))

    def test_neither_token_nor_trust(self, conf: cfg.ConfigOpts) -> None:
        with pytest.raises(exception.NotAuthorized, match="neither a token nor a trust"):
            ClientFactory(conf).for_context(RequestContext(user_id="u", project_id="p"))

    def test_catalogue_of_version_2(self, conf: cfg.ConfigOpts, context: RequestContext) -> None:
        """The form in keystonemiddleware's header."""
        context.service_catalog = [
            {
                "type": service["type"],
                "name": service["name"],
                "endpoints": [
                    {f"{e['interface']}URL": e["url"] for e in service["endpoints"]} | {"region": "RegionOne"}
                ],
            }
            for service in context.service_catalog
        ]
        conf.set_override("region_name", "RegionOne", "nova_client")
        ClientFactory(conf).for_context(context).nova().servers.list()
        conf.set_override("region_name", "Elsewhere", "nova_client")
        with pytest.raises(exception.Unsupported, match="Elsewhere"), translated("servers"):
            ClientFactory(conf).for_context(context).nova().servers.list()

    def test_plugin_without_trusts_is_a_configuration_error(self, conf: cfg.ConfigOpts) -> None:
        conf.set_override("auth_type", "no such plugin", "service_auth")
        with pytest.raises(exception.ConfigurationError, match=r"\[service_auth\].*no such plugin"):
            ClientFactory(conf)


def trust_for_service(cloud: Sandbox, context: RequestContext) -> str:
    """Create a trust of alice for the service user, and return its id."""
    body = {
        "trustor_user_id": context.user_id,
        "trustee_user_id": cloud.session("karbor").get_user_id(),
        "project_id": context.project_id,
        "impersonation": True,
        "roles": [{"name": "member"}],
    }
    answer = cloud.session("alice").post(f"{cloud.auth_url}/OS-TRUST/trusts", json={"trust": body})
    return str(answer.json()["trust"]["id"])


class TestTrust:
    @pytest.fixture
    def trusting(self, cloud: Sandbox, context: RequestContext) -> RequestContext:
        """Alice's context in a scheduled operation: a trust for the service user, no token."""
        return RequestContext(
            trust_id=trust_for_service(cloud, context),
            user_id=context.user_id,
            project_id=context.project_id,
            service_catalog=context.service_catalog,
        )

    def test_acts_as_the_trustor(self, conf: cfg.ConfigOpts, trusting: RequestContext) -> None:
        clients = ClientFactory(conf).for_context(trusting)
        assert clients.cinder().volumes.create(1).user_id == trusting.user_id
        assert clients.session.get_project_id() == trusting.project_id

    def test_expired_token_is_replaced(self, conf: cfg.ConfigOpts, trusting: RequestContext, cloud: Sandbox) -> None:
        clients = ClientFactory(conf).for_context(trusting)
        volumes_of(clients)
        cloud.expire_token(clients.session.get_token())
        volumes_of(clients)

    def test_needs_the_service_user(self, conf: cfg.ConfigOpts, trusting: RequestContext) -> None:
        conf.clear_override("auth_type", "service_auth")
        with pytest.raises(exception.ConfigurationError, match="service_auth"):
            ClientFactory(conf).for_context(trusting)


class TestTokenOfATrust:
    """Requests with a token that was issued from a trust, of the operation engine or of another trustee."""

    def context(self, conf: cfg.ConfigOpts, cloud: Sandbox, trustee: str) -> RequestContext:
        """Return the context of a request with a token of Alice's trust for *trustee*."""
        alice = cloud.session("alice")
        body = {
            "trustor_user_id": alice.get_user_id(),
            "trustee_user_id": cloud.session(trustee).get_user_id(),
            "project_id": alice.get_project_id(),
            "impersonation": True,
            "roles": [{"name": "member"}],
        }
        trust = alice.post(f"{cloud.auth_url}/OS-TRUST/trusts", json={"trust": body}).json()["trust"]
        account = {k: v for k, v in cloud.credentials(trustee).items() if not k.startswith("project")}
        auth = v3.Password(**account, trust_id=trust["id"])
        access = auth.get_access(session.Session())
        request = webob.Request.blank(
            "/",
            headers={"X-Auth-Token": access.auth_token, "X-User-Id": access.user_id, "X-Project-Id": access.project_id},
        )
        request.headers["X-Service-Catalog"] = json.dumps(access.service_catalog.catalog)
        request.environ["keystone.token_info"] = access._data
        return read_identity(request, policy.make_enforcer(conf))

    def test_trust_of_another_trustee_is_used_by_its_token(self, conf: cfg.ConfigOpts, cloud: Sandbox) -> None:
        context = self.context(conf, cloud, "bob")
        context = RequestContext.from_dict(
            context.to_dict(), overwrite=False, auth_token=context.auth_token, trust_id=context.trust_id
        )
        clients = ClientFactory(conf).for_context(context)
        assert clients.cinder().volumes.create(1).user_id == context.user_id

    def test_trust_of_another_trustee_needs_no_service_user(self, conf: cfg.ConfigOpts, cloud: Sandbox) -> None:
        conf.clear_override("auth_type", "service_auth")
        volumes_of(ClientFactory(conf).for_context(self.context(conf, cloud, "bob")))

    def test_trust_of_the_service_user_outlives_its_token(self, conf: cfg.ConfigOpts, cloud: Sandbox) -> None:
        context = self.context(conf, cloud, "karbor")
        clients = ClientFactory(conf).for_context(context)
        cloud.session("admin").delete(
            f"{cloud.auth_url}/auth/tokens", headers={"X-Subject-Token": str(context.auth_token)}
        )
        assert clients.cinder().volumes.create(1).user_id == context.user_id


class TestLostIdentity:
    """An identity that Keystone no longer accepts, and the service user in its place."""

    @pytest.fixture
    def by_trust(self, cloud: Sandbox, context: RequestContext) -> RequestContext:
        return RequestContext(
            user_id=context.user_id, project_id=context.project_id, trust_id=trust_for_service(cloud, context)
        )

    def test_a_token_is_lost_when_keystone_does_not_know_it(
        self, conf: cfg.ConfigOpts, cloud: Sandbox, context: RequestContext
    ) -> None:
        factory = ClientFactory(conf)
        assert not factory.is_lost(context)
        token = str(context.auth_token)
        cloud.expire_token(token)
        assert not factory.is_lost(context), "with a service token, it still works"
        assert factory.is_lost(RequestContext.from_dict(context.to_dict(), overwrite=False, auth_token="unknown"))

    def test_a_trust_is_lost_when_it_is_deleted(
        self, conf: cfg.ConfigOpts, cloud: Sandbox, by_trust: RequestContext
    ) -> None:
        factory = ClientFactory(conf)
        assert not factory.is_lost(by_trust)
        cloud.session("alice").delete(f"{cloud.auth_url}/OS-TRUST/trusts/{by_trust.trust_id}")
        assert factory.is_lost(by_trust)

    def test_nothing_is_lost_while_the_service_account_does_not_work(
        self, conf: cfg.ConfigOpts, by_trust: RequestContext
    ) -> None:
        conf.set_override("password", "wrong", "service_auth")
        with pytest.raises(exception.ConfigurationError, match="service_auth"):
            ClientFactory(conf).is_lost(by_trust)

    def test_without_a_service_user_nothing_is_asked(self, conf: cfg.ConfigOpts, by_trust: RequestContext) -> None:
        conf.clear_override("auth_type", "service_auth")
        factory = ClientFactory(conf)
        assert not factory.is_lost(by_trust)
        with pytest.raises(exception.ConfigurationError, match="service_auth"):
            factory.as_service_in(str(by_trust.project_id))

    def test_the_service_user_acts_in_a_project_in_which_it_has_a_role(
        self, conf: cfg.ConfigOpts, cloud: Sandbox, context: RequestContext
    ) -> None:
        factory, admin = ClientFactory(conf), cloud.session("admin")
        with pytest.raises(exception.NotAuthorized, match="signing in as the service user in project"):
            factory.as_service_in(str(context.project_id))
        (member,) = admin.get(f"{cloud.auth_url}/roles?name=member").json()["roles"]
        user = factory.service_user_id()
        grant = f"{cloud.auth_url}/projects/{context.project_id}/users/{user}/roles/{member['id']}"
        admin.put(grant)
        try:
            clients = factory.as_service_in(str(context.project_id))
            volume = clients.cinder().volumes.create(1)
            assert (clients.project_id, volume.user_id) == (context.project_id, user)
        finally:
            admin.delete(grant)


class TestTarget:
    def test_acts_as_the_account(self, conf: cfg.ConfigOpts, cloud: Sandbox) -> None:
        clients = ClientFactory(conf).for_target(cloud.auth_url, {**TARGET_AUTH, "project_name": "bob"})
        made = clients.cinder().volumes.create(1)
        assert made.user_id == clients.context.user_id
        assert clients.context.project_id == cloud.session("bob").get_project_id()
        assert clients.context.project_name == "bob"

    @pytest.mark.parametrize("change", [str, str.upper, lambda url: url + "/", lambda url: url.removesuffix("/v3")])
    def test_equivalent_url_is_allowed(self, conf: cfg.ConfigOpts, cloud: Sandbox, change: Any) -> None:
        scheme, rest = cloud.auth_url.split("://", 1)
        host, path = rest.split("/", 1)
        url = f"{change(scheme) if change is str.upper else scheme}://{host}/{path if change is str.upper else change(path)}"
        ClientFactory(conf).for_target(url, {**TARGET_AUTH, "project_name": "bob"})

    def test_the_only_project_is_found(self, conf: cfg.ConfigOpts, cloud: Sandbox) -> None:
        clients = ClientFactory(conf).for_target(cloud.auth_url, TARGET_AUTH)
        assert clients.context.project_name == "bob"

    @pytest.mark.parametrize("nulls", [{"project_name": None}, {"type": None, "user_domain_id": None}])
    def test_nulls_count_as_absent(self, conf: cfg.ConfigOpts, cloud: Sandbox, nulls: dict[str, None]) -> None:
        ClientFactory(conf).for_target(cloud.auth_url, {**TARGET_AUTH, **nulls})

    @pytest.mark.parametrize(
        ("change", "told"),
        [
            ({"type": "token"}, "restore_auth.type is 'token'"),
            ({"username": None}, "restore_auth.username is missing"),
            ({"password": ""}, "restore_auth.password is missing"),
        ],
    )
    def test_missing_members_are_named(
        self, conf: cfg.ConfigOpts, cloud: Sandbox, change: dict[str, Any], told: str
    ) -> None:
        with pytest.raises(exception.InvalidInput, match=told):
            ClientFactory(conf).for_target(cloud.auth_url, {**TARGET_AUTH, **change})

    @pytest.mark.parametrize("url", ["http://evil.example.net/v3", "http://169.254.169.254/", "", "file:///etc/passwd"])
    def test_other_clouds_are_refused(self, conf: cfg.ConfigOpts, url: str) -> None:
        with pytest.raises(exception.InvalidInput, match="allowed_urls"):
            ClientFactory(conf).for_target(url, TARGET_AUTH)

    @pytest.mark.parametrize("url", ["http://[", "http://[::1/v3", "http://k\u2100/v3"])
    def test_invalid_url_is_refused(self, conf: cfg.ConfigOpts, url: str) -> None:
        with pytest.raises(exception.InvalidInput, match="restore_target .* is not a URL"):
            ClientFactory(conf).for_target(url, TARGET_AUTH)

    def test_no_other_cloud_is_allowed_by_default(self, conf: cfg.ConfigOpts, cloud: Sandbox) -> None:
        conf.clear_override("allowed_urls", "restore_target")
        with pytest.raises(exception.InvalidInput, match="allowed_urls"):
            ClientFactory(conf).for_target("http://127.0.0.1:1/identity", TARGET_AUTH)

    def test_this_cloud_is_always_allowed(self, conf: cfg.ConfigOpts, cloud: Sandbox) -> None:
        conf.clear_override("allowed_urls", "restore_target")
        assert ClientFactory(conf).for_target(cloud.auth_url, TARGET_AUTH).context.project_name == "bob"

    @pytest.mark.parametrize(
        ("allowed", "url"),
        [
            ("https://k.example.net/identity", "HTTPS://K.example.net:443/identity/v3/"),
            ("https://k.example.net:443/v3", "https://k.example.net"),
            ("http://k.example.net:80", "http://k.example.net/v3"),
        ],
    )
    @pytest.mark.parametrize("option", ["www_authenticate_uri", "auth_url", "allowed_urls"])
    def test_urls_of_this_cloud_in_the_configuration(
        self, conf: cfg.ConfigOpts, option: str, allowed: str, url: str
    ) -> None:
        for group, options in middleware.list_auth_token_opts():
            conf.register_opts(options, group)
        conf.register_opts(loading.get_auth_plugin_conf_options("v3password"), group="keystone_authtoken")
        conf.set_override("auth_type", "v3password", "keystone_authtoken")
        conf.set_override("allowed_urls", [], "restore_target")
        if option == "allowed_urls":
            conf.set_override(option, [allowed], "restore_target")
        else:
            conf.set_override(option, allowed, "keystone_authtoken")
        auth = {"username": "bob", "password": "p", "project_name": "bob"}
        expected = "https://k.example.net/identity/v3" if "identity" in allowed else f"{url.removesuffix('/v3')}/v3"
        assert Identities(conf).for_target(url, auth).auth_url == expected

    @pytest.mark.parametrize(
        "change", [("http", "https"), ("127.0.0.1", "127.0.0.2"), ("http://", "http://x@"), ("/v3", "/v4")]
    )
    def test_similar_urls_are_refused(self, conf: cfg.ConfigOpts, cloud: Sandbox, change: tuple[str, str]) -> None:
        conf.clear_override("allowed_urls", "restore_target")
        url = cloud.auth_url if "/v3" in cloud.auth_url else f"{cloud.auth_url}/v3"
        with pytest.raises(exception.InvalidInput, match="neither this cloud nor allowed"):
            ClientFactory(conf).for_target(url.replace(*change), TARGET_AUTH)

    def test_wrong_password_is_not_in_the_message(self, conf: cfg.ConfigOpts, cloud: Sandbox) -> None:
        with pytest.raises(exception.NotAuthorized, match="'bob'") as caught:
            ClientFactory(conf).for_target(cloud.auth_url, {**TARGET_AUTH, "password": "hunter2"})
        assert "hunter2" not in str(caught.value)

    def test_endpoints_of_this_cloud_do_not_apply(self, conf: cfg.ConfigOpts, cloud: Sandbox) -> None:
        conf.set_override("endpoint_override", "http://127.0.0.1:1/", "cinder_client")
        conf.set_override("region_name", "Elsewhere", "cinder_client")
        volumes_of(ClientFactory(conf).for_target(cloud.auth_url, TARGET_AUTH))


def test_no_secret_is_logged(
    conf: cfg.ConfigOpts, context: RequestContext, cloud: Sandbox, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    factory = ClientFactory(conf)
    here, there = (
        factory.for_context(context),
        factory.for_target(cloud.auth_url, {**TARGET_AUTH, "project_name": "bob"}),
    )
    for clients in (here, there):
        volumes_of(clients)
        list(clients.glance().images.list())
        clients.nova().servers.list()
        clients.keystone().get("/auth/projects")
    secrets = [context.auth_token, there.session.get_token(), cloud.session("karbor").get_token(), '"secret"']
    text = caplog.text
    assert "X-Auth-Token" in text, "the requests were not logged at all"
    for secret in secrets:
        assert secret not in text


class TestThreads:
    """Two threads are refused with the token that they share, before either of them signs in again."""

    def renew(self, clients: Clients, expire: Callable[[], object]) -> int:
        """Return how often two threads sign in when their token is refused."""
        volumes_of(clients)
        refused, signed_in = threading.Barrier(2), []

        def watch(response: requests.Response, *args: Any, **kwargs: Any) -> None:
            if response.request.method == "POST":
                signed_in.append(response.url)
            elif response.status_code == 401:
                refused.wait(60)

        clients.cinder().client.session.session.hooks["response"].append(watch)
        expire()
        with ThreadPoolExecutor(2) as threads:
            list(threads.map(volumes_of, [clients] * 2))
        return len(signed_in)

    def test_the_service_user_signs_in_once(
        self, conf: cfg.ConfigOpts, context: RequestContext, cloud: Sandbox
    ) -> None:
        clients = ClientFactory(conf).for_context(context)
        cloud.expire_token(context.auth_token)
        service = cloud.session("karbor").get_user_id()
        assert self.renew(clients, lambda: cloud.expire_tokens_of(service)) == 1

    def test_an_account_in_another_cloud_signs_in_once(self, conf: cfg.ConfigOpts, cloud: Sandbox) -> None:
        clients = ClientFactory(conf).for_target(cloud.auth_url, TARGET_AUTH)
        user = clients.session.get_user_id()
        assert self.renew(clients, lambda: cloud.expire_tokens_of(user)) == 1

    def test_a_session_leaves_the_new_token_that_another_one_got(
        self, conf: cfg.ConfigOpts, context: RequestContext, cloud: Sandbox
    ) -> None:
        factory = ClientFactory(conf)
        first, second = factory.for_context(context), factory.for_context(context)
        for clients in (first, second):
            clients.session.get_auth_headers()
        cloud.expire_tokens_of(cloud.session("karbor").get_user_id())
        assert first.session.invalidate()
        renewed = first.session.get_auth_headers()
        assert second.session.invalidate()
        assert second.session.get_auth_headers() == renewed
