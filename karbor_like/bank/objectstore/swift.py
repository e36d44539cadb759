"""Objects in one container of an OpenStack Swift, or of a service with the same protocol, such as Ceph's gateway."""

import http.client
import os
import threading
import weakref
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import requests
import requests.adapters
import urllib3
from keystoneauth1 import exceptions as keystone_errors
from keystoneauth1 import session as keystone_session
from keystoneauth1.identity import generic
from oslo_config import cfg
from swiftclient import client as swiftclient

from karbor_like import exception
from karbor_like.bank import errors, layout
from karbor_like.bank.objectstore import base, body, remote

_CLIENT = "swift_client"
_BANK = "swift_bank_plugin"

_CLIENT_OPTS = [
    cfg.StrOpt(
        "swift_auth_url",
        help="URL at which the bank's account is authenticated: Keystone's, as in http://keystone.example.net/identity",
    ),
    cfg.StrOpt(
        "swift_auth_version",
        default="3",
        choices=[("3", "Keystone"), ("1", "Swift's own TempAuth, or a gateway that supports it")],
        help="The service at swift_auth_url.",
    ),
    cfg.StrOpt("swift_user", help="User that owns the bank. No tenant should be able to act as this user."),
    cfg.StrOpt("swift_key", secret=True, help="Password of swift_user."),
    cfg.StrOpt("swift_tenant_name", help="Project of swift_user, whose account contains the bank's container."),
    cfg.StrOpt("swift_project_domain_name", default="Default", help="Name of the domain of swift_tenant_name."),
    cfg.StrOpt("swift_user_domain_name", default="Default", help="Name of the domain of swift_user."),
    cfg.StrOpt(
        "swift_catalog_info",
        default="object-store:swift:publicURL",
        help="Entry of Keystone's catalog for Swift: <type>:<name>:<interface>. The name is ignored.",
    ),
    cfg.StrOpt("swift_region_name", help="Region of the catalog entry. Required if there are several."),
    cfg.StrOpt(
        "swift_endpoint",
        help="URL of the account (http://swift.example.net/v1/AUTH_...), instead of the one in the catalog.",
    ),
    cfg.StrOpt("swift_ca_cert_file", help="File with the CA certificates for the connections to Keystone and Swift."),
    cfg.BoolOpt("swift_auth_insecure", default=False, help="Do not verify the certificates of Keystone and Swift."),
    *remote.request_options("swift", "Swift"),
]
_BANK_OPTS = [
    cfg.StrOpt(
        "bank_swift_object_container",
        default="karbor",
        help="Container for the bank's objects. Created when it is first needed.",
    ),
]

#: Bytes of a response that are read at once into a caller's buffer.
_PIECE_BYTES: Final = 256 * 1024
#: Connections that are left open for further requests. More are in use only for moments, when many requests are sent at once.
_IDLE: Final = 8
_BROKEN: Final = (requests.RequestException, urllib3.exceptions.HTTPError, http.client.HTTPException, OSError)


class _Adapter(requests.adapters.HTTPAdapter):
    """Sends bodies in pieces of 128 KiB, with an eighth of the system calls of urllib3's default."""

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **{**kwargs, "blocksize": 128 * 1024})


class _Connection(swiftclient.Connection):
    """A connection that repeats a request only after its token has expired."""

    def http_connection(self, url: str | None = None) -> tuple[Any, swiftclient.HTTPConnection]:
        parsed, connection = super().http_connection(url)
        for scheme in ("http://", "https://"):
            connection.request_session.mount(scheme, _Adapter())
        return parsed, connection

    def get_auth(self) -> tuple[str, str]:
        """Return the URL of the account, and a token."""
        url = self.os_options.get("object_storage_url")
        if self.session and url:  # then the catalog needs no entry for Swift
            return url, self.session.get_token()
        return super().get_auth()

    def get_object(self, container: str, obj: str, **kwargs: Any) -> tuple[Mapping[str, str], bytes]:
        """Return headers and bytes of an object. Raises Corrupted, and reads nothing, if it is too large for a bank."""
        headers, stream = super().get_object(container, obj, resp_chunk_size=base.MAX_OBJECT_BYTES, **kwargs)
        size = int(headers.get("content-length", 0))
        try:
            base.check_size(obj, size)
        except errors.Corrupted:
            self.close()  # the rest of the response is in flight
            raise
        return headers, stream.read(size + 1)

    def get_object_into(
        self, container: str, obj: str, start: int, sink: body.Sink, **kwargs: Any
    ) -> tuple[Mapping[str, str], int]:
        """Read the bytes of an object from byte *start* into *sink*. Returns the headers and the number of bytes.

        In small pieces, whose memory is used again and again: one as large as a pack would be new memory each time.
        """
        headers, stream = super().get_object(container, obj, resp_chunk_size=_PIECE_BYTES, **kwargs)
        # What a service sends before and after the range, if it ignores that one was requested.
        before = 0 if "content-range" in headers else start
        while before and (piece := stream.read(min(before, _PIECE_BYTES))):
            before -= len(piece)
        done = 0
        while done < sink.size and (piece := stream.read(min(sink.size - done, _PIECE_BYTES))):
            sink.write(done, piece)
            done += len(piece)
        if int(headers.get("content-length", -1)) != done:
            self.close()
        return headers, done

    def put_object(self, container: str, obj: str, contents: body.Body, **kwargs: Any) -> str:
        def rewind(*args: Any, **kwargs: Any) -> None:
            contents.seek(0)

        return self._retry(rewind, swiftclient.put_object, container, obj, contents, **kwargs)


class SwiftStore(remote.RemoteStore):
    """One container of one account.

    A request has a connection for itself, and leaves it to the next one: threads that come and go with an operation do not
    connect again and again.

    :param connect: returns a connection that does not retry
    :param container: its name
    :param timeout: as of :class:`~karbor_like.bank.objectstore.remote.RemoteStore`
    """

    options = {_CLIENT: _CLIENT_OPTS, _BANK: _BANK_OPTS}
    client_group = _CLIENT
    option_prefix = "swift"
    container_noun = "container"
    max_listing = 10_000

    def __init__(self, connect: Callable[[], swiftclient.Connection], container: str, timeout: float = 60.0) -> None:
        super().__init__(container, timeout)
        self._connect = connect
        # Requests that used a connection at the same time would receive each other's responses.
        self._idle: list[swiftclient.Connection] = []
        self._connections: weakref.WeakSet[swiftclient.Connection] = weakref.WeakSet()
        self._lock = threading.Lock()

    @classmethod
    def from_conf(cls, conf: cfg.ConfigOpts) -> "SwiftStore":
        container = conf[_BANK].bank_swift_object_container
        if not container or "/" in container or len(container) > 256:
            raise exception.ConfigurationError(
                f"[{_BANK}] bank_swift_object_container: {container!r} is not valid; expected a name of at most 256"
                " characters without '/'"
            )
        return cls(_connector(conf[_CLIENT]), container, conf[_CLIENT].swift_timeout)

    def stat(self, key: str) -> base.ObjectInfo:
        headers = self._call(key, "head_object", layout.check_key(key))
        with self._understanding(key):
            modified = datetime.fromtimestamp(float(headers["x-timestamp"]), UTC)
            return base.ObjectInfo(key, int(headers["content-length"]), modified)

    def delete(self, key: str) -> None:
        self._call(key, "delete_object", layout.check_key(key))

    def close(self) -> None:
        with self._lock:
            connections = list(self._connections)
        for connection in connections:
            connection.close()

    def _put(self, key: str, buffers: Sequence[base.Buffer]) -> None:
        digest = remote.md5(buffers).hexdigest()
        content = body.Body(buffers)
        stored = self._call(
            key,
            "put_object",
            key,
            content,
            content_length=content.size,
            etag=digest,
            content_type="application/octet-stream",
        )
        if stored != digest:
            raise errors.ConnectionFailed(f"{self._name(key)}: Swift stored other bytes than were sent")

    def _get_into(self, key: str, start: int, target: memoryview) -> int:
        requested = {"Range": remote.range_header(start, len(target))}
        with body.Sink(target) as sink:
            headers, done = self._call(key, "get_object_into", key, start, sink, headers=requested)
        sent = int(headers.get("content-length", -1))
        if "content-range" not in headers:
            sent = min(max(sent - start, 0), len(target))
        if sent > len(target):
            raise errors.Corrupted(f"{key}: Swift sent {sent} bytes; requested were {len(target)}")
        if done != sent:
            raise errors.ConnectionFailed(f"{self._name(key)}: the response was truncated after {done} bytes")
        return done

    def _get(self, key: str, start: int, length: int | None) -> bytes:
        requested = remote.range_header(start, length)
        headers, content = self._call(key, "get_object", key, headers={"Range": requested} if requested else {})
        if len(content) != int(headers.get("content-length", -1)):
            raise errors.ConnectionFailed(f"{self._name(key)}: the response was truncated after {len(content)} bytes")
        if requested and "content-range" not in headers:
            return content[start : None if length is None else start + length]
        return content

    def _list_page(
        self, prefix: str, marker: str, position: str | None, limit: int
    ) -> tuple[Sequence[base.ObjectInfo], str | None]:
        after = marker if position is None else position
        _, rows = self._call(prefix, "get_container", prefix=prefix, marker=after, limit=limit)
        with self._understanding(prefix):
            return [_info(row) for row in rows], None if len(rows) < limit else rows[-1]["name"]

    def _create_container(self, key: str) -> None:
        self._call(key, "put_container")

    def _call(self, key: str, method: str, *args: Any, **kwargs: Any) -> Any:
        """Call *method* of a connection on the container."""
        connection = self._take()
        try:
            with self._understanding(key):
                response = self._in_time(key, lambda: getattr(connection, method)(self._container, *args, **kwargs))
            self._seen |= method != "put_container"
        except swiftclient.ClientException as error:
            if error.http_status in remote.TRANSIENT or not error.http_status:
                connection.close()  # the rest of the response may still be in flight
            self._leave(connection)
            raise self._translate(key, error) from error
        except keystone_errors.ClientException as error:
            self._leave(connection)
            raise _translate_keystone(error) from error
        except TimeoutError as error:  # the thread of the request still uses the connection
            raise errors.ConnectionFailed(f"{self._name(key)}: Swift did not answer: {error}") from error
        except errors.ConnectionFailed:
            connection.close()
            raise
        except _BROKEN as error:
            connection.close()
            raise errors.ConnectionFailed(f"{self._name(key)}: Swift did not answer: {error}") from error
        self._leave(connection)
        return response

    def _take(self) -> swiftclient.Connection:
        """Return the connection that was left last, or a new one."""
        with self._lock:
            if self._idle:
                return self._idle.pop()
        connection = self._connect()
        with self._lock:
            self._connections.add(connection)
        return connection

    def _leave(self, connection: swiftclient.Connection) -> None:
        """Leave a connection to the next request, or close it if there are enough."""
        with self._lock:
            if len(self._idle) < _IDLE:
                self._idle.append(connection)
                return
        connection.close()

    def _translate(self, key: str, error: swiftclient.ClientException) -> errors.BankError:
        status = error.http_status
        message = f"{self._name(key)}: Swift answered {status} {error.http_reason}"
        if status == 404:
            return errors.ObjectNotFound(f"there is no object {key}")
        if status in remote.DENIED:
            return errors.AccessDenied(f"{message}; check the credentials in [{_CLIENT}] and what they permit")
        if status in remote.FULL:
            return errors.BankFull(f"{message}; free space or raise the quota of the account or container")
        if status == remote.PAST_THE_END:
            return remote.PastTheEndError(message)
        if not status:
            return errors.ConnectionFailed(f"{self._name(key)}: {error.msg}")
        if status >= 500 or status in remote.TRANSIENT:
            return errors.ConnectionFailed(message)
        return errors.BankError(message)


def _info(row: Mapping[str, Any]) -> base.ObjectInfo:
    modified = datetime.fromisoformat(row["last_modified"]).replace(tzinfo=UTC)
    return base.ObjectInfo(row["name"], int(row["bytes"]), modified)


def _translate_keystone(error: keystone_errors.ClientException) -> errors.BankError:
    status = getattr(error, "http_status", None) or 0
    if isinstance(error, keystone_errors.CatalogException):
        return errors.BankError(
            f"[{_CLIENT}] swift_catalog_info: Keystone's catalog has no such Swift for the bank's account: {error}; correct"
            " it or swift_region_name, or set swift_endpoint"
        )
    # An unreachable Keystone is reported as one whose API versions cannot be discovered.
    unreachable = (keystone_errors.ConnectionError, keystone_errors.DiscoveryFailure)
    if isinstance(error, unreachable) or status >= 500 or status == 429:
        return errors.ConnectionFailed(f"Keystone did not answer: {error}")
    return errors.AccessDenied(f"Keystone refused the bank's account: {error}; check the credentials in [{_CLIENT}]")


def _connector(group: cfg.ConfigOpts.GroupAttr) -> Callable[[], swiftclient.Connection]:
    """Return a function that creates connections with the options of group ``[swift_client]``."""
    required = ["swift_auth_url", "swift_user", "swift_key"]
    if group.swift_auth_version == "3":
        required.append("swift_tenant_name")
    for name in required:
        if not group[name]:
            raise exception.ConfigurationError(f"[{_CLIENT}] {name}: is not set")
    if group.swift_ca_cert_file and not os.path.isfile(group.swift_ca_cert_file):
        raise exception.ConfigurationError(
            f"[{_CLIENT}] swift_ca_cert_file: there is no file {group.swift_ca_cert_file}"
        )
    common: dict[str, Any] = {
        "retries": 0,
        "starting_backoff": 0,
        "timeout": group.swift_timeout,
        "cacert": group.swift_ca_cert_file,
        "insecure": group.swift_auth_insecure,
        "user": group.swift_user,
        "os_options": {"object_storage_url": group.swift_endpoint},
    }
    if group.swift_auth_version == "1":
        return lambda: _Connection(group.swift_auth_url, key=group.swift_key, auth_version="1", **common)
    service_type, _, interface = _parse_catalog_info(group.swift_catalog_info)
    common["os_options"] |= {
        "service_type": service_type,
        "endpoint_type": interface,
        "region_name": group.swift_region_name,
    }
    session = _session(group)
    return lambda: _Connection(session=session, **common)


def _parse_catalog_info(value: str) -> Sequence[str]:
    parts = value.split(":")
    if len(parts) != 3 or not all(parts):
        raise exception.ConfigurationError(
            f"[{_CLIENT}] swift_catalog_info: {value!r} is not valid; expected <type>:<name>:<interface>, as in"
            " object-store:swift:publicURL"
        )
    return parts


class _Password(generic.Password):
    """Signs in for all threads, which share its token."""

    def invalidate(self) -> bool:
        """Discard the token. Return True: signing in again makes sense, even if another thread has just discarded it."""
        super().invalidate()
        return True


def _session(group: cfg.ConfigOpts.GroupAttr) -> keystone_session.Session:
    auth = _Password(
        auth_url=group.swift_auth_url,
        username=group.swift_user,
        password=group.swift_key,
        project_name=group.swift_tenant_name,
        project_domain_name=group.swift_project_domain_name,
        user_domain_name=group.swift_user_domain_name,
    )
    verify = False if group.swift_auth_insecure else group.swift_ca_cert_file or True
    return keystone_session.Session(auth=auth, verify=verify, timeout=group.swift_timeout)
