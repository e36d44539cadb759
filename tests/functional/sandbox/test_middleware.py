"""Validation of the sandbox's tokens by keystonemiddleware's auth_token, as our API uses it."""

from typing import Any

import pytest
import webob
from keystonemiddleware import auth_token
from oslo_config import cfg

from karbor_like.sandbox.cloud import Sandbox
from tests.functional.sandbox.conftest import Clients


@pytest.fixture
def protected(cloud: Sandbox) -> Any:
    """An application behind the middleware that responds with the identity of its caller."""
    conf = cfg.ConfigOpts()
    conf([], default_config_files=[])

    def application(environ: dict[str, Any], start_response: Any) -> Any:
        headers = ("HTTP_X_USER_NAME", "HTTP_X_PROJECT_NAME", "HTTP_X_ROLES", "HTTP_X_SERVICE_CATALOG")
        body = "|".join(environ.get(name, "") for name in headers)
        return webob.Response(body)(environ, start_response)

    settings = cloud.credentials("karbor") | {
        "auth_type": "password",
        "www_authenticate_uri": cloud.auth_url,
        "service_token_roles": ["service"],
        "service_token_roles_required": True,
        "memcached_servers": None,
        "token_cache_time": -1,
        "oslo_config_config": conf,
    }
    return auth_token.AuthProtocol(application, settings)


def ask(protected: Any, **headers: str) -> webob.Response:
    request = webob.Request.blank("/", headers={name.replace("_", "-"): value for name, value in headers.items()})
    return request.get_response(protected)


def test_a_valid_token_provides_identity_and_catalogue(protected: Any, alice: Clients) -> None:
    answer = ask(protected, X_Auth_Token=alice.session.get_token())

    assert answer.status_int == 200
    user, project, roles, catalogue = answer.text.split("|")
    assert (user, project, set(roles.split(","))) == ("alice", "alice", {"member", "reader"})
    assert "data-protect" in catalogue


@pytest.mark.parametrize("headers", [{}, {"X_Auth_Token": "nonsense"}])
def test_a_call_without_a_valid_token_is_refused(protected: Any, headers: dict[str, str]) -> None:
    assert ask(protected, **headers).status_int == 401


def test_an_expired_token_is_accepted_only_with_a_service_token(cloud: Sandbox, protected: Any, alice: Clients) -> None:
    token = alice.session.get_token()
    cloud.expire_token(token)

    assert ask(protected, X_Auth_Token=token).status_int == 401
    assert ask(protected, X_Auth_Token=token, X_Service_Token=cloud.session("karbor").get_token()).status_int == 200
