"""Objects in one bucket of anything that speaks S3: Amazon, Ceph's gateway, MinIO, Swift's own S3 API."""

import base64
import hashlib
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
from karbor_like.bank.objectstore import base, body

_CLIENT = "s3_client"
_BANK = "s3_bank_plugin"

_CLIENT_OPTS = [
    cfg.StrOpt("s3_endpoint", help="URL of the service. Without it Amazon's, in s3_region."),
    cfg.StrOpt("s3_region", default="us-east-1", help="Region that requests are signed for and the bucket is made in."),
    cfg.StrOpt("s3_access_key", help="Access key of the account that owns the bank."),
    cfg.StrOpt("s3_secret_key", secret=True, help="Secret key of that account."),
    cfg.StrOpt("s3_ca_cert_file", help="File with the certificates that the service's is checked against."),
    cfg.IntOpt(
        "s3_retry_attempts",
        default=base.RetryPolicy.attempts,
        min=1,
        help="How often a call is made in all when the service does not answer or answers that it cannot right now.",
    ),
    cfg.FloatOpt(
        "s3_retry_backoff",
        default=base.RetryPolicy.backoff,
        min=0,
        help="Seconds before the second attempt. Doubled before every further one.",
    ),
]
_BANK_OPTS = [
    cfg.StrOpt(
        "bank_s3_object_bucket",
        default="karbor",
        help="""
Bucket that objects are kept in. Made when first needed; where the account may not do that, make it beforehand. On Amazon
the name is shared with the whole world.
""",
    ),
]

#: Seconds to wait for a connection, and for the next byte of an answer.
TIMEOUT: Final = 60.0

#: Connections that are kept; more threads than that make connections of their own.
_POOL: Final = 32

#: The most names S3 puts in one listing.
_MAX_LISTING: Final = 1000

_BUCKET: Final = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")

# Errors are told by their code, and where a gateway uses one of its own, by their HTTP status.
_FULL: Final = frozenset({"QuotaExceeded", "InsufficientStorage", "InsufficientCapacity", "EntityTooLarge"})
_FULL_STATUS: Final = frozenset({413, 507})
_DENIED: Final = frozenset({"BucketAlreadyExists", "InvalidBucketName"})
_DENIED_STATUS: Final = frozenset({401, 403})
_TRY_AGAIN: Final = frozenset(
    {"BadDigest", "IncompleteBody", "OperationAborted", "RequestTimeout", "SlowDown", "TooManyRequests"}
)
_TRY_AGAIN_STATUS: Final = frozenset({408, 409, 412, 422, 429, 498, 499})


class S3Store(base.ObjectStore):
    """One bucket.

    :param client: boto3's, which threads may share; must not retry by itself
    :param bucket: its name
    :param region: where the bucket is made
    """

    options = {_CLIENT: _CLIENT_OPTS, _BANK: _BANK_OPTS}

    def __init__(self, client: Any, bucket: str, region: str) -> None:
        self._client = client
        self._bucket = bucket
        self._region = region
        self._seen = False

    @classmethod
    def from_conf(cls, conf: cfg.ConfigOpts) -> "S3Store":
        group, bucket = conf[_CLIENT], conf[_BANK].bank_s3_object_bucket
        for name in ("s3_access_key", "s3_secret_key", "s3_region"):
            if not group[name]:
                raise exception.ConfigurationError(f"[{_CLIENT}] {name} is not set")
        if not _BUCKET.fullmatch(bucket):
            raise exception.ConfigurationError(
                f"[{_BANK}] bank_s3_object_bucket is {bucket!r}: give 3 to 63 small letters, digits, dots and hyphens"
            )
        return cls(_client(group), bucket, group.s3_region)

    @classmethod
    def retry_policy(cls, conf: cfg.ConfigOpts) -> base.RetryPolicy:
        return base.RetryPolicy(conf[_CLIENT].s3_retry_attempts, conf[_CLIENT].s3_retry_backoff)

    def put(self, key: str, data: base.Buffer | Sequence[bytes | memoryview]) -> None:
        layout.check_key(key)
        buffers = base.pieces(data)
        seen = self._seen
        try:
            self._put(key, buffers)
        except errors.ObjectNotFound:  # what was not found is the bucket
            self._check_new(key, seen)
            self._make_bucket()
            self._put(key, buffers)

    def get(self, key: str, start: int = 0, length: int | None = None) -> bytes:
        base.check_range(start, length)
        layout.check_key(key)
        if length == 0:
            self.stat(key)  # HTTP has no range of no bytes
            return b""
        arguments = {"Key": key}
        if start or length is not None:
            arguments["Range"] = f"bytes={start}-{'' if length is None else start + length - 1}"
        try:
            return self._call(key, "get_object", **arguments)
        except _PastTheEndError:
            return b""

    def stat(self, key: str) -> base.ObjectInfo:
        answer = self._call(key, "head_object", Key=layout.check_key(key))
        return base.ObjectInfo(key, answer["ContentLength"], answer["LastModified"].astimezone(UTC))

    def list(self, prefix: str, marker: str = "", limit: int = 1000) -> Sequence[base.ObjectInfo]:
        base.check_prefix(prefix)
        found: list[base.ObjectInfo] = []
        after = {"StartAfter": marker}
        while len(found) < limit:
            asked = min(limit - len(found), _MAX_LISTING)
            seen = self._seen
            try:
                answer = self._call(prefix, "list_objects_v2", Prefix=prefix, MaxKeys=asked, **after)
            except errors.ObjectNotFound:
                self._check_new(prefix, seen)
                break
            found += [_info(row) for row in answer.get("Contents", []) if base.is_key(row["Key"])]
            if not answer["IsTruncated"]:
                break
            try:
                after = {"ContinuationToken": answer["NextContinuationToken"]}
            except KeyError:
                raise errors.ConnectionFailed(f"{self._name(prefix)}: S3 did not say how the listing goes on") from None
        return found

    def delete(self, key: str) -> None:
        self.stat(key)  # S3 itself does not tell whether there was anything to delete
        self._call(key, "delete_object", Key=key)

    def close(self) -> None:
        self._client.close()

    def _put(self, key: str, buffers: Sequence[base.Buffer]) -> None:
        digest = hashlib.md5(usedforsecurity=False)
        for buffer in buffers:
            digest.update(buffer)
        self._call(
            key,
            "put_object",
            Key=key,
            Body=body.Body(buffers),
            ContentMD5=base64.b64encode(digest.digest()).decode(),
            ContentType="application/octet-stream",
        )

    def _check_new(self, key: str, seen: bool) -> None:
        """Raises ConnectionFailed for a bucket that was there before: it is neither empty nor made a second time.

        :param seen: whether it was when the request was made; another thread may have made it since
        """
        if seen:
            raise errors.ConnectionFailed(f"{self._name(key)}: the bucket is gone, and was there before")

    def _make_bucket(self) -> None:
        where = {"LocationConstraint": self._region}
        arguments = {} if self._region == "us-east-1" else {"CreateBucketConfiguration": where}
        try:
            self._call("create_bucket", "create_bucket", **arguments)
        except errors.ObjectNotFound as error:
            raise errors.ConnectionFailed(f"bucket {self._bucket} could not be made") from error
        except _AlreadyMadeError:
            return  # by somebody who had the same to do

    def _call(self, key: str, method: str, **arguments: Any) -> Any:
        """Call *method* of the client on the bucket. The answer to ``get_object`` is the object's bytes."""
        seen = self._seen
        try:
            answer = getattr(self._client, method)(Bucket=self._bucket, **arguments)
            self._seen |= method != "create_bucket"
            return _content(key, answer) if method == "get_object" else answer
        except boto_errors.ClientError as error:
            raise self._refused(key, error.response, seen) from error
        except (boto_errors.NoCredentialsError, boto_errors.PartialCredentialsError) as error:
            raise errors.AccessDenied(f"{self._name(key)}: {error}") from error
        except boto_errors.ParamValidationError as error:
            raise errors.BankError(f"{self._name(key)}: {error}") from error
        except (boto_errors.BotoCoreError, urllib3.exceptions.HTTPError, OSError) as error:
            raise errors.ConnectionFailed(f"{self._name(key)}: S3 did not answer: {error}") from error

    def _name(self, key: str) -> str:
        return f"bucket {self._bucket}: {key}"

    def _refused(self, key: str, answer: Mapping[str, Any], seen: bool) -> errors.BankError:
        code, status = answer["Error"].get("Code", ""), answer["ResponseMetadata"]["HTTPStatusCode"]
        where = f"{self._name(key)}: S3 answered {status} {code}: {answer['Error'].get('Message', '')}"
        if code == "BucketAlreadyOwnedByYou":
            return _AlreadyMadeError(where)
        if code in _FULL or status in _FULL_STATUS:
            return errors.BankFull(f"{where}; make room or raise the quota")
        if code in _TRY_AGAIN or status >= 500:
            return errors.ConnectionFailed(where)
        if status == 404:
            if code == "NoSuchBucket":
                self._check_new(key, seen)
            return errors.ObjectNotFound(f"there is no object {key}")
        if status in _DENIED_STATUS or code in _DENIED:
            return errors.AccessDenied(f"{where}; check the credentials in [{_CLIENT}]")
        if status == 416:
            return _PastTheEndError(where)
        if status in _TRY_AGAIN_STATUS:
            return errors.ConnectionFailed(where)
        return errors.BankError(where)


class _AlreadyMadeError(errors.BankError):
    """The bucket is there, and ours."""


class _PastTheEndError(errors.BankError):
    """The range begins behind the object's last byte."""


def _content(key: str, answer: Mapping[str, Any]) -> bytes:
    with answer["Body"] as stream:
        base.check_size(key, answer.get("ContentLength", 0))
        # The whole answer is read at once where its size is known: that raises where fewer bytes come.
        content: bytes = stream.read(None if "ContentLength" in answer else base.MAX_OBJECT_BYTES + 1)
        base.check_size(key, len(content))
        return content


def _info(row: Mapping[str, Any]) -> base.ObjectInfo:
    return base.ObjectInfo(row["Key"], row["Size"], row["LastModified"].astimezone(UTC))


def _client(group: cfg.ConfigOpts.GroupAttr) -> Any:
    if group.s3_ca_cert_file and not os.path.isfile(group.s3_ca_cert_file):
        raise exception.ConfigurationError(f"[{_CLIENT}] s3_ca_cert_file: there is no file {group.s3_ca_cert_file}")
    config = botocore.config.Config(
        connect_timeout=TIMEOUT,
        read_timeout=TIMEOUT,
        max_pool_connections=_POOL,
        retries={"total_max_attempts": 1},
        s3={"addressing_style": "path"} if group.s3_endpoint else {},
        # Checksums that only Amazon knows are refused elsewhere. Content-MD5 is understood by all.
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
