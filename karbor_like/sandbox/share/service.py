"""Manila v2: routes of shares, snapshots, access rules, quotas and messages, as in microversion 2.73."""

from collections.abc import Sequence
from typing import Any

import webob

from karbor_like import clock as clocks
from karbor_like.sandbox import errors, jobs, listing, microversion, state, web
from karbor_like.sandbox.share import access, messages, quotas, shares
from karbor_like.sandbox.volume import records

LOWEST, HIGHEST = "2.0", "2.80"
FAULT_NAMES = {400: "badRequest", 401: "unauthorized", 403: "forbidden", 404: "itemNotFound", 405: "badMethod"}
FAULT_NAMES |= {409: "conflictingRequest", 413: "overLimit", 415: "badMediaType"}


class ShareService(web.Service):
    """Manila."""

    name = "share"
    prefix = "share"

    def __init__(self, store: state.Store, clock: clocks.Clock, work: jobs.Jobs) -> None:
        self._store = store
        self._quotas = quotas.Quotas(store)
        self._messages = messages.Messages(store, clock)
        self._rules = access.AccessRules(store, work)
        common = records.Common(store, clock, work, self._messages, self._quotas)
        self._snapshots = shares.Snapshots(common)
        self.shares = shares.Shares(common, self._snapshots)
        super().__init__()

    def routes(self) -> Sequence[web.Route]:
        table = [
            web.Route("GET", "/", self.versions, public=True),
            web.Route("GET", "/v2", self.versions, public=True),
            web.Route("POST", "/v2/shares", self.create_share),
            web.Route("DELETE", "/v2/shares/{key}", self.delete_share),
            web.Route("POST", "/v2/shares/{key}/action", self.share_action),
            web.Route("GET", "/v2/share-access-rules", self.list_rules),
            web.Route("POST", "/v2/share-networks", self.create_network),
            web.Route("POST", "/v2/snapshots", self.create_snapshot),
            web.Route("DELETE", "/v2/snapshots/{key}", self.delete_snapshot),
            web.Route("POST", "/v2/snapshots/{key}/action", self.snapshot_action),
            web.Route("GET", "/v2/quota-sets/{owner}", self.show_quotas),
            web.Route("GET", "/v2/quota-sets/{owner}/detail", self.detail_quotas),
            web.Route("PUT", "/v2/quota-sets/{owner}", self.change_quotas),
            web.Route("GET", "/v2/messages", self.list_messages),
        ]
        return [*table, *self._common("share", self.shares), *self._common("snapshot", self._snapshots)]

    def finish(self, call: web.Call, response: webob.Response) -> None:
        header = microversion.HEADERS["shared-file-system"]
        if header in call.headers:
            response.headers[header] = call.headers[header]
            response.headers["Vary"] = header

    def render(self, error: errors.ApiError) -> webob.Response:
        name = FAULT_NAMES.get(error.status, "computeFault")
        body = {"code": error.status, "message": error.message}
        if seconds := error.headers.get("Retry-After"):
            body["retryAfter"] = seconds
        return web.answer(error.status, {name: body})

    def recover(self) -> None:
        self.shares.recover()
        self._snapshots.recover()
        self._rules.recover()

    def versions(self, call: web.Call) -> webob.Response:
        version = {
            "id": "v2.0",
            "status": "CURRENT",
            "version": HIGHEST,
            "min_version": LOWEST,
            "updated": "2015-08-27T11:33:21Z",
            "links": [{"rel": "self", "href": f"{call.base_url}/share/v2/"}],
            "media-types": [{"base": "application/json", "type": "application/vnd.openstack.share+json;version=1"}],
        }
        return web.answer(300 if call.path == "/" else 200, {"versions": [version]})

    # shares

    def create_share(self, call: web.Call) -> webob.Response:
        share = self.shares.create(call.identity, _member(call, "share"), call.strikes)
        return web.answer(200, {"share": self._shown(call, share)})

    def delete_share(self, call: web.Call, key: str) -> webob.Response:
        self.shares.delete(call.identity, key, call.strikes)
        return web.answer(202)

    def share_action(self, call: web.Call, key: str) -> webob.Response:
        ((action, values),) = _body(call).items()
        share = self.shares.get(call.identity, key)
        _since(call, 7)
        match action:
            case "allow_access":
                rule = self._rules.allow(share, values, call.strikes)
                return web.answer(200, {"access": {**_rule(rule), "share_id": key}})
            case "deny_access":
                self._rules.deny(key, str(values.get("access_id")), call.strikes)
                return web.answer(202)
            case "reset_status":
                return _reset(call, self.shares, key, values)
        raise _unknown(action)

    def list_rules(self, call: web.Call) -> webob.Response:
        _since(call, 45)
        share_id = call.query.get("share_id", "")
        try:
            self.shares.get(call.identity, share_id)
        except errors.ApiError:
            raise errors.bad_request(f"Share {share_id} not found.") from None
        return web.answer(body={"access_list": [_rule(rule) for rule in self._rules.of(share_id)]})

    def create_network(self, call: web.Call) -> webob.Response:
        """Add a share network, in which nothing but its id matters here."""
        values = _member(call, "share_network")
        key = web.new_id()
        network = {"id": key, "name": values.get("name"), "project_id": call.identity.project_id}
        self._store.put("share_network", key, network)
        return web.answer(200, {"share_network": network})

    # snapshots

    def create_snapshot(self, call: web.Call) -> webob.Response:
        values = _member(call, "snapshot")
        share = self.shares.get(call.identity, str(values.get("share_id")))
        if microversion.wanted(call, "shared-file-system", LOWEST, HIGHEST) < (2, 73):
            values = {**values, "metadata": None}
        snapshot = self._snapshots.create(call.identity, share, values, call.strikes)
        return web.answer(202, {"snapshot": self._shown(call, snapshot)})

    def delete_snapshot(self, call: web.Call, key: str) -> webob.Response:
        self._snapshots.delete(call.identity, key, call.strikes)
        return web.answer(202)

    def snapshot_action(self, call: web.Call, key: str) -> webob.Response:
        ((action, values),) = _body(call).items()
        self._snapshots.get(call.identity, key)
        if action != "reset_status":
            raise _unknown(action)
        return _reset(call, self._snapshots, key, values)

    # both

    def _common(self, noun: str, store: shares.Shares | shares.Snapshots) -> list[web.Route]:
        """Return the routes that shares and snapshots have in common."""

        def index(call: web.Call) -> webob.Response:
            documents, _ = listing.page(call, listing.select(call, store.all()))
            return web.answer(body={f"{noun}s": [self._shown(call, document) for document in documents]})

        def show(call: web.Call, key: str) -> webob.Response:
            return web.answer(body={noun: self._shown(call, store.get(call.identity, key))})

        def update(call: web.Call, key: str) -> webob.Response:
            return web.answer(body={noun: self._shown(call, store.describe(call.identity, key, _member(call, noun)))})

        def change_metadata(call: web.Call, key: str) -> webob.Response:
            if noun == "snapshot":
                _since(call, 73)
            new, is_whole = _member(call, "metadata"), call.method == "PUT"
            metadata = store.change_metadata(call.identity, key, lambda old: new if is_whole else {**old, **new})
            return web.answer(body={"metadata": metadata})

        item = f"/v2/{noun}s/{{key}}"
        return [
            web.Route("GET", f"/v2/{noun}s/detail", index),
            web.Route("GET", item, show),
            web.Route("PUT", item, update),
            web.Route("POST", f"{item}/metadata", change_metadata),
            web.Route("PUT", f"{item}/metadata", change_metadata),
        ]

    def _shown(self, call: web.Call, document: state.Document) -> dict[str, Any]:
        version = microversion.wanted(call, "shared-file-system", LOWEST, HIGHEST)
        keys = ("id", "name", "description", "status", "size", "share_proto", "created_at", "project_id", "user_id")
        common = {key: document[key] for key in keys} | {"links": []}
        if "share_id" in document:
            more = {"share_id": document["share_id"], "share_size": document["size"]}
            return common | more | ({"metadata": document["metadata"]} if version >= (2, 73) else {})
        supported = shares.capabilities(document)
        return common | {
            **{key: document[key] for key in ("metadata", "snapshot_id", "share_network_id", "availability_zone")},
            "is_public": document["is_public"],
            "share_type": supported["id"],
            "share_type_name": document["share_type"],
            "snapshot_support": supported["snapshot"],
            "create_share_from_snapshot_support": supported["from_snapshot"],
            "revert_to_snapshot_support": False,
            "mount_snapshot_support": False,
            "access_rules_status": self._rules.status(document["id"]),
            "replication_type": None,
            "has_replicas": False,
            "share_group_id": None,
            "is_soft_deleted": False,
        }

    # other collections

    def show_quotas(self, call: web.Call, owner: str) -> webob.Response:
        return self._quota_set(call, owner, self._quotas.limits(owner))

    def detail_quotas(self, call: web.Call, owner: str) -> webob.Response:
        _since(call, 25)
        limits, usage = self._quotas.limits(owner), self._quotas.usage(owner)
        shown = {key: {"limit": limit, "in_use": usage[key], "reserved": 0} for key, limit in limits.items()}
        return self._quota_set(call, owner, shown)

    @staticmethod
    def _quota_set(call: web.Call, owner: str, shown: dict[str, Any]) -> webob.Response:
        if not call.identity.may_see(owner):
            raise errors.forbidden("Policy doesn't allow quota_set:show to be performed.")
        return web.answer(body={"quota_set": {"id": owner, **shown}})

    def change_quotas(self, call: web.Call, owner: str) -> webob.Response:
        _require_admin(call, "quota_set:update")
        limits = _member(call, "quota_set")
        for key, limit in limits.items():
            if key not in quotas.DEFAULTS or not isinstance(limit, int) or limit < -1:
                raise errors.bad_request(f"Bad key(s) {key} in quota_set, or its limit is no number of -1 or more.")
        self._quotas.change(owner, limits)
        return web.answer(body={"quota_set": self._quotas.limits(owner)})

    def list_messages(self, call: web.Call) -> webob.Response:
        _since(call, 37)
        found, _ = listing.page(call, listing.select(call, self._messages.all()))
        return web.answer(body={"messages": found})


def _since(call: web.Call, minor: int) -> None:
    """Hide a route from older microversions.

    :raises ApiError: 404, if the microversion of the call is below 2.*minor*
    """
    if microversion.wanted(call, "shared-file-system", LOWEST, HIGHEST) < (2, minor):
        raise errors.not_found("The resource could not be found.")


def _body(call: web.Call) -> dict[str, Any]:
    body = call.json()
    if not isinstance(body, dict) or len(body) != 1 or not isinstance(next(iter(body.values())), dict):
        raise errors.ApiError(422, "Unable to process the contained instructions")
    return body


def _member(call: web.Call, name: str) -> dict[str, Any]:
    body = _body(call)
    if name not in body:
        raise errors.ApiError(422, "Unable to process the contained instructions")
    return body[name]


def _require_admin(call: web.Call, rule: str) -> None:
    if not call.identity.is_admin:
        raise errors.forbidden(f"Policy doesn't allow {rule} to be performed.")


def _reset(call: web.Call, store: records.Records, key: str, values: dict[str, Any]) -> webob.Response:
    _require_admin(call, "reset_status")
    store.reset(key, str(values.get("status")))
    return web.answer(202)


def _unknown(action: str) -> errors.ApiError:
    return errors.bad_request(f"There is no such action: {action}")


def _rule(rule: state.Document) -> dict[str, Any]:
    keys = ("id", "access_type", "access_to", "access_level", "access_key", "state", "metadata")
    return {key: rule[key] for key in keys}
