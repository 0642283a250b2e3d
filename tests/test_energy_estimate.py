"""The estimate without gates: what it counts is what the gates do, and a fit finds the factors."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from energy import command
from energy.command import measure_work
from energy.estimate import Measured, fit, lines, main, read_estimate, read_runs, runs_text
from energy.technology import read_technology
from energy.work import Work, work_of
from export.core import make_core
from export.store import load_network
from golden.cost.cycles import accesses
from golden.cost.operands import used_operands
from golden.cost.timeline import Timeline
from golden.errors import UserError
from golden.hardware.core import CoreParams
from golden.hardware.params import HardwareParams
from golden.integer import NetworkIntegers, run
from golden.params import LayerParams
from golden.runs import empty_run

FACTORS = {"dense path": {"used": 9.0, "cycles": 0.04}, "counters": {"cycles": 6.0}}
# The memories of `rows` on 4 lanes that its netlist has as macros: words and bits of each.
LAYERS = {"c": (128, 16), "u": (128, 16), "ab": (110, 16), "p": (352, 32)}
MACROS = {
    **{f"layer{i}.{name}": size for i in range(2) for name, size in LAYERS.items()},
    "layer0.w_f": (896, 32), "layer0.payload": (96, 8),
    "layer1.w_f": (1024, 32), "layer1.w_x": (128, 8),
    "layer1.list": (384, 7), "readout.w_o": (384, 32), "readout.list": (384, 7),
}  # fmt: skip


def drawn(names: str, seed: int = 3) -> list[Measured]:
    """Return runs whose energies have the factors exactly; a network of each letter."""
    rng = np.random.default_rng(seed)
    found = []
    for name in names:
        terms = {c: {t: float(rng.uniform(1, 9)) for t in of} for c, of in FACTORS.items()}
        energies = {c: sum(FACTORS[c][t] * v for t, v in of.items()) for c, of in terms.items()}
        whole = 2.0 + sum(energies.values())
        found.append(Measured(name, f"{name}, 4 lanes", whole, energies, Work(1e4, 2.0, terms)))
    return found


def dearer(run: Measured, times: float) -> Measured:
    """Return a run all of whose energy but that of its memories is so many times as much."""
    energies = {name: times * energy for name, energy in run.components.items()}
    return replace(run, components=energies, energy=2.0 + sum(energies.values()))


def test_a_fit_finds_the_factors() -> None:
    """Of energies that have them exactly; of others it tells how far it is off, and further where
    the core that is off is left out of the fit.
    """
    runs = drawn("abcdef")
    exact = fit(runs)
    for name, factors in FACTORS.items():
        assert exact.factors[name] == pytest.approx(factors)
    assert exact.fitted_error == pytest.approx(0, abs=1e-9)
    assert exact.left_out_error == pytest.approx(0, abs=1e-9)
    assert exact.microjoules(runs[0].work) == pytest.approx(runs[0].energy)
    runs[2] = dearer(runs[2], 1.3)
    off = fit(runs)
    errors = [abs(off.microjoules(r.work) / r.energy - 1) for r in runs]
    assert off.fitted_error == pytest.approx(max(errors)) and off.fitted_error > 0.02
    # All others have the exact factors.
    assert off.left_out_error == pytest.approx(1 - drawn("abcdef")[2].energy / runs[2].energy)
    assert off.left_out_error > off.fitted_error


def test_a_network_that_runs_twice_is_left_out_as_a_whole() -> None:
    runs = drawn("abcdef")
    twice = [*(dearer(r, 2) if r.network == "a" else r for r in runs), dearer(runs[0], 2)]
    assert fit(twice).left_out_error == pytest.approx(1 - runs[0].energy / twice[0].energy)
    with pytest.raises(UserError, match="1 network to fit to: use reports of at least two"):
        fit([runs[0], runs[0]])


def test_what_is_held_out_does_not_change_the_fit() -> None:
    runs, other = drawn("abcdef"), dearer(drawn("x", 7)[0], 1.5)
    found = fit(runs, [other])
    assert found.factors == fit(runs).factors
    expected = 1 - drawn("x", 7)[0].energy / other.energy
    assert found.held_out == {"x, 4 lanes": pytest.approx(expected)}
    told = "\n".join(lines("n", found, runs[0].work))
    assert f"at most {expected:.1%} on 1 cores held out of it" in told
    assert f"n: {runs[0].energy:.2f} uJ" in told


def test_no_factor_is_negative() -> None:
    """Of two terms, where one would have -1 in a fit without limits, the other is fitted alone."""
    found = []
    for name, used, cycles in (("a", 1.0, 3.0), ("b", 2.0, 5.0), ("c", 3.0, 4.0)):
        work = Work(1.0, 0.0, {"dense path": {"used": used, "cycles": cycles}})
        found.append(Measured(name, name, 10.0, {"dense path": 3 * used - cycles / 2}, work))
    assert fit(found).factors["dense path"]["cycles"] == 0
    used, wanted = np.array([1.0, 2.0, 3.0]), np.array([1.5, 3.5, 7.0])
    alone = float(used @ wanted / (used @ used))
    assert fit(found).factors["dense path"]["used"] == pytest.approx(alone)


def test_the_command_fits_reports(tmp_path: Path) -> None:
    runs = drawn("abcde")
    paths = []
    for index, one in enumerate(runs):
        paths.append(tmp_path / f"{index}.json")
        components = {
            name: {"logic": energy / 4, "clock": 3 * energy / 4, "memories": 1.0, "total": 9.0}
            for name, energy in one.components.items()
        }
        report = {
            "network": one.network, "lanes": index, "block": 1, "events_per_cycle": 2,
            "products_per_cycle": 3, "hold_operands": index == 1, "ablations": [],
            "graded": ["own", "shared"][index == 3], "list_buffers": 3 * (1 + (index == 3)),
            "link_items": 1 + (index == 3), "input_items": 1 + 3 * (index == 3),
            "segment_words": 1024 >> 2 * (index == 1), "counters": ["all", "none"][index == 2],
            "sequences": {"source": "drawn, with 3" if index == 4 else "of a.npz"},
            "work": asdict(one.work), "mhz": 100.0,
            "microjoules": {"inference": one.energy, "components": components},
        }  # fmt: skip
        paths[-1].write_text(json.dumps(report))
    out = tmp_path / "estimate.json"
    told = [*map(str, paths[:4]), "--held-out", str(paths[4]), "--out", str(out)]
    done = CliRunner().invoke(main, told)
    assert done.exit_code == 0, done.output
    found = read_estimate(out)
    assert found.factors["dense path"] == pytest.approx(FACTORS["dense path"])
    wide = "graded inputs share multipliers, 6 lists, links of 2 items, input of 4 items"
    assert found.cores == [
        "a, 0 lanes, E = 2, K = 3",
        "b, 1 lanes, E = 2, K = 3, operands hold, segments of 256",
        "c, 2 lanes, E = 2, K = 3, counters: none",
        f"d, 3 lanes, E = 2, K = 3, {wide}",
    ]
    held = "e, 4 lanes, E = 2, K = 3, drawn events"
    assert found.held_out == {held: pytest.approx(0, abs=1e-9)}
    good = json.loads(paths[0].read_text())
    for content, words in {
        json.dumps(good | {"ablations": ["no-fusion"]}): "is of a core ablated by no-fusion",
        json.dumps(good | {"mhz": 50.0}): "is at 50 MHz: measure it at 100",
        '{"mhz": 100}': "has no 'ablations': measure it again",
        "{}": "has no 'mhz': measure it again",
        "[]": "is no report of dmp energy: use its energy.json",
        "no JSON": "is no report of dmp energy: use its energy.json",
    }.items():
        paths[0].write_text(content)
        done = CliRunner().invoke(main, told)
        assert done.exit_code == 2 and f"0.json {words}" in done.output, done.output


def test_what_the_multipliers_see() -> None:
    """Of 3 slow states and a drive, in two timesteps, 3 are not zero."""
    params = LayerParams(4, 2, 3)
    done = empty_run(params, 1, 2, trace=True)
    assert done.state is not None and done.drive is not None
    done.state[0, 1] = [5, -6, 0]
    done.drive[0, 1] = 1
    assert used_operands(params, done) == 3 / 8
    assert used_operands(LayerParams(4, 2, 0), empty_run(params, 1, 2, True)) == 0


def work_of_rows(
    hardware: HardwareParams, cycles: float = 1000.0
) -> tuple[CoreParams, dict[str, float], Work]:
    """Return a core of `rows`, what its accesses count, and the work, for two short sequences."""
    network = load_network("rows")
    core = CoreParams(network.params, hardware)
    payloads = np.random.default_rng(0).integers(0, 256, (2, 16, 28))
    golden = run(network, payloads, block=hardware.block)
    counts = {name: count.sum() / 2 for name, count in accesses(core, golden).items()}
    return core, counts, work_of(core, golden, [0.5, 0.5], cycles, read_technology())


def test_shared_products_are_those_of_the_dense_path() -> None:
    """With multipliers of their own or shared: the same bits, in the one or the other component."""
    own, shared = (
        work_of_rows(HardwareParams(4, graded=graded))[2] for graded in ("own", "shared")
    )
    moved = own.components["spike path"]["products"]
    assert moved > 0 == shared.components["spike path"]["products"]
    dense = [work.components["dense path"] for work in (own, shared)]
    assert dense[1]["used"] == pytest.approx(dense[0]["used"] + moved)
    assert dense[1]["clocked"] > dense[0]["clocked"] and dense[1]["cycles"] == dense[0]["cycles"]


def test_what_an_inference_takes() -> None:
    """Accesses times macros, of which a memory of 512 bits at most is none; and of each component
    what passes through it, in millions of bits. The slow states are 32 words of 16 bits, twice.
    """
    core, counts, work = work_of_rows(HardwareParams(4))
    technology, expected = read_technology(), 0.0
    for name, (words, width) in MACROS.items():
        cost = technology.memory(words, width, 1)
        expected += counts[f"{name}_reads"] * cost.read
        expected += counts.get(f"{name}_writes", 0) * cost.write
    assert work.memories == pytest.approx(expected / 1e6)
    of = {name: {t: v * 1e6 for t, v in terms.items()} for name, terms in work.components.items()}
    layers = ("layer0", "layer1")

    def both(what: str) -> float:
        return sum(counts[f"{layer}.{what}"] for layer in layers)

    products = 4 * both("state_products")
    currents = [layer.params.current_sum.width for layer in core.layers]
    sums = [layer.params.spike_sum.width for layer in core.layers]
    assert currents[0] == currents[1]
    assert of["dense path"] == pytest.approx({
        "used": products * 128 / 2,
        "clocked": products * (24 + currents[0]) + both("p_reads") * (4 * 8 + 16),
        "cycles": 1000 * 2 * 4 * 24,
    })  # fmt: skip
    updated = both("update_products")
    assert of["state update"] == pytest.approx({
        "used": updated * 128,
        "clocked": updated * 32,
        "kept": (both("m_reads") + both("history_reads")) * 32 * 16,
        "cycles": 1000 * 2 * 32,
    })  # fmt: skip
    added = [4 * counts[f"{layer}.spike_additions"] for layer in layers]
    assert of["spike path"] == pytest.approx({
        "sums": added[0] * sums[0] + added[1] * sums[1],
        "products": added[0] * 8 * 8,
        "weights": both("w_f_reads") * 32,
        "cycles": 1000 * 4 * sum(sums),
    })  # fmt: skip
    assert of["neuron stage"] == pytest.approx({
        "sums": sum(counts[f"layer{i}.leak_products"] * (sums[i] + currents[i]) for i in range(2)),
        "cycles": 1000 * 2 * 16,
    })  # fmt: skip
    lists = {"layer0": 5, "layer1": 7, "readout": 7}
    words = {n: counts[f"{n}.list_reads"] + counts[f"{n}.list_writes"] for n in lists}
    assert of["lists and encoders"] == pytest.approx(
        {"words": sum(width * words[name] for name, width in lists.items()), "cycles": 3000}
    )
    assert of["counters"] == pytest.approx({"cycles": 1000 * len(core.counters)})
    assert of["control"] == of["load"] == {"cycles": 1000}
    logit = core.readout.params.logit.width
    assert of["readout"] == pytest.approx({
        "sums": counts["readout.spike_additions"] * 4 * logit,
        "products": 0,
        "weights": counts["readout.w_o_reads"] * 4 * 8,
        "cycles": 1000 * 4 * logit,
        "logits": counts["readout.logits_writes"] * 4 * logit,
    })  # fmt: skip


def test_the_queue_of_drives_is_read_in_every_cycle() -> None:
    """With 8 timesteps a block it has 40 words of 18 bits, as many as make it a memory."""
    queue = read_technology().memory(40, 18, 1)
    for block, read in ((8, queue.read), (1, 0)):
        few, many = (work_of_rows(HardwareParams(4, block), n)[2].memories for n in (1e3, 3e3))
        assert many - few == pytest.approx(2 * 2e3 * read / 1e6, abs=1e-9)


def test_the_work_is_the_mean_of_sequences_that_run_alone() -> None:
    network = load_network("rows")
    core, technology = CoreParams(network.params, HardwareParams(8, 2)), read_technology()
    payloads = np.random.default_rng(0).integers(0, 256, (2, 6, 28)) // np.array([[[1]], [[200]]])
    both, _ = measure_work(core, network, payloads, technology)
    alone = [measure_work(core, network, one[None], technology)[0] for one in payloads]
    assert both.cycles == np.mean([one.cycles for one in alone]) != alone[0].cycles
    assert both.memories == pytest.approx(np.mean([one.memories for one in alone]))
    golden = run(network, payloads[:1], block=2, trace=True)
    assert alone[0].cycles == Timeline(core, payloads[:1], golden.layers).ends[0] + 2


def test_the_runs_of_the_shipped_estimate() -> None:
    """Each has an energy that is the sum of its parts; they are read as they were written."""
    fitted, held_out = read_runs()
    for one in [*fitted, *held_out]:
        parts = one.work.memories + sum(one.components.values())
        assert one.energy == pytest.approx(parts, rel=0.01), one.core
        assert set(one.components) >= set(one.work.components)
    assert json.loads(runs_text(fitted, held_out))["fitted"][0] == asdict(fitted[0])
    names = [one.core for one in [*fitted, *held_out]]
    assert len(set(names) & {one.core for one in held_out}) == len(held_out)
    assert not {one.core for one in fitted} & {one.core for one in held_out}


def test_the_error_of_the_shipped_estimate() -> None:
    """Within 15 % of gates on cores that were not fitted."""
    shipped = read_estimate()
    assert len(shipped.cores) > 5 and len(shipped.held_out) >= 3
    assert shipped.fitted_error < 0.1 and shipped.fitted_error < shipped.left_out_error < 0.15
    assert max(shipped.held_out.values()) < 0.15


CHIP = HardwareParams(4, hold_operands=True, segment_words=256, trace=False)


def measured_rows() -> Measured:
    """Return the run of `rows` on 4 lanes, built for a chip."""
    (found,) = (one for one in read_runs()[0] if one.core.startswith("rows, 4 lanes, operands"))
    return found


def test_the_shipped_work_is_that_of_the_golden_model() -> None:
    """What was measured has the work that the golden model tells today, but for a few cycles: the
    cores of the fit have a pipeline that is a stage shorter.
    """
    network: NetworkIntegers = load_network("rows")
    core, shipped = CoreParams(network.params, CHIP), measured_rows().work
    dataset = command.find_dataset("rows", None)
    work, _ = measure_work(core, network, dataset.sequences(slice(1)), read_technology())
    assert 0 <= work.cycles - shipped.cycles <= 2 * len(core.parts)
    assert work.memories == pytest.approx(shipped.memories, rel=1e-3)
    for component, terms in work.components.items():
        assert terms == pytest.approx(shipped.components[component], rel=1e-3), component


def test_the_command_estimates(tmp_path: Path) -> None:
    """It says its error, and leaves no report. `rows` on 4 lanes is among the cores of the fit."""
    manifest = make_core("rows", CHIP, tmp_path / "rows")
    asked = [str(manifest), "--network", "rows", "--estimate"]
    done = CliRunner().invoke(command.main, asked)
    assert done.exit_code == 0, done.output
    (found,) = re.findall(r"^estimate   rows: ([0-9.]+) uJ", done.output, re.M)
    estimate = read_estimate()
    assert float(found) == pytest.approx(measured_rows().energy, rel=estimate.fitted_error + 0.002)
    assert f"{estimate.left_out_error:.1%} on each" in done.output
    assert not (manifest.parent / command.REPORT).exists()
    done = CliRunner().invoke(command.main, [*asked, "--liberty", "a.lib"])
    assert done.exit_code == 2 and "--estimate with --liberty a.lib" in done.output
