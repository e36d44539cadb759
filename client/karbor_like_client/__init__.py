"""Client of karbor_like: a service for openstacksdk, and commands for OpenStackClient."""

from karbor_like_client.service import SERVICE, DataProtectionService, add_to

__all__ = ["SERVICE", "DataProtectionService", "add_to"]
