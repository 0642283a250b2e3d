"""Coverage of the Verilog: points of different cores are merged, what nothing reaches is named, and
so is a waiver of what is reached.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from tests.coverage import __main__ as command
from tests.coverage.points import BRANCH, LINE, TOGGLE, Point, merge, read_points
from tests.coverage.runs import Case
from tests.coverage.verilog import OFF, modules, plain, with_counting
from tests.coverage.waivers import WAIVERS, Waiver, judge
from tests.network_kinds import DRAWS

SOURCE = "tests/test_coverage.py:1"  # stands for a line of the component
TEXT = '"""Coverage of the Verilog: points of different cores are merged, what nothing reaches is '
# As the generator writes it, with `lanes` registers.
MODULE = """
(* src = "rtl/queue.py:1" *)
// Queue, rtl/queue.py
// Hold items.
module dmp_core__layer{layer}__queue(clk, rst, i__valid, level, words);
  input clk;
  wire clk;
  input rst;
  wire rst;
  input i__valid;
  wire i__valid;
  output [1:0] level;
  reg [1:0] level = 2'h0;
  output [1:0] words;
  wire [1:0] words;
  wire words_0;
  wire words_1;
  wire same;
  wire _00_;
  wire _01_;
  reg [7:0] memory [3:0];
{registers}
  assign _00_ = i__valid & (* src = "{source}" *) same;
  assign _01_ = i__valid ? (* src = "{source}" *) 1'h1 : 1'h0;
  assign words_0 = words[0];
  assign words_1 = words[1];
  assign same = level[0];
  always @(posedge clk)
    if (rst) level <= 2'h0;
    else if (_00_) level <= {{ _01_, level[1] }};
endmodule
"""


def written(layer: int) -> str:
    registers = "\n".join(f"  reg stage_{n} = 1'h0;" for n in range(layer + 1))
    return MODULE.format(layer=layer, registers=registers, source=SOURCE)


def counted(verilog: str, *points: tuple[str, str, str, int]) -> str:
    """Return what Verilator writes of points: the text of their line, a kind, what it is, and how
    often it was reached.
    """
    (name,) = modules(verilog)
    found = ["# SystemC::Coverage-3"]
    for text, kind, what, count in points:
        line = next(n for n, of in enumerate(verilog.split("\n"), 1) if text in of)
        found.append(
            f"C '\x01f\x02core.v\x01l\x02{line}\x01n\x025\x01t\x02{kind}\x01page\x02v_{kind}/{name}"
            f"\x01o\x02{what}\x01h\x02TOP.shell.core.it' {count}"
        )
    return "\n".join(found) + "\n"


@pytest.fixture
def runs(tmp_path: Path) -> dict[str, dict[Point, int]]:
    """Return two cores: in one the condition never holds, in the other no bit of `level` falls."""
    found = {}
    for layer, taken, falls in ((0, 0, 2), (1, 5, 0)):
        verilog, data = written(layer), tmp_path / "coverage.dat"
        data.write_text(
            counted(
                verilog,
                ("else if (_00_)", BRANCH, "if", taken),
                ("else if (_00_)", BRANCH, "else", 3),
                ("if (rst)", LINE, "elsif", 1),
                ("_01_ = i__valid", BRANCH, "cond_then", 0),
                ("reg [1:0] level", TOGGLE, "level[0]:0->1", 2),
                ("reg [1:0] level", TOGGLE, "level[0]:1->0", falls),
                (f"reg stage_{layer}", TOGGLE, f"stage_{layer}:0->1", layer),
                ("reg stage_0", TOGGLE, "stage_0:1->0", layer),
                (f"reg stage_{layer}", TOGGLE, f"stage_{layer}:1->0", 0),
                ("input i__valid", TOGGLE, "i___05Fvalid:0->1", 0),
            )
        )
        found[f"core {layer}"] = read_points(data, verilog)
    return found


def test_points_of_cores_are_merged(runs: dict[str, dict[Point, int]]) -> None:
    """By the class, names without numbers and lines of Python; what one core reaches is reached."""
    reached = merge(runs)
    where = next(p.place for p in reached if p.place.startswith("level: test_coverage.py"))
    assert TEXT.split(",")[0] in where
    assert reached[Point("Queue", BRANCH, where, "holds")] == {"core 1"}
    assert reached[Point("Queue", BRANCH, where, "does not hold")] == {"core 0", "core 1"}
    assert reached[Point("Queue", TOGGLE, "stage_N[0]", "rises")] == {"core 1"}
    assert reached[Point("Queue", LINE, "level: rst", "holds")] == {"core 0", "core 1"}
    falls = Point("Queue", TOGGLE, "stage_N[0]", "falls")
    assert reached[falls] == {"core 1"}, "one of its two registers falls"
    assert len(reached) == 9


def test_what_nothing_reaches_is_named(runs: dict[str, dict[Point, int]]) -> None:
    verdict = judge(merge(runs), ())
    assert [(p.kind, p.arm) for p in verdict.missing] == [(BRANCH, "holds"), (TOGGLE, "rises")]
    assert "i__valid[0]" in command.told(verdict)[1]
    waivers = (
        Waiver("Queue", BRANCH, "level: .*, a constant", "never valid", "holds"),
        Waiver("Queue", TOGGLE, r"i__valid\[0\]", "never valid"),
    )
    verdict = judge(merge(runs), waivers)
    assert (verdict.missing, verdict.stale, len(verdict.waived)) == ([], [], 2)
    assert command.cells(merge(runs), verdict)[0] == ["Queue", "1 of 1", "2 of 2", "4 of 4", "2"]


def test_a_waiver_of_what_is_reached_or_of_nothing_is_named(
    runs: dict[str, dict[Point, int]],
) -> None:
    of_reached = Waiver("Queue", TOGGLE, r"(level|i__valid)\[0\]", "some are reached")
    of_nothing = Waiver("Queue", TOGGLE, "levels", "there is none")
    verdict = judge(merge(runs), (of_reached, of_nothing))
    assert [waiver for waiver, _ in verdict.stale] == [of_reached, of_nothing]
    lines = command.told(verdict)
    assert any("is reached: Queue, toggle, level[0]" in line for line in lines)
    assert lines[-1].endswith("is of nothing")


def test_waivers_of_bits_need_others_that_are_reached() -> None:
    """Those above the highest one that is reached, if that is high enough; or any other ones."""

    def waived(reached: set[int], **options: Any) -> set[str]:
        points = {
            Point("Counters", TOGGLE, f"count[{bit}]", "rises"): set("a" * (bit in reached))
            for bit in range(5)
        }
        waiver = Waiver("Counters", TOGGLE, r"count\[\d\]", "for bits of a count", **options)
        verdict = judge(points, (waiver,))
        assert len(verdict.waived) + len(verdict.missing) + len(reached) == 5
        return {point.place[6] for point in verdict.waived}

    assert waived({0, 2}, above=2) == {"3", "4"}
    assert waived({0, 1}, above=2) == set()
    assert waived({1, 3}, partly=True) == {"0", "2", "4"}
    assert waived(set(), partly=True) == set()


def test_only_what_is_told_apart_is_counted() -> None:
    """No memory, no input, no second name, no word whose values have names; lines stay."""
    verilog = written(1)
    changed = with_counting(verilog)
    dropped = {line for line in changed.split("\n") if OFF in line}
    names = {re.search(r"(\w+)(?: = .*| \[3:0\])?; /", line)[1] for line in dropped}  # type: ignore[index]
    assert names == {"clk", "rst", "i__valid", "words", "same", "memory"}
    assert changed.count("\n") == verilog.count("\n")
    assert plain("layer0__neurons_3__step_12") == "layerN__neurons_N__step_N"


def test_every_waiver_has_a_reason() -> None:
    assert all(len(waiver.reason.split()) >= 4 for waiver in WAIVERS)


@pytest.mark.long
def test_a_core_is_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A core of one network: the command names what that one does not reach, and ends with 1."""
    monkeypatch.setattr(command, "cases", lambda: {"one": Case(DRAWS["tiny"](2474))})
    done = CliRunner().invoke(command.main, ["--out", str(tmp_path)])
    assert done.exit_code == 1 and done.output.rstrip().endswith("FAIL"), done.output
    assert "never reached: " in done.output
    neurons = next(line for line in done.output.splitlines() if "NeuronStage" in line)
    reached, total = map(int, re.findall(r"(\d+) of (\d+)", neurons)[1])
    assert 10 < reached < total
