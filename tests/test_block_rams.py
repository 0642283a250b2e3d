"""The estimate of block RAMs against the shapes that the DP16KD of an ECP5 has."""

from __future__ import annotations

import pytest

from golden.cost.block_rams import block_rams
from golden.formats import Fixed
from golden.hardware.memory import MemoryParams


def rams(width: int, depth: int, n_reads: int = 1) -> int:
    return block_rams(MemoryParams("any", depth, 1, Fixed(width)), n_reads)


@pytest.mark.parametrize(
    ("width", "depth"), [(36, 512), (18, 1024), (9, 2048), (4, 4096), (2, 8192), (1, 16384)]
)
def test_each_shape_is_one_and_a_bit_or_a_word_more_are_two(width: int, depth: int) -> None:
    assert rams(width, depth) == 1
    assert rams(width, depth + 1) == 2
    assert rams(width + 1, depth) == 2


def test_few_words_take_none_and_two_reads_half_the_width() -> None:
    assert [rams(36, depth) for depth in (64, 65)] == [0, 1]
    assert [rams(width, 512, 2) for width in (18, 19, 36)] == [1, 2, 2]
