"""What the generator writes, and what it refuses to write."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from export.core import write_core
from golden.data.synthetic import draw_layers
from golden.errors import UserError
from golden.hardware.core import CoreParams
from golden.hardware.memory import LOAD_WIDTH, address_width
from golden.hardware.params import HardwareParams
from golden.manifest import VERSION
from golden.registers import AXI_TOP
from rtl.verilog import generate as generate_module
from rtl.verilog.cleanup import with_copies_apart
from rtl.verilog.generate import TOP, generate
from rtl.verilog.register_pages import c_header, markdown
from rtl.verilog.rtl_command import main
from rtl.verilog.yosys import run_yosys
from tests.network_kinds import DRAWS
from tests.networks import draw_network

SEED = 11


def write_manifest(folder: Path, *, trace: bool = True) -> tuple[Path, CoreParams]:
    drawn = draw_network(SEED, max_neurons=10, max_inputs=8)
    core = CoreParams(drawn.network.params, HardwareParams(3, block=4, trace=trace))
    return write_core(drawn.network, core, folder), core


@pytest.fixture(scope="module")
def generated(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, CoreParams]:
    """Return manifest, Verilog and core of a generated core; tests do not change its folder."""
    manifest, core = write_manifest(tmp_path_factory.mktemp("core"))
    return manifest, generate(manifest), core


def test_copies_of_a_register_stay_apart(tmp_path: Path) -> None:
    """What goes to every lane has a register for eight lanes each, which Yosys may not merge."""
    network = draw_layers("wide", (5, 12), 2, 3, seed=0)
    core = CoreParams(network.params, HardwareParams(12))
    text = generate(write_core(network, core, tmp_path)).read_text()
    registers = re.findall(r"^  reg .*?(\w+_copy_\d)\b", text, re.M)
    one_each = ("loading", "moving", "sent", "summing", "multiplying", "adding")
    one_each += ("first", "first")  # of both paths
    assert text.count("(* keep = 32'sd1 *)\n  always") == len(registers)
    assert sorted(registers) == sorted(f"{name}_copy_{i}" for name in one_each for i in (0, 1))


def test_operands_hold_only_where_they_are_told_to(tmp_path: Path) -> None:
    """Each register next to a multiplier then has an enable."""
    network = draw_layers("some", (5, 6), 2, 3, seed=0)
    found = {}
    for hold in (False, True):
        core = CoreParams(network.params, HardwareParams(2, hold_operands=hold))
        folder = tmp_path / str(hold)
        text = generate(write_core(network, core, folder)).read_text()
        body = r"^  always @\(posedge clk\)\n((?: {4,}.*\n)+)"
        blocks = [block for block in re.findall(body, text, re.M) if " <= " in block]
        next_to = [b for b in blocks if re.search(r"\b(product|operand|value_\d)\w* <= ", b)]
        found[hold] = [block.lstrip().startswith("if (") for block in next_to]
    assert len(found[True]) > 4
    assert all(found[True]) and not all(found[False])


def test_bits_that_copy_others_of_their_wire_are_assigned_alone(tmp_path: Path) -> None:
    """Together they are a loop to Verilator (the two signs of two states that narrow sums make)."""
    loop = "  assign { a[31], a[15] } = { a[30], a[14] };"
    alone = "  assign a[31] = a[30];\n  assign a[15] = a[14];"
    others = "  assign { a[31], a[15] } = { b[30], b[14] };\n  assign a[1] = a[0];"
    assert with_copies_apart(f"{loop}\n{others}\n") == f"{alone}\n{others}\n"
    drawn = DRAWS["parts"](79665)
    core = CoreParams(drawn.network.params, drawn.hardware)
    verilog = generate(write_core(drawn.network, core, tmp_path)).read_text()
    assert "  assign value[31] = value[30];\n  assign value[15] = value[14];\n" in verilog


def test_ports_json_is_what_the_parameters_say(generated: tuple[Path, Path, CoreParams]) -> None:
    manifest, verilog, core = generated
    found = json.loads((verilog.parent / "ports.json").read_text())
    ports = {port["name"]: (port["direction"], port["width"]) for port in found["ports"]}
    first, readout = core.network.layers[0], core.network.readout
    index = address_width(readout.n_classes)
    widths = {
        "i_events": [
            ("kind", 2),
            ("address", address_width(first.n_inputs)),
            ("payload", first.formats.payload.width),
        ],
        "i_load": [("first", 1), ("data", LOAD_WIDTH)],
        "o_results": [
            ("index", index),
            ("logit", readout.logit_width),
            ("best", index),
            ("last", 1),
        ],
    }
    for stream, fields in widths.items():
        offsets = [sum(width for _, width in fields[:i]) for i in range(len(fields))]
        listed = [
            (f["name"], f["offset"], f["width"], f["signed"]) for f in found["fields"][stream]
        ]
        expected = [
            (n, offset, w, n == "logit") for (n, w), offset in zip(fields, offsets, strict=True)
        ]
        assert listed == expected
        toward = ("output", "input") if stream.startswith("o_") else ("input", "output")
        assert ports[f"{stream}__payload"] == (toward[0], sum(width for _, width in fields))
        assert (ports[f"{stream}__valid"], ports[f"{stream}__ready"]) == (
            (toward[0], 1),
            (toward[1], 1),
        )
    assert found["event_kinds"] == {
        "EVENT": 0, "END_TIMESTEP": 1, "END_SEQUENCE": 2, "INVALID": 3
    }  # fmt: skip
    header = [(f["name"], f["offset"], f["width"]) for f in found["fields"]["load_header"]]
    assert header == [("address", 0, 24), ("memory", 24, 8)]
    assert ports["clk"] == ports["rst"] == ports["i_clear"] == ("input", 1)
    assert ports["i_counter"] == ("input", address_width(len(core.counters)))
    assert ports["i_clear_errors"] == ("input", len(core.errors))
    assert ports["o_counter"] == ("output", 32) and ports["o_errors"] == (
        "output",
        len(core.errors),
    )
    for i, layer in enumerate(core.layers):
        assert ports[f"trace{i}_neuron_membrane"] == (
            "output",
            layer.neuron_fold.units * layer.params.formats.u.width,
        )
        assert (f"trace{i}_state_value" in ports) == bool(layer.params.n_state)
    assert (
        found["top"] == TOP
        and found["counters"] == core.counters
        and found["errors"] == core.errors
    )
    assert found["manifest_sha256"] == hashlib.sha256(manifest.read_bytes()).hexdigest()
    declared = dict[str, tuple[str, int]]()
    module = verilog.read_text().split(f"module {TOP}(")[1].split("endmodule")[0]
    for direction, high, name in re.findall(
        r"^\s*(input|output)\s+(?:signed\s+)?(?:\[(\d+):0\]\s+)?(\w+);", module, re.M
    ):
        declared[name] = direction, int(high or 0) + 1
    assert declared == ports


def test_verilog_names_what_made_it(
    generated: tuple[Path, Path, CoreParams],
) -> None:
    manifest, verilog, core = generated
    text = verilog.read_text()
    assert verilog == manifest.parent / f"{core.network.name}.v"
    head = text.split("module")[0]
    assert hashlib.sha256(manifest.read_bytes()).hexdigest() in head
    lines = head.splitlines()
    assert all(line.startswith("// ") for line in lines if line)
    assert f"network {core.network.name}, by dmp-core {VERSION}." in lines[0]
    layers, classes = core.network.layers, core.network.readout.n_classes
    assert lines[1].endswith(f", {classes} classes.")
    assert all(f"{layer.n_inputs} inputs to {layer.summary}, " in lines[1] for layer in layers)
    assert "lanes 3, block 4, events_per_cycle 1" in lines[2]
    made = f"dmp rtl {core.network.name} --lanes 3 --block 4 --events-per-cycle 1"
    assert lines[4] == f"// Made by: {made} --products-per-cycle 1 --trace"


def test_the_header_names_the_options_that_few_cores_have(tmp_path: Path) -> None:
    drawn = draw_network(SEED, max_neurons=6, max_inputs=5)
    hardware = HardwareParams(
        2,
        segment_words=64,
        counters="errors",
        hold_operands=True,
        list_buffers=6,
        events_per_cycle=2,
        link_items=2,
        input_items=2,
    )
    core = CoreParams(drawn.network.params, hardware)
    text = generate(write_core(drawn.network, core, tmp_path)).read_text()
    made = next(line for line in text.splitlines() if line.startswith("// Made by: "))
    options = "--segment-words 64 --counters errors --list-buffers 6 --link-items 2"
    options += " --input-items 2 --hold-operands"
    assert made.endswith(f" --products-per-cycle 1 {options}")


def test_nothing_is_anonymous_or_escaped(generated: tuple[Path, Path, CoreParams]) -> None:
    _, verilog, core = generated
    text = re.sub(r"^//.*", "", verilog.read_text(), flags=re.M)
    assert "\\" not in text and "[-1:0]" not in text
    assert not re.search(r"^ *reg .*\b_\d+_", text, re.M)
    assert not re.search(r"\b(port_?\d*|unnamed\w*|\w*signal(_\d+)?)\b", text)
    names = re.findall(r"^module (\w+)\(", text, re.M)
    assert {f"{TOP}__{part}" for part in ("loader", "counters", *core.parts)} <= set(names)
    ports = re.findall(r"^module \w+\((\w+), (\w+),", text, re.M)
    assert all(pair == ("clk", "rst") for pair in ports if "clk" in pair)


def test_memories_are_declared_and_not_initialized(
    generated: tuple[Path, Path, CoreParams],
) -> None:
    manifest, verilog, core = generated
    text = verilog.read_text()
    memories = re.findall(r"^\s*reg \[\d+:0\] (\S+) \[\d+:0\];", text, re.M)
    assert len(memories) > len(core.memories) - len(core.layers)  # scalars are registers
    synthesized = re.sub(r"^`ifndef SYNTHESIS\n.*?^`endif\n", "", text, flags=re.M | re.S)
    assert "initial" not in synthesized and "$readmem" not in text
    assert synthesized.count("always @(posedge clk)") > 100 and "always @*" not in text
    # In a simulator they start as 0, and so does what was last read of them.
    started = re.findall(r"^ +(\w+)\[simulated_word\] = 0;", text, re.M)
    assert sorted(started) == sorted(memories)
    assert not list(manifest.parent.glob("tmp*")), "scratch is left"


def test_files_are_untouched_when_nothing_changes(generated: tuple[Path, Path, CoreParams]) -> None:
    manifest, verilog, _ = generated
    files = [verilog, verilog.parent / "ports.json"]
    for file in files:
        os.utime(file, ns=(1, 1))
    before = [file.read_bytes() for file in files]
    assert generate(manifest) == verilog
    assert [file.stat().st_mtime_ns for file in files] == [1, 1]
    assert [file.read_bytes() for file in files] == before


def test_another_manifest_is_another_core(tmp_path: Path) -> None:
    """Into a folder of its own, without trace ports; the command says where."""
    manifest, core = write_manifest(tmp_path / "core", trace=False)
    out = tmp_path / "deep" / "out"
    result = CliRunner().invoke(main, [str(manifest), "--out", str(out)])
    assert result.exit_code == 0, result.output
    assert result.stdout == f"Verilog: {out / core.network.name}.v\n"
    assert sorted(path.name for path in out.iterdir()) == sorted(
        [f"{core.network.name}.v", "ports.json"]
    )
    assert "trace" not in (out / "ports.json").read_text()


def test_the_axi_top_has_ports_of_the_usual_names_and_its_registers_beside_it(
    tmp_path: Path,
) -> None:
    manifest, core = write_manifest(tmp_path)
    result = CliRunner().invoke(main, [str(manifest), "--top", "axi"])
    verilog = tmp_path / f"{core.network.name}_axi.v"
    assert result.exit_code == 0 and result.stdout == f"Verilog: {verilog}\n"
    text = verilog.read_text()
    assert f"// {AXI_TOP}: the core of network" in text and "trace" not in text.split("\n", 3)[3]
    module = text.split(f"module {AXI_TOP}(")[1].split("endmodule")[0]
    declared = {
        name: (direction, int(high or 0) + 1)
        for direction, high, name in re.findall(
            r"^\s*(input|output)\s+(?:\[(\d+):0\]\s+)?(\w+);", module, re.M
        )
    }
    inputs = {
        "aclk": 1, "aresetn": 1,
        "s_axi_awaddr": 14, "s_axi_awprot": 3, "s_axi_awvalid": 1,
        "s_axi_wdata": 32, "s_axi_wstrb": 4, "s_axi_wvalid": 1, "s_axi_bready": 1,
        "s_axi_araddr": 14, "s_axi_arprot": 3, "s_axi_arvalid": 1, "s_axi_rready": 1,
        "s_axis_events_tdata": 32, "s_axis_events_tlast": 1, "s_axis_events_tuser": 1,
        "s_axis_events_tvalid": 1, "m_axis_results_tready": 1,
    }  # fmt: skip
    outputs = {
        "s_axi_awready": 1, "s_axi_wready": 1, "s_axi_bresp": 2, "s_axi_bvalid": 1,
        "s_axi_arready": 1, "s_axi_rdata": 32, "s_axi_rresp": 2, "s_axi_rvalid": 1,
        "s_axis_events_tready": 1, "m_axis_results_tdata": 32, "m_axis_results_tlast": 1,
        "m_axis_results_tvalid": 1,
    }  # fmt: skip
    expected = {name: ("input", width) for name, width in inputs.items()}
    assert declared == expected | {name: ("output", width) for name, width in outputs.items()}
    assert "ASSOCIATED_BUSIF s_axi:s_axis_events:m_axis_results" in module
    untraced = CoreParams(core.network, replace(core.hardware, trace=False))
    assert verilog.with_suffix(".h").read_text() == c_header(untraced)
    assert verilog.with_suffix(".md").read_text() == markdown(untraced)


def test_an_axi_top_without_room_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    manifest, _ = write_manifest(tmp_path)
    edit(lambda m: m["network"]["readout"].update(logit_width=40))(manifest)
    before = sorted(tmp_path.iterdir())
    result = CliRunner().invoke(main, [str(manifest), "--top", "axi"])
    assert result.exit_code == 2 and "the AXI top sends at most 32" in result.stderr
    assert result.stderr.count("\n") == 1 and sorted(tmp_path.iterdir()) == before


def edit(change: Callable[[dict[str, Any]], Any]) -> Callable[[Path], None]:
    def apply(path: Path) -> None:
        content = json.loads(path.read_text())
        change(content)
        path.write_text(json.dumps(content))

    return apply


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda path: path.unlink(), "export a network first"),
        (lambda path: path.write_text("not json"), "is not a manifest"),
        (lambda path: path.write_bytes(b"\xff\x00"), "is not a manifest"),
        (edit(lambda m: m.update(schema_version=1)), "schema version 1"),
        (edit(lambda m: m["hardware"].update(lanes=0)), "lanes 0: use a whole number, 1 to 1024"),
        (edit(lambda m: m["hardware"].update(block=3)), "use 1, 2, 4, 8 or 16 timesteps"),
        (edit(lambda m: m["hardware"].pop("block")), "HardwareParams needs exactly"),
        (
            edit(lambda m: m["hardware"].update(lanes=4.0)),
            "lanes 4.0: use a whole number, 1 to 1024",
        ),
        (edit(lambda m: m["hardware"].update(trace="no")), "must be of type bool"),
        (edit(lambda m: m["network"]["layers"][0].update(n_inputs=True)), "must be of type int"),
        (edit(lambda m: m.update(images="abc")), "has no table of images"),
        (edit(lambda m: m["network"]["layers"][0].update(n_state=-1)), "use 0 to 1024"),
    ],
)
def test_a_wrong_manifest_is_refused_in_one_line(
    damage: Callable[[Path], Any], message: str, tmp_path: Path
) -> None:
    manifest, _ = write_manifest(tmp_path / "core")
    damage(manifest)
    out = tmp_path / "out"
    for arguments, folder in (([], manifest.parent), (["--out", str(out)], tmp_path)):
        before = sorted(folder.iterdir())
        result = CliRunner().invoke(main, [str(manifest), *arguments])
        assert result.exit_code == 2 and result.stdout == ""
        assert (
            result.stderr.startswith("error: ")
            and result.stderr.count("\n") == 1
            and message in result.stderr
        )
        assert sorted(folder.iterdir()) == before


def test_a_failure_leaves_the_earlier_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest, core = write_manifest(tmp_path)
    verilog = tmp_path / f"{core.network.name}.v"
    verilog.write_text("earlier\n")
    before = sorted(tmp_path.iterdir())

    def fail(*_: object) -> None:
        raise UserError("Yosys failed: no space left")

    monkeypatch.setattr(generate_module, "run_yosys", fail)
    with pytest.raises(UserError, match="no space left"):
        generate(manifest)
    assert verilog.read_text() == "earlier\n" and sorted(tmp_path.iterdir()) == before


def test_yosys_says_what_is_wrong(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="Yosys failed: .*no_such_command"):
        run_yosys(tmp_path, "no_such_command")
