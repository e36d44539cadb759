"""Objects in one container of an OpenStack Swift (or of what speaks its protocol, as Ceph's gateway does)."""

import hashlib
import http.client
import os
import threading
import weakref
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import requests
import urllib3
from keystoneauth1 import exceptions as keystone_errors
from keystoneauth1 import session as keystone_session
from keystoneauth1.identity import generic
from oslo_config import cfg
from swiftclient import client as swiftclient

from karbor_like import exception
from karbor_like.bank import errors, layout
from karbor_like.bank.objectstore import base, body

_CLIENT = "swift_client"
_BANK = "swift_bank_plugin"

_CLIENT_OPTS = [
    cfg.StrOpt(
        "swift_auth_url",
        help="Where the bank's account is authenticated: the URL of Keystone, as in http://keystone.example.net/identity",
    ),
    cfg.StrOpt(
        "swift_auth_version",
        default="3",
        choices=[("3", "Keystone"), ("1", "Swift's own TempAuth, or a gateway that speaks it")],
        help="What answers at swift_auth_url.",
    ),
    cfg.StrOpt("swift_user", help="User that owns the bank. No tenant should be able to act as this user."),
    cfg.StrOpt("swift_key", secret=True, help="Password of swift_user."),
    cfg.StrOpt("swift_tenant_name", help="Project of swift_user, whose account the bank's container is in."),
    cfg.StrOpt("swift_project_domain_name", default="Default", help="Name of the domain of swift_tenant_name."),
    cfg.StrOpt("swift_user_domain_name", default="Default", help="Name of the domain of swift_user."),
    cfg.StrOpt(
        "swift_catalog_info",
        default="object-store:swift:publicURL",
        help="Which entry of Keystone's catalogue is Swift: <type>:<name>:<interface>; the name is not looked at.",
    ),
    cfg.StrOpt("swift_region_name", help="Region of the catalogue entry. Needed where there are several."),
    cfg.StrOpt(
        "swift_endpoint",
        help="URL of the account (http://swift.example.net/v1/AUTH_...), instead of the one in the catalogue.",
    ),
    cfg.StrOpt(
        "swift_ca_cert_file", help="File with the certificates that Keystone's and Swift's are checked against."
    ),
    cfg.BoolOpt("swift_auth_insecure", default=False, help="Do not check the certificates of Keystone and Swift."),
    cfg.IntOpt(
        "swift_retry_attempts",
        default=base.RetryPolicy.attempts,
        min=1,
        help="How often a call is made in all when Swift does not answer or answers that it cannot right now.",
    ),
    cfg.FloatOpt(
        "swift_retry_backoff",
        default=base.RetryPolicy.backoff,
        min=0,
        help="Seconds before the second attempt. Doubled before every further one.",
    ),
]
_BANK_OPTS = [
    cfg.StrOpt(
        "bank_swift_object_container",
        default="karbor",
        help="Container that objects are kept in. Made when first needed.",
    ),
]

#: Seconds to wait for a connection, and for the next byte of an answer.
TIMEOUT: Final = 60.0

#: The most names Swift puts in one listing.
_MAX_LISTING: Final = 10_000

_DENIED: Final = frozenset({401, 403})
_FULL: Final = frozenset({413, 507})
# 409: a newer version is there, by a clock that differs; 422: the body did not arrive as it was sent; 499: cut off.
_TRY_AGAIN: Final = frozenset({408, 409, 412, 422, 429, 498, 499})

_PAST_THE_END: Final = 416

_BROKEN: Final = (requests.RequestException, urllib3.exceptions.HTTPError, http.client.HTTPException, OSError)


class _Connection(swiftclient.Connection):
    """A connection that sends a request again after its token had expired, and after nothing else."""

    def get_auth(self) -> tuple[str, str]:
        """The URL of the account, and a token."""
        url = self.os_options.get("object_storage_url")
        if self.session and url:  # then the catalogue need not know Swift
            return url, self.session.get_token()
        return super().get_auth()

    def get_object(self, container: str, obj: str, **kwargs: Any) -> tuple[Mapping[str, str], bytes]:
        """Headers and bytes of an object. Raises Corrupted, and reads nothing, for more bytes than an object may have."""
        answer, stream = super().get_object(container, obj, resp_chunk_size=base.MAX_OBJECT_BYTES, **kwargs)
        size = int(answer.get("content-length", 0))
        try:
            base.check_size(obj, size)
        except errors.Corrupted:
            self.close()  # the rest of the answer is under way
            raise
        return answer, stream.read(size + 1)

    def put_object(self, container: str, obj: str, contents: body.Body, **kwargs: Any) -> str:
        def rewind(*args: Any, **kwargs: Any) -> None:
            contents.seek(0)

        return self._retry(rewind, swiftclient.put_object, container, obj, contents, **kwargs)


class SwiftStore(base.ObjectStore):
    """One container of one account.

    :param connect: makes a connection that retries nothing by itself; called once per thread
    :param container: its name
    """

    options = {_CLIENT: _CLIENT_OPTS, _BANK: _BANK_OPTS}

    def __init__(self, connect: Callable[[], swiftclient.Connection], container: str) -> None:
        self._connect = connect
        self._container = container
        self._seen = False
        # A connection shared by threads mixes up their answers.
        self._local = threading.local()
        self._connections: weakref.WeakSet[swiftclient.Connection] = weakref.WeakSet()
        self._lock = threading.Lock()

    @classmethod
    def from_conf(cls, conf: cfg.ConfigOpts) -> "SwiftStore":
        container = conf[_BANK].bank_swift_object_container
        if not container or "/" in container or len(container) > 256:
            raise exception.ConfigurationError(
                f"[{_BANK}] bank_swift_object_container is {container!r}: give a name of at most 256 characters without '/'"
            )
        return cls(_connector(conf[_CLIENT]), container)

    @classmethod
    def retry_policy(cls, conf: cfg.ConfigOpts) -> base.RetryPolicy:
        return base.RetryPolicy(conf[_CLIENT].swift_retry_attempts, conf[_CLIENT].swift_retry_backoff)

    def put(self, key: str, data: base.Buffer | Sequence[bytes | memoryview]) -> None:
        layout.check_key(key)
        buffers = base.pieces(data)
        seen = self._seen
        try:
            self._put(key, buffers)
        except errors.ObjectNotFound:  # what was not found is the container
            self._check_new(key, seen)
            try:
                self._call(key, "put_container")
                self._put(key, buffers)
            except errors.ObjectNotFound as error:
                raise errors.ConnectionFailed(f"{self._name(key)}: the container could not be made") from error

    def get(self, key: str, start: int = 0, length: int | None = None) -> bytes:
        base.check_range(start, length)
        layout.check_key(key)
        if length == 0:
            self.stat(key)  # HTTP has no range of no bytes
            return b""
        headers = {}
        if start or length is not None:
            headers["Range"] = f"bytes={start}-{'' if length is None else start + length - 1}"
        try:
            answer, content = self._call(key, "get_object", key, headers=headers)
        except _PastTheEndError:
            return b""
        if len(content) != int(answer.get("content-length", -1)):
            raise errors.ConnectionFailed(f"{self._name(key)}: the answer was cut after {len(content)} bytes")
        if headers and "content-range" not in answer:
            return content[start : None if length is None else start + length]
        return content

    def stat(self, key: str) -> base.ObjectInfo:
        answer = self._call(key, "head_object", layout.check_key(key))
        modified = datetime.fromtimestamp(float(answer["x-timestamp"]), UTC)
        return base.ObjectInfo(key, int(answer["content-length"]), modified)

    def list(self, prefix: str, marker: str = "", limit: int = 1000) -> Sequence[base.ObjectInfo]:
        base.check_prefix(prefix)
        found: list[base.ObjectInfo] = []
        while len(found) < limit:
            asked = min(limit - len(found), _MAX_LISTING)
            seen = self._seen
            try:
                _, rows = self._call(prefix, "get_container", prefix=prefix, marker=marker, limit=asked)
            except errors.ObjectNotFound:
                self._check_new(prefix, seen)
                break
            found += [_info(row) for row in rows if base.is_key(row["name"])]
            if len(rows) < asked:
                break
            marker = rows[-1]["name"]
        return found

    def delete(self, key: str) -> None:
        self._call(key, "delete_object", layout.check_key(key))

    def close(self) -> None:
        with self._lock:
            connections = list(self._connections)
        for connection in connections:
            connection.close()

    def _check_new(self, key: str, seen: bool) -> None:
        """Raises ConnectionFailed for a container that was there before: it is neither empty nor made a second time.

        :param seen: whether it was when the request was made; another thread may have made it since
        """
        if seen:
            raise errors.ConnectionFailed(f"{self._name(key)}: the container is gone, and was there before")

    def _put(self, key: str, buffers: Sequence[base.Buffer]) -> None:
        digest = hashlib.md5(usedforsecurity=False)
        for buffer in buffers:
            digest.update(buffer)
        content = body.Body(buffers)
        stored = self._call(
            key,
            "put_object",
            key,
            content,
            content_length=content.size,
            etag=digest.hexdigest(),
            content_type="application/octet-stream",
        )
        if stored != digest.hexdigest():
            raise errors.ConnectionFailed(f"{self._name(key)}: Swift has stored other bytes than were sent")

    def _call(self, key: str, method: str, *args: Any, **kwargs: Any) -> Any:
        """Call *method* of this thread's connection on the container."""
        connection = self._connection()
        try:
            answer = getattr(connection, method)(self._container, *args, **kwargs)
            self._seen |= method != "put_container"
            return answer
        except swiftclient.ClientException as error:
            if error.http_status in _TRY_AGAIN or not error.http_status:
                connection.close()  # the rest of the answer may still be under way
            raise self._refused(key, error) from error
        except keystone_errors.ClientException as error:
            raise _not_authenticated(error) from error
        except _BROKEN as error:
            connection.close()
            raise errors.ConnectionFailed(f"{self._name(key)}: Swift did not answer: {error}") from error

    def _connection(self) -> swiftclient.Connection:
        connection = getattr(self._local, "connection", None)
        if connection is None:
            connection = self._local.connection = self._connect()
            with self._lock:
                self._connections.add(connection)
        return connection

    def _name(self, key: str) -> str:
        return f"container {self._container}: {key}"

    def _refused(self, key: str, error: swiftclient.ClientException) -> errors.BankError:
        status = error.http_status
        where = f"{self._name(key)}: Swift answered {status} {error.http_reason}"
        if status == 404:
            return errors.ObjectNotFound(f"there is no object {key}")
        if status in _DENIED:
            return errors.AccessDenied(f"{where}; check the credentials in [{_CLIENT}]")
        if status in _FULL:
            return errors.BankFull(f"{where}; make room or raise the quota of the account or container")
        if status == _PAST_THE_END:
            return _PastTheEndError(where)
        if not status:
            return errors.ConnectionFailed(f"{self._name(key)}: {error.msg}")
        if status >= 500 or status in _TRY_AGAIN:
            return errors.ConnectionFailed(where)
        return errors.BankError(where)


class _PastTheEndError(errors.BankError):
    """The range begins behind the object's last byte."""


def _info(row: Mapping[str, Any]) -> base.ObjectInfo:
    modified = datetime.fromisoformat(row["last_modified"]).replace(tzinfo=UTC)
    return base.ObjectInfo(row["name"], int(row["bytes"]), modified)


def _not_authenticated(error: keystone_errors.ClientException) -> errors.BankError:
    status = getattr(error, "http_status", None) or 0
    if isinstance(error, keystone_errors.CatalogException):
        return errors.BankError(
            f"Keystone's catalogue offers the account of the bank no Swift: {error}; correct swift_catalog_info or"
            f" swift_region_name in [{_CLIENT}], or give swift_endpoint"
        )
    # A Keystone that is down is told as one whose versions cannot be found.
    unreachable = (keystone_errors.ConnectionError, keystone_errors.DiscoveryFailure)
    if isinstance(error, unreachable) or status >= 500 or status == 429:
        return errors.ConnectionFailed(f"Keystone did not answer: {error}")
    return errors.AccessDenied(
        f"Keystone refused the account of the bank: {error}; check the credentials in [{_CLIENT}]"
    )


def _connector(group: cfg.ConfigOpts.GroupAttr) -> Callable[[], swiftclient.Connection]:
    """What makes connections as group ``[swift_client]`` says."""
    needed = ["swift_auth_url", "swift_user", "swift_key"]
    if group.swift_auth_version == "3":
        needed.append("swift_tenant_name")
    for name in needed:
        if not group[name]:
            raise exception.ConfigurationError(f"[{_CLIENT}] {name} is not set")
    if group.swift_ca_cert_file and not os.path.isfile(group.swift_ca_cert_file):
        raise exception.ConfigurationError(
            f"[{_CLIENT}] swift_ca_cert_file: there is no file {group.swift_ca_cert_file}"
        )
    common: dict[str, Any] = {
        "retries": 0,
        "starting_backoff": 0,
        "timeout": TIMEOUT,
        "cacert": group.swift_ca_cert_file,
        "insecure": group.swift_auth_insecure,
        "user": group.swift_user,
        "os_options": {"object_storage_url": group.swift_endpoint},
    }
    if group.swift_auth_version == "1":
        return lambda: _Connection(group.swift_auth_url, key=group.swift_key, auth_version="1", **common)
    service_type, _, interface = _catalog_info(group.swift_catalog_info)
    common["os_options"] |= {
        "service_type": service_type,
        "endpoint_type": interface,
        "region_name": group.swift_region_name,
    }
    session = _session(group)
    return lambda: _Connection(session=session, **common)


def _catalog_info(value: str) -> Sequence[str]:
    parts = value.split(":")
    if len(parts) != 3 or not all(parts):
        raise exception.ConfigurationError(
            f"[{_CLIENT}] swift_catalog_info is {value!r}: give <type>:<name>:<interface>, as in object-store:swift:publicURL"
        )
    return parts


def _session(group: cfg.ConfigOpts.GroupAttr) -> keystone_session.Session:
    auth = generic.Password(
        auth_url=group.swift_auth_url,
        username=group.swift_user,
        password=group.swift_key,
        project_name=group.swift_tenant_name,
        project_domain_name=group.swift_project_domain_name,
        user_domain_name=group.swift_user_domain_name,
    )
    verify = False if group.swift_auth_insecure else group.swift_ca_cert_file or True
    return keystone_session.Session(auth=auth, verify=verify, timeout=TIMEOUT)
