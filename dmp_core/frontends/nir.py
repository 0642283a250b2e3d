"""From NIR, the Neuromorphic Intermediate Representation, to a network in reals.

NIR's neurons are equations in continuous time. What they leave open is asked for: the length of a
timestep, how a time constant becomes a decay, and what a spike does to the membrane.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path

import nir
import numpy as np

from dmp_core.frontends.imported import MAX_WEIGHTS, Imported, Note
from dmp_core.frontends.layers import Lif, layer_reals
from dmp_core.frontends.nir_file import Node, read_graph
from dmp_core.frontends.nir_graph import LINEAR, NEURONS, Step, in_order
from dmp_core.frontends.nir_maps import Arriving, apply, delayed, sent
from dmp_core.frontends.nir_neurons import (
    HOW,
    RESETTING,
    Discretization,
    Fires,
    GivenReset,
    Neuron,
    Options,
    neuron,
)
from golden.formats import SPIKE, Fixed
from golden.param_checks import check_type
from golden.params import MAX_INPUTS
from golden.readout_params import ReadoutReport
from golden.reals import LayerReals, NetworkReals, Value


def from_nir(
    source: str | Path | nir.NIRGraph,
    *,
    dt: float | None = None,
    discretization: Discretization | None = None,
    reset: GivenReset | None = None,
    fires: Fires = "above",
    payload: Fixed = SPIKE,
    report: ReadoutReport = "last",
    max_weights: int = MAX_WEIGHTS,
) -> Imported[NetworkReals]:
    """Read a NIR graph.

    It must be one chain of nodes from an Input to an Output; only a neuron's spikes may come back
    to it, a timestep later. Subgraphs become part of the chain. The network computes what NIR's
    equations become at timesteps of dt, spike by spike in float64. What cannot be computed so is
    refused.

    Parameters
    ----------
    source
        The path of a file, also of one that `nir.read` refuses for its types, or a graph.
    dt
        The length of a timestep, in the unit of the file's time constants and delays: often 1e-4.
        A graph of IF neurons whose inputs are added at every timestep has a dt of 1. Not needed
        where all time constants are infinite.
    discretization
        How a time constant becomes a decay: `euler`, 1 - dt / tau, for which snnTorch writes them;
        or `exponential`, exp(-dt / tau).
    reset
        What a spike does to the membrane, which tools write to the same file: `subtract` the
        threshold; `subtract_late`, a timestep later, when the membrane has decayed (snnTorch);
        `to_value`, the file's v_reset; `zero`; or `none`.
    fires
        Where a neuron fires: `above` its threshold, as NIR defines it, or already `at` it.
    payload
        The format of what the Input receives: spikes, or integers that stand for numbers.
    report
        Which logits a readout reports: the `last`, or the largest (`max`).
    max_weights
        The most weights that a node may have once it is unrolled (convolutions, pools, neurons
        without weights before them).

    Returns
    -------
    Imported
        The last layer's spikes are its output where the graph ends with neurons. Where it ends with
        LI or I, they are the readout; where it ends with weights, those are a readout that keeps
        nothing from one timestep to the next.

    Raises
    ------
    UserError
        The file cannot be read, the graph has no place on the core, or it leaves open what is not
        given: in one line, with the node's name and what would be right.
    """
    check_type("payload", payload, Fixed, "a format, as Fixed(8, 8, signed=False)")
    options = Options(dt, discretization, reset, fires, report, max_weights)
    graph = read_graph(source)
    builder = _Builder(graph, options, payload)
    with np.errstate(over="ignore", invalid="ignore"):  # the check finds what is not finite
        steps = in_order(graph)
        options.check([step.node for step in steps])
        for step in steps:
            builder.take(step)
        network = builder.network()
    network.check()
    given = [f"dt {dt:g}"] if dt else []
    given += [discretization] if discretization else []
    return Imported(network, ", ".join([f"NIR, {graph.name}", *given]), tuple(builder.notes))


@dataclass
class _Builder:
    """The network so far, what its last layer sends on, and a neuron (`held`) that may not fire."""

    graph: Node
    options: Options
    payload: Fixed
    layers: list[LayerReals] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)
    arriving: Arriving | None = None
    held: Neuron | None = None
    w_o: np.ndarray | None = None
    b_o: np.ndarray | None = None
    leak_o: float = 1.0

    def take(self, step: Step) -> None:
        """Take the next node of the chain."""
        node = step.node
        if node.kind == "Input":
            self._input(node)
            return
        arriving = self.arriving
        assert arriving is not None
        if self.held is not None and node.kind not in ("Flatten", "Threshold", "Output"):
            raise self.held.node.error(
                f"it does not fire, and {node.name} ({node.kind}) follows it: use it as the last"
                " node, or a Threshold right after it"
            )
        if node.kind in LINEAR:
            self.arriving = apply(node, arriving)
        elif node.kind == "Delay":
            assert self.options.dt is not None
            self.arriving = delayed(node, arriving, self.options.dt)
        elif node.kind in NEURONS:
            self._layer(step, arriving)
        elif node.kind == "Output":
            self._output(node, arriving)
        else:
            self.held = neuron(node, arriving.shape, self.options)

    def _input(self, node: Node) -> None:
        shape = node.shape("shape", "input_type")
        if shape is None:
            raise node.error("it has no shape: use that of what it receives at a timestep")
        if (count := math.prod(shape)) > MAX_INPUTS:
            raise node.error(f"{count} inputs: use 1 to {MAX_INPUTS}")
        self.arriving = sent(shape, self.options.max_weights)
        what = "spikes" if self.payload == SPIKE else f"payloads of {self.payload}"
        self.notes.append(Note(node.name, "mapped", f"{self.arriving.size} inputs, {what}"))

    def _note_nodes(self, arriving: Arriving, into: str) -> None:
        """Note what became of the nodes between two layers."""
        weighing = [node for node, _ in arriving.nodes if node.kind not in ("Delay", "Flatten")]
        for node, words in arriving.nodes:
            if node.kind == "Delay":
                self.notes.append(Note(node.name, "mapped", f"{words}, of {into}"))
            elif node.kind == "Flatten":
                self.notes.append(Note(node.name, "left out", words))
            else:
                fate = "mapped" if weighing == [node] else "folded"
                self.notes.append(Note(node.name, fate, f"{words}, of {into}"))

    def _layer(self, step: Step, arriving: Arriving) -> None:
        """Add a layer of neurons."""
        node = step.node
        found = neuron(node, arriving.shape, self.options)
        if self.held is not None:  # integrates, and the Threshold makes it fire
            held, self.held = self.held, None
            if step.back is not None:
                raise node.error(
                    f"its spikes come back to it after {held.node.name} ({held.node.kind}) has"
                    f" integrated: use one of {', '.join(RESETTING)}, whose spikes come back before"
                )
            found = Neuron(held.node, held.leak, held.gain, held.c, held.notes, held.alpha,
                           found.threshold)  # fmt: skip
        index = len(self.layers)
        self._note_nodes(arriving, f"layer {index}")
        payload = SPIKE if self.layers else self.payload
        if arriving.delays.any() and payload.width > 1:
            raise _delay_of(arriving).error(
                "it delays payloads: use spikes, or leave it out (only spikes are delayed)"
            )
        own = None if step.back is None else self._back(step, arriving)
        layer = self._neurons(found, arriving, own)
        self.layers.append(layer_reals(layer, found.node.name, payload))
        words = self._words(found, index)
        self.notes.append(Note(found.node.name, "mapped", words))
        if node is not found.node:
            self.notes.append(Note(node.name, "mapped", f"the threshold of layer {index}"))
        self.notes += found.notes
        self.arriving = sent(arriving.shape, self.options.max_weights)

    def _back(self, step: Step, arriving: Arriving) -> Arriving:
        """Return what comes back to neurons from their spikes."""
        own = sent(arriving.shape, self.options.max_weights)
        for node in step.back or ():
            own = apply(node, own)
        if own.size != arriving.size:
            raise step.node.error(
                f"{own.size} values come back to its {arriving.size} neurons: use {arriving.size}"
            )
        for node, words in own.nodes:
            what = f"{words}, through which spikes come back a timestep later"
            self.notes.append(Note(node.name, "mapped", f"{what} to layer {len(self.layers)}"))
        return own

    def _neurons(self, found: Neuron, arriving: Arriving, own: Arriving | None) -> Lif:
        """Return the layer of neurons to which this arrives, and their own spikes come back."""
        gain = found.gain[:, None]
        bias = (arriving.bias + (0.0 if own is None else own.bias)) * found.gain
        synapse = found.alpha is not None
        return Lif(
            weights=arriving.matrix(found.node) * gain,
            bias=found.c if synapse else found.c + bias,
            leak=_one_or_each(found.leak),
            threshold=_one_or_each(found.threshold),
            reset=found.reset,
            reset_amount=_one_or_each(found.amount),
            alpha=_one_or_each(found.alpha),
            current_bias=bias if synapse else None,
            recurrent=None if own is None else own.matrix(found.node) * gain,
            delays=arriving.delays,
            strict=self.options.fires == "above",
            any_threshold=True,
        )

    def _words(self, found: Neuron, index: int) -> str:
        """Return in words what the layer's neurons are."""
        layer = self.layers[index]
        words = f"layer {index}: {layer.n_neurons} neurons, leak {_shown(layer.leak)}"
        words += "" if layer.alpha is None else f", alpha {_shown(layer.alpha)}"
        words += f", firing {self.options.fires} {_shown(layer.threshold)}"
        if found.node.kind in RESETTING and self.options.reset is not None:
            words += f"; {HOW[self.options.reset]} (as asked)"
        threshold = np.broadcast_to(layer.threshold, (layer.n_neurons,))
        reach = layer.reach()
        silent = int((threshold >= reach if layer.strict else threshold > reach).sum())
        if silent:
            words += f"; {silent} of them can never fire, whatever arrives"
        return words

    def _output(self, node: Node, arriving: Arriving) -> None:
        """End the network: with the last layer's spikes, or with a readout."""
        size = node.shape("shape", "output_type")
        if size is not None and np.prod(size) != arriving.size:
            raise node.error(
                f"its shape is {size}, but {arriving.size} values arrive: use one of the two"
            )
        if not self.layers:
            raise self.graph.error(
                f"no node in it fires: use at least one layer of {', '.join(NEURONS)}"
            )
        if self.held is None and arriving.weights is None:
            self._spikes(node, arriving)
            return
        if arriving.delays.any():
            raise _delay_of(arriving).error("it delays what a readout takes: put it further ahead")
        self._note_nodes(arriving, "the readout")
        self.w_o, self.b_o = arriving.matrix(node), arriving.bias
        if self.held is not None:
            self._integrated(self.held, node)
        else:
            self.leak_o = 0.0
            self.notes.append(Note(node.name, "mapped", f"a readout of {len(self.b_o)} logits that"
                                   " keeps nothing: those of the last timestep. leak=1 in the"
                                   " network makes it add them up"))  # fmt: skip

    def _spikes(self, node: Node, arriving: Arriving) -> None:
        if arriving.delays.any():
            raise _delay_of(arriving).error("it delays the output: leave it out")
        for flat, words in arriving.nodes:
            self.notes.append(Note(flat.name, "left out", words))
        self.w_o, self.b_o = np.zeros((0, arriving.size)), np.zeros(0)
        what = f"the spikes of layer {len(self.layers) - 1}"
        self.notes.append(Note(node.name, "mapped", what))

    def _integrated(self, held: Neuron, node: Node) -> None:
        """Make the readout that of a last node which integrates."""
        assert self.w_o is not None and self.b_o is not None
        if held.alpha is not None and held.alpha.any():
            raise held.node.error(
                "a readout has no synaptic current: use an LI, or a tau_syn equal to dt with"
                ' discretization="euler"'
            )
        if (held.leak != held.leak[0]).any():
            raise held.node.error(
                f"leaks of {held.leak.min():g} to {held.leak.max():g}, but a readout has one for"
                " all: use the same tau"
            )
        self.leak_o = float(held.leak[0])
        self.w_o = self.w_o * held.gain[:, None]
        self.b_o = self.b_o * held.gain + held.c
        what = f"a readout of {len(self.b_o)} logits, leak {self.leak_o:g}; it reports"
        words = "the last ones" if self.options.report == "last" else "the largest ones"
        self.notes.append(Note(held.node.name, "mapped", f"{what} {words}"))
        self.notes += held.notes
        self.notes.append(Note(node.name, "mapped", "the readout's logits"))

    def network(self) -> NetworkReals:
        """Return the network, once the chain has ended."""
        assert self.w_o is not None and self.b_o is not None
        return NetworkReals(
            tuple(self.layers), self.w_o, self.b_o, self.leak_o, self.options.report
        )


def _delay_of(arriving: Arriving) -> Node:
    return next(node for node, _ in arriving.nodes if node.kind == "Delay")


def _one_or_each(values: np.ndarray | None) -> Value | None:
    return values if values is None or (values != values[0]).any() else float(values[0])


def _shown(value: Value) -> str:
    low, high = f"{np.min(value):.6g}", f"{np.max(value):.6g}"
    return low if low == high else f"{low} to {high}, one a neuron"
