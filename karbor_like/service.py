"""Bootstrap of every process: threads instead of eventlet, configuration, logging, periodic work, start and stop.

Import this module before anything that imports ``oslo_service.service``, as oslo.messaging does: a process can choose the
threading backend only once.
"""

import contextlib
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from importlib import metadata
from typing import Any

from oslo_service import backend as service_backend

# Libraries import eventlet if it is installed, and some of them require its installation. The import is slow and prints a
# warning that an operator can do nothing about. With None, Python treats the package as missing.
sys.modules.setdefault("eventlet", None)  # type: ignore[arg-type]
service_backend.init_backend(service_backend.BackendType.THREADING)

from oslo_config import cfg  # noqa: E402
from oslo_log import log  # noqa: E402
from oslo_service import opts as service_options  # noqa: E402
from oslo_service import service as oslo_service  # noqa: E402

from karbor_like import configfile, deadline, exception, logs  # noqa: E402
from karbor_like.clock import Clock  # noqa: E402
from karbor_like.conf import opts  # noqa: E402
from karbor_like.signals import Signals  # noqa: E402
from karbor_like.watchdog import Watchdog  # noqa: E402

LOG = logging.getLogger(__name__)

PROJECT = "karbor_like"
#: Names of the services in the REST API, kept from Karbor.
MANAGE_BINARY = "karbor-like-manage"
PROTECTION_BINARY = "karbor-protection"
OPERATION_ENGINE_BINARY = "karbor-operationengine"

#: A periodic call that lasts for this many intervals hangs, unless it is allowed more.
_HUNG_INTERVALS = 3
#: Seconds that a service waits for a periodic call when it stops. One that hangs must not keep the process.
_STOP_SECONDS = 1.0
#: Seconds that remain for the end of a process in which threads hang, once its services have stopped.
_EXIT_SECONDS = 3.0

_LOG_LEVELS = [
    "amqp=WARN",
    "keystoneauth=WARN",
    "keystonemiddleware=WARN",
    "oslo.messaging=INFO",
    "oslo_messaging=INFO",
    "sqlalchemy=WARN",
    "stevedore=WARN",
    "swiftclient=WARN",
    # Logs arguments and results of tasks below WARN.
    "taskflow=WARN",
    "urllib3=WARN",
    # Warns of each request that waits for a thread.
    "waitress.queue=ERROR",
]

#: Errors of oslo.config about files on the command line that do not exist or cannot be read.
UNREADABLE = (cfg.ConfigFilesNotFoundError, cfg.ConfigFilesPermissionDeniedError, cfg.ConfigDirNotFoundError)


def version() -> str:
    """Return the installed version, or ``unknown`` in a source tree that is not installed."""
    try:
        return metadata.version(PROJECT)
    except metadata.PackageNotFoundError:
        return "unknown"


def known_options() -> cfg.ConfigOpts:
    """Return a configuration that knows all options of the project and has read no file."""
    conf = configfile.Options()
    log.register_options(conf)
    opts.set_defaults()
    opts.register(conf)
    log.set_defaults(default_log_levels=_LOG_LEVELS)
    return conf


def configure(
    argv: Sequence[str], *, files: Sequence[str] | None = None, cli: Sequence[cfg.Opt] = ()
) -> cfg.ConfigOpts:
    """Read the configuration that *argv*, without the program's name, specifies. Changes no global state.

    :param files: default configuration files instead of those that oslo.config finds, such as
        ``/etc/karbor_like/karbor_like.conf``
    :param cli: additional command line options of the program
    :raises ConfigurationError: a file does not exist, cannot be read or cannot be parsed, or a secret in it contains a
        reference to another option
    """
    conf = known_options()
    conf.register_cli_opts(cli)
    defaults = None if files is None else list(files)
    try:
        conf(list(argv), project=PROJECT, version=version(), default_config_files=defaults)
    except cfg.ConfigFileParseError as error:
        raise configfile.without_text(error) from None
    except UNREADABLE as error:
        raise exception.ConfigurationError(str(error)) from None
    configfile.check_secrets(conf)
    return conf


def prepare(
    argv: Sequence[str] | None = None,
    *,
    files: Sequence[str] | None = None,
    cli: Sequence[cfg.Opt] = (),
    prints: bool = False,
) -> cfg.ConfigOpts:
    """Read the configuration and set up logging; every ``main`` begins with this. Parameters as of :func:`configure`.

    :param prints: whether the program prints its results to standard output, so that the log must not go there
    """
    conf = configure(sys.argv[1:] if argv is None else argv, files=files, cli=cli)
    if prints:
        conf.set_default("use_stderr", True)
    logs.setup(conf, PROJECT, version())
    return conf


class Periodic:
    """A thread that calls *callback* at its start, every *interval* seconds, and after each :meth:`wake`.

    An error of the callback is logged and does not end the thread: this is one of the borders that catch any error.

    :param interval: seconds, or a function that returns them
    :param watchdog: watches the thread: a call hangs when it has lasted for three intervals, but at least for
        ``[service] hung_time`` and for *limit*
    :param limit: seconds without :func:`.watchdog.tick`; for callbacks that may be long
    """

    def __init__(
        self,
        name: str,
        interval: float | Callable[[], float],
        callback: Callable[[], Any],
        clock: Clock,
        watchdog: Watchdog,
        *,
        limit: float = 0.0,
    ) -> None:
        self.name = name
        self._interval = interval if callable(interval) else lambda: interval
        self._callback = callback
        self._clock = clock
        self._watch = watchdog.watch(name, max(limit, _HUNG_INTERVALS * self._interval()))
        self._woken = threading.Event()
        self._stopped = False
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        #: Consecutive calls that failed.
        self._failures = 0
        self._repeating = {logs.REPEATING: name}

    def start(self) -> None:
        self._thread.start()

    def wake(self) -> None:
        """Call the callback now instead of at the end of the interval."""
        self._woken.set()

    @property
    def stopped(self) -> bool:
        """Whether :meth:`stop` was called; long callbacks should check it."""
        return self._stopped

    def stop(self, wait: float = _STOP_SECONDS) -> bool:
        """Make no further call, and wait at most *wait* seconds for the running one. Returns whether the thread has ended."""
        self._stopped = True
        self._woken.set()
        if self._thread.ident is None or self._thread is threading.current_thread():
            return True
        self._thread.join(wait)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while not self._stopped:
            self._woken.clear()
            try:
                with self._watch.working():
                    self._callback()
            except Exception:  # noqa: BLE001 - the border of a thread
                self._failures += 1
                LOG.exception(
                    "%s failed; the next attempt is in %s seconds", self.name, self._interval(), extra=self._repeating
                )
            else:
                if self._failures:
                    LOG.info("%s works again after %d failures", self.name, self._failures, extra=self._repeating)
                self._failures = 0
            if not self._stopped:
                self._clock.wait(self._woken, self._interval())


class Service(oslo_service.ServiceBase):
    """A service that runs until it is stopped.

    Subclasses create threads, sockets and connections in :meth:`start`, which runs after the fork.
    """

    def __init__(self) -> None:
        self._done = threading.Event()
        #: Ends what :meth:`start` has begun so far, last first: the signal to stop may arrive meanwhile, in another thread.
        self.parts = contextlib.ExitStack()
        #: Whether :meth:`start` must not wait for anything any more. No event: a handler of signals must take no lock.
        self.stopping = False
        #: Number of this process among the workers of the service, from 0.
        self.number = 0

    def check(self) -> None:
        """Check, before the fork, that the service can start.

        :raises ConfigurationError: it cannot, and a repetition does not help
        """

    def start(self) -> None:
        """Start the service."""

    def stop(self, graceful: bool = False) -> None:
        """Stop the service, also one that is still starting, and wait for work in flight as long as is configured."""
        self.stopping = True
        self.parts.close()
        self._done.set()

    def wait(self) -> None:
        """Block until stopped."""
        self._done.wait()

    def reset(self) -> None:
        """Handle SIGHUP: reload what can be reloaded. The mutable options were reloaded before."""


def attempt(call: Callable[[], Any], seconds: float = _STOP_SECONDS) -> None:
    """Wait at most *seconds* for *call*, which may hang, such as the end of calls in flight. For services that stop."""
    try:
        deadline.within(seconds, getattr(call, "__qualname__", "stopping"), call)
    except TimeoutError as error:
        LOG.warning("%s; it is left behind", error)


def refuse(error: exception.ConfigurationError) -> int:
    """Log why a process does not start, and return its exit code, ``os.EX_CONFIG`` (78)."""
    LOG.critical("This process does not start: %s", error.message)
    return os.EX_CONFIG


def main(start: Callable[[cfg.ConfigOpts], int], argv: Sequence[str] | None = None) -> int:
    """Read the configuration, call *start* with it, and return its exit code. Every ``main`` of a service is this.

    :returns: ``os.EX_CONFIG`` (78) if a file or a value of the configuration is invalid
    """
    return guarded(lambda: start(prepare(argv)))


def guarded(call: Callable[[], int]) -> int:
    """Return the exit code that *call*, which reads the configuration and runs a program, returns.

    :returns: ``os.EX_CONFIG`` (78) if a file or a value of the configuration is invalid
    """
    try:
        return call()
    except exception.ConfigurationError as error:
        return refuse(error)
    except cfg.ConfigFileValueError as error:
        return refuse(exception.ConfigurationError(str(error)))


def _check(service: Service) -> bool:
    """Log why *service* cannot start, and return whether it can. A database that does not answer now may answer later."""
    try:
        service.check()
    except exception.ConfigurationError as error:
        refuse(error)
        return False
    except Exception as error:  # noqa: BLE001 - errors of libraries for databases, which this module does not import
        LOG.warning("The start is not checked: %s: %s", type(error).__name__, error)
    return True


def run(conf: cfg.ConfigOpts, service: Service, workers: int = 1) -> int:
    """Run *service* in worker processes until SIGTERM, and return the exit code.

    :returns: ``os.EX_CONFIG`` (78) if the service cannot start with its configuration or database
    """
    if not _check(service):
        return os.EX_CONFIG
    launcher = oslo_service.launch(conf, service, workers=workers, restart_method="mutate")

    def prepare_worker(service_id: Any, worker_id: int, worker: Any) -> None:
        service.number = worker_id

        # The launcher restarts the worker on SIGHUP. A restart would interrupt operations that take hours, so the worker
        # reloads its files instead.
        def reload() -> None:
            conf.mutate_config_files()
            service.reset()

        worker.reload = reload

    launcher._manager.register_hooks(on_new_worker=prepare_worker)
    return launcher.wait() or os.EX_OK


def run_in_process(conf: cfg.ConfigOpts, services: Sequence[Service]) -> int:
    """Run *services* in this process, without a supervisor, until SIGTERM or SIGINT, and return the exit code.

    SIGHUP reloads mutable options and resets every service. ``graceful_shutdown_timeout`` bounds the stop. The exit code is
    ``os.EX_CONFIG`` (78) if a service cannot start with its configuration or database.
    """
    if not all(map(_check, services)):
        return os.EX_CONFIG
    service_options.register_service_opts(conf)

    def received(number: int) -> None:
        for service in services:
            service.stopping |= number != signal.SIGHUP

    signals = Signals((signal.SIGTERM, signal.SIGINT, signal.SIGHUP), received)
    started = []
    try:
        for service in services:
            service.start()
            started.append(service)
        while signals.wait() == signal.SIGHUP:
            conf.mutate_config_files()
            for service in started:
                service.reset()
    finally:
        # The kernel kills the process after this time, even if a thread hangs. 0 disables the limit.
        signal.alarm(conf.graceful_shutdown_timeout)
        for service in reversed(started):
            service.stop(graceful=True)
    # The interpreter would wait for threads of pools that hang.
    ending = threading.Timer(_EXIT_SECONDS, os._exit, [os.EX_OK])
    ending.daemon = True
    ending.start()
    return os.EX_OK
