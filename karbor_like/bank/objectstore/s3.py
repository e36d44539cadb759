"""Objects in one bucket of any service that speaks S3: Amazon, Ceph's gateway, MinIO, Swift's own S3 API."""

import base64
import os
import re
from collections.abc import Mapping, Sequence
from datetime import UTC
from typing import Any, Final

import boto3
import botocore.config
import urllib3
from botocore import exceptions as boto_errors
from oslo_config import cfg

from karbor_like import exception
from karbor_like.bank import errors, layout
from karbor_like.bank.objectstore import base, body, remote

_CLIENT = "s3_client"
_BANK = "s3_bank_plugin"

_CLIENT_OPTS = [
    cfg.StrOpt("s3_endpoint", help="URL of the service. If it is not set: Amazon's, in s3_region."),
    cfg.StrOpt(
        "s3_region",
        default="us-east-1",
        help="Region for which requests are signed and in which the bucket is created.",
    ),
    cfg.StrOpt("s3_access_key", help="Access key of the account that owns the bank."),
    cfg.StrOpt("s3_secret_key", secret=True, help="Secret key of that account."),
    cfg.StrOpt("s3_ca_cert_file", help="File with the CA certificates for the connection to the service."),
    *remote.request_options("s3", "the service"),
]
_BANK_OPTS = [
    cfg.StrOpt(
        "bank_s3_object_bucket",
        default="karbor",
        help="""
Bucket for the bank's objects. Created when it is first needed; create it in advance if the account may not do so. On Amazon
the name must be globally unique.
""",
    ),
]

#: Connections that are kept open; additional threads open temporary ones.
_POOL: Final = 32

_BUCKET: Final = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")

# Errors are recognized by their code, or by their HTTP status if a gateway uses a code of its own.
_FULL: Final = frozenset(
    {
        "QuotaExceeded",
        "InsufficientStorage",
        "InsufficientCapacity",
        "EntityTooLarge",
        "XMinioAdminBucketQuotaExceeded",  # MinIO's, with status 400
    }
)
_DENIED: Final = frozenset({"BucketAlreadyExists", "InvalidBucketName"})
_TRANSIENT: Final = frozenset(
    {"BadDigest", "IncompleteBody", "OperationAborted", "RequestTimeout", "SlowDown", "TooManyRequests"}
)


class S3Store(remote.RemoteStore):
    """One bucket.

    :param client: boto3's, which threads may share; must not retry
    :param bucket: its name
    :param region: region in which the bucket is created
    :param timeout: as of :class:`~karbor_like.bank.objectstore.remote.RemoteStore`
    """

    options = {_CLIENT: _CLIENT_OPTS, _BANK: _BANK_OPTS}
    client_group = _CLIENT
    option_prefix = "s3"
    container_noun = "bucket"
    max_listing = 1000

    def __init__(self, client: Any, bucket: str, region: str, timeout: float = 60.0) -> None:
        super().__init__(bucket, timeout)
        self._client = client
        self._region = region

    @classmethod
    def from_conf(cls, conf: cfg.ConfigOpts) -> "S3Store":
        group, bucket = conf[_CLIENT], conf[_BANK].bank_s3_object_bucket
        for name in ("s3_access_key", "s3_secret_key", "s3_region"):
            if not group[name]:
                raise exception.ConfigurationError(f"[{_CLIENT}] {name}: is not set")
        if not _BUCKET.fullmatch(bucket):
            raise exception.ConfigurationError(
                f"[{_BANK}] bank_s3_object_bucket: {bucket!r} is not valid; expected 3 to 63 lower-case letters, digits,"
                " dots and hyphens"
            )
        return cls(_client(group), bucket, group.s3_region, group.s3_timeout)

    def stat(self, key: str) -> base.ObjectInfo:
        response = self._call(key, "head_object", Key=layout.check_key(key))
        with self._understanding(key):
            return base.ObjectInfo(key, response["ContentLength"], response["LastModified"].astimezone(UTC))

    def delete(self, key: str) -> None:
        self.stat(key)  # S3 does not report whether there was an object to delete
        self._call(key, "delete_object", Key=key)

    def close(self) -> None:
        self._client.close()

    def _put(self, key: str, buffers: Sequence[base.Buffer]) -> None:
        self._call(
            key,
            "put_object",
            Key=key,
            Body=body.Body(buffers),
            ContentMD5=base64.b64encode(remote.md5(buffers).digest()).decode(),
            ContentType="application/octet-stream",
        )

    def _get(self, key: str, start: int, length: int | None) -> bytes:
        requested = remote.range_header(start, length)
        content: bytes = self._call(key, "get_object", Key=key, **({"Range": requested} if requested else {}))
        return content

    def _list_page(
        self, prefix: str, marker: str, position: str | None, limit: int
    ) -> tuple[Sequence[base.ObjectInfo], str | None]:
        after = {"StartAfter": marker} if position is None else {"ContinuationToken": position}
        response = self._call(prefix, "list_objects_v2", Prefix=prefix, MaxKeys=limit, **after)
        with self._understanding(prefix):
            if response.keys() <= {"ResponseMetadata"}:
                raise LookupError("it is no listing")  # an empty page would hide objects
            page = [_info(row) for row in response.get("Contents", [])]
        token = response.get("NextContinuationToken")
        # Some services leave it out if it is false.
        if not response.get("IsTruncated", bool(token)):
            return page, None
        if not token:
            raise errors.ConnectionFailed(f"{self._name(prefix)}: S3 truncated a listing without a continuation token")
        return page, token

    def _create_container(self, key: str) -> None:
        location = {"LocationConstraint": self._region}
        arguments = {} if self._region == "us-east-1" else {"CreateBucketConfiguration": location}
        try:
            self._call(key, "create_bucket", **arguments)
        except _AlreadyOwnedError:
            return  # another thread or process created it

    def _call(self, key: str, method: str, **arguments: Any) -> Any:
        """Call *method* of the client on the bucket. Returns the response; for ``get_object``, the object's bytes."""
        seen = self._seen

        def request() -> Any:
            response = getattr(self._client, method)(Bucket=self._container, **arguments)
            return _content(key, response) if method == "get_object" else response

        try:
            with self._understanding(key):
                response = self._in_time(key, request)
            self._seen |= method != "create_bucket"
            return response
        except boto_errors.ClientError as error:
            raise self._translate(key, error.response, seen) from error
        except (boto_errors.NoCredentialsError, boto_errors.PartialCredentialsError) as error:
            raise errors.AccessDenied(f"{self._name(key)}: {error}") from error
        except boto_errors.ParamValidationError as error:
            raise errors.BankError(f"{self._name(key)}: {error}") from error
        except (boto_errors.BotoCoreError, urllib3.exceptions.HTTPError, OSError) as error:
            raise errors.ConnectionFailed(f"{self._name(key)}: S3 did not answer: {error}") from error

    def _translate(self, key: str, response: Mapping[str, Any], seen: bool) -> errors.BankError:
        refusal, status = response.get("Error", {}), response["ResponseMetadata"]["HTTPStatusCode"]
        code = refusal.get("Code", "")
        message = f"{self._name(key)}: S3 answered {status} {code}: {refusal.get('Message', '')}"
        if code == "BucketAlreadyOwnedByYou":
            return _AlreadyOwnedError(message)
        if code in _FULL or status in remote.FULL:
            return errors.BankFull(f"{message}; free space or raise the quota")
        if code in _TRANSIENT or status >= 500:
            return errors.ConnectionFailed(message)
        if status == 404:
            if code == "NoSuchBucket":
                self._refuse_if_seen(key, seen)
            return errors.ObjectNotFound(f"there is no object {key}")
        if status in remote.DENIED or code in _DENIED:
            return errors.AccessDenied(f"{message}; check the credentials in [{_CLIENT}] and what they permit")
        if status == remote.PAST_THE_END:
            return remote.PastTheEndError(message)
        if status in remote.TRANSIENT:
            return errors.ConnectionFailed(message)
        return errors.BankError(message)


class _AlreadyOwnedError(errors.BankError):
    """The bucket exists and belongs to the bank's account."""


def _content(key: str, response: Mapping[str, Any]) -> bytes:
    with response["Body"] as stream:
        base.check_size(key, response.get("ContentLength", 0))
        # If its size is known, the response is read in one call, which raises if it is truncated.
        content: bytes = stream.read(None if "ContentLength" in response else base.MAX_OBJECT_BYTES + 1)
        base.check_size(key, len(content))
        return content


def _info(row: Mapping[str, Any]) -> base.ObjectInfo:
    return base.ObjectInfo(row["Key"], row["Size"], row["LastModified"].astimezone(UTC))


def _client(group: cfg.ConfigOpts.GroupAttr) -> Any:
    if group.s3_ca_cert_file and not os.path.isfile(group.s3_ca_cert_file):
        raise exception.ConfigurationError(f"[{_CLIENT}] s3_ca_cert_file: there is no file {group.s3_ca_cert_file}")
    config = botocore.config.Config(
        connect_timeout=group.s3_timeout,
        read_timeout=group.s3_timeout,
        max_pool_connections=_POOL,
        retries={"total_max_attempts": 1},
        s3={"addressing_style": "path"} if group.s3_endpoint else {},
        # Other services refuse the checksums that only Amazon supports. All of them support Content-MD5.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
    )
    try:
        return boto3.session.Session().client(
            "s3",
            endpoint_url=group.s3_endpoint,
            region_name=group.s3_region,
            aws_access_key_id=group.s3_access_key,
            aws_secret_access_key=group.s3_secret_key,
            verify=group.s3_ca_cert_file,
            config=config,
        )
    except (ValueError, boto_errors.BotoCoreError) as error:
        raise exception.ConfigurationError(f"[{_CLIENT}] {error}") from error
