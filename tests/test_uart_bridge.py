"""The commands of the UART against a model of the protocol written from its table, byte by byte;
then the whole bridge on its lines: a command that waits for the core, and breaks.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from golden.registers import ADDRESS_WIDTH
from golden.uart_protocol import BREAK_BITS, FRAME_BITS, MAX_COMMAND_BYTES, MAX_WORDS
from rtl.host.uart import LEAST_CLOCKS
from rtl.host.uart_bridge import DEPTH, UartBridge
from rtl.host.uart_commands import UartCommands
from tests.streams import Inputs, Outputs, play
from tests.test_uart import Levels, frame, sample

Action = tuple[str, int, int]
OUTPUTS = (
    "registers.write_valid", "registers.write_address", "registers.write_data",
    "registers.read_valid", "registers.read_address", "events.valid", "events.payload.data",
    "events.payload.last", "events.payload.user", "results.ready",
)  # fmt: skip


def is_broken(address: int, word: int = 0) -> bool:
    """Whether the registers of these tests answer with an error, to a write also for some words."""
    return address // 4 % 5 == 3 or word % 5 == 2


def content(address: int) -> int:
    return 0 if is_broken(address) else address * 0x9E3779B1 % (1 << 32)


@dataclass
class World:
    """What is behind the bridge: registers, a sink of events and a source of results, each of which
    stalls with probability `stall`, and what they saw.
    """

    rng: np.random.Generator
    stall: float
    results: list[tuple[int, int]]  # word, last
    actions: list[Action] = field(default_factory=list)
    given: Inputs = field(default_factory=dict)
    offered: bool = False  # a result, until it is taken
    held: bool = False  # nobody takes events

    def step(self, seen: Outputs) -> Inputs:
        """Note what was done in the cycle before, and return the inputs of the next."""
        if seen:
            self._note(seen)
        go = {name: bool(self.rng.random() >= self.stall) for name in ("write", "read", "event")}
        # The bus answers a request that it has seen, no other.
        write = bool(seen and seen["registers.write_valid"] and go["write"])
        read = bool(seen and seen["registers.read_valid"] and go["read"])
        if self.given.get("registers.write_ready"):
            write = False
        if self.given.get("registers.read_ready"):
            read = False
        noise = int(self.rng.integers(1 << 32))
        self.offered = self.offered or bool(self.results and self.rng.random() >= self.stall)
        word, last = self.results[0] if self.offered else (noise, noise & 1)
        address = seen["registers.read_address"] if seen else 0
        fails = write and is_broken(seen["registers.write_address"], seen["registers.write_data"])
        self.given = {
            "registers.write_ready": write,
            "registers.write_error": fails if write else noise >> 1 & 1,
            "registers.read_ready": read,
            "registers.read_data": content(address) if read else noise,
            "registers.read_error": is_broken(address) if read else noise >> 1 & 1,
            "events.ready": go["event"] and not self.held,
            "results.valid": self.offered,
            "results.payload.data": word,
            "results.payload.last": last,
        }
        return self.given

    def _note(self, seen: Outputs) -> None:
        address, data = seen["registers.write_address"], seen["registers.write_data"]
        if seen["registers.write_valid"] and self.given["registers.write_ready"]:
            self.actions.append(("write", address, data))
        if seen["registers.read_valid"] and self.given["registers.read_ready"]:
            self.actions.append(("read", seen["registers.read_address"], 0))
        if seen["events.valid"] and self.given["events.ready"]:
            assert not seen["events.payload.last"] and not seen["events.payload.user"]
            self.actions.append(("event", 0, seen["events.payload.data"]))
        if seen["results.ready"] and self.given["results.valid"]:
            self.actions.append(("result", 0, self.results.pop(0)[0]))
            self.offered = False


def little(value: int, n_bytes: int) -> list[int]:
    return [value >> 8 * place & 255 for place in range(n_bytes)]


def expect(
    kind: str, address: int, words: list[int], results: list[tuple[int, int]]
) -> tuple[list[int], list[int], list[Action]]:
    """Return the bytes of a command and of its response, and what it does behind the bridge."""
    exists = address >> ADDRESS_WIDTH == 0
    written = words if kind in "WB" else [0]
    status = 2 if not exists or any(is_broken(address, word) for word in written) else 0
    count, data = [len(words) - 1], [byte for word in words for byte in little(word, 4)]
    if kind in "WB":
        n = [] if kind == "W" else count
        writes = [("write", address, word) for word in words] if exists else []
        return [ord(kind), *little(address, 2), *n, *data], [status], writes
    if kind == "R":
        value = content(address) if exists else 0
        reads: list[Action] = [("read", address, 0)] if exists else []
        return [ord(kind), *little(address, 2)], [status, *little(value, 4)], reads
    if kind == "E":
        return [ord(kind), *count, *data], [0], [("event", 0, word) for word in words]
    if kind == "G":
        answer = [b for word, last in results for b in (*little(word, 4), last)]
        taken: list[Action] = [("result", 0, word) for word, _ in results]
        return [ord(kind), len(results) - 1], answer, taken
    return [ord(kind)], [0xFF], []


def draw(rng: np.random.Generator, count: int) -> list[tuple[str, int, list[int], list[Any]]]:
    """Draw commands: kind, address, words, results."""
    drawn: list[tuple[str, int, list[int], list[Any]]] = []
    for kind in rng.permutation(list("WRBEGX\1w\xff") * count).tolist():
        address = 4 * int(rng.integers(1 << ADDRESS_WIDTH - 2))
        if rng.random() < 0.2:
            address += int(rng.integers(1, 4)) << ADDRESS_WIDTH
        n = int(rng.choice([1, 2, 3, 17])) if kind in "BEG" else 1
        words = rng.integers(0, 1 << 32, n).tolist()
        results = [(w, int(rng.integers(2))) for w in words] if kind == "G" else []
        drawn.append((kind, address, words, results))
    drawn.append(("E", 0, rng.integers(0, 1 << 32, 256).tolist(), []))
    drawn.append(("B", 4, rng.integers(0, 1 << 32, 256).tolist(), []))
    drawn.append(("G", 0, [], [(w, w & 1) for w in rng.integers(0, 1 << 32, 256).tolist()]))
    return drawn


@pytest.mark.parametrize("stall", [0.0, 0.6])
def test_commands_do_and_answer_what_the_table_says(stall: float) -> None:
    """Each kind many times, the longest ones, with stalls on every side; nothing is done twice."""
    rng = np.random.default_rng(7)
    commands = [(expect(*drawn), drawn[3]) for drawn in draw(rng, 8)]
    to_send = [byte for (sent, _, _), _ in commands for byte in sent]
    answers = [byte for (_, answer, _), _ in commands for byte in answer]
    actions = [action for (_, _, done), _ in commands for action in done]
    world = World(rng, stall, [result for _, results in commands for result in results])
    received: list[int] = []
    given: Inputs = {}

    def step(cycle: int, seen: Outputs) -> Inputs | None:
        nonlocal given
        if seen:
            if given["i.valid"] and seen["i.ready"]:
                to_send.pop(0)
            if given["o.ready"] and seen["o.valid"]:
                received.append(seen["o.payload"])
        if len(received) >= len(answers) and not to_send:
            return None
        offered = given.get("i.valid") and seen and not seen["i.ready"]
        valid = bool(to_send) and bool(offered or rng.random() >= stall)
        given = world.step(seen) | {
            "i.valid": valid,
            "i.payload": to_send[0] if valid else int(rng.integers(256)),
            "o.ready": bool(rng.random() >= stall),
        }
        return given

    play(UartCommands(), (*OUTPUTS, "i.ready", "o.valid", "o.payload"), step)
    assert received == answers
    assert world.actions == actions


def hear(line: list[int], bit: int) -> list[int]:
    """Return the bytes on a line."""
    found, at = [], 0
    while 0 in line[at:]:
        at = line.index(0, at)
        middles = [line[at + place * bit + bit // 2] for place in range(FRAME_BITS)]
        assert (middles[0], middles[-1]) == (0, 1)
        found.append(sum(level << place for place, level in enumerate(middles[1:-1])))
        at += (FRAME_BITS - 1) * bit + bit // 2
    return found


def on_lines(
    levels: list[Levels], world: World, held: range = range(0)
) -> tuple[list[int], list[Outputs]]:
    """Send levels to a bridge, and return what it sent, and the record; `held` are the cycles in
    which nobody takes events.
    """
    bit = LEAST_CLOCKS
    line = sample([level for part in levels for level in part], bit)

    def step(cycle: int, seen: Outputs) -> Inputs | None:
        world.held = cycle in held
        return world.step(seen) | {"rx": line[cycle]} if cycle < len(line) else None

    record = play(UartBridge(bit), (*OUTPUTS, "tx", "lost"), step)
    return hear([1, *(r["tx"] for r in record), *[1] * 40][1:], bit), record


def spoken(command: list[int]) -> Levels:
    return [level for byte in command for level in frame(byte)]


@pytest.mark.parametrize("n_words", [40, pytest.param(MAX_WORDS, marks=pytest.mark.long)])
def test_a_core_that_stalls_loses_nothing_of_a_command(n_words: int) -> None:
    """Not a word is taken until the whole command was sent; no answer until all of it is taken.
    (tests/test_board.py sends the longest command to a whole core.)
    """
    rng = np.random.default_rng(1)
    words = rng.integers(0, 1 << 32, n_words).tolist()
    sent, answer, actions = expect("E", 0, words, [])
    longest, _, _ = expect("B", 4, [0] * MAX_WORDS, [])
    assert len(longest) == MAX_COMMAND_BYTES <= DEPTH
    world = World(rng, 0.0, [])
    end = len(sent) * FRAME_BITS * LEAST_CLOCKS
    held = range(end + 1000)
    found, record = on_lines([[(1, 3.0)], spoken(sent), [(1, 280.0 + 3.6 * n_words)]], world, held)
    assert found == answer and world.actions == actions
    assert all(r["tx"] for r in record[: held.stop]) and not any(r["lost"] for r in record)


def test_a_break_drops_what_was_begun() -> None:
    """In the middle of each kind of command, and while it waits for the core or to send: what
    comes then is a command of its own, and the bridge has done no more than was complete.
    """
    rng = np.random.default_rng(2)
    words = [0x11223344, 0x55667788]
    whole, answer, actions = expect("R", 0x40, [], [])
    broken: Levels = [(0, float(BREAK_BITS)), (1, float(FRAME_BITS))]
    for sent, before in [
        (expect("W", 4, words[:1], [])[0][:-1], []),
        (expect("W", 4, words[:1], [])[0][:2], []),
        (expect("R", 4, [], [])[0][:2], []),
        (expect("B", 4, words, [])[0][:-2], [("write", 4, words[0])]),
        (expect("E", 4, words, [])[0][:-1], [("event", 0, words[0])]),
        ([ord("E")], []),
        ([ord("G"), 5], []),  # there is no result
    ]:
        world = World(rng, 0.0, [])
        levels = [[(1, 3.0)], spoken(sent), broken, spoken(whole), [(1, 80.0)]]
        found, record = on_lines(levels, world)
        assert found == answer and world.actions == before + actions
        assert not record[-1]["lost"]


@pytest.mark.parametrize("bits", [FRAME_BITS + 1, BREAK_BITS])
def test_a_break_leaves_a_core_that_takes_nothing(bits: int) -> None:
    """The word that waits is withdrawn, with those behind it; then the core takes others."""
    rng = np.random.default_rng(3)
    sent, _, _ = expect("E", 0, rng.integers(0, 1 << 32, 30).tolist(), [])
    then, answer, actions = expect("E", 0, [0xCAFE_F00D], [])
    world = World(rng, 0.0, [])
    broken: Levels = [(0, float(bits)), (1, float(FRAME_BITS))]
    levels = [[(1, 3.0)], spoken(sent), broken, spoken(then), [(1, 80.0)]]
    held = range(LEAST_CLOCKS * (3 + len(sent) * FRAME_BITS + bits))
    found, _ = on_lines(levels, world, held)
    assert found == answer and world.actions == actions


def test_a_response_is_not_continued_behind_a_break() -> None:
    """The byte on the line ends; the others of a response of 5 are not sent."""
    rng = np.random.default_rng(4)
    sent, answer, _ = expect("R", 0x44, [], [])
    then, unknown, _ = expect("?", 0, [], [])
    broken: Levels = [(0, float(BREAK_BITS)), (1, float(FRAME_BITS))]
    levels = [[(1, 3.0)], spoken(sent), broken, spoken(then), [(1, 80.0)]]
    found, _ = on_lines(levels, World(rng, 0.0, []))
    assert found[-1:] == unknown and found[:-1] == answer[: len(found) - 1]
    assert len(found) < len(answer)


def test_what_does_not_fit_is_lost_and_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """A host that does not wait for a response, and a byte without its stop bit; a break clears."""
    depth = 16
    monkeypatch.setattr("rtl.host.uart_bridge.DEPTH", depth)
    rng = np.random.default_rng(5)
    sent, _, _ = expect("E", 0, [1, 2], [])
    world = World(rng, 0.0, [])
    broken: Levels = [(0, float(BREAK_BITS)), (1, float(FRAME_BITS))]
    wrong = [*frame(0x57, stop=0), (1, 1.0)]
    levels = [[(1, 3.0)], wrong, [(1, 20.0)], broken, spoken(sent * (depth // len(sent) + 2))]
    _, record = on_lines(levels, world, held=range(10**9))
    shown = [t for t, r in enumerate(record) if t and r["lost"] > record[t - 1]["lost"]]
    hidden = [t for t, r in enumerate(record) if t and r["lost"] < record[t - 1]["lost"]]
    assert len(shown) == 2 and len(hidden) == 1 and shown[0] < hidden[0] < shown[1]
    assert not world.actions
