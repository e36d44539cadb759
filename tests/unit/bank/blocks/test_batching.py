from hypothesis import given
from hypothesis import strategies as st

from karbor_like.bank.blocks.batching import Batcher


@given(st.lists(st.binary(max_size=50), max_size=30), st.integers(1, 9), st.integers(1, 5), st.integers(1, 12))
def test_batches_are_the_stream_in_whole_blocks(stream, block_size, batch_blocks, segment_blocks):
    batches = list(Batcher(block_size, batch_blocks, segment_blocks).split(stream))
    whole = b"".join(stream)
    assert b"".join(bytes(piece) for batch in batches for piece in batch.pieces) == whole
    block = 0
    for batch in batches:
        assert divmod(block, segment_blocks) == (batch.segment, batch.first)
        assert 0 < batch.size == sum(map(len, batch.pieces)) <= batch_blocks * block_size
        blocks = -(-batch.size // block_size)
        assert batch.first + blocks <= segment_blocks
        block += blocks
        last = batch is batches[-1]
        for piece in batch.pieces:
            assert len(piece) % block_size == 0 or (last and piece is batch.pieces[-1])


def test_whole_blocks_are_not_copied():
    chunk = bytes(range(100))
    (batch,) = Batcher(10, 100, 100).split([chunk])
    assert batch.pieces[0].obj is chunk


def test_mutable_chunks_are_copied():
    chunk = bytearray(b"before")
    (batch,) = Batcher(3, 100, 100).split(_reusing(chunk))
    assert b"".join(batch.pieces) == b"before"


def _reusing(buffer):
    yield buffer
    buffer[:] = b"after!"
