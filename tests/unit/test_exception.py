import pytest
from oslo_db import exception as db_exception

from karbor_like import exception
from karbor_like.bank import errors

PRIVATE = ("/srv/bank", "192.0.2.7", "10.0.0.5", "8776", "example.org", "SELECT")


@pytest.mark.parametrize(
    "error",
    [
        errors.ConnectionFailed("/srv/bank/karbor: leases/x: Input/output error"),
        errors.AccessDenied("/srv/bank/karbor: plan.json: Permission denied; the service must own the directory"),
        errors.BankFull("https://swift.example.org/v1/AUTH_x/karbor: 413"),
        errors.Unsuitable("/srv/bank/karbor: File name too long"),
        errors.KeyUnavailable("the key manager at https://example.org did not return it"),
        errors.KeyManagerUnavailable("the key manager at https://example.org does not answer"),
        errors.LeaseLost("the write lease x of 10.0.0.5:17 was lost"),
        errors.BankError("https://s3.example.org: 501"),
        exception.ConfigurationError("/srv/bank.conf: [provider] bank: is missing"),
        db_exception.DBConnectionError("can't connect to 192.0.2.7 [SQL: SELECT 1]"),
        OSError(2, "No such file or directory", "/srv/bank"),
        exception.Unavailable("volume 1: Unable to establish connection to http://10.0.0.5:8776/v3/p: refused"),
        exception.Timeout("waiting (last error: volume 1: HTTPConnectionPool(host='10.0.0.5', port=8776): timed out)"),
        exception.Unavailable("volume 1: 10.0.0.5:8776 does not answer"),
    ],
)
def test_a_tenant_sees_no_address_path_or_statement(error: Exception):
    text = exception.public_text(error)
    assert text
    assert not [private for private in PRIVATE if private in text], text


def test_addresses_are_left_out_of_a_sentence():
    error = exception.Unavailable("volume 1: Unable to establish connection to http://10.0.0.5:8776/v3/p: refused")
    assert exception.public_text(error) == "volume 1: Unable to establish connection to (address): refused"


@pytest.mark.parametrize(
    "error",
    [
        exception.ResourceFailed("volume 1: Cinder put it into state 'error'"),
        exception.InvalidInput("restore_target 'https://cloud.example.org' is not allowed"),
        errors.Corrupted("checkpoints/c/plan.json: its checksum differs"),
        exception.Timeout("timed out after 60 s waiting for volume 1 to become available (last status: 'creating')"),
    ],
)
def test_other_messages_are_shown_as_they_are(error: exception.KarborLikeError):
    assert exception.public_text(error) == error.message


def test_every_error_of_an_unavailable_bank_has_a_public_text():
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type)]
    assert all(kind.public for kind in kinds if issubclass(kind, exception.BankUnavailable))
