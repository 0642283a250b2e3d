"""The whole core: a chain of layers, and a readout or the way out for spikes."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Const, Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from golden.hardware.core import CoreParams
from golden.hardware.counters import COUNTER_WIDTH
from rtl.component import Component
from rtl.counters import Counters
from rtl.layer import Layer
from rtl.loader import Loader
from rtl.readout import Readout
from rtl.spike_output import SpikeOutput
from rtl.streams import LOAD_ITEM, input_layout, output_layouts


class Core(Component):
    """Run a network: events in; out, at the end of each sequence, the logits and the class, or, of
    a network without a readout, the spikes of the last layer.

    All layers and the readout work at once, on successive timesteps. Load every memory before the
    first event.

    Parameters
    ----------
    core
        The network and the hardware.

    Members
    -------
    i_events
        Events, ends of timesteps, ends of sequences; after an end of sequence all state is 0 again.
    i_load
        Memories, word by word: see `Loader`, also on when the first event may follow.
    o_results
        With a readout: see `Readout`.
    o_spikes
        Without one: the last layer's events by timesteps, as they enter a core. An end of timestep,
        and of sequence, comes after its events.
    i_counter, o_counter
        The number of a counter (its place in `CoreParams.counters`), and a cycle later the value
        that this counter had in that cycle.
    i_clear
        Clears counters and error flags.
    i_clear_errors
        Clears the error flags whose bits are 1, but for those of errors that come in that cycle.
    o_errors
        Sticky flags, one for each counter of errors, in the order of the counters.
    trace0_..., trace1_..., trace_readout_start
        With `HardwareParams.trace`: see `Layer`.

    Latency: see `golden.cost.timeline`; throughput: a timestep in as many cycles as the slowest
    layer takes.
    """

    i_events: stream.Interface
    i_load: stream.Interface
    o_results: stream.Interface
    o_spikes: stream.Interface
    i_counter: Signal
    o_counter: Signal
    i_clear: Signal
    i_clear_errors: Signal
    o_errors: Signal
    trace_readout_start: Signal

    def __init__(self, core: CoreParams) -> None:
        self.core = core
        self.loader = Loader(core)
        numbers: dict[str, dict[str, int]] = {}
        for number, name in enumerate(core.memories):
            part, memory = name.split(".")
            numbers.setdefault(part, {})[memory] = number
        self.layers = [Layer(layer, numbers[f"layer{i}"]) for i, layer in enumerate(core.layers)]
        parts: dict[str, Layer | Readout] = {
            f"layer{i}": layer for i, layer in enumerate(self.layers)
        }
        self.readout = None
        if core.network.output is not None:
            self.readout = parts["readout"] = Readout(core.readout, numbers["readout"])
        self.parts = parts
        self.strobes = {
            f"{part}.{name}": getattr(component.counts, name)
            for part, component in parts.items()
            for name in component.counts.signature.members
        }
        told = list(dict.fromkeys([*core.counters, *core.errors]))
        widths = {name: len(self.strobes[name]) if name in self.strobes else 1 for name in told}
        self.counters = Counters(widths, core.counters, core.errors)
        members = {
            "i_events": In(stream.Signature(input_layout(core))),
            "i_load": In(stream.Signature(LOAD_ITEM)),
            **{
                name: Out(stream.Signature(layout)) for name, layout in output_layouts(core).items()
            },
            "i_counter": In(core.counter_bits),
            "o_counter": Out(COUNTER_WIDTH),
            "i_clear": In(1),
            "i_clear_errors": In(len(core.errors)),
            "o_errors": Out(len(core.errors)),
        }
        if core.hardware.trace:
            for i, layer in enumerate(self.layers):
                trace = layer.trace.signature.members
                members |= {f"trace{i}_{name}": member for name, member in trace.items()}
            if self.readout is not None:
                members["trace_readout_start"] = Out(1)
        super().__init__(members)

    @property
    def latency(self) -> int:
        """From the end of a block's arrival to the write of its first logits, or to its first
        spike, without steps and spikes to be sent.
        """
        output = self.core.spike_output
        way_out = 0 if output is None else output.latency
        return sum(part.latency for part in self.parts.values()) + way_out

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.loader = loader = self.loader
        m.submodules.counters = counters = self.counters
        wiring.connect(m, wiring.flipped(self.i_load), loader.i)
        events = wiring.flipped(self.i_events)
        lines = [layer.clearing for layer in self.layers if layer.layer.delayed]
        if lines:
            # The input waits until every delay ring is clear: no cycle depends on how long after a
            # reset it comes.
            cleared = Signal()
            gated = events.signature.flip().create()
            m.d.comb += [
                cleared.eq(~Cat(*lines).any()),
                gated.payload.eq(events.payload),
                gated.valid.eq(events.valid & cleared),
                events.ready.eq(gated.ready & cleared),
            ]
            events = wiring.flipped(gated)
        for i, layer in enumerate(self.layers):
            m.submodules[f"layer{i}"] = layer
            wiring.connect(m, events, layer.i)
            wiring.connect(m, loader.o, layer.load)
            events = layer.o
            if self.core.hardware.trace:
                for name in layer.trace.signature.members:
                    m.d.comb += getattr(self, f"trace{i}_{name}").eq(getattr(layer.trace, name))
        self._connect_output(m, events, loader)
        for name in counters.widths:
            m.d.comb += counters.increment(name).eq(self.strobes.get(name, Const(1)))
        m.d.comb += [
            counters.select.eq(self.i_counter),
            self.o_counter.eq(counters.value),
            counters.clear.eq(self.i_clear),
            counters.clear_errors.eq(self.i_clear_errors),
            self.o_errors.eq(counters.errors),
        ]
        return m

    def _connect_output(self, m: Module, events: Any, loader: Loader) -> None:
        """Connect what the last layer sends to the readout, or let it leave the core."""
        if self.readout is not None:
            m.submodules.readout = readout = self.readout
            wiring.connect(m, events, readout.i)
            wiring.connect(m, loader.o, readout.load)
            wiring.connect(m, readout.o, wiring.flipped(self.o_results))
            if self.core.hardware.trace:
                m.d.comb += self.trace_readout_start.eq(readout.start)
            return
        if self.core.spike_output is not None:
            m.submodules.spike_output = output = SpikeOutput(self.core.spike_output)
            wiring.connect(m, events, output.i)
            events = output.o
        wiring.connect(m, events, wiring.flipped(self.o_spikes))
