"""Master keys, which wrap the data keys of all projects: from the configuration or from a key manager."""

import base64
import binascii
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Final, Protocol

from oslo_config import cfg

from karbor_like import deadline, exception
from karbor_like.bank import errors, layout

LOG = logging.getLogger(__name__)

KEY_BYTES: Final = 32

#: Responses of a key manager, or of Keystone, that say nothing about the key.
_OUTAGES: Final = frozenset(
    {HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS, *(status for status in HTTPStatus if status >= 500)}
)
#: How the driver for Vault names some of them.
_OUTAGE_PHRASES: Final = frozenset(status.phrase for status in (*_OUTAGES, HTTPStatus.PRECONDITION_FAILED))


@dataclass(frozen=True)
class MasterKey:
    """A key of the operator.

    :param id: the operator's name for it, at most 200 characters
    :param material: 32 bytes
    """

    id: str
    material: bytes = field(repr=False)

    @property
    def seal_id(self) -> str:
        """The name of the key in sealed objects."""
        return f"master/{layout.quote(self.id)}"


class MasterKeys(Protocol):
    """A source of master keys."""

    def ids(self) -> Sequence[str]:
        """Return the names of all master keys. The first one wraps new data keys."""
        ...

    def get(self, master_id: str) -> MasterKey:
        """Return a master key. Raises KeyUnavailable, KeyManagerUnavailable."""
        ...


class ConfiguredMasterKeys:
    """Master keys from the provider's file.

    :param lines: ``<id>:<base64 of 32 bytes>``; the first key wraps new data keys
    :raises ConfigurationError: a line is malformed, or its name is not unique
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
                    f"[bank] master_keys, line {number}: malformed; expected a unique name, a colon, and {KEY_BYTES} bytes"
                    " in base64, as printed by 'openssl rand -base64 32'"
                )
            self._keys[master_id] = MasterKey(master_id, material)

    def ids(self) -> Sequence[str]:
        return list(self._keys)

    def get(self, master_id: str) -> MasterKey:
        try:
            return self._keys[master_id]
        except KeyError:
            raise errors.KeyUnavailable(f"master key {master_id!r}: is not in [bank] master_keys") from None


class CastellanMasterKeys:
    """Master keys from a key manager, by their ids there. Each key is fetched once.

    :param conf: castellan's options (``[key_manager]``, ``[barbican]``, ``[vault]`` and others) are registered here
    :param key_ids: the first key wraps new data keys
    :param timeout: seconds to wait for a key; not every driver of castellan has a limit of its own
    """

    def __init__(self, conf: cfg.ConfigOpts, key_ids: Sequence[str], timeout: float = 60.0) -> None:
        # The import of castellan takes half a second, and is not needed if the keys are in the file.
        from castellan import options

        for group, opts in options.list_opts():
            conf.register_opts(opts, group=group)
        self._conf = conf
        self._ids = list(key_ids)
        self._timeout = timeout
        self._keys: dict[str, MasterKey] = {}

    def ids(self) -> Sequence[str]:
        return self._ids

    def get(self, master_id: str) -> MasterKey:
        if master_id not in self._ids:
            raise errors.KeyUnavailable(f"master key {master_id!r}: is not in [bank] castellan_master_keys")
        if master_id not in self._keys:
            self._keys[master_id] = MasterKey(master_id, self._fetch(master_id))
        return self._keys[master_id]

    def _fetch(self, master_id: str) -> bytes:
        from castellan import key_manager
        from castellan.common import exception as castellan_errors
        from castellan.common import utils
        from keystoneauth1 import exceptions as keystone_errors

        def fetch() -> bytes | None:
            context = utils.credential_factory(conf=self._conf) if self._conf.key_manager.auth_type else None
            material: bytes | None = key_manager.API(self._conf).get(context, master_id).get_encoded()
            return material

        try:
            material = deadline.within(self._timeout, "the key manager", fetch)
        # The last three: drivers do not validate responses, and fail on unexpected ones.
        except (
            TimeoutError,
            castellan_errors.CastellanException,
            keystone_errors.ClientException,
            ValueError,
            LookupError,
            TypeError,
        ) as error:
            if _is_outage(error):
                raise errors.KeyManagerUnavailable(
                    f"master key {master_id!r}: the key manager does not answer: {error}"
                ) from None
            raise errors.KeyUnavailable(
                f"master key {master_id!r}: the key manager did not return it: {error}"
            ) from None
        if material is None or len(material) != KEY_BYTES:
            raise exception.ConfigurationError(
                f"master key {master_id!r}: has {len(material or b'')} bytes in the key manager; expected {KEY_BYTES}"
            )
        return material


def _is_outage(error: BaseException | None) -> bool:
    """Return whether *error* of a driver means that the key manager, or its Keystone, did not answer.

    For this and for some refusals, the drivers raise the same class, while they handle what tells the two apart.
    """
    from castellan.common import exception as castellan_errors
    from keystoneauth1 import exceptions as keystone_errors

    if isinstance(error, castellan_errors.CastellanException) and type(error) is not castellan_errors.KeyManagerError:
        return False
    while error is not None:
        # A response with a status that the drivers do not expect is not JSON, which is an OSError of requests.
        if isinstance(error, OSError | keystone_errors.ConnectionError | keystone_errors.DiscoveryFailure):
            return True
        status = getattr(error, "http_status", None) or getattr(error, "status_code", None)
        if status in _OUTAGES or str(error) in _OUTAGE_PHRASES:
            return True
        error = error.__cause__ or error.__context__
    return False
