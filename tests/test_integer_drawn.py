"""The bit-true network, on drawn networks: against the plain model, which is written from the page
of the equations alone, sequence by sequence, and block by block.
"""

from __future__ import annotations

import ast
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from threadpoolctl import ThreadpoolController, threadpool_limits

from golden.hardware.params import BLOCKS
from golden.integer import run, without_readout
from golden.params import NEURON_VALUES, LayerParams
from tests import plain_model
from tests.integer_reference import compare, reference
from tests.network_kinds import draw_whole
from tests.networks import Drawn, draw_network, draw_recurrent, with_delays


def compare_blocks(drawn: Drawn) -> None:
    """Hold a run in blocks of some timesteps against the plain model, which knows of no blocks."""
    block = BLOCKS[drawn.seed % len(BLOCKS)]
    done = run(drawn.network, drawn.payloads, block=block, trace=True)
    compare(done, drawn.network, drawn.payloads)


def test_the_plain_model_takes_nothing_from_the_project() -> None:
    """It has only Python's integers, and only the page's text."""
    tree = ast.parse(Path(str(plain_model.__file__)).read_text())
    nodes = [node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)]
    assert {getattr(node, "module", None) for node in nodes} == {
        "__future__",
        "collections",
        "typing",
    }


@pytest.mark.parametrize("seed", range(60))
def test_drawn_networks_match_the_reference(seed: int) -> None:
    print(f"seed {seed}")
    drawn = draw_network(seed, n_timesteps=6, max_neurons=20, max_inputs=20)
    compare_blocks(drawn)


@pytest.mark.parametrize("seed", range(30))
def test_drawn_recurrent_networks_match_the_reference(seed: int) -> None:
    drawn = draw_recurrent(seed, n_timesteps=6, max_neurons=20, max_inputs=20)
    compare_blocks(drawn)


@pytest.mark.parametrize("seed", range(30))
@pytest.mark.parametrize("recurrent", [False, True])
def test_drawn_delays_match_the_reference(seed: int, recurrent: bool) -> None:
    draw = draw_recurrent if recurrent else draw_network
    drawn = with_delays(draw(seed, n_timesteps=7, max_neurons=20, max_inputs=20))
    compare_blocks(drawn)


@pytest.mark.parametrize("seed", range(60))
def test_drawn_whole_neurons_match_the_reference(seed: int) -> None:
    print(f"seed {seed}")
    drawn = draw_whole(seed, n_timesteps=6, max_neurons=20, max_inputs=20)
    compare_blocks(drawn)


@pytest.mark.parametrize("seed", range(20))
def test_drawn_networks_without_a_readout_match_the_reference(seed: int) -> None:
    drawn = draw_whole(100 + seed, n_timesteps=6, max_neurons=20, max_inputs=20)
    spiking = without_readout(drawn.network.params, drawn.network.layers)
    compare_blocks(replace(drawn, network=spiking))


@pytest.mark.parametrize("seed", range(20))
def test_drawn_states_that_come_first_match_the_reference(seed: int) -> None:
    drawn = draw_network(200 + seed, n_timesteps=6, max_neurons=20, max_inputs=20)
    params = drawn.network.params
    first = tuple(replace(p, state_first=True) for p in params.layers)
    layers = tuple(replace(layer, v=0 * layer.v) for layer in drawn.network.layers)
    network = replace(drawn.network, params=replace(params, layers=first), layers=layers)
    compare_blocks(replace(drawn, network=network))


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


@pytest.mark.parametrize("seed", range(15))
@pytest.mark.parametrize("block", BLOCKS)
def test_distinct_addresses_of_blocks(seed: int, block: int) -> None:
    """Of what arrives at every layer and at the readout; nothing else depends on blocks."""
    n_timesteps = (1, 6, 8, 16, 17)[seed % 5]
    drawn = draw_network(seed, n_timesteps=n_timesteps, max_neurons=12, max_inputs=12)
    done = run(drawn.network, drawn.payloads, block=block, trace=True)
    left = n_timesteps % block
    assert done.lengths.tolist() == [block] * (n_timesteps // block) + [left] * (left > 0)
    compare(done, drawn.network, drawn.payloads)
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
