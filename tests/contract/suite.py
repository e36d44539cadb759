"""Suites of tests that a test class per driver inherits, without the cases that a driver cannot have.

:func:`needs` marks a case that not every driver can have. The class of a driver states what the driver lacks, and then does
not have these cases. They are neither collected nor skipped.
"""

from collections.abc import Callable, Set
from typing import Any, ClassVar, TypeVar

Case = TypeVar("Case", bound=Callable[..., None])


def needs(feature: str) -> Callable[[Case], Case]:
    """Mark a case of a :class:`Suite` that a driver without *feature* cannot have."""

    def marked(case: Case) -> Case:
        vars(case)["needs"] = feature
        return case

    return marked


class Suite:
    """A base of suites. ``class TestDriver(SomeContract, lacks={"feature"})`` has no case that needs this feature.

    Its subclasses have none either. A case that a class defines itself remains, unless it is marked too.
    """

    #: The features that the driver lacks.
    lacks: ClassVar[frozenset[str]] = frozenset()

    def __init_subclass__(cls, *, lacks: Set[str] = frozenset(), **kwargs: Any) -> None:
        """Remove cases. Raises ValueError if no case needs a feature that the class lacks, so that it is not misspelled."""
        super().__init_subclass__(**kwargs)
        needed = {name: feature for name in dir(cls) if (feature := getattr(getattr(cls, name), "needs", None))}
        if unknown := lacks - set(needed.values()):
            known = ", ".join(sorted(set(needed.values()))) or "nothing"
            raise ValueError(f"{cls.__qualname__} lacks {', '.join(sorted(unknown))}; its cases need {known}")
        cls.lacks |= lacks
        for name, feature in needed.items():
            if feature in cls.lacks:
                # pytest collects no case under a name that is None, although a base has one.
                setattr(cls, name, None)
