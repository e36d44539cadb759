"""Keystone with keystoneauth: logins, scopes, expiry of tokens, trusts, service tokens."""

from typing import Any

import pytest
from keystoneauth1 import exceptions, service_token, session
from keystoneauth1.identity import generic, v3

from karbor_like.sandbox.cloud import Sandbox
from tests.functional.sandbox.conftest import Clients

KINDS = (
    "identity",
    "image",
    "volumev3",
    "database",
    "block-storage",
    "object-store",
    "compute",
    "network",
    "shared-file-system",
    "orchestration",
    "data-protect",
)


def validate(cloud: Sandbox, token: str, **params: Any) -> Any:
    """Validate a token as the service user, as services do."""
    keeper = cloud.session("karbor")
    return keeper.get(
        f"{cloud.auth_url}/auth/tokens", headers={"X-Subject-Token": token}, params=params, raise_exc=False
    )


def trust(cloud: Sandbox, alice: Clients, **changes: Any) -> Any:
    values = {
        "trustor_user_id": alice.session.get_user_id(),
        "trustee_user_id": cloud.session("karbor").get_user_id(),
        "project_id": alice.session.get_project_id(),
        "impersonation": True,
        "roles": [{"name": "member"}],
        **changes,
    }
    return redelegate(cloud, alice.session, values)


def redelegate(cloud: Sandbox, caller: session.Session, values: dict[str, Any]) -> Any:
    return caller.post(f"{cloud.auth_url}/OS-TRUST/trusts", json={"trust": values}, raise_exc=False)


def trusted(cloud: Sandbox, trust_id: str) -> session.Session:
    """Create a session of the service user with a trust."""
    credentials = cloud.credentials("karbor")
    del credentials["project_name"], credentials["project_domain_id"]
    return session.Session(auth=v3.Password(**credentials, trust_id=trust_id), timeout=60)


@pytest.mark.parametrize("kind", KINDS)
def test_the_catalogue_has_every_service(cloud: Sandbox, alice: Clients, kind: str) -> None:
    url = alice.session.get_endpoint(service_type=kind, interface="public", region_name="RegionOne")

    assert url.startswith("http://127.0.0.1:")
    if kind in ("volumev3", "block-storage", "object-store", "orchestration", "data-protect"):
        assert alice.session.get_project_id() in url


def test_discovery_works_without_a_version_in_the_url(cloud: Sandbox) -> None:
    credentials = cloud.credentials() | {"auth_url": f"{cloud.url}/identity"}

    assert session.Session(auth=generic.Password(**credentials), timeout=60).get_token()


@pytest.mark.parametrize("change", [{"password": "wrong"}, {"username": "nobody"}, {"project_name": "bob"}])
def test_a_wrong_login_is_refused(cloud: Sandbox, change: dict[str, str]) -> None:
    with pytest.raises(exceptions.Unauthorized):
        session.Session(auth=v3.Password(**cloud.credentials() | change), timeout=60).get_token()


def test_a_token_from_a_token_does_not_live_longer(cloud: Sandbox, alice: Clients) -> None:
    auth = v3.Token(cloud.auth_url, alice.session.get_token(), project_id=alice.session.get_project_id())
    again = session.Session(auth=auth, timeout=60)

    assert again.get_token() != alice.session.get_token()
    first, second = (s.auth.get_access(s).expires for s in (alice.session, again))
    assert second == first


def test_validation_shows_user_project_roles_and_catalogue(cloud: Sandbox, alice: Clients) -> None:
    token = validate(cloud, alice.session.get_token()).json()["token"]

    assert token["user"]["name"] == token["project"]["name"] == "alice"
    assert {role["name"] for role in token["roles"]} == {"member", "reader"}
    assert {entry["type"] for entry in token["catalog"]} == set(KINDS)


def test_a_tenant_can_validate_only_its_own_token(cloud: Sandbox, alice: Clients, bob: Clients) -> None:
    answer = bob.session.get(
        f"{cloud.auth_url}/auth/tokens", headers={"X-Subject-Token": alice.session.get_token()}, raise_exc=False
    )
    assert answer.status_code == 403


def test_a_token_of_a_trust_cannot_validate_itself(cloud: Sandbox, alice: Clients) -> None:
    created = trust(cloud, alice).json()["trust"]
    delegated = trusted(cloud, created["id"])
    token = delegated.get_token()
    answer = delegated.get(f"{cloud.auth_url}/auth/tokens", headers={"X-Subject-Token": token}, raise_exc=False)
    assert answer.status_code == 403
    assert validate(cloud, token).status_code == 200


def test_an_expired_token_is_invalid(cloud: Sandbox, alice: Clients) -> None:
    token = alice.session.get_token()
    cloud.expire_token(token)

    assert validate(cloud, token).status_code == 404
    assert validate(cloud, token, allow_expired="1").status_code == 200


def test_the_lifetime_of_tokens_is_a_setting(cloud: Sandbox) -> None:
    cloud.settings(token_lifetime=0.0)
    user = cloud.session("alice")
    answer = user.get(f"{cloud.auth_url}/auth/projects", raise_exc=False)

    assert answer.status_code == 401


def test_a_revoked_token_stays_invalid(cloud: Sandbox, alice: Clients) -> None:
    token = alice.session.get_token()
    alice.session.delete(f"{cloud.auth_url}/auth/tokens", headers={"X-Subject-Token": token})

    assert validate(cloud, token, allow_expired="1").status_code == 404


def test_removing_a_role_invalidates_its_tokens(cloud: Sandbox, alice: Clients, admin: Clients) -> None:
    token, user, project = alice.session.get_token(), alice.session.get_user_id(), alice.session.get_project_id()
    roles = admin.session.get(f"{cloud.auth_url}/roles", params={"name": "member"}).json()["roles"]
    admin.session.delete(f"{cloud.auth_url}/projects/{project}/users/{user}/roles/{roles[0]['id']}")

    assert validate(cloud, token).status_code == 404


def test_a_disabled_user_is_locked_out(cloud: Sandbox, alice: Clients, admin: Clients) -> None:
    token = alice.session.get_token()
    url = f"{cloud.auth_url}/users/{alice.session.get_user_id()}"
    assert admin.session.patch(url, json={"user": {"enabled": False}}).json()["user"]["enabled"] is False

    assert validate(cloud, token).status_code == 404
    with pytest.raises(exceptions.Unauthorized):
        cloud.session("alice").get_token()


def test_only_administrators_manage_projects(cloud: Sandbox, alice: Clients, admin: Clients) -> None:
    url = f"{cloud.auth_url}/projects"
    assert alice.session.get(url, raise_exc=False).status_code == 403
    assert {p["name"] for p in admin.session.get(url).json()["projects"]} == {"admin", "service", "alice", "bob"}
    own = alice.session.get(f"{url}/{alice.session.get_project_id()}").json()["project"]
    assert own["name"] == "alice"
    assert [p["id"] for p in alice.session.get(f"{cloud.auth_url}/auth/projects").json()["projects"]] == [own["id"]]


def test_users_can_be_created(cloud: Sandbox, admin: Clients) -> None:
    url = cloud.auth_url
    project = admin.session.post(f"{url}/projects", json={"project": {"name": "carol"}}).json()["project"]["id"]
    user = admin.session.post(f"{url}/users", json={"user": {"name": "carol", "password": "secret"}}).json()["user"]
    role = admin.session.get(f"{url}/roles", params={"name": "member"}).json()["roles"][0]["id"]
    admin.session.put(f"{url}/projects/{project}/users/{user['id']}/roles/{role}")

    assert "password" not in user
    assert cloud.session("carol", "carol").get_project_id() == project


def test_services_endpoints_and_assignments_are_listed(cloud: Sandbox, alice: Clients, admin: Clients) -> None:
    services = admin.session.get(f"{cloud.auth_url}/services", params={"type": "image"}).json()["services"]
    (service,) = services
    assert admin.session.get(f"{cloud.auth_url}/services/{service['id']}").json()["service"]["name"] == "glance"
    query = {"service_id": service["id"], "interface": "public"}
    (endpoint,) = admin.session.get(f"{cloud.auth_url}/endpoints", params=query).json()["endpoints"]
    assert endpoint["url"] == f"{cloud.url}/image"

    query = {"user.id": alice.session.get_user_id()}
    (grant,) = admin.session.get(f"{cloud.auth_url}/role_assignments", params=query).json()["role_assignments"]
    assert (grant["role"]["name"], grant["scope"]["project"]["name"]) == ("member", "alice")
    assert alice.session.get(f"{cloud.auth_url}/role_assignments", raise_exc=False).status_code == 403


class TestTrusts:
    def test_the_trustee_acts_as_the_trustor(self, cloud: Sandbox, alice: Clients) -> None:
        created = trust(cloud, alice).json()["trust"]
        acting = trusted(cloud, created["id"])

        assert acting.get_user_id() == alice.session.get_user_id()
        assert acting.get_project_id() == alice.session.get_project_id()
        shown = validate(cloud, acting.get_token()).json()["token"]
        assert shown["OS-TRUST:trust"]["id"] == created["id"]
        assert [role["name"] for role in shown["roles"]] == ["member"]

    def test_only_the_trustee_can_use_it(self, cloud: Sandbox, alice: Clients) -> None:
        created = trust(cloud, alice).json()["trust"]
        auth = v3.Password(
            cloud.auth_url, username="bob", password="secret", user_domain_id="default", trust_id=created["id"]
        )
        with pytest.raises(exceptions.Forbidden):
            session.Session(auth=auth, timeout=60).get_token()

    def test_a_user_cannot_delegate_roles_of_others(self, cloud: Sandbox, alice: Clients, bob: Clients) -> None:
        assert trust(cloud, alice, roles=[{"name": "admin"}]).status_code == 403
        assert trust(cloud, alice, trustor_user_id=bob.session.get_user_id()).status_code == 403
        assert trust(cloud, alice, project_id=bob.session.get_project_id()).status_code == 403

    def test_a_trust_cannot_create_a_trust(self, cloud: Sandbox, alice: Clients) -> None:
        created = trust(cloud, alice).json()["trust"]
        acting = trusted(cloud, created["id"])
        answer = acting.post(f"{cloud.auth_url}/OS-TRUST/trusts", json={"trust": created}, raise_exc=False)
        assert answer.status_code == 403

    def test_a_trust_with_redelegation_creates_trusts_that_end_with_it(self, cloud: Sandbox, alice: Clients) -> None:
        created = trust(cloud, alice, allow_redelegation=True, redelegation_count=2).json()["trust"]
        acting, values = trusted(cloud, created["id"]), {**created, "expires_at": None, "redelegation_count": None}
        for refused, status in (({"roles": [{"name": "reader"}]}, 403), ({"expires_at": "2099-01-01T00:00:00Z"}, 500)):
            assert redelegate(cloud, acting, {**values, **refused}).status_code == status
        second = redelegate(cloud, acting, values).json()["trust"]
        assert (second["redelegated_trust_id"], second["redelegation_count"]) == (created["id"], 0)
        assert redelegate(cloud, trusted(cloud, second["id"]), values).status_code == 403
        alice.session.delete(f"{cloud.auth_url}/OS-TRUST/trusts/{created['id']}")
        with pytest.raises(exceptions.Unauthorized):
            trusted(cloud, second["id"]).get_token()

    def test_it_fails_if_the_trustor_has_lost_the_role(self, cloud: Sandbox, alice: Clients, admin: Clients) -> None:
        created = trust(cloud, alice).json()["trust"]
        role = created["roles"][0]["id"]
        user, project = alice.session.get_user_id(), alice.session.get_project_id()
        admin.session.delete(f"{cloud.auth_url}/projects/{project}/users/{user}/roles/{role}")

        with pytest.raises(exceptions.Forbidden):
            trusted(cloud, created["id"]).get_token()

    def test_it_fails_after_it_was_deleted(self, cloud: Sandbox, alice: Clients) -> None:
        created = trust(cloud, alice).json()["trust"]
        acting = trusted(cloud, created["id"])
        token = acting.get_token()
        assert alice.session.delete(f"{cloud.auth_url}/OS-TRUST/trusts/{created['id']}").status_code == 204

        assert validate(cloud, token).status_code == 404
        with pytest.raises(exceptions.Unauthorized):
            trusted(cloud, created["id"]).get_token()

    def test_it_can_delete_itself_but_other_users_cannot(self, cloud: Sandbox, alice: Clients) -> None:
        created = trust(cloud, alice).json()["trust"]
        url = f"{cloud.auth_url}/OS-TRUST/trusts/{created['id']}"

        assert cloud.session("bob").delete(url, raise_exc=False).status_code == 403
        assert trusted(cloud, created["id"]).delete(url).status_code == 204
        assert alice.session.get(url, raise_exc=False).status_code == 404

    def test_it_fails_while_the_project_is_disabled(self, cloud: Sandbox, alice: Clients, admin: Clients) -> None:
        created = trust(cloud, alice).json()["trust"]
        url = f"{cloud.auth_url}/projects/{created['project_id']}"
        admin.session.patch(url, json={"project": {"enabled": False}})

        with pytest.raises(exceptions.Unauthorized):
            trusted(cloud, created["id"]).get_token()
        admin.session.patch(url, json={"project": {"enabled": True}})
        assert trusted(cloud, created["id"]).get_token()

    @pytest.mark.parametrize("kind", ["user", "project"])
    def test_it_is_deleted_with_its_users_and_project(
        self, cloud: Sandbox, alice: Clients, admin: Clients, kind: str
    ) -> None:
        created = trust(cloud, alice).json()["trust"]
        key = created["trustor_user_id"] if kind == "user" else created["project_id"]
        admin.session.delete(f"{cloud.auth_url}/{kind}s/{key}")

        answer = admin.session.get(f"{cloud.auth_url}/OS-TRUST/trusts/{created['id']}", raise_exc=False)
        assert answer.status_code == 404

    def test_it_is_shown_to_trustor_and_trustee(self, cloud: Sandbox, alice: Clients, bob: Clients) -> None:
        created = trust(cloud, alice).json()["trust"]
        url = f"{cloud.auth_url}/OS-TRUST/trusts/{created['id']}"

        assert alice.session.get(url).json()["trust"]["impersonation"] is True
        assert bob.session.get(url, raise_exc=False).status_code == 403
        assert bob.session.delete(url, raise_exc=False).status_code == 403

    def test_an_expired_token_is_not_revived_by_a_service_token(self, cloud: Sandbox, alice: Clients) -> None:
        acting = trusted(cloud, trust(cloud, alice).json()["trust"]["id"])
        token = acting.get_token()
        cloud.expire_token(token)

        assert validate(cloud, token, allow_expired="1").status_code == 404


class TestApplicationCredentials:
    def create(self, cloud: Sandbox, caller: session.Session, **values: Any) -> Any:
        url = f"{cloud.auth_url}/users/{caller.get_user_id()}/application_credentials"
        return caller.post(url, json={"application_credential": {"name": "robot", **values}}, raise_exc=False)

    def login(self, cloud: Sandbox, created: dict[str, Any]) -> session.Session:
        auth = v3.ApplicationCredential(
            cloud.auth_url,
            application_credential_id=created["id"],
            application_credential_secret=created["secret"],
        )
        return session.Session(auth=auth, timeout=60)

    @pytest.mark.parametrize(("unrestricted", "status"), [(False, 403), (True, 201)])
    def test_a_restricted_one_cannot_give_away_authority(
        self, cloud: Sandbox, alice: Clients, unrestricted: bool, status: int
    ) -> None:
        created = self.create(cloud, alice.session, unrestricted=unrestricted).json()["application_credential"]
        robot = self.login(cloud, created)
        assert robot.get_project_id() == alice.session.get_project_id()
        shown = validate(cloud, robot.get_token()).json()["token"]["application_credential"]
        assert (shown["id"], shown["restricted"]) == (created["id"], not unrestricted)
        assert self.create(cloud, robot).status_code == status
        values = trust(cloud, alice).json()["trust"]
        assert redelegate(cloud, robot, values).status_code == status

    def test_its_tokens_end_with_it(self, cloud: Sandbox, alice: Clients) -> None:
        created = self.create(cloud, alice.session, roles=[{"name": "reader"}]).json()["application_credential"]
        url = f"{cloud.auth_url}/users/{created['user_id']}/application_credentials"
        token = self.login(cloud, created).get_token()
        assert [role["name"] for role in validate(cloud, token).json()["token"]["roles"]] == ["reader"]
        assert "secret" not in alice.session.get(f"{url}/{created['id']}").json()["application_credential"]
        assert cloud.session("bob").get(url, raise_exc=False).status_code == 403
        alice.session.delete(f"{url}/{created['id']}")
        assert alice.session.get(url).json()["application_credentials"] == []
        assert validate(cloud, token).status_code == 404
        with pytest.raises(exceptions.Unauthorized):
            self.login(cloud, created).get_token()


class TestServiceTokens:
    def call(self, cloud: Sandbox, alice: Clients, keeper: str) -> Any:
        """List alice's volumes with her expired token and a service token of *keeper*."""
        token, project = alice.session.get_token(), alice.session.get_project_id()
        cloud.expire_token(token)

        class Expired(v3.Token):
            def get_token(self, session: Any, **kwargs: Any) -> str | None:
                return token

            def get_endpoint(self, session: Any, *args: Any, **kwargs: Any) -> str:
                return f"{cloud.url}/volume/v3/{project}"

        wrapped = service_token.ServiceTokenAuthWrapper(
            Expired(cloud.auth_url, token), service_auth=v3.Password(**cloud.credentials(keeper))
        )
        user = session.Session(auth=wrapped, timeout=60)
        return user.get("/volumes/detail", endpoint_filter={"service_type": "block-storage"}, raise_exc=False)

    def test_a_service_token_of_a_service_user_makes_an_expired_token_valid(
        self, cloud: Sandbox, alice: Clients
    ) -> None:
        assert self.call(cloud, alice, "karbor").status_code == 200

    def test_a_token_of_another_user_does_not(self, cloud: Sandbox, alice: Clients) -> None:
        assert self.call(cloud, alice, "bob").status_code == 401
