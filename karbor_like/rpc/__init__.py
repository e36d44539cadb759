"""Imported before any module of this package imports oslo.messaging, which would choose eventlet for the process."""

from karbor_like import service as service
