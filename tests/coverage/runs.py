"""The networks that coverage is measured with, and their runs in Verilator."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from export.core import read_images, write_core
from export.items import load_items, pack_events, to_items
from golden.cost.cycles import settle_cycles, watchdog_cycles
from golden.errors import UserError
from golden.formats import Fixed
from golden.hardware.core import CoreParams
from golden.hardware.part import EventKind
from golden.integer import NetworkIntegers, without_readout
from golden.interface import read_interface, read_verilog, without_head
from rtl.verilog.generate import generate
from tb.compiled import COVERAGE, CompiledCore, build_compiled
from tb.gaps import draw_gaps
from tests.coverage.points import Point, read_points
from tests.coverage.verilog import with_counting
from tests.network_kinds import DRAWS, with_reports
from tests.networks import Drawn, draw_payloads
from tests.test_core_cosim import (
    delayed_network,
    saturating_network,
    saturating_recurrent_network,
    with_errors,
    with_events,
)

# Other weights that a core gets, and how many inputs with each: all at an end, then any.
WEIGHTS, INPUTS = ("largest", "smallest", "largest", *["any"] * 8), 3
# What ends something that leaves a core with a readout, and without.
ENDS = (EventKind.REPORT, EventKind.END_TIMESTEP)
# By their draw in `DRAWS`, the seeds of networks of the tests.
DRAWN: dict[str, tuple[int, ...]] = {
    "whole neurons": (65, 608),
    "plain": (352, 103),
    "delays": (66,),
    "wide links": (37,),
    "loop": (388,),
    "reports": (157,),
    "tiny": (726, 1708, 1677, 196, 925),
    "loop and delays": (280,),
    "shared products": (4,),
    "parts": (15,),
}


@dataclass(frozen=True)
class Case:
    """A network, with items (n, 3) that it gets besides its own, of as many sequences; and how
    often these come again.
    """

    drawn: Drawn
    items: Sequence[np.ndarray] = ()
    times: int = 1


def measure(case: Case, folder: Path) -> dict[Point, int]:
    """Generate the core of a network, and run it: its input with gaps, its input and what else the
    case has without, other input, all with its weights and with others, which are loaded in their
    place; read and clear what it counted. Return how often each point of the core was reached.

    Raises
    ------
    UserError
        The core is stuck.
    """
    drawn, rng = case.drawn, np.random.default_rng(case.drawn.seed)
    shutil.rmtree(folder, ignore_errors=True)
    core = CoreParams(drawn.network.params, replace(drawn.hardware, trace=False))
    manifest = write_core(drawn.network, core, folder)
    verilog = without_head(read_verilog(generate(manifest, sources=True)))
    interface = read_interface(manifest)
    built = build_compiled(
        with_counting(verilog), interface, folder / "verilator", "-O0", coverage=True
    )
    compiled: CompiledCore | None = None
    try:
        for number, network in enumerate((drawn.network, *other_weights(drawn.network, rng))):
            write_core(network, core, folder / "weights")
            images = read_images(folder / "weights" / manifest.name)[1]
            load = load_items(interface, core, images)
            if compiled is None:
                gaps = draw_gaps(drawn.seed, len(load), 0, interface.output).load
                compiled = CompiledCore(built, watchdog_cycles(core), interface, load, gaps, folder)
            else:
                compiled.load(load)
            for items, seed in inputs(case, rng, first=number == 0):
                events = pack_events(interface, items)
                waits = draw_gaps(seed, 0, len(events), interface.output)
                kinds, each = items[:, 0], core.network.output is None
                n_ends = np.isin(kinds, [EventKind.END_SEQUENCE, ENDS[each]]).sum()
                ran = compiled.run(
                    events, n_ends, gaps=(waits.events, waits.output), settle=settle_cycles(core)
                )
                if ran.sent != len(events) or ran.ends < n_ends:
                    raise UserError(f"the core in {folder} is stuck")
        assert compiled is not None
        compiled.counters()
        for name in compiled.errors():
            compiled.clear_errors([name])
        compiled.clear()
    finally:
        if compiled is not None:
            compiled.close()
    return read_points(folder / COVERAGE, verilog)


def inputs(
    case: Case, rng: np.random.Generator, *, first: bool
) -> Iterator[tuple[np.ndarray, int | None]]:
    """Yield items (n, 3), and the seed of gaps or None: of the network with gaps, other ones, of
    sequences without a timestep; with the `first` weights also of the network without gaps and what
    else the case has.
    """
    drawn = case.drawn
    payload = drawn.network.params.layers[0].formats.payload
    yield to_items(drawn.payloads, rng, drawn.reports), drawn.seed
    n_sequences, n_timesteps, n_inputs = drawn.payloads.shape
    longer = max(n_timesteps, 2 * drawn.hardware.block + 3)
    for _ in range(INPUTS):
        other = draw_payloads(rng, payload, (n_sequences, longer, n_inputs))
        yield to_items(other, rng, drawn.reports), None
    yield np.array([[EventKind.END_SEQUENCE, 0, 0]] * 2), None
    if first:
        for items in (to_items(drawn.payloads, None, drawn.reports), *case.items) * case.times:
            yield items, None


def other_weights(network: NetworkIntegers, rng: np.random.Generator) -> Iterator[NetworkIntegers]:
    """Yield networks of the same parameters whose integers are any that their formats have."""
    for kind in WEIGHTS:
        layers = []
        for p, layer in zip(network.params.layers, network.layers, strict=True):
            f = p.formats
            formats = {"w_f": f.w_f, "c": f.c, "leak": f.leak, "threshold": f.threshold}
            if p.n_state:
                formats |= {"w_x": f.w_x, "b_x": f.b_x, "a": f.a, "b": f.b, "p": f.p}
                formats |= {} if p.state_first else {"v": f.v}
            if p.synapse:
                formats |= {"alpha": f.alpha, "c_y": f.c_y}
            if p.own_reset:
                formats["reset"] = p.reset_amount
            if p.max_delay:
                delays = rng.integers(0, p.max_delay, layer.delays.shape, endpoint=True)
                layer = replace(layer, delays=delays)
            layers.append(replace(layer, **{
                name: _drawn(rng, kind, fmt, getattr(layer, name), name in ("leak", "alpha"))
                for name, fmt in formats.items()
            }))  # fmt: skip
        changed = replace(network, layers=tuple(layers))
        if readout := network.params.output:
            changed = replace(
                changed,
                w_o=_drawn(rng, kind, readout.w_o, network.w_o),
                b_o=_drawn(rng, kind, readout.b_o, network.b_o),
                leak_o=_drawn(rng, kind, readout.leak, 0, True) if readout.leaky else 0,
            )
        yield changed


def _drawn(rng: np.random.Generator, kind: str, fmt: Fixed, like: Any, decay: bool = False) -> Any:
    """Return integers of a format, of the shape of `like`; of a decay, at most 1."""
    ends = fmt.min, min(fmt.max, 1 << fmt.frac) if decay else fmt.max
    low, high = {"largest": (ends[1], ends[1]), "smallest": (ends[0], ends[0])}.get(kind, ends)
    drawn = rng.integers(low, high, np.shape(like), dtype=np.int64, endpoint=True)
    return drawn if np.shape(like) else int(drawn)


def with_errors_in(drawn: Drawn, times: int) -> Case:
    """Return a network with the wrong events of `tests.test_core_cosim` besides its own."""
    drawn = replace(drawn, payloads=with_events(drawn.payloads))
    largest = drawn.network.params.layers[0].formats.payload.max
    return Case(drawn, (with_errors(drawn.payloads, largest),), times)


def cases() -> dict[str, Case]:
    """Return what is run, by name."""
    found = {
        "errors": with_errors_in(saturating_network(), 10),
        "errors, delays": with_errors_in(delayed_network(), 150),
        "errors, own spikes": with_errors_in(saturating_recurrent_network(), 300),
    }
    drawn = DRAWS["tiny"](1126)
    spikes = without_readout(drawn.network.params, drawn.network.layers)
    found["spikes out"] = Case(replace(drawn, network=spikes, reports=()))
    # Logits that pass their memory by, the largest of each class too, and class 9 is often best.
    found["reports, passing"] = Case(with_reports(DRAWS["tiny"](1249)))
    for draw, seeds in DRAWN.items():
        for seed in seeds:
            found[f"{draw} {seed}"] = Case(DRAWS[draw](seed))
    return found
