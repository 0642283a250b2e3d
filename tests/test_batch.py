"""Whole test sets through a shared library of the core: random networks, and a shipped one."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from export.core import write_core
from export.items import load_items
from export.store import find_dataset, load_network
from golden.cost.timeline import Timeline
from golden.data.sequence_files import save_sequences
from golden.errors import UserError
from golden.hardware.core import CoreParams
from golden.hardware.params import HardwareParams
from golden.integer import NetworkIntegers, run
from rtl.verilog.generate import generate
from tb.batch import LoadedCore, main, prepare, run_batch, run_chunk
from tb.compare import expected_counters
from tests.networks import draw_network

FAST = "-O0"  # a test's model runs for less time than an optimizing compiler takes


def make_core(network: NetworkIntegers, hardware: HardwareParams, folder: Path) -> Path:
    """Export and generate a core; return its manifest."""
    manifest = write_core(network, CoreParams(network.params, hardware), folder)
    generate(manifest)
    return manifest


@pytest.mark.parametrize(
    ("seed", "counted"), [pytest.param(36, "errors", marks=pytest.mark.long), (38, "all")]
)
def test_random_network(seed: int, counted: str, tmp_path: Path) -> None:
    """The one with trace ports counts its accesses, the other one without them its errors alone."""
    drawn = draw_network(seed, n_sequences=5, max_neurons=16, max_inputs=12)
    whole = counted == "all"
    hardware = replace(drawn.hardware, trace=whole, access_counters=whole, counters=counted)
    job = prepare(make_core(drawn.network, hardware, tmp_path), optimize=FAST)
    done: list[int] = []
    batch = run_batch(job, drawn.payloads, progress=done.append)
    assert batch.mismatches == 0, batch.first
    assert sum(done) == 5
    golden = run(drawn.network, drawn.payloads, block=hardware.block)
    assert np.array_equal(batch.logits, golden.logits)
    assert np.array_equal(batch.classes, golden.classes)
    spikes = np.stack([layer.spike_counts.sum(1) for layer in golden.layers], 1)
    assert np.array_equal(batch.spikes, spikes)
    for sample, cycles in enumerate(batch.cycles):  # each in a core that is at rest
        alone = drawn.payloads[sample : sample + 1]
        traced = run(drawn.network, alone, block=hardware.block, trace=True)
        assert cycles == Timeline(job.core, alone, traced.layers).ends[0] + 1
    counters = expected_counters(job.core, golden)
    assert not whole or (
        {"layer0.busy_cycles", "layer0.u_reads", "readout.w_o_reads"} <= set(counters)
    )
    assert set(batch.counters) == set(job.core.counters) >= set(counters)
    assert whole or list(counters) == job.core.errors
    for name, values in counters.items():
        assert np.array_equal(batch.counters[name], values), name
    assert batch.values_compared == 5 * (golden.logits.shape[1] + 1 + len(counters))


def test_one_build_serves_every_network_of_a_shape(tmp_path: Path) -> None:
    drawn = draw_network(38, n_sequences=3, max_neurons=16, max_inputs=12)
    network = drawn.network
    other = replace(
        network,
        params=replace(network.params, name="other"),
        layers=tuple(replace(layer, w_f=np.roll(layer.w_f, 1, 0)) for layer in network.layers),
        w_o=np.roll(network.w_o, 1, 1),
    )
    jobs, logits, built = [], [], []
    for name, of in {"one": network, "other": other}.items():
        manifest = make_core(of, drawn.hardware, tmp_path / name)
        job = prepare(manifest, optimize=FAST)
        loaded = LoadedCore(job)
        batch = run_chunk(loaded, job, drawn.payloads)
        loaded.close()
        assert batch.mismatches == 0, batch.first
        jobs.append(job)
        built.append((job.shared_object, job.shared_object.stat().st_mtime_ns))
        logits.append(batch.logits)
    assert built[0] == built[1]
    assert not np.array_equal(*logits)
    # But not one with a class more.
    job = jobs[0]
    readout = job.core.network.readout
    more = replace(job.core.network, output=replace(readout, n_classes=readout.n_classes + 1))
    with pytest.raises(UserError, match=f"the core sent {readout.n_classes} results"):
        run_batch(replace(job, core=CoreParams(more, job.core.hardware)), drawn.payloads, jobs=1)
    with pytest.raises(UserError, match="no samples"):
        run_batch(job, drawn.payloads[:0])


def test_what_cannot_be_built_is_an_error(tmp_path: Path) -> None:
    drawn = draw_network(38, max_neurons=6, max_inputs=4)
    manifest = make_core(drawn.network, drawn.hardware, tmp_path)
    verilog = tmp_path / f"{drawn.network.params.name}.v"
    verilog.write_text("module dmp_core(; endmodule\n")
    with pytest.raises(UserError, match="could not build the core"):
        prepare(manifest)
    verilog.unlink()
    with pytest.raises(UserError, match="generate the core first"):
        prepare(manifest)


def test_rows_from_the_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hardware = HardwareParams(8, block=2, products_per_cycle=2, access_counters=True)
    manifest = make_core(load_network("rows"), hardware, tmp_path)
    arguments = [str(manifest), "--shipped", "--digits", "6", "--optimize", FAST]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output
    report = json.loads((tmp_path / "testset.json").read_text())
    assert report["digits"] == 6 and report["mismatches"] == 0 and report["lanes"] == 8
    assert report["accuracy"] == report["accuracy_golden"] >= 0.8
    hardware = ("block", "events_per_cycle", "products_per_cycle")
    assert [report[name] for name in hardware] == [2, 1, 2]
    # 14 blocks of 16 groups, which take 6 steps at least: 11 columns of the dense path.
    assert report["cycles_per_digit"] > 14 * 16 * 6
    assert set(report["utilisation"]) == {"layer0", "layer1", "readout"}
    assert 0.9 < report["utilisation"]["layer1"] <= 1

    save_sequences(tmp_path / "own.npz", find_dataset("rows").sequences(slice(2)))
    own = [str(manifest), "--data", str(tmp_path / "own.npz"), "--optimize", FAST]
    result = CliRunner().invoke(main, own)
    assert result.exit_code == 0 and "accuracy  no labels" in result.output, result.output
    report = json.loads((tmp_path / "testset.json").read_text())
    assert report["digits"] == 2 and report["mismatches"] == 0
    assert report["accuracy"] is None and report["accuracy_golden"] is None

    def load_wrongly(*given: Any) -> np.ndarray:
        interface = given[0]
        items = load_items(*given)
        is_first = interface.unpack("i_load", items)["first"]
        word = np.flatnonzero(is_first)[-1] + 1  # the first bias of the readout
        items[word] ^= np.uint64(1 << interface.fields["i_load"]["data"].offset)
        return items

    monkeypatch.setattr("tb.batch.load_items", load_wrongly)
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 1
    assert "6 values differ from the golden model" in result.output
    assert "logits at sample 0, class 0" in result.output
    assert json.loads((tmp_path / "testset.json").read_text())["mismatches"] == 6


def test_bad_input_is_one_line(tmp_path: Path) -> None:
    network = load_network("rows")
    manifest = write_core(network, CoreParams(network.params, HardwareParams(16)), tmp_path)
    for options, words in {
        ("--shipped", "--data", str(tmp_path)): "use one of them",
        ("--shipped", "--digits", "201"): "there are 200",
        ("--data", str(tmp_path)): "set --data to the folder",
    }.items():
        result = CliRunner().invoke(main, [str(manifest), *options])
        assert result.exit_code == 2
        assert words in result.output and len(result.output.splitlines()) == 1
