"""Fuzzing a board's UART and the buses of a standard top: what nobody should send does nothing that
it does not command, and the core recovers.
"""

from __future__ import annotations

import json
import struct
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from docs.results import load
from golden import uart_protocol as uart
from golden.hardware.core import CoreParams
from golden.hardware.part import EventKind
from soak.axi_fuzz import items_of
from soak.fuzz import KIND, NETWORK, TARGETS, Target, main, prepare, sent
from soak.uart_fuzz import Fuzzed, check_seen, commanded, draw_levels
from soak.uart_line import SEEN, Kind, levels_of
from tests.network_kinds import DRAWS

FAST = "-O0"


def test_bytes_command_what_the_table_says() -> None:
    words = [7, 8, 1 << 31]
    data = b"".join([
        uart.write_command(8, 5), uart.read_command(4), uart.burst_command(12, words[:2]),
        b"?", uart.events_command(words), uart.results_command(2),
        struct.pack("<BHI", uart.WRITE, 1 << 14, 9),  # of no register
        uart.burst_command(16, words)[:-1],  # its last word is not whole
    ])  # fmt: skip
    assert commanded(list(data)) == [
        (Kind.WRITE, 8, 5), (Kind.READ, 4, 0), (Kind.WRITE, 12, 7), (Kind.WRITE, 12, 8),
        *((Kind.EVENT, 0, word) for word in words), (Kind.RESULT, 0, 0), (Kind.RESULT, 0, 0),
        (Kind.WRITE, 16, 7), (Kind.WRITE, 16, 8),
    ]  # fmt: skip


def seen_of(*rows: tuple[Kind, int, int]) -> np.ndarray:
    return np.array([(*row, cycle) for cycle, row in enumerate(rows)], SEEN)


def test_what_was_not_commanded_is_a_fault() -> None:
    heard = [row for byte in uart.write_command(8, 5) for row in
             ((Kind.BYTE, 0, byte), (Kind.HEARD, 0, byte))]  # fmt: skip
    broken = [(Kind.BREAK, 0, 0), (Kind.HEARD_BREAK, 0, 0)]
    written = (Kind.WRITE, 8, 5)
    cases = {
        "": [*heard, written, *broken, *heard],
        "not commanded": [*heard, written, *broken, written],
        "was (5, 8, 4)": [*heard, (Kind.WRITE, 8, 4)],
        "others": [*heard[:-1], (Kind.HEARD, 0, 1)],
        "breaks": [*heard, broken[0]],
    }
    for problem, rows in cases.items():
        check_seen(seen_of(*rows), fuzzed := Fuzzed())
        assert len(fuzzed.problems) == bool(problem), (problem, fuzzed)
        assert all(problem in line for line in fuzzed.problems)
    assert levels_of(b"\xf0", 2).tolist() == [0] * 10 + [1] * 10


@pytest.mark.parametrize(
    "target",
    [TARGETS[0], pytest.param(TARGETS[1], marks=pytest.mark.long)],
    ids=lambda target: target.name,
)
def test_a_core_recovers(target: Target, tmp_path: Path) -> None:
    model, payloads, logits = prepare(target, tmp_path, FAST)
    did = target.play(model, payloads, logits, [5], 3, 500)
    assert did.problems == [] and did.recoveries == did.inferences == 3
    assert sent(target, [did]) > 1000 and all(getattr(did, name) for name in target.reached)
    wrong = target.play(model, payloads, logits + 1, [5], 1, 500)
    assert wrong.problems == ["burst 0: another inference than golden's"]


def test_the_command_keeps_what_is_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of targets that do nothing; a fault ends it."""
    counts = iter(range(1, 9))

    def play(model: object, *_: object) -> Fuzzed:
        return Fuzzed(bytes=600, recoveries=next(counts), problems=list(problems))

    problems: list[str] = []
    monkeypatch.setattr("soak.fuzz.prepare", lambda *_: (None, None, None))
    targets = [replace(TARGETS[0], name=name, play=play) for name in ("uart", "axi")]
    monkeypatch.setattr("soak.fuzz.TARGETS", targets)
    arguments = ["--out", str(tmp_path), "--record", str(tmp_path / "rows.json"), "--count"]
    for _ in range(2):
        done = CliRunner().invoke(main, [*arguments, "1000"])
        assert done.exit_code == 0, done.output
        result = json.loads((tmp_path / "fuzz.json").read_text())
        assert [result[name]["recoveries"] for name in ("uart", "axi")] == [1 + 2, 3 + 4]
    _, rows = load(tmp_path / "rows.json")
    assert [row["id"] for row in rows] == ["fuzz-uart", "fuzz-axi"]
    assert rows[0]["cells"][1] == "1,200 bytes" and rows[0]["cells"][-1] == "0"
    problems.append("lost")
    done = CliRunner().invoke(main, [*arguments, "1500"])
    assert done.exit_code == 1 and "error: uart, seed 0, part 2: lost" in done.stderr


def test_beats_are_items_as_the_page_says() -> None:
    drawn = DRAWS[KIND](NETWORK)
    core = CoreParams(drawn.network.params, drawn.hardware)
    assert core.network.layers[0].n_inputs == 2
    words = [1 << 16, 0b11 << 30, 2 << 16 | 1, 0, 1 << 16 | 9]
    kinds = [
        (EventKind.EVENT, 0, 1), (EventKind.END_TIMESTEP, 0, 0), (EventKind.END_SEQUENCE, 0, 0),
        (EventKind.INVALID, 0, 0), (EventKind.END_SEQUENCE, 0, 0), (EventKind.INVALID, 0, 0),
        (EventKind.END_TIMESTEP, 0, 0),
    ]  # fmt: skip
    assert items_of(core, np.array(words), np.array([0, 3, 0, 2, 1])) == kinds


def test_what_is_drawn_is_drawn_again() -> None:
    one, again = (draw_levels(np.random.default_rng(1), [0, 4], 300) for _ in range(2))
    assert np.array_equal(one, again) and set(one.tolist()) == {0, 1}
