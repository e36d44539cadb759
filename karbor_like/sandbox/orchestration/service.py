"""Heat v1: routes, and the form of requests and responses."""

import functools
import re
import urllib.parse
from collections.abc import Sequence
from typing import Any

import webob

from karbor_like.sandbox import errors, listing, state, web
from karbor_like.sandbox.orchestration import stacks, templates

NAME = re.compile(r"[a-zA-Z][a-zA-Z0-9_.-]{0,254}")
TITLES = {400: "Bad Request", 403: "Forbidden", 404: "Not Found", 409: "Conflict", 500: "Internal Server Error"}
TYPES = {
    400: "StackValidationFailed",
    403: "Forbidden",
    404: "EntityNotFound",
    409: "StackExists",
    500: "Internal Error",
}

PARTS = ("resources", "events", "template")


class OrchestrationService(web.Service):
    """Heat."""

    name = "orchestration"
    prefix = "orchestration"

    def __init__(self, records: stacks.Stacks) -> None:
        self._stacks = records
        super().__init__()

    def routes(self) -> Sequence[web.Route]:
        root = "/v1/{project_id}/stacks"
        return [
            web.Route("GET", "/", self.versions, public=True),
            web.Route("GET", root, self.index),
            web.Route("POST", root, self.create),
            web.Route("GET", root + "/{key}", self.lookup),
            web.Route("DELETE", root + "/{key}", self.lookup),
            *(web.Route("GET", f"{root}/{{key}}/{part}", self._below(part)) for part in PARTS),
            web.Route("GET", root + "/{name}/{key}", self.show),
            web.Route("DELETE", root + "/{name}/{key}", self.delete),
            web.Route("GET", root + "/{name}/{key}/resources", self.resources),
            web.Route("GET", root + "/{name}/{key}/resources/{resource}", self.resource),
            web.Route("GET", root + "/{name}/{key}/events", self.events),
            web.Route("GET", root + "/{name}/{key}/template", self.template),
        ]

    def render(self, error: errors.ApiError) -> webob.Response:
        body = {
            "code": error.status,
            "title": TITLES.get(error.status, "Error"),
            "explanation": error.message,
            "error": {"message": error.message, "type": TYPES.get(error.status, "Error"), "traceback": None},
        }
        return web.answer(error.status, body)

    def versions(self, call: web.Call) -> webob.Response:
        link = {"rel": "self", "href": f"{call.base_url}/orchestration/v1/"}
        return web.answer(300, {"versions": [{"id": "v1.0", "status": "CURRENT", "links": [link]}]})

    def index(self, call: web.Call, project_id: str) -> webob.Response:
        names = call.query.getall("name")
        found = [stack for stack in self._stacks.all(call.identity) if not names or stack["name"] in names]
        page, _ = listing.page(call, found)
        return web.answer(body={"stacks": [_shown(call, stack) for stack in page]})

    def create(self, call: web.Call, project_id: str) -> webob.Response:
        body = call.json()
        name = body.get("stack_name")
        if not isinstance(name, str) or not NAME.fullmatch(name):
            raise errors.bad_request(
                f'Invalid stack name {name} must contain only alphanumeric or "_-." characters, must start with alpha and'
                " must be 255 characters or less."
            )
        if body.get("disable_rollback") is not True:
            raise errors.bad_request("The sandbox does not roll stacks back: disable_rollback must be true.")
        template = templates.parse(body.get("template"), body.get("parameters"))
        stack = self._stacks.create(call.identity, name, template, call.strikes)
        return web.answer(201, {"stack": {"id": stack["id"], "links": _links(call, stack)}})

    def lookup(self, call: web.Call, project_id: str, key: str, below: str = "") -> webob.Response:
        """Redirect from a name or an id to both."""
        stack = self._stacks.get(call.identity, key)
        return web.answer(302, None, {"Location": _links(call, stack)[0]["href"] + below})

    def _below(self, part: str) -> web.Handler:
        return functools.partial(self.lookup, below=f"/{part}")

    def _find(self, call: web.Call, name: str, key: str) -> state.Document:
        stack = self._stacks.get(call.identity, key)
        if stack["id"] != key or stack["name"] != name:
            raise errors.not_found(f"The Stack ({name}/{key}) could not be found.")
        return stack

    def show(self, call: web.Call, project_id: str, name: str, key: str) -> webob.Response:
        return web.answer(body={"stack": _shown(call, self._find(call, name, key))})

    def delete(self, call: web.Call, project_id: str, name: str, key: str) -> webob.Response:
        self._stacks.delete(self._find(call, name, key), call.strikes)
        return web.answer(204)

    def resources(self, call: web.Call, project_id: str, name: str, key: str) -> webob.Response:
        stack = self._find(call, name, key)
        return web.answer(body={"resources": [_resource(stack, each) for each in stack["resources"]]})

    def resource(self, call: web.Call, project_id: str, name: str, key: str, resource: str) -> webob.Response:
        stack = self._find(call, name, key)
        if resource not in stack["resources"]:
            raise errors.not_found(f"The Resource ({resource}) could not be found in Stack {name}.")
        return web.answer(body={"resource": _resource(stack, resource)})

    def events(self, call: web.Call, project_id: str, name: str, key: str) -> webob.Response:
        return web.answer(body={"events": self._find(call, name, key)["events"]})

    def template(self, call: web.Call, project_id: str, name: str, key: str) -> webob.Response:
        return web.answer(body=self._find(call, name, key)["template"])


def _links(call: web.Call, stack: state.Document) -> list[dict[str, str]]:
    root = f"{call.base_url}/orchestration/v1/{stack['project_id']}/stacks"
    return [{"rel": "self", "href": f"{root}/{urllib.parse.quote(stack['name'])}/{stack['id']}"}]


def _shown(call: web.Call, stack: state.Document) -> dict[str, Any]:
    return {
        "id": stack["id"],
        "stack_name": stack["name"],
        "stack_status": stack["status"],
        "stack_status_reason": stack["reason"],
        "creation_time": stack["created_at"],
        "disable_rollback": True,
        "links": _links(call, stack),
        "outputs": [],
        "parameters": {},
        "tags": None,
    }


def _resource(stack: state.Document, name: str) -> dict[str, Any]:
    resource = stack["resources"][name]
    return {
        "resource_name": name,
        "logical_resource_id": name,
        "physical_resource_id": resource["key"],
        "resource_type": resource["type"],
        "resource_status": resource["status"],
        "resource_status_reason": resource["reason"],
        "links": [],
    }
