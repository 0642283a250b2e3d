"""The reader of a delay line's slots: random slots under random stalls, and what a word costs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from golden.hardware.layer import LayerHardware
from golden.hardware.params import HardwareParams
from golden.hardware.part import EventKind
from golden.params import LayerParams
from rtl.slot_reader import SlotReader
from tests.streams import Item, join, play

EVENT, END_TIMESTEP, END_SEQUENCE, INVALID, _ = (kind.value for kind in EventKind)
OUTPUTS = [
    "sent", "read", "index", "o.valid", "o.payload.kind", "o.payload.address", "o.payload.payload",
]  # fmt: skip


def layer(n_inputs: int, block: int) -> LayerHardware:
    params = LayerParams(n_inputs, 3, 0, max_delay=1)
    return LayerHardware(params, HardwareParams(2, block=block))


LAYERS = {
    "one input": layer(1, 1),
    "a whole word": layer(32, 1),
    "three words": layer(70, 1),
    "blocks of two": layer(35, 2),
    "blocks of eight": layer(13, 8),
    "blocks of sixteen": layer(7, 16),
}


FIVE_WORDS = layer(140, 1)


@dataclass
class Slot:
    """What the ring holds of a block, for each input; the block's timesteps, or the end of a
    sequence.
    """

    masks: list[int]
    timesteps: int
    sequence_end: bool = False

    def word(self, part: LayerHardware, index: int) -> int:
        lanes = part.delay_ring.lanes
        return join(self.masks[index * lanes :][:lanes], part.block)


def expected(slots: list[Slot]) -> list[Item]:
    """Return what must be sent; of an end of sequence only the kind."""
    found: list[Item] = []
    for slot in slots:
        if slot.sequence_end:
            found.append({"kind": END_SEQUENCE})
            continue
        found += [
            {"kind": EVENT, "address": address, "payload": mask & slot.timesteps}
            for address, mask in enumerate(slot.masks)
            if mask & slot.timesteps
        ]
        found.append({"kind": END_TIMESTEP, "address": 0, "payload": slot.timesteps})
    return found


def run(
    part: LayerHardware, slots: list[Slot], rng: np.random.Generator, stall: float, pause: int
) -> tuple[list[Item], list[int], list[int]]:
    """Let slots end one after another, each up to `pause` cycles after the end of the one before
    was sent; return what was sent, the cycle of each item, and of each end.

    A word is there for one cycle; what is not asked for is scrambled.
    """
    items: list[Item] = []
    cycles: list[int] = []
    ended: list[int] = []
    begins = 0  # first cycle in which a slot may end, or none while one is sent
    left = 8  # cycles after the last item
    waiting: Item | None = None
    ready = 0

    def scrambled(bits: int) -> int:
        return int.from_bytes(rng.bytes(4), "little") & (1 << bits) - 1

    def step(cycle: int, found: dict[str, int]) -> dict[str, Any] | None:
        nonlocal begins, left, waiting, ready
        if found:
            item = {name: found[f"o.payload.{name}"] for name in ("kind", "address", "payload")}
            assert waiting is None or (found["o.valid"] and item == waiting)
            waiting = item if found["o.valid"] and not ready else None
            if found["o.valid"] and ready:
                items.append({"kind": END_SEQUENCE} if item["kind"] == END_SEQUENCE else item)
                cycles.append(cycle - 1)
            if found["sent"]:
                assert begins < 0
                begins = cycle + int(rng.integers(pause + 1))
        left -= len(ended) == len(slots) and begins >= 0 and waiting is None
        if not left:
            return None
        ready = int(rng.random() >= stall)
        word = slots[len(ended) - 1].word(part, found["index"]) if found.get("read") else None
        inputs = {
            "word": scrambled(part.delay_ring.lanes * part.block) if word is None else word,
            "o.ready": ready,
            "block_ended": 0,
            "sequence_ended": 0,
            "timesteps": scrambled(part.block),
        }
        if 0 <= begins <= cycle and len(ended) < len(slots):
            slot, begins = slots[len(ended)], -1
            ended.append(cycle)
            inputs["sequence_ended" if slot.sequence_end else "block_ended"] = 1
            if not slot.sequence_end:
                inputs["timesteps"] = slot.timesteps
        return inputs

    play(SlotReader(part), OUTPUTS, step)
    return items, cycles, ended


def draw_slots(rng: np.random.Generator, part: LayerHardware) -> list[Slot]:
    """Draw empty slots, full ones and sparse ones, whole and partial blocks, ends of sequences."""
    slots: list[Slot] = []
    n_inputs, block = part.params.n_inputs, part.block
    for _ in range(14):
        density = rng.choice([0.0, 0.03, 0.3, 1.0])
        masks = rng.integers(1, 1 << block, n_inputs) * (rng.random(n_inputs) < density)
        ends = rng.random() < 0.2
        length = int(rng.integers(1, block + 1)) if ends else block
        slots.append(Slot(masks.tolist(), (1 << length) - 1))
        slots += [Slot([], 0, sequence_end=True)] * int(ends * rng.integers(1, 3))
    return slots


@pytest.mark.parametrize(("stall", "pause"), [(0.0, 0), (0.6, 0), (0.1, 9)])
@pytest.mark.parametrize("name", LAYERS)
def test_events_come_in_order(name: str, stall: float, pause: int) -> None:
    part = LAYERS[name]
    rng = np.random.default_rng([list(LAYERS).index(name), int(stall * 10)])
    slots = draw_slots(rng, part)
    assert run(part, slots, rng, stall, pause)[0] == expected(slots)


@pytest.mark.parametrize(
    ("words", "after"),
    [
        # Read in cycles 1 to 5: words + 3 cycles to the end.
        ([[], [], [], [], []], [8]),
        ([[], [], [], [], [0, 11]], [8, 9, 10]),
        # Read in cycles 1, 2, then 4 to 6, as one word came while another was sent.
        ([[0], [], [], [], []], [4, 9]),
        # Read in cycles 1, 2, 4, 6, 7: every other one while the word is sent.
        ([[0, 1, 31], [], [], [], []], [4, 5, 6, 10]),
        # The second one waits behind the first: 1, 2, 6, 8, 9.
        ([[5, 6, 7], [0, 1, 2], [], [], []], [4, 5, 6, 7, 8, 9, 12]),
    ],
)
def test_cycles_of_words(words: list[list[int]], after: list[int]) -> None:
    """Of 140 inputs by 32."""
    masks = [0] * 140
    for index, lanes in enumerate(words):
        for lane in lanes:
            masks[index * 32 + lane] = 1
    _, cycles, ended = run(FIVE_WORDS, [Slot(masks, 1)], np.random.default_rng(0), stall=0, pause=0)
    assert [cycle - ended[0] for cycle in cycles] == after


def test_words_of_one_event_take_three_cycles_for_two() -> None:
    masks = [int(address % 32 == 3) for address in range(140)]
    slots = [Slot(masks, 1)] * 2
    _, cycles, ended = run(FIVE_WORDS, slots, np.random.default_rng(0), stall=0, pause=0)
    assert [cycle - ended[0] for cycle in cycles[:6]] == [4, 5, 7, 8, 10, 11]
    assert ended[1] == cycles[5] and cycles[6] == ended[1] + 4


def test_a_full_slot_takes_a_cycle_an_event() -> None:
    slots = [Slot([1] * 140, 1), Slot([], 0, sequence_end=True)]
    _, cycles, ended = run(FIVE_WORDS, slots, np.random.default_rng(0), stall=0, pause=0)
    assert cycles[:141] == [*range(ended[0] + 4, ended[0] + 145)]
    assert ended[1] == cycles[140] and cycles[141] == ended[1] + 2
