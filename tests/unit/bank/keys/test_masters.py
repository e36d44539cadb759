import base64

import pytest
import requests
from barbicanclient import exceptions as barbican_errors
from castellan.common import exception as castellan_errors
from castellan.common.objects import symmetric_key
from castellan.key_manager import key_manager
from keystoneauth1 import exceptions as keystone_errors
from oslo_config import cfg

from karbor_like import exception
from karbor_like.bank import errors
from karbor_like.bank.keys.keyring import Keyring
from karbor_like.bank.keys.masters import CastellanMasterKeys, ConfiguredMasterKeys
from tests.unit.bank.banks import PROJECT, master_key
from tests.unit.bank.keys.rings import OLD, wrapped


@pytest.mark.parametrize(
    "line", ["", "m", "m:", ":" + "A" * 43 + "=", "m:not base64", "m:" + base64.b64encode(bytes(31)).decode()]
)
def test_malformed_lines_are_refused(line):
    with pytest.raises(exception.ConfigurationError, match="line 2"):
        ConfiguredMasterKeys([OLD, line])


def test_names_of_master_keys_are_unique():
    with pytest.raises(exception.ConfigurationError, match="line 2"):
        ConfiguredMasterKeys([OLD, master_key("old", 3)])


# A key manager.


#: What a driver raises for a key, and the error that it handles meanwhile, if any.
FAILURES: dict[str, tuple[Exception, ...]] = {
    "away: refused": (castellan_errors.KeyManagerError("refused"), requests.ConnectionError("refused")),
    "away: no JSON": (requests.exceptions.JSONDecodeError("Expecting value", "<html>", 0),),
    "away: sealed Vault": (castellan_errors.KeyManagerError("Service Unavailable"),),
    "away: error of Barbican": (
        castellan_errors.KeyManagerError(reason="Barbican"),
        barbican_errors.HTTPServerError("Internal Server Error", 500),
    ),
    "away: error of Keystone": (
        castellan_errors.KeyManagerError(reason="Keystone"),
        keystone_errors.ServiceUnavailable(),
    ),
    "away: Keystone": (castellan_errors.KeyManagerError(reason="Keystone"), keystone_errors.ConnectFailure("refused")),
    "away: discovery": (keystone_errors.DiscoveryFailure("could not find versions"),),
    "missing": (castellan_errors.ManagedObjectNotFoundError(uuid="missing"),),
    "forbidden": (castellan_errors.Forbidden(), FileNotFoundError("no token file")),
    "wrong account of Vault": (castellan_errors.KeyManagerError("invalid secret id"),),
    "wrong password": (castellan_errors.KeyManagerError(reason="Keystone"), keystone_errors.Unauthorized()),
    "wrong account of Barbican": (
        castellan_errors.KeyManagerError(reason="Barbican"),
        barbican_errors.HTTPAuthError("Unauthorized"),
    ),
    "unexpected answer": (KeyError("data"),),
}


class TwoKeys(key_manager.KeyManager):
    """A key manager that castellan loads by name."""

    asked: list[str] = []

    def __init__(self, configuration):
        super().__init__(configuration)

    def get(self, context, managed_object_id, metadata_only=False):
        self.asked.append(managed_object_id)
        if managed_object_id in FAILURES:
            fail, *cause = FAILURES[managed_object_id]
            if not cause:
                raise fail
            try:
                raise cause[0]
            except Exception:  # noqa: BLE001 - as drivers do, which name no cause
                raise fail  # noqa: B904
        length = 16 if managed_object_id == "short" else 32
        return symmetric_key.SymmetricKey("AES", length * 8, bytes(length))

    def _unused(self, *args, **kwargs):
        raise NotImplementedError

    create_key_pair = create_key = copy = delete = store = list = _unused
    add_consumer = remove_consumer = _unused


@pytest.fixture
def castellan_conf():
    from castellan import options

    TwoKeys.asked.clear()
    conf = cfg.ConfigOpts()
    conf([], default_config_files=[])
    options.set_defaults(conf)
    conf.set_override("backend", f"{__name__}.TwoKeys", group="key_manager")
    return conf


def test_master_keys_come_from_a_key_manager_once(castellan_conf, bank, lease):
    masters = CastellanMasterKeys(castellan_conf, ["id-1", "id-2"])
    ring = Keyring(bank.store, masters)
    key = ring.current(PROJECT, lease)
    ring.current("another", lease)
    assert TwoKeys.asked == ["id-1"]
    assert wrapped(bank.store)[0][2] == "id-1"
    assert Keyring(bank.store, CastellanMasterKeys(castellan_conf, ["id-1"])).get(PROJECT, key.id) == key


@pytest.mark.parametrize("name", [name for name in FAILURES if name.startswith("away")])
def test_a_key_manager_that_does_not_answer_is_no_missing_key(castellan_conf, name):
    with pytest.raises(errors.KeyManagerUnavailable, match=f"'{name}': the key manager does not answer: .") as raised:
        CastellanMasterKeys(castellan_conf, [name]).get(name)
    assert isinstance(raised.value, errors.ConnectionFailed), "operations wait for it as for the bank"


@pytest.mark.parametrize("name", [name for name in FAILURES if not name.startswith("away")])
def test_a_key_that_does_not_exist_or_is_refused_is_unavailable(castellan_conf, name):
    with pytest.raises(errors.KeyUnavailable, match=f"'{name}': the key manager did not return it: ."):
        CastellanMasterKeys(castellan_conf, [name]).get(name)


@pytest.mark.parametrize("names", [("id-1", "away: refused"), ("away: refused", "id-1")])
def test_a_master_key_that_wraps_nothing_is_not_fetched(castellan_conf, bank, lease, names):
    key = Keyring(bank.store, CastellanMasterKeys(castellan_conf, ["id-1"])).current(PROJECT, lease)
    assert Keyring(bank.store, CastellanMasterKeys(castellan_conf, names)).get(PROJECT, key.id) == key


def test_a_data_key_is_not_missing_while_its_master_key_cannot_be_fetched(castellan_conf, bank, lease, monkeypatch):
    key = Keyring(bank.store, CastellanMasterKeys(castellan_conf, ["id-1"])).current(PROJECT, lease)
    monkeypatch.setitem(FAILURES, "id-1", FAILURES["away: refused"])
    with pytest.raises(errors.KeyManagerUnavailable):
        Keyring(bank.store, CastellanMasterKeys(castellan_conf, ["id-1"])).get(PROJECT, key.id)


def test_a_key_of_another_length_is_refused(castellan_conf):
    with pytest.raises(exception.ConfigurationError, match="16 bytes"):
        CastellanMasterKeys(castellan_conf, ["short"]).get("short")


def test_keys_that_are_not_configured_are_not_fetched(castellan_conf):
    with pytest.raises(errors.KeyUnavailable, match="other"):
        CastellanMasterKeys(castellan_conf, ["id-1"]).get("other")
    assert TwoKeys.asked == []
