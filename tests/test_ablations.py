"""Ablated cores: what each does without, in integers, in cycles, in accesses and in hardware."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from dmp_core.__main__ import main
from export.core import read_images
from export.images import pack, unpack
from export.store import load_network, load_stored, save_network
from golden.cost.stored_sums import stored_accesses
from golden.cost.timeline import Timeline
from golden.errors import UserError
from golden.formats import GRADED, Fixed
from golden.hardware.core import CoreParams
from golden.hardware.layer import LayerHardware
from golden.hardware.params import ABLATIONS, HardwareParams
from golden.integer import NetworkIntegers, run
from golden.params import LayerFormats, LayerParams, NetworkParams
from golden.quantize import quantize, without_dependency_breaking
from golden.readout_params import ReadoutParams
from golden.reals import LayerReals, NetworkReals
from tb.report_text import describe
from tests.ablated_networks import draw_ablated
from tests.networks import Drawn
from tests.test_core import check_cycles, simulate_and_check

SETS = [
    found
    for n in range(1, 6)
    for found in combinations(ABLATIONS, n)
    if "no-run-ahead" not in found or "no-dependency-breaking" in found
]
ALONE = SETS[:4]
IN_TURN = ("no-dependency-breaking", "no-run-ahead")
QUICK = [
    (38, ALONE[0]),
    (114, ALONE[1]),
    (114, IN_TURN),
    (114, ALONE[2]),
    (114, ALONE[3]),
    (38, ABLATIONS),
]
SEEDS = (87, 114, 38, 19, 109, 106, 1)  # together they reach every corner
KEEPING = [found for found in SETS if "no-dependency-breaking" not in found]


def corners(drawn: Drawn) -> set[str]:
    """Return what an ablated network reaches that decides on its steps."""
    core = CoreParams(drawn.network.params, drawn.hardware)
    found = set()
    for layer, done in zip(core.layers, run(drawn.network, drawn.payloads).layers, strict=True):
        addresses, dense = done.addresses, layer.dense_steps
        reached = {
            "no slow state": not dense,
            "one group of one cycle": layer.n_groups == 1 and layer.output_steps == 1,
            "several groups": layer.n_groups > 2,
            "groups of several cycles": layer.output_steps > 1,
            "a group partly used": layer.lanes > 1 and layer.last_group_lanes < layer.lanes,
            "drains": layer.drain > 0,
            "no event": not addresses.all(),
            "one event": bool((addresses == 1).any()),
            "fewer events than columns": bool(((addresses > 0) & (addresses < dense)).any()),
            "as many events as columns": bool(((addresses == dense) & (dense > 0)).any()),
            "more events than columns": bool((addresses > dense).any() and dense),
            "sums coarser than membranes": layer.params.spike_shift < 0,
            "sums finer than membranes": layer.params.spike_shift > 0,
        }
        found |= {what for what, is_there in reached.items() if is_there}
    return found


def test_the_seeds_reach_every_corner() -> None:
    reached = Counter(corner for seed in SEEDS for corner in corners(draw_ablated(seed, ())))
    assert len(reached) == 13, sorted(reached)


@pytest.mark.parametrize(
    ("seed", "ablations"),
    [
        *QUICK,
        *(
            pytest.param(seed, ablations, marks=pytest.mark.long)
            for seed in SEEDS
            for ablations in SETS
            if (seed, ablations) not in QUICK
        ),
    ],
)
def test_an_ablated_core_is_bit_and_cycle_exact(seed: int, ablations: tuple[str, ...]) -> None:
    """Every value, every counter of accesses, and the cycle of every start."""
    drawn = draw_ablated(seed, ablations)
    recorded, golden = simulate_and_check(drawn)
    check_cycles(recorded, Timeline(recorded.core, drawn.payloads, golden.layers))


@pytest.mark.parametrize(
    ("seed", "ablations"),
    [
        (109, ABLATIONS),
        *(pytest.param(seed, of, marks=pytest.mark.long) for seed in (114, 87) for of in SETS),
    ],
)
def test_stalls_change_no_value(seed: int, ablations: tuple[str, ...]) -> None:
    simulate_and_check(draw_ablated(seed, ablations), stalls=np.random.default_rng(seed))


@pytest.mark.long
@pytest.mark.parametrize("ablations", [ALONE[1], IN_TURN, ALONE[2], ABLATIONS])
def test_a_reset_in_the_middle_starts_anew(ablations: tuple[str, ...]) -> None:
    for reset_delay in (0, 9):
        simulate_and_check(draw_ablated(114, ablations), reset_after=2, reset_delay=reset_delay)


@pytest.mark.parametrize("ablations", KEEPING)
def test_what_keeps_the_integers_keeps_them(ablations: tuple[str, ...]) -> None:
    """The words of the memories are another order of the same integers."""
    drawn = draw_ablated(1, ablations)
    core = CoreParams(drawn.network.params, drawn.hardware)
    read = unpack(pack(drawn.network, core), core)
    assert drawn.network.params == read.params == draw_ablated(1, ()).network.params
    for layer, again in zip(drawn.network.layers, read.layers, strict=True):
        for name, values in vars(layer).items():
            np.testing.assert_array_equal(getattr(again, name), values, name)


def test_input_stationary_words_of_p_go_through_the_groups_first() -> None:
    """Word 0 of every group, then word 1."""
    drawn = draw_ablated(1, ())
    words = {
        ablations: pack(
            drawn.network,
            CoreParams(drawn.network.params, replace(drawn.hardware, ablations=ablations)),
        )["layer0.p"]
        for ablations in ((), ("input-stationary",))
    }
    layer = CoreParams(drawn.network.params, drawn.hardware).layers[0]
    n_groups, n_columns = layer.n_groups, layer.dense_steps
    assert (n_groups, n_columns) == (3, 11)
    order = [group * n_columns + column for column in range(n_columns) for group in range(n_groups)]
    assert words["input-stationary",] == [words[()][place] for place in order]


def layer_of(*ablations: str, n_state: int = 4, lanes: int = 2) -> LayerHardware:
    """A layer of 6 neurons: on 2 lanes 3 groups, each of 2 cycles in the neuron stage."""
    first = "no-dependency-breaking" in ablations and n_state > 0
    params = LayerParams(9, 6, n_state, state_first=first)
    return LayerHardware(params, HardwareParams(lanes, ablations=ablations))


@pytest.mark.parametrize(
    ("ablations", "few", "many"),
    [
        # 3 events and 5 columns (4 without V), then 7 events: cycles of a timestep.
        ((), 3 * 5, 3 * 7),
        (("shared-datapath",), 3 * (3 + 5), 3 * (7 + 5)),
        (("no-dependency-breaking",), 3 * 4, 3 * 7),
        (("no-fusion",), 3 * 5 + 3 * 2, 3 * 7 + 3 * 2),
        # The last event's, or column's, way through the groups takes 2 cycles for each.
        (("input-stationary",), 4 * 3 + 3 * 2, 6 * 3 + 3 * 2),
        (("no-fusion", "input-stationary"), 5 * 3 + 3 * 2, 7 * 3 + 3 * 2),
        (ABLATIONS, (3 + 4) * 3 + 3 * 2, (7 + 4) * 3 + 3 * 2),
    ],
)
def test_the_cycles_of_a_timestep_by_hand(ablations: tuple[str, ...], few: int, many: int) -> None:
    layer = layer_of(*ablations)
    assert (layer.n_groups, layer.output_steps) == (3, 2)
    for events, cycles in ((3, few), (7, many)):
        before, steps = layer.walk(events, layer.dense_steps)
        assert before + 3 * steps == cycles


@pytest.mark.parametrize("ablations", SETS)
def test_a_layer_without_events_and_slow_state_takes_the_cycles_of_its_neurons(
    ablations: tuple[str, ...],
) -> None:
    layer = layer_of(*ablations, n_state=0)
    before, steps = layer.walk(0, 0)
    passed = 3 if "no-fusion" in ablations else 0  # one step, or one way through the groups, before
    assert (layer.output_steps, before + 3 * steps) == (1, passed + 3)


@pytest.mark.parametrize(
    ("ablations", "accesses"),
    [
        # Of timesteps with 0, 4 and 6 events, and 5 columns each (4 without V), in 3 groups.
        (("no-fusion",), {"sums": (2, 2), "currents": (3, 3)}),
        (
            ("input-stationary",),
            # Events: 0; 3 reads between and one at the end, 4 writes; 5 reads, 5 writes.
            {"sums": (0 + 4 + 5, 0 + 4 + 5), "currents": (4 + 4 + 5, 4 + 4 + 5)},
        ),
        (("no-fusion", "input-stationary"), {"sums": (10, 10), "currents": (15, 15)}),
        (("shared-datapath", "no-fusion"), {"sums": (3, 3)}),
        (("shared-datapath", "input-stationary"), {"sums": (4 + 8 + 10, 4 + 8 + 10)}),
        (ABLATIONS, {"sums": (4 + 8 + 10, 4 + 8 + 10)}),
    ],
)
def test_the_accesses_of_stored_sums_by_hand(
    ablations: tuple[str, ...], accesses: dict[str, tuple[int, int]]
) -> None:
    found = stored_accesses(layer_of(*ablations), np.array([[0, 4, 6]]))
    assert {name: (3 * reads, 3 * writes) for name, (reads, writes) in accesses.items()} == {
        name: (found[f"{name}_reads"][0], found[f"{name}_writes"][0]) for name in accesses
    }
    columns = 12 if "no-dependency-breaking" in ablations else 15
    saved = {"list_reads": [10], "history_reads": [columns]}
    for name in saved.items() if "input-stationary" in ablations else ():
        assert found[name[0]].tolist() == name[1]


@pytest.mark.parametrize("lanes", [4, 11, 13])
def test_ablations_leave_the_multipliers_as_they_are(lanes: int) -> None:
    """Also where one column less would leave room for fewer neurons a unit, or ask for a faster
    update.
    """
    network = load_network("spoken")
    plain = CoreParams(network.params, HardwareParams(lanes))
    for ablations in SETS:
        of = network
        if "no-dependency-breaking" in ablations:
            of = without_dependency_breaking(network)
        core = CoreParams(of.params, HardwareParams(lanes, ablations=ablations))
        assert [layer.multipliers for layer in core.layers] == [
            layer.multipliers for layer in plain.layers
        ]
        more = core.memory_bits - plain.memory_bits
        assert (more > 0) == bool({"no-fusion", "input-stationary"} & set(ablations))


STATE = LayerReals(
    w_f=np.array([[0.5, -0.25], [0.125, 0.75], [0.5, 0.5]]),
    w_x=np.array([0.5, 0.25]),
    b_x=0.0,
    a=np.array([[0.75, -0.25], [0.125, 0.5]]),
    b=np.array([0.5, 0.25]),
    w_m=np.array([[0.5, 1.0], [-0.25, 0.5], [0.75, -0.5]]),
    c=np.zeros(3),
    threshold=0.5,
)
REALS = NetworkReals((STATE,), np.array([[1.0, 0.5, -0.5], [-0.5, 1.0, 0.25]]), np.zeros(2))
EVENTS = np.random.default_rng(5).integers(0, 2, (6, 9, 2))


def test_integers_without_dependency_breaking_by_loops() -> None:
    """In Python's integers: the current is that of the state after the update."""
    network = quantize(REALS, EVENTS, "first", state_first=True).network
    p, layer = network.params.layers[0], network.layers[0]
    assert p.state_first and not layer.v.any()

    def shifted(value: int, by: int) -> int:
        return (value + (1 << by >> 1)) >> by if by > 0 else value << -by

    done = run(network, EVENTS, trace=True).layers[0]
    assert done.spikes is not None and done.membrane is not None and done.spikes.any()
    for b, sequence in enumerate(EVENTS.tolist()):
        m, u = [0, 0], [0, 0, 0]
        for k, s in enumerate(sequence):
            total = sum(w * v for w, v in zip(layer.w_x.tolist(), s, strict=True)) + layer.b_x
            x = max(shifted(total, p.drive_shift), 0)
            m = [
                shifted(sum(a * v for a, v in zip(row, m, strict=True)) + bias * x, p.state_shift)
                for row, bias in zip(layer.a.tolist(), layer.b.tolist(), strict=True)
            ]
            for n in range(3):
                h = sum(int(w) * v for w, v in zip(layer.p[n], m, strict=True))
                fast = sum(int(w) * v for w, v in zip(layer.w_f[n], s, strict=True))
                new = shifted(int(layer.leak) * u[n], p.leak_shift) + int(layer.c[n])
                new += shifted(fast, p.spike_shift) + shifted(h, p.current_shift)
                fired = new >= layer.threshold
                u[n] = new - int(layer.threshold) if fired else new
                assert (done.spikes[b, k, n], done.membrane[b, k, n]) == (fired, u[n])


def test_p_is_what_the_reals_multiply_the_state_with() -> None:
    fused = quantize(REALS, EVENTS, "fused").network
    first = quantize(REALS, EVENTS, "first", state_first=True).network
    p = first.params.layers[0].formats.p
    np.testing.assert_allclose(p.to_real(first.layers[0].p), STATE.w_m, atol=2.0**-p.frac / 2)
    again = without_dependency_breaking(fused)
    assert again.params.layers[0].state_first and not again.layers[0].v.any()
    p = again.params.layers[0].formats.p
    np.testing.assert_allclose(p.to_real(again.layers[0].p), STATE.w_m, atol=0.05)
    assert without_dependency_breaking(again).layers[0].p is again.layers[0].p


def test_v_is_refused_without_dependency_breaking() -> None:
    network = quantize(REALS, EVENTS, "first", state_first=True).network
    with pytest.raises(UserError, match="layer0.v is .* in a network that has none: use 0"):
        replace(network, layers=(replace(network.layers[0], v=np.ones(3, np.int64)),))


def test_a_network_without_dependency_breaking_is_stored(tmp_path: Path) -> None:
    network = without_dependency_breaking(load_network("spoken"))
    save_network(network, tmp_path, load_stored("spoken")[1])
    assert load_network(tmp_path).params == network.params


def core_of(layer: LayerParams, *ablations: str) -> CoreParams:
    network = NetworkParams("a", (layer,), ReadoutParams(layer.n_neurons, 2))
    return CoreParams(network, HardwareParams(2, ablations=ablations))


COARSE = LayerFormats(p=Fixed(8, 2), m=Fixed(16, 4), u=Fixed(16, 10))
PLAIN = "ablate networks of plain layers that receive spikes"


@pytest.mark.parametrize(
    ("layer", "ablation", "message"),
    [
        (LayerParams(3, 4, 0, recurrent=True), "no-fusion", f"own spikes that come back: {PLAIN}"),
        (LayerParams(3, 4, 0, max_delay=2), "no-fusion", f"no-fusion of layer0.* delays: {PLAIN}"),
        (LayerParams(3, 4, 2, synapse=True), "shared-datapath", f"a synaptic current: {PLAIN}"),
        (LayerParams(3, 4, 2, dilation=3), "input-stationary", f"has a dilation of 3: {PLAIN}"),
        (
            LayerParams(3, 4, 2, formats=LayerFormats(payload=GRADED)),
            "shared-datapath",
            f"the ablation shared-datapath of layer0, which has graded inputs: {PLAIN}",
        ),
        (
            LayerParams(3, 4, 2, formats=COARSE),
            "shared-datapath",
            "coarser than its membranes by 4 bits",
        ),
        (
            LayerParams(3, 4, 2),
            "no-dependency-breaking",
            "layer0 was quantized with dependency breaking, and the core is ablated by no-dep",
        ),
        (
            LayerParams(3, 4, 2, state_first=True),
            "no-fusion",
            "layer0 was quantized without dependency breaking, and .* is ablated by no-fusion",
        ),
    ],
)
def test_what_cannot_be_ablated_is_refused(layer: LayerParams, ablation: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        core_of(layer, ablation)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"block": 2}, "the ablation no-fusion with block 2: use 1 of each, and no reports"),
        ({"events_per_cycle": 2}, "the ablation no-fusion with events_per_cycle 2: use"),
        ({"products_per_cycle": 3}, "the ablation no-fusion with products_per_cycle 3: use"),
        ({"reports": True}, "the ablation no-fusion with reports: use"),
        ({"ablations": ("no-fusion", "shared-datapath")}, "use some of .*, in this order"),
        ({"ablations": ("no-run-ahead",)}, "no-run-ahead: use it with no-dependency-breaking"),
        ({"ablations": ("no-neurons",)}, "ablations no-neurons: use some of shared-datapath, no-d"),
    ],
)
def test_hardware_that_cannot_be_ablated_is_refused(given: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        replace(HardwareParams(ablations=("no-fusion",)), **given)


def test_the_command_ablates(tmp_path: Path) -> None:
    """In any order, each once; without dependency breaking the network is another one."""
    names = ("input-stationary", "no-dependency-breaking", "input-stationary")
    given = [word for name in names for word in ("--ablate", name)]
    out = tmp_path / "spoken"
    result = CliRunner().invoke(main, ["export", "spoken", *given, "--out", str(out)])
    assert result.exit_code == 0, result.output
    core, images = read_images(out / "manifest.json")
    assert core.hardware.ablations == ("no-dependency-breaking", "input-stationary")
    expected: NetworkIntegers = without_dependency_breaking(load_network("spoken"))
    assert core.network == expected.params
    np.testing.assert_array_equal(unpack(images, core).layers[1].p, expected.layers[1].p)
    manifest = json.loads((out / "manifest.json").read_text())
    assert manifest["hardware"]["ablations"] == list(core.hardware.ablations)
    told = [line for line in describe(core) if "ablated" in line]
    assert [line.split() for line in told] == [
        ["ablated:", name] for name in core.hardware.ablations
    ]


def test_the_command_refuses_a_network_of_graded_inputs(tmp_path: Path) -> None:
    out = tmp_path / "rows"
    result = CliRunner().invoke(
        main, ["export", "rows", "--ablate", "no-fusion", "--out", str(out)]
    )
    assert result.exit_code == 2 and not out.exists()
    assert "the ablation no-fusion of layer0, which has graded inputs" in result.stderr
