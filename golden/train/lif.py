"""Leaky integrate-and-fire neurons over all timesteps of a sequence, with their backward.

Only the reset (and recurrence) makes the scan sequential. On a processor, without recurrence, it is
the kernel in `lif.cpp`, compiled once; else a loop of Torch operations over time, on any device.

    u[k] = leak * u'[k-1] + current[k] (+ W_r s[k-1]);  spike s[k] where u[k] >= threshold
    u'[k] = u[k] - threshold (or 0) where it fired, u[k] elsewhere

Leak and threshold are one of all neurons, or one of every neuron, which then have gradients.

The surrogate gradient is the triangle `max(0, 1 - |u - threshold|)`; the reset is detached: a
gradient passes through what it takes, not through whether it takes it.
"""

from __future__ import annotations

import ctypes
import hashlib
import subprocess
from functools import cache
from pathlib import Path
from typing import Any, TypeAlias

import torch
from torch import Tensor

from golden.cache import cache_folder
from golden.errors import UserError, guard_children
from golden.files import scratch_folder

Value: TypeAlias = "float | Tensor"  # one of all neurons, or (N,)

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
        with scratch_folder(library.parent) as scratch:
            built = scratch / library.name
            try:
                guard_children()
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
    """Leaky integrate-and-fire over all timesteps, by the kernel.

    Takes the current (K, B, N) bfloat16, and leak and threshold as numbers, or (N,) float32 each;
    returns spikes of the same shape and their counts over time (B, N) float32.
    """

    @staticmethod
    def forward(
        ctx: Any, current: Tensor, leak: Value, threshold: Value, subtract: bool
    ) -> tuple[Tensor, Tensor]:
        current = current.contiguous()
        spikes, slope = torch.empty_like(current), torch.empty_like(current)
        counts = torch.empty(current.shape[1:], dtype=torch.float32)
        tensors, sizes = (current, spikes, slope, counts), (len(current), counts.numel())
        ctx.set_materialize_grads(False)
        ctx.leak, ctx.subtract = leak, subtract
        if isinstance(leak, Tensor) and isinstance(threshold, Tensor):
            # A column is a neuron in a sequence.
            ctx.leak = leak.detach().float().expand_as(counts).contiguous()
            thresholds = threshold.detach().float().expand_as(counts).contiguous()
            kept = torch.empty_like(current)
            kernel().lif_forward_each(
                *(pointer(t) for t in (*tensors, kept)),
                *(ctypes.c_int64(n) for n in sizes),
                *(pointer(t) for t in (ctx.leak, thresholds)),
                ctypes.c_int(subtract),
            )
            ctx.save_for_backward(spikes, slope, kept)
            return spikes, counts
        assert not isinstance(leak, Tensor) and not isinstance(threshold, Tensor)
        kernel().lif_forward(
            *(pointer(t) for t in tensors),
            *(ctypes.c_int64(n) for n in sizes),
            *(ctypes.c_float(value) for value in (leak, threshold)),
            ctypes.c_int(subtract),
        )
        ctx.save_for_backward(spikes, slope)
        return spikes, counts

    @staticmethod
    def backward(
        ctx: Any, *grad_outputs: Tensor | None
    ) -> tuple[Tensor, Tensor | None, Tensor | None, None]:
        spikes, slope, *kept = ctx.saved_tensors
        grads = [g if g is None else g.contiguous() for g in grad_outputs]
        grad_current = torch.empty_like(spikes)
        sizes = [ctypes.c_int64(n) for n in (len(spikes), spikes[0].numel())]
        if kept:
            of_columns = torch.zeros((2, *spikes.shape[1:]), dtype=torch.float32)
            kernel().lif_backward_each(
                *(pointer(t) for t in (*grads, spikes, slope, *kept, grad_current, *of_columns)),
                *sizes,
                pointer(ctx.leak),
                ctypes.c_int(ctx.subtract),
            )
            grad_leak, grad_threshold = of_columns.sum(1)
            return grad_current, grad_leak, grad_threshold, None
        kernel().lif_backward(
            *(pointer(t) for t in (*grads, spikes, slope, grad_current)),
            *sizes,
            ctypes.c_float(ctx.leak),
            ctypes.c_int(ctx.subtract),
        )
        return grad_current, None, None, None


class LoopScan(torch.autograd.Function):
    """The same, by a loop over time: takes the current (K, B, N), the weights of own spikes (N, N)
    or None, and leak and threshold, on any device.
    """

    @staticmethod
    def forward(
        ctx: Any,
        current: Tensor,
        own: Tensor | None,
        leak: Value,
        threshold: Value,
        subtract: bool,
    ) -> tuple[Tensor, Tensor]:
        dtype = torch.promote_types(current.dtype, torch.float32)
        membrane = torch.zeros(current.shape[1:], dtype=dtype, device=current.device)
        counts = torch.zeros_like(membrane)
        spikes, slope = torch.empty_like(current), torch.empty_like(current)
        kept = torch.empty_like(current) if isinstance(leak, Tensor) else None
        before = None
        for k, arrived in enumerate(current):
            membrane = leak * membrane + arrived
            if own is not None and before is not None:
                membrane += before @ own.t()
            fired = membrane >= threshold
            spikes[k] = fired
            slope[k] = (1 - (membrane - threshold).abs()).clamp(min=0)
            counts += fired
            left = membrane - threshold if subtract else torch.zeros_like(membrane)
            membrane = torch.where(fired, left, membrane)
            if kept is not None:
                kept[k] = membrane
            before = spikes[k]
        ctx.save_for_backward(spikes, slope, own, kept)
        ctx.leak, ctx.subtract = leak.detach() if isinstance(leak, Tensor) else leak, subtract
        return spikes, counts

    @staticmethod
    def backward(
        ctx: Any, *grad_outputs: Tensor | None
    ) -> tuple[Tensor, Tensor | None, Tensor | None, Tensor | None, None]:
        spikes, slope, own, kept = ctx.saved_tensors
        grad_spikes, grad_counts = grad_outputs
        grad_current = torch.empty_like(spikes)
        dtype = torch.promote_types(spikes.dtype, torch.float32)
        carried = torch.zeros(spikes.shape[1:], dtype=dtype, device=spikes.device)
        grad_leak, grad_threshold = torch.zeros_like(carried), torch.zeros_like(carried)
        constant = 0.0 if grad_counts is None else grad_counts
        delta = None
        for k in reversed(range(len(spikes))):
            total = constant + (0.0 if grad_spikes is None else grad_spikes[k])
            if own is not None and delta is not None:
                total = total + delta @ own
            passed = carried if ctx.subtract else torch.where(spikes[k] > 0, 0.0, carried)
            grad_current[k] = total * slope[k] + passed
            delta = grad_current[k]
            if kept is not None:
                # The threshold acts through the spike, and through what the reset takes.
                grad_threshold -= total * slope[k] + spikes[k] * carried * ctx.subtract
                if k:
                    grad_leak += delta * kept[k - 1]
            carried = ctx.leak * delta.to(dtype)
        grad_own = None
        if own is not None:
            later = grad_current[1:].flatten(0, 1)
            grad_own = later.t() @ spikes[:-1].flatten(0, 1)
        if kept is None:
            return grad_current, grad_own, None, None, None
        return grad_current, grad_own, grad_leak.sum(0), grad_threshold.sum(0), None


def scan(
    current: Tensor, own: Tensor | None, leak: Value, threshold: Value, subtract: bool
) -> tuple[Tensor, Tensor]:
    """Return spikes (K, B, N) and their counts over time (B, N) float32, for currents (K, B, N)
    bfloat16, the weights (N, N) of own spikes, and leak and threshold: numbers, or (N,) each.
    """
    if own is None and current.device.type == "cpu":
        return LifScan.apply(current, leak, threshold, subtract)
    return LoopScan.apply(current, own, leak, threshold, subtract)
