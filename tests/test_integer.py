"""The bit-true network against a reference in nothing but Python's integers, and against examples
worked by hand.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import combinations
from typing import Any

import numpy as np
import pytest
from threadpoolctl import ThreadpoolController, threadpool_limits

from golden.errors import UserError
from golden.formats import Fixed
from golden.hardware.part import BLOCKS
from golden.integer import LayerIntegers, NetworkIntegers, run
from golden.params import NEURON_VALUES, LayerFormats, LayerParams, NetworkParams
from golden.readout_params import ReadoutParams
from golden.runs import Run
from tests.networks import Drawn, draw_network, draw_recurrent, draw_whole, with_delays


def divide(value: int, shift: int) -> int:
    """Round value / 2**shift half up."""
    return value * 2**-shift if shift <= 0 else (value + 2 ** (shift - 1)) // 2**shift


def decayed(p: LayerParams | ReadoutParams, value: int, decay: int, shift: int) -> int:
    """Round value * decay / 2**shift as the layer, or the readout, rounds decays."""
    if p.decay_rounding == "half_up":
        return divide(value * decay, shift)
    size = abs(value) * decay // 2**shift
    return size if value >= 0 else -size


def per_neuron(value: Any, n: int) -> list[int]:
    """Return a value of each of n neurons, whether they share it or not."""
    return value.tolist() if isinstance(value, np.ndarray) else [value] * n


@dataclass
class Reference:
    """What the reference found for one sequence; per layer, then per timestep."""

    logits: list[int]
    added: list[list[list[int]]]  # the payload of each address
    spikes: list[list[list[bool]]]
    membrane: list[list[list[int]]]
    synapse: list[list[list[int]]]
    state: list[list[list[int]]]
    drive: list[list[int]]
    saturations: list[dict[str, int]]
    reported: list[list[int]] = field(default_factory=list)  # after every number of timesteps
    logit_saturations: int = 0
    label: int = 0


def reference(network: NetworkIntegers, payloads: list[list[int]]) -> Reference:
    """Run one sequence, neuron by neuron and synapse by synapse, as the arithmetic contract is
    written.
    """
    params = network.params
    u = [[0] * p.n_neurons for p in params.layers]
    y = [[0] * p.n_neurons for p in params.layers]
    m = [[0] * p.n_state for p in params.layers]
    h = [[0] * p.n_neurons for p in params.layers]
    own = [[0] * p.n_neurons for p in params.layers]  # what comes back in the next timestep
    arrived: list[list[list[int]]] = [[] for _ in params.layers]  # by timesteps, before the delays
    counts = [{"drive": 0, "state": 0, "synapse": 0, "membrane": 0} for _ in params.layers]
    readout = params.readout
    kept = [0] * readout.n_classes  # what the readout keeps of every class
    logits = list(kept)

    def traces() -> list[list[Any]]:
        return [[] for _ in params.layers]

    found = Reference(logits, traces(), traces(), traces(), traces(), traces(), traces(), counts)
    found.reported.append(list(logits))

    def saturate(value: int, width: int, index: int, what: str) -> int:
        held = min(max(value, -(2 ** (width - 1))), 2 ** (width - 1) - 1)
        counts[index][what] += held != value
        return held

    for k, arriving in enumerate(payloads):
        values = arriving
        for i, (p, given) in enumerate(zip(params.layers, network.layers, strict=True)):
            f = p.formats
            w_f, w_x, a, p_, c = (
                array.tolist() for array in (given.w_f, given.w_x, given.a, given.p, given.c)
            )
            b, v = given.b.tolist(), given.v.tolist()
            if p.max_delay:
                arrived[i].append(values)
                waited = [(j, k - delay) for j, delay in enumerate(given.delays.tolist())]
                values = [arrived[i][since][j] if since >= 0 else 0 for j, since in waited]
            if p.recurrent:
                values = [*values, *own[i]]
            found.added[i].append(values)
            x = 0
            if p.n_state:
                total = given.b_x
                for weight, value in zip(w_x, values, strict=True):
                    total += weight * value
                x = saturate(max(divide(total, p.drive_shift), 0), f.x.width, i, "drive")
                if k % p.dilation == 0:
                    for n in range(p.n_neurons):
                        total = v[n] * x + sum(p_[n][j] * m[i][j] for j in range(p.n_state))
                        h[i][n] = divide(total, p.current_shift)
                m[i] = [
                    saturate(
                        divide(
                            b[row] * x + sum(a[row][j] * m[i][j] for j in range(p.n_state)),
                            p.state_shift,
                        ),
                        f.m.width,
                        i,
                        "state",
                    )
                    for row in range(p.n_state)
                ]
            fired = []
            leak, threshold, alpha, amount = (
                per_neuron(value, p.n_neurons)
                for value in (given.leak, given.threshold, given.alpha, given.reset)
            )
            if not p.own_reset:
                amount = threshold if p.reset == "subtract" else [0] * p.n_neurons
            for n in range(p.n_neurons):
                driving = divide(
                    sum(w_f[n][j] * value for j, value in enumerate(values) if value), p.spike_shift
                )
                if p.synapse:
                    y[i][n] = saturate(
                        decayed(p, y[i][n], alpha[n], p.alpha_shift) + driving + int(given.c_y[n]),
                        f.y.width,
                        i,
                        "synapse",
                    )
                    driving = divide(y[i][n], p.synapse_shift)
                total = decayed(p, u[i][n], leak[n], p.leak_shift) + driving + h[i][n] + c[n]
                membrane = saturate(total, f.u.width, i, "membrane")
                fired.append(membrane >= threshold[n])
                if fired[-1]:
                    left = {"subtract": membrane - amount[n], "to_value": amount[n]}
                    membrane = left.get(p.reset, membrane)
                u[i][n] = membrane
            found.spikes[i].append(fired)
            found.membrane[i].append(list(u[i]))
            found.synapse[i].append(list(y[i]))
            found.state[i].append(list(m[i]))
            found.drive[i].append(x)
            values = [int(spike) for spike in fired]
            largest = 2 ** (f.payload.width - f.payload.signed) - 1
            own[i] = [largest * value for value in values]
        for label, (row, bias) in enumerate(
            zip(network.w_o.tolist(), network.b_o.tolist(), strict=True)
        ):
            total = bias + sum(w for w, value in zip(row, values, strict=True) if value)
            if readout.leaky:
                total += decayed(readout, kept[label], network.leak_o, readout.leak.frac)
            else:
                total += kept[label]
            limit = 2 ** (readout.logit_width - 1)
            kept[label] = min(max(total, -limit), limit - 1)
            found.logit_saturations += kept[label] != total
            if readout.report == "last" or k == 0 or kept[label] > logits[label]:
                logits[label] = kept[label]
        found.reported.append(list(logits))
    found.logits, found.label = logits, logits.index(max(logits))
    return found


def compare(done: Run, network: NetworkIntegers, payloads: np.ndarray) -> None:
    """Hold every sequence of a traced run against the reference."""
    for index, sequence in enumerate(payloads.tolist()):
        expected = reference(network, sequence)
        for i, layer in enumerate(done.layers):
            where = f"sequence {index}, layer {i}"
            synapse = network.params.layers[i].synapse
            for name in ("spikes", "membrane", *["synapse"] * synapse, "state", "drive"):
                trace = getattr(layer, name)
                assert trace[index].tolist() == getattr(expected, name)[i], f"{where}: {name}"
            assert layer.spike_counts[index].tolist() == [
                sum(fired) for fired in expected.spikes[i]
            ], where
            arriving = [sum(v != 0 for v in values) for values in expected.added[i]]
            assert layer.events[index].tolist() == arriving, where
            n_inputs = network.params.layers[i].n_inputs
            came_out = [[v != 0 for v in values[:n_inputs]] for values in expected.added[i]]
            assert layer.delayed is None or layer.delayed[index].tolist() == came_out, where
            assert (layer.delayed is None) == (network.params.layers[i].max_delay == 0)
            for name, count in expected.saturations[i].items():
                assert getattr(layer, f"{name}_saturations")[index] == count, (
                    f"{where}: {name} saturations"
                )
        assert done.logits[index].tolist() == expected.logits
        assert done.classes[index] == expected.label
        assert done.logit_saturations[index] == expected.logit_saturations


@pytest.mark.parametrize("seed", range(60))
def test_drawn_networks_match_the_reference(seed: int) -> None:
    print(f"seed {seed}")
    drawn = draw_network(seed, n_timesteps=6, max_neurons=20, max_inputs=20)
    compare(run(drawn.network, drawn.payloads, trace=True), drawn.network, drawn.payloads)


@pytest.mark.parametrize("seed", range(30))
def test_drawn_recurrent_networks_match_the_reference(seed: int) -> None:
    drawn = draw_recurrent(seed, n_timesteps=6, max_neurons=20, max_inputs=20)
    compare(run(drawn.network, drawn.payloads, trace=True), drawn.network, drawn.payloads)


@pytest.mark.parametrize("seed", range(30))
@pytest.mark.parametrize("recurrent", [False, True])
def test_drawn_delays_match_the_reference(seed: int, recurrent: bool) -> None:
    draw = draw_recurrent if recurrent else draw_network
    drawn = with_delays(draw(seed, n_timesteps=7, max_neurons=20, max_inputs=20))
    compare(run(drawn.network, drawn.payloads, trace=True), drawn.network, drawn.payloads)


@pytest.mark.parametrize("seed", range(60))
def test_drawn_whole_neurons_match_the_reference(seed: int) -> None:
    print(f"seed {seed}")
    drawn = draw_whole(seed, n_timesteps=6, max_neurons=20, max_inputs=20)
    compare(run(drawn.network, drawn.payloads, trace=True), drawn.network, drawn.payloads)


@pytest.mark.parametrize("seed", range(20))
def test_reports_are_the_results_so_far(seed: int) -> None:
    """After any number of timesteps, several times after one, and 0 for every class before the
    first; they change nothing of what follows.
    """
    drawn = draw_whole(seed, n_timesteps=6, max_neurons=20, max_inputs=20)
    reports = (0, 0, 1, 4, 4, 6)
    done = run(drawn.network, drawn.payloads, block=4, reports=reports, trace=True)
    compare(done, drawn.network, drawn.payloads)
    assert done.lengths.tolist() == [1, 3, 2]
    for index, sequence in enumerate(drawn.payloads.tolist()):
        reported = reference(drawn.network, sequence).reported
        assert done.reports[index].tolist() == [reported[k] for k in reports]
        spikes = [*(layer.spikes for layer in done.layers)][-1]
        assert spikes is not None
        received = [spikes[index, a:b].any(0).sum() for a, b in ((0, 1), (1, 4), (4, 6))]
        assert done.readout_addresses[index].tolist() == received


@pytest.mark.parametrize("reports", [(2, 1), (7,), (-1, 3)])
def test_impossible_reports(reports: tuple[int, ...]) -> None:
    drawn = draw_whole(0, n_timesteps=6, max_neurons=20, max_inputs=20)
    with pytest.raises(UserError, match=r"reports after \[.*\] timesteps: use ascending 0 to 6"):
        run(drawn.network, drawn.payloads, reports=reports)


def delayed(delays: list[int], max_delay: int) -> NetworkIntegers:
    """Return a network of an input a delay, each of which makes the neuron fire at once, and for
    this timestep only; the second layer has a delay of 2.
    """
    n_inputs = len(delays)
    network = small(w_f=[[2]], leak=0)
    first = replace(
        network.layers[0],
        w_f=np.full((1, n_inputs), 32),
        w_x=np.zeros(n_inputs, np.int64),
        delays=np.array(delays),
    )
    p = network.params.layers[0]
    spikes = replace(
        p, formats=replace(p.formats, payload=Fixed(1, 0, signed=False)), reset="to_value"
    )
    second = replace(first, w_f=np.array([[32]]), w_x=np.array([0]), delays=np.array([2]))
    layers = (replace(spikes, n_inputs=n_inputs, max_delay=max_delay), replace(spikes, max_delay=2))
    return replace(network, params=replace(network.params, layers=layers), layers=(first, second))


def test_what_arrives_comes_out_its_delay_later() -> None:
    """Inputs of delays 0, 1, 3 all arrive at timesteps 0 and 3 of 6: out at 0, 3; 1, 4; 3, and 6,
    which there is not, nor in the sequence behind it. A layer further, 2 timesteps later still.
    """
    payloads = np.zeros((2, 6, 3), np.int64)
    payloads[0, [0, 3]] = 1
    payloads[1, 5, 0] = 1
    done = run(delayed([0, 1, 3], 3), payloads, block=4, trace=True)
    first, second = done.layers
    assert first.events.tolist() == [[1, 1, 0, 2, 1, 0], [0, 0, 0, 0, 0, 1]]
    assert first.spike_counts.tolist() == [[1, 1, 0, 1, 1, 0], [0, 0, 0, 0, 0, 1]]
    assert second.events.tolist() == [[0, 0, 1, 1, 0, 1], [0] * 6]
    assert first.addresses.tolist() == [[3, 1], [0, 1]]
    assert second.addresses.tolist() == [[1, 1], [0, 0]]
    # From outside an event each, to one block; from a layer its address once a block: of timesteps
    # 0, 1, 3, some come out in their block and some behind it, of timestep 4 all in it.
    assert first.arrivals is not None and first.arrival_slots is not None
    assert first.arrivals.tolist() == first.arrival_slots.tolist() == [6, 1]
    assert second.arrivals is not None and second.arrival_slots is not None
    assert second.arrivals.tolist() == [2, 1] and second.arrival_slots.tolist() == [3, 1]


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("block", BLOCKS)
def test_arrivals_at_delays(seed: int, block: int) -> None:
    """Count, from every layer's traced input, what arrives and in which blocks it is to leave."""
    n_timesteps = (1, 7, 16, 19)[seed % 4]
    drawn = draw_network(seed, n_timesteps=n_timesteps, max_neurons=12, max_inputs=12, delays=True)
    done = run(drawn.network, drawn.payloads, block=block, trace=True)
    arriving = drawn.payloads
    for i, layer in enumerate(done.layers):
        if layer.arrivals is None:
            assert drawn.network.params.layers[i].max_delay == 0 and layer.arrival_slots is None
        else:
            assert layer.arrival_slots is not None
            delays = drawn.network.layers[i].delays.tolist()
            for sequence in range(len(arriving)):
                came = [(int(k), int(j)) for k, j in np.argwhere(arriving[sequence])]
                # With what is taken at once: a timestep, or a block.
                arrivals = {(j, k if i == 0 else k // block) for k, j in came}
                slots = {
                    (j, k if i == 0 else k // block, (k + delays[j]) // block) for k, j in came
                }
                assert layer.arrivals[sequence] == len(arrivals)
                assert layer.arrival_slots[sequence] == len(slots)
        assert layer.spikes is not None
        arriving = layer.spikes


@pytest.mark.parametrize(
    ("delays", "message"),
    [
        ([0, 1], r"layer0\.delays has the shape \(2,\): it must be \(3,\)"),
        ([0, 1, 6], r"layer0\.delays has 6 timesteps: at most 5"),
        ([0, 1, 8], r"layer0\.delays reaches"),
        ([0, 1, -1], r"layer0\.delays reaches"),
    ],
)
def test_delays_that_do_not_fit(delays: list[int], message: str) -> None:
    network = delayed([0, 1, 5], 5)
    changed = replace(network.layers[0], delays=np.array(delays))
    with pytest.raises(UserError, match=message):
        replace(network, layers=(changed, network.layers[1]))
    undelayed = replace(network.params.layers[0], max_delay=0)
    params = replace(network.params, layers=(undelayed, network.params.layers[1]))
    with pytest.raises(UserError, match=r"layer0\.delays has the shape \(3,\): it must be \(0,\)"):
        replace(network, params=params)


def test_own_spikes_come_back_a_timestep_later() -> None:
    """An input of 3 makes a neuron fire; its own spike has the largest payload, 255: halved, 127.5,
    rounded up and clamped to 127, so that it fires for ever.
    """
    network = own_spikes(w_f=[[11, 1]])
    done = run(network, np.array([[[3], [0], [0]], [[0], [3], [0]]]), trace=True)
    layer = done.layers[0]
    assert layer.spikes is not None and layer.membrane is not None
    assert layer.spikes[:, :, 0].tolist() == [[True, True, True], [False, True, True]]
    assert layer.membrane[:, :, 0].tolist() == [[1, 111, 111], [0, 1, 111]]
    assert layer.events.tolist() == [[1, 1, 1], [0, 1, 1]]
    # An inhibitory one silences it, however much arrives.
    done = run(own_spikes(w_f=[[11, -1]]), np.array([[[3], [3], [3]]]), trace=True)
    assert done.layers[0].spike_counts.tolist() == [[1, 0, 1]]


def test_the_draws_reach_what_is_to_be_tested() -> None:
    """Hold the drawn networks to what makes them a test."""
    found: set[str] = set()
    for seed in range(60):
        drawn = draw_network(seed, n_timesteps=6, max_neurons=20, max_inputs=20)
        done = run(drawn.network, drawn.payloads)
        for p, layer in zip(drawn.network.params.layers, done.layers, strict=True):
            found |= {p.reset, f"dilation {p.dilation}", "state" if p.n_state else "no state"}
            kinds = ("drive", "state", "membrane")
            found |= {
                f"{name} saturated" for name in kinds if getattr(layer, f"{name}_saturations").any()
            }
            if 0 < layer.spike_counts.sum() < layer.spike_counts.size * p.n_neurons:
                found.add("spikes")
    assert found == {
        "subtract", "to_value", "dilation 1", "dilation 2", "dilation 3", "dilation 4", "state",
        "no state", "drive saturated", "state saturated", "membrane saturated", "spikes",
    }  # fmt: skip


def options(p: LayerParams) -> set[str]:
    """Return what a layer has, one choice of each kind, as "kind: choice"."""
    leak = p.formats.leak
    found = {
        "reset": p.reset,
        "amount": "own" if p.own_reset else "usual",
        "synapse": p.synapse,
        "decays": p.decay_rounding,
        "leak of 1": leak.max >= 1 << leak.frac,
        "slow state": p.n_state > 0,
        "signed payload": p.formats.payload.signed,
        **{f"{name} a neuron": name in p.per_neuron for name in NEURON_VALUES},
    }
    return {f"{kind}: {choice}" for kind, choice in found.items()}


def test_the_draws_of_whole_neurons_have_every_pair_of_options() -> None:
    """Hold the drawn neurons to what makes them a test: every pair of options that a layer may
    have, and every saturation.
    """
    pairs: set[frozenset[str]] = set()
    saturated: set[str] = set()
    for seed in range(60):
        drawn = draw_whole(seed, n_timesteps=6, max_neurons=20, max_inputs=20)
        done = run(drawn.network, drawn.payloads)
        for p, layer in zip(drawn.network.params.layers, done.layers, strict=True):
            pairs |= {frozenset(pair) for pair in combinations(options(p), 2)}
            for name in ("drive", "state", "synapse", "membrane"):
                if getattr(layer, f"{name}_saturations").any():
                    saturated.add(f"{name}, {p.decay_rounding}")
    kinds = ("drive", "state", "synapse", "membrane")
    assert saturated == {f"{name}, {how}" for name in kinds for how in ("half_up", "toward_zero")}
    impossible = {
        frozenset(pair)
        for pair in [
            ("reset: none", "amount: own"),
            ("reset: none", "reset a neuron: True"),
            ("amount: usual", "reset a neuron: True"),
            ("synapse: False", "alpha a neuron: True"),
        ]
    }
    every = sorted({option for pair in pairs for option in pair})
    possible = {
        frozenset(pair)
        for pair in combinations(every, 2)
        if pair[0].split(":")[0] != pair[1].split(":")[0]
    }
    assert possible - pairs == impossible


def test_a_batch_is_its_sequences_one_by_one() -> None:
    drawn: Drawn = draw_network(3, n_sequences=5)
    together = run(drawn.network, drawn.payloads)
    alone = [run(drawn.network, drawn.payloads[i : i + 1]) for i in range(5)]
    assert together.logits.tolist() == [one.logits[0].tolist() for one in alone]
    for i, layer in enumerate(together.layers):
        assert layer.spike_counts.tolist() == [
            one.layers[i].spike_counts[0].tolist() for one in alone
        ]
        assert layer.membrane_saturations.tolist() == [
            int(one.layers[i].membrane_saturations[0]) for one in alone
        ]


def distinct(values: list[list[int]], block: int) -> list[int]:
    """Count the distinct addresses in each block of timesteps, the last of which may be shorter."""
    return [
        len({address for step in values[k : k + block] for address, v in enumerate(step) if v})
        for k in range(0, len(values), block)
    ]


@pytest.mark.parametrize("seed", range(15))
@pytest.mark.parametrize("block", BLOCKS)
def test_distinct_addresses_of_blocks(seed: int, block: int) -> None:
    """Of what arrives at every layer and at the readout; nothing else depends on blocks."""
    n_timesteps = (1, 6, 8, 16, 17)[seed % 5]
    drawn = draw_network(seed, n_timesteps=n_timesteps, max_neurons=12, max_inputs=12)
    done = run(drawn.network, drawn.payloads, block=block, trace=True)
    for index, sequence in enumerate(drawn.payloads.tolist()):
        arriving = [sequence]
        for layer in done.layers:
            assert layer.spikes is not None
            arriving.append(layer.spikes[index].tolist())
        counted = [
            *(layer.addresses[index] for layer in done.layers),
            done.readout_addresses[index],
        ]
        for found, values in zip(counted, arriving, strict=True):
            assert found.tolist() == distinct(values, block)
    once = run(drawn.network, drawn.payloads, trace=True)
    for layer, other in zip(done.layers, once.layers, strict=True):
        assert (layer.addresses.shape[1], other.addresses.shape[1]) == (
            -(-n_timesteps // block),
            n_timesteps,
        )
        np.testing.assert_array_equal(other.addresses, other.events)
        for name, value in vars(layer).items():
            if name != "addresses":
                np.testing.assert_array_equal(value, getattr(other, name), name)
    for name in ("logits", "classes", "logit_saturations"):
        np.testing.assert_array_equal(getattr(done, name), getattr(once, name), name)


def test_an_address_counts_once_a_block() -> None:
    """Input 0 at timesteps 0, 1, 2, 4 of 5, and the neuron, which it makes fire, likewise."""
    payloads = np.array([16, 16, 16, 0, 16])[None, :, None]
    for block, expected in {1: [1, 1, 1, 0, 1], 2: [1, 1, 1], 4: [1, 1], 8: [1]}.items():
        done = run(small(w_f=[[2]]), payloads, block=block)
        assert done.layers[0].addresses.tolist() == [expected]
        assert done.readout_addresses.tolist() == [expected]
        assert done.layers[0].events.tolist() == done.layers[0].spike_counts.tolist()
        assert done.layers[0].events.tolist() == [[1, 1, 1, 0, 1]]


def small(
    *,
    reset: Any = "subtract",
    dilation: int = 1,
    threshold: int = 16,
    leak: Any = 2048,
    reset_amount: int = 0,
    **change: Any,
) -> NetworkIntegers:
    """Return a network of one input, neuron, slow state and class, in which nearly all is 0 and u
    is in sixteenths.
    """
    integers: dict[str, Any] = {
        "w_f": [[0]], "w_x": [0], "b_x": 0, "a": [[0]], "b": [0], "p": [[0]], "v": [0], "c": [0],
    }  # fmt: skip
    formats = LayerFormats(
        payload=Fixed(8, 0, signed=False), w_f=Fixed(8, 5), w_x=Fixed(8, 1), p=Fixed(8, 0)
    )
    formats = replace(formats, a=Fixed(16, 1), m=Fixed(8, 4), x=Fixed(8, 0), u=Fixed(8, 4))
    params = LayerParams(1, 1, 1, dilation, reset, formats)
    values: dict[str, Any] = {
        k: np.array(v) if isinstance(v, list) else v for k, v in (integers | change).items()
    }
    layer = LayerIntegers(**values, threshold=threshold, leak=leak, reset=reset_amount)
    return NetworkIntegers(
        NetworkParams("small", (params,), ReadoutParams(1, 2)),
        (layer,),
        np.array([[1], [0]]),
        np.array([0, 0]),
    )


def own_spikes(w_f: list[list[int]]) -> NetworkIntegers:
    """Return `small` without its slow state and leak, and recurrent."""
    network = small(w_f=[[0]], leak=0)
    none = np.zeros(0, np.int64)
    layer = replace(
        network.layers[0], w_f=np.array(w_f), a=none.reshape(0, 0), b=none, p=none.reshape(1, 0)
    )
    params = replace(network.params.layers[0], n_state=0, recurrent=True)
    return replace(network, params=replace(network.params, layers=(params,)), layers=(layer,))


def trace(network: NetworkIntegers, *payloads: int) -> dict[str, list[Any]]:
    """Run one sequence and return its trace."""
    done = run(network, np.array(payloads)[None, :, None], trace=True)
    layer = done.layers[0]
    traces = {"u": layer.membrane, "m": layer.state, "x": layer.drive, "spikes": layer.spikes}
    return {
        name: array[0].reshape(-1).tolist() for name, array in traces.items() if array is not None
    }


def test_synaptic_sums_round_half_up() -> None:
    # Weights are in halves of u's unit: 3 halves are 2, -3 halves are -1.
    assert trace(small(w_f=[[3]]), 1)["u"] == [2]
    assert trace(small(w_f=[[-3]]), 1)["u"] == [-1]


def test_the_leak_rounds_half_up() -> None:
    # 15, then half of it: 7.5 -> 8, 4, 2, 1, 0.5 -> 1, and 1 for ever.
    assert trace(small(w_f=[[30]]), 1, 0, 0, 0, 0, 0)["u"] == [15, 8, 4, 2, 1, 1]
    # -15: -7.5 -> -7, -3.5 -> -3, -1.5 -> -1, -0.5 -> 0.
    assert trace(small(w_f=[[-30]]), 1, 0, 0, 0, 0)["u"] == [-15, -7, -3, -1, 0]


def test_the_membrane_saturates_before_it_fires() -> None:
    # 127 * 255 halves saturate to 127, so 127 - 16 is left.
    assert trace(small(w_f=[[127]]), 255) | {"m": [], "x": []} == {
        "u": [111],
        "m": [],
        "x": [],
        "spikes": [True],
    }
    assert trace(small(w_f=[[-128]]), 255)["u"] == [-128]
    done = run(small(w_f=[[127]]), np.array([[[255], [0], [255]]]))
    assert done.layers[0].membrane_saturations.tolist() == [2]


@pytest.mark.parametrize(("reset", "left"), [("subtract", [0, 4, 2]), ("to_value", [0, 0, 0])])
def test_resets(reset: str, left: list[int]) -> None:
    # 16 is just the threshold and fires; 20 fires with 4 to spare; then nothing but the leak.
    done = trace(small(w_f=[[2]], reset=reset), 16, 20, 0)
    assert done["spikes"] == [True, True, False] and done["u"] == left


def test_one_below_the_threshold_does_not_fire() -> None:
    done = trace(small(w_f=[[2]]), 15)
    assert done["spikes"] == [False] and done["u"] == [15]


def test_a_threshold_of_zero_fires_at_zero() -> None:
    assert trace(small(threshold=0), 0, 0)["spikes"] == [True, True]


def test_the_drive_rounds_and_is_never_negative() -> None:
    # w_x is in halves: 3 halves -> 2; -3 halves -> -1 -> 0; the bias adds before rounding.
    assert trace(small(w_x=[3]), 1, 0)["x"] == [2, 0]
    assert trace(small(w_x=[-3]), 1, 0)["x"] == [0, 0]
    assert trace(small(w_x=[2], b_x=1), 1, 0)["x"] == [2, 1]


def test_the_drive_saturates_and_only_above() -> None:
    done = run(small(w_x=[127]), np.array([[[255], [0]]]), trace=True)
    assert done.layers[0].drive is not None and done.layers[0].drive[0].tolist() == [127, 0]
    assert done.layers[0].drive_saturations.tolist() == [1]
    assert run(small(w_x=[-128]), np.array([[[255]]])).layers[0].drive_saturations.tolist() == [0]


def test_the_state_follows_its_recurrence() -> None:
    # a = 1/2 and b x in halves: m = x / 2 at first, then halved with halves up: 5, 2.5 -> 3, 1.5 ->
    # 2, 1, 0.5 -> 1.
    assert trace(small(w_x=[2], a=[[1]], b=[1]), 10, 0, 0, 0, 0)["m"] == [5, 3, 2, 1, 1]


def test_the_state_saturates() -> None:
    done = run(small(w_x=[2], b=[1000]), np.array([[[100], [0]]]), trace=True)
    assert done.layers[0].state is not None and done.layers[0].state[0, :, 0].tolist() == [127, 0]
    assert done.layers[0].state_saturations.tolist() == [1]


def test_the_current_is_of_the_state_before_its_update() -> None:
    # p = 1: the current is m of the timestep before, here 5, 3, ...; leak 0 leaves only the
    # current.
    done = trace(small(w_x=[2], a=[[1]], b=[1], p=[[1]], leak=0), 10, 0, 0)
    assert done["m"] == [5, 3, 2] and done["u"] == [0, 5, 3]
    # v = 1: the drive of this timestep arrives at once.
    assert trace(small(w_x=[2], v=[1], leak=0), 10, 0)["u"] == [10, 0]


def test_dilation_holds_the_current_and_not_the_state() -> None:
    # v x is refreshed at timesteps 0, 3, 6 and held in between.
    network = small(w_x=[2], v=[1], leak=0, dilation=3, b=[2], threshold=100)
    done = trace(network, 1, 2, 3, 4, 5, 6, 7)
    assert done["u"] == [1, 1, 1, 4, 4, 4, 7] and done["m"] == [1, 2, 3, 4, 5, 6, 7]


def test_a_sequence_starts_from_nothing() -> None:
    network = small(w_x=[2], v=[1], a=[[1]], b=[1], dilation=2, w_f=[[2]])
    once = run(network, np.array([[[9], [3], [1]]]))
    again = run(network, np.array([[[9], [3], [1]]]))
    assert once.logits.tolist() == again.logits.tolist()


@pytest.mark.parametrize(
    ("weights", "biases", "label"),
    [
        ([1, 1], [0, 0], 0),
        ([0, 1], [0, 0], 1),
        ([1, 0], [0, 0], 0),
        ([0, 0], [-1, -1], 0),
        ([1, 0], [0, 1], 0),
    ],
)
def test_ties_go_to_the_lowest_class(weights: list[int], biases: list[int], label: int) -> None:
    network = replace(small(w_f=[[2]]), w_o=np.array(weights)[:, None], b_o=np.array(biases))
    assert run(network, np.array([[[16]]])).classes.tolist() == [label]


def test_logits_add_up_and_saturate() -> None:
    network = replace(small(w_f=[[2]]), w_o=np.array([[100], [-128]]), b_o=np.array([0, 1]))
    network = replace(
        network,
        params=replace(network.params, output=ReadoutParams(1, 2, bias_width=8, logit_width=9)),
    )
    done = run(network, np.array([[[16], [16], [16], [0]]]))
    # 100, 200, 300 -> 255, 255; -127, -254, -381 -> -256, -255.
    assert done.logits.tolist() == [[255, -255]] and done.logit_saturations.tolist() == [2]


def test_wide_accumulators_stay_exact() -> None:
    """Cancel two products of 55 bits, whose lowest bits float64 does not hold."""
    formats = LayerFormats(
        payload=Fixed(8, 0, signed=False), a=Fixed(16, 2), m=Fixed(28, 20), x=Fixed(16, 2)
    )
    formats = replace(formats, w_x=Fixed(8, 0), p=Fixed(32, 0), u=Fixed(32, 20))
    params = LayerParams(1, 1, 2, formats=formats)
    assert params.current_sum.width > 53 and params.current_shift == 0
    zeros = np.array([0])
    layer = LayerIntegers(
        np.array([[0]]), np.array([1]), 0, np.zeros((2, 2), np.int64), np.array([32767, 32767]),
        np.array([[2**31 - 1, 3 - 2**31]]), zeros, zeros, 0, 2**31 - 1,
    )  # fmt: skip
    readout = ReadoutParams(1, 2)
    network = NetworkIntegers(
        NetworkParams("wide", (params,), readout), (layer,), np.array([[1], [2]]), np.array([0, 0])
    )
    payloads = np.array([[[251], [201], [3], [255], [77], [0]]])
    done = run(network, payloads, trace=True)
    compare(done, network, payloads)
    membrane = done.layers[0].membrane
    assert membrane is not None
    # The slow state is 32767 times the payload before, and the current twice that.
    assert membrane[0, :, 0].tolist() == [
        2 * 32767 * payload for payload in (0, 251, 201, 3, 255, 77)
    ]


def test_progress_is_told_of_every_timestep() -> None:
    told: list[int] = []
    run(small(), np.zeros((2, 5, 1), np.int64), progress=told.append)
    assert told == [1] * 5


def test_payloads_that_do_not_fit() -> None:
    with pytest.raises(UserError, match=r"use \(sequences, timesteps, 1\)"):
        run(small(), np.zeros((2, 5, 2), np.int64))
    with pytest.raises(UserError, match=r"use \(sequences, timesteps, inputs\)"):
        run(small(), np.zeros((2, 5), np.int64))
    for value in (256, -1):
        with pytest.raises(UserError, match=f"payload {value} at sequence 0, .*: use 0 to 255"):
            run(small(), np.full((1, 1, 1), value))
    with pytest.raises(UserError, match="payload 0.9 at sequence 0, timestep 0, input 0: use int"):
        run(small(), np.full((1, 1, 1), 0.9))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"w_f": [[128]]}, r"layer0\.w_f reaches from 128 to 128"),
        ({"w_f": [[1, 1]]}, r"layer0\.w_f has the shape \(1, 2\): it must be \(1, 1\)"),
        ({"a": [[1 << 15]]}, r"layer0\.a reaches"),
        ({"leak": 4096}, r"layer0\.leak reaches"),
        ({"threshold": -1}, r"layer0\.threshold reaches"),
        ({"threshold": 128}, r"layer0\.threshold reaches"),
        ({"b_x": 1 << 23}, r"layer0\.b_x reaches"),
        ({"alpha": 1}, r"layer0\.alpha is 1 in a network that has none: use 0"),
        ({"reset_amount": 1}, r"layer0\.reset is 1 in a network that has none: use 0"),
        ({"reset_amount": -1}, r"layer0\.reset reaches from -1"),
        ({"c_y": [1]}, r"layer0\.c_y has the shape \(1,\): it must be \(0,\)"),
        ({"leak": np.array([1])}, r"layer0\.leak has the shape \(1,\): it must be \(\)"),
    ],
)
def test_integers_that_do_not_fit(change: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        small(**change)


def test_a_decay_above_one() -> None:
    """Which its format holds; exactly 1 may be."""
    network = small()
    formats = replace(network.params.layers[0].formats, leak=Fixed(13, 12, signed=False))
    params = replace(network.params.layers[0], formats=formats, per_neuron=("leak",))
    readout = replace(network.params.readout, leaky=True, leak=Fixed(13, 12, signed=False))
    changed = replace(network.params, layers=(params,), output=readout)
    whole = replace(network.layers[0], leak=np.array([4096]))
    assert replace(network, params=changed, layers=(whole,), leak_o=4096).leak_o == 4096
    with pytest.raises(UserError, match=r"readout\.leak_o is 1\.00024, above 1: use 0 to 1"):
        replace(network, params=changed, layers=(whole,), leak_o=4097)
    above = replace(whole, leak=np.array([4097]))
    with pytest.raises(UserError, match=r"layer0\.leak is 1\.00024, above 1: use 0 to 1"):
        replace(network, params=changed, layers=(above,), leak_o=4096)


def test_a_readout_that_does_not_fit() -> None:
    with pytest.raises(UserError, match=r"readout\.leak_o is 1 in a network that has none: use 0"):
        replace(small(), leak_o=1)
    with pytest.raises(UserError, match=r"readout\.w_o has the shape"):
        replace(small(), w_o=np.array([[1, 2]]))
    with pytest.raises(UserError, match=r"readout\.b_o reaches"):
        replace(small(), b_o=np.array([0, 1 << 24]))


def test_products_run_on_one_thread() -> None:
    """Whatever is set around them, which is as before when they are done."""
    drawn = draw_network(0)
    seen: list[int] = []

    def threads() -> list[int]:
        libraries = ThreadpoolController().select(user_api="blas").info()
        return [library["num_threads"] for library in libraries]

    with threadpool_limits(2, user_api="blas"):
        run(drawn.network, drawn.payloads, progress=lambda n: seen.extend(threads()))
        assert set(seen) == {1} and set(threads()) == {2}
