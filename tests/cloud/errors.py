"""What goes wrong while servers for the tests are brought up."""


class HarnessError(Exception):
    """A server could not be installed, started or reached; the message carries the end of its log."""


class CannotRun(HarnessError):
    """This machine or user cannot run what was asked for at all (not root, not Debian); says why."""
