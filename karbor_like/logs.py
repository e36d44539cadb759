"""What every handler of the log does in addition to oslo.log: it bounds repetitions, and writes control characters visibly.

An outage of the database or of the message bus makes many threads and libraries log the same, often, with long tracebacks. Of
each kind of message, a handler writes the first one, and then one each minute with the number of those that it left out. The
same holds for the failures of one periodic task.

Names of resources, errors of clouds and other texts from outside may contain line breaks and terminal sequences, which could
forge lines or hide them.
"""

import logging
import re
import sys
from collections import OrderedDict
from collections.abc import Callable
from importlib import metadata
from types import ModuleType
from typing import Any, Final

from oslo_config import cfg
from oslo_log import log

from karbor_like.clock import Clock, SystemClock

#: Seconds between two messages of one kind.
PAUSE: Final = 60.0
#: Kinds that a handler remembers; the ones that were not logged for the longest time are forgotten.
_MAX_KINDS: Final = 1000

#: Libraries that log each failed attempt to reach the database or the message bus.
_LIBRARIES: Final = (
    "amqp.",
    "kombu.",
    "oslo.db.",
    "oslo.messaging.",
    "oslo_db.",
    "oslo_messaging.",
    "sqlalchemy.",
)

#: Errors of an unreachable database or message bus. Named, not imported: each library takes long to import.
_OUTAGES: Final = frozenset(
    {
        "amqp.exceptions.AMQPError",
        "builtins.ConnectionError",
        "karbor_like.db.session.DatabaseBusy",
        "karbor_like.exception.BusUnavailable",
        "karbor_like.exception.DatabaseUnavailable",
        "kombu.exceptions.OperationalError",
        "oslo_db.exception.DBConnectionError",
        "oslo_db.exception.DBDeadlock",
        "oslo_messaging.exceptions.MessagingException",
        "sqlalchemy.exc.InterfaceError",
        "sqlalchemy.exc.OperationalError",
    }
)

#: Control characters (C0, DEL, C1), line and paragraph separators, directions of text, and halves of characters.
_CONTROLS: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
#: The same without what separates the lines of a traceback and indents them.
_CONTROLS_OF_BLOCKS: Final = re.compile(_CONTROLS.pattern.replace("\x00-\x1f", "\x00-\x08\x0b-\x1f"))
#: What differs between two messages of one kind that a library has formatted itself.
_VARYING: Final = re.compile(r"0x[0-9a-f]+|[0-9a-f]{8,}|\d+", re.IGNORECASE)

#: Name of the attribute of a record that says what repeats (given by the caller as ``extra``), and of the number left out.
REPEATING: Final = "repeating"
_LEFT_OUT: Final = "left_out"

Kind = tuple[str, ...]


def escape(text: str) -> str:
    """Return *text* in one line, with control characters as escape sequences such as ``\\n`` and ``\\x1b``."""
    return _CONTROLS.sub(_sequence, text)


def _sequence(match: re.Match[str]) -> str:
    return match[0].encode("unicode_escape").decode("ascii")


def about(**fields: Any) -> dict[str, Any]:
    """Return the ``extra`` of a line that programs are to find by *fields*, in logs in JSON under ``extra``."""
    return {"extra": fields}


def outage(error: object) -> str | None:
    """Return the name of the class of *error* if it means that the database or the message bus is unreachable, else None."""
    if not isinstance(error, BaseException):
        return None
    names = {f"{kind.__module__}.{kind.__qualname__}" for kind in type(error).__mro__}
    return type(error).__name__ if names & _OUTAGES else None


def _error_of(record: logging.LogRecord) -> BaseException | None:
    """Return the exception with which *record* was logged."""
    return record.exc_info[1] if isinstance(record.exc_info, tuple) else None


class Repetitions(logging.Filter):
    """Lets one message of a kind pass each :data:`PAUSE` seconds. To be added to one handler.

    A kind is: what the caller says (``extra={REPEATING: ...}``); or the message, without its arguments, of an error that is
    an outage; or the message of a library. All other messages pass, and so do critical ones.
    """

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self._clock = clock
        #: kind -> time of the last message that passed, and number of those that did not since
        self._kinds: OrderedDict[Kind, tuple[float, int]] = OrderedDict()

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether *record* passes."""
        kind = _kind(record)
        if kind is None:
            return True
        # Handlers call their filters under no lock, but the worst that a race can do is to let one more message pass.
        now = self._clock.monotonic()
        passed, left_out = self._kinds.get(kind, (None, 0))
        if passed is not None and now < passed + PAUSE:
            self._kinds[kind] = passed, left_out + 1
            return False
        setattr(record, _LEFT_OUT, left_out)
        self._kinds[kind] = now, 0
        self._kinds.move_to_end(kind)
        while len(self._kinds) > _MAX_KINDS:
            self._kinds.popitem(last=False)
        return True


def _kind(record: logging.LogRecord) -> Kind | None:
    if record.levelno >= logging.CRITICAL:
        return None
    base = (record.name, record.levelname, str(record.msg))
    repeating = getattr(record, REPEATING, None)
    if repeating is not None:
        return (*base, str(repeating))
    if record.levelno < logging.WARNING:
        return None
    arguments = record.args if isinstance(record.args, tuple) else ()
    for error in (_error_of(record), *arguments):
        name = outage(error)
        if name is not None:
            return (*base, name)
    if f"{record.name}.".startswith(_LIBRARIES):
        return (record.name, record.levelname, _VARYING.sub("#", str(record.msg))[:200])
    return None


class _SafeRecord(logging.LogRecord):
    """A record whose attributes are escaped when formatters set them: oslo.log adds texts of errors and of contexts."""

    #: Whether the message says with which error it was logged.
    names_error = False

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "error_summary" and self.names_error:
            value = ""
        escaped = isinstance(value, str) and name not in ("exc_text", "stack_info")
        super().__setattr__(name, escape(value) if escaped else value)


class SafeFormatter(logging.Formatter):
    """Formats a record as another formatter does, but its message in one line without control characters.

    Tracebacks keep their lines. An error that means an outage is logged without one: it would show how the libraries call
    each other.

    :param inner: the other formatter
    """

    def __init__(self, inner: logging.Formatter) -> None:
        super().__init__()
        self._inner = inner
        inner.formatException = _escaping(inner.formatException)  # type: ignore[method-assign]
        inner.formatStack = _escaping(inner.formatStack)  # type: ignore[method-assign]

    def format(self, record: logging.LogRecord) -> str:
        """Format *record*, which is not changed: other handlers format it, too."""
        safe = _SafeRecord.__new__(_SafeRecord)
        safe.__dict__.update(record.__dict__)
        message = record.getMessage()
        # Another handler may have cached the text of the traceback.
        safe.exc_text = None
        error = _error_of(record)
        if outage(error):
            message = f"{message}: {type(error).__name__}: {error}"
            safe.exc_info, safe.names_error = None, True
        left_out = getattr(record, _LEFT_OUT, 0)
        if left_out:
            message = f"{message} ({left_out} more such messages were left out)"
        safe.msg, safe.args = message, ()
        return self._inner.format(safe)


def _escaping(function: Callable[..., str]) -> Callable[..., str]:
    def escaped(*args: Any, **kwargs: Any) -> str:
        return _CONTROLS_OF_BLOCKS.sub(_sequence, function(*args, **kwargs))

    return escaped


def setup(conf: cfg.ConfigOpts, project: str, version: str, clock: Clock | None = None) -> None:
    """Set up oslo.log, and all handlers that its configuration creates.

    In ``log_dir``, the log has the name of the program, also if the program was started as ``python -m`` *module*.

    :param project: name of the installed distribution
    :param clock: measures the time between repetitions
    """
    program = program_of(sys.modules["__main__"], project)
    # The library derives the name from the outermost frame: that of the script, or else one within Python.
    if program and conf.log_dir and not conf.log_file:
        conf.set_default("log_file", f"{program}.log")
    log.setup(conf, project, version)
    loggers = [logging.getLogger(), *map(logging.getLogger, list(logging.Logger.manager.loggerDict))]
    handlers = {handler for logger in loggers for handler in logger.handlers}
    for handler in handlers:
        protect(handler, clock or SystemClock())


def program_of(main: ModuleType, project: str) -> str | None:
    """Return the name of the program whose main module is *main* if it was started as ``python -m`` *module*, else None.

    It is that of the script of *project* that runs the same module, or that of the module if there is no such script.
    """
    if main.__spec__ is None:
        return None
    name = main.__spec__.name.removesuffix(".__main__")
    try:
        scripts = metadata.distribution(project).entry_points.select(group="console_scripts")
    except metadata.PackageNotFoundError:
        return name
    return next((script.name for script in scripts if script.module == name), name)


def protect(handler: logging.Handler, clock: Clock) -> None:
    """Bound the repetitions of *handler*, and let it escape control characters. Idempotent."""
    if isinstance(handler.formatter, SafeFormatter):
        return
    handler.setFormatter(SafeFormatter(handler.formatter or logging.Formatter()))
    handler.addFilter(Repetitions(clock))
