"""The options of neurons, readouts and reports, and every pair of them that can meet; which
drawn networks have which, and the few that are chosen to have all.

    python -m tests.neuron_corners

chooses again, as `python -m tests.corners` does, and prints `CHOSEN`, `PAIRED` and `VERILATED`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import combinations, product

from golden.cost.timeline import Timeline
from golden.formats import Fixed
from golden.hardware.core import CoreParams
from golden.hardware.layer import LayerHardware
from golden.hardware.params import BLOCKS
from golden.integer import run
from golden.params import NEURON_VALUES
from golden.runs import Run
from tests.corners import BY_BLOCK, TIMES, Reached, choose, reach
from tests.network_kinds import DRAWS
from tests.networks import Drawn

# By their draw in `DRAWS`, the seeds of those that, with `tests.functional.DIRECTED`, reach each
# corner `TIMES` times,
CHOSEN: dict[str, tuple[int, ...]] = {
    "whole neurons": (69, 421, 537, 753),
    "reports": (23, 195, 202, 213, 312, 430, 473, 520, 656, 705),
}
# of those that have each pair of options,
PAIRED: dict[str, tuple[int, ...]] = {
    "whole neurons": (
        30, 34, 46, 112, 116, 137, 212, 213, 254, 300, 305, 310, 317, 320, 340, 373, 386, 394, 422,
        425, 468, 474, 495, 521, 535, 538, 563, 580, 585, 621, 624, 636, 691, 705, 724, 734, 737,
        753,
    ),
    "reports": (117, 191, 293, 295, 301, 353, 457, 469, 502, 524, 656, 684, 772),
}  # fmt: skip
# and of those that have each option `TIMES` times and run as Verilog.
VERILATED: dict[str, tuple[int, ...]] = {
    "whole neurons": (65, 157, 277, 462, 482, 608, 731, 760),
    "reports": (65, 157, 462, 608, 731, 760),
}

# What each layer is, or has around it, with the values that it can have.
OPTIONS: dict[str, tuple[str, ...]] = {
    "reset": ("less the threshold", "less an amount", "to 0", "to an amount", "none"),
    "current": ("none", "one"),
    **{f"{name} of": ("the layer", "a neuron") for name in NEURON_VALUES},
    "rounding": ("half_up", "toward_zero"),
    **{decay: ("below 1", "up to 1", "0 or 1") for decay in ("leak", "alpha")},
    "inputs": ("spikes", "graded", "signed"),
    "state": ("none", "always refreshed", "dilated", "own spikes"),
    "delays": ("none", "some"),
    "T": tuple(map(str, BLOCKS)),
    "E": ("1", "2"),
    "K": ("1", "2", "3", "more"),
    "unit": ("quick", "relaxed"),
    "fold": ("1", "more"),
    "logits": ("sums", "decay half_up", "decay toward_zero"),
    "results": ("last", "max"),
    "reports": ("none", "some"),
}
Value = tuple[str, str]  # of an option
VALUES: set[Value] = {(option, value) for option, of in OPTIONS.items() for value in of}
# What a layer of the first value does not have at all.
WITHOUT: set[tuple[Value, str]] = {
    *product([("current", "none")], ("alpha", "alpha of")),
    *product([("reset", kind) for kind in ("less the threshold", "to 0", "none")], ["reset of"]),
    *product([("state", "none"), ("state", "own spikes")], ["K"]),
}
IMPOSSIBLE: set[frozenset[Value]] = {
    *(frozenset({("state", "own spikes"), ("T", str(block))}) for block in BLOCKS[1:]),
    *(frozenset({("delays", "some"), ("inputs", of)}) for of in ("graded", "signed")),
    # A layer that waits for its own spikes takes no cycle more than need be, and shares no unit;
    # large blocks leave too little time.
    frozenset({("state", "own spikes"), ("unit", "relaxed")}),
    frozenset({("state", "own spikes"), ("fold", "more")}),
    *(frozenset({("unit", "relaxed"), ("T", block)}) for block in ("8", "16")),
}


def can_meet(one: Value, other: Value) -> bool:
    """Whether a layer can have both."""
    if one[0] == other[0] or frozenset({one, other}) in IMPOSSIBLE:
        return False
    return (one, other[0]) not in WITHOUT and (other, one[0]) not in WITHOUT


def named(*values: Value) -> str:
    return ", ".join(f"{option} {value}" for option, value in sorted(values))


PAIRS = {named(one, other) for one, other in combinations(VALUES, 2) if can_meet(one, other)}
CORNERS = {
    *map(named, VALUES),
    *(f"{several}, the current is clamped at its {end}" for several, end in product(
        BY_BLOCK, ("largest", "smallest"))),
    *(f"{several}, {what} saturates" for several, what in product(
        BY_BLOCK, ("membrane", "a sum of logits", "a decaying logit"))),
    *(f"{several}, the largest logits are not the last" for several in BY_BLOCK),
    *(f"{several}, reports {when}" for several, when in product(
        BY_BLOCK, ("before the first timestep", "after the last timestep", "after each timestep",
                   "twice after a timestep"))),
    "a report ends a block early", "a report ends a block in a dilation", "results hold up a walk",
    "reports and delays", "reports and own spikes",
}  # fmt: skip


def options(layer: LayerHardware, drawn: Drawn) -> dict[str, str]:
    """Return what a layer of a drawn network has of each option."""
    p, f, fold = layer.params, layer.params.formats, layer.neuron_fold
    readout, products = drawn.network.params.readout, layer.hardware.products_per_cycle

    def decay(fmt: Fixed) -> str:
        return "0 or 1" if not fmt.frac else "up to 1" if fmt.max >> fmt.frac else "below 1"

    amount = {
        ("subtract", False): "less the threshold", ("subtract", True): "less an amount",
        ("to_value", False): "to 0", ("to_value", True): "to an amount", ("none", False): "none",
    }  # fmt: skip
    usable = {"leak", "threshold", *["alpha"] * p.synapse, *["reset"] * p.own_reset}
    found = {f"{name} of": "a neuron" if name in p.per_neuron else "the layer" for name in usable}
    found |= {
        "reset": amount[p.reset, p.own_reset],
        "current": "one" if p.synapse else "none",
        "rounding": p.decay_rounding,
        "leak": decay(f.leak),
        "inputs": "signed" if f.payload.signed else "graded" if f.payload.width > 1 else "spikes",
        "state": "own spikes" if p.recurrent else "none",
        "delays": "some" if layer.delayed else "none",
        "T": str(layer.block),
        "E": str(layer.hardware.events_per_cycle),
        "unit": "relaxed" if fold.relaxed else "quick",
        "fold": "more" if fold.fold > 1 else "1",
        "logits": f"decay {readout.decay_rounding}" if readout.leaky else "sums",
        "results": readout.report,
        "reports": "some" if drawn.reports else "none",
    }
    if p.n_state:
        found["state"] = "dilated" if p.dilation > 1 else "always refreshed"
        found["K"] = "more" if products > 3 else str(products)
    if p.synapse:
        found["alpha"] = decay(f.alpha)
    return found


def neuron_corners(drawn: Drawn) -> set[str]:
    """Return the pairs of options, and the corners, that a drawn network reaches."""
    core = CoreParams(drawn.network.params, drawn.hardware)
    block, reports = drawn.hardware.block, drawn.reports
    golden = run(drawn.network, drawn.payloads, block=block, reports=reports, trace=True)
    found: set[str] = set()
    for layer in core.layers:
        values = options(layer, drawn).items()
        found |= {named(value) for value in values}
        found |= {named(one, other) for one, other in combinations(values, 2)}
    found |= set(_of_values(core, golden, drawn))
    if reports:
        found |= set(_of_reports(core, golden, drawn))
    return found


def _of_values(core: CoreParams, golden: Run, drawn: Drawn) -> Iterator[str]:
    several = "T>1" if core.hardware.block > 1 else "T=1"
    for layer, done in zip(core.layers, golden.layers, strict=True):
        if done.membrane_saturations.any():
            yield f"{several}, membrane saturates"
        if done.synapse_saturations.any() and done.synapse is not None:
            for end, value in (("largest", "max"), ("smallest", "min")):
                if getattr(done.synapse, value)() == getattr(layer.params.formats.y, value):
                    yield f"{several}, the current is clamped at its {end}"
    readout = core.network.readout
    if golden.logit_saturations.any():
        yield f"{several}, a {'decaying logit' if readout.leaky else 'sum of logits'} saturates"
    if readout.report == "max":
        params = replace(drawn.network.params, output=replace(readout, report="last"))
        last = run(replace(drawn.network, params=params), drawn.payloads)
        if (last.logits != golden.logits).any():
            yield f"{several}, the largest logits are not the last"


def _of_reports(core: CoreParams, golden: Run, drawn: Drawn) -> Iterator[str]:
    block, reports, n_timesteps = core.hardware.block, drawn.reports, drawn.payloads.shape[1]
    several = "T>1" if block > 1 else "T=1"
    when = {
        "before the first timestep": 0 in reports,
        "after the last timestep": n_timesteps in reports,
        "after each timestep": set(range(1, n_timesteps + 1)) <= set(reports),
        "twice after a timestep": len(set(reports)) < len(reports),
    }
    yield from (f"{several}, reports {name}" for name, there in when.items() if there)
    ends = [int(end) for end, n in zip(golden.lengths.cumsum(), golden.lengths, strict=True)
            if n < block and end < n_timesteps]  # fmt: skip
    if ends:
        yield "a report ends a block early"
    if any(end % layer.dilation for layer in core.layers if layer.dense_steps for end in ends):
        yield "a report ends a block in a dilation"
    timeline = Timeline(core, drawn.payloads, golden.layers, reports)
    if any(turn.stalls for turn in timeline.turns[-1]):
        yield "results hold up a walk"
    if any(layer.delayed for layer in core.layers):
        yield "reports and delays"
    if any(layer.params.recurrent for layer in core.layers):
        yield "reports and own spikes"


def main() -> None:
    pool = [
        replace(reach(draw, seed), corners=frozenset(neuron_corners(DRAWS[draw](seed))))
        for draw in ("whole neurons", "reports")
        for seed in range(800)
    ]
    simulated: Callable[[Reached], float] = lambda of: of.simulated  # noqa: E731
    for name, wanted, times, seconds in (
        ("CHOSEN", CORNERS, TIMES, simulated),
        ("PAIRED", PAIRS, 1, simulated),
        ("VERILATED", set(map(named, VALUES)), TIMES, lambda of: of.verilated),
    ):
        chosen = choose(pool, wanted, times, seconds)
        seeds = {draw: sorted(of.seed for of in chosen if of.draw == draw) for draw in DRAWS}
        shown = {draw: tuple(of) for draw, of in seeds.items() if of}
        print(f"{name} = {shown}  # {len(chosen)} networks, {sum(map(seconds, chosen)):.0f} s")


if __name__ == "__main__":
    main()
