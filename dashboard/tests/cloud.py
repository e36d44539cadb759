"""Horizon with the real API of the service behind it, in this process: no test can get an answer that the API would not give.

The double of the protection service behind the API is the one of the service's own tests.
"""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from unittest import mock
from urllib import parse

import pytest
import requests
import webtest
from keystoneauth1 import session as keystone
from openstack_dashboard.test import helpers
from requests import adapters

from karbor_like.db import quotas
from tests.fixtures.api import PROJECT_A, Client
from tests.fixtures.fake_catalogue import PROVIDER, SERVER, VOLUME

URL = "http://data-protect.test/v1"
VOLUME_ID = "5d0f5f0e-3f5c-4f0f-8f3a-000000000001"
SERVER_ID = "5d0f5f0e-3f5c-4f0f-8f3a-000000000002"


class Token:
    """A token as the fake authentication of the API reads it."""

    def __init__(self, role: str, project: str) -> None:
        self.id = f"{role}:{project}:"
        self.project = {"id": project, "name": "p"}
        self.unscoped_token = self.id
        self.expires = datetime.now(UTC) + timedelta(days=1)


class Case(helpers.TestCase):
    """Base of all tests of pages.

    :ivar requests: method and path of all requests to the API
    :ivar asked: the requests to other services, which Horizon's catalogue for tests names
    :ivar broken: what the API does instead of answering
    :ivar refusals: messages of the API with which it refuses requests of a method to a collection, as in ``DELETE /triggers``
    """

    @pytest.fixture(autouse=True)
    def _service(
        self, application: Callable[..., Any], client: Callable[..., Client], protection: Any, database: Any
    ) -> None:
        self.application = webtest.TestApp(application)
        self.caller = client
        self.protection = protection
        self.database = database

    def setUp(self) -> None:
        super().setUp()
        self.requests: list[tuple[str, str]] = []
        self.asked: list[str] = []
        self.broken: Any = None
        self.refusals: dict[str, str] = {}
        #: Status and content of the answers of other services, by the part of the address after the host.
        self.others: dict[str, Any] = {"/v2.0/networks?limit=500": (200, {"networks": []})}
        # Requests are repeated at once.
        mock.patch.object(keystone.time, "sleep").start()
        patcher = mock.patch.object(
            adapters.HTTPAdapter, "send", lambda _self, request, **kwargs: self._answer(request)
        )
        patcher.start()
        self.log_in()
        self.alice = self.caller()
        self.protection.resources[VOLUME] = [
            {"type": VOLUME, "id": VOLUME_ID, "name": "data-1", "extra_info": None, "dependent_resources": []}
        ]
        below = [{"type": VOLUME, "id": VOLUME_ID, "name": "data-1", "extra_info": None}]
        self.protection.resources[SERVER] = [
            {"type": SERVER, "id": SERVER_ID, "name": "web", "extra_info": None, "dependent_resources": below}
        ]

    def log_in(self, role: str = "member", project: str = PROJECT_A, *, endpoint: bool = True) -> None:
        """Let all following requests of the browser be those of a user with a role in a project."""
        catalog = [entry for entry in self.service_catalog if entry["type"] != "data-protect"]
        if endpoint:
            ends = [
                {"interface": kind, "region": "RegionOne", "region_id": "RegionOne", "url": f"{URL}/{project}"}
                for kind in ("public", "internal", "admin")
            ]
            catalog.append({"type": "data-protect", "name": "karbor", "endpoints": ends, "endpoints_links": []})
        names = {"admin": ("admin", "member", "reader"), "member": ("member", "reader"), "reader": ("reader",)}
        self.setActiveUser(
            id=f"user-{role}",
            token=Token(role, project),
            username=role,
            domain_id=self.domain.id,
            user_domain_name=self.domain.name,
            tenant_id=project,
            service_catalog=catalog,
            authorized_tenants=self.tenants.list(),
            roles=[{"id": name, "name": name} for name in names[role]],
        )

    def _answer(self, request: requests.PreparedRequest) -> requests.Response:
        parts = parse.urlsplit(str(request.url))
        if not str(request.url).startswith(URL):
            return self._answer_of_other(request, f"{parts.path}?{parts.query}")
        self.requests.append((str(request.method), parts.path.removeprefix("/v1/")[32:]))
        if isinstance(self.broken, Exception):
            raise self.broken
        response = requests.Response()
        response.request, response.url = request, str(request.url)
        collection = self.requests[-1][1].split("/")[1]
        if message := self.refusals.get(f"{request.method} /{collection}"):
            response.status_code = 409
            response._content = json.dumps({"conflict": {"code": 409, "message": message}}).encode()
            return response
        if self.broken is not None:
            response.status_code, content = self.broken
            response._content = content if isinstance(content, bytes) else json.dumps(content).encode()
            return response
        got = self.application.request(
            f"{parts.path}?{parts.query}",
            method=request.method,
            headers={name: value for name, value in request.headers.items() if value is not None},
            body=request.body.encode() if isinstance(request.body, str) else request.body or b"",
            expect_errors=True,
        )
        response.status_code, response._content = got.status_int, got.body
        response.headers.update(got.headers)
        return response

    def _answer_of_other(self, request: requests.PreparedRequest, address: str) -> requests.Response:
        """Return the answer of another service of the cloud; 404 if the test has set none."""
        self.asked.append(address)
        response = requests.Response()
        response.request, response.url = request, str(request.url)
        answer = self.others.get(address, (404, {}))
        if isinstance(answer, Exception):
            raise answer
        response.status_code, content = answer
        response._content = content if isinstance(content, bytes) else json.dumps(content).encode()
        return response

    def plan(self, name: str = "nightly", **more: Any) -> dict[str, Any]:
        """Create a plan as the user would with the API, and return it."""
        body = {
            "name": name,
            "provider_id": PROVIDER,
            "resources": [{"type": VOLUME, "id": VOLUME_ID, "name": "data-1"}],
            "parameters": {},
            **more,
        }
        made: dict[str, Any] = self.alice.post("/plans", {"plan": body})["plan"]
        return made

    def checkpoint(self, plan: dict[str, Any], status: str = "available") -> dict[str, Any]:
        """Create a checkpoint with a status, and return it."""
        path = f"/providers/{PROVIDER}/checkpoints"
        made: dict[str, Any] = self.alice.post(path, {"checkpoint": {"plan_id": plan["id"]}})["checkpoint"]
        if status != "protecting":
            self.protection.set_status(made["id"], status)
        return made

    @contextmanager
    def quota(self, **limits: int) -> Iterator[None]:
        """Limit what the user's project may have while the block runs."""
        self.database.write(lambda session: quotas.set_limits(session, PROJECT_A, limits))
        yield
        self.database.write(lambda session: quotas.delete_limits(session, PROJECT_A))

    def texts(self, response: Any) -> list[str]:
        """Return the messages of a page."""
        found = [str(message) for message in response.context["messages"]] if response.context else []
        return found + [
            text for _tag, text, *_more in getattr(response.wsgi_request, "horizon", {}).get("async_messages", [])
        ]
