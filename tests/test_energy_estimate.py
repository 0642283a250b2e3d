"""The estimate without gates: what it counts is what the gates do, and a fit finds the factors."""

from __future__ import annotations

import json
import re
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from energy import command
from energy.estimate import Estimate, Work, fit, main, read_estimate, work_of
from energy.technology import read_technology
from export.core import make_core
from export.store import load_network
from golden.cost.cycles import accesses
from golden.errors import UserError
from golden.hardware.core import CoreParams
from golden.hardware.part import HardwareParams
from golden.integer import run
from rtl.verilog.generate import generate

FACTORS = [0.04, 9.0, 6.0]
# The memories of `rows` on 4 lanes that its netlist has as macros: words and bits of each.
LAYERS = {
    "c": (128, 16), "u": (128, 16), "ab": (110, 16), "m": (32, 16), "history": (32, 16),
    "p": (352, 32),
}  # fmt: skip
MACROS = {
    **{f"layer{i}.{name}": size for i in range(2) for name, size in LAYERS.items()},
    "layer0.w_f": (896, 32), "layer0.w_x": (28, 8), "layer0.list": (96, 5),
    "layer0.payload": (96, 8), "layer1.w_f": (1024, 32), "layer1.w_x": (128, 8),
    "layer1.list": (384, 7), "readout.w_o": (384, 32), "readout.list": (384, 7),
}  # fmt: skip


def drawn(count: int) -> list[Work]:
    rng = np.random.default_rng(3)
    terms = rng.uniform(1, 9, (count, 3)) * [1e8, 1e5, 1e5]
    return [
        Work(1e4, registers, products, additions, 2.0) for registers, products, additions in terms
    ]


def energies(works: list[Work]) -> list[float]:
    return [w.memories + float(np.dot(FACTORS, w.terms)) for w in works]


def test_a_fit_finds_the_factors() -> None:
    """Of energies that have them exactly; of others it tells how far it is off, and further where
    the core that is off is left out of the fit.
    """
    works = drawn(6)
    exact = fit(list("abcdef"), works, energies(works))
    assert exact.factors == pytest.approx(FACTORS)
    assert exact.fitted_error == pytest.approx(0, abs=1e-9)
    assert exact.left_out_error == pytest.approx(0, abs=1e-9)
    assert exact.microjoules(works[0]) == pytest.approx(energies(works)[0])
    other = energies(works)
    other[2] *= 1.3
    off = fit(list("abcdef"), works, other)
    errors = [abs(off.microjoules(w) / e - 1) for w, e in zip(works, other, strict=True)]
    assert off.fitted_error == pytest.approx(max(errors)) and off.fitted_error > 0.02
    assert off.left_out_error > off.fitted_error
    # A network that runs twice is left out as a whole.
    for i in range(len(works)):
        energy = energies([*works, works[i]])
        energy[i] = energy[-1] = 2 * energy[i]
        names = [f"{name}, 4 lanes" for name in "abcdef"]
        apart = fit([*names, "g, 4 lanes"], [*works, works[i]], energy)
        together = fit([*names, names[i]], [*works, works[i]], energy)
        assert together.factors == pytest.approx(apart.factors)
        assert together.left_out_error >= apart.left_out_error
        # All others have the exact factors, which tell half of the doubled energy.
        assert together.left_out_error >= 0.5 - 1e-9
    with pytest.raises(UserError, match="3 cores to fit 3 factors to: use more"):
        fit(list("abc"), works[:3], energies(works)[:3])


def test_the_command_fits_reports(tmp_path: Path) -> None:
    works = drawn(5)
    paths = []
    for index, (work, energy) in enumerate(zip(works, energies(works), strict=True)):
        paths.append(tmp_path / f"{index}.json")
        report = {"network": "n", "lanes": index, "block": 1, "work": asdict(work)}
        paths[-1].write_text(json.dumps({**report, "microjoules": {"inference": energy}}))
    out = tmp_path / "estimate.json"
    done = CliRunner().invoke(main, [*map(str, paths), "--out", str(out)])
    assert done.exit_code == 0, done.output
    found = read_estimate(out)
    assert found.factors == pytest.approx(FACTORS) and found.cores[3] == "n, 3 lanes, T = 1"
    paths[0].write_text("{}")
    done = CliRunner().invoke(main, [*map(str, paths), "--out", str(out)])
    assert done.exit_code == 2 and "a report has no 'work'" in done.output


def test_what_an_inference_takes() -> None:
    """Cycles and registers; products and additions of lanes; accesses times macros, of which a
    memory of 16 words at most is none.
    """
    network, technology = load_network("rows"), read_technology()
    core = CoreParams(network.params, HardwareParams(4))
    payloads = np.random.default_rng(0).integers(0, 256, (2, 7, 28))
    work = work_of(core, network, payloads, technology, 1000)
    counts = {
        name: count.sum() / 2 for name, count in accesses(core, run(network, payloads)).items()
    }
    assert work.register_cycles == pytest.approx(1000 * work.cycles)
    added = sum(count for name, count in counts.items() if name.endswith("additions"))
    assert work.additions == pytest.approx(4 * added)
    assert work.products > 4 * sum(
        c for name, c in counts.items() if name.endswith("state_products")
    )
    expected = 0.0
    for name, (words, width) in MACROS.items():
        cost = technology.memory(words, width, 1)
        expected += counts[f"{name}_reads"] * cost.read
        expected += counts.get(f"{name}_writes", 0) * cost.write
    assert work.memories == pytest.approx(expected / 1e6)
    dear = Estimate([0.0, 0.0, 0.0], 0.0, 0.0, [])
    assert dear.microjoules(work) == work.memories


def test_the_error_of_the_shipped_estimate() -> None:
    shipped = read_estimate()
    assert len(shipped.cores) > 5 and all(factor > 0 for factor in shipped.factors)
    assert shipped.fitted_error < 0.1 and shipped.fitted_error < shipped.left_out_error < 0.25


@pytest.mark.long
def test_the_command_estimates(tmp_path: Path) -> None:
    """It says its error, and leaves no report. `rows` on 4 lanes takes 4.59 uJ in gates."""
    manifest = make_core("rows", HardwareParams(4, trace=False), tmp_path / "rows")
    generate(manifest)
    done = CliRunner().invoke(command.main, [str(manifest), "--network", "rows", "--estimate"])
    assert done.exit_code == 0, done.output
    (found,) = re.findall(r"^estimate   rows: ([0-9.]+) uJ", done.output, re.M)
    assert float(found) == pytest.approx(4.59, rel=0.2)
    assert f"{read_estimate().left_out_error:.1%} on each" in done.output
    assert not (manifest.parent / command.REPORT).exists()
