"""Fuzzing a board's UART: what nobody should send does nothing that it does not command, and the
board recovers.
"""

from __future__ import annotations

import json
import struct
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from golden import uart_protocol as uart
from soak.uart_command import board, main
from soak.uart_fuzz import Fuzzed, check_seen, commanded, draw_levels, fuzz
from soak.uart_line import SEEN, Kind, levels_of

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


def test_a_board_recovers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model, payloads, logits = board(tmp_path / "board", FAST)
    fuzzed = fuzz(model, payloads, logits, 5, 3, 400)
    assert fuzzed.problems == []
    assert fuzzed.recoveries == fuzzed.inferences == 3 and fuzzed.bytes > 1000
    assert fuzzed.breaks > 10 and fuzzed.reads > 10 and fuzzed.writes and fuzzed.events
    # A golden model that is wrong is seen, and a result is kept.
    wrong = fuzz(model, payloads, logits + 1, 5, 3, 400)
    assert wrong.problems == ["burst 0: another inference than golden's"]
    monkeypatch.setattr("soak.uart_command.board", lambda _: (model, payloads, logits))
    monkeypatch.setattr("soak.uart_command.SIZE", 50)
    arguments = ["--bytes", "1500", "--out", str(tmp_path), "--record", str(tmp_path / "row.json")]
    for _ in range(2):
        done = CliRunner().invoke(main, arguments)
        assert done.exit_code == 0, done.output
    result = json.loads((tmp_path / "fuzz.json").read_text())
    assert result["bytes"] >= 1500 and result["faults"] == 0
    assert json.loads((tmp_path / "row.json").read_text())["rows"][0]["cells"][-1] == "0"


def test_what_is_drawn_is_drawn_again() -> None:
    one, again = (draw_levels(np.random.default_rng(1), [0, 4], 300) for _ in range(2))
    assert np.array_equal(one, again) and set(one.tolist()) == {0, 1}
