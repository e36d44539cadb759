"""Refusals of Neutron, which name the kind of the error in addition to its status."""

from karbor_like.sandbox import errors


class Refusal(errors.ApiError):
    """An error response.

    :param kind: the name of the exception in Neutron, such as ``NetworkInUse``
    """

    def __init__(self, status: int, kind: str, message: str) -> None:
        super().__init__(status, message)
        self.kind = kind


def invalid(message: str, kind: str = "HTTPBadRequest") -> Refusal:
    return Refusal(400, kind, message)


def forbidden(action: str, attribute: str = "") -> Refusal:
    """Return the refusal of an action, or of an attribute in it, by the policy."""
    rule = f"(rule:{action} and rule:{action}:{attribute})" if attribute else f"rule:{action}"
    return Refusal(403, "PolicyNotAuthorized", f"{rule} is disallowed by policy")


def missing(title: str, key: str) -> Refusal:
    return Refusal(404, f"{title.replace(' ', '')}NotFound", f"{title} {key} could not be found.")


def conflict(kind: str, message: str) -> Refusal:
    return Refusal(409, kind, message)
