"""Encryption of secrets in the database and in RPC: tokens, trust ids, passwords of a restore target.

The operator configures the keys (``[secret] keys``). The first encrypts and all decrypt, so a new key in front rotates them. https://cryptography.io/en/latest/fernet/
"""

import base64
import hashlib
import hmac
import json
from typing import Any

from cryptography import fernet
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from oslo_config import cfg

from karbor_like import exception

#: Separates the keys of fingerprints from the encryption keys.
_FINGERPRINT = b"karbor_like fingerprint"


class Cipher:
    """Encrypts small JSON values with Fernet.

    :param keys: url-safe base64 Fernet keys, newest first, at least one
    """

    def __init__(self, keys: list[str]) -> None:
        if not keys:
            raise exception.ConfigurationError(
                "[secret] keys is empty: make a key with 'karbor-like-manage secret new-key' "
                "and put it there, the same on all hosts"
            )
        try:
            self._fernet = fernet.MultiFernet([fernet.Fernet(key) for key in keys])
        except (ValueError, TypeError):
            raise exception.ConfigurationError(
                "[secret] keys holds something that is not a Fernet key (32 bytes, url-safe base64)"
            ) from None
        self._keys = [base64.urlsafe_b64decode(key) for key in keys]

    @classmethod
    def from_conf(cls, conf: cfg.ConfigOpts) -> "Cipher":
        """Build the cipher of this deployment. Raises ConfigurationError if no usable key is configured."""
        return cls(conf.secret["keys"])  # "keys" as an attribute is the mapping's own method

    def encrypt(self, value: Any) -> str:
        """Encrypt *value*, any JSON value, as text."""
        return self._fernet.encrypt(json.dumps(value).encode()).decode("ascii")

    def decrypt(self, text: str) -> Any:
        """Decrypt a text of :meth:`encrypt`. Raises ConfigurationError if no configured key fits."""
        try:
            return json.loads(self._fernet.decrypt(text.encode("ascii")))
        except fernet.InvalidToken:
            raise exception.ConfigurationError(
                "a stored secret was encrypted with a key that is not among [secret] keys; add the old key at the end"
            ) from None

    def fingerprints(self, text: str) -> list[str]:
        """Return the fingerprints of *text* under each key, newest key first, each of 64 hexadecimal digits.

        A fingerprint recognizes a text without storing it. Store the first one, and compare with all of them. Guesses of
        the text cannot be verified without a key.
        """
        derived = [HKDF(hashes.SHA256(), 32, salt=None, info=_FINGERPRINT).derive(key) for key in self._keys]
        return [hmac.new(key, text.encode(), hashlib.sha256).hexdigest() for key in derived]


def new_key() -> str:
    """Generate a key for ``[secret] keys``."""
    return fernet.Fernet.generate_key().decode("ascii")
