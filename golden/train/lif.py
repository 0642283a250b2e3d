"""Leaky integrate-and-fire neurons over all timesteps of a sequence, with their backward.

Only the reset (and recurrence) makes the scan sequential. On a processor, without recurrence, it is
the kernel in `lif.cpp`, compiled once; else a loop of Torch operations over time, on any device.

    u[k] = leak * u'[k-1] + current[k] (+ W_r s[k-1]);  spike s[k] where u[k] >= threshold
    u'[k] = u[k] - threshold (or 0) where it fired, u[k] elsewhere

The surrogate gradient is the triangle `max(0, 1 - |u - threshold|)`; the reset is detached.
"""

from __future__ import annotations

import ctypes
import hashlib
import subprocess
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from golden.cache import cache_folder
from golden.errors import UserError

M_MMAP_MAX, M_TRIM_THRESHOLD = -4, -1  # of glibc's mallopt
# What -ffast-math allows, without what it links: that would flush denormals to zero in the whole
# process, for everyone.
KERNEL_FLAGS = (
    "-O3", "-march=native", "-fopenmp", "-shared", "-fPIC", "-fno-math-errno",
    "-fno-trapping-math", "-fno-signed-zeros", "-fassociative-math", "-ffinite-math-only",
)  # fmt: skip


@cache
def kernel() -> ctypes.CDLL:
    """Compile `lif.cpp` once for this machine and load it, or raise `UserError`."""
    source = Path(__file__).with_name("lif.cpp")
    cpu = [
        line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("flags")
    ][:1]
    key = hashlib.sha256(source.read_bytes() + repr((KERNEL_FLAGS, cpu)).encode()).hexdigest()[:16]
    library = cache_folder() / f"lif-{key}.so"
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


def pointer(tensor: Tensor | None) -> ctypes.c_void_p:
    """Return where a contiguous tensor lies, for the kernel."""
    return ctypes.c_void_p(tensor.data_ptr() if tensor is not None else None)


class LifScan(torch.autograd.Function):
    """Leaky integrate-and-fire over all timesteps.

    Takes the current (K, B, N) bfloat16; returns spikes of the same shape and their counts over
    time (B, N) float32.

        u[k] = leak * u'[k-1] + current[k];  spike where u[k] >= threshold
        u'[k] = u[k] - threshold (or 0) where it fired, u[k] elsewhere

    The surrogate gradient is the triangle `max(0, 1 - |u - threshold|)`; the reset is detached.
    """

    @staticmethod
    def forward(
        ctx: Any, current: Tensor, leak: float, threshold: float, subtract: bool
    ) -> tuple[Tensor, Tensor]:
        current = current.contiguous()
        spikes, slope = torch.empty_like(current), torch.empty_like(current)
        counts = torch.empty(current.shape[1:], dtype=torch.float32)
        kernel().lif_forward(
            *(pointer(t) for t in (current, spikes, slope, counts)),
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
        kernel().lif_backward(
            *(pointer(t) for t in (*grads, spikes, slope, grad_current)),
            *(ctypes.c_int64(n) for n in (len(spikes), spikes[0].numel())),
            ctypes.c_float(ctx.leak),
            ctypes.c_int(ctx.subtract),
        )
        return grad_current, None, None, None


class LoopScan(torch.autograd.Function):
    """The same, by a loop over time: takes the current (K, B, N) and the weights of own spikes
    (N, N) or None, on any device.
    """

    @staticmethod
    def forward(
        ctx: Any,
        current: Tensor,
        own: Tensor | None,
        leak: float,
        threshold: float,
        subtract: bool,
    ) -> tuple[Tensor, Tensor]:
        membrane = torch.zeros(current.shape[1:], dtype=torch.float32, device=current.device)
        counts = torch.zeros_like(membrane)
        spikes, slope = torch.empty_like(current), torch.empty_like(current)
        before = None
        for k, arrived in enumerate(current):
            membrane = leak * membrane + arrived
            if own is not None and before is not None:
                membrane += before @ own.t()
            fired = membrane >= threshold
            spikes[k] = fired
            slope[k] = (1 - (membrane - threshold).abs()).clamp(min=0)
            counts += fired
            kept = membrane - threshold if subtract else torch.zeros_like(membrane)
            membrane = torch.where(fired, kept, membrane)
            before = spikes[k]
        ctx.save_for_backward(spikes, slope, own)
        ctx.leak, ctx.subtract = leak, subtract
        return spikes, counts

    @staticmethod
    def backward(
        ctx: Any, *grad_outputs: Tensor | None
    ) -> tuple[Tensor, Tensor | None, None, None, None]:
        spikes, slope, own = ctx.saved_tensors
        grad_spikes, grad_counts = grad_outputs
        grad_current = torch.empty_like(spikes)
        carried = torch.zeros(spikes.shape[1:], dtype=torch.float32, device=spikes.device)
        constant = 0.0 if grad_counts is None else grad_counts
        delta = None
        for k in reversed(range(len(spikes))):
            total = constant + (0.0 if grad_spikes is None else grad_spikes[k])
            if own is not None and delta is not None:
                total = total + delta @ own
            kept = carried if ctx.subtract else torch.where(spikes[k] > 0, 0.0, carried)
            grad_current[k] = total * slope[k] + kept
            delta = grad_current[k]
            carried = ctx.leak * delta.float()
        grad_own = None
        if own is not None:
            later = grad_current[1:].flatten(0, 1)
            grad_own = later.t() @ spikes[:-1].flatten(0, 1)
        return grad_current, grad_own, None, None, None


def scan(current: Tensor, own: Tensor | None, leak: float, subtract: bool) -> tuple[Tensor, Tensor]:
    """Return spikes (K, B, N) and their counts over time (B, N) float32, for currents (K, B, N)
    bfloat16, the weights (N, N) of own spikes, and a threshold of 1.
    """
    if own is None and current.device.type == "cpu":
        return LifScan.apply(current, leak, 1.0, subtract)
    return LoopScan.apply(current, own, leak, 1.0, subtract)
