"""The soak: what it draws means what the page says, a core without a fault passes, and a fault is
found and made small.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from export.items import to_items
from golden.hardware.part import EventKind
from golden.integer import NetworkIntegers
from soak.__main__ import draw_core, main
from soak.cores import DRAWN, Built, Core, without_power_up
from soak.draws import VARIANTS
from soak.items import read_items
from soak.reduce import reduce
from soak.rounds import as_test, check, draw_round, give, reduced
from soak.steps import Step, Tally
from soak.traces import mix

EVENT, STEP, END, INVALID, REPORT = EventKind
FAST = "-O0"


def test_items_mean_what_the_page_says() -> None:
    items = [
        [EVENT, 1, 5], [EVENT, 1, 6], [EVENT, 0, 0], [EVENT, 3, 1], [STEP, 0, 0],
        [REPORT, 0, 0], [REPORT, 0, 0], [INVALID, 0, 1], [STEP, 0, 0],
        [EVENT, 2, 7], [REPORT, 0, 0], [EVENT, 2, 7], [END, 0, 0],
        [END, 0, 0],
        [EVENT, 2, 4], [STEP, 0, 0], [END, 0, 0],
        [EVENT, 0, 1],
    ]  # fmt: skip
    meaning = read_items(np.array(items), 3)
    assert [payloads.tolist() for payloads in meaning.payloads] == [
        [[0, 5, 0], [0, 0, 0]],
        [],
        [[0, 0, 4]],
    ]
    assert meaning.reports == [(1, 1), (), ()]
    assert meaning.errors == {"out_of_range": 2, "repeated": 2, "unclosed": 2}
    assert meaning.void == 1


def test_what_is_drawn_comes_back() -> None:
    payloads = np.random.default_rng(0).integers(0, 3, (7, 5, 4))
    meaning = read_items(to_items(payloads, np.random.default_rng(1)), 4)
    assert np.array_equal(meaning.payloads, payloads) and not any(meaning.errors.values())


def test_the_hash_is_that_of_its_authors() -> None:
    """The first numbers of splitmix64 from seed 0, of its reference implementation."""
    places = np.arange(1, 4, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    assert [hex(value) for value in mix(places).tolist()] == [
        "0xe220a8397b1dcdaf", "0x6e789e6aa1b965f4", "0x6c45d188009454f",
    ]  # fmt: skip


def test_nothing_is_left_of_a_power_up() -> None:
    text = "\n".join([
        "  reg [3:0] a = 4'h7;", "  reg b;", "  assign c = d;", "`ifndef SYNTHESIS",
        "  initial begin", "    words[i] = 0;", "  end", "`endif", "endmodule",
    ])  # fmt: skip
    kept = ["  reg [3:0] a;", "  reg b;", "  assign c = d;", "endmodule"]
    assert without_power_up(text).split("\n") == kept


def test_a_failure_becomes_its_smallest_sequence() -> None:
    """Of a fault that needs an address in two timesteps after one of 0, and a stall of 9 cycles."""
    payloads = np.random.default_rng(3).integers(0, 2, (20, 8, 5))
    items = to_items(payloads)
    gaps = np.random.default_rng(4).choice([0, 0, 3, 9], len(items))
    steps = [Step(0, items[:40]), Step(1, items, gaps, gaps), Step(2, items, cut=20)]

    def fails(steps: list[Step]) -> bool:
        return any(
            (sequence[:, 2].sum(0) > 1) and 9 in step.event_gaps
            for step in steps
            for sequence in read_items(step.items, 5).payloads
            if len(sequence) > 1
        )

    (step,) = reduce(fails, steps)
    assert step.variant == 1 and not step.output_gaps.any()
    assert step.items.tolist() == [
        [EVENT, 2, 1],
        [STEP, 0, 0],
        [EVENT, 2, 1],
        [STEP, 0, 0],
        [END, 0, 0],
    ]
    assert sorted(step.event_gaps)[-1] == 9 and np.count_nonzero(step.event_gaps) == 1


CORE = Core("whole neurons", 11)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    return CORE.build(tmp_path_factory.mktemp("soak"), FAST)


def test_a_core_passes(built: Built) -> None:
    tally = Tally()
    steps = draw_round(built, 7, 1, n_steps=6, size=300)
    give(built, 1, steps, tally)
    assert tally.problems == []
    assert tally.cycles > 5000 < tally.values
    assert tally.resets and tally.reloads and all(tally.errors.values())


def changed(built: Built, change: Callable[[NetworkIntegers], NetworkIntegers]) -> Built:
    """Return a core whose golden network is another one than its memories hold."""

    wrong = Built(built.core, built.interface, built.shared_object)
    networks = {variant: change(built.network(variant)) for variant in range(VARIANTS)}
    object.__setattr__(wrong, "network", networks.__getitem__)
    return wrong


def test_a_wrong_weight_is_found_and_made_small(built: Built) -> None:
    def change(network: NetworkIntegers) -> NetworkIntegers:
        w_f = network.layers[0].w_f.copy()
        w_f[7, 1] ^= 1
        return replace(network, layers=(replace(network.layers[0], w_f=w_f),))

    wrong = changed(built, change)
    steps = draw_round(wrong, 0, 1, n_steps=1, size=100)
    assert any(line.startswith("layer0.neurons") for line in check(wrong, 1, steps))
    (step,) = reduced(wrong, 1, steps)
    assert len(step.items) == 3 and step.items[0, :2].tolist() == [EVENT, 1], step.items
    test = as_test(CORE, 1, [step])
    found: dict[str, object] = {}
    exec(test, {"Step": Step, "np": np, "Core": Core, "check": check, "Path": Path}, found)
    assert "Core(kind='whole neurons', seed=11, change=None)" in test
    assert check(built, 1, [step]) == []


def test_cores_are_of_every_kind() -> None:
    assert draw_core(0, 3) == draw_core(0, 3) != draw_core(1, 3)
    assert [draw_core(0, index).kind for index in range(len(DRAWN))] == list(DRAWN)


@pytest.mark.long
def test_a_register_that_reset_forgets_is_found(tmp_path: Path) -> None:
    """The room that the encoder's queue has: what it holds at power-up stays."""
    change = ("if (rst) free <= 5'h10;\n    else free", "free")
    built = Core("loop", 97946, change).build(tmp_path, FAST)
    rounds = ((seed, draw_round(built, 0, seed, n_steps=1, size=300)) for seed in range(1, 9))
    power_up, steps = next((seed, steps) for seed, steps in rounds if check(built, seed, steps))
    (step,) = reduced(built, power_up, steps)
    assert step.items.tolist() == [[END, 0, 0]] and not step.event_gaps.any()
    assert "o_results: 0 came, 9 are due" in check(built, power_up, [step])


@pytest.mark.long
def test_a_soak_of_several_cores(tmp_path: Path) -> None:
    arguments = ["--cycles", "10000000", "--cores", "4", "--seed", "1", "--out", str(tmp_path)]
    done = CliRunner().invoke(main, arguments)
    assert done.exit_code == 0, done.output
    result = json.loads((tmp_path / "soak.json").read_text())
    assert result["cycles"] >= 10**7 <= result["values"] and result["mismatches"] == 0
    again = CliRunner().invoke(main, arguments)
    assert again.exit_code == 0 and json.loads((tmp_path / "soak.json").read_text()) == result
