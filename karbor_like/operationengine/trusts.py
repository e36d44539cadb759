"""Trusts: how the engine acts for a user who is not logged in.

There is one trust for each user and project, made with the user's own token when the first scheduled operation of theirs
is, and deleted with the last. https://docs.openstack.org/api-ref/identity/v3-ext/#os-trust-api
"""

import logging
import threading

import cachetools

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
        with self._database.reader() as session:
            row = trusts.get(session, user_id, project_id)
        if row is not None and self._works(row.trust_id):
            return
        trust_id = self._create(context)
        sealed, former = self._cipher.encrypt(trust_id), row.trust_id if row else None
        if not self._database.write(lambda session: trusts.keep(session, user_id, project_id, sealed, former)):
            # Another engine was asked at the same time and was faster.
            self._delete(context, trust_id)
        elif former is not None:
            self._delete(context, self._cipher.decrypt(former))

    def release(self, context: RequestContext, user_id: str, project_id: str) -> None:
        """Delete the trust of a user in a project unless an operation of theirs needs it still."""
        trust_id = self._forget(user_id, project_id)
        if trust_id is not None:
            self._delete(context, trust_id)

    def sweep(self, age: float = _AGE) -> None:
        """Delete trusts that nothing needs and that were not released: no engine could be asked when it was time.

        :param age: seconds; younger ones may be about to be needed
        """
        with self._database.reader() as session:
            unused = trusts.unused(session, age)
        for user_id, project_id in unused:
            trust_id = self._forget(user_id, project_id)
            if trust_id is not None:
                self._delete(RequestContext(user_id=user_id, project_id=project_id, trust_id=trust_id), trust_id)

    def _forget(self, user_id: str, project_id: str) -> str | None:
        sealed = self._database.write(lambda session: trusts.forget(session, user_id, project_id))
        return None if sealed is None else self._cipher.decrypt(sealed)

    def act_as(self, user_id: str, project_id: str, *, fresh: bool) -> Clients:
        """Clients that act as a user in a project.

        :param fresh: ask Keystone now whether the trust works; otherwise a token that was taken before may do

        Raises TrustLost where there is no trust that works.
        """
        with self._database.reader() as session:
            row = trusts.get(session, user_id, project_id)
        if row is None:
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

    def _delete(self, context: RequestContext, trust_id: str) -> None:
        try:
            with errors.translated("deleting a trust"):
                self._clients.for_context(context).keystone().delete(f"/OS-TRUST/trusts/{trust_id}")
        except exception.KarborLikeError as error:
            # It does no harm: only this service could use it, and it forgot it.
            LOG.warning(
                "a trust of user %s in project %s is left in Keystone: %s", context.user_id, context.project_id, error
            )
