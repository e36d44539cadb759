"""``karbor_like.wsgi:application``, for external WSGI servers (uwsgi, gunicorn, mod_wsgi).

The configuration is ``/etc/karbor_like/karbor_like.conf``, or the files that ``KARBOR_LIKE_CONFIG_FILES`` names, separated
by colons: the command line belongs to the server. The application is built at the first request, so that a server may fork
after the import.
"""

import os
import threading
from collections.abc import Callable, Iterable
from typing import Any

from karbor_like import service
from karbor_like.api import app

_FILES = "KARBOR_LIKE_CONFIG_FILES"


class _Lazy:
    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._built: app.Application | None = None

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        with self._lock:
            if self._built is None:
                files = os.environ.get(_FILES)
                conf = service.prepare([], files=files.split(os.pathsep) if files else None)
                self._built = app.build(app.create_context(conf))
        answer: Iterable[bytes] = self._built(environ, start_response)
        return answer


application = _Lazy()
