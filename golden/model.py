"""The Dual Memory Pathway network in Torch (arXiv 2512.07602), trained through time.

The slow state depends on a layer's inputs only, so it is computed for whole chunks of time; only
the reset makes the membrane sequential, and that scan and its backward are the kernel in `lif.cpp`.
Activations are bfloat16 of shape (timesteps, batch, features): time first, so that the scan runs
over contiguous rows.
"""

from __future__ import annotations

import ctypes
import hashlib
import math
import os
import subprocess
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from golden.errors import UserError
from golden.topology import LayerTopology, Topology

M_MMAP_MAX, M_TRIM_THRESHOLD = -4, -1  # of glibc's mallopt
# What -ffast-math allows, without what it links: that would flush denormals to zero in the whole
# process, for everyone.
KERNEL_FLAGS = (
    "-O3", "-march=native", "-fopenmp", "-shared", "-fPIC", "-fno-math-errno",
    "-fno-trapping-math", "-fno-signed-zeros", "-fassociative-math", "-ffinite-math-only",
)  # fmt: skip
CHUNK = 56  # timesteps of slow state computed by one matrix product
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


@cache
def _kernel() -> ctypes.CDLL:
    """Compile `lif.cpp` once for this machine and load it, or raise `UserError`."""
    source = Path(__file__).with_name("lif.cpp")
    cpu = [
        line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("flags")
    ][:1]
    key = hashlib.sha256(source.read_bytes() + repr((KERNEL_FLAGS, cpu)).encode()).hexdigest()[:16]
    library = (
        Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))
        / "dmp-core"
        / f"lif-{key}.so"
    )
    if not library.exists():
        library.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=library.parent) as scratch:
            built = Path(scratch) / library.name
            try:
                done = subprocess.run(
                    ["g++", *KERNEL_FLAGS, str(source), "-o", str(built)],
                    capture_output=True,
                    text=True,
                )
            except OSError as error:
                raise UserError(
                    f"training needs g++ ({error.strerror}): install it (apt install g++)"
                ) from None
            if done.returncode:
                words = [line for line in done.stderr.splitlines() if "error" in line.lower()]
                why = words[0] if words else f"exit status {done.returncode}"
                raise UserError(f"g++ could not compile {source} ({why}): install another g++")
            built.rename(library)
    # Tensors of 40 MB come and go every step: keep their pages instead of returning them to the
    # system each time.
    libc = ctypes.CDLL(None)
    if hasattr(libc, "mallopt"):
        libc.mallopt(M_MMAP_MAX, 0)
        libc.mallopt(M_TRIM_THRESHOLD, 2**31 - 1)
    return ctypes.CDLL(str(library))


def _pointer(tensor: Tensor | None) -> ctypes.c_void_p:
    return ctypes.c_void_p(tensor.data_ptr() if tensor is not None else None)


class LifScan(torch.autograd.Function):
    """Leaky integrate-and-fire over all timesteps.

    Takes the current (K, B, N) bfloat16; returns spikes of the same shape and their counts over
    time (B, N) float32.

        u[k] = leak * u'[k-1] + current[k];  spike where u[k] >= threshold
        u'[k] = u[k] - threshold (or 0) where it fired, u[k] elsewhere

    The surrogate gradient is the triangle max(0, 1 - |u - threshold|); the reset is detached.
    """

    @staticmethod
    def forward(
        ctx: Any, current: Tensor, leak: float, threshold: float, subtract: bool
    ) -> tuple[Tensor, Tensor]:
        current = current.contiguous()
        spikes, slope = torch.empty_like(current), torch.empty_like(current)
        counts = torch.empty(current.shape[1:], dtype=torch.float32)
        _kernel().lif_forward(
            *(_pointer(t) for t in (current, spikes, slope, counts)),
            *(ctypes.c_int64(n) for n in (len(current), counts.numel())),
            ctypes.c_float(leak),
            ctypes.c_float(threshold),
            ctypes.c_int(subtract),
        )
        ctx.save_for_backward(spikes, slope)
        ctx.set_materialize_grads(False)
        ctx.leak, ctx.subtract = leak, subtract
        return spikes, counts

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor | None) -> tuple[Tensor, None, None, None]:
        spikes, slope = ctx.saved_tensors
        grads = [g if g is None else g.contiguous() for g in grad_outputs]
        grad_current = torch.empty_like(spikes)
        _kernel().lif_backward(
            *(_pointer(t) for t in (*grads, spikes, slope, grad_current)),
            *(ctypes.c_int64(n) for n in (len(spikes), spikes[0].numel())),
            ctypes.c_float(ctx.leak),
            ctypes.c_int(ctx.subtract),
        )
        return grad_current, None, None, None


class SlowState(nn.Module):
    """The slow state of a layer for a whole sequence: drive (K, B) float32 to state (K, B, d)
    float32.
    """

    transition: Tensor
    response: Tensor

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

        x[k] = relu(w_x . s[k] + b_x);  m[k] = A m[k-1] + B x[k]
        current[k] = W_f s[k] + W_m m[k'] + c,  k' the latest timestep with k' mod dilation = 0

    `drive_trained` false fixes w_x = 1 and b_x = 0: with one input the drive can otherwise die.
    """

    def __init__(self, topology: LayerTopology, leak: float) -> None:
        super().__init__()
        self.topology = topology
        self.leak = leak
        n_inputs, n_neurons, n_state = topology.n_inputs, topology.n_neurons, topology.n_state
        self.fast = nn.Linear(n_inputs, n_neurons)
        if n_state:
            self.slow_state = SlowState(n_state, topology.theta)
            self.slow = nn.Linear(n_state, n_neurons, bias=False)
            nn.init.uniform_(self.slow.weight, -4 / math.sqrt(n_state), 4 / math.sqrt(n_state))
            ones = n_inputs == 1
            weight = torch.ones(n_inputs) if ones else torch.rand(n_inputs) * 2 / n_inputs
            self.drive_weight = nn.Parameter(weight, requires_grad=not ones)
            self.drive_bias = nn.Parameter(torch.zeros(()), requires_grad=not ones)

    def drive(self, spikes: Tensor) -> Tensor:
        """Return x (K, B) float32."""
        weighted = functional.linear(spikes, self.drive_weight.to(spikes.dtype)[None])[..., 0]
        return torch.relu(weighted.float() + self.drive_bias)

    def forward(self, spikes: Tensor) -> tuple[Tensor, Tensor]:
        dtype = spikes.dtype
        current = functional.linear(spikes, self.fast.weight.to(dtype), self.fast.bias.to(dtype))
        if self.topology.n_state:
            state = self.slow_state(self.drive(spikes))
            if self.topology.dilation > 1:
                held = state[:: self.topology.dilation]
                state = held.repeat_interleave(self.topology.dilation, 0)[: len(spikes)]
            current = current + functional.linear(state, self.slow.weight.to(dtype))
        return LifScan.apply(current, self.leak, 1.0, self.topology.reset == "subtract")


class DmpNetwork(nn.Module):
    """Layers and a linear readout of the mean spike rates.

    `forward` takes payloads (K, B, inputs) uint8 and returns logits (B, classes) float32 and the
    mean spikes per timestep of each layer. Thresholds are 1: a weight's scale says the rest.
    """

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
        return self.readout(counts / len(spikes)) * LOGIT_GAIN, rates

    def n_parameters(self) -> int:
        """Count what is trained (w_x and b_x of a one-input layer are not)."""
        return sum(p.numel() for p in self.parameters() if p.requires_grad)
