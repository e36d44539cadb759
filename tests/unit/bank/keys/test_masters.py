import base64

import pytest
from castellan.common import exception as castellan_errors
from castellan.common.objects import symmetric_key
from castellan.key_manager import key_manager
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


class TwoKeys(key_manager.KeyManager):
    """A key manager that castellan loads by name."""

    asked: list[str] = []

    def __init__(self, configuration):
        super().__init__(configuration)

    def get(self, context, managed_object_id, metadata_only=False):
        self.asked.append(managed_object_id)
        if managed_object_id == "down":
            raise castellan_errors.KeyManagerError(reason="it is down")
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


def test_a_failure_of_the_key_manager_is_not_a_missing_key(castellan_conf):
    with pytest.raises(errors.KeyUnavailable, match="down.*it is down"):
        CastellanMasterKeys(castellan_conf, ["down"]).get("down")


def test_a_key_of_another_length_is_refused(castellan_conf):
    with pytest.raises(exception.ConfigurationError, match="16 bytes"):
        CastellanMasterKeys(castellan_conf, ["short"]).get("short")


def test_keys_that_are_not_configured_are_not_fetched(castellan_conf):
    with pytest.raises(errors.KeyUnavailable, match="other"):
        CastellanMasterKeys(castellan_conf, ["id-1"]).get("other")
    assert TwoKeys.asked == []
