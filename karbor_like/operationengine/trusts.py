"""Trusts, by which the engine acts in the name of users who are not logged in.

Each scheduled operation has a trust, which is created with the token of its user's request and has the roles of that token.
So Keystone decides whether that token may give away its authority: the token of a trust without redelegation or of a
restricted application credential may not.

A trust that no scheduled operation has any longer is deleted when the last run that uses it has ended, with its clean-up.
Another member of the project may delete the operation, but in Keystone only the trustor and administrators can delete a
trust. Therefore the engine deletes it with a token from the trust itself.
https://docs.openstack.org/api-ref/identity/v3-ext/#os-trust-api
"""

import contextlib
import functools
import logging
import threading
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import cachetools
from keystoneauth1 import exceptions as ksa
from sqlalchemy import orm

from karbor_like import exception, watchdog
from karbor_like.clients import errors
from karbor_like.clients.factory import ClientFactory, Clients
from karbor_like.context import RequestContext
from karbor_like.db import trusts
from karbor_like.db.models import Trust
from karbor_like.db.session import Database
from karbor_like.secret import Cipher

LOG = logging.getLogger(__name__)

#: Number of users whose tokens and connections are cached for the next step of a run.
_CACHE_SIZE = 1000
#: Seconds after which the deletion of a trust is attempted again, or that of one whose creator has not stored it.
_RETRY: Final = 3600.0
#: Seconds after its release from which a trust is deleted even if an operation seems to use it.
_BOUND: Final = 90 * 86400.0
#: Number of trusts of one sweep.
_BATCH: Final = 100

_MARKS_BEGIN: Final = datetime(9000, 1, 1, tzinfo=UTC)
_MARKS_SECONDS: Final = int((datetime(9999, 12, 31, tzinfo=UTC) - _MARKS_BEGIN).total_seconds())


class TrustLost(exception.NotAuthorized):
    """The user's trust was revoked, or its user, project or role no longer exists."""


@dataclass(frozen=True)
class KeystoneTrust:
    """A trust in Keystone.

    :param user_id: the trustor
    """

    id: str
    user_id: str
    project_id: str


class Trusts:
    """Creates, uses and deletes trusts. Thread-safe.

    :param pause: seconds after which it is checked again whether a released trust is used
    """

    def __init__(self, database: Database, clients: ClientFactory, cipher: Cipher, pause: float) -> None:
        self._database = database
        self._clients = clients
        self._cipher = cipher
        self._pause = pause
        self._acting: cachetools.LRUCache[str, Clients] = cachetools.LRUCache(_CACHE_SIZE)
        self._lock = threading.Lock()

    def make(self, context: RequestContext, operation_id: str) -> None:
        """Create a trust of the user of *context* for a scheduled operation of that user, in place of its former one.

        :raises TrustRefused: Keystone refuses
        :raises ScheduledOperationNotFound: the operation was deleted meanwhile
        """
        user_id, project_id = str(context.user_id), str(context.project_id)
        row = self._database.write(lambda session: trusts.intend(session, user_id, project_id, _RETRY))
        try:
            encrypted = self._cipher.encrypt(self._create(context, row.id))
        except exception.Unavailable:
            raise  # Keystone may have created it: the sweep looks for it
        except exception.KarborLikeError:
            self._database.write(lambda session: trusts.TRUSTS.delete(session, row.id))
            raise
        try:
            former = self._database.write(lambda session: trusts.adopt(session, row.id, encrypted, operation_id))
        except exception.KarborLikeError:
            values = {"keystone_id": encrypted}
            self._database.write(lambda session: trusts.TRUSTS.update(session, row.id, values))
            self.delete(row.id)
            raise
        if former is not None:
            self.delete(former)

    def delete(self, trust_id: str) -> None:
        """Delete a released trust, unless it is used. :meth:`sweep` tries again what failed."""
        with self._database.reader() as session:
            row = trusts.TRUSTS.find(session, trust_id)
        if row is None or row.released_at is None:
            return
        keystone_id = self._cipher.decrypt(row.keystone_id) if row.keystone_id else None
        fingerprints = self._cipher.fingerprints(keystone_id) if keystone_id else []

        def take(session: orm.Session) -> bool:
            return trusts.take(session, trust_id, fingerprints, pause=self._pause, retry=_RETRY, bound=_BOUND)

        if not self._database.write(take):
            return
        if keystone_id:
            with self._lock:
                self._acting.pop(keystone_id, None)
        if self._delete_in_keystone(row, keystone_id):
            self._database.write(lambda session: trusts.TRUSTS.delete(session, trust_id))

    def sweep(self) -> None:
        """Delete the released trusts that are due."""
        with self._database.reader() as session:
            due = [row.id for row in trusts.due(session, _BATCH)]
        for trust_id in due:
            watchdog.tick()
            try:
                self.delete(trust_id)
            except exception.KarborLikeError as error:
                LOG.error("trust %s: %s", trust_id, error)
                self._database.write(functools.partial(trusts.postpone, trust_id=trust_id, seconds=_RETRY))

    def unknown(self) -> list[KeystoneTrust]:
        """Return the trusts in Keystone that a service like this one created, with this trustee, and that no row is for.

        Every trust has a row before it exists, so the database does not know it: it was lost, or is that of another
        installation with the same service user. A trust that was redelegated cannot be recognized and is left out.

        :raises ConfigurationError: there is no service user
        """
        # In this order: a row may be added meanwhile, but none that a listed trust is for.
        listed = self._list()
        known = self._marks()
        return [
            KeystoneTrust(trust["id"], trust["trustor_user_id"], trust["project_id"])
            for trust in listed
            if _is_mark(trust["expires_at"]) and trust["expires_at"] not in known
        ]

    def delete_unknown(self, trust: KeystoneTrust) -> bool:
        """Delete a trust that :meth:`unknown` returned. Return False if a row is for it by now."""
        if trust not in self.unknown():
            return False
        return self._delete_one(RequestContext(user_id=trust.user_id, project_id=trust.project_id, trust_id=trust.id))

    def act_by(self, trust_id: str | None, *, fresh: bool) -> Clients:
        """Return clients that act by a trust, as its user in its project.

        :param trust_id: of the trust's row
        :param fresh: check with Keystone that the trust works now; otherwise a cached token may be used
        :raises TrustLost: there is no working trust
        """
        with self._database.reader() as session:
            row = trusts.TRUSTS.find(session, trust_id) if trust_id else None
        if row is None or row.keystone_id is None:
            raise TrustLost("the scheduled operation has no trust; its user must enable it again")
        keystone_id = self._cipher.decrypt(row.keystone_id)
        with self._lock:
            clients = None if fresh else self._acting.get(keystone_id)
        if clients is None:
            clients = self._sign_in(_owner(row, keystone_id))
            with self._lock:
                self._acting[keystone_id] = clients
        return clients

    def _sign_in(self, context: RequestContext) -> Clients:
        """Return clients with a new token from the trust of *context*."""
        clients = self._clients.for_context(context)
        try:
            with (
                _unnamed(str(context.trust_id)),
                errors.translated(f"acting for user {context.user_id} in project {context.project_id}"),
            ):
                clients.session.get_token()
        except (exception.NotAuthorized, exception.NotFound) as error:
            self._clients.check_service_account()
            raise TrustLost(
                f"trust of user {context.user_id} in project {context.project_id}: does not work; it was revoked, or the "
                f"user, the project or the role was deleted: {error}"
            ) from None
        return clients

    def _create(self, context: RequestContext, row_id: str) -> str:
        """Create a trust in Keystone and return its id there."""
        trust = {
            "trustor_user_id": context.user_id,
            "trustee_user_id": self._clients.service_user_id(),
            "project_id": context.project_id,
            "impersonation": True,
            "roles": [{"name": role} for role in context.roles],
        }
        if context.trust_id is None:
            # A redelegated trust ends with the one that it comes from; another end is refused.
            trust["expires_at"] = _mark(row_id)
        try:
            with errors.translated(f"creating a trust of user {context.user_id} for a scheduled operation"):
                keystone = self._clients.for_context(context).keystone()
                answer = keystone.post("/OS-TRUST/trusts", json={"trust": trust})
        except exception.NotAuthorized as error:
            raise exception.TrustRefused(error.message) from error
        return answer.json()["trust"]["id"]

    def _delete_in_keystone(self, row: Trust, keystone_id: str | None) -> bool:
        """Delete a trust.

        :param keystone_id: None: Keystone may have created it for a request whose end is unknown
        :returns: whether the trust no longer exists in Keystone
        """
        try:
            found = [keystone_id] if keystone_id else self._find(row)
            return all(self._delete_one(_owner(row, trust_id)) for trust_id in found)
        except exception.KarborLikeError as error:
            LOG.error(
                "trust of user %s in project %s: unused, but cannot be deleted in Keystone; will be retried in an hour, or "
                "let an administrator delete the trusts of which this service is the trustee: %s",
                row.user_id,
                row.project_id,
                error,
            )
            return False

    def _find(self, row: Trust) -> Sequence[str]:
        """Return the ids in Keystone of the trusts that were created for *row*."""
        mark = _mark(row.id)
        return [trust["id"] for trust in self._list() if trust["expires_at"] == mark]

    def _list(self) -> list[dict[str, Any]]:
        """Return the trusts of which the service user is the trustee, as Keystone shows them."""
        with errors.translated("listing the trusts of the service user"):
            url = f"/OS-TRUST/trusts?trustee_user_id={self._clients.service_user_id()}"
            listed: list[dict[str, Any]] = self._clients.as_service().keystone().get(url).json()["trusts"]
        return listed

    def _marks(self) -> set[str]:
        """Return the marks of all rows."""
        with self._database.reader() as session:
            return set(map(_mark, trusts.ids(session)))

    def _delete_one(self, owner: RequestContext) -> bool:
        try:
            self._delete_as(self._clients.for_context(owner), str(owner.trust_id))
        except exception.KarborLikeError as error:
            LOG.debug("trust of %s in %s: cannot delete itself: %s", owner.user_id, owner.project_id, error)
            # It may no longer work. Even without permission to delete it, the service learns whether it exists.
            self._delete_as(self._clients.as_service(), str(owner.trust_id))
        return True

    def _delete_as(self, clients: Clients, keystone_id: str) -> None:
        """Delete a trust if it exists; errors of Keystone are raised translated."""
        with _unnamed(keystone_id), errors.translated("signing in to delete a trust"):
            clients.session.get_token()
        with _unnamed(keystone_id), errors.translated("deleting a trust"), contextlib.suppress(ksa.NotFound):
            clients.keystone().delete(f"/OS-TRUST/trusts/{keystone_id}")


@contextlib.contextmanager
def _unnamed(keystone_id: str) -> Iterator[None]:
    """Keep the id of a trust, which is a secret, out of errors: URLs contain it, and what Keystone says may."""
    try:
        yield
    except exception.KarborLikeError as error:
        error.message = error.message.replace(keystone_id, "(trust)")
        error.args = (error.message,)
        raise error from None  # the cause names the trust, too


def _owner(row: Trust, keystone_id: str) -> RequestContext:
    return RequestContext(user_id=row.user_id, project_id=row.project_id, trust_id=keystone_id)


def _is_mark(expires_at: object) -> bool:
    """Return whether a trust ends when only one ends that :func:`_mark` marks."""
    try:
        end = datetime.fromisoformat(str(expires_at))
    except ValueError:
        return False
    return end.tzinfo is not None and end >= _MARKS_BEGIN


def _mark(row_id: str) -> str:
    """Return the end of the trust of a row, in a distant future: the only value of a trust by which it can be recognized."""
    mark = _MARKS_BEGIN + timedelta(seconds=uuid.UUID(row_id).int % _MARKS_SECONDS)
    return f"{mark:%Y-%m-%dT%H:%M:%S.%fZ}"
