"""What a host sends to a board to load it and to run a sequence, and what the answers mean."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from export.images import Images
from golden import uart_protocol as uart
from golden.errors import UserError
from golden.hardware.core import CoreParams
from golden.hardware.memory import LOAD_WIDTH, load_header
from golden.registers import BUS_WIDTH, EVENT_WORD, pack_word, register_map


def event_words(payloads: np.ndarray) -> list[int]:
    """Return the words of one sequence (K, M): the events of a timestep by address, the last with
    its end, and at last the end of the sequence.
    """
    words: list[int] = []
    for timestep in payloads:
        fired = np.flatnonzero(timestep).tolist() or [0]
        found = [pack_word(EVENT_WORD, address=a, payload=int(timestep[a])) for a in fired]
        words += found[:-1] + [found[-1] | pack_word(EVENT_WORD, end_timestep=1)]
    return words[:-1] + [words[-1] | pack_word(EVENT_WORD, end_sequence=1)]


def batches(words: Sequence[int]) -> Iterable[Sequence[int]]:
    """Yield words in parts of one command each."""
    for start in range(0, len(words), uart.MAX_WORDS):
        yield words[start : start + uart.MAX_WORDS]


def load_commands(core: CoreParams, images: Images) -> list[bytes]:
    """Return the commands that load every memory; each has a status."""
    registers = register_map(core)
    commands = []
    for number, (name, memory) in enumerate(core.memories.items()):
        n_items, mask = memory.items, (1 << LOAD_WIDTH) - 1
        items = [word >> LOAD_WIDTH * i & mask for word in images[name] for i in range(n_items)]
        commands.append(uart.write_command(registers["LOAD_HEADER"].offset, load_header(number)))
        commands += [
            uart.burst_command(registers["LOAD_DATA"].offset, part) for part in batches(items)
        ]
    return commands


def to_logits(response: bytes) -> tuple[list[int], int]:
    """Return logits and class of a sequence's result, or raise `UserError` where it is none."""
    try:
        found = uart.results_response(response)
    except ValueError as error:
        raise UserError(f"the board sent {len(response)} bytes of a result: {error}") from None
    if [last for _, last in found] != [False] * (len(found) - 1) + [True]:
        raise UserError("the board sent a result whose last word is not the last")
    sign = 1 << BUS_WIDTH - 1
    return [(word ^ sign) - sign for word, _ in found[:-1]], found[-1][0]
