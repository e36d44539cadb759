"""Trusts, by which the engine acts in the name of users who are not logged in.

There is one trust for each user and project. It is created with the user's token together with the user's first scheduled
operation, and deleted together with the last one. Another member of the project may delete that operation, but in Keystone
only the trustor and administrators can delete a trust. Therefore the engine deletes it with a token from the trust itself.
https://docs.openstack.org/api-ref/identity/v3-ext/#os-trust-api
"""

import contextlib
import logging
import threading

import cachetools
from keystoneauth1 import exceptions as ksa

from karbor_like import exception, watchdog
from karbor_like.clients import errors
from karbor_like.clients.factory import ClientFactory, Clients
from karbor_like.context import RequestContext
from karbor_like.db import trusts
from karbor_like.db.session import Database
from karbor_like.secret import Cipher

LOG = logging.getLogger(__name__)

#: Number of users whose tokens and connections are cached for the next step of a run.
_CACHE_SIZE = 1000
_UNUSED_SECONDS = 3600.0


class TrustLost(exception.NotAuthorized):
    """The user's trust was revoked, or its user, project or role no longer exists."""


class Trusts:
    """Creates, uses and deletes trusts. Thread-safe."""

    def __init__(self, database: Database, clients: ClientFactory, cipher: Cipher) -> None:
        self._database = database
        self._clients = clients
        self._cipher = cipher
        self._acting: cachetools.LRUCache[str, Clients] = cachetools.LRUCache(_CACHE_SIZE)
        self._lock = threading.Lock()

    def ensure(self, context: RequestContext) -> None:
        """Ensure that the user of *context* has a working trust in its project; replace a trust that does not work.

        :raises NotAuthorized: Keystone refuses
        """
        user_id, project_id = str(context.user_id), str(context.project_id)
        # Locked, to wait for a concurrent release, which may have counted the operations before this one was added.
        row = self._database.write(lambda session: trusts.get(session, user_id, project_id, lock=True))
        former = row.trust_id if row else None
        if row is not None and former is not None:
            if row.released_at is None and self._works(former):
                return
            # A trust that does not work now may work again later, so it must be deleted before its id is overwritten.
            self._delete(self._clients.for_context(context), self._cipher.decrypt(former))
        trust_id = self._create(context)
        encrypted = self._cipher.encrypt(trust_id)
        if not self._database.write(lambda session: trusts.keep(session, user_id, project_id, encrypted, former)):
            # Another engine handled a concurrent request and stored its trust first.
            self._delete(self._clients.for_context(context), trust_id)

    def release(self, user_id: str, project_id: str) -> None:
        """Delete the trust of a user in a project, unless one of the user's scheduled operations needs it.

        A trust that cannot be deleted is no longer used, and :meth:`sweep` retries the deletion.
        """
        encrypted = self._database.write(lambda session: trusts.release(session, user_id, project_id))
        if encrypted is None:
            return
        trust_id = self._cipher.decrypt(encrypted)
        with self._lock:
            self._acting.pop(trust_id, None)
        if self._delete_unused(user_id, project_id, trust_id):
            self._database.write(lambda session: trusts.forget(session, user_id, project_id, encrypted))

    def sweep(self, age: float = _UNUSED_SECONDS) -> None:
        """Delete unused trusts whose release failed because no engine or no Keystone was reachable.

        :param age: minimum age in seconds; younger trusts may be about to be used, or are being deleted
        """
        with self._database.reader() as session:
            unused = trusts.unused(session, age)
        for user_id, project_id in unused:
            watchdog.tick()
            self.release(user_id, project_id)

    def act_as(self, user_id: str, project_id: str, *, fresh: bool) -> Clients:
        """Return clients that act as a user in a project.

        :param fresh: check with Keystone that the trust works now; otherwise a cached token may be used
        :raises TrustLost: there is no working trust
        """
        with self._database.reader() as session:
            row = trusts.get(session, user_id, project_id)
        if row is None or row.released_at is not None:
            raise TrustLost(f"user {user_id} has no trust in project {project_id}")
        trust_id = self._cipher.decrypt(row.trust_id)
        with self._lock:
            clients = None if fresh else self._acting.get(trust_id)
        if clients is None:
            clients = self._sign_in(RequestContext(user_id=user_id, project_id=project_id, trust_id=trust_id))
            with self._lock:
                self._acting[trust_id] = clients
        return clients

    def _works(self, encrypted: str) -> bool:
        try:
            self._sign_in(RequestContext(trust_id=self._cipher.decrypt(encrypted)))
        except TrustLost:
            return False
        return True

    def _sign_in(self, context: RequestContext) -> Clients:
        """Return clients with a new token from the trust of *context*."""
        clients = self._clients.for_context(context)
        try:
            with errors.translated(f"acting for user {context.user_id} in project {context.project_id}"):
                clients.session.get_token()
        except (exception.NotAuthorized, exception.NotFound) as error:
            self._check_account()
            raise TrustLost(
                f"trust of user {context.user_id} in project {context.project_id}: does not work; it was revoked, or the "
                f"user, the project or the role was deleted: {error}"
            ) from None
        return clients

    def _check_account(self) -> None:
        """Check that the service's own account works: otherwise Keystone refuses valid trusts in the same way.

        :raises ConfigurationError: the account does not work
        """
        try:
            self._clients.service_user_id()
        except exception.NotAuthorized as error:
            raise exception.ConfigurationError(f"[service_auth]: {error}") from None

    def _create(self, context: RequestContext) -> str:
        trustee = self._clients.service_user_id()
        body = {
            "trust": {
                "trustor_user_id": context.user_id,
                "trustee_user_id": trustee,
                "project_id": context.project_id,
                "impersonation": True,
                "roles": [{"name": role} for role in context.roles],
            }
        }
        try:
            with errors.translated(f"creating a trust of user {context.user_id} for scheduled operations"):
                answer = self._clients.for_context(context).keystone().post("/OS-TRUST/trusts", json=body)
        except exception.NotAuthorized as error:
            raise exception.TrustRefused(error.message) from error
        return answer.json()["trust"]["id"]

    def _delete_unused(self, user_id: str, project_id: str, trust_id: str) -> bool:
        """Delete an unused trust.

        :returns: whether the trust no longer exists in Keystone
        """
        owner = RequestContext(user_id=user_id, project_id=project_id, trust_id=trust_id)
        try:
            self._delete(self._clients.for_context(owner), trust_id)
            return True
        except exception.KarborLikeError as error:
            LOG.debug("trust of user %s in project %s: cannot delete itself: %s", user_id, project_id, error)
        try:
            # The trust may no longer work. Even without permission to delete it, the service learns whether it exists.
            self._delete(self._clients.as_service(), trust_id)
            return True
        except exception.KarborLikeError as error:
            LOG.error(
                "trust of user %s in project %s: unused, but cannot be deleted in Keystone; will be retried in an hour, or "
                "let an administrator delete the trusts of which this service is the trustee: %s",
                user_id,
                project_id,
                error,
            )
            return False

    def _delete(self, clients: Clients, trust_id: str) -> None:
        """Delete a trust if it exists; errors of Keystone are raised translated."""
        with errors.translated("signing in to delete a trust"):
            clients.session.get_token()
        with errors.translated("deleting a trust"), contextlib.suppress(ksa.NotFound):
            clients.keystone().delete(f"/OS-TRUST/trusts/{trust_id}")
