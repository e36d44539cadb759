"""Forks services from a process that has already imported everything: imports take longer than most tests.

The argument is a further module to import. Reads one JSON object per line from stdin:
``{"argv": [...], "log": path, "environment": {...}, "call": "module:function"}``.
Answers with the pid; when that process ends, with ``{"pid": ..., "code": ...}``.
"""

import ctypes
import importlib
import json
import os
import selectors
import signal
import sys
from pkgutil import resolve_name
from typing import Any

from karbor_like.protection import service  # noqa: F401 - the import that takes long

#: Of prctl(2): the signal that a process gets when its parent has ended.
_PR_SET_PDEATHSIG = 1


def _child(order: dict[str, Any]) -> None:
    os.setsid()
    # A test that is killed must not leave services behind.
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    os.environ.update(order["environment"])
    log = os.open(order["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for old, new in ((nothing, 0), (log, 1), (log, 2)):
        os.dup2(old, new)
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    for path in order["path"]:
        sys.path.insert(0, path)
    try:
        code = resolve_name(order["call"])(order["argv"])
    except BaseException:  # noqa: BLE001 - the end of a process
        sys.excepthook(*sys.exc_info())
        code = 1
    sys.stdout.flush()
    os._exit(code or 0)


def _say(**answer: Any) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


def main() -> None:
    importlib.import_module(sys.argv[1])
    ended, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(wake)
    signal.signal(signal.SIGCHLD, lambda number, frame: None)
    selector = selectors.DefaultSelector()
    selector.register(sys.stdin, selectors.EVENT_READ)
    selector.register(ended, selectors.EVENT_READ)
    _say(ready=True)
    while True:
        for key, _ in selector.select():
            if key.fileobj is sys.stdin:
                line = sys.stdin.readline()
                if not line:
                    return
                pid = os.fork()
                if not pid:
                    _child(json.loads(line))
                _say(started=pid)
            else:
                os.read(ended, 1024)
                while True:
                    try:
                        pid, status = os.waitpid(-1, os.WNOHANG)
                    except ChildProcessError:
                        break
                    if not pid:
                        break
                    _say(ended=pid, code=os.waitstatus_to_exitcode(status))


if __name__ == "__main__":
    main()
