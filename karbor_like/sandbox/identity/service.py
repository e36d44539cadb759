"""Keystone v3: authentication, validation of tokens, and sufficient administration for tests."""

from collections.abc import Sequence
from typing import Any

import webob

from karbor_like.sandbox import errors, web
from karbor_like.sandbox.identity import accounts as accounts_module
from karbor_like.sandbox.identity import authentication, catalogue, credentials, tokens, trusts

COLLECTIONS = {"project": "projects", "user": "users", "role": "roles"}


class IdentityService(web.Service):
    """The routes of Keystone and their handlers."""

    name = "identity"
    prefix = "identity"

    def __init__(
        self,
        accounts: accounts_module.Accounts,
        token_store: tokens.Tokens,
        trust_store: trusts.Trusts,
        credential_store: credentials.ApplicationCredentials,
        services: catalogue.Catalogue,
    ) -> None:
        self._accounts = accounts
        self._tokens = token_store
        self._trusts = trust_store
        self._credentials = credential_store
        self._catalogue = services
        self._authentication = authentication.Authentication(accounts, token_store, trust_store, credential_store)
        super().__init__()

    def routes(self) -> Sequence[web.Route]:
        table = [
            web.Route("GET", "/", self.versions, public=True),
            web.Route("GET", "/v3", self.version, public=True),
            web.Route("POST", "/v3/auth/tokens", self.login, public=True),
            web.Route("GET", "/v3/auth/tokens", self.show_token),
            web.Route("HEAD", "/v3/auth/tokens", self.show_token),
            web.Route("DELETE", "/v3/auth/tokens", self.revoke_token),
            web.Route("GET", "/v3/auth/catalog", self.show_catalogue),
            web.Route("GET", "/v3/auth/projects", self.own_projects),
            web.Route("GET", "/v3/services", self.list_services),
            web.Route("GET", "/v3/services/{key}", self.show_service),
            web.Route("GET", "/v3/endpoints", self.list_endpoints),
            web.Route("GET", "/v3/domains", lambda call: web.answer(body={"domains": [_domain()]})),
            web.Route("GET", "/v3/domains/{key}", lambda call, key: web.answer(body={"domain": _domain()})),
            web.Route("GET", "/v3/role_assignments", self.list_assignments),
            web.Route("GET", "/v3/users/{user_id}/projects", self.projects_of_user),
            web.Route("GET", "/v3/projects/{project_id}/users/{user_id}/roles", self.list_grants),
            web.Route("HEAD", "/v3/projects/{project_id}/users/{user_id}/roles/{role_id}", self.check_grant),
            web.Route("PUT", "/v3/projects/{project_id}/users/{user_id}/roles/{role_id}", self.add_grant),
            web.Route("DELETE", "/v3/projects/{project_id}/users/{user_id}/roles/{role_id}", self.remove_grant),
            web.Route("POST", "/v3/OS-TRUST/trusts", self.create_trust),
            web.Route("GET", "/v3/OS-TRUST/trusts", self.list_trusts),
            web.Route("GET", "/v3/OS-TRUST/trusts/{trust_id}", self.show_trust),
            web.Route("GET", "/v3/OS-TRUST/trusts/{trust_id}/roles", self.show_trust_roles),
            web.Route("DELETE", "/v3/OS-TRUST/trusts/{trust_id}", self.delete_trust),
            web.Route("POST", "/v3/users/{user_id}/application_credentials", self.create_credential),
            web.Route("GET", "/v3/users/{user_id}/application_credentials", self.list_credentials),
            web.Route("GET", "/v3/users/{user_id}/application_credentials/{key}", self.show_credential),
            web.Route("DELETE", "/v3/users/{user_id}/application_credentials/{key}", self.delete_credential),
        ]
        for kind, plural in COLLECTIONS.items():
            table += self._crud(kind, plural)
        return table

    def _crud(self, kind: str, plural: str) -> list[web.Route]:
        def create(call: web.Call) -> webob.Response:
            _require_admin(call)
            return web.answer(201, {kind: _shown(self._accounts.create(kind, call.member(kind)))})

        def show(call: web.Call, key: str) -> webob.Response:
            if kind != "role" and key not in (call.identity.project_id, call.identity.user_id):
                _require_admin(call)
            return web.answer(body={kind: _shown(self._accounts.get(kind, key))})

        def update(call: web.Call, key: str) -> webob.Response:
            _require_admin(call)
            return web.answer(body={kind: _shown(self._accounts.update(kind, key, call.member(kind)))})

        def delete(call: web.Call, key: str) -> webob.Response:
            _require_admin(call)
            self._accounts.delete(kind, key)
            return web.answer(204)

        def index(call: web.Call) -> webob.Response:
            _require_admin(call)
            name = call.query.get("name")
            documents = [_shown(d) for d in self._accounts.all(kind) if name in (None, d["name"])]
            return web.answer(body={plural: documents, "links": {"next": None}})

        item, collection = f"/v3/{plural}/{{key}}", f"/v3/{plural}"
        return [
            web.Route("POST", collection, create),
            web.Route("GET", collection, index),
            web.Route("GET", item, show),
            web.Route("PATCH", item, update),
            web.Route("DELETE", item, delete),
        ]

    def project_of(self, path: str, arguments: dict[str, str]) -> None:
        """Return None: no URL of Keystone belongs to a project; each route checks its policy."""

    def render(self, error: errors.ApiError) -> webob.Response:
        title = webob.Response(status=error.status).status.partition(" ")[2]
        return web.answer(error.status, {"error": {"code": error.status, "message": error.message, "title": title}})

    # discovery

    def versions(self, call: web.Call) -> webob.Response:
        return web.answer(300, {"versions": {"values": [self._version(call)]}})

    def version(self, call: web.Call) -> webob.Response:
        return web.answer(body={"version": self._version(call)})

    def _version(self, call: web.Call) -> dict[str, Any]:
        return {
            "id": "v3.14",
            "status": "stable",
            "updated": "2020-04-07T00:00:00Z",
            "links": [{"rel": "self", "href": f"{call.base_url}/identity/v3/"}],
            "media-types": [{"base": "application/json", "type": "application/vnd.openstack.identity-v3+json"}],
        }

    # tokens

    def login(self, call: web.Call) -> webob.Response:
        token_id, token = self._tokens.issue(self._authentication.grant(call.member("auth")))
        return self._token(call, 201, token_id, token)

    def show_token(self, call: web.Call) -> webob.Response:
        subject = call.headers.get("X-Subject-Token", "")
        token = self._tokens.validate(subject, allow_expired=call.query.get("allow_expired") in ("1", "true", "True"))
        # Keystone does not treat the token of a trust as one of the user that it impersonates.
        is_own = token["user_id"] == call.identity.user_id and call.identity.trust_id is None
        if not is_own and not call.identity.roles & {"admin", "service"}:
            raise errors.forbidden("You are not authorized to perform the requested action: identity:validate_token.")
        return self._token(call, 200, subject, token)

    def _token(self, call: web.Call, status: int, token_id: str, token: dict[str, Any]) -> webob.Response:
        services = None
        if "nocatalog" not in call.query and token["project_id"]:
            services = self._catalogue.of(call.base_url, token["project_id"])
        body = {"token": self._tokens.body(token, services)}
        return web.answer(status, body, {"X-Subject-Token": token_id, "Vary": "X-Auth-Token"})

    def revoke_token(self, call: web.Call) -> webob.Response:
        subject = call.headers.get("X-Subject-Token", "")
        if subject != call.identity.token_id and not call.identity.is_admin:
            raise errors.forbidden("You are not authorized to perform the requested action: identity:revoke_token.")
        self._tokens.validate(subject)
        self._tokens.revoke(subject)
        return web.answer(204)

    def show_catalogue(self, call: web.Call) -> webob.Response:
        services = self._catalogue.of(call.base_url, call.identity.project_id or "")
        return web.answer(body={"catalog": services, "links": {}})

    def list_services(self, call: web.Call) -> webob.Response:
        kind, name = call.query.get("type"), call.query.get("name")
        services = [s for s in self._services(call) if kind in (None, s["type"]) and name in (None, s["name"])]
        return web.answer(body={"services": services, "links": {"next": None}})

    def show_service(self, call: web.Call, key: str) -> webob.Response:
        for service in self._services(call):
            if service["id"] == key:
                return web.answer(body={"service": service})
        raise errors.not_found(f"Could not find service: {key}.")

    def _services(self, call: web.Call) -> list[dict[str, Any]]:
        _require_admin(call)
        return [
            {"id": entry["id"], "type": entry["type"], "name": entry["name"], "enabled": True, "links": {}}
            for entry in self._catalogue.of(call.base_url, "")
        ]

    def list_endpoints(self, call: web.Call) -> webob.Response:
        _require_admin(call)
        endpoints = [
            {**endpoint, "service_id": entry["id"], "enabled": True, "links": {}}
            for entry in self._catalogue.of(call.base_url, "%(project_id)s")
            for endpoint in entry["endpoints"]
        ]
        for key in ("service_id", "interface", "region_id"):
            endpoints = [e for e in endpoints if call.query.get(key) in (None, e[key])]
        return web.answer(body={"endpoints": endpoints, "links": {"next": None}})

    # projects and roles

    def own_projects(self, call: web.Call) -> webob.Response:
        return self._projects(call.identity.user_id)

    def projects_of_user(self, call: web.Call, user_id: str) -> webob.Response:
        if user_id != call.identity.user_id:
            _require_admin(call)
        return self._projects(user_id)

    def _projects(self, user_id: str) -> webob.Response:
        ids = sorted({grant["project_id"] for grant in self._accounts.assignments(user_id)})
        projects = [_shown(self._accounts.get("project", key)) for key in ids]
        return web.answer(body={"projects": projects, "links": {"next": None}})

    def list_assignments(self, call: web.Call) -> webob.Response:
        _require_admin(call)
        grants = self._accounts.assignments(call.query.get("user.id"), call.query.get("scope.project.id"))
        assignments = [
            {
                "user": self._named("user", grant["user_id"]),
                "role": self._named("role", grant["role_id"]),
                "scope": {"project": self._named("project", grant["project_id"])},
                "links": {},
            }
            for grant in grants
        ]
        return web.answer(body={"role_assignments": assignments, "links": {"next": None}})

    def _named(self, kind: str, key: str) -> dict[str, Any]:
        named = {"id": key, "name": self._accounts.get(kind, key)["name"]}
        # Only a role of a domain has one; the sandbox has none of these.
        return named if kind == "role" else {**named, "domain": accounts_module.DOMAIN}

    def list_grants(self, call: web.Call, project_id: str, user_id: str) -> webob.Response:
        _require_admin(call)
        return web.answer(body={"roles": self._accounts.roles(user_id, project_id), "links": {"next": None}})

    def check_grant(self, call: web.Call, project_id: str, user_id: str, role_id: str) -> webob.Response:
        _require_admin(call)
        if role_id not in {role["id"] for role in self._accounts.roles(user_id, project_id)}:
            raise errors.not_found("Could not find role assignment.")
        return web.answer(204)

    def add_grant(self, call: web.Call, project_id: str, user_id: str, role_id: str) -> webob.Response:
        _require_admin(call)
        self._accounts.assign(user_id, project_id, role_id)
        return web.answer(204)

    def remove_grant(self, call: web.Call, project_id: str, user_id: str, role_id: str) -> webob.Response:
        _require_admin(call)
        self._accounts.unassign(user_id, project_id, role_id)
        return web.answer(204)

    # trusts

    def create_trust(self, call: web.Call) -> webob.Response:
        return web.answer(201, {"trust": _linked(call, self._trusts.create(call.identity, call.member("trust")))})

    def show_trust(self, call: web.Call, trust_id: str) -> webob.Response:
        return web.answer(body={"trust": _linked(call, self._trusts.get(call.identity, trust_id))})

    def show_trust_roles(self, call: web.Call, trust_id: str) -> webob.Response:
        return web.answer(body={"roles": self._trusts.get(call.identity, trust_id)["roles"], "links": {}})

    def list_trusts(self, call: web.Call) -> webob.Response:
        trustor, trustee = call.query.get("trustor_user_id"), call.query.get("trustee_user_id")
        if call.identity.user_id not in (trustor, trustee):
            _require_admin(call)
        trusts = [_linked(call, trust) for trust in self._trusts.all(trustor, trustee)]
        return web.answer(body={"trusts": trusts, "links": {"next": None}})

    def delete_trust(self, call: web.Call, trust_id: str) -> webob.Response:
        self._trusts.delete(call.identity, trust_id)
        return web.answer(204)

    # application credentials

    def create_credential(self, call: web.Call, user_id: str) -> webob.Response:
        created = self._credentials.create(call.identity, user_id, call.member(credentials.KIND))
        return web.answer(201, {credentials.KIND: created | {"links": {}}})

    def show_credential(self, call: web.Call, user_id: str, key: str) -> webob.Response:
        return web.answer(body={credentials.KIND: self._credentials.get(call.identity, user_id, key) | {"links": {}}})

    def list_credentials(self, call: web.Call, user_id: str) -> webob.Response:
        listed = self._credentials.all(call.identity, user_id)
        return web.answer(body={f"{credentials.KIND}s": listed, "links": {"next": None}})

    def delete_credential(self, call: web.Call, user_id: str, key: str) -> webob.Response:
        self._credentials.delete(call.identity, user_id, key)
        return web.answer(204)


def _require_admin(call: web.Call) -> None:
    if not call.identity.is_admin:
        raise errors.forbidden("You are not authorized to perform the requested action.")


def _shown(document: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in document.items() if key != "password"} | {"links": {}}


def _domain() -> dict[str, Any]:
    return {**accounts_module.DOMAIN, "enabled": True, "links": {}}


def _linked(call: web.Call, trust: dict[str, Any]) -> dict[str, Any]:
    return {**trust, "links": {"self": f"{call.base_url}/identity/v3/OS-TRUST/trusts/{trust['id']}"}}
