"""What creates the resources of a network topology one by one, by the types of a template."""

from collections.abc import Mapping
from typing import Final

from karbor_like.plugins.deployable import Deployable
from karbor_like.plugins.neutron.deployables import floating, groups, objects, routing

DEPLOYABLES: Final[Mapping[str, type[Deployable]]] = {
    f"OS::Neutron::{kind.__name__}": kind
    for kind in (
        objects.Net,
        objects.Subnet,
        objects.SubnetPool,
        objects.Router,
        objects.Port,
        objects.Trunk,
        routing.RouterInterface,
        routing.ExtraRouteSet,
        groups.SecurityGroup,
        groups.SecurityGroupRule,
        floating.FloatingIP,
        floating.FloatingIPAssociation,
        floating.FloatingIPPortForward,
    )
}
