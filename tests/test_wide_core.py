"""Cores with more lanes than 256: words of more items than a command of a UART has words."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import pytest
from amaranth.hdl import Module, Signal
from amaranth.lib.wiring import In, Out

from export.core import write_core
from golden.data.synthetic import draw_events, draw_layers, with_activity
from golden.errors import UserError
from golden.hardware.core import CoreParams
from golden.hardware.memory import MAX_WIDTH
from golden.hardware.params import HardwareParams
from golden.uart_protocol import MAX_WORDS
from rtl.component import Component
from rtl.core import Core
from rtl.verilog.generate import generate
from rtl.verilog.hierarchy import Hierarchy
from rtl.verilog.quick import CELL_BITS
from tb.compare import compare
from tb.simulate import simulate
from tests.networks import draw_network


@pytest.mark.long
def test_a_wide_core_is_exact(tmp_path: Path) -> None:
    """Two groups of 260 lanes, the second one partly filled."""
    payloads = draw_events(4.0, 2, 1, n_timesteps=4, n_inputs=10)
    network = with_activity(draw_layers("wide", (10, 270), 4, 4, 1), payloads)
    core = CoreParams(network.params, HardwareParams(260, products_per_cycle=4, trace=True))
    assert core.layers[0].n_groups == 2
    assert max(memory.items for memory in core.memories.values()) > MAX_WORDS
    manifest = write_core(network, core, tmp_path)
    generate(manifest)
    for seed in (None, 1):
        simulation = simulate(manifest, payloads, stalls_seed=seed, optimize="-O0")
        comparison = compare(simulation, payloads)
        assert comparison.mismatches == 0, comparison.first
        assert comparison.values_compared > 2 * 4 * 2 * 270
        assert simulation.counters["layer0.spikes"]


def test_too_wide_a_word_is_refused() -> None:
    network = draw_layers("wide", (4, 1100), 9, 2, 0)
    CoreParams(network.params, HardwareParams(1024, products_per_cycle=8))
    layer = network.params.layers[0]
    wider = replace(layer.formats, p=replace(layer.formats.p, width=9))
    params = replace(network.params, layers=(replace(layer, formats=wider),))
    with pytest.raises(UserError, match=f"words of {1024 * 8 * 9} bits: .*for {MAX_WIDTH} bits"):
        _ = CoreParams(params, HardwareParams(1024, products_per_cycle=8)).memories


class Register(Component):
    """A register of many bits, set from an input of some."""

    i: Signal
    o: Signal

    @property
    def latency(self) -> int:
        return 1

    def __init__(self, input_width: int, width: int) -> None:
        super().__init__({"i": In(input_width), "o": Out(width)})
        self.width = width

    def elaborate(self, platform: object) -> Module:
        m = Module()
        held = Signal(self.width)
        m.d.sync += held.eq(self.i)
        m.d.comb += self.o.eq(held)
        return m


def test_what_amaranth_cannot_number_is_refused() -> None:
    """The input has a clock and a reset beside it, and numbers 0 and 1 are constants."""
    assert Hierarchy(Register(CELL_BITS - 4, CELL_BITS), "top").text()
    for widths, what in (((CELL_BITS, 8), "inputs"), ((8, CELL_BITS + 1), "a register")):
        with pytest.raises(UserError, match=f"has {what} of {CELL_BITS + 1} bits, and at most"):
            Hierarchy(Register(*widths), "top")


@pytest.mark.long
def test_a_quick_netlist_has_the_same_text(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = draw_network(31, max_neurons=20, max_inputs=12)
    core = CoreParams(drawn.network.params, replace(drawn.hardware, trace=True))
    quick = Hierarchy(Core(core), "top").text()
    monkeypatch.setattr("rtl.verilog.hierarchy.quick_amaranth", nullcontext)
    assert Hierarchy(Core(core), "top").text() == quick
