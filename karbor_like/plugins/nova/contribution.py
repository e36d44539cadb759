"""What a restored server contributes to the template of the restore."""

import base64
import dataclasses
import functools
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from karbor_like.domain import resource
from karbor_like.domain.template import Template
from karbor_like.plugins.glance.image import IMAGE
from karbor_like.plugins.neutron import schema as network
from karbor_like.plugins.nova import decisions, keypair, stored
from karbor_like.plugins.nova.deployables import SERVER_GROUP
from karbor_like.plugins.nova.interfaces import PREFIX, Interfaces
from karbor_like.plugins.nova.target import Target, volume_key
from karbor_like.plugins.protection import HookContext
from karbor_like.plugins.toolkit import names

#: Parameters: ids of existing objects, by those in the checkpoint.
NETWORK_MAP: Final = "network_map"
VOLUME_MAP: Final = "volume_map"

_HOSTNAME_LENGTH: Final = 63

Values = Mapping[str, Any]


def name_of(context: HookContext, document: Values) -> str:
    """Return the name of the restored server."""
    return names.restored(context.parameters, document["server"]["name"] or context.resource.id)


def _mapped(context: HookContext) -> HookContext:
    """Return the context with the mappings of the parameters among the others."""
    given = context.parameters
    networks = {
        network.key(kind, original): target
        for original, target in (given.get(NETWORK_MAP) or {}).items()
        for kind in (network.NET, network.GROUP)
    }
    volumes = {volume_key(original): target for original, target in (given.get(VOLUME_MAP) or {}).items()}
    return dataclasses.replace(context, mapping={**context.mapping, **networks, **volumes})


class Contribution:
    """The server of a document in the target."""

    def __init__(self, context: HookContext, document: Values) -> None:
        context = self._context = _mapped(context)
        self._document = document
        self._server: Values = document["server"]
        self._target = Target(context)
        self._interfaces = Interfaces(context, self._target, self._server, document["ports"])
        self._name = name_of(context, document)

    def conflicts(self) -> Sequence[tuple[str, str]]:
        """Return ``Type#id`` and a reason for everything that makes the restore impossible."""
        key = self._context.resource.key
        found = [(key, choice.conflict) for choice in (self._flavor, self._zone) if choice.conflict]
        found += self._interfaces.conflicts()
        found += self._doubly_mapped()
        restored = {child.key for child in self._context.children} | set(self._context.mapping)
        for volume in self._server["volumes"]:
            original = volume_key(volume["id"])
            needed = volume["is_root"] or self._target.is_strict
            if needed and original not in restored and not self._target.free_volume(volume["id"]):
                what = "boots from it" if volume["is_root"] else "uses it"
                reason = (
                    "it is neither restored nor free in this cloud: restore it as well (name it in 'resources', or leave"
                    f" 'with_children' out), or map it with '{VOLUME_MAP}'"
                )
                found.append((original, f"server {self._server['id']} {what}, and {reason}"))
        for volume_id in (self._context.parameters.get(VOLUME_MAP) or {}).values():
            if not self._target.free_volume(volume_id):
                found.append((key, f"{VOLUME_MAP}: volume {volume_id} does not exist, or is in use"))
        described = self._server["key_pair"]
        mapped = self._context.mapping.get(keypair.key(described["name"])) if described else None
        wanted = self._context.parameters.get("key_name") or mapped
        if wanted and not self._target.has_key_pair(wanted):
            found.append((key, f"there is no key pair {wanted!r}"))
        if self._target.is_strict and not found:
            found = [(key, f"{remark}, which a strict restore must not accept") for remark in self._drafted_remarks()]
        return found

    def _doubly_mapped(self) -> list[tuple[str, str]]:
        """Return conflicts of what the request names for the volumes of the server."""
        mapping, children = self._context.mapping, {child.key for child in self._context.children}
        originals = [volume_key(volume["id"]) for volume in self._server["volumes"]]
        mapped = [original for original in originals if original in mapping]
        found = [
            (
                original,
                f"it is restored, and mapped to {mapping[original]}: leave it out of 'resources', or do not map it",
            )
            for original in mapped
            if original in children
        ]
        first: dict[str, str] = {}
        for original in mapped:
            if first.setdefault(mapping[original], original) != original:
                other = first[mapping[original]]
                found.append((original, f"it is mapped to volume {mapping[original]}, and so is {other}"))
        return found

    def _drafted_remarks(self) -> list[str]:
        """Return the remarks of a restore that has not begun."""
        draft = dataclasses.replace(
            decisions.draft(self._context),
            restored={child.key: f"({child.key})" for child in self._context.children},
            template=_Awaited() if self._interfaces.are_restored else None,
        )
        contribution = Contribution(draft, self._document)
        contribution.decide()
        return contribution.remarks()

    def decide(self) -> None:
        """Choose what exists already. For the main hook."""
        for number, volume in enumerate(self._server["volumes"]):
            if volume_key(volume["id"]) not in self._context.mapping:
                decisions.decide(self._context, f"volume-{number}", self._target.free_volume(volume["id"]))
        self._interfaces.decide()
        if self._server["key_pair"]:
            keypair.decide(self._context, self._server["key_pair"])
        if self._server["group"]:
            decisions.decide(self._context, "server-group", self._target.server_group(self._server["group"]))

    def remarks(self) -> list[str]:
        """Return the remarks on what the finished template does not restore as it was."""
        known = self._context.template or Template()
        remarks = self.add(_Rehearsal(known))
        if not self._context.parameters.get("restore_net_id"):
            remarks += self._interfaces.lost_remarks(known)
        return remarks

    def add(self, template: Template) -> list[str]:
        """Add the server, and what it needs and nothing else contributes. Return remarks."""
        server, remarks = self._server, [self._flavor.remark, self._zone.remark]
        for original, target_id in self._context.mapping.items():
            if not template.knows(original):
                template.use(original, target_id)
        devices, tags, found = self._devices()
        networks, more = self._interfaces.contribute(template)
        key_name, even_more = self._key_name(template)
        group, properties = self._group(template), dict[str, Any]()
        direct: dict[str, Any] = {"description": server["description"]}
        if server["hostname"] != derived_hostname(self._name):
            direct["hostname"] = server["hostname"]
        if any(tags):
            direct["device_tags"] = tags
        user_data = stored.user_data(self._context)
        try:
            properties["user_data"] = user_data.decode() if user_data else None
        except UnicodeDecodeError:
            direct["user_data"] = base64.b64encode(user_data or b"").decode()
        if server["image"]:
            entry = self._context.journal.peek(IMAGE)
            properties["image"] = entry.cloud_id if entry else "(image of the root disk)"
        properties |= {
            "name": self._name,
            "flavor": self._flavor.value,
            "availability_zone": self._zone.value,
            "key_name": key_name,
            "metadata": server["metadata"] or None,
            "tags": server["tags"] or None,
            "config_drive": server["config_drive"] or None,
            "diskConfig": server["disk_config"],
            "user_data_format": "RAW",
            "block_device_mapping_v2": devices or None,
            "networks": networks,
            "scheduler_hints": {"group": group} if group else None,
            "direct": {name: value for name, value in direct.items() if value} or None,
        }
        given = {name: value for name, value in properties.items() if value is not None}
        template.add(f"server_{server['id']}", resource.SERVER, given, restores=self._context.resource.key)
        return [remark for remark in (*remarks, *found, *more, *even_more) if remark]

    @functools.cached_property
    def _flavor(self) -> Any:
        return self._target.flavor(self._server)

    @functools.cached_property
    def _zone(self) -> Any:
        return self._target.zone(self._server)

    def _devices(self) -> tuple[list[dict[str, Any]], list[str | None], list[str]]:
        """Return Heat's property ``block_device_mapping_v2``, the tag of each device, and remarks."""
        devices, tags, remarks = [], [], []
        for number, volume in enumerate(self._server["volumes"]):
            original = volume_key(volume["id"])
            ending = volume["delete_on_termination"]
            if original in self._context.mapping or original in self._context.restored:
                source: Any = Template.reference(original)
                is_ours = original not in self._context.mapping
            else:
                source, is_ours = decisions.decided(self._context, f"volume-{number}"), False
            if source is None:
                remarks.append(
                    f"volume {volume['id']} is not attached, because it is neither in the checkpoint nor free in this cloud"
                )
                continue
            if ending and not is_ours:
                # A failed restore would delete it together with the server.
                remarks.append(f"volume {volume['id']} existed before, so it is not deleted together with the server")
                ending = False
            device = {
                "volume_id": source,
                "boot_index": 0 if volume["is_root"] else -1,
                "delete_on_termination": ending,
            }
            devices.append(device | ({"device_name": volume["device"]} if volume["device"] else {}))
            tags.append(volume["tag"])
        return devices, tags, remarks

    def _key_name(self, template: Template) -> tuple[Any, list[str]]:
        requested, described = self._context.parameters.get("key_name"), self._server["key_pair"]
        if requested:
            return requested, []
        if described:
            remarks = keypair.contribute(self._context, template, described, PREFIX)
            return Template.reference(keypair.key(described["name"])), remarks
        if self._server["key_name"]:
            return None, [
                f"the server has no key pair, because the public key of {self._server['key_name']!r} is not in the checkpoint"
            ]
        return None, []

    def _group(self, template: Template) -> dict[str, str] | None:
        described = self._server["group"]
        if described is None:
            return None
        original = f"{SERVER_GROUP}#{described['id']}"
        if not template.knows(original) and original not in self._context.mapping:
            used = decisions.decided(self._context, "server-group")
            if used is not None:
                template.use(original, used)
            else:
                name = names.prefixed(self._context.parameters, described["name"])
                properties: dict[str, Any] = {"name": name, "policies": [described["policy"]]}
                if described["max_server_per_host"] is not None:
                    properties["direct"] = {"rules": {"max_server_per_host": described["max_server_per_host"]}}
                template.add(f"servergroup_{described['id']}", SERVER_GROUP, properties, restores=original)
        return Template.reference(original)


class _Awaited(Template):
    """The template of a restore that includes the networks, before they contribute to it."""

    def knows(self, original: str) -> bool:
        return original.startswith("OS::Neutron::") or super().knows(original)


def derived_hostname(name: str) -> str:
    """Return the host name that Nova makes of the name of a server, or an empty text if it uses the server's id.

    See ``sanitize_hostname`` in https://opendev.org/openstack/nova/src/branch/master/nova/utils.py.
    """
    plain = re.sub(r"[ _.]", "-", name.encode("latin-1", "ignore").decode("latin-1")[:_HOSTNAME_LENGTH])
    return re.sub(r"[^\w-]+", "", plain).lower().strip("-")


class _Rehearsal(Template):
    """A template that repeats what one resource added to a finished one, for the remarks.

    :param finished: knows what others have contributed
    """

    def __init__(self, finished: Template) -> None:
        super().__init__()
        self._finished = finished

    def knows(self, original: str) -> bool:
        own = self._finished.originals.get(original, "").startswith(PREFIX)
        return super().knows(original) or (self._finished.knows(original) and not own)
