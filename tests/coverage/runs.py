"""The networks that coverage is measured with, and their runs in Verilator."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from export.core import read_images, write_core
from export.items import load_items, pack_events, to_items
from golden.cost.cycles import settle_cycles, watchdog_cycles
from golden.errors import UserError
from golden.hardware.core import CoreParams
from golden.interface import read_interface, read_verilog, without_head
from rtl.verilog.generate import generate
from tb.compiled import COVERAGE, CompiledCore, build_compiled
from tb.gaps import draw_gaps
from tb.outputs import ends_of_sequence
from tests.coverage.points import Point, read_points
from tests.coverage.verilog import with_counting
from tests.network_kinds import DRAWS
from tests.networks import Drawn
from tests.test_core_cosim import (
    saturating_network,
    saturating_recurrent_network,
    with_errors,
    with_events,
)

# By their draw in `DRAWS`, the seeds of networks of the tests.
DRAWN: dict[str, tuple[int, ...]] = {
    "whole neurons": (65, 277, 608),
    "plain": (352, 103),
    "delays": (66,),
    "wide links": (37,),
    "loop": (388,),
    "reports": (157, 65),
    "loop and delays": (280,),
    "shared products": (4,),
}


@dataclass(frozen=True)
class Case:
    """A network, with items (n, 3) that it gets besides its own, of as many sequences; and how
    often all come again, without gaps.
    """

    drawn: Drawn
    items: Sequence[np.ndarray] = ()
    times: int = 1


def measure(case: Case, folder: Path) -> dict[Point, int]:
    """Generate the core of a network, run its input without gaps and with them, and what else the
    case has; read and clear what it counted. Return how often each point of the core was reached.

    Raises
    ------
    UserError
        The core is stuck.
    """
    drawn = case.drawn
    shutil.rmtree(folder, ignore_errors=True)
    core = CoreParams(drawn.network.params, replace(drawn.hardware, trace=False))
    manifest = write_core(drawn.network, core, folder)
    verilog = without_head(read_verilog(generate(manifest, sources=True)))
    core, images = read_images(manifest)
    interface = read_interface(manifest)
    built = build_compiled(
        with_counting(verilog), interface, folder / "verilator", "-O0", coverage=True
    )
    n_sequences, n_timesteps, _ = drawn.payloads.shape
    n_ends = n_sequences * ends_of_sequence(core, n_timesteps, len(drawn.reports))
    own = to_items(drawn.payloads, None, drawn.reports)
    mixed = to_items(drawn.payloads, np.random.default_rng(drawn.seed), drawn.reports)
    load = load_items(interface, core, images)
    compiled = CompiledCore(
        built, watchdog_cycles(core), interface, load,
        draw_gaps(drawn.seed, len(load), 0, interface.output).load, folder,
    )  # fmt: skip
    try:
        runs = [(mixed, drawn.seed), *[(items, None) for items in (own, *case.items)] * case.times]
        for items, seed in runs:
            events = pack_events(interface, items)
            gaps = draw_gaps(seed, 0, len(events), interface.output)
            ran = compiled.run(
                events, n_ends, gaps=(gaps.events, gaps.output), settle=settle_cycles(core)
            )
            if ran.sent != len(events) or ran.ends < n_ends:
                raise UserError(f"the core of {drawn.network.params.name} is stuck: see {folder}")
        compiled.counters()
        for name in compiled.errors():
            compiled.clear_errors([name])
        compiled.clear()
    finally:
        compiled.close()
    return read_points(folder / COVERAGE, verilog)


def with_errors_in(drawn: Drawn, times: int) -> Case:
    """Return a network with the wrong events of `tests.test_core_cosim` besides its own."""
    drawn = replace(drawn, payloads=with_events(drawn.payloads))
    largest = drawn.network.params.layers[0].formats.payload.max
    return Case(drawn, (with_errors(drawn.payloads, largest),), times)


def cases() -> dict[str, Case]:
    """Return what is run, by name."""
    found = {
        "errors": with_errors_in(saturating_network(), 10),
        "errors, own spikes": with_errors_in(saturating_recurrent_network(), 300),
    }
    for draw, seeds in DRAWN.items():
        for seed in seeds:
            found[f"{draw} {seed}"] = Case(DRAWS[draw](seed))
    return found
