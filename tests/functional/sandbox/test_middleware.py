"""Validation of the sandbox's tokens by keystonemiddleware's auth_token, as our API uses it."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import webob
from keystonemiddleware import auth_token
from oslo_config import cfg

from karbor_like.api import app, callers
from karbor_like.clock import ManualClock
from karbor_like.sandbox.cloud import Sandbox
from tests.functional.sandbox.conftest import Clients


def application(environ: dict[str, Any], start_response: Any) -> Any:
    """Respond with the identity of the caller."""
    caller = callers.context_of(environ)
    shown = (caller.user_name, caller.project_name, ",".join(caller.roles), json.dumps(caller.service_catalog))
    return webob.Response("|".join(shown))(environ, start_response)


@pytest.fixture
def protected(cloud: Sandbox) -> Any:
    """The application behind the middleware."""
    conf = cfg.ConfigOpts()
    conf([], default_config_files=[])

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


@pytest.fixture
def remembering(cloud: Sandbox, tmp_path: Path) -> Callable[[int], Any]:
    """Return the application behind the token check of our API, with a ``token_cache_time``."""

    def make(token_cache_time: int) -> Any:
        path = tmp_path / "karbor_like.conf"
        options = {"auth_type": "password", "token_cache_time": token_cache_time, **cloud.credentials("karbor")}
        path.write_text("\n".join(["[keystone_authtoken]", *(f"{name} = {value}" for name, value in options.items())]))
        conf = cfg.ConfigOpts()
        conf([], default_config_files=[str(path)])
        return app.keystone(application, conf, ManualClock(datetime.now(UTC)))

    return make


def test_an_evaluated_token_is_remembered(cloud: Sandbox, remembering: Any, alice: Clients) -> None:
    protected, token = remembering(10), alice.session.get_token()
    first = ask(protected, X_Auth_Token=token)
    cloud.expire_token(token)

    assert ask(protected, X_Auth_Token=token, X_Roles="admin", X_User_Name="bob").text == first.text
    assert ask(protected, X_Auth_Token="nonsense").status_int == 401
    assert ask(protected).status_int == 401


def test_no_token_is_remembered_if_none_is_cached(cloud: Sandbox, remembering: Any, alice: Clients) -> None:
    protected, token = remembering(-1), alice.session.get_token()
    assert ask(protected, X_Auth_Token=token).status_int == 200
    cloud.expire_token(token)

    assert ask(protected, X_Auth_Token=token).status_int == 401
