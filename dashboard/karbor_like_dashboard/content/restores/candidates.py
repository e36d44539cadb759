"""What this cloud offers for parameters of a restore: flavors, key pairs, networks, volume types and availability zones.

The user can enter other values: lists are cut at :data:`karbor_like_dashboard.api.MOST`, and may be missing, because a
restore does not need them.
"""

import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

import requests
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from horizon import exceptions as horizon_exceptions
from keystoneauth1 import exceptions as keystone_exceptions
from openstack_dashboard.api import base

from karbor_like_dashboard import api
from karbor_like_dashboard.exceptions import Failure

#: Seconds that a page waits for all lists together.
LIMIT = 5

#: A value, and its text for the reader.
Choice = tuple[str, str]

#: The types in the catalogue of each service, the usual one first.
_SERVICES: Mapping[str, tuple[str, ...]] = {
    "compute": ("compute",),
    "volume": ("block-storage", "volumev3"),
    "network": ("network",),
}


@dataclass(frozen=True)
class _List:
    """One request for candidates.

    :param read: returns the candidates of an answer
    """

    name: Any
    service: str
    path: str
    read: Callable[[Mapping[str, Any]], list[Choice]]


def _named(member: str, *, only: str | None = None) -> Callable[[Mapping[str, Any]], list[Choice]]:
    """Return what reads objects with id and name.

    :param only: a member that must be true
    """

    def read(answer: Mapping[str, Any]) -> list[Choice]:
        found = [each for each in answer[member] if only is None or each.get(only)]
        return [(str(each["id"]), str(each.get("name") or each["id"])) for each in found]

    return read


def _key_pairs(answer: Mapping[str, Any]) -> list[Choice]:
    names = [str(each["keypair"]["name"]) for each in answer["keypairs"]]
    return [(name, name) for name in names]


def _zones(answer: Mapping[str, Any]) -> list[Choice]:
    usable = [str(each["zoneName"]) for each in answer["availabilityZoneInfo"] if each["zoneState"]["available"]]
    return [(name, name) for name in usable]


_ZONES, _NETWORKS = gettext_lazy("availability zones"), gettext_lazy("networks")
_LISTS: Mapping[str, _List] = {
    "flavors": _List(gettext_lazy("flavors"), "compute", f"/flavors?limit={api.MOST}", _named("flavors")),
    "key-pairs": _List(gettext_lazy("key pairs"), "compute", "/os-keypairs", _key_pairs),
    "server-zones": _List(_ZONES, "compute", "/os-availability-zone", _zones),
    "volume-types": _List(gettext_lazy("volume types"), "volume", f"/types?limit={api.MOST}", _named("volume_types")),
    "volume-zones": _List(_ZONES, "volume", "/os-availability-zone", _zones),
    "networks": _List(_NETWORKS, "network", f"/v2.0/networks?limit={api.MOST}", _named("networks")),
    "external-networks": _List(
        _NETWORKS,
        "network",
        f"/v2.0/networks?limit={api.MOST}&router:external=true",
        _named("networks", only="router:external"),
    ),
}

#: The list of each parameter of a restore, by its name, and by type of resource where that matters.
_OF_PARAMETERS: Mapping[str, str | Mapping[str, str]] = {
    "flavor": "flavors",
    "restore_flavor_id": "flavors",
    "key_name": "key-pairs",
    "restore_net_id": "networks",
    "public_network_id": "external-networks",
    "volume_type": "volume-types",
    "availability_zone": {
        "OS::Cinder::Volume": "volume-zones",
        "OS::Nova::Server": "server-zones",
        "OS::Trove::Instance": "server-zones",
    },
}


def of_parameter(kind: str, name: str) -> str | None:
    """Return the name of the list of candidates for a parameter; None if there is none.

    :param kind: the type of resource that the parameter belongs to
    """
    found = _OF_PARAMETERS.get(name)
    return found.get(kind) if isinstance(found, Mapping) else found


def fetch(
    request: Any, names: Collection[str], *, clock: Callable[[], float] = time.monotonic
) -> dict[str, list[Choice]]:
    """Return candidates by name of the list, with one request for each list.

    A list that cannot be had is left out, with a message on the page. A service that failed is not asked again.

    :param names: what :func:`of_parameter` returned
    :param clock: a monotonic time in seconds
    """
    end = clock() + LIMIT
    found: dict[str, list[Choice]] = {}
    failed = set[str]()
    for name in sorted(names):
        wanted = _LISTS[name]
        if wanted.service in failed:
            continue
        failed.add(wanted.service)
        with api.reporting(request, _("Unable to list the %s to choose from") % wanted.name):
            found[name] = _ask(request, wanted, end - clock())
            failed.remove(wanted.service)
    return found


def _ask(request: Any, wanted: _List, seconds: float) -> list[Choice]:
    """Return the candidates of a list.

    :param seconds: after which to give up
    :raises Failure: the service refused the request, did not answer in time, or gave an answer without meaning
    """
    if seconds <= 0:
        raise Failure(_("The services of the cloud take too long."))
    url = f"{_address(request, wanted.service)}{wanted.path}"
    try:
        answer = api.session(request, url, timeout=seconds).get(url, connect_retries=0, status_code_retries=0).json()
        return wanted.read(answer)[: api.MOST]
    except (keystone_exceptions.ClientException, requests.RequestException) as error:
        raise Failure(_("The service %s does not answer.") % wanted.service) from error
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise Failure(_("The service %s gave an answer without meaning.") % wanted.service) from error


def _address(request: Any, service: str) -> str:
    for kind in _SERVICES[service]:
        try:
            # The address of Neutron may contain the version.
            return str(base.url_for(request, kind)).rstrip("/").removesuffix("/v2.0")
        except horizon_exceptions.ServiceCatalogException:
            continue
    raise Failure(_("The service %s is not in the catalogue of this cloud.") % service)
