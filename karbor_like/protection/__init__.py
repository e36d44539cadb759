"""The protection service.

:mod:`karbor_like.service` is imported first: oslo.messaging would otherwise choose eventlet for the process.
"""

from karbor_like import service as _process  # noqa: F401
