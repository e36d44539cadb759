"""Periodic jobs of the protection service: synchronization, garbage collection, orphans and failed checkpoints."""

import functools
import logging
from collections.abc import Callable

from oslo_db import exception as db_exception
from sqlalchemy import orm

from karbor_like import exception, watchdog
from karbor_like.bank import errors
from karbor_like.bank.collector import Collector, GcReport
from karbor_like.db import jobs
from karbor_like.db import session as db_session
from karbor_like.protection.context import ServiceContext
from karbor_like.protection.failed import delete_failed
from karbor_like.protection.orphans import OrphanReport, Orphans
from karbor_like.protection.reaper import Reaper, find_projects
from karbor_like.protection.registry.providers import Provider
from karbor_like.protection.sync import Sync, SyncReport
from karbor_like.service import Periodic

LOG = logging.getLogger(__name__)

#: Seconds between two checks whether a job is due.
_CHECK_SECONDS = 30
_FAILED_SECONDS = 3600
#: Seconds since the creation of an object in the cloud after which it may be an orphaned resource.
_ORPHAN_AGE = 86400.0
#: Seconds after which a search for such objects ends: other jobs wait.
_SEARCH_SECONDS = 600.0
#: Seconds without progress after which a job hangs. A step, such as the list of the packs of a project with 10 TB, is many
#: requests to the bank, each of which may be retried for minutes.
_LIMIT = 3600.0


class Housekeeping:
    """The periodic jobs of one process. Every process checks, and one of them runs a job when it is due."""

    def __init__(self, env: ServiceContext) -> None:
        self._env = env
        self._periodic = Periodic("housekeeping", _CHECK_SECONDS, self.run_due, env.clock, env.watchdog, limit=_LIMIT)

    def start(self) -> None:
        """Start the thread that runs the jobs."""
        self._periodic.start()

    def stop(self) -> None:
        """Start no further job. A running job is not waited for: it may be killed at any point."""
        self._periodic.stop(wait=0)

    def run_due(self) -> None:
        """Run the jobs that are due and that no other process runs."""
        conf = self._env.conf.protection
        for provider in self._env.providers.list():
            self._run_job(f"sync {provider.id}", conf.sync_interval, functools.partial(self._sync, provider))
            self._run_job(
                f"{jobs.COLLECT}{provider.id}", conf.collect_interval, functools.partial(self._collect, provider)
            )
            self._run_job(f"orphans {provider.id}", conf.orphan_interval, functools.partial(self._orphans, provider))
            if conf.keep_failed_days:
                self._run_job(
                    f"{jobs.FAILED}{provider.id}", _FAILED_SECONDS, functools.partial(self._delete_failed, provider)
                )
        if conf.reaper_interval and self._env.conf.service_auth.auth_type:
            self._run_job("reaper", conf.reaper_interval, self._search)

    def _run_job(self, name: str, interval: float, job: Callable[[], bool]) -> None:
        """Run *job*, which returns whether it was done, if it is due and no other process runs it.

        An interval of 0 disables it.
        """

        def take(session: orm.Session) -> bool:
            return jobs.take(session, name, self._env.owner, interval)

        watchdog.tick()
        try:
            if interval and not self._periodic.stopped and self._env.database.write(take) and job():
                self._env.database.write(lambda session: jobs.done(session, name))
        except db_exception.DBDuplicateEntry:
            LOG.debug("Another process runs %s for the first time", name)
        except exception.KarborLikeError as error:
            LOG.warning("%s failed: %s", name, error.message)
        except Exception as error:
            # What is wrong with one provider does not stop the jobs of the others. Without the database, none can run.
            if db_session.unavailable(error) is not None:
                raise
            LOG.exception("%s failed", name)

    def _sync(self, provider: Provider) -> bool:
        report = Sync(self._env.database, provider).run()
        level = logging.DEBUG if report == SyncReport() else logging.INFO
        LOG.log(level, "Checkpoints of provider %s are synchronized with its bank: %s", provider.name, report)
        return True

    def _delete_failed(self, provider: Provider) -> bool:
        with self._env.database.reader() as session:
            results = jobs.results(session, jobs.FAILED)
        previous, _ = results.get(provider.id, ({}, None))
        run = delete_failed(
            self._env, provider, self._env.conf.protection.keep_failed_days, previous.get(jobs.LAST, "")
        )
        result = {jobs.LAST: run.last}
        self._env.database.write(lambda session: jobs.record(session, f"{jobs.FAILED}{provider.id}", result))
        if run.deleted:
            LOG.info("%d checkpoints of provider %s that failed are being deleted", run.deleted, provider.name)
        return True

    def _collect(self, provider: Provider) -> bool:
        try:
            report = Collector(provider.bank).run(lambda stage, done, total: watchdog.tick())
        except errors.Busy as error:
            LOG.info("Garbage collection of the bank of %s was skipped: %s", provider.name, error.message)
            return False
        result = {jobs.STORED_BYTES: report.stored.bytes}
        self._env.database.write(lambda session: jobs.record(session, f"{jobs.COLLECT}{provider.id}", result))
        level = logging.INFO if _has_changed(report) else logging.DEBUG
        LOG.log(level, "Garbage collection of the bank of %s: %s", provider.name, report.to_dict())
        return not report.problems

    def _search(self) -> bool:
        """Warn of what nothing owns any more in the cloud. Deletes nothing."""
        reaper = Reaper(self._env, older_than=_ORPHAN_AGE, limit=_SEARCH_SECONDS)
        report = reaper.run(find_projects(self._env))
        counts = report.counts()
        for problem in report.problems:
            LOG.info("The search for orphaned resources is incomplete: %s", problem)
        if counts:
            LOG.warning(
                "There are orphaned resources in the cloud (%s); 'karbor-like-manage cloud orphans' shows and deletes them",
                ", ".join(f"{kind}: {number}" for kind, number in counts.items()),
            )
        return not report.problems

    def _orphans(self, provider: Provider) -> bool:
        report = Orphans(self._env, provider.id).run()
        if report != OrphanReport():
            LOG.info("What operations of provider %s left in the cloud: %s", provider.name, report)
        return True


def _has_changed(report: GcReport) -> bool:
    """Return whether a garbage collection removed anything, is about to, or could not."""
    amounts = (report.reclaimed, report.quarantined)
    return bool(report.problems) or any(report.leftovers.values()) or any(amount.objects for amount in amounts)
