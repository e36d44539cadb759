"""Files with and without mistakes. The plugins and the bank are real."""

import base64
import logging
import re
import uuid
from pathlib import Path

import pytest

from karbor_like import exception, service
from karbor_like.bank import errors
from karbor_like.clock import SystemClock
from karbor_like.domain.operation import OperationType
from karbor_like.plugins import loader
from karbor_like.plugins.cinder.volume_glance import VolumeGlanceProtection
from karbor_like.plugins.noop import NoopProtection
from karbor_like.plugins.protection import ProtectionPlugin
from karbor_like.protection.registry import providers
from tests.fixtures import vault
from tests.unit.bank import banks

SAMPLES = Path(__file__).parents[4] / "etc" / "karbor_like" / "providers.d"
ID = "3c1d0000-0000-4000-8000-000000000001"
OTHER_ID = "3c1d0000-0000-4000-8000-000000000002"
GOOD = f"""\
[provider]
id = {ID}
name = Infra
description = volumes into files
plugin = noop
plugin = volume-glance
bank = filesystem
enabled = true

[bank]
encryption = false

[file_system_bank_plugin]
file_system_bank_path = %(bank)s
"""


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    (tmp_path / "providers.d").mkdir()
    return tmp_path / "providers.d"


@pytest.fixture
def registry(tmp_path: Path, directory: Path) -> providers.Providers:
    (tmp_path / "karbor_like.conf").write_text("[protection]\nprovider_config_dir = providers.d\n")
    conf = service.configure([], files=[str(tmp_path / "karbor_like.conf")])
    return providers.Providers(conf, SystemClock())


@pytest.fixture
def good(tmp_path: Path) -> str:
    return GOOD % {"bank": tmp_path}


def test_a_provider_shows_all_schemas_of_all_its_types(registry, directory, good):
    (directory / "infra.conf").write_text(good)
    registry.load()
    (provider,) = registry.list()
    shown = provider.to_dict()
    assert (shown["id"], shown["name"], shown["description"]) == (ID, "Infra", "volumes into files")
    schemas = shown["extended_info_schema"]
    assert set(schemas) == {"options_schema", "restore_schema", "saved_info_schema", "verify_schema"}
    for schema in schemas.values():
        assert {"OS::Cinder::Volume", "OS::Keystone::Project"} <= set(schema)
        assert all(one["type"] == "object" for one in schema.values())
    assert "restore_name" in schemas["restore_schema"]["OS::Cinder::Volume"]["properties"]


class OtherVolumes(VolumeGlanceProtection):
    """A second plugin for volumes."""


def test_of_two_plugins_for_a_type_the_later_wins(registry, directory, good):
    later = f"plugin = volume-glance\nplugin = {__name__}:OtherVolumes\n"
    (directory / "infra.conf").write_text(good.replace("plugin = volume-glance\n", later))
    registry.load()
    assert type(registry.get(ID).plugins["OS::Cinder::Volume"]).__name__ == "OtherVolumes"
    hooks = registry.get(ID).hooks(OperationType.PROTECT, ["OS::Cinder::Volume", "OS::Keystone::Project"])
    assert hooks["OS::Keystone::Project"] == []
    assert "main" in hooks["OS::Cinder::Volume"]


@pytest.mark.parametrize("names", [("noop", "volume-glance"), ("volume-glance", "noop")])
def test_noop_replaces_no_plugin_that_stores_data(registry, directory, good, names):
    lines = "".join(f"plugin = {name}\n" for name in names)
    (directory / "infra.conf").write_text(good.replace("plugin = noop\nplugin = volume-glance\n", lines))
    registry.load()
    plugins = registry.get(ID).plugins
    assert isinstance(plugins["OS::Cinder::Volume"], VolumeGlanceProtection)
    assert isinstance(plugins["OS::Nova::Server"], NoopProtection)


def test_ids_are_found_in_any_form(registry, directory, good):
    (directory / "infra.conf").write_text(good)
    registry.load()
    assert registry.get(uuid.UUID(ID).hex).name == "Infra"
    for unknown in (str(uuid.uuid4()), "no uuid"):
        with pytest.raises(exception.ProviderNotFound, match=unknown):
            registry.get(unknown)


def test_what_a_provider_cannot_do_is_said_with_what_it_can(registry, directory, good):
    (directory / "infra.conf").write_text(good.replace("plugin = noop\n", ""))
    registry.load()
    with pytest.raises(exception.Unsupported, match="cannot protect .* OS::Nova::Server; it can protect OS::Cinder"):
        registry.get(ID).operation(OperationType.PROTECT, "OS::Nova::Server")


def test_the_reason_why_a_plugin_offers_no_copy_is_said(registry, directory, good):
    (directory / "infra.conf").write_text(
        good.replace("volume-glance", "volume-snapshot").replace("plugin = noop\n", "")
    )
    registry.load()
    with pytest.raises(
        exception.Unsupported, match=r"Volume \(the data .* is a snapshot in Cinder.*\); it can copy none"
    ):
        registry.get(ID).operation(OperationType.COPY, "OS::Cinder::Volume")


def test_types_of_a_plan(registry, directory, good):
    (directory / "infra.conf").write_text(good.replace("plugin = noop\n", ""))
    registry.load()
    provider = registry.get(ID)
    provider.check_types(OperationType.PROTECT, ["OS::Cinder::Volume", "OS::Keystone::Project"])
    with pytest.raises(
        exception.Unsupported, match="cannot protect .* OS::A, OS::B; it can protect OS::Cinder::Volume"
    ):
        provider.check_types(OperationType.PROTECT, ["OS::Cinder::Volume", "OS::B", "OS::A"])
    with pytest.raises(exception.Unsupported) as caught:
        provider.check_types(OperationType.PROTECT, [f"type {number}" for number in range(1000)])
    assert len(str(caught.value)) < 500


def test_a_provider_may_have_limits(registry, directory, good):
    (directory / "a.conf").write_text(good)
    registry.load()
    assert registry.get(ID).max_operations == 0
    limited = good.replace("[provider]", "[provider]\nmax_operations = 3", 1)
    (directory / "a.conf").write_text(limited)
    registry.load()
    assert registry.get(ID).max_operations == 3


def test_a_disabled_provider_is_invisible(registry, directory, good):
    (directory / "infra.conf").write_text(good.replace("enabled = true", "enabled = false"))
    registry.load()
    assert registry.list() == []


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("[provider]", "provider", "infra.conf:1"),
        ("name = Infra\n", "", r"infra.conf: \[provider\] name is missing"),
        ("bank = filesystem\n", "", r"infra.conf: \[provider\] bank is missing"),
        (ID, "42", r"infra.conf:2: \[provider\] id = 42 is not a UUID"),
        ("enabled", "copy_to = 43\nenabled", r"infra.conf:8: \[provider\] copy_to = 43 is not a UUID"),
        ("enabled", f"copy_to = {ID}\nenabled", r"infra.conf:8: \[provider\] copy_to = .* is the provider itself"),
        (
            "enabled",
            "map_project = a:b\nmap_project = c\nenabled",
            "infra.conf:9: .* write it as <project id in the bank>:",
        ),
        (
            "enabled",
            "map_project = a:b\nmap_project = c/../d : e\nenabled",
            "infra.conf:9: .*= c/../d : e : write it as",
        ),
        ("enabled", "map_project = a : a\nenabled", "infra.conf:8: .* maps a project to itself"),
        ("enabled", "map_project = a: c\nmap_project = b: c\nenabled", "infra.conf:9: .* another line maps to c, too"),
        ("enabled", "map_project = a:b\nmap_project = a:c\nenabled", "infra.conf:9: .* maps a a second time"),
        ("enabled", "map_project = a:b\nmap_project = b:c\nenabled", "infra.conf:9: .* b is a project of this site"),
        (
            "plugin = volume-glance",
            "plugin = volume-glanze",
            "infra.conf:6: .*no plugin 'volume-glanze'; installed: .*noop",
        ),
        ("plugin = noop\nplugin = volume-glance\n", "", r"infra.conf: \[provider\] plugin is missing"),
        (
            "bank = filesystem",
            "bank = tape",
            r"infra.conf:7: \[provider\] bank = tape : bank 'tape': is not installed; installed are filesystem",
        ),
        ("enabled = true", "enabled = perhaps", "infra.conf:8: .*perhaps"),
        ("file_system_bank_path", "file_system_bank_paht", "file_system_bank_path: None is not valid"),
        (
            "encryption = false",
            "encryption = false\nencrpytion = true",
            r"infra.conf:12: \[bank\] encrpytion: nothing reads this option",
        ),
        (
            "[bank]",
            "[swift_client]\nswift_user = x\n[bank]",
            r"infra.conf:11: \[swift_client\] swift_user: nothing reads this section",
        ),
        ("encryption = false", "encryption = false\nthreads = many", "infra.conf:12: .*many"),
        ("encryption = false", "encryption = true", "master_keys"),
        ("name = Infra", "name Infra", "infra.conf:3: No ':' or '=' found"),
        ("enabled = true", "Enabled = true", r"infra.conf:8: \[provider\] Enabled: .* did you mean enabled\?"),
        ("[provider]", "[Provider]", r"infra.conf:1: \[Provider\]: did you mean \[provider\]\?"),
        ("[provider]", "[bank]", r"infra.conf: section \[provider\] is missing"),
        ("[bank]", "[Bank]", r"infra.conf:11: \[Bank\] encryption: .* did you mean \[bank\]\?"),
        (
            "encryption = false",
            "encrpytion = false",
            r"infra.conf:11: \[bank\] encrpytion: .* mean encryption\?; .*master",
        ),
        (
            "file_system_bank_path",
            "file_system_bank_paht",
            r"infra.conf:14: .* did you mean file_system_bank_path\?; .*file_system_bank_path: None is not valid",
        ),
        (
            "[file_system_bank_plugin]",
            "[file_system_bank_plugin]\nthreads = 2",
            r"infra.conf:14: \[file_system_bank_plugin\] threads: .* it belongs in \[bank\]",
        ),
        ("encryption = false", "encryption = no way", r"infra.conf:11: \[bank\] encryption: .*no way"),
        ("[bank]\n", "[bank]\ncompression_level = 99\nmemory_budget = 1\n", "infra.conf:11: .*level: .* 19"),
    ],
)
def test_a_mistake_leaves_the_provider_out_and_says_where_it_is(registry, directory, good, caplog, old, new, said):
    assert old in good
    (directory / "infra.conf").write_text(good.replace(old, new))
    other_id = str(uuid.uuid4())
    (directory / "other.conf").write_text(good.replace(ID, other_id))

    with caplog.at_level(logging.ERROR):
        registry.load()

    assert [provider.id for provider in registry.list()] == [other_id]
    (record,) = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert re.search(said, record.getMessage()), record.getMessage()


def test_a_changed_map_of_projects_is_read_at_a_reload(registry, directory, good):
    (directory / "infra.conf").write_text(good)
    registry.load()
    assert registry.get(ID).project_map == {}
    lines = "map_project = a1, b2 : c3\nmap_project=d4:e5\nenabled"
    (directory / "infra.conf").write_text(good.replace("enabled", lines))
    registry.load()
    assert registry.get(ID).project_map == {"a1": "c3", "b2": "c3", "d4": "e5"}


@pytest.mark.parametrize("password", ["hunter$secretpart", "${secretpart}", "hunter$id", "a\n  hunter$secretpart"])
@pytest.mark.parametrize("enabled", ["true", "false"])
def test_dollar_in_a_value_is_refused_without_the_value(registry, directory, good, caplog, password, enabled):
    text = f"{good}\n[swift_client]\nswift_user = u\nswift_key = {password}\n".replace("true", enabled)
    (directory / "infra.conf").write_text(text)
    registry.load()
    assert registry.list() == []
    assert re.search(r"infra.conf:18: \[swift_client\] swift_key: .*write '\$\$'", caplog.text)
    assert "hunter" not in caplog.text
    assert "secretpart" not in caplog.text


def test_dollar_can_be_escaped(registry, directory, good):
    (directory / "infra.conf").write_text(good.replace("= volumes into files", r"= $$5 \$id 5$ $1 $"))
    registry.load()
    assert registry.get(ID).description == "$5 $id 5$ $1 $"


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (b"swift_key hunter2", r"infra.conf:16: No ':' or '='"),
        (b"[swift_client\nhunter2", r"infra.conf:16: Invalid section"),
        (b" hunter2", r"infra.conf:16: Unexpected continuation"),
        (b"= hunter2", r"infra.conf:16: Key cannot be empty"),
        (b"swift_key = hunter2\xff", r"infra.conf: is not a text in UTF-8; at byte \d+"),
    ],
)
def test_text_that_cannot_be_parsed_is_not_logged(registry, directory, good, caplog, line, said):
    (directory / "infra.conf").write_bytes(f"{good}\n".encode() + line + b"\n")
    registry.load()
    assert re.search(said, caplog.text), caplog.text
    assert "hunter2" not in caplog.text


def test_all_mistakes_are_told_at_once(registry, directory, good, caplog):
    text = good.replace("encryption = false", "encryption = false\nthreads = many\nencrpytion = true\n[baank]\nx = 1")
    (directory / "infra.conf").write_text(text)
    registry.load()
    (record,) = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert re.findall(r"infra.conf:(\d+)", record.getMessage()) == ["13", "12"]
    (directory / "infra.conf").write_text(text.replace("= many", "= 1"))
    registry.load()
    assert re.search(r"infra.conf:13: .*; .*infra.conf:15: \[baank\] x: .* mean \[bank\]", caplog.text)


def test_a_disabled_provider_is_read_if_requested(directory, good):
    (directory / "infra.conf").write_text(good.replace("enabled = true", "enabled = false"))
    assert providers.check([directory / "infra.conf"], SystemClock()) == ([], [])
    found, mistakes = providers.check([directory / "infra.conf"], SystemClock(), disabled=True)
    assert ([provider.id for provider in found], mistakes) == ([ID], [])


def test_an_id_that_is_taken_is_refused(registry, directory, good, caplog):
    (directory / "a.conf").write_text(good)
    (directory / "b.conf").write_text(good.replace("Infra", "Twin"))
    registry.load()
    assert [provider.name for provider in registry.list()] == ["Infra"]
    assert re.search(r"b.conf:2: \[provider\] id: .* is used by .*a.conf", caplog.text)


def test_loading_again_keeps_what_did_not_change(registry, directory, good):
    (directory / "a.conf").write_text(good)
    (directory / "b.conf").write_text(good.replace(ID, other := str(uuid.uuid4())))
    registry.load()
    before = registry.get(ID), registry.get(other)
    (directory / "b.conf").write_text(good.replace(ID, other).replace("Infra", "Renamed"))
    (directory / "c.conf").write_text(good.replace(ID, third := str(uuid.uuid4())))

    registry.load()

    assert registry.get(ID) is before[0]
    assert registry.get(other) is not before[1]
    assert registry.get(other).name == "Renamed"
    assert registry.get(third)
    (directory / "a.conf").unlink()
    registry.load()
    with pytest.raises(exception.ProviderNotFound):
        registry.get(ID)


def test_a_mistake_made_later_leaves_the_provider_as_it_was(registry, directory, good, caplog):
    path = directory / "a.conf"
    path.write_text(good)
    registry.load()
    before = registry.get(ID)
    path.write_text(good.replace("bank = filesystem", "bank = tape"))

    registry.load()
    assert registry.get(ID) is before
    assert "stays as it was" in caplog.text
    assert "bank 'tape': is not installed" in caplog.text

    path.write_text(good.replace("Infra", "Renamed"))
    registry.load()
    assert registry.get(ID).name == "Renamed"


def test_no_directory_is_no_provider(tmp_path):
    conf = service.configure([], files=[])
    conf.set_override("provider_config_dir", str(tmp_path / "nowhere"), group="protection")
    registry = providers.Providers(conf, SystemClock())
    registry.load()
    assert registry.list() == []


@pytest.mark.parametrize("path", sorted(SAMPLES.glob("*.conf.sample")), ids=lambda path: path.name)
def test_the_samples_need_only_to_be_filled_in(path, directory, registry, tmp_path):
    text = path.read_text()
    key = base64.b64encode(bytes(32)).decode()
    for blank, value in (("UUID", ID), ("32_BYTES_IN_BASE64", key), ("A_PASSWORD", "secret")):
        text = text.replace(f"REPLACE_WITH_A_{blank}", value).replace(f"REPLACE_WITH_{blank}", value)
    assert "REPLACE" not in text
    text = text.replace("https://keystone.example.net/v3", "http://127.0.0.1:9/v3\nswift_retry_attempts = 1")
    (directory / "sample.conf").write_text(text)
    registry.load()
    provider = registry.get(ID)
    assert provider.name == path.name.removesuffix(".conf.sample")
    assert set(provider.plugins) == set(loader.protectables()), "every type that can be listed can be protected"
    stored = {kind for kind, plugin in provider.plugins.items() if not isinstance(plugin, NoopProtection)}
    types = {"OS::Cinder::Volume", "OS::Glance::Image", "OS::Neutron::Network", "OS::Nova::Server", "OS::Nova::KeyPair"}
    types |= {"OS::Keystone::Project", "OS::Manila::Share", "OS::Trove::Instance", "OS::Kubernetes::Pod"}
    assert stored == (set() if provider.name == "noop" else types)


@pytest.fixture
def in_vault(good):
    """A provider's file whose master key is in a Vault, which runs."""
    key_id = str(uuid.uuid4())
    with vault.running({key_id: bytes(range(32))}) as url:
        text = good.replace("encryption = false", f"encryption = true\ncastellan_master_keys = {key_id}")
        yield f"{text}\n[key_manager]\nbackend = vault\n[vault]\nvault_url = {url}\nroot_token_id = {vault.TOKEN}\n"


def test_the_master_key_may_be_in_a_key_manager(registry, directory, in_vault):
    (directory / "infra.conf").write_text(in_vault)
    registry.load()
    bank = registry.get(ID).bank
    banks.protect(bank, "c1", b"secret" * 1000)
    files = [path for path in directory.parent.rglob("*") if path.is_file() and path.parent != directory]
    assert files
    assert not any(b"secretsecret" in path.read_bytes() for path in files)
    assert banks.read(
        providers.read(directory / "infra.conf", SystemClock()).bank.section("c1", banks.PROJECT, banks.VOLUME)
    )


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("let me in", "wrong"),
        ("[vault]", "[vault]\nkv_version = 1"),
        ("keys = ", "keys = 0"),
    ],
    ids=["token", "another answer", "no such key"],
)
def test_a_key_manager_that_does_not_give_the_key_is_said_and_its_token_is_not(registry, directory, in_vault, old, new):
    (directory / "infra.conf").write_text(in_vault.replace(old, new))
    registry.load()
    with pytest.raises(errors.KeyUnavailable, match="the key manager did not return it") as raised:
        banks.protect(registry.get(ID).bank, "c1", b"data")
    assert vault.TOKEN not in str(raised.value)


def test_a_key_manager_that_is_away_is_waited_for(registry, directory, in_vault):
    (directory / "infra.conf").write_text(in_vault.replace("/127.0.0.1", "/127.0.0.2"))
    registry.load()
    with pytest.raises(errors.ConnectionFailed, match="the key manager does not answer") as raised:
        banks.protect(registry.get(ID).bank, "c1", b"data")
    assert vault.TOKEN not in str(raised.value)


def test_a_mistake_in_the_section_of_a_key_manager_is_found(registry, directory, in_vault, caplog):
    (directory / "infra.conf").write_text(in_vault.replace("vault_url", "valut_url"))
    registry.load()
    assert registry.list() == []
    assert re.search(r"infra.conf:\d+: \[vault\] valut_url: nothing reads this option", caplog.text)


class OtherVersion(ProtectionPlugin):
    """A plugin that was written for another version of the contract."""

    api_version = 99


def test_plugin_for_another_version_disables_its_provider_only(registry, directory, good, caplog):
    (directory / "infra.conf").write_text(good)
    other = good.replace(ID, OTHER_ID).replace("plugin = noop", f"plugin = {__name__}:OtherVersion")
    (directory / "other.conf").write_text(other)
    registry.load()
    assert [provider.id for provider in registry.list()] == [ID]
    assert re.search(
        r"other\.conf:5: .*OtherVersion' is refused: it declares version 99 .* supports version 1", caplog.text
    )
