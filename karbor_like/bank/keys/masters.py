"""Master keys, with which the operator protects the data keys of all projects, and where they come from."""

import base64
import binascii
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from oslo_config import cfg

from karbor_like import exception
from karbor_like.bank import errors, layout

LOG = logging.getLogger(__name__)

KEY_BYTES: Final = 32


@dataclass(frozen=True)
class MasterKey:
    """A key of the operator's.

    :param id: the operator's name of it, at most 200 characters
    :param material: 32 bytes
    """

    id: str
    material: bytes = field(repr=False)

    @property
    def seal_id(self) -> str:
        return f"master/{layout.quote(self.id)}"


class MasterKeys(Protocol):
    """Where master keys come from."""

    def ids(self) -> Sequence[str]:
        """Names of all master keys to try; the first one wraps new data keys."""
        ...

    def get(self, master_id: str) -> MasterKey:
        """Raises KeyUnavailable."""
        ...


class ConfiguredMasterKeys:
    """Master keys from the provider's file.

    :param lines: ``<id>:<base64 of 32 bytes>``, the wrapping one first
    """

    def __init__(self, lines: Sequence[str]) -> None:
        self._keys: dict[str, MasterKey] = {}
        for number, line in enumerate(lines, 1):
            master_id, _, encoded = line.partition(":")
            try:
                material = base64.b64decode(encoded.strip(), validate=True)
                layout.quote(master_id)
            except (binascii.Error, ValueError, errors.InvalidKey):
                material = b""
            if len(material) != KEY_BYTES or master_id in self._keys:
                raise exception.ConfigurationError(
                    f"[bank] master_keys, line {number}: expected a name of its own, a colon, and {KEY_BYTES} bytes in"
                    " base64, as 'openssl rand -base64 32' makes them"
                )
            self._keys[master_id] = MasterKey(master_id, material)

    def ids(self) -> Sequence[str]:
        return list(self._keys)

    def get(self, master_id: str) -> MasterKey:
        try:
            return self._keys[master_id]
        except KeyError:
            raise errors.KeyUnavailable(f"master key {master_id!r} is not among [bank] master_keys") from None


class CastellanMasterKeys:
    """Master keys from a key manager, by their ids there. Each is asked for once.

    :param conf: castellan's own options (``[key_manager]``, ``[barbican]``, ``[vault]`` ...) are registered here
    :param key_ids: the wrapping one first
    """

    def __init__(self, conf: cfg.ConfigOpts, key_ids: Sequence[str]) -> None:
        # castellan takes half a second to import and is not needed where the keys are in the file.
        from castellan import options

        for group, opts in options.list_opts():
            conf.register_opts(opts, group=group)
        self._conf = conf
        self._ids = list(key_ids)
        self._keys: dict[str, MasterKey] = {}

    def ids(self) -> Sequence[str]:
        return self._ids

    def get(self, master_id: str) -> MasterKey:
        if master_id not in self._ids:
            raise errors.KeyUnavailable(f"master key {master_id!r} is not among [bank] castellan_master_keys")
        if master_id not in self._keys:
            self._keys[master_id] = MasterKey(master_id, self._fetch(master_id))
        return self._keys[master_id]

    def _fetch(self, master_id: str) -> bytes:
        from castellan import key_manager
        from castellan.common import exception as castellan_errors
        from castellan.common import utils
        from keystoneauth1 import exceptions as keystone_errors

        try:
            context = utils.credential_factory(conf=self._conf) if self._conf.key_manager.auth_type else None
            material = key_manager.API(self._conf).get(context, master_id).get_encoded()
        # The last three: drivers take for granted what another server answers in another form.
        except (
            castellan_errors.CastellanException,
            keystone_errors.ClientException,
            ValueError,
            LookupError,
            TypeError,
        ) as error:
            raise errors.KeyUnavailable(f"the key manager does not give master key {master_id!r}: {error}") from None
        if material is None or len(material) != KEY_BYTES:
            raise exception.ConfigurationError(
                f"master key {master_id!r} in the key manager has {len(material or b'')} bytes; it must have {KEY_BYTES}"
            )
        return material
