"""Proofs of a recurrent layer: its own spikes find their list ready, so that none is lost."""

from __future__ import annotations

from amaranth.hdl import Value

from formal.encoder import queue_depth
from formal.harness import Harness, implies
from formal.proof import Bug, Proof
from golden.hardware.layer import LayerHardware
from golden.hardware.params import HardwareParams
from golden.hardware.part import EventKind
from golden.params import LayerParams
from rtl.layer import Layer
from rtl.recurrence import Recurrence

LAYER = LayerHardware(LayerParams(1, 2, 0, recurrent=True), HardwareParams(2), external=True)


def recurrence(harness: Harness) -> None:
    """The layer of the product, with any membranes and weights: both come up free, as they do
    where nothing is loaded.
    """
    m = harness.m
    numbers = {name: number for number, name in enumerate(LAYER.memories)}
    with queue_depth(3):
        opened = harness.add(Layer(LAYER, numbers))
    dut = opened.component
    recurrence, events = dut.recurrence, dut.events
    assert recurrence is not None
    harness.offer(dut.i)
    harness.accept(dut.o)
    for name in dut.load.signature.members:
        port = getattr(dut.load, name)
        m.d.comb += port.eq(harness.free(len(port), name) if name != "valid" else 0)
    item = recurrence.o.payload
    is_event = (item.kind == EventKind.EVENT) & (item.payload != 0)
    is_own = is_event & (item.address >= LAYER.params.n_inputs)
    offered = recurrence.own_valid & ~harness.past(recurrence.own_valid & ~recurrence.own_ready)
    spikes = offered & (recurrence.own.kind == EventKind.EVENT)
    harness.prove(
        "an own spike finds its list ready",
        implies(spikes, recurrence.o.valid & is_own & events.i.ready),
    )
    entered = harness.count(4, recurrence.o.valid & is_own & events.i.ready, "entered")
    spike = dut.o.valid & (dut.o.payload.kind == EventKind.EVENT)
    sent = harness.count(4, spike & dut.o.ready, "sent")
    waiting = spike & harness.past(dut.o.valid & ~dut.o.ready)
    harness.prove("an own spike enters once", entered == (sent + waiting)[:4])
    arrives = dut.encoder.i.valid | dut.encoder.i.sequence_end
    reserved: Value = dut.encoder.reserve
    for _ in range(LAYER.write_stage):
        reserved = harness.past(reserved)
    harness.prove("a group comes for each room reserved", arrives == reserved)
    waits = harness.past(recurrence.o.valid & ~recurrence.o.ready)
    kept = recurrence.o.valid & (item.as_value() == harness.past(item.as_value()))
    harness.prove("no own spike overtakes what waits", implies(waits, kept))
    harness.stable(dut.o, "the output stays")
    harness.cover("an own spike enters the list", spikes & events.i.ready)
    harness.cover(
        "an end waits for own spikes",
        dut.i.valid
        & ~dut.i.ready
        & events.i.ready
        & (dut.i.payload.kind == EventKind.END_TIMESTEP),
    )


PROOFS = (
    Proof(
        "recurrence",
        Recurrence,
        recurrence,
        34,
        (
            Bug(
                "an end does not wait for own spikes",
                "an own spike finds its list ready",
                (("held = spikes | (is_end & owed & ~over)", "held = spikes"),),
            ),
            Bug(
                "an own spike is offered until the layer's consumer takes it",
                "an own spike enters once",
                (("seen.eq(self.own_valid & ~self.own_ready)", "seen.eq(0)"),),
            ),
        ),
        quick=False,
    ),
)
