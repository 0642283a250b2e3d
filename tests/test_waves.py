"""`dmp waves`: the waveform of a core, and its views."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from pywellen import Waveform  # pyright: ignore[reportAttributeAccessIssue]  # it has no stubs

import tb.waves
from tb.cocotb_core import PERIOD
from tb.simulate import Simulation
from tb.waves import main
from tests.small_core import make_small_core

HEADERS = "#include <lz4.h>\n#include <zlib.h>\n"
needs_headers = pytest.mark.skipif(
    subprocess.run(["g++", "-E", "-x", "c++", "-"], input=HEADERS, text=True, capture_output=True)
    .returncode != 0,
    reason="needs the headers of zlib and lz4 (apt install zlib1g-dev liblz4-dev)",
)  # fmt: skip


@needs_headers
def test_a_waveform_and_its_views(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every signal of a view is in the waveform, with its width; and the waveform is of the core
    whose counters were read.
    """
    core, arguments = make_small_core(tmp_path)
    out = tmp_path / "out"
    seen: list[Simulation] = []
    simulate = tb.waves.simulate

    def record(*given: Any, **options: Any) -> Simulation:
        seen.append(simulate(*given, **options))
        return seen[-1]

    monkeypatch.setattr(tb.waves, "simulate", record)
    result = CliRunner().invoke(main, [*arguments, "--timesteps", "11", "--out", str(out)])
    assert result.exit_code == 0, result.output
    names = ["waves.fst", "waves.gtkw", "waves.sucl"]
    assert sorted(path.name for path in out.iterdir()) == names
    waveform = Waveform(str(out / "waves.fst"))
    widths = {signal.full_name: signal.bitwidth for signal in waveform.all_vars()}

    commands = [line.split() for line in (out / "waves.sucl").read_text().splitlines()]
    assert {command[0] for command in commands} == {"divider_add", "variable_add", "zoom_fit"}
    shown = [command[1] for command in commands if command[0] == "variable_add"]
    assert len(set(shown)) == len(shown) and set(shown) <= set(widths)
    dividers = [command[1] for command in commands if command[0] == "divider_add"]
    for part in core.parts:
        for component in ("", ".events", ".schedule", ".spike_path"):
            assert f"testbench.core.{part}{component}" in dividers
    for layer in range(len(core.layers)):
        assert f"testbench.core.layer{layer}.state_path.sums" in shown
        for port in ("front__available", "room", "starved", "stalled", "state_wait", "busy"):
            assert f"testbench.core.layer{layer}.schedule.{port}" in shown
    for stream in ("i_events", "o_results", "layer1.i", "readout.i"):
        assert f"testbench.core.{stream}__valid" in shown

    lines = (out / "waves.gtkw").read_text().splitlines()
    in_gtkwave = [line for line in lines if line.startswith("testbench.")]
    assert in_gtkwave == [name + f"[{widths[name] - 1}:0]" * (widths[name] > 1) for name in shown]
    assert '[dumpfile] "waves.fst"' in lines
    [simulation] = seen
    assert simulation.n_timesteps == 11
    assert f"[timestart] {PERIOD * simulation.first_cycle}" in lines

    signals = {signal.full_name: signal for signal in waveform.all_vars()}
    # A clock edge takes what was there before it; the clock rises at multiples of its period.
    edges = range(PERIOD, PERIOD * (int(simulation.result_cycles[-1]) + 2), PERIOD)
    assert all(signals["testbench.core.clk"].signal.value_at(edge) == 1 for edge in edges)
    for part in core.parts:
        accepted = signals[f"testbench.core.{part}.events.arrival__fires"].signal
        cycles = sum(accepted.value_at(edge - 1) or 0 for edge in edges)
        assert cycles == simulation.counters[f"{part}.events"] > 0


def test_what_is_missing_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A C++ compiler that finds no header; nothing is left behind."""
    _, arguments = make_small_core(tmp_path)
    compiler = tmp_path / "bin" / "g++"
    compiler.parent.mkdir()
    compiler.write_text("#!/bin/sh\nexit 1\n")
    compiler.chmod(0o755)
    monkeypatch.setenv("PATH", str(compiler.parent), prepend=":")
    out = tmp_path / "out"
    result = CliRunner().invoke(main, [*arguments, "--out", str(out)])
    assert result.exit_code == 2 and result.stderr.splitlines()[-1] == (
        "error: waves need the headers of zlib and lz4: apt install zlib1g-dev liblz4-dev"
    )
    assert not list(out.iterdir())
