"""A network with little to do, and what a bench measures of it."""

from __future__ import annotations

import numpy as np

from golden.cost.activity import measure_activity
from golden.cost.timeline import Timeline
from golden.formats import Fixed
from golden.hardware.core import CoreParams
from golden.hardware.params import HardwareParams
from golden.integer import LayerIntegers, NetworkIntegers
from golden.params import LayerFormats, LayerParams, NetworkParams
from golden.readout_params import ReadoutParams
from tb.batch import Chain
from tb.bench import Case
from tb.compare import expected_counters
from tests.networks import draw_payloads, draw_values

HARDWARE = HardwareParams(4, 2, 2, 3, access_counters=True)
GRADED, SPIKE = Fixed(8, 8, signed=False), Fixed(1, 0, signed=False)
N_SEQUENCES, N_TIMESTEPS = 3, 5


def make_network(seed: int) -> NetworkIntegers:
    """Return two layers, the first of which has graded events and a dilated slow state."""
    rng = np.random.default_rng(seed)
    params = (
        LayerParams(9, 6, 3, 3, formats=LayerFormats(payload=GRADED)),
        LayerParams(6, 5, 0),
    )

    def values(fmt: Fixed, *shape: int) -> np.ndarray:
        return draw_values(rng, fmt, shape, extreme=False)

    def make(p: LayerParams) -> LayerIntegers:
        f, n, m, d = p.formats, p.n_neurons, p.n_inputs, p.n_state
        w_x, v = values(f.w_x, m), values(f.v, n)
        return LayerIntegers(
            values(f.w_f, n, m), w_x if d else w_x * 0, 0, values(f.a, d, d), values(f.b, d),
            values(f.p, n, d), v if d else v * 0, values(f.c, n) // 16, 2000, 100,
        )  # fmt: skip

    readout = ReadoutParams(5, 3)
    return NetworkIntegers(
        NetworkParams("tiny", params, readout),
        tuple(make(p) for p in params),
        values(readout.w_o, 3, 5),
        np.zeros(3, np.int64),
    )


def make_case(name: str = "tiny", seed: int = 0) -> Case:
    rng = np.random.default_rng([seed, 1])
    payloads = draw_payloads(rng, GRADED, (N_SEQUENCES, N_TIMESTEPS, 9))
    return Case(name, "tiny", measure_activity(make_network(seed), payloads))


def make_chain(case: Case, core: CoreParams) -> tuple[Chain, Timeline]:
    """Return what a core that is right does with a case."""
    golden = case.activity.of_block(core.hardware.block)
    timeline = Timeline(core, case.activity.payloads, golden.layers)
    counters = {name: int(count.sum()) for name, count in expected_counters(core, golden).items()}
    waits = ("stall_cycles", "starved_cycles", "input_stall_cycles", "state_wait_cycles")
    counters |= {f"{part}.{name}": 0 for part in core.parts for name in waits}
    counters["cycles"] = int(timeline.ends[-1]) + 20
    return Chain(golden.logits, golden.classes, timeline.ends, counters), timeline
