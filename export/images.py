"""Integers of a network to memory words for given lanes, and back.

A word is a Python integer, lane 0 in its lowest bits, every element in two's complement. Lanes that
have no neuron hold 0.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from golden.errors import UserError
from golden.hardware.core import CoreParams
from golden.hardware.layer import LayerHardware
from golden.hardware.memory import MemoryParams
from golden.integer import LayerIntegers, NetworkIntegers, without_readout

Images = dict[str, list[int]]


def pack_words(elements: np.ndarray, memory: MemoryParams) -> list[int]:
    """Pack elements (depth, lanes) into words."""
    memory.element.check(elements, f"memory {memory.name}")
    width, mask = memory.element.width, (1 << memory.element.width) - 1
    words = [0] * memory.depth
    for lane, column in enumerate(elements.T.tolist()):
        shift = lane * width
        words = [word | (value & mask) << shift for word, value in zip(words, column, strict=True)]
    return words


def unpack_words(words: list[int], memory: MemoryParams) -> np.ndarray:
    """Return the elements (depth, lanes) int64 of packed words, or raise `UserError`."""
    if len(words) != memory.depth:
        raise UserError(f"memory {memory.name} has {len(words)} words: it must have {memory.depth}")
    if any(word >> memory.width for word in words):
        raise UserError(f"memory {memory.name} has a word of more than {memory.width} bits")
    width, mask = memory.element.width, (1 << memory.element.width) - 1
    sign = memory.element.max + 1 if memory.element.signed else 0  # the bit that counts negative
    columns = [
        [(word >> lane * width & mask ^ sign) - sign for word in words]
        for lane in range(memory.n_lanes)
    ]
    return np.array(columns, np.int64).T


def _deal(values: np.ndarray, n_groups: int, lanes: int) -> np.ndarray:
    """Arrange values (neurons, k) as (groups * k, lanes): a word is one value of each neuron of a
    group.
    """
    k = values.shape[1]
    padded = np.zeros((n_groups * lanes, k), np.int64)
    padded[: len(values)] = values
    return padded.reshape(n_groups, lanes, k).transpose(0, 2, 1).reshape(n_groups * k, lanes)


def _gather(elements: np.ndarray, n_groups: int, n_neurons: int, name: str) -> np.ndarray:
    """Undo `_deal`; lanes without a neuron must be 0."""
    lanes = elements.shape[1]
    values = elements.reshape(n_groups, -1, lanes).transpose(0, 2, 1).reshape(n_groups * lanes, -1)
    if values[n_neurons:].any():
        raise UserError(f"memory {name} has values in lanes that have no neuron")
    return values[:n_neurons]


def _turned(words: np.ndarray, n_groups: int) -> np.ndarray:
    """Return words (groups * k, lanes) as (k * groups, lanes): those of all groups for one column
    after another.
    """
    return words.reshape(n_groups, -1, words.shape[1]).swapaxes(0, 1).reshape(words.shape)


def _layer_elements(layer: LayerIntegers, hardware: LayerHardware) -> dict[str, np.ndarray]:
    n_groups, lanes = hardware.n_groups, hardware.lanes
    words, units = n_groups * hardware.fold, hardware.neuron_fold.units
    scalars = [[getattr(layer, name)] for name in hardware.scalars]
    elements = {"w_f": _deal(layer.w_f, n_groups, lanes), "scalars": np.array(scalars, np.int64)}
    for name in hardware.neuron_values:
        elements[name] = _deal(getattr(layer, name)[:, None], words, units)
    if hardware.params.n_state:
        columns = np.concatenate([layer.p, layer.v[:, None]], 1)[:, : hardware.columns]
        per_cycle = hardware.hardware.products_per_cycle
        padded = np.zeros((len(columns), hardware.dense_steps * per_cycle), np.int64)
        padded[:, : columns.shape[1]] = columns
        # The columns of a step lie one above another in its word.
        dealt = _deal(padded, n_groups, lanes).reshape(-1, per_cycle * lanes)
        elements["p"] = _turned(dealt, n_groups) if hardware.input_stationary else dealt
        elements["w_x"] = layer.w_x[:, None]
        rows = np.concatenate([layer.a, layer.b[:, None]], 1)
        update = hardware.state_update
        padded = np.zeros((len(rows), update.steps * update.columns), np.int64)
        padded[:, : rows.shape[1]] = rows
        dealt = _deal(padded, update.row_groups, update.lanes)
        elements["ab"] = dealt.reshape(-1, update.multipliers)
    if hardware.delayed:
        elements["delays"] = layer.delays[:, None]
    return elements


def pack(network: NetworkIntegers, core: CoreParams) -> Images:
    """Return the words of every memory of the core, by the memory's full name."""
    elements = {
        f"layer{i}.{name}": values
        for i, (layer, hardware) in enumerate(zip(network.layers, core.layers, strict=True))
        for name, values in _layer_elements(layer, hardware).items()
    }
    if core.network.output is not None:
        readout = core.readout
        elements["readout.w_o"] = _deal(network.w_o, readout.n_groups, readout.lanes)
        elements["readout.b_o"] = _deal(network.b_o[:, None], readout.n_groups, readout.lanes)
        if readout.scalars:
            elements["readout.scalars"] = np.array([[network.leak_o]], np.int64)
    return {name: pack_words(elements[name], memory) for name, memory in core.memories.items()}


def unpack(images: Images, core: CoreParams) -> NetworkIntegers:
    """Return the network that `pack` packed, or raise `UserError`."""
    missing = set(core.memories) ^ set(images)
    if missing:
        raise UserError(
            f"the images do not match the core's memories: {', '.join(sorted(missing))}"
        )
    elements = {name: unpack_words(images[name], memory) for name, memory in core.memories.items()}
    layers = []
    for i, hardware in enumerate(core.layers):
        p, n_groups = hardware.params, hardware.n_groups

        def of(name: str, prefix: str = f"layer{i}.") -> np.ndarray:
            return elements[prefix + name]

        n, d = p.n_neurons, p.n_state
        w_f = _gather(of("w_f"), n_groups, n, f"layer{i}.w_f")
        words = n_groups * hardware.fold
        neuron: dict[str, Any] = {
            name: _gather(of(name), words, n, f"layer{i}.{name}")[:, 0]
            for name in hardware.neuron_values
        }
        shared = (int(value) for value in of("scalars")[:, 0])
        neuron |= dict(zip(hardware.scalars, shared, strict=True))
        if d:
            dealt = of("p")
            if hardware.input_stationary:
                dealt = _turned(dealt, hardware.dense_steps)
            columns = dealt.reshape(-1, hardware.lanes)
            pv = _gather(columns, n_groups, n, f"layer{i}.p")
            if pv[:, hardware.columns :].any():
                raise UserError(f"memory layer{i}.p has values after its last column")
            update = hardware.state_update
            columns = of("ab").reshape(-1, update.lanes)
            ab = _gather(columns, update.row_groups, d, f"layer{i}.ab")
            if ab[:, d + 1 :].any():
                raise UserError(f"memory layer{i}.ab has values after its last column")
            w_x = of("w_x")[:, 0]
        else:
            pv, ab, w_x = (
                np.zeros((n, 1), np.int64),
                np.zeros((0, 1), np.int64),
                np.zeros(p.n_inputs, np.int64),
            )
        delays = of("delays")[:, 0] if hardware.delayed else np.zeros(0, np.int64)
        layers.append(
            LayerIntegers(
                w_f=w_f,
                w_x=w_x,
                a=ab[:, :d],
                b=ab[:, d],
                p=pv[:, :d],
                v=np.zeros(n, np.int64) if p.state_first else pv[:, d],
                delays=delays,
                **neuron,
            )
        )
    if core.network.output is None:
        return without_readout(core.network, tuple(layers))
    readout = core.readout
    n_classes = readout.params.n_classes
    w_o = _gather(elements["readout.w_o"], readout.n_groups, n_classes, "readout.w_o")
    b_o = _gather(elements["readout.b_o"], readout.n_groups, n_classes, "readout.b_o")[:, 0]
    leak = int(elements["readout.scalars"][0, 0]) if readout.scalars else 0
    return NetworkIntegers(core.network, tuple(layers), w_o, b_o, leak)
