"""What becomes of the cases of a suite in the classes of drivers."""

import pytest

from tests.contract.suite import Suite, needs


class Contract(Suite):
    def test_size(self) -> None: ...

    @pytest.mark.parametrize("count", [1, 2])
    @needs("cut")
    def test_a_cut(self, count: int) -> None: ...

    @needs("silence")
    def test_silence(self) -> None: ...


def cases(driver: type[Suite]) -> set[str]:
    return {name for name in dir(driver) if name.startswith("test_") and getattr(driver, name)}


def test_a_driver_has_all_cases_that_it_can_have() -> None:
    class Complete(Contract):
        pass

    class WithoutCut(Contract, lacks={"cut"}):
        pass

    class WithoutBoth(WithoutCut, lacks={"silence"}):
        pass

    assert cases(Complete) == cases(Contract) == {"test_size", "test_a_cut", "test_silence"}
    assert cases(WithoutCut) == {"test_size", "test_silence"}
    assert cases(WithoutBoth) == {"test_size"}
    assert (Complete.lacks, WithoutBoth.lacks) == (set(), {"cut", "silence"})


def test_a_case_of_its_own_remains() -> None:
    class Driver(Contract, lacks={"cut"}):
        def test_a_cut(self, count: int) -> None: ...

        @needs("cut")
        def test_another_cut(self) -> None: ...

    assert cases(Driver) == {"test_size", "test_a_cut", "test_silence"}


def test_an_unknown_feature_is_an_error() -> None:
    with pytest.raises(ValueError, match="Driver lacks cuts; its cases need cut, silence"):

        class Driver(Contract, lacks={"cuts", "silence"}):
            pass
