import io

import hypothesis
from hypothesis import strategies as st

from karbor_like.bank.objectstore import body


@hypothesis.given(
    buffers=st.lists(st.binary(max_size=12), max_size=6),
    steps=st.lists(
        st.tuples(st.just("read"), st.integers(-1, 20))
        | st.tuples(st.just("seek"), st.integers(0, 80))
        | st.tuples(st.just("end"), st.integers(-20, 0)),
        max_size=10,
    ),
)
def test_reads_as_one_file(buffers: list[bytes], steps: list[tuple[str, int]]) -> None:
    ours, model = body.Body(buffers), io.BytesIO(b"".join(buffers))
    assert ours.size == len(model.getvalue())
    for step, number in steps:
        if step == "read":
            assert ours.read(number) == model.read(number)
        elif step == "seek":
            assert ours.seek(number) == model.seek(number)
        else:
            assert ours.seek(number, io.SEEK_END) == model.seek(number, io.SEEK_END)
        assert ours.tell() == model.tell()


def test_buffers_of_any_kind() -> None:
    assert body.Body([b"ab", bytearray(b"cd"), memoryview(b"xefx")[1:3]]).read() == b"abcdef"
