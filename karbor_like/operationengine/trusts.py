"""Trusts: how the engine acts for a user who is not logged in.

There is one trust for each user and project, made with the user's own token when the first scheduled operation of theirs
is, and deleted with the last. Keystone lets only the trustor and administrators delete one, so it is the trust itself that
is acted by: whoever deletes the last operation need not be its owner. https://docs.openstack.org/api-ref/identity/v3-ext/#os-trust-api
"""

import contextlib
import logging
import threading

import cachetools
from keystoneauth1 import exceptions as ksa

from karbor_like import exception
from karbor_like.clients import errors
from karbor_like.clients.factory import ClientFactory, Clients
from karbor_like.context import RequestContext
from karbor_like.db import trusts
from karbor_like.db.session import Database
from karbor_like.secret import Cipher

LOG = logging.getLogger(__name__)

#: Users whose tokens and connections are kept for the next step of a run.
_REMEMBERED = 1000
_AGE = 3600.0


class TrustLost(exception.NotAuthorized):
    """The user's trust is gone or no longer works: revoked, or the user, the project or the role is gone."""


class Trusts:
    """Makes, uses and deletes trusts. May be used by any number of threads."""

    def __init__(self, database: Database, clients: ClientFactory, cipher: Cipher) -> None:
        self._database = database
        self._clients = clients
        self._cipher = cipher
        self._acting: cachetools.LRUCache[str, Clients] = cachetools.LRUCache(_REMEMBERED)
        self._lock = threading.Lock()

    def ensure(self, context: RequestContext) -> None:
        """See that there is a trust of *context*'s user in its project that works; one that does not is replaced.

        Raises NotAuthorized where Keystone refuses.
        """
        user_id, project_id = str(context.user_id), str(context.project_id)
        # Locked: a release that is under way has counted the operations already, and is waited for.
        row = self._database.write(lambda session: trusts.get(session, user_id, project_id, lock=True))
        former = row.trust_id if row else None
        if row is not None and former is not None:
            if row.released_at is None and self._works(former):
                return
            # What does not work now may work again later: it must be gone before it is forgotten.
            self._delete(self._clients.for_context(context), self._cipher.decrypt(former))
        trust_id = self._create(context)
        sealed = self._cipher.encrypt(trust_id)
        if not self._database.write(lambda session: trusts.keep(session, user_id, project_id, sealed, former)):
            # Another engine was asked at the same time and was faster.
            self._delete(self._clients.for_context(context), trust_id)

    def release(self, user_id: str, project_id: str) -> None:
        """Delete the trust of a user in a project unless an operation of theirs needs it still.

        One that cannot be deleted now is not used any more, and :meth:`sweep` tries again.
        """
        sealed = self._database.write(lambda session: trusts.release(session, user_id, project_id))
        if sealed is None:
            return
        trust_id = self._cipher.decrypt(sealed)
        with self._lock:
            self._acting.pop(trust_id, None)
        if self._end(user_id, project_id, trust_id):
            self._database.write(lambda session: trusts.forget(session, user_id, project_id, sealed))

    def sweep(self, age: float = _AGE) -> None:
        """Delete trusts that nothing needs: no engine, or no Keystone, could be asked when it was time.

        :param age: seconds; younger ones may be about to be needed, or are being deleted
        """
        with self._database.reader() as session:
            unused = trusts.unused(session, age)
        for user_id, project_id in unused:
            self.release(user_id, project_id)

    def act_as(self, user_id: str, project_id: str, *, fresh: bool) -> Clients:
        """Clients that act as a user in a project.

        :param fresh: ask Keystone now whether the trust works; otherwise a token that was taken before may do

        Raises TrustLost where there is no trust that works.
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

    def _works(self, sealed: str) -> bool:
        try:
            self._sign_in(RequestContext(trust_id=self._cipher.decrypt(sealed)))
        except TrustLost:
            return False
        return True

    def _sign_in(self, context: RequestContext) -> Clients:
        """Clients with a new token from the trust of *context*."""
        clients = self._clients.for_context(context)
        try:
            with errors.translated(f"acting for user {context.user_id} in project {context.project_id}"):
                clients.session.get_token()
        except (exception.NotAuthorized, exception.NotFound) as error:
            self._check_account()
            raise TrustLost(
                f"the trust of user {context.user_id} in project {context.project_id} was revoked, or the user, the "
                f"project or the role is gone: {error}"
            ) from None
        return clients

    def _check_account(self) -> None:
        """Keystone says no in the same way where it is the service's own account that does not work, and then no trust of
        anybody's is lost. Raises ConfigurationError in that case.
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
        with errors.translated(f"making a trust of user {context.user_id} for scheduled operations"):
            answer = self._clients.for_context(context).keystone().post("/OS-TRUST/trusts", json=body)
        return answer.json()["trust"]["id"]

    def _end(self, user_id: str, project_id: str, trust_id: str) -> bool:
        """Delete a trust that nothing needs. Returns whether Keystone has it no more."""
        owner = RequestContext(user_id=user_id, project_id=project_id, trust_id=trust_id)
        try:
            self._delete(self._clients.for_context(owner), trust_id)
            return True
        except exception.KarborLikeError as error:
            LOG.debug("the trust of user %s in project %s cannot end itself: %s", user_id, project_id, error)
        try:
            # Where it does not work any more. If this user may not delete it, it learns at least whether it is there.
            self._delete(self._clients.as_service(), trust_id)
            return True
        except exception.KarborLikeError as error:
            LOG.error(
                "a trust that user %s gave in project %s is not needed any more but is left in Keystone; the next try is in "
                "an hour, or let an administrator delete what this service is the trustee of: %s",
                user_id,
                project_id,
                error,
            )
            return False

    def _delete(self, clients: Clients, trust_id: str) -> None:
        """Delete a trust if it is there. Raises what Keystone says."""
        with errors.translated("signing in to delete a trust"):
            clients.session.get_token()
        with errors.translated("deleting a trust"), contextlib.suppress(ksa.NotFound):
            clients.keystone().delete(f"/OS-TRUST/trusts/{trust_id}")
