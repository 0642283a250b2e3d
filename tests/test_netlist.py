"""The netlist of a generated core: nothing in it that a chip's flow refuses, and its memories."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from export.core import write_core
from golden.errors import UserError
from golden.hardware.core import CoreParams
from golden.hardware.params import HardwareParams
from golden.manifest import read_core
from rtl.synth.netlist import Macro, check_netlist, expected_macros, main, read_macros
from rtl.verilog.generate import TOP, generate
from tests.networks import Drawn, draw_network, draw_recurrent

DRAWN = [(draw_network, 9, {"delays": True}), (draw_recurrent, 4, {}), (draw_network, 11, {})]
SMALL = HardwareParams(2, events_per_cycle=2)


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the manifest of a core whose weights have two read ports."""
    drawn = draw_network(11, max_neurons=6, max_inputs=8)
    core = CoreParams(drawn.network.params, SMALL)
    path = write_core(drawn.network, core, tmp_path_factory.mktemp("core"))
    generate(path)
    return path


@pytest.mark.parametrize(("draw", "seed", "options"), DRAWN)
def test_every_core_has_the_memories_of_its_parameters(
    draw: Callable[..., Drawn], seed: int, options: dict[str, bool], tmp_path: Path
) -> None:
    drawn = draw(seed, max_neurons=8, max_inputs=9, **options)
    block = 1 if any(layer.recurrent for layer in drawn.network.params.layers) else 2
    core = CoreParams(
        drawn.network.params,
        HardwareParams(2, block, 4 // block, 2, link_items=1 if options else block),
    )
    manifest = write_core(drawn.network, core, tmp_path)
    macros = check_netlist(generate(manifest), core)
    # All memories but registers, which are small: scalars, and what has one word.
    bits = sum(macro.depth * macro.width for macro in macros.values())
    mask_bits = sum(layer.buffers["masks"].width for layer in core.layers)
    memories = [m for p in core.parts.values() for m in (p.memories | p.buffers).values()]
    single = [memory.bits for memory in memories if memory.depth == 1]
    scalars = sum(layer.memories["scalars"].bits for layer in core.layers)
    assert bits == core.memory_bits - mask_bits - sum(single) - scalars
    if any(part.wide for part in core.parts.values()):
        assert len({name for name in macros if "readout.list" in name}) == 2
    if core.hardware.events_per_cycle == 4:
        assert macros["layer0.w_f"] == macros["layer0.w_f (copy 1)"]


def test_the_table_lists_macros_by_shape(manifest: Path) -> None:
    core, _ = read_core(manifest)
    result = CliRunner().invoke(main, [str(manifest)])
    assert result.exit_code == 0, result.output
    lines = result.output.splitlines()
    weights = core.memories["layer0.w_f"]
    row = next(line for line in lines if "layer0.w_f" in line).split()
    assert [int(value) for value in row[:4]] == [weights.depth, weights.width, 2, 1]
    # A list of memories that is too long for a line goes on in the next one.
    counts = [int(line.split()[4]) for line in lines[2:-1] if line.split()[0].isdigit()]
    assert max(map(len, lines)) <= 80
    assert lines[-1].startswith(f"{sum(counts)} memories of {len(counts)} shapes, ")
    assert sum(counts) == len(expected_macros(core))


INVERTER = "across"  # loops may pass through modules
USED = "always @(posedge clk) taken <= a;"
INVERTERS = f"module {INVERTER}(input i, output o); assign o = ~i;"
PORTS = "input clk, input rst, input [15:0] given, output reg [3:0] taken"


def write_core_module(folder: Path, text: str) -> Path:
    path = folder / "core.v"
    path.write_text(f"module {TOP}({PORTS}); {text} endmodule\n")
    return path


def memory(address: str) -> str:
    """Return a memory of 8 words, and what it shows a cycle later, at this address or these."""
    return (
        "reg [3:0] words [0:7]; always @(posedge clk) begin words[given[2:0]] <= given[6:3];"
        f" taken <= {address}; end"
    )


def test_a_clocked_memory_is_read_as_it_is(tmp_path: Path) -> None:
    found = read_macros(write_core_module(tmp_path, memory("words[given[9:7]]")))
    assert found == {"words": Macro("words", 8, 4, 1)}
    second = memory("words[given[9:7]]").replace("taken <=", "taken <= rst ? 4'd1 :")
    assert read_macros(write_core_module(tmp_path, second))
    unclocked = write_core_module(tmp_path, memory("words[given[9:7]] ^ given[3:0]"))
    assert not read_macros(unclocked)["words"].clocked


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("always @* if (rst) taken = given[3:0];", "has a latch"),
        ("always @(posedge clk or posedge rst) if (rst) taken <= 0; else taken <= given[3:0];",
         "a latch, or a register without a clock"),
        ("wire a; assign a = a ^ rst; always @(posedge clk) taken <= a;", "loop"),
        (f"wire a, b; {INVERTER} one (a, b), two (b, a); {USED} endmodule {INVERTERS}", "loop"),
        ("wire a; assign a = rst; assign a = given[0]; always @(posedge clk) taken <= a;",
         "multiple conflicting drivers"),
        ("wire a; always @(posedge clk) taken <= a & rst;", "used but has no driver"),
        (memory("words[given[9:7]]; words[given[12:10]] <= given[15:12]"), "has 2 write and 1"),
        (memory("words[given[9:7]] ^ words[given[12:10]] ^ words[given[15:13]]"),
         "has 1 write and 3 read ports"),
    ],
)  # fmt: skip
def test_what_a_chip_refuses_is_found(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=message) as error:
        read_macros(write_core_module(tmp_path, text))
    assert "\n" not in str(error.value)


def test_a_latch_in_a_core_is_found(manifest: Path, tmp_path: Path) -> None:
    core, _ = read_core(manifest)
    verilog = (manifest.parent / f"{core.network.name}.v").read_text()
    assert verilog.count("always @(posedge clk)\n") > 100 and "always @*" not in verilog
    changed = tmp_path / "changed.v"
    changed.write_text(
        re.sub(r"always @\(posedge clk\)\n    if \(rst\)[^\n]*\n    else if",
               "always @*\n    if", verilog, count=1)
    )  # fmt: skip
    with pytest.raises(UserError, match="has a latch"):
        check_netlist(changed, core)


def test_another_cores_verilog_is_told(manifest: Path) -> None:
    core, _ = read_core(manifest)
    other = CoreParams(core.network, HardwareParams(3, events_per_cycle=2))
    with pytest.raises(UserError, match="its parameters ask for"):
        check_netlist(manifest.parent / f"{core.network.name}.v", other)


def test_missing_files_are_one_line(tmp_path: Path, manifest: Path) -> None:
    for arguments in ([str(tmp_path / "no.json")], [str(manifest), "--verilog", "no.v"]):
        result = CliRunner().invoke(main, arguments)
        assert result.exit_code == 2 and result.stdout == ""
        assert result.stderr.startswith("error: ") and result.stderr.count("\n") == 1
