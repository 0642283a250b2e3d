"""Estimate the energy of an inference without gates: from the golden model's cycles, accesses and
products, the macros of a technology, and how many registers the Verilog has.

    energy = accesses x macros + cycles x registers x a + products x b + additions x c

The factors a, b, c are fitted to runs in gates (`fit`); `estimate.json` beside this file has them,
and how far the estimate is from gates.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np

from energy.gates import REGISTERS
from energy.netlist import MEMORY
from energy.technology import Technology
from golden.command_line import Command
from golden.cost.cycles import accesses
from golden.cost.timeline import Timeline
from golden.errors import UserError, report_user_errors
from golden.files import write_whole
from golden.hardware.core import CoreParams
from golden.hardware.layer import LayerHardware
from golden.integer import NetworkIntegers, run
from golden.interface import read_verilog
from rtl.verilog.generate import TOP
from rtl.verilog.yosys import read_netlist, run_yosys

FITTED = Path(__file__).with_name("estimate.json")
# What the memories are called in `golden.hardware`, where an access counter calls them otherwise.
MEMORIES = {"payload": "payloads0", "ring": "ring0"}


@dataclass(frozen=True)
class Work:
    """What an inference takes of a core: `register_cycles` are its cycles times the registers that
    have no enable; `products` and `additions` are those of single lanes; `memories` the energy of
    all accesses (uJ).
    """

    cycles: float
    register_cycles: float
    products: float
    additions: float
    memories: float

    @property
    def terms(self) -> list[float]:
        """What the factors are of: in millions."""
        return [self.register_cycles / 1e6, self.products / 1e6, self.additions / 1e6]


@dataclass(frozen=True)
class Estimate:
    """The factors (pJ) of `Work.terms`; the largest error of the cores that they were fitted to,
    and of cores whose network was left out of the fit (shares of the energy in gates).
    """

    factors: list[float]
    fitted_error: float
    left_out_error: float
    cores: list[str]

    def microjoules(self, work: Work) -> float:
        return work.memories + float(np.dot(self.factors, work.terms))


def free_registers(verilog: Path) -> int:
    """Return the bits of a core's registers that have no enable, from a coarse synthesis."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        (folder / "core.v").write_text(read_verilog(verilog))
        run_yosys(
            folder,
            *("read_verilog core.v", f"hierarchy -check -top {TOP}", "proc", "flatten"),
            *("opt_expr", "opt_clean", "opt -nodffe -nosdff", "opt_clean", "memory -nomap"),
            f"memory_map t:{MEMORY} r:SIZE<={REGISTERS} %i",
            *("opt -full", "opt_clean", "write_json netlist.json"),
        )
        cells = read_netlist(folder / "netlist.json")["modules"][TOP]["cells"].values()
    free = (cell for cell in cells if cell["type"] in ("$dff", "$sdff"))
    return sum(int(cell["parameters"]["WIDTH"], 2) for cell in free)


def work_of(
    core: CoreParams,
    network: NetworkIntegers,
    payloads: np.ndarray,
    technology: Technology,
    registers: int,
) -> Work:
    """Return what an inference takes, the mean of sequences (B, K, M) that are run one by one."""
    count = len(payloads)
    golden = run(network, payloads, block=core.hardware.block, trace=True)
    counts = {name: int(found.sum()) for name, found in accesses(core, golden).items()}
    cycles = 0
    for index in range(count):
        one = run(network, payloads[index][None], block=core.hardware.block, trace=True)
        cycles += int(Timeline(core, payloads[index][None], one.layers).ends[0]) + 2
    memories = products = additions = 0.0
    for name, number in counts.items():
        part_name, _, what = name.partition(".")
        part = core.parts[part_name]
        of, _, access = what.rpartition("_")
        lanes = part.lanes
        if access == "products":
            if isinstance(part, LayerHardware) and of != "state":
                lanes = part.state_update.lanes if of == "update" else part.neuron_fold.units
            products += number * lanes
        elif access == "additions":
            additions += number * lanes
        else:
            kept = (part.memories | part.buffers)[MEMORIES.get(of, of)]
            depths = kept.segments if of in part.memories else [kept.depth]
            memories += number * _access(technology, depths, kept.width, access)
    return Work(
        cycles / count, cycles * registers / count, products / count, additions / count,
        memories / count / 1e6,
    )  # fmt: skip


def _access(technology: Technology, depths: Sequence[int], width: int, access: str) -> float:
    """Return pJ of an access to a word of any of these memories, each as likely as another."""
    total = 0.0
    for words in depths:
        if words > REGISTERS:
            cost = technology.memory(words, width, 1)
            total += words * (cost.read if access == "reads" else cost.write)
    return total / sum(depths)


def fit(names: Sequence[str], works: Sequence[Work], gates: Sequence[float]) -> Estimate:
    """Return the factors with the least squares of relative errors, for energies (uJ) of runs in
    gates; `names` begin with the network, and a comma.
    """
    if len(works) <= len(works[0].terms):
        raise UserError(f"{len(works)} cores to fit {len(works[0].terms)} factors to: use more")
    energies = np.array(gates)
    terms = np.array([work.terms for work in works]) / energies[:, None]
    rest = 1 - np.array([work.memories for work in works]) / energies

    def factors(chosen: np.ndarray) -> np.ndarray:
        return np.linalg.lstsq(terms[chosen], rest[chosen], rcond=None)[0]

    everything = np.arange(len(works))
    networks = np.array([name.split(",")[0] for name in names])
    found = factors(everything)
    left_out = [
        abs(terms[i] @ factors(everything[networks != networks[i]]) - rest[i]) for i in everything
    ]
    fitted = np.abs(terms @ found - rest).max()
    return Estimate(found.tolist(), float(fitted), float(max(left_out)), list(names))


def read_estimate(path: Path = FITTED) -> Estimate:
    return Estimate(**json.loads(path.read_text()))


def lines(name: str, estimate: Estimate, work: Work) -> list[str]:
    """Return the lines that tell a user what was estimated."""
    energy, of_memories = estimate.microjoules(work), work.memories
    fitted, left_out = estimate.fitted_error, estimate.left_out_error
    return [
        f"estimate   {name}: {energy:.2f} uJ an inference, {of_memories:.2f} of it in memories",
        f"cycles     {work.cycles:.0f} an inference",
        f"error      at most {fitted:.1%} on the {len(estimate.cores)} cores that it was fitted to",
        f"           at most {left_out:.1%} on each of them, its network left out of the fit",
    ]


@click.command(cls=Command)
@click.argument("reports", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--out", required=True, type=click.Path(path_type=Path), help="The file to write")
@report_user_errors
def main(reports: tuple[Path, ...], out: Path) -> None:
    """Fit the factors of dmp energy --estimate to the REPORTS (energy.json) of runs in gates."""
    found: list[dict[str, Any]] = [json.loads(path.read_text()) for path in reports]
    try:
        works = [Work(**report["work"]) for report in found]
        gates = [report["microjoules"]["inference"] for report in found]
        names = [f"{r['network']}, {r['lanes']} lanes, T = {r['block']}" for r in found]
    except (KeyError, TypeError) as error:
        raise UserError(f"a report has no {error}: measure it again by dmp energy") from None
    estimate = fit(names, works, gates)
    write_whole(out, json.dumps(asdict(estimate), indent=1) + "\n")
    factors = ", ".join(f"{factor:.4g}" for factor in estimate.factors)
    print(f"factors {factors} pJ; errors {estimate.fitted_error:.1%}, left out"
          f" {estimate.left_out_error:.1%}: {out}")  # fmt: skip
