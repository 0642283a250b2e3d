"""The bit-true network: what the hardware must compute, to the bit, for batches of sequences.
Integers only.

One layer at timestep k (`rshift` rounds half up, `sat` clamps and counts; the letters are those of
`golden.params`):

    drive     x  = clamp(rshift(w_x . s + b_x), 0, max)
    state     m' = sat(rshift(A m + B x))
    current   h  = rshift(P m + V x) where k mod dilation = 0, held in between; m before its update,
                 or rshift(P m') with `LayerParams.state_first`
    synapse   y' = sat(rshift(alpha y) + rshift(W_f s) + c_y)         only with a synaptic current
    membrane  u' = sat(rshift(leak u) + Z + h + c)
              Z  = rshift(y') with a synaptic current, else rshift(W_f s)
    fire      spike where u' >= threshold
    reset     where it fired: u' - reset (`subtract`), reset (`to_value`), or u' (`none`) is kept

The readout: v' = sat(rshift(leak v) + W_o s + b_o), without the rounding where it has no leak. Its
logits are the last v of each class, or the largest one so far (`max`).

s[j] at timestep k is what input j received at timestep k - delay[j]. After its inputs, a recurrent
layer's s has its own spikes of timestep k - 1, with the largest payload of the format.

No step leaves what its arrays hold, whatever the formats (`golden.exact`). Products in float64 run
on one thread: they are too small to gain from a second one, which spins while it waits, and takes
17 times as long where another process needs the processor.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from threadpoolctl import ThreadpoolController

from golden.blocks import Waiting, block_lengths
from golden.errors import UserError
from golden.exact import decay, divide, multiply, number_type, saturate
from golden.formats import Fixed
from golden.params import LayerParams, NetworkParams
from golden.payloads import check_payloads
from golden.readout_params import ReadoutParams
from golden.runs import Run, empty_run

UNUSED = Fixed(1, 0, signed=False)  # of what a network does not have, which is 0


@dataclass(frozen=True)
class LayerIntegers:
    """The integers of a layer: w_f (N, M), or (N, M + N) if it is recurrent, w_x (M,), b_x,
    a (d, d), b (d,), p (N, d), v, c (N,), leak, threshold; delays (M,) in timesteps, or (0,) where
    the layer has none; alpha and c_y (N,), or 0 and (0,), of its synaptic current; reset, the
    amount of its reset, or 0 where that is no number of its own.

    leak, alpha, threshold and reset are (N,) where `LayerParams.per_neuron` says so, else ().
    """

    w_f: np.ndarray
    w_x: np.ndarray
    b_x: int
    a: np.ndarray
    b: np.ndarray
    p: np.ndarray
    v: np.ndarray
    c: np.ndarray
    leak: int | np.ndarray
    threshold: int | np.ndarray
    delays: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))
    alpha: int | np.ndarray = 0
    c_y: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))
    reset: int | np.ndarray = 0

    def check(self, params: LayerParams, where: str) -> None:
        """Raise `UserError` where an array has a wrong shape or a value that does not fit its
        format.
        """
        f, n, m, d = params.formats, params.n_neurons, params.n_inputs, params.n_state
        expected: dict[str, tuple[tuple[int, ...], Fixed]] = {
            "w_f": ((n, params.n_addresses), f.w_f),
            "w_x": ((m,), f.w_x),
            "b_x": ((), f.b_x),
            "a": ((d, d), f.a),
            "b": ((d,), f.b),
            "p": ((n, d), f.p),
            "v": ((n,), f.v),
            "c": ((n,), f.c),
            "delays": ((m if params.max_delay else 0,), params.delay),
            "c_y": ((n if params.synapse else 0,), f.c_y),
        }
        neuron = {
            "leak": f.leak,
            "threshold": f.threshold,
            "alpha": f.alpha if params.synapse else UNUSED,
            "reset": params.reset_amount if params.own_reset else UNUSED,
        }
        for name, fmt in neuron.items():
            expected[name] = ((n,) if name in params.per_neuron else (), fmt)
        for name, (shape, fmt) in expected.items():
            _check(np.asarray(getattr(self, name)), shape, fmt, f"{where}.{name}")
        unused = [name for name, fmt in neuron.items() if fmt is UNUSED]
        for name in (*unused, *["v"] * params.state_first):
            _check_unused(getattr(self, name), f"{where}.{name}")
        for name in ("leak", "alpha"):
            _check_decay(getattr(self, name), neuron[name], f"{where}.{name}")
        if self.delays.max(initial=0) > params.max_delay:
            raise UserError(
                f"{where}.delays has {self.delays.max()} timesteps: at most {params.max_delay}"
            )


@dataclass(frozen=True)
class NetworkIntegers:
    """A quantized network: parameters, layers, and the readout's w_o (C, N), b_o (C,), and leak, or
    0 where it has none. Without a readout, C is 0.
    """

    params: NetworkParams
    layers: tuple[LayerIntegers, ...]
    w_o: np.ndarray
    b_o: np.ndarray
    leak_o: int = 0

    def __post_init__(self) -> None:
        for index, (layer, params) in enumerate(zip(self.layers, self.params.layers, strict=True)):
            layer.check(params, f"layer{index}")
        readout = self.params.output
        if readout is None:
            _check(self.w_o, (0, self.params.widths[-1]), UNUSED, "readout.w_o")
            _check(self.b_o, (0,), UNUSED, "readout.b_o")
            return
        _check(self.w_o, (readout.n_classes, readout.n_inputs), readout.w_o, "readout.w_o")
        _check(self.b_o, (readout.n_classes,), readout.b_o, "readout.b_o")
        leak = readout.leak if readout.leaky else UNUSED
        _check(np.asarray(self.leak_o), (), leak, "readout.leak_o")
        _check_decay(self.leak_o, leak, "readout.leak_o")
        if not readout.leaky:
            _check_unused(self.leak_o, "readout.leak_o")


def _check_unused(value: int | np.ndarray, where: str) -> None:
    if np.any(value):
        raise UserError(f"{where} is {value} in a network that has none: use 0")


def without_readout(params: NetworkParams, layers: tuple[LayerIntegers, ...]) -> NetworkIntegers:
    """Return the network of these layers whose output is its last layer's spikes."""
    n_neurons = params.layers[-1].n_neurons
    return NetworkIntegers(
        replace(params, output=None),
        layers,
        np.zeros((0, n_neurons), np.int64),
        np.zeros(0, np.int64),
    )


def _check_decay(value: int | np.ndarray, fmt: Fixed, where: str) -> None:
    one, largest = 1 << fmt.frac, int(np.max(value))
    if largest > one:
        raise UserError(
            f"{where} is {largest / one:g}, above 1: use 0 to 1, or what decays grows by itself"
        )


def _check(value: np.ndarray, shape: tuple[int, ...], fmt: Fixed, name: str) -> None:
    if value.shape != shape:
        raise UserError(f"{name} has the shape {value.shape}: it must be {shape}")
    fmt.check(value, name)


class _Layer:
    """The running state of one layer for a batch: u (B, N), m (B, d), h (B, N) int64."""

    def __init__(self, integers: LayerIntegers, params: LayerParams, batch: int) -> None:
        self.integers, self.params = integers, params
        self.spike_weights = integers.w_f.T.astype(number_type(params.spike_sum))
        self.payload_type = number_type(params.formats.payload)
        if params.n_state:
            self.drive_weights = integers.w_x[:, None].astype(number_type(params.drive_sum))
            state = np.concatenate([integers.a, integers.b[:, None]], 1)
            self.state_weights = state.T.astype(number_type(params.state_sum))
            current = np.concatenate([integers.p, integers.v[:, None]], 1)
            self.current_weights = current.T.astype(number_type(params.current_sum))
        self.u = np.zeros((batch, params.n_neurons), np.int64)
        self.m = np.zeros((batch, params.n_state), np.int64)
        self.h = np.zeros((batch, params.n_neurons), np.int64)
        self.y = np.zeros((batch, params.n_neurons if params.synapse else 0), np.int64)
        self.x = np.zeros(batch, np.int64)
        # The timesteps that are still to come: slot k mod (max_delay + 1) is timestep k.
        self.delayed = np.zeros((params.max_delay + 1, batch, params.n_inputs))
        n_own = params.n_addresses - params.n_inputs
        self.own = np.zeros((batch, n_own), self.payload_type)
        self.saturations = {
            name: np.zeros(batch, np.int64) for name in ("drive", "state", "synapse", "membrane")
        }

    def _saturate(self, value: np.ndarray, fmt: Fixed, name: str) -> np.ndarray:
        kept, changed = saturate(value, fmt)
        if changed.any():
            self.saturations[name] += changed.reshape(len(value), -1).sum(1)
        return kept

    def arrive(self, timestep: int, payloads: np.ndarray) -> np.ndarray:
        """Take what the inputs receive (B, M) at a timestep; return what the layer adds
        (B, addresses): what the delays let through now, and its own spikes of the timestep before.
        """
        if self.params.max_delay:
            slots = (timestep + self.integers.delays) % len(self.delayed)
            self.delayed[slots, :, np.arange(len(slots))] = payloads.T
            now = self.delayed[timestep % len(self.delayed)]
            payloads = now.copy()
            now[:] = 0
        return np.concatenate([payloads, self.own], 1) if self.params.recurrent else payloads

    def step(self, timestep: int, payloads: np.ndarray) -> np.ndarray:
        """Take the payloads (B, addresses) of a timestep; return the spikes (B, N) bool."""
        p, f, integers = self.params, self.params.formats, self.integers
        if p.n_state:
            total = multiply(payloads, self.drive_weights)[:, 0] + integers.b_x
            drive = divide(total, p.drive_sum.magnitude, p.drive_shift)
            self.x = self._saturate(np.maximum(drive, 0), f.x, "drive")
            operands = np.concatenate([self.m, self.x[:, None]], 1)
            total = multiply(operands, self.state_weights)
            updated = divide(total, p.state_sum.magnitude, p.state_shift)
            self.m = self._saturate(updated, f.m, "state")
            if timestep % p.dilation == 0:
                if p.state_first:
                    operands[:, :-1] = self.m
                total = multiply(operands, self.current_weights)
                self.h = divide(total, p.current_sum.magnitude, p.current_shift)
        total = multiply(payloads, self.spike_weights)
        fast = divide(total, p.spike_sum.magnitude, p.spike_shift)
        if p.synapse:
            held = decay(integers.alpha, f.alpha, self.y, f.y, p.decay_rounding)
            self.y = self._saturate(held + fast + integers.c_y, f.y, "synapse")
            fast = divide(self.y, f.y.magnitude, p.synapse_shift)
        held = decay(integers.leak, f.leak, self.u, f.u, p.decay_rounding)
        membrane = self._saturate(held + fast + self.h + integers.c, f.u, "membrane")
        spikes = membrane >= integers.threshold
        self.u = np.where(spikes, self._reset(membrane), membrane)
        if p.recurrent:
            self.own = spikes * self.payload_type(p.own_payload)
        return spikes

    def _reset(self, membrane: np.ndarray) -> np.ndarray | int:
        """Return what a spike leaves of membranes (B, N)."""
        p, integers = self.params, self.integers
        if p.reset == "none":
            return membrane
        if p.reset == "to_value":
            return integers.reset
        return membrane - (integers.reset if p.own_reset else integers.threshold)


class _Readout:
    """The running values of the readout for a batch: `logits` (B, C) int64."""

    def __init__(self, network: NetworkIntegers, params: ReadoutParams, batch: int) -> None:
        self.network, self.params = network, params
        self.weights = network.w_o.T.astype(number_type(params.spike_sum))
        self.v = np.zeros((batch, self.params.n_classes), np.int64)
        self.logits, self.fresh = self.v, True
        self.saturations = np.zeros(batch, np.int64)

    def step(self, spikes: np.ndarray) -> None:
        """Take the spikes (B, N) float64 of a timestep."""
        p, kept = self.params, self.v
        if p.leaky:
            kept = decay(self.network.leak_o, p.leak, self.v, p.logit, p.decay_rounding)
        total = kept + multiply(spikes, self.weights) + self.network.b_o
        self.v, changed = saturate(total, p.logit)
        self.saturations += changed.sum(1)
        largest = p.report == "max" and not self.fresh
        self.logits = np.maximum(self.logits, self.v) if largest else self.v
        self.fresh = False


@ThreadpoolController().wrap(limits=1, user_api="blas")
def run(
    network: NetworkIntegers,
    payloads: np.ndarray,
    *,
    block: int = 1,
    reports: Sequence[int] = (),
    trace: bool = False,
    progress: Callable[[int], object] = lambda n: None,
) -> Run:
    """Run sequences (B, K, M) of payloads (a payload of 0 is no event) and return what the network
    did.

    Distinct addresses are counted over `block` timesteps, on which nothing else depends. Results
    are also reported after each of these numbers of timesteps (`reports`, ascending; a number may
    come again). `progress` is called with 1 after every timestep.
    """
    params = network.params
    first = params.layers[0]
    payloads = check_payloads(payloads, first.formats.payload, first.n_inputs)
    batch, n_timesteps, _ = payloads.shape
    layers = [_Layer(i, p, batch) for i, p in zip(network.layers, params.layers, strict=True)]
    runs = [empty_run(p, batch, n_timesteps, trace) for p in params.layers]
    waiting = [
        Waiting(i.delays, batch, block, external=index == 0) if p.max_delay else None
        for index, (i, p) in enumerate(zip(network.layers, params.layers, strict=True))
    ]
    widths = (*(layer.n_addresses for layer in params.layers), params.widths[-1])
    received = [np.zeros((batch, n), bool) for n in widths]  # in the block so far
    if list(reports) != sorted(reports) or not all(0 <= k <= n_timesteps for k in reports):
        raise UserError(
            f"reports after {list(reports)} timesteps: use ascending 0 to {n_timesteps}"
        )
    lengths = block_lengths(n_timesteps, block, reports)
    block_of = {int(end) - 1: index for index, end in enumerate(np.cumsum(lengths))}
    times = Counter(reports)
    addresses = np.zeros((len(received), batch, len(lengths)), np.int64)
    readout = None if params.output is None else _Readout(network, params.output, batch)
    if readout is None and times:
        raise UserError(f"reports of network {params.name}, which has no readout: leave them out")
    logits = np.zeros((batch, len(network.b_o)), np.int64)
    reported = [logits] * times[0]
    for k in range(n_timesteps):
        values = payloads[:, k].astype(layers[0].payload_type)
        for index, (layer, done) in enumerate(zip(layers, runs, strict=True)):
            if (before := waiting[index]) is not None:
                before.add(k, values)
            values = layer.arrive(k, values)
            done.events[:, k] = np.count_nonzero(values, axis=1)
            received[index] |= values != 0
            if done.delayed is not None:
                done.delayed[:, k] = values[:, : layer.params.n_inputs] != 0
            spikes = layer.step(k, values)
            values = spikes.astype(np.float64)
            done.spike_counts[:, k] = spikes.sum(1)
            if trace:
                assert done.spikes is not None and done.membrane is not None
                assert done.state is not None and done.drive is not None
                assert done.synapse is not None
                done.spikes[:, k], done.membrane[:, k] = spikes, layer.u
                done.state[:, k], done.drive[:, k] = layer.m, layer.x
                done.synapse[:, k] = layer.y
        received[-1] |= values != 0
        if k in block_of:
            for index, seen in enumerate(received):
                addresses[index, :, block_of[k]] = seen.sum(1)
                seen[:] = False
        if readout is not None:
            readout.step(values)
            logits = readout.logits
        reported += [logits] * times[k + 1]
        progress(1)
    for index, (layer, done) in enumerate(zip(layers, runs, strict=True)):
        done.addresses = addresses[index]
        if (before := waiting[index]) is not None:
            before.end_block()
            done.arrivals, done.arrival_slots = before.arrivals, before.slots
        done.drive_saturations = layer.saturations["drive"]
        done.state_saturations = layer.saturations["state"]
        done.synapse_saturations = layer.saturations["synapse"]
        done.membrane_saturations = layer.saturations["membrane"]
    return Run(
        logits,
        logits.argmax(1) if readout is not None else np.full(batch, -1),
        readout.saturations if readout is not None else np.zeros(batch, np.int64),
        addresses[-1],
        runs,
        lengths,
        np.stack(reported, 1) if reported else np.zeros((batch, 0, len(network.b_o)), np.int64),
    )
