"""The Dual Memory Pathway network in Torch (arXiv 2512.07602), trained through time, and the
architectures beside it: without slow state, with own spikes fed back, with axonal delays.

The slow state depends on a layer's inputs only, so it is computed for whole chunks of time; only
the neurons are sequential (`golden.train.lif`). Activations are bfloat16 of shape (timesteps,
batch, features): time first, so that the scan runs over contiguous rows.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from golden.formats import Fixed
from golden.params import LayerFormats
from golden.train.axonal_delay import AxonalDelay
from golden.train.lif import scan
from golden.train.topology import LayerTopology, Topology

CHUNK = 56  # timesteps of slow state computed by one matrix product
LEAST_THRESHOLD = 1 / 16  # of a neuron that learns its own: formats hold it
LOGIT_GAIN = (
    10.0  # the readout averages over time; the gain makes its cross-entropy steep enough to learn
)


def legendre_zoh(n_state: int, theta: float) -> tuple[np.ndarray, np.ndarray]:
    """Return A (d, d), B (d,) of the Legendre memory over `theta` timesteps, discretised by
    zero-order hold; float64.

    Source: Voelker, Kajic, Eliasmith, "Legendre Memory Units" (2019), equations 1 and 2.
    """
    if n_state == 0:
        return np.zeros((0, 0)), np.zeros(0)
    i, j = np.meshgrid(np.arange(n_state), np.arange(n_state), indexing="ij")
    scale = (2 * i + 1) / theta
    continuous = np.zeros((n_state + 1, n_state + 1))
    continuous[:n_state, :n_state] = scale * np.where(i < j, -1.0, (-1.0) ** (i - j + 1))
    continuous[:n_state, n_state] = scale[:, 0] * (-1.0) ** np.arange(n_state)
    discrete = torch.linalg.matrix_exp(torch.from_numpy(continuous)).numpy()
    return discrete[:n_state, :n_state], discrete[:n_state, n_state]


def snap(values: Tensor, fmt: Fixed) -> Tensor:
    """Return the values as their format rounds and clamps them; the gradient passes straight
    through.
    """
    scale = 2.0**fmt.frac
    snapped = torch.floor(values.detach() * scale + 0.5).clamp(fmt.min, fmt.max) / scale
    return values + (snapped - values.detach())


def bounded(values: Tensor, low: float, high: float) -> Tensor:
    """Return the values within these bounds; beyond them a gradient still passes, so that a value
    can come back.
    """
    return values.clamp(low, high).detach() + (values - values.detach())


class SlowState(nn.Module):
    """The slow state of a layer for a whole sequence: drive (K, B) float32 to state (K, B, d)
    float32.
    """

    transition: Tensor
    response: Tensor
    a: Tensor
    b: Tensor

    def __init__(self, n_state: int, theta: float) -> None:
        super().__init__()
        a, b = legendre_zoh(n_state, theta)
        powers = [np.eye(n_state)]
        for _ in range(CHUNK):
            powers.append(a @ powers[-1])
        response = np.zeros((CHUNK, CHUNK, n_state))  # input step, output step, state
        for out in range(CHUNK):
            for step in range(out + 1):
                response[step, out] = powers[out - step] @ b
        transition = np.stack([p.T for p in powers[1:]], 1)  # state, output step, state
        self.n_state = n_state
        self.register_buffer("a", torch.from_numpy(a).float(), persistent=False)
        self.register_buffer("b", torch.from_numpy(b).float(), persistent=False)
        self.register_buffer(
            "response", torch.from_numpy(response).float().flatten(1), persistent=False
        )
        self.register_buffer(
            "transition", torch.from_numpy(transition).float().flatten(1), persistent=False
        )

    def forward(self, drive: Tensor) -> Tensor:
        batch = drive.shape[1]
        state = drive.new_zeros(batch, self.n_state)
        chunks = []
        for chunk in drive.t().split(CHUNK, dim=1):
            width = chunk.shape[1] * self.n_state
            joined = (
                chunk @ self.response[: chunk.shape[1], :width] + state @ self.transition[:, :width]
            )
            states = joined.view(batch, -1, self.n_state)
            state = states[:, -1]
            chunks.append(states.to(torch.bfloat16).transpose(0, 1))
        return torch.cat(chunks)


class DmpLayer(nn.Module):
    """One layer: spikes (K, B, inputs) to spikes (K, B, neurons), both bfloat16, and spike counts
    (B, neurons) float32.

        s[k][j] = what input j received at k - delay[j]
        x[k] = relu(w_x . s[k] + b_x);  m[k] = A m[k-1] + B x[k]
        current[k] = W_f s[k] + W_m m[k'] + c,  k' the latest timestep with k' mod dilation = 0

    A recurrent layer's W_f has columns for its own spikes of the timestep before; they follow
    those of its inputs. With one input, w_x = 1 and b_x = 0 are not trained: the drive could die.

    Without `per_neuron`, all neurons have the same leak and a threshold of 1.

    With `grids` (quantization-aware training) every weight is what its format makes of it, and the
    current from the slow state is P m[k'-1] + V x[k'], as the core computes it.
    """

    grids: LayerFormats | None = None

    def __init__(self, topology: LayerTopology, leak: float) -> None:
        super().__init__()
        self.topology = topology
        self.leak = leak
        n_inputs, n_neurons, n_state = topology.n_inputs, topology.n_neurons, topology.n_state
        self.fast = nn.Linear(n_inputs, n_neurons)
        if topology.recurrent:
            own = nn.init.orthogonal_(torch.empty(n_neurons, n_neurons)) * 0.5
            self.fast.weight = nn.Parameter(torch.cat([self.fast.weight.detach(), own], 1))
        if topology.max_delay:
            self.delays = nn.Parameter(torch.rand(n_inputs) * topology.max_delay)
        if topology.per_neuron:
            self.leak_values = nn.Parameter(torch.full((n_neurons,), leak))
            self.threshold_values = nn.Parameter(torch.ones(n_neurons))
        if n_state:
            self.slow_state = SlowState(n_state, topology.theta)
            self.slow = nn.Linear(n_state, n_neurons, bias=False)
            nn.init.uniform_(self.slow.weight, -4 / math.sqrt(n_state), 4 / math.sqrt(n_state))
            ones = n_inputs == 1
            weight = torch.ones(n_inputs) if ones else torch.rand(n_inputs) * 2 / n_inputs
            self.drive_weight = nn.Parameter(weight, requires_grad=not ones)
            self.drive_bias = nn.Parameter(torch.zeros(()), requires_grad=not ones)

    def _snap(self, values: Tensor, name: str) -> Tensor:
        return values if self.grids is None else snap(values, getattr(self.grids, name))

    def held_back(self) -> Tensor:
        """Return the delays (inputs,) as whole timesteps, float32."""
        return self.delays.detach().round().clamp(0, self.topology.max_delay)

    def delayed(self, spikes: Tensor) -> Tensor:
        """Return what the delays make of spikes (K, B, inputs)."""
        if not self.topology.max_delay:
            return spikes
        return AxonalDelay.apply(spikes, bounded(self.delays, 0, self.topology.max_delay))

    def leaks(self) -> Tensor:
        """Return the leak of every neuron (neurons,)."""
        return bounded(self.leak_values, 0, 1)

    def thresholds(self) -> Tensor:
        """Return the threshold of every neuron (neurons,)."""
        return bounded(self.threshold_values, LEAST_THRESHOLD, math.inf)

    def drive(self, spikes: Tensor) -> Tensor:
        """Return x (K, B) float32."""
        weight = self._snap(self.drive_weight, "w_x").to(spikes.dtype)
        weighted = functional.linear(spikes, weight[None])[..., 0]
        return torch.relu(weighted.float() + self._snap(self.drive_bias, "b_x"))

    def slow_current(self, spikes: Tensor) -> Tensor:
        """Return what the slow state adds to the membranes (K, B, neurons), for spikes that have
        left their delays.
        """
        drive = self.drive(spikes)
        state = self.slow_state(drive)
        weight = self.slow.weight
        if self.grids is not None:
            a, b = self.slow_state.a, self.slow_state.b
            fused = [snap(weight @ a, self.grids.p), snap(weight @ b, self.grids.v)[:, None]]
            weight = torch.cat(fused, 1)
            before = torch.cat([torch.zeros_like(state[:1]), state[:-1]])
            state = torch.cat([before, drive.to(state.dtype)[..., None]], 2)
        dilation = self.topology.dilation
        if dilation > 1:
            state = state[::dilation].repeat_interleave(dilation, 0)[: len(spikes)]
        return functional.linear(state, weight.to(state.dtype))

    def forward(self, spikes: Tensor) -> tuple[Tensor, Tensor]:
        dtype, n_inputs = spikes.dtype, self.topology.n_inputs
        spikes = self.delayed(spikes)
        weight = self._snap(self.fast.weight, "w_f")
        bias = self._snap(self.fast.bias, "c")
        current = functional.linear(spikes, weight[:, :n_inputs].to(dtype), bias.to(dtype))
        if self.topology.n_state:
            current = current + self.slow_current(spikes)
        own = None
        if self.topology.recurrent:
            own = (weight[:, n_inputs:] * self.topology.own_value).to(dtype)
        leak, threshold = self.leak, 1.0
        if self.topology.per_neuron:
            leak = self._snap(self.leaks(), "leak")
            threshold = self._snap(self.thresholds(), "threshold")
        return scan(current, own, leak, threshold, self.topology.reset == "subtract")


class DmpNetwork(nn.Module):
    """Layers and a linear readout of the mean spike rates.

    `forward` takes payloads (K, B, inputs) uint8 and returns logits (B, classes) float32 and the
    mean spikes per timestep of each layer. Thresholds are 1 where neurons have none of their own: a
    weight's scale says the rest.
    """

    readout_grid: Fixed | None = None

    def __init__(self, topology: Topology) -> None:
        super().__init__()
        self.topology = topology
        self.layers = nn.ModuleList(DmpLayer(layer, topology.leak) for layer in topology.layers)
        self.readout = nn.Linear(topology.layers[-1].n_neurons, topology.n_classes)

    def forward(self, payloads: Tensor) -> tuple[Tensor, list[float]]:
        spikes = payloads.to(torch.bfloat16) * 2.0**-self.topology.payload.frac
        counts, rates = spikes, []
        for layer in self.layers:
            spikes, counts = layer(spikes)
            rates.append(float(counts.detach().sum()) / spikes[:, :, 0].numel())
        weight = self.readout.weight
        if self.readout_grid is not None:
            weight = snap(weight, self.readout_grid)
        logits = functional.linear(counts / len(spikes), weight, self.readout.bias)
        return logits * LOGIT_GAIN, rates

    def n_parameters(self) -> int:
        """Count what is trained (w_x and b_x of a one-input layer are not)."""
        return sum(p.numel() for p in self.parameters() if p.requires_grad)
