"""Addresses of subnets: networks, pools of allocation and free addresses. Pure functions."""

import ipaddress
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from karbor_like.sandbox.network import refusal

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Pool = Mapping[str, str]


def parse_network(cidr: Any) -> Network:
    """Parse a network without bits of a host.

    :raises ApiError: 400
    """
    try:
        return ipaddress.ip_network(cidr)
    except ValueError as error:
        raise refusal.invalid(f"Invalid input for cidr. Reason: '{cidr}' is not a valid IP subnet: {error}.") from None


def parse_address(text: Any) -> Address:
    """Parse an address.

    :raises ApiError: 400
    """
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        raise refusal.invalid(f"Invalid input for ip_address. Reason: '{text}' is not a valid IP address.") from None


def contains(cidr: str, address: str) -> bool:
    """Return whether an address belongs to a network."""
    return parse_address(address) in parse_network(cidr)


def first_host(network: Network) -> Address:
    """Return the address of the gateway if none is given."""
    return network[1] if network.num_addresses > 1 else network[0]


def last_host(network: Network) -> Address:
    """Return the last address that a port may have: not the one for broadcasts."""
    return network[-2] if network.version == 4 and network.num_addresses > 2 else network[-1]


def default_pools(network: Network, gateway: str | None) -> list[dict[str, str]]:
    """Return pools of all addresses of hosts but the gateway's."""
    first, last = int(first_host(network)), int(last_host(network))
    hole = int(parse_address(gateway)) if gateway and parse_address(gateway) in network else first - 1
    ranges = [(first, last)] if not first <= hole <= last else [(first, hole - 1), (hole + 1, last)]
    kind = type(network[0])
    return [{"start": str(kind(start)), "end": str(kind(end))} for start, end in ranges if start <= end]


def check_pools(network: Network, pools: Sequence[Pool], gateway: str | None) -> None:
    """Check the pools that a tenant gives.

    :raises ApiError: 400 for a pool outside the network or without addresses, 409 for pools that contain each other or the
        gateway
    """
    ranges = []
    for pool in pools:
        start, end = parse_address(pool.get("start")), parse_address(pool.get("end"))
        text = f"{start}-{end}"
        if start.version != network.version or int(start) > int(end):
            raise refusal.invalid(f"The allocation pool {text} is not valid.", "InvalidAllocationPool")
        if start not in network or end not in network or int(end) > int(last_host(network)):
            raise refusal.invalid(
                f"The allocation pool {text} spans beyond the subnet cidr {network}.", "OutOfBoundsAllocationPool"
            )
        if gateway and int(start) <= int(parse_address(gateway)) <= int(end):
            raise refusal.conflict(
                "GatewayConflictWithAllocationPools", f"Gateway ip {gateway} conflicts with allocation pool {text}."
            )
        ranges.append((int(start), int(end), text))
    ranges.sort()
    for (_, last, one), (first, _, other) in zip(ranges, ranges[1:], strict=False):
        if first <= last:
            raise refusal.conflict(
                "OverlappingAllocationPools",
                f"Found overlapping allocation pools: {one} {other} for subnet {network}.",
            )


def first_free(pools: Sequence[Pool], used: Collection[str]) -> str | None:
    """Return the first address of the pools that is not in use, or None if there is none."""
    for pool in pools:
        address, end = parse_address(pool["start"]), parse_address(pool["end"])
        while int(address) <= int(end):
            if str(address) not in used:
                return str(address)
            address += 1
    return None


def derived(cidr: str, mac: str) -> str:
    """Return the address that a host with a MAC address gives itself in an IPv6 network (RFC 4291, appendix A)."""
    octets = bytes.fromhex(mac.replace(":", ""))
    identifier = bytes([octets[0] ^ 2]) + octets[1:3] + b"\xff\xfe" + octets[3:]
    return str(parse_network(cidr)[int.from_bytes(identifier)])


def first_free_network(prefixes: Sequence[str], length: int, used: Sequence[str]) -> str | None:
    """Return the first network of *length* bits within *prefixes* that overlaps none of *used*, or None."""
    taken = [parse_network(each) for each in used]
    for prefix in map(parse_network, prefixes):
        if length < prefix.prefixlen:
            continue
        for candidate in prefix.subnets(new_prefix=length):
            if not any(candidate.version == other.version and candidate.overlaps(other) for other in taken):
                return str(candidate)
    return None
