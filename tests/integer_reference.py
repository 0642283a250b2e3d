"""The bit-true network again, in nothing but Python's integers: the reference for its tests."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from golden.integer import NetworkIntegers
from golden.params import LayerParams
from golden.readout_params import ReadoutParams
from golden.runs import Run


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
