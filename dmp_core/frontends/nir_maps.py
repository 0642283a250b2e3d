"""Nodes of weights as one linear map: what a layer of neurons, or the readout, does to what arrives
from the layer before.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from dmp_core.frontends.nir_file import Node, text
from golden.params import MAX_DELAY

WHOLE = 1e-3  # of a timestep: delays are stored in float32


@dataclass(frozen=True)
class Arriving:
    """What arrives at a node: weights (n, n_inputs) times what is sent, and a bias (n,).

    Parameters
    ----------
    shape
        That the file gives to the n values; the last index runs fastest.
    weights
        None: what is sent arrives as it is.
    delays
        Timesteps (n_inputs,) after which what is sent takes part.
    max_weights
        The most weights that a node may be unrolled into.
    nodes
        Through which it came, and of each what it does, in words.
    """

    n_inputs: int
    shape: tuple[int, ...]
    bias: np.ndarray
    delays: np.ndarray
    max_weights: int
    weights: np.ndarray | None = None
    nodes: tuple[tuple[Node, str], ...] = ()

    @property
    def size(self) -> int:
        return math.prod(self.shape)

    def matrix(self, node: Node) -> np.ndarray:
        """Return the weights, for a node that needs them as they are."""
        if self.weights is not None:
            return self.weights
        _check_limit(node, self.size, self.n_inputs, self.max_weights)
        return np.eye(self.size)

    def through(self, node: Node, shape: tuple[int, ...], words: str) -> Arriving:
        """Return the same values in another shape."""
        return replace(self, shape=shape, nodes=(*self.nodes, (node, words)))

    def times(
        self, node: Node, weights: np.ndarray, bias: np.ndarray, shape: tuple[int, ...], words: str
    ) -> Arriving:
        """Return what leaves a node with these weights (n', n) and this bias (n',)."""
        whole = weights if self.weights is None else weights @ self.weights
        done = self.through(node, shape, words)
        return replace(done, weights=whole, bias=weights @ self.bias + bias)


def sent(shape: tuple[int, ...], max_weights: int) -> Arriving:
    """Return what arrives where a layer, or the Input, sends values of this shape."""
    n = math.prod(shape)
    return Arriving(n, shape, np.zeros(n), np.zeros(n, np.int64), max_weights)


def each(node: Node, numbers: np.ndarray, shape: tuple[int, ...], name: str) -> np.ndarray:
    """Return numbers (n,), one for each value of a shape; one number stands for all."""
    n = math.prod(shape)
    if numbers.size == 1:
        return np.full(n, numbers.item())
    if numbers.ndim == len(shape) and _spreads(numbers.shape, shape):
        return np.broadcast_to(numbers, shape).reshape(-1)
    if numbers.size == n:
        return numbers.reshape(-1)
    raise node.error(
        f"{name} has the shape {numbers.shape}, but {_sizes(shape)} values arrive: use"
        f" {_sizes(shape)} numbers, or one"
    )


def apply(node: Node, before: Arriving) -> Arriving:
    """Return what leaves a node of weights."""
    if node.kind in ("Affine", "Linear"):
        return _affine(node, before)
    if node.kind == "Scale":
        return _scale(node, before)
    if node.kind == "Flatten":
        return _flatten(node, before)
    return _pool(node, before) if "Pool" in node.kind else _convolution(node, before)


def _spreads(shape: tuple[int, ...], onto: tuple[int, ...]) -> bool:
    return all(size in (1, other) for size, other in zip(shape, onto, strict=True))


def _sizes(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape)) or "1"


def _check_limit(node: Node, n_rows: int, n_columns: int, limit: int) -> None:
    if n_rows * n_columns > limit:
        raise node.error(
            f"unrolled it has {n_rows} x {n_columns} = {n_rows * n_columns} weights: use at most"
            f" {limit}, or a higher max_weights (each takes 8 bytes)"
        )


def _affine(node: Node, before: Arriving) -> Arriving:
    weights = node.numbers("weight")
    if weights.ndim != 2:
        raise node.error(f"weight has the shape {weights.shape}: use (outputs, inputs)")
    n_outputs, n_inputs = weights.shape
    if n_inputs != before.size:
        raise node.error(
            f"weight has the shape {weights.shape}, but {_sizes(before.shape)} values arrive: use"
            f" ({n_outputs}, {before.size})"
        )
    bias = np.zeros(n_outputs)
    if node.kind == "Affine":
        bias = each(node, node.numbers("bias"), (n_outputs,), "bias")
    return before.times(node, weights, bias, (n_outputs,), f"{n_outputs} x {n_inputs} weights")


def _scale(node: Node, before: Arriving) -> Arriving:
    scale = each(node, node.numbers("scale"), before.shape, "scale")
    done = before.through(node, before.shape, "its factors")
    weights = before.matrix(node) * scale[:, None]
    return replace(done, weights=weights, bias=before.bias * scale)


def _flatten(node: Node, before: Arriving) -> Arriving:
    expected = node.shape("input_type")
    if expected is not None and math.prod(expected) != before.size:
        raise node.error(
            f"input_type is {_sizes(expected)}, but {_sizes(before.shape)} values arrive: use one"
            " of the two"
        )
    return before.through(node, (before.size,), "the same values, in the same order")


def _image(node: Node, before: Arriving, n_sizes: int, channels: int | None) -> tuple[int, ...]:
    """Return the shape (channels, sizes...) of what arrives."""
    shape = before.shape
    while len(shape) > n_sizes + 1 and shape[0] == 1:  # a batch of one
        shape = shape[1:]
    given = node.shape("input_shape")
    if len(shape) == n_sizes and channels == 1:
        shape = (1, *shape)
    if len(shape) == 1 and given is not None and channels is not None:
        shape = (channels, *given) if channels * math.prod(given) == before.size else shape
    right = len(shape) == n_sizes + 1 and channels in (None, shape[0])
    if not right or given is not None and shape[1:] != given:
        wanted = channels or "channels", *(given or ["size"] * n_sizes)
        raise node.error(
            f"values of {_sizes(before.shape)} arrive: use {' x '.join(map(str, wanted))}"
        )
    return shape


def _convolution(node: Node, before: Arriving) -> Arriving:
    n_sizes = int(node.kind[4])
    kernel = node.numbers("weight")
    (groups,) = node.wholes("groups", 1, default=1)
    if kernel.ndim != n_sizes + 2:
        raise node.error(
            f"weight has the shape {kernel.shape}: use {n_sizes + 2} sizes (outputs, inputs of a"
            " group, kernel)"
        )
    if not groups or len(kernel) % groups:
        raise node.error(f"{len(kernel)} outputs in {groups} groups: use groups of equal size")
    image = _image(node, before, n_sizes, kernel.shape[1] * groups)
    bias = np.zeros(1) if node.value("bias") is None else node.numbers("bias")
    bias = each(node, bias, (len(kernel),), "bias")
    return _unrolled(node, before, kernel, groups, image, bias)


def _pool(node: Node, before: Arriving) -> Arriving:
    image = _image(node, before, 2, None)
    kernel = np.ones((image[0], 1, *node.wholes("kernel_size", 2)))
    if node.kind == "AvgPool2d":
        kernel /= max(1, kernel[0].size)
    return _unrolled(node, before, kernel, image[0], image, np.zeros(image[0]))


def _padding(node: Node, kernel: tuple[int, ...], dilation: tuple[int, ...]) -> list[list[int]]:
    """Return the zeros before and after the values, in each direction."""
    given = node.value("padding")
    word = text(given) if isinstance(given, str | bytes | np.bytes_) else None
    if word == "same":
        if any(stride != 1 for stride in node.wholes("stride", len(kernel), default=1)):
            raise node.error("padding 'same' with a stride other than 1: use padding in numbers")
        totals = [d * (k - 1) for k, d in zip(kernel, dilation, strict=True)]
        return [[total // 2, total - total // 2] for total in totals]
    if word not in (None, "valid"):
        raise node.error(f"padding is '{word}': use 'same', 'valid' or numbers")
    zeros = (0,) * len(kernel) if word else node.wholes("padding", len(kernel), default=0)
    return [[number, number] for number in zeros]


def _unrolled(
    node: Node,
    before: Arriving,
    kernel: np.ndarray,
    groups: int,
    image: tuple[int, ...],
    bias: np.ndarray,
) -> Arriving:
    """Return what leaves a convolution of this kernel (outputs, inputs of a group, sizes...)."""
    sizes, window = image[1:], kernel.shape[2:]
    strides = node.wholes("stride", len(sizes), default=None if "Pool" in node.kind else 1)
    dilations = node.wholes("dilation", len(sizes), default=1)
    if not all((*strides, *dilations, *window)):
        raise node.error("a stride, dilation or kernel of size 0: use 1 or more")
    padding = _padding(node, window, dilations)
    places: list[list[tuple[np.ndarray, np.ndarray]]] = []  # by direction, tap: outputs, inputs
    result = []
    for size, taps, stride, dilation, (low, high) in zip(
        sizes, window, strides, dilations, padding, strict=True
    ):
        count = (size + low + high - dilation * (taps - 1) - 1) // stride + 1
        if count < 1:
            raise node.error(
                f"a kernel of {dilation * (taps - 1) + 1} does not fit into {size + low + high}"
                " values: use a smaller one, or more padding"
            )
        result.append(count)
        _check_limit(node, len(kernel) * math.prod(result), before.size, before.max_weights)
        inputs = [np.arange(count) * stride + tap * dilation - low for tap in range(taps)]
        inside = [(at >= 0) & (at < size) for at in inputs]
        places.append([(np.flatnonzero(i), at[i]) for at, i in zip(inputs, inside, strict=True)])
    shape = (len(kernel), *result)
    n_outputs = math.prod(shape)
    weights = np.zeros((n_outputs, before.size))
    channels = np.arange(len(kernel))
    of_group = channels[:, None] // (len(kernel) // groups) * kernel.shape[1]
    of_group = of_group + np.arange(kernel.shape[1])  # (outputs, inputs of a group)
    for tap in np.ndindex(*window):
        rows, columns = channels[:, None], of_group
        for axis, at in enumerate(tap):
            outputs, inputs = places[axis][at]
            rows = rows[..., None] * result[axis] + outputs
            columns = columns[..., None] * sizes[axis] + inputs
        values = kernel[(..., *tap)].reshape(*of_group.shape, *[1] * len(sizes))
        weights[rows, columns] = values
    words = f"unrolled into {n_outputs} x {before.size} weights"
    whole = np.repeat(bias, n_outputs // len(kernel))
    return before.times(node, weights, whole, shape, words)


def delayed(node: Node, before: Arriving, dt: float) -> Arriving:
    """Return what leaves a Delay: the delays in timesteps of what is sent."""
    steps = each(node, node.numbers("delay"), before.shape, "delay") / dt
    whole = np.round(steps)
    for step, nearest in zip(steps, whole, strict=True):
        if step < 0 or abs(step - nearest) > WHOLE:
            raise node.error(
                f"a delay of {step * dt:g} is {step:g} timesteps of dt {dt:g}: use whole"
                " timesteps, 0 or more"
            )
    if before.weights is None:
        delays = before.delays + whole.astype(np.int64)
    elif (whole == whole[0]).all() and not (whole[0] and before.bias.any()):
        delays = before.delays + int(whole[0])
    else:
        raise node.error(
            "it delays values that weights or a bias have made: put it before the nodes of weights"
        )
    if delays.max(initial=0) > MAX_DELAY:
        raise node.error(f"a delay of {delays.max()} timesteps: use at most {MAX_DELAY}")
    words = f"delays of {delays.min()} to {delays.max()} timesteps"
    return replace(before.through(node, before.shape, words), delays=delays)
