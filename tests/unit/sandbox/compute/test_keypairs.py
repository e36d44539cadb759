"""Key pairs."""

import pytest
from cryptography.hazmat.primitives import serialization

from tests.unit.sandbox.compute.conftest import Caller, Values

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f alice@example"
FINGERPRINT = "0f:a2:0a:d7:38:3e:65:45:08:6b:63:84:1c:ff:dc:ba"  # ssh-keygen -l -E md5


def imported(caller: Caller, name: str = "k", **values: object) -> Values:
    return caller.ok("POST", "os-keypairs", {"keypair": {"name": name, "public_key": KEY, **values}})["keypair"]


def test_an_imported_key(alice: Caller) -> None:
    made = imported(alice)
    basic = {"name": "k", "public_key": KEY, "fingerprint": FINGERPRINT, "type": "ssh"}
    assert made == {**basic, "user_id": alice.identity.user_id}
    shown = alice.ok("GET", "os-keypairs/k")["keypair"]
    assert basic.items() < shown.items()
    assert alice.ok("GET", "os-keypairs") == {"keypairs": [{"keypair": basic}]}
    assert "type" not in alice.ok("GET", "os-keypairs/k", version="2.1")["keypair"]
    taken = {"keypair": {"name": "k", "public_key": KEY}}
    assert alice.refused("POST", "os-keypairs", taken) == (409, "Key pair 'k' already exists.")
    assert alice.boot(key_name="k")["key_name"] == "k"
    alice.ok("DELETE", "os-keypairs/k")
    assert alice.refused("GET", "os-keypairs/k")[0] == 404
    assert alice.cannot_boot(key_name="k") == (400, "Invalid key_name provided.")


def test_key_pairs_belong_to_users(alice: Caller, admin: Caller, cloud: object) -> None:
    other = Caller(alice.cloud, str(alice.identity.project_id), "member", "other")
    imported(alice)
    assert other.ok("GET", "os-keypairs") == {"keypairs": []}
    assert other.refused("GET", "os-keypairs/k")[0] == 404
    path = f"os-keypairs/k?user_id={alice.identity.user_id}"
    assert other.refused("GET", path)[0] == 403
    assert admin.ok("GET", path)["keypair"]["user_id"] == alice.identity.user_id
    imported(other)
    imported(admin, "a", user_id=alice.identity.user_id)
    assert [each["keypair"]["name"] for each in alice.ok("GET", "os-keypairs")["keypairs"]] == ["k", "a"]


@pytest.mark.parametrize(
    "values",
    [{"public_key": "x"}, {"public_key": "ssh-rsa AAAA"}, {"public_key": KEY, "name": "a/b"}, {"type": "dsa"}, {}],
    ids=str,
)
def test_keys_that_are_refused(alice: Caller, values: Values) -> None:
    assert alice.refused("POST", "os-keypairs", {"keypair": {"name": "k", **values}})[0] == 400


def test_older_microversions_generate_keys(alice: Caller) -> None:
    body = {"keypair": {"name": "k"}}
    status, answer, _ = alice.call("POST", "os-keypairs", body, version="2.91")
    private = serialization.load_ssh_private_key(answer["keypair"]["private_key"].encode(), None)
    public = private.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    assert status == 201
    assert answer["keypair"]["public_key"].startswith(public.decode())
    assert "private_key" not in alice.ok("GET", "os-keypairs/k")["keypair"]
    assert alice.call("DELETE", "os-keypairs/k", version="2.1")[0] == 202
    assert alice.call("POST", "os-keypairs", body, version="2.1")[0] == 200
    assert alice.refused("POST", "os-keypairs", {"keypair": {"name": "a.b"}}, version="2.91")[0] == 400
    imported(alice, "a.b@c")
