"""The core as a host sees it, whatever bus the host is on: registers, events and results."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Module, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from golden.hardware.core import CoreParams
from golden.hardware.part import EventKind
from golden.registers import LATENCY
from rtl.component import Component
from rtl.core import Core
from rtl.fixed import shape_of
from rtl.host.axi_events import AxiEvents
from rtl.host.axi_results import AxiResults
from rtl.host.axi_spikes import AxiSpikes
from rtl.host.buses import RegisterBus, RegisterBusPorts, beat_layout
from rtl.host.register_file import RegisterFile
from rtl.host.stream_register import StreamRegister

IN_CORE_WIDTH = 16  # bits of a count of packets: many more than a core holds


class HostCore(Component):
    """Give a core registers, through which every memory is loaded, and streams of words.

    The words and the registers are those of `golden.registers`; what they mean is with `AxiEvents`,
    `AxiResults` and `RegisterFile`. Nothing is dropped: each side may stall the others for as long
    as it likes. No output depends on an input of the same cycle, but for the answers of the
    registers.

    Load every memory before the first event, and again only while `busy` is 0. A reset keeps what
    was loaded. To leave a sequence that was broken off, end it, and throw its result away.

    Parameters
    ----------
    core
        The network and the hardware; it must not have trace ports.

    Members
    -------
    registers
        Requests for registers.
    events
        Beats of events: see `AxiEvents`.
    results
        Of a core with a readout, beats of results: see `AxiResults`.
    spikes
        Of a core without one, beats of spikes: see `AxiSpikes`.
    busy, error
        As in STATUS.

    Latency: an inference takes 4 cycles more than with the core alone: two on the way in, two to
    the class, which is a word of its own. Throughput: that of the core, a beat's event and ends of
    timestep and sequence being an item each.
    """

    registers: RegisterBusPorts
    events: stream.Interface
    results: stream.Interface
    spikes: stream.Interface
    busy: Signal
    error: Signal

    def __init__(self, core: CoreParams) -> None:
        assert not core.hardware.trace
        self.core = core
        classifies = core.network.output is not None
        sent = {"results": beat_layout()} if classifies else {"spikes": beat_layout(user=1)}
        super().__init__(
            {
                "registers": In(RegisterBus()),
                "events": In(stream.Signature(beat_layout(user=1))),
                **{name: Out(stream.Signature(layout)) for name, layout in sent.items()},
                "busy": Out(1),
                "error": Out(1),
            }
        )

    @property
    def latency(self) -> int:
        """What an inference takes more than with the core alone."""
        return LATENCY

    def elaborate(self, platform: object) -> Module:
        m = Module()
        first = self.core.network.layers[0]
        m.submodules.core = core = Core(self.core)
        m.submodules.registers = registers = RegisterFile(self.core)
        m.submodules.events = events = AxiEvents(
            first.n_inputs, shape_of(first.formats.payload), reports=self.core.hardware.reports
        )

        wiring.connect(m, wiring.flipped(self.registers), registers.bus)
        wiring.connect(m, wiring.flipped(self.events), events.i)
        m.submodules.loaded = loaded = StreamRegister(registers.load.payload.shape())
        wiring.connect(m, registers.load, loaded.i)
        wiring.connect(m, loaded.o, core.i_load)
        # The register splits the path: words are taken apart before it, lists are filled after it.
        m.submodules.entry = entry = StreamRegister(events.o.payload.shape())
        wiring.connect(m, events.o, entry.i)
        wiring.connect(m, entry.o, core.i_events)
        taken = self._send(m, core)
        m.d.comb += [
            core.i_counter.eq(registers.counter),
            registers.counter_value.eq(core.o_counter),
            core.i_clear.eq(registers.clear),
            core.i_clear_errors.eq(registers.clear_errors),
            registers.errors.eq(core.o_errors),
        ]

        in_core = Signal(IN_CORE_WIDTH)  # packets that will come, and are not taken
        item, transfer = core.i_events.payload, core.i_events.valid & core.i_events.ready
        asked: Value = item.kind == EventKind.END_SEQUENCE
        if self.core.hardware.reports:
            asked |= (item.kind == EventKind.REPORT) & ~self._within(m, item, transfer)
        asked = transfer & asked
        m.d.sync += in_core.eq(in_core + asked - taken)
        m.d.comb += [
            self.busy.eq(events.begun | entry.o.valid | in_core.any()),
            self.error.eq(core.o_errors.any()),
            registers.busy.eq(self.busy),
        ]
        return m

    def _send(self, m: Module, core: Core) -> Value:
        """Let out what the core says; return whether the last beat of a packet of results, or of a
        sequence of spikes, is taken.
        """
        readout = self.core.network.output
        if readout is not None:
            m.submodules.results = sender = AxiResults(readout.n_classes, readout.logit_width)
            wiring.connect(m, core.o_results, sender.i)
            wiring.connect(m, sender.o, wiring.flipped(self.results))
            return sender.o.valid & sender.o.ready & sender.o.payload.last
        m.submodules.spikes = sender = AxiSpikes(self.core.network.layers[-1].n_neurons)
        wiring.connect(m, core.o_spikes, sender.i)
        wiring.connect(m, sender.o, wiring.flipped(self.spikes))
        return sender.o.valid & sender.o.ready & sender.o.payload.user

    def _within(self, m: Module, item: Any, transfer: Value) -> Signal:
        """Return whether a timestep has begun and not ended: the core ignores a report there."""
        within = Signal()
        fires = (item.kind == EventKind.EVENT) & (
            item.address < self.core.network.layers[0].n_inputs
        )
        ends = (item.kind == EventKind.END_TIMESTEP) | (item.kind == EventKind.END_SEQUENCE)
        with m.If(transfer & (fires | ends)):
            m.d.sync += within.eq(fires)
        return within
