"""Bootstrap of every process: threads instead of eventlet, configuration, logging, periodic work, start and stop.

This module is imported before anything that imports ``oslo_service.service`` (oslo.messaging does): the choice of the
threading backend can be made only once per process.
"""

import logging
import os
import queue
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from importlib import metadata
from typing import Any

from oslo_service import backend as service_backend

service_backend.init_backend(service_backend.BackendType.THREADING)

from oslo_config import cfg  # noqa: E402
from oslo_log import log  # noqa: E402
from oslo_service import opts as service_options  # noqa: E402
from oslo_service import service as oslo_service  # noqa: E402

from karbor_like.clock import Clock  # noqa: E402
from karbor_like.conf import opts  # noqa: E402

LOG = logging.getLogger(__name__)

PROJECT = "karbor_like"
#: What the REST API calls the services, after the first server that spoke it.
API_BINARY = "karbor-api"
MANAGE_BINARY = "karbor-like-manage"
PROTECTION_BINARY = "karbor-protection"
OPERATION_ENGINE_BINARY = "karbor-operationengine"

_LOG_LEVELS = [
    "amqp=WARN",
    "keystoneauth=WARN",
    "keystonemiddleware=WARN",
    "oslo.messaging=INFO",
    "oslo_messaging=INFO",
    "sqlalchemy=WARN",
    "stevedore=WARN",
    "swiftclient=WARN",
    # Prints arguments and results of tasks below WARN.
    "taskflow=WARN",
    "urllib3=WARN",
]


def version() -> str:
    """The version that is installed, or ``unknown`` in a bare source tree."""
    try:
        return metadata.version(PROJECT)
    except metadata.PackageNotFoundError:
        return "unknown"


def known_options() -> cfg.ConfigOpts:
    """A configuration with every option of ours, from which nothing is read yet."""
    conf = cfg.ConfigOpts()
    log.register_options(conf)
    opts.set_defaults()
    opts.register(conf)
    log.set_defaults(default_log_levels=_LOG_LEVELS)
    return conf


def configure(
    argv: Sequence[str], *, files: Sequence[str] | None = None, cli: Sequence[cfg.Opt] = ()
) -> cfg.ConfigOpts:
    """The configuration that *argv* (without the program's name) asks for; nothing global is touched.

    :param files: default configuration files instead of ``/etc/karbor_like/karbor_like.conf`` and its kin
    :param cli: what the program takes on its command line besides
    """
    conf = known_options()
    conf.register_cli_opts(cli)
    conf(list(argv), project=PROJECT, version=version(), default_config_files=None if files is None else list(files))
    return conf


def prepare(
    argv: Sequence[str] | None = None,
    *,
    files: Sequence[str] | None = None,
    cli: Sequence[cfg.Opt] = (),
    prints: bool = False,
) -> cfg.ConfigOpts:
    """What ``main`` of every process begins with: configuration and logging. Other parameters as of :func:`configure`.

    :param prints: standard output is for the program's results, so that the log must not go there
    """
    conf = configure(sys.argv[1:] if argv is None else argv, files=files, cli=cli)
    if prints:
        conf.set_default("use_stderr", True)
    log.setup(conf, PROJECT, version())
    return conf


class Periodic:
    """Calls *work* in a thread of its own: at the start, every *interval* seconds, and when poked.

    A call that fails is logged and does not end the series: this is one of the borders where any error is caught.

    :param interval: seconds, or a function that says how many
    """

    def __init__(self, name: str, interval: float | Callable[[], float], work: Callable[[], Any], clock: Clock) -> None:
        self.name = name
        self._interval = interval if callable(interval) else lambda: interval
        self._work = work
        self._clock = clock
        self._wake = threading.Event()
        self._stopped = False
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def poke(self) -> None:
        """Work now rather than when it is time."""
        self._wake.set()

    @property
    def stopped(self) -> bool:
        """Whether it was told to end; for long calls to look at."""
        return self._stopped

    def stop(self, wait: bool = True) -> None:
        """No further call is made. The one that goes on now is waited for, unless *wait* is false."""
        self._stopped = True
        self._wake.set()
        if wait and self._thread.ident is not None and self._thread is not threading.current_thread():
            self._thread.join()

    def _run(self) -> None:
        while not self._stopped:
            self._wake.clear()
            try:
                self._work()
            except Exception:  # noqa: BLE001 - the border of a thread
                LOG.exception("%s failed; it is tried again in %s seconds", self.name, self._interval())
            if not self._stopped:
                self._clock.wait(self._wake, self._interval())


class Service(oslo_service.ServiceBase):
    """A service that runs until it is stopped. Subclasses make threads, sockets and connections in :meth:`start`, which
    runs after the fork.
    """

    def __init__(self) -> None:
        self._done = threading.Event()

    def start(self) -> None:
        """Begin to work."""

    def stop(self, graceful: bool = False) -> None:
        """End: wait for work in flight, at most as long as is configured."""
        self._done.set()

    def wait(self) -> None:
        """Block until stopped."""
        self._done.wait()

    def reset(self) -> None:
        """SIGHUP: read again what can be read again. The configuration's mutable options have been."""


def run(conf: cfg.ConfigOpts, service: Service, workers: int = 1) -> int:
    """Run *service* in worker processes until SIGTERM. Returns the exit code."""
    launcher = oslo_service.launch(conf, service, workers=workers, restart_method="mutate")

    def reload_in_place(service_id: Any, worker_id: int, worker: Any) -> None:
        # The launcher's answer to SIGHUP is to restart the worker. Restarting would interrupt operations that take
        # hours, so the worker reads its files again and goes on.
        def reload() -> None:
            conf.mutate_config_files()
            service.reset()

        worker.reload = reload

    launcher._manager.register_hooks(on_new_worker=reload_in_place)
    return launcher.wait() or os.EX_OK


def run_in_process(conf: cfg.ConfigOpts, services: Sequence[Service]) -> int:
    """Run *services* in this process, without a supervisor, until SIGTERM or SIGINT. Returns the exit code.

    SIGHUP reads mutable options again and resets every service. ``graceful_shutdown_timeout`` bounds the stop.
    """
    service_options.register_service_opts(conf)
    asked: queue.SimpleQueue[int] = queue.SimpleQueue()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda received, frame: asked.put(received))
    started = []
    try:
        for one in services:
            one.start()
            started.append(one)
        while asked.get() == signal.SIGHUP:
            conf.mutate_config_files()
            for one in started:
                one.reset()
    finally:
        # The kernel ends the process when this is over, whatever hangs; 0 is never.
        signal.alarm(conf.graceful_shutdown_timeout)
        for one in reversed(started):
            one.stop(graceful=True)
    return os.EX_OK
