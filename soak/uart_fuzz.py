"""What somebody might put on a board's UART: commands, whole, cut or damaged, noise, breaks, other
baud rates; and what of it may reach the core.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from functools import partial

import numpy as np

from driver.device import Device
from golden import uart_protocol as uart
from golden.registers import ADDRESS_WIDTH
from soak.recovery import recovers
from soak.uart_line import CLOCKS_PER_BIT, BoardModel, Kind, Line, QuickUart, levels_of

ACTIONS = (Kind.WRITE, Kind.READ, Kind.EVENT, Kind.RESULT)
BITS = (0.85, 0.9, 0.97, 1.0, 1.0, 1.0, 1.03, 1.1, 1.15)  # of the board's, that a sender may use


@dataclass
class Fuzzed:
    """What was done: bytes on the line and breaks, cycles, what reached the core, recoveries,
    inferences that were right after them; and every fault in words.
    """

    bytes: int = 0
    breaks: int = 0
    cycles: int = 0
    writes: int = 0
    reads: int = 0
    events: int = 0
    lost: int = 0
    recoveries: int = 0
    inferences: int = 0
    problems: list[str] = field(default_factory=list)


def draw_bytes(rng: np.random.Generator, registers: list[int]) -> bytes:
    """Draw a command: of a register that there is or of none, with any words, whole or cut."""
    address = int(rng.choice(registers) if rng.random() < 0.6 else rng.integers(1 << 16))
    count = int(rng.choice([1, 2, 3, int(rng.integers(1, 257))], p=[0.4, 0.3, 0.28, 0.02]))
    words = rng.integers(0, 1 << 32, count, dtype=np.uint32)
    # Anything; events of few addresses, with ends of timesteps, and of sequences.
    words &= np.uint32(rng.choice([0xFFFFFFFF, 0x4001000F, 0x4001000F, 0xC001000F]))
    kind = int(rng.choice(6))
    body = {
        0: struct.pack("<BHI", uart.WRITE, address, int(words[0])),
        1: struct.pack("<BH", uart.READ, address),
        2: struct.pack("<BHB", uart.BURST, address, count - 1) + words.tobytes(),
        3: struct.pack("<BB", uart.EVENTS, count - 1) + words.tobytes(),
        4: struct.pack("<BB", uart.RESULTS, int(rng.integers(4))),
        5: rng.bytes(int(rng.integers(1, 20))),
    }[kind]
    if rng.random() < 0.15:
        body = body[: int(rng.integers(1, len(body) + 1))]
    if rng.random() < 0.1:
        damaged = bytearray(body)
        damaged[int(rng.integers(len(body)))] ^= 1 << int(rng.integers(8))
        body = bytes(damaged)
    return body


def draw_levels(rng: np.random.Generator, registers: list[int], n_bytes: int) -> np.ndarray:
    """Draw levels (cycles,) uint8 of a line, of about so many bytes; one of five without a break,
    so that bytes find no room where the core is stuck.
    """
    parts: list[np.ndarray] = []
    calm = bool(rng.random() < 0.2)
    length = 0
    while length < n_bytes * uart.FRAME_BITS * CLOCKS_PER_BIT:
        kind = rng.random() * (0.8 if calm else 1)
        if kind < 0.8:
            data = b"".join(draw_bytes(rng, registers) for _ in range(int(rng.integers(1, 9))))
            if calm:
                parts.append(levels_of(data))
                length += len(parts[-1])
                continue
            wrong = rng.random() < 0.2
            stop = (rng.random(len(data)) > 0.03).astype(np.uint8) if wrong else None
            levels = levels_of(data, CLOCKS_PER_BIT * float(rng.choice(BITS)), stop)
            if rng.random() < 0.1:
                levels ^= rng.random(len(levels)) < 0.002  # glitches
        elif kind < 0.88:  # noise: levels that last some cycles
            runs = rng.integers(1, int(rng.choice([3, 10, 40])), 200)
            levels = np.repeat(np.arange(200, dtype=np.uint8) & 1, runs)
        elif kind < 0.97:
            levels = np.zeros(int(rng.integers(30, 400)), np.uint8)  # a break, or nearly one
        else:
            levels = np.ones(int(rng.integers(1, 3000)), np.uint8)
        parts.append(levels)
        length += len(levels)
    return np.concatenate(parts)


def commanded(data: list[int]) -> list[tuple[int, int, int]]:
    """Return what bytes make the bridge do, as the table of `golden.uart_protocol` says: kind,
    address, data; of a command that is not whole, what its whole words do.
    """
    found: list[tuple[int, int, int]] = []
    place = 0

    def number(n: int) -> int:
        nonlocal place
        part = data[place : place + n]
        place += n
        if len(part) < n:
            raise EOFError
        return int.from_bytes(bytes(part), "little")

    try:
        while place < len(data):
            command = number(1)
            if command in (uart.WRITE, uart.BURST):
                address = number(uart.ADDRESS_BYTES)
                count = 1 + (number(uart.COUNT_BYTES) if command == uart.BURST else 0)
                for _ in range(count):
                    word = number(4)
                    if address < 1 << ADDRESS_WIDTH:
                        found.append((Kind.WRITE, address, word))
            elif command == uart.READ:
                address = number(uart.ADDRESS_BYTES)
                if address < 1 << ADDRESS_WIDTH:
                    found.append((Kind.READ, address, 0))
            elif command == uart.EVENTS:
                for _ in range(1 + number(uart.COUNT_BYTES)):
                    found.append((Kind.EVENT, 0, number(4)))
            elif command == uart.RESULTS:
                found += [(Kind.RESULT, 0, 0)] * (1 + number(uart.COUNT_BYTES))
    except EOFError:
        pass
    return found


def check_seen(seen: np.ndarray, fuzzed: Fuzzed) -> None:
    """Hold what a bridge did against the line: bytes and breaks are those of the model, in their
    order; between two breaks it did the first of what its bytes command, and no more.
    """
    kind = seen["kind"]
    heard = np.isin(kind, (Kind.HEARD, Kind.LOST))
    model, bridge = seen["data"][kind == Kind.BYTE], seen["data"][heard]
    if not np.array_equal(model, bridge):
        fuzzed.problems.append(f"{len(bridge)} bytes heard, the line has {len(model)} others")
    breaks = int((kind == Kind.BREAK).sum())
    if breaks != int((kind == Kind.HEARD_BREAK).sum()):
        fuzzed.problems.append(f"the line has {breaks} breaks, and others were heard")
    fuzzed.bytes += len(model)
    fuzzed.breaks += breaks
    fuzzed.lost += int((kind == Kind.LOST).sum())
    for counted, of in (("writes", Kind.WRITE), ("reads", Kind.READ), ("events", Kind.EVENT)):
        setattr(fuzzed, counted, getattr(fuzzed, counted) + int((kind == of).sum()))
    for part in np.split(seen, np.flatnonzero(kind == Kind.HEARD_BREAK)):
        due = commanded(part["data"][part["kind"] == Kind.HEARD].tolist())
        acted = part[np.isin(part["kind"], ACTIONS)]
        did = list(
            zip(*(acted[name].tolist() for name in ("kind", "address", "data")), strict=True)
        )
        if did != due[: len(did)]:
            place = next(
                i for i, (a, b) in enumerate(zip(did, [*due, None], strict=False)) if a != b
            )
            fuzzed.problems.append(f"action {place} of a line was {did[place]}: not commanded")


def _look(line: Line, fuzzed: Fuzzed) -> None:
    check_seen(line.take(), fuzzed)


def fuzz(
    model: BoardModel,
    payloads: np.ndarray,
    logits: np.ndarray,
    seed: int | list[int],
    bursts: int,
    size: int,
) -> Fuzzed:
    """Put bursts of `size` bytes on the line of a board; after each, recover as the driver says,
    load the core, and let it infer sequences (B, K, M), whose logits (B, C) golden knows.
    """
    rng, fuzzed = np.random.default_rng(seed), Fuzzed()
    line = Line(model)
    try:
        device = Device(QuickUart(line), model.manifest)
        registers = [word for register in device.registers.values() for word in register.words]
        for burst in range(bursts):
            line.take()
            line.play(draw_levels(rng, registers, size))
            look = partial(_look, line, fuzzed)
            if not recovers(device, payloads, logits, burst, fuzzed, look):
                break
        fuzzed.cycles = line.cycles
    finally:
        line.close()
    return fuzzed
