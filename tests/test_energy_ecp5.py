"""The energy on an ECP5: its figures are what their sources say, and what is counted is what the
core does.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from energy import command
from energy.ecp5 import RANGE, SHIPPED, Figures, count, lines, read_figures, registers_of
from energy.technology import read_technology
from energy.work import work_of
from export.store import load_network
from golden.cost.cycles import accesses
from golden.hardware.core import CoreParams
from golden.hardware.params import HardwareParams
from golden.integer import run

REGISTERS = """
module dmp_core(input clk, input rst, input e, input [7:0] d,
    output reg [7:0] q, output reg [2:0] n);
  always @(posedge clk) if (rst) q <= 0; else if (e) q <= d;
  always @(posedge clk) n <= d[2:0] + n;
endmodule
"""


def test_figures_are_those_of_their_sources() -> None:
    found = read_figures()
    assert list(found.picojoules) == [
        "block RAM accesses", "multiplications", "transitions", "register clocks"
    ]  # fmt: skip
    # mW at 300 MHz, through two ports: of four blocks of 9 bits, and of one of 36; C and V^2.
    narrow, wide, scaled = 39e3 / 300 / 2 / 4, 21e3 / 300 / 2, 40 / 65 * 1.1**2
    access = found.picojoules["block RAM accesses"]
    assert access["low"] == pytest.approx(narrow * scaled, rel=0.02)
    assert access["likely"] == pytest.approx((narrow * wide) ** 0.5 * scaled, rel=0.05)
    assert access["high"] == pytest.approx(wide, rel=0.01)
    # uW of a register at 100 and at 10 MHz, on two devices.
    slopes = [(at_100 - at_10) / 90 for at_100, at_10 in ((23.0, 2.5), (25.1, 2.1))]
    toggle = found.picojoules["transitions"]
    assert slopes[0] < toggle["likely"] < slopes[1]
    assert (toggle["low"], toggle["high"]) == pytest.approx((0.12, 4 * toggle["likely"]))
    clock = found.picojoules["register clocks"]
    assert clock["low"] == pytest.approx(toggle["likely"] * 0.125 * 14 / 76, rel=0.05)
    assert clock["high"] == toggle["low"]
    product = found.picojoules["multiplications"]
    assert product["low"] == pytest.approx(3.1 * (18 / 32) ** 2 * (1.1 / 0.9) ** 2, rel=0.03)
    assert product["high"] == pytest.approx(1.5 + 72 / 2 * toggle["likely"], rel=0.01)
    for middle in (clock, product):
        between = (middle["low"] * middle["high"]) ** 0.5
        assert middle["likely"] == pytest.approx(between, rel=0.05)
    assert found.idle_watts == {"ecp5-25k": 0.147, "ecp5-85k": 0.202}
    content = json.loads(SHIPPED.read_text())
    assert content["idle_source"] and all(one["sources"] for one in content["figures"].values())


def test_registers_are_counted_by_bits(tmp_path: Path) -> None:
    (tmp_path / "core.v").write_text(REGISTERS)
    assert registers_of(tmp_path / "core.v") == 8 + 3


@pytest.mark.parametrize("events", [1, 2, 4])
def test_what_an_inference_does(events: int) -> None:
    """Of `rows` on 4 lanes: in block RAMs of an ECP5 lie the lists of 96 and 384 words (two or
    four addresses in a word have a half or a quarter as many, and a word at most 36 bits), payloads
    of 96, coefficients of 110 words of 16 bits and of 352 of 32, biases and membranes of 128 of 16,
    w_x of layer 1 of 128 words, w_f and w_o of 32 bits, which is one block each 512 words, or two
    of 18 bits with two reads. What has at most 64 words lies in LUTs.
    """
    network = load_network("rows")
    core = CoreParams(network.params, HardwareParams(4, events_per_cycle=events))
    payloads = np.random.default_rng(0).integers(0, 256, (2, 16, 28))
    golden = run(network, payloads)
    work = work_of(core, golden, [1.0, 1.0], 1000.0, read_technology())
    counts = {name: found.sum() / 2 for name, found in accesses(core, golden).items()}
    blocks = bits = 0.0
    for layer in ("layer0", "layer1"):
        for name in ("ab_reads", "p_reads", "c_reads", "u_reads", "u_writes"):
            blocks += counts[f"{layer}.{name}"]
        for name in ("m_reads", "m_writes", "history_reads", "history_writes"):
            bits += 16 * counts[f"{layer}.{name}"]
    bits += 8 * counts["layer0.w_x_reads"]
    # 896 and 1024 words are two blocks, of 36 bits or of 18; 384 are one, or two with two reads.
    blocks += counts["layer1.w_x_reads"] + 2 * counts["layer0.w_f_reads"]
    blocks += 2 * counts["layer1.w_f_reads"] + min(events, 2) * counts["readout.w_o_reads"]
    blocks += sum(counts[f"layer0.payload_{what}"] for what in ("reads", "writes"))
    for name, width in (("layer0", 5), ("layer1", 7), ("readout", 7)):
        number = counts[f"{name}.list_reads"] + counts[f"{name}.list_writes"]
        if name == "layer0" and events > 1:  # 48 words of two addresses, 24 of four
            bits += number * events * width
        else:
            blocks += number
    for name in ("b_o_reads", "logits_reads", "logits_writes"):
        width = {"b_o_reads": core.network.readout.b_o.width}.get(
            name, core.network.readout.logit.width
        )
        bits += counts[f"readout.{name}"] * 4 * width
    found = count(core, golden, work, 7)
    assert found["block RAM accesses"] == pytest.approx(blocks)
    assert found["register clocks"] == 7000
    products = 4 * counts["layer0.spike_additions"]
    for layer in ("layer0", "layer1"):
        products += 4 * counts[f"{layer}.state_products"] + counts[f"{layer}.update_products"]
        products += counts[f"{layer}.leak_products"]
    assert [part.neuron_fold.units for part in core.layers] == [1, 1]
    assert found["multiplications"] == pytest.approx(products)
    passing = {"spike path": ("sums", "weights"), "neuron stage": ("sums",)}
    passing |= {"dense path": ("clocked",), "state update": ("clocked",)}
    passing |= {"lists and encoders": ("words",), "readout": ("sums", "weights", "logits")}
    through = sum(work.components[name][term] for name, of in passing.items() for term in of)
    assert found["transitions"] == pytest.approx((bits + 1e6 * through) / 2)


def test_what_people_read() -> None:
    figures = Figures(
        {"a": dict(zip(RANGE, (1.0, 2.0, 4.0), strict=True)), "b": dict.fromkeys(RANGE, 3.0)},
        {"ecp5-25k": 0.1},
    )
    told = "\n".join(lines("n", "ecp5-25k", figures, {"a": 2e6, "b": 1e6}, 2e-3))
    assert "n on ecp5-25k: about 7 uJ an inference (5 to 11)" in told
    assert "at most 200 uJ in the 2000 us" in told and "an estimate" in told


def test_the_command_estimates_and_writes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from export.core import make_core

    manifest = make_core("rows", HardwareParams(4), tmp_path / "rows")
    monkeypatch.setattr(command, "registers_of", lambda verilog: 1000)
    before = sorted(tmp_path.rglob("*"))
    asked = [str(manifest), "--network", "rows", "--device", "ecp5-25k", "--mhz", "50"]
    done = CliRunner().invoke(command.main, asked)
    assert done.exit_code == 0, done.output
    assert (
        "estimate   rows on ecp5-25k: about" in done.output and "idle       at most" in done.output
    )
    assert sorted(tmp_path.rglob("*")) == before
    for other in (["--estimate"], ["--sram", "a.lib"], ["--liberty", "a.lib"]):
        done = CliRunner().invoke(command.main, [*asked, *other])
        named = f"--device ecp5-25k with {' '.join(other)}, which is of a chip: leave one"
        assert done.exit_code == 2 and named in done.output
