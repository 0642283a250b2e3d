"""The arithmetic contract in Python's integers, which have no bounds, written from
docs/equations.md.

It imports nothing of the project. It takes what a stored network holds: sizes, options and formats
of a layer, or of the readout, as in `network.json`, and its integers by name, as lists. Widths,
limits and shifts follow from the formats here once more.
"""

from __future__ import annotations

from collections import Counter
from typing import Any


def rshift(a: int, n: int, rounding: str = "half_up") -> int:
    if n <= 0:
        return a * 2**-n
    if rounding == "toward_zero":
        return abs(a) // 2**n * (1 if a > 0 else -1)
    return (a + 2 ** (n - 1)) // 2**n


def limits(width: int, signed: bool) -> tuple[int, int]:
    return (-(2 ** (width - 1)), 2 ** (width - 1) - 1) if signed else (0, 2**width - 1)


def clamp(value: int, width: int, signed: bool) -> int:
    low, high = limits(width, signed)
    return min(max(value, low), high)


def dot(weights: list[int], values: list[int]) -> int:
    return sum(w * v for w, v in zip(weights, values, strict=True) if v)


class PlainLayer:
    """A layer, before the first timestep of a sequence. `clamped` counts values by format."""

    def __init__(self, params: dict[str, Any], integers: dict[str, Any]) -> None:
        self.p, self.f, self.i = params, params["formats"], integers
        n, self.clamped = params["n_neurons"], Counter()
        self.u, self.y, self.h, self.spikes = [0] * n, [0] * n, [0] * n, [0] * n
        self.m, self.x, self.received = [0] * params["n_state"], 0, []

    def frac(self, *names: str) -> int:
        return sum(self.f[name]["frac"] for name in names)

    def sat(self, value: int, name: str) -> int:
        kept = clamp(value, self.f[name]["width"], self.f[name]["signed"])
        self.clamped[name] += kept != value
        return kept

    def of(self, name: str, neuron: int) -> int:
        value = self.i[name]
        return value[neuron] if name in self.p["per_neuron"] else value

    def decay(self, name: str, neuron: int, value: int) -> int:
        rounding = self.p["decay_rounding"]
        return rshift(self.of(name, neuron) * value, self.frac(name), rounding)

    def step(self, inputs: list[int]) -> list[int]:
        """Take the payload of each input at a timestep; return 1 for each neuron that fires, or 0.
        What takes part stays in `s`.
        """
        p, i, frac, k = self.p, self.i, self.frac, len(self.received)
        self.received.append(inputs)
        self.s = list(inputs)
        if p["max_delay"]:
            since = [k - delay for delay in i["delays"]]
            self.s = [self.received[t][j] if t >= 0 else 0 for j, t in enumerate(since)]
        if p["recurrent"]:
            payload = self.f["payload"]
            largest = limits(payload["width"], payload["signed"])[1]
            self.s += [largest * spike for spike in self.spikes]
        if p["n_state"]:
            drive = rshift(dot(i["w_x"], self.s) + i["b_x"], frac("w_x", "payload") - frac("x"))
            self.x = self.sat(max(0, drive), "x")
            before = self.m
            sums = [dot(a, before) + b * self.x for a, b in zip(i["a"], i["b"], strict=True)]
            self.m = [self.sat(rshift(total, frac("a")), "m") for total in sums]
            if k % p["dilation"] == 0:
                m = self.m if p["state_first"] else before
                sums = [dot(row, m) + v * self.x for row, v in zip(i["p"], i["v"], strict=True)]
                self.h = [rshift(total, frac("p", "m") - frac("u")) for total in sums]
        self.spikes = [self.fire(n, dot(w, self.s)) for n, w in enumerate(i["w_f"])]
        return self.spikes

    def fire(self, n: int, total: int) -> int:
        p, i, frac = self.p, self.i, self.frac
        z = rshift(total, frac("w_f", "payload") - frac("y" if p["synapse"] else "u"))
        if p["synapse"]:
            self.y[n] = self.sat(self.decay("alpha", n, self.y[n]) + z + i["c_y"][n], "y")
            z = rshift(self.y[n], frac("y") - frac("u"))
        u = self.sat(self.decay("leak", n, self.u[n]) + z + self.h[n] + i["c"][n], "u")
        threshold, spike = self.of("threshold", n), u >= self.of("threshold", n)
        if spike and p["reset"] == "subtract":
            u -= self.of("reset", n) if p["own_reset"] else threshold
        if spike and p["reset"] == "to_value":
            u = self.of("reset", n) if p["own_reset"] else 0
        self.u[n] = u
        return int(spike)


class PlainReadout:
    """A readout, before the first timestep of a sequence; `logits` are what it would report."""

    def __init__(self, params: dict[str, Any], integers: dict[str, Any]) -> None:
        self.p, self.i, self.clamped = params, integers, 0
        self.v = self.logits = [0] * params["n_classes"]
        self.n_timesteps = 0

    def step(self, s: list[int]) -> None:
        p, kept = self.p, self.v
        if p["leaky"]:
            n, rounding = p["leak"]["frac"], p["decay_rounding"]
            kept = [rshift(self.i["leak"] * v, n, rounding) for v in kept]
        parts = zip(kept, self.i["w_o"], self.i["b_o"], strict=True)
        sums = [v + dot(weights, s) + bias for v, weights, bias in parts]
        self.v = [clamp(total, p["logit_width"], True) for total in sums]
        self.clamped += sum(v != total for v, total in zip(self.v, sums, strict=True))
        both = zip(self.logits, self.v, strict=True)
        so_far = p["report"] == "max" and self.n_timesteps > 0
        self.logits = [max(pair) for pair in both] if so_far else self.v
        self.n_timesteps += 1

    @property
    def result(self) -> int:
        return self.logits.index(max(self.logits))
