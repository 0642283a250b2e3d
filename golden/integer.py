"""The bit-true network: what the hardware must compute, to the bit, for batches of sequences.
Integers only.

One layer at timestep k (`rshift` rounds half up, `sat` clamps and counts; the letters are those of
`golden.params`):

    drive     x  = clamp(rshift(w_x . s + b_x), 0, max)
    state     m' = sat(rshift(A m + B x))
    current   h  = rshift(P m + V x) where k mod dilation = 0, held in between; m before its update
    membrane  u' = sat(rshift(leak u) + rshift(W_f s) + h + c)
    fire      spike where u' >= threshold; there u' - threshold or 0 is kept

s[j] at timestep k is what input j received at timestep k - delay[j]. After its inputs, a recurrent
layer's s has its own spikes of timestep k - 1, with the largest payload of the format.

Matrix products run in float64 where their accumulator is at most 53 bits wide: every partial sum is
then an integer that float64 holds. Where it is wider, they run in int64, as all else does. Products
in float64 run on one thread: they are too small to gain from a second one, which spins while it
waits, and takes 17 times as long where another process needs the processor.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from threadpoolctl import ThreadpoolController

from golden.errors import UserError
from golden.formats import Fixed, rshift
from golden.params import LayerParams, NetworkParams

FLOAT64_INTEGER_BITS = 53


@dataclass(frozen=True)
class LayerIntegers:
    """The integers of a layer: w_f (N, M), or (N, M + N) if it is recurrent, w_x (M,), b_x,
    a (d, d), b (d,), p (N, d), v, c (N,), leak, threshold, delays (M,) in timesteps, or (0,) where
    the layer has none.
    """

    w_f: np.ndarray
    w_x: np.ndarray
    b_x: int
    a: np.ndarray
    b: np.ndarray
    p: np.ndarray
    v: np.ndarray
    c: np.ndarray
    leak: int
    threshold: int
    delays: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))

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
            "leak": ((), f.leak),
            "threshold": ((), f.threshold),
            "delays": ((m if params.max_delay else 0,), params.delay),
        }
        for name, (shape, fmt) in expected.items():
            _check(np.asarray(getattr(self, name)), shape, fmt, f"{where}.{name}")
        if self.delays.max(initial=0) > params.max_delay:
            raise UserError(
                f"{where}.delays has {self.delays.max()} timesteps: at most {params.max_delay}"
            )


@dataclass(frozen=True)
class NetworkIntegers:
    """A quantized network: parameters, layers, and the readout's w_o (C, N) and b_o (C,)."""

    params: NetworkParams
    layers: tuple[LayerIntegers, ...]
    w_o: np.ndarray
    b_o: np.ndarray

    def __post_init__(self) -> None:
        for index, (layer, params) in enumerate(zip(self.layers, self.params.layers, strict=True)):
            layer.check(params, f"layer{index}")
        readout = self.params.readout
        _check(self.w_o, (readout.n_classes, readout.n_inputs), readout.w_o, "readout.w_o")
        _check(self.b_o, (readout.n_classes,), readout.b_o, "readout.b_o")


def _check(value: np.ndarray, shape: tuple[int, ...], fmt: Fixed, name: str) -> None:
    if value.shape != shape:
        raise UserError(f"{name} has the shape {value.shape}: it must be {shape}")
    fmt.check(value, name)


@dataclass
class LayerRun:
    """What a layer did: per sample (B,) saturations; per timestep (B, K) events added and spikes
    sent; per block of timesteps (B, ceil(K / block)) distinct addresses added. Events are added
    after their delay, and a recurrent layer's own spikes are events too.

    With delays also, per sample (B,): `arrivals`, what arrived before the delays (from outside
    events, from a layer distinct addresses of each block), and `arrival_slots`, the blocks in which
    each of them comes out, or would if the sequence went on: one, or two where an address arrives
    at several timesteps of a block.

    With a trace also, per timestep (B, K, ...): `spikes` (N) bool, `membrane` (N) after the reset,
    `state` (d) after its update, `drive`; with delays `delayed` (M) bool, which inputs came out.
    """

    events: np.ndarray
    addresses: np.ndarray
    spike_counts: np.ndarray
    drive_saturations: np.ndarray
    state_saturations: np.ndarray
    membrane_saturations: np.ndarray
    spikes: np.ndarray | None = None
    membrane: np.ndarray | None = None
    state: np.ndarray | None = None
    drive: np.ndarray | None = None
    arrivals: np.ndarray | None = None
    arrival_slots: np.ndarray | None = None
    delayed: np.ndarray | None = None


@dataclass
class Run:
    """What a network did with B sequences: logits (B, C) int64, classes (B,), and each layer's
    run; `readout_addresses` are the distinct addresses that the readout received in each block.
    """

    logits: np.ndarray
    classes: np.ndarray
    logit_saturations: np.ndarray
    readout_addresses: np.ndarray
    layers: list[LayerRun] = field(default_factory=list)


def _product(values: np.ndarray, weights: np.ndarray, accumulator: Fixed) -> np.ndarray:
    """Return values (B, n) times weights (n, m), exactly; both float64 holding integers, the result
    int64.
    """
    if accumulator.width > FLOAT64_INTEGER_BITS:
        return values.astype(np.int64) @ weights.astype(np.int64)
    return (values @ weights).astype(np.int64)


class _Layer:
    """The running state of one layer for a batch: u (B, N), m (B, d), h (B, N) int64."""

    def __init__(self, integers: LayerIntegers, params: LayerParams, batch: int) -> None:
        self.integers, self.params = integers, params
        self.spike_weights = integers.w_f.T.astype(np.float64)
        self.drive_weights = integers.w_x[:, None].astype(np.float64)
        self.state_weights = np.concatenate([integers.a, integers.b[:, None]], 1).T.astype(
            np.float64
        )
        self.current_weights = np.concatenate([integers.p, integers.v[:, None]], 1).T.astype(
            np.float64
        )
        self.u = np.zeros((batch, params.n_neurons), np.int64)
        self.m = np.zeros((batch, params.n_state), np.int64)
        self.h = np.zeros((batch, params.n_neurons), np.int64)
        self.x = np.zeros(batch, np.int64)
        # The timesteps that are still to come: slot k mod (max_delay + 1) is timestep k.
        self.delayed = np.zeros((params.max_delay + 1, batch, params.n_inputs))
        self.own = np.zeros((batch, params.n_addresses - params.n_inputs))
        self.saturations = {
            name: np.zeros(batch, np.int64) for name in ("drive", "state", "membrane")
        }

    def _saturate(self, value: np.ndarray, fmt: Fixed, name: str) -> np.ndarray:
        saturated = fmt.saturate(value)
        changed = saturated != value
        if changed.any():
            self.saturations[name] += changed.reshape(len(value), -1).sum(1)
        return saturated

    def arrive(self, timestep: int, payloads: np.ndarray) -> np.ndarray:
        """Take what the inputs receive (B, M) float64 at a timestep; return what the layer adds
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
        """Take the payloads (B, addresses) float64 of a timestep; return the spikes (B, N) bool."""
        p, f, integers = self.params, self.params.formats, self.integers
        if p.n_state:
            total = _product(payloads, self.drive_weights, p.drive_sum)[:, 0] + integers.b_x
            positive = np.maximum(rshift(total, p.drive_shift), 0)
            self.x = self._saturate(positive, f.x, "drive")
            operands = np.concatenate([self.m, self.x[:, None]], 1).astype(np.float64)
            if timestep % p.dilation == 0:
                self.h = rshift(
                    _product(operands, self.current_weights, p.current_sum), p.current_shift
                )
            updated = rshift(_product(operands, self.state_weights, p.state_sum), p.state_shift)
            self.m = self._saturate(updated, f.m, "state")
        total = (
            rshift(integers.leak * self.u, p.leak_shift)
            + rshift(_product(payloads, self.spike_weights, p.spike_sum), p.spike_shift)
            + self.h
            + integers.c
        )
        membrane = self._saturate(total, f.u, "membrane")
        spikes = membrane >= integers.threshold
        kept = membrane - integers.threshold if p.reset == "subtract" else np.zeros_like(membrane)
        self.u = np.where(spikes, kept, membrane)
        if p.recurrent:
            self.own = spikes * float(p.own_payload)
        return spikes


class _Waiting:
    """What arrives at a layer before its delays, counted for a batch: see `LayerRun.arrivals`."""

    def __init__(self, delays: np.ndarray, batch: int, block: int, external: bool) -> None:
        self.delays, self.block, self.external = delays, block, external
        self.arrivals, self.slots = np.zeros(batch, np.int64), np.zeros(batch, np.int64)
        self.soon, self.late = np.zeros((2, batch, len(delays)), bool)  # of the block so far

    def add(self, timestep: int, values: np.ndarray) -> None:
        arrived = values != 0
        carried = timestep % self.block + self.delays % self.block >= self.block
        self.soon |= arrived & ~carried
        self.late |= arrived & carried
        if self.external or (timestep + 1) % self.block == 0:
            self.end_block()

    def end_block(self) -> None:
        self.arrivals += (self.soon | self.late).sum(1)
        self.slots += self.soon.sum(1) + self.late.sum(1)
        self.soon[:] = self.late[:] = False


def count_arrivals(
    delays: np.ndarray, values: np.ndarray, block: int, external: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Return `LayerRun.arrivals` and `arrival_slots` (B,) of what arrives, values (B, K, M), at
    a layer with these delays, from outside or from another layer.
    """
    waiting = _Waiting(delays, len(values), block, external)
    for k in range(values.shape[1]):
        waiting.add(k, values[:, k])
    waiting.end_block()
    return waiting.arrivals, waiting.slots


@ThreadpoolController().wrap(limits=1, user_api="blas")
def run(
    network: NetworkIntegers,
    payloads: np.ndarray,
    *,
    block: int = 1,
    trace: bool = False,
    progress: Callable[[int], object] = lambda n: None,
) -> Run:
    """Run sequences (B, K, M) of payloads (a payload of 0 is no event) and return what the network
    did.

    Distinct addresses are counted over `block` timesteps, on which nothing else depends. `progress`
    is called with 1 after every timestep.
    """
    params = network.params
    first = params.layers[0]
    if payloads.ndim != 3 or payloads.shape[2] != first.n_inputs:
        raise UserError(
            f"payloads of shape {payloads.shape}: use (batch, timesteps, {first.n_inputs})"
        )
    first.formats.payload.check(payloads, "a payload")
    batch, n_timesteps, _ = payloads.shape
    layers = [_Layer(i, p, batch) for i, p in zip(network.layers, params.layers, strict=True)]
    runs = [_empty_run(p, batch, n_timesteps, block, trace) for p in params.layers]
    waiting = [
        _Waiting(i.delays, batch, block, external=index == 0) if p.max_delay else None
        for index, (i, p) in enumerate(zip(network.layers, params.layers, strict=True))
    ]
    widths = (*(layer.n_addresses for layer in params.layers), params.readout.n_inputs)
    received = [np.zeros((batch, n), bool) for n in widths]  # in the block so far
    addresses = np.zeros((len(received), batch, -(-n_timesteps // block)), np.int64)
    readout = params.readout
    readout_weights = network.w_o.T.astype(np.float64)
    logits = np.zeros((batch, readout.n_classes), np.int64)
    logit_saturations = np.zeros(batch, np.int64)
    for k in range(n_timesteps):
        values = payloads[:, k].astype(np.float64)
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
                done.spikes[:, k], done.membrane[:, k] = spikes, layer.u
                done.state[:, k], done.drive[:, k] = layer.m, layer.x
        received[-1] |= values != 0
        if (k + 1) % block == 0 or k == n_timesteps - 1:
            for index, seen in enumerate(received):
                addresses[index, :, k // block] = seen.sum(1)
                seen[:] = False
        total = logits + _product(values, readout_weights, readout.spike_sum) + network.b_o
        logits = readout.logit.saturate(total)
        logit_saturations += (logits != total).sum(1)
        progress(1)
    for index, (layer, done) in enumerate(zip(layers, runs, strict=True)):
        done.addresses = addresses[index]
        if (before := waiting[index]) is not None:
            before.end_block()
            done.arrivals, done.arrival_slots = before.arrivals, before.slots
        done.drive_saturations = layer.saturations["drive"]
        done.state_saturations = layer.saturations["state"]
        done.membrane_saturations = layer.saturations["membrane"]
    return Run(logits, logits.argmax(1), logit_saturations, addresses[-1], runs)


def _empty_run(
    params: LayerParams, batch: int, n_timesteps: int, block: int, trace: bool
) -> LayerRun:
    def counts(length: int = n_timesteps) -> np.ndarray:
        return np.zeros((batch, length), np.int64)

    done = LayerRun(
        counts(),
        counts(-(-n_timesteps // block)),
        counts(),
        *(np.zeros(batch, np.int64) for _ in range(3)),
    )
    if trace:
        done.spikes = np.zeros((batch, n_timesteps, params.n_neurons), bool)
        done.membrane = np.zeros((batch, n_timesteps, params.n_neurons), np.int64)
        done.state = np.zeros((batch, n_timesteps, params.n_state), np.int64)
        done.drive = counts()
        if params.max_delay:
            done.delayed = np.zeros((batch, n_timesteps, params.n_inputs), bool)
    return done
