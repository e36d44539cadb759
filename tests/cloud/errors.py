"""Errors of starting the servers for the tests."""


class HarnessError(Exception):
    """A server could not be installed, started or reached. The message ends with its log."""


class CannotRun(HarnessError):
    """The machine or the user does not meet a requirement, such as Debian or root. The message says which."""
