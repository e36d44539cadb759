"""Neutron v2.0: routes, and the form of requests and responses."""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import webob

from karbor_like import clock as clocks
from karbor_like.sandbox import errors, state, web
from karbor_like.sandbox.network import floating, groups, listing, networks, policies, ports, refusal, routers, trunks
from karbor_like.sandbox.network.quotas import Quotas
from karbor_like.sandbox.network.records import Common, Records

EXTENSIONS = ("router", "ext-gw-mode", "extraroute", "security-group", "allowed-address-pairs", "port-security") + (
    "quotas",
    "quota_details",
    "subnet_allocation",
    "trunk",
    "floating-ip-port-forwarding",
    "standard-attr-tag",
    "standard-attr-description",
    "standard-attr-revisions",
    "standard-attr-timestamp",
    "net-mtu",
    "external-net",
    "qos",
)


class NetworkService(web.Service):
    """Neutron. Each call is one transaction."""

    name = "network"
    prefix = "network"

    def __init__(self, store: state.Store, clock: clocks.Clock) -> None:
        self._store = store
        self._quotas = Quotas(store)
        common = Common(store, clock, self._quotas)
        rules = groups.SecurityGroupRules(common)
        self.groups = groups.SecurityGroups(common, rules)
        pools = networks.SubnetPools(common)
        self.networks = nets = networks.Networks(common)
        subnets = networks.Subnets(common, nets, pools)
        qos = policies.QosPolicies(common)
        self.ports = ports.Ports(common, nets, subnets, self.groups, qos)
        self._routers = routers.Routers(common, nets, subnets, self.ports)
        floating_ips = floating.FloatingIPs(common, nets, self.ports, self._routers)
        self._forwardings = floating.PortForwardings(common, floating_ips, self.ports, self._routers)
        self._floating = floating_ips
        self._trunks = trunks.Trunks(common, self.ports)
        self._records: tuple[Records, ...] = (nets, subnets, pools, self.ports, self._routers, floating_ips)
        self._records += (self.groups, rules, self._trunks, qos)
        super().__init__()

    def routes(self) -> Sequence[web.Route]:
        table = [
            web.Route("GET", "/", self.versions, public=True),
            self._route("GET", "/extensions", self.extensions),
            self._route("GET", "/quotas/{project}", self.show_quota),
            self._route("GET", "/quotas/{project}/details.json", self.show_quota_details),
            self._route("PUT", "/quotas/{project}", self.change_quota),
            self._route("DELETE", "/quotas/{project}", self.reset_quota),
            self._route("PUT", "/routers/{key}/add_router_interface", self._act(self._routers.add_interface)),
            self._route("PUT", "/routers/{key}/remove_router_interface", self._act(self._routers.remove_interface)),
            self._route("PUT", "/trunks/{key}/add_subports", self._act(self._trunks.add)),
            self._route("PUT", "/trunks/{key}/remove_subports", self._act(self._trunks.remove)),
            self._route("GET", "/trunks/{key}/get_subports", self.subports),
        ]
        for records in self._records:
            path = f"/{records.path}"
            actions: tuple[tuple[str, str, Callable[..., webob.Response]], ...] = (
                ("POST", path, self.create),
                ("GET", path, self.index),
                ("GET", path + "/{key}", self.show),
                ("PUT", path + "/{key}", self.update),
                ("DELETE", path + "/{key}", self.delete),
                ("GET", path + "/{key}/tags", self.list_tags),
                ("PUT", path + "/{key}/tags", self.replace_tags),
                ("DELETE", path + "/{key}/tags", self.remove_tags),
                ("PUT", path + "/{key}/tags/{tag}", self.add_tag),
            )
            table += [self._route(method, at, functools.partial(handler, records)) for method, at, handler in actions]
        nested = "/floatingips/{parent}/port_forwardings"
        table += [
            self._route("POST", nested, self.create_forwarding),
            self._route("GET", nested, self.list_forwardings),
            self._route("GET", nested + "/{key}", self.show_forwarding),
            self._route("PUT", nested + "/{key}", self.update_forwarding),
            self._route("DELETE", nested + "/{key}", self.delete_forwarding),
        ]
        return table

    def _route(self, method: str, template: str, handler: web.Handler) -> web.Route:
        def handle(call: web.Call, **arguments: str) -> webob.Response:
            _body(call)  # before the transaction, because clients may be slow
            with self._store.transaction():
                if call.identity.project_id:
                    self.groups.default(call.identity, call.identity.project_id)
                return handler(call, **arguments)

        return web.Route(method, f"/v2.0{template}", handle)

    def render(self, error: errors.ApiError) -> webob.Response:
        kind = error.kind if isinstance(error, refusal.Refusal) else "HTTPError"
        return web.answer(error.status, {"NeutronError": {"type": kind, "message": error.message, "detail": ""}})

    def versions(self, call: web.Call) -> webob.Response:
        link = {"rel": "self", "href": f"{call.base_url}/network/v2.0/"}
        return web.answer(body={"versions": [{"id": "v2.0", "status": "CURRENT", "links": [link]}]})

    def extensions(self, call: web.Call) -> webob.Response:
        found = [{"alias": name, "name": name, "description": "", "links": []} for name in EXTENSIONS]
        return web.answer(body={"extensions": found})

    # all kinds

    def create(self, records: Records, call: web.Call) -> webob.Response:
        """Create one object, or several in one request."""
        plural = _plural(records)
        if isinstance(_body(call).get(plural), list):
            several = [records.create(call.identity, values) for values in _body(call)[plural]]
            return web.answer(201, {plural: [records.to_dict(call.identity, each) for each in several]})
        made = records.create(call.identity, _member(call, records))
        return web.answer(201, {records.kind: records.to_dict(call.identity, made)})

    def index(self, records: Records, call: web.Call) -> webob.Response:
        shown = [records.to_dict(call.identity, each) for each in records.visible(call.identity)]
        known = frozenset(records.all_attributes) | frozenset(name for each in shown for name in each)
        page, more = listing.select(call, shown, known)
        body: dict[str, Any] = {_plural(records): [listing.fields(call, each) for each in page]}
        if more:
            href = f"{call.base_url}/network/v2.0/{records.path}?marker={page[-1]['id'] if page else ''}"
            body[f"{_plural(records)}_links"] = [{"rel": "next", "href": href}]
        return web.answer(body=body)

    def show(self, records: Records, call: web.Call, key: str) -> webob.Response:
        shown = records.to_dict(call.identity, records.get(call.identity, key))
        return web.answer(body={records.kind: listing.fields(call, shown)})

    def update(self, records: Records, call: web.Call, key: str) -> webob.Response:
        changed = records.update(call.identity, key, _member(call, records))
        return web.answer(body={records.kind: records.to_dict(call.identity, changed)})

    def delete(self, records: Records, call: web.Call, key: str) -> webob.Response:
        records.delete(call.identity, key)
        return web.answer(204)

    def list_tags(self, records: Records, call: web.Call, key: str) -> webob.Response:
        return web.answer(body={"tags": records.get(call.identity, key)["tags"]})

    def replace_tags(self, records: Records, call: web.Call, key: str) -> webob.Response:
        tags = _body(call).get("tags")
        if not isinstance(tags, list) or not all(isinstance(tag, str) and 0 < len(tag) <= 255 for tag in tags):
            raise refusal.invalid(f"Invalid input for tags. Reason: {tags!r} is not a list of texts.")
        return web.answer(body={"tags": records.tag(call.identity, key, tags)})

    def remove_tags(self, records: Records, call: web.Call, key: str) -> webob.Response:
        records.tag(call.identity, key, [])
        return web.answer(204)

    def add_tag(self, records: Records, call: web.Call, key: str, tag: str) -> webob.Response:
        records.tag(call.identity, key, [*records.get(call.identity, key)["tags"], tag])
        return web.answer(201)

    # actions

    def _act(self, action: Callable[[web.Identity, str, dict[str, Any]], dict[str, Any]]) -> web.Handler:
        return lambda call, key: web.answer(body=action(call.identity, key, _body(call)))

    def subports(self, call: web.Call, key: str) -> webob.Response:
        return web.answer(body={"sub_ports": self._trunks.get(call.identity, key)["sub_ports"]})

    # ports that floating IPs forward

    def create_forwarding(self, call: web.Call, parent: str) -> webob.Response:
        made = self._forwardings.create(call.identity, {**_member(call, self._forwardings), "floatingip_id": parent})
        return web.answer(201, {"port_forwarding": self._forwardings.to_dict(call.identity, made)})

    def list_forwardings(self, call: web.Call, parent: str) -> webob.Response:
        self._floating.get(call.identity, parent)
        found = self._forwardings.objects("port_forwarding", floatingip_id=parent)
        page, _ = listing.select(
            call,
            [self._forwardings.to_dict(call.identity, each) for each in found],
            frozenset(self._forwardings.attributes),
        )
        return web.answer(body={"port_forwardings": page})

    def _forwarding(self, call: web.Call, parent: str, key: str) -> state.Document:
        found = self._forwardings.get(call.identity, key)
        if found["floatingip_id"] != parent:
            raise refusal.missing("Port Forwarding", key)
        return found

    def show_forwarding(self, call: web.Call, parent: str, key: str) -> webob.Response:
        found = self._forwarding(call, parent, key)
        return web.answer(body={"port_forwarding": self._forwardings.to_dict(call.identity, found)})

    def update_forwarding(self, call: web.Call, parent: str, key: str) -> webob.Response:
        self._forwarding(call, parent, key)
        changed = self._forwardings.update(call.identity, key, _member(call, self._forwardings))
        return web.answer(body={"port_forwarding": self._forwardings.to_dict(call.identity, changed)})

    def delete_forwarding(self, call: web.Call, parent: str, key: str) -> webob.Response:
        self._forwarding(call, parent, key)
        self._forwardings.delete(call.identity, key)
        return web.answer(204)

    # quotas

    def show_quota(self, call: web.Call, project: str) -> webob.Response:
        return web.answer(body={"quota": self._quotas.of(call.identity, project)})

    def show_quota_details(self, call: web.Call, project: str) -> webob.Response:
        return web.answer(body={"quota": self._quotas.details(call.identity, project)})

    def change_quota(self, call: web.Call, project: str) -> webob.Response:
        values = _body(call).get("quota")
        if not isinstance(values, dict):
            raise refusal.invalid("Unable to find 'quota' in request body")
        return web.answer(body={"quota": self._quotas.change(call.identity, project, values)})

    def reset_quota(self, call: web.Call, project: str) -> webob.Response:
        self._quotas.reset(call.identity, project)
        return web.answer(204)


def _plural(records: Records) -> str:
    return records.path.rpartition("/")[2].replace("-", "_")


def _body(call: web.Call) -> dict[str, Any]:
    body = call.json() if call.has_body else {}
    if not isinstance(body, dict):
        raise refusal.invalid("Request body is not an object.")
    return body


def _member(call: web.Call, records: Records) -> dict[str, Any]:
    values = _body(call).get(records.kind)
    if not isinstance(values, dict):
        raise refusal.invalid(f"Unable to find '{records.kind}' in request body")
    return values
