"""NIR graphs at timesteps, node by node, straight from NIR's equations. Float64, and nothing of
`dmp_core`.
"""

from __future__ import annotations

from typing import Any

import nir
import numpy as np

Nodes = dict[str, Any]
NEURONS = (nir.LIF, nir.IF, nir.CubaLIF, nir.Threshold)


def graph_of(nodes: Nodes, edges: list[tuple[str, str]] | None = None) -> nir.NIRGraph:
    """Return a graph of nodes, by default each after the other."""
    names = list(nodes)
    edges = list(zip(names, names[1:], strict=False)) if edges is None else edges
    return nir.NIRGraph(nodes, edges, type_check=False)


def input_of(*shape: int) -> nir.Input:
    return nir.Input({"input": np.array(shape)})


def output_of(*shape: int) -> nir.Output:
    return nir.Output({"output": np.array(shape)})


def of_size(kind: Any, n: int, **values: Any) -> Any:
    """Return neurons of a kind, with these values for all of them."""
    return kind(**{name: np.broadcast_to(np.asarray(v, float), (n,)) for name, v in values.items()})


def convolved(x: np.ndarray, node: Any) -> np.ndarray:
    """Return a Conv1d, Conv2d, SumPool2d or AvgPool2d of x (channels, sizes...), by sums over each
    window.
    """
    n = x.ndim - 1

    def pair(value: Any) -> list[int]:
        return [int(v) for v in np.broadcast_to(np.asarray(value), (n,))]

    pool = isinstance(node, nir.SumPool2d | nir.AvgPool2d)
    window = pair(node.kernel_size) if pool else list(node.weight.shape[2:])
    stride, dilation = pair(node.stride), [1] * n if pool else pair(node.dilation)
    if isinstance(node.padding, str):
        same = node.padding == "same"
        padding = [same * d * (k - 1) for k, d in zip(window, dilation, strict=True)]
        padding = [(total // 2, total - total // 2) for total in padding]
    else:
        padding = [(p, p) for p in pair(node.padding)]
    x = np.pad(x, [(0, 0), *padding])
    sizes = [
        (size - d * (k - 1) - 1) // s + 1
        for size, k, s, d in zip(x.shape[1:], window, stride, dilation, strict=True)
    ]
    channels = len(x) if pool else len(node.weight)
    result = np.zeros((channels, *sizes))
    for channel in range(channels):
        for place in np.ndindex(*sizes):
            cut = tuple(
                slice(p * s, p * s + d * (k - 1) + 1, d)
                for p, k, s, d in zip(place, window, stride, dilation, strict=True)
            )
            if pool:
                seen = x[(channel, *cut)]
                summed = isinstance(node, nir.SumPool2d)
                result[(channel, *place)] = seen.sum() if summed else seen.mean()
                continue
            per_group = channels // node.groups
            first = channel // per_group * node.weight.shape[1]
            seen = x[(slice(first, first + node.weight.shape[1]), *cut)]
            result[(channel, *place)] = (seen * node.weight[channel]).sum() + node.bias[channel]
    return result


class _State:
    """What a node remembers, and what it does at a timestep."""

    def __init__(self, node: Any, dt: float, euler: bool, reset: str, above: bool) -> None:
        self.node, self.dt, self.euler, self.reset, self.above = node, dt, euler, reset, above
        self.v: Any = 0.0
        self.i: Any = 0.0
        self.fired: Any = np.zeros(1, bool)
        self.past: list[np.ndarray] = []

    def toward(self, value: Any, goal: Any, tau: Any) -> Any:
        """Return where tau dv/dt = goal - v leads in a timestep."""
        if self.euler:
            return value + self.dt / tau * (goal - value)
        return goal + (value - goal) * np.exp(-self.dt / tau)

    def step(self, x: np.ndarray) -> np.ndarray:
        node = self.node
        if isinstance(node, nir.Affine):
            return node.weight @ x + node.bias
        if isinstance(node, nir.Linear):
            return node.weight @ x
        if isinstance(node, nir.Scale):
            return node.scale * x
        if isinstance(node, nir.Delay):
            self.past.append(x)
            steps = np.round(node.delay / self.dt).astype(int)
            ago = len(self.past) - 1 - steps
            return np.array([self.past[k][j] if k >= 0 else 0.0 for j, k in enumerate(ago)])
        if isinstance(node, nir.LIF | nir.LI):
            self.v = self.toward(self.v, node.v_leak + node.r * x, node.tau)
        elif isinstance(node, nir.CubaLIF | nir.CubaLI):
            self.i = self.toward(self.i, node.w_in * x, node.tau_syn)
            self.v = self.toward(self.v, node.v_leak + node.r * self.i, node.tau_mem)
        elif isinstance(node, nir.IF | nir.I):
            self.v = self.v + self.dt * node.r * x
        elif isinstance(node, nir.Threshold):
            return (x > node.threshold if self.above else x >= node.threshold).astype(float)
        else:
            return x
        return self.fire() if isinstance(node, NEURONS) else self.v

    def fire(self) -> np.ndarray:
        threshold = self.node.v_threshold
        if self.reset == "subtract_late":
            self.v = self.v - threshold * self.fired
        self.fired = self.v > threshold if self.above else self.v >= threshold
        left = {"subtract": self.v - threshold, "zero": 0.0, "to_value": self.node.v_reset}
        self.v = np.where(self.fired, left.get(self.reset, self.v), self.v)
        return self.fired.astype(float)


def simulate(
    nodes: Nodes,
    inputs: np.ndarray,
    *,
    dt: float = 1.0,
    euler: bool = True,
    reset: str = "zero",
    above: bool = True,
    back: dict[str, list[Any]] | None = None,
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Run a chain of nodes on inputs (K, M); return what its neurons send (K, N), by name, and what
    leaves it. `back` has the nodes through which a neuron's output of the timestep before comes
    back to it.
    """
    back = back or {}
    states = {name: _State(node, dt, euler, reset, above) for name, node in nodes.items()}
    sent: dict[str, list[np.ndarray]] = {n: [] for n, v in nodes.items() if isinstance(v, NEURONS)}
    out = []
    for x in inputs.astype(float):
        for name, state in states.items():
            if name in back:
                own = sent[name][-1] if sent[name] else np.zeros_like(x)
                for node in back[name]:
                    own = _State(node, dt, euler, reset, above).step(own)
                x = x + own
            x = state.step(x)
            if name in sent:
                sent[name].append(x)
        out.append(x)
    return {name: np.array(found) for name, found in sent.items()}, np.array(out)
