"""Place and route: what a placer says, its report, and what is left of one that is ended."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from golden.errors import UserError
from golden.interface import Field, Interface, Port, interface_text
from rtl.synth.devices import DEVICES
from rtl.synth.place import find_program, place, read_report, signal_of
from rtl.synth.report import part_of, synthesize
from rtl.verilog.generate import TOP


@pytest.mark.long
def test_a_core_that_does_not_fit_is_named(tmp_path: Path) -> None:
    """More memory bits than the device has; nothing is left."""
    source = tmp_path / "big.v"
    source.write_text(
        "module dmp_core(input clk, input we, input [19:0] a, output reg [15:0] q);\n"
        '(* ram_style = "block" *) reg [15:0] m [0:1048575];\n'
        "always @(posedge clk) begin if (we) m[a] <= q + 1; q <= m[a]; end\nendmodule\n"
    )
    ports = [("clk", 1, "input"), ("we", 1, "input"), ("a", 20, "input"), ("q", 16, "output")]
    described = {name: Port(name, way, width) for name, width, way in ports}
    (tmp_path / "manifest.json").touch()
    fields = {"i_events": {"kind": Field("kind", 0, 2, False)}}
    text = interface_text(Interface(TOP, described, fields, [], []), tmp_path / "manifest.json")
    (tmp_path / "ports.json").write_text(text)
    device = DEVICES["ecp5-25k"]
    netlist = synthesize(source, device, tmp_path / "out").netlist
    with pytest.raises(UserError, match="nextpnr failed: .*"):
        place(netlist, device, [1], 50.0, jobs=1)


def test_what_a_placer_says_is_passed_on(tmp_path: Path) -> None:
    program = tmp_path / "nextpnr"
    program.write_text("#!/bin/sh\necho 'Info: packing' >&2; echo 'ERROR: no room' >&2; exit 1\n")
    program.chmod(0o755)
    device = replace(DEVICES["ecp5-25k"], placer=str(program))
    with pytest.raises(UserError, match="^nextpnr failed: no room$"):
        place(tmp_path / "netlist.json", device, [1], 50.0, jobs=1)


def test_a_bar_tells_what_a_seed_is_at(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report = {
        "fmax": {"clk": {"achieved": 70.0}}, "critical_paths": [], "utilization": {}
    }  # fmt: skip
    said = ("Packing IOs..", "Running Static placer...", "Routing..", "Routing complete.")
    program = tmp_path / "nextpnr"
    program.write_text(
        "#!/bin/sh\n"
        + "".join(f"echo 'Info: {words}' >&2; sleep 0.2\n" for words in said)
        + f"echo '{json.dumps(report)}' > seed5.json; echo \"$*\" > options\n"
    )
    program.chmod(0o755)
    device = replace(DEVICES["ecp5-25k"], placer=str(program))
    placed = place(tmp_path / "netlist.json", device, [5], 50.0, jobs=1, router="router2")
    assert [placement.fmax_mhz for placement in placed] == [70.0]
    bar = capsys.readouterr().err
    places = [bar.index(f"seed 5: {at}") for at in ("packing", "placing", "routing", "70.0 MHz")]
    assert places == sorted(places)
    assert "--router router2" in (tmp_path / "options").read_text()


ENDED = """
import sys
from dataclasses import replace
from pathlib import Path
from golden.errors import report_user_errors
from rtl.synth.devices import DEVICES
from rtl.synth.place import place

device = replace(DEVICES["ecp5-25k"], placer=str(Path("nextpnr").resolve()))
report_user_errors(place)(Path("netlist.json"), device, range(1, 9), 100.0, jobs=2)
"""


def test_a_placement_that_is_ended_leaves_no_nextpnr(tmp_path: Path) -> None:
    program = tmp_path / "nextpnr"
    program.write_text("#!/bin/sh\necho $$ > pid-$$\nexec sleep 1000\n")
    program.chmod(0o755)
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])}
    process = subprocess.Popen(
        [sys.executable, "-c", ENDED], cwd=tmp_path, env=environment, stderr=subprocess.PIPE
    )
    while len(list(tmp_path.glob("pid-*"))) < 2:
        assert process.poll() is None
        time.sleep(0.05)
    process.terminate()
    _, said = process.communicate(timeout=20)
    assert process.returncode == 128 + signal.SIGTERM
    assert said.endswith(b"\nterminated\n") and b"Traceback" not in said
    started = [int(path.read_text()) for path in tmp_path.glob("pid-*")]
    assert len(started) < 8 and not any(Path(f"/proc/{pid}").exists() for pid in started)


def test_the_fastest_of_a_report_and_its_signals() -> None:
    """Two clocks: the slower counts, with the path within it; delays of a signal's cells add up."""

    def step(cell: str, kind: str, delay: float) -> dict[str, Any]:
        return {"to": {"cell": cell}, "type": kind, "delay": delay}

    steps = [
        step("layer0.a_TRELLIS_FF_Q_3", "clk-to-q", 0.5),
        step("layer0.b_DI_LUT4_Z_1", "routing", 1.0),
        step("layer0.b_DI_LUT4_Z_1_C_LUT4_Z", "logic", 0.25),
        step("layer0.b", "routing", 0.5),
        step("readout.c_TRELLIS_FF_Q", "setup", 0.0),
    ]
    paths = [
        {"from": "posedge fast", "to": "posedge fast", "path": steps[:1]},
        {"from": "posedge slow", "to": "posedge fast", "path": steps[:2]},
        {"from": "posedge slow", "to": "posedge slow", "path": steps},
    ]
    report = {
        "fmax": {"fast": {"achieved": 200.0}, "slow": {"achieved": 100.0}},
        "critical_paths": paths,
        "utilization": {"DP16KD": {"used": 3, "available": 56}},
    }
    found = read_report(report, DEVICES["ecp5-25k"], 4)
    assert (found.seed, found.fmax_mhz) == (4, 100.0)
    assert found.used["block_rams"] == 3 and found.available["block_rams"] == 56
    assert found.path == [("layer0.a", 0.5, 0.0), ("layer0.b", 0.25, 1.5), ("readout.c", 0.0, 0.0)]
    with pytest.raises(UserError, match="no clock"):
        read_report(report | {"fmax": {}}, DEVICES["ecp5-25k"], 4)


def test_names_of_cells() -> None:
    assert signal_of("readout.before_6_TRELLIS_FF_Q_4") == "readout.before"
    assert signal_of("layer1.events.addresses.0.0") == "layer1.events.addresses.0.0"
    assert [
        part_of(name) for name in ("layer12.a.b", "readout.x", "o_counter_LUT4", "layers.a")
    ] == ["layer12", "readout", "core", "core"]


def test_a_missing_program_is_named() -> None:
    with pytest.raises(UserError, match=r"there is no nextpnr-none: install .*\[synth\]"):
        find_program("nextpnr-none")
