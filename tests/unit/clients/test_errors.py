"""Translation of the exceptions of every client library."""

import glanceclient.exc
import novaclient.exceptions
import pytest
import requests
import urllib3.exceptions
from cinderclient import exceptions as cinder
from keystoneauth1 import exceptions as ksa

from karbor_like import exception
from karbor_like.clients import errors


@pytest.mark.parametrize(
    ("raised", "expected"),
    [
        (cinder.NotFound(404, "Volume x could not be found."), exception.ResourceNotFound),
        (cinder.BadRequest(400, "Invalid volume"), exception.ResourceFailed),
        (cinder.Forbidden(403), exception.NotAuthorized),
        (cinder.Unauthorized(401), exception.NotAuthorized),
        (cinder.OverLimit(413, "VolumeLimitExceeded"), exception.OverQuota),
        (cinder.ClientException(408, "too slow"), exception.Unavailable),
        (cinder.ClientException(429, "slow down"), exception.Unavailable),
        (cinder.ClientException(500, "oops"), exception.Unavailable),
        (cinder.ClientException(503, "oops"), exception.Unavailable),
        (glanceclient.exc.HTTPNotFound("404 Not Found: No image"), exception.ResourceNotFound),
        (glanceclient.exc.HTTPConflict("409 Conflict: in use"), exception.Conflict),
        (glanceclient.exc.HTTPException("410 Gone: deleted"), exception.ResourceNotFound),
        (glanceclient.exc.HTTPException("504 Gateway Timeout"), exception.Unavailable),
        (glanceclient.exc.HTTPOverLimit("413 Request Entity Too Large"), exception.OverQuota),
        (glanceclient.exc.CommunicationError("refused"), exception.Unavailable),
        (novaclient.exceptions.NotFound(404), exception.ResourceNotFound),
        (ksa.NotFound(), exception.ResourceNotFound),
        (ksa.http.TooManyRequests(), exception.Unavailable),
        (ksa.ConnectTimeout("timed out"), exception.Unavailable),
        (ksa.EndpointNotFound("public endpoint for compute service not found"), exception.Unsupported),
        (ksa.MissingRequiredOptions([]), exception.ConfigurationError),
        (requests.exceptions.ChunkedEncodingError("cut"), exception.Unavailable),
        (urllib3.exceptions.ProtocolError("cut"), exception.Unavailable),
    ],
    ids=repr,
)
def test_translation(raised: Exception, expected: type[Exception]) -> None:
    with pytest.raises(expected, match="^creating volume x: ") as caught, errors.translated("creating volume x"):
        raise raised
    assert type(caught.value) is expected


def test_rate_limit_is_not_over_quota() -> None:
    limited = cinder.OverLimit(413, "This request was rate-limited.")
    limited.retry_after = 3
    with pytest.raises(exception.Unavailable), errors.translated("asking"):
        raise limited


def test_message_of_the_cloud_is_kept() -> None:
    with pytest.raises(exception.OverQuota) as caught, errors.translated("creating the temporary volume of volume x"):
        raise cinder.OverLimit(413, "VolumeLimitExceeded: Maximum number of volumes allowed (10) exceeded")
    assert "Maximum number of volumes allowed (10) exceeded" in str(caught.value)


def test_bugs_are_not_translated() -> None:
    with pytest.raises(TypeError), errors.translated("asking"):
        raise TypeError("a bug")
