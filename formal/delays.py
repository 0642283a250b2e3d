"""Proofs of the delay line: a spike comes out its delay later, and nothing else does."""

from __future__ import annotations

from functools import partial
from unittest.mock import patch

from amaranth.hdl import Cat, Const, Mux, Signal, Value

from formal.harness import Harness, implies
from formal.proof import PDR, Bug, Proof
from golden.hardware import delay_ring
from golden.hardware.layer import LayerHardware
from golden.hardware.params import HardwareParams
from golden.hardware.part import EventKind
from golden.params import LayerParams
from rtl.delay_line import DelayLine
from rtl.slot_reader import SlotReader

SHORT = LayerHardware(LayerParams(2, 1, 0, max_delay=1), HardwareParams(1), external=True)
LONGER = LayerHardware(LayerParams(2, 1, 0, max_delay=2), HardwareParams(1), external=True)
# Of two words a slot, which takes more inputs in the product.
SEVERAL_WORDS = LayerHardware(LayerParams(4, 1, 0, max_delay=2), HardwareParams(1))


def slot_reader(harness: Harness) -> None:
    """Words and ends come freely, the next end when the one before is sent."""
    m, layer = harness.m, SEVERAL_WORDS
    with patch.object(delay_ring, "RING_WIDTH", 2):
        dut = harness.add(SlotReader(layer)).component
        words, lanes = layer.delay_ring.words, layer.delay_ring.lanes
    harness.accept(dut.o)
    ended, over = harness.free(1, "block_ended"), harness.free(1, "sequence_ended")
    timesteps = harness.free(layer.block, "timesteps")
    m.d.comb += [
        dut.block_ended.eq(ended),
        dut.sequence_ended.eq(over),
        dut.timesteps.eq(timesteps),
        dut.word.as_value().eq(harness.free(len(dut.word.as_value()), "word")),
    ]
    busy = Signal(name="busy")
    with m.If(dut.sent):
        m.d.sync += busy.eq(0)
    with m.If(ended | over):
        m.d.sync += busy.eq(1)
    harness.assume(implies(ended | over, ~busy & ~(ended & over)))
    item = dut.o.payload
    # Every bit of every word is an event, in ascending address.
    address = harness.constant(range(layer.params.n_inputs), "input")
    harness.assume(address < layer.params.n_inputs)
    due, length = Signal(layer.block, name="due"), Signal(layer.block, name="length")
    read, index = harness.past(dut.read), harness.past(dut.index)
    with m.If(ended):
        m.d.sync += [due.eq(0), length.eq(timesteps)]
    for lane in range(lanes):
        here = address == (index * lanes + lane)
        with m.If(read & here):
            m.d.sync += due.eq(dut.word[lane] & length)
    kind, goes = item.kind, dut.o.valid & dut.o.ready
    event, end = goes & (kind == EventKind.EVENT), goes & (kind == EventKind.END_TIMESTEP)
    sent, least = Signal(name="sent"), Signal(len(item.address) + 1, name="least")
    own = event & (item.address == address)
    with m.If(event):
        m.d.sync += least.eq(item.address + 1)
    with m.If(own):
        m.d.sync += sent.eq(1)
    with m.If(end):
        m.d.sync += [least.eq(0), sent.eq(0)]
    harness.stable(dut.o, "the output stays")
    harness.prove("words are read in order, each once", _in_order(harness, dut, ended, words))
    harness.prove("an event is a bit of its word", implies(own, (item.payload == due) & ~sent))
    harness.prove("addresses ascend", implies(event, item.address >= least))
    # While an end waits at the output, the next block may begin.
    told = Signal.like(due, name="due_before")
    with m.If(dut.sent):
        m.d.sync += told.eq(due)
    harness.prove("no event is lost", implies(end, sent == (told != 0)))
    harness.cover("a block with an event ends", end & sent)
    harness.cover("a sequence ends", goes & (kind == EventKind.END_SEQUENCE))


def _in_order(harness: Harness, dut: SlotReader, ended: Value, words: int) -> Value:
    count = Signal(range(words + 1), name="read_words")
    with harness.m.If(ended):
        harness.m.d.sync += count.eq(0)
    with harness.m.Elif(dut.read):
        harness.m.d.sync += count.eq(count + 1)
    return implies(dut.read, (dut.index == count) & (count < words))


def delay_line(harness: Harness, layer: LayerHardware) -> None:
    """Follow an arbitrary input, of an arbitrary delay, from the time that its delay is loaded."""
    m, most, block = harness.m, layer.params.max_delay, layer.block
    opened = harness.add(DelayLine(layer, 0))
    dut = opened.component
    harness.offer(dut.i)
    harness.accept(dut.o)
    # Delays are loaded before anything comes.
    for name in dut.load.signature.members:
        port = getattr(dut.load, name)
        m.d.comb += port.eq(harness.free(len(port), name))
    harness.assume(implies(harness.past(Const(1)), ~dut.load.valid))
    address = harness.constant(range(layer.params.n_inputs), "input")
    harness.assume(address < layer.params.n_inputs)
    held = opened.word("delays.words", address)
    harness.assume(held <= most)
    for other in range(layer.params.n_inputs):
        harness.assume(opened.word("delays.words", Const(other)) <= most)
    # Its spikes by timestep: of the one that arrives, and those before.
    item, taken = dut.i.payload, dut.i.valid & dut.i.ready
    ends = taken & (item.kind == EventKind.END_TIMESTEP)
    spike = Signal(block, name="spike")
    own = taken & (item.kind == EventKind.EVENT) & (item.address == address)
    now = spike | Mux(own, item.payload, 0)
    history = Signal(most + 8 * block, name="history")
    harness.stable(dut.o, "the output stays")
    harness.assume(implies(dut.i.valid, (item.kind != EventKind.INVALID)))
    harness.assume(implies(dut.i.valid & (item.kind == EventKind.EVENT), item.address < 2))
    if not layer.external:
        full = implies(dut.i.valid & (item.kind == EventKind.END_TIMESTEP), item.payload.all())
        harness.assume(full)
    with m.If(own):
        m.d.sync += spike.eq(now)
    # An end of a block is sent before the next one is taken: the last one's spikes are due.
    with m.If(ends):
        m.d.sync += [spike.eq(0), history.eq((history << block) | _reversed(spike))]
    with m.If(taken & (item.kind == EventKind.END_SEQUENCE)):
        m.d.sync += [spike.eq(0), history.eq(0)]
    out = dut.o.payload
    goes = dut.o.valid & dut.o.ready
    due = _reversed((history >> held)[:block])
    sent, told = Signal(name="sent"), Signal(block, name="due_before")
    with m.If(dut.reader.sent):
        m.d.sync += told.eq(due)
    event = goes & (out.kind == EventKind.EVENT) & (out.address == address)
    end = goes & (out.kind == EventKind.END_TIMESTEP)
    with m.If(event):
        m.d.sync += sent.eq(1)
    with m.If(end):
        m.d.sync += sent.eq(0)
    harness.prove("a spike comes out its delay later", implies(event, (out.payload == due) & ~sent))
    harness.prove("no spike is lost", implies(end, sent == (told != 0)))
    harness.cover("a delayed spike comes out", event & (held == most))
    harness.cover("a sequence ends", goes & (out.kind == EventKind.END_SEQUENCE))


def _reversed(value: Value) -> Value:
    return Cat(value[n] for n in reversed(range(len(value))))


READER_BUGS = (
    Bug(
        "an event goes while the one before waits",
        "the output stays",
        (("~o.valid | o.ready", "~o.valid | o.ready | left.any()"),),
    ),
    Bug(
        "a word that is read ahead is forgotten",
        "no event is lost",
        (("left.eq(Mux(waits, ahead, arrived))", "left.eq(arrived)"),),
    ),
)
LINE_BUGS = (
    Bug(
        "a slot is not cleared when it leaves",
        "a spike comes out its delay later",
        (("Mux(sweeping | leaving, 0, read.data", "Mux(sweeping, 0, read.data"),),
    ),
    Bug(
        "the ring is a slot too short",
        "no spike is lost",
        (
            (
                "Mux(sum_of_slots >= n_slots, sum_of_slots - n_slots, sum_of_slots)",
                "Mux(sum_of_slots >= n_slots - 1, sum_of_slots - (n_slots - 1), sum_of_slots)",
            ),
        ),
    ),
)
PROOFS = (
    Proof("slot_reader", SlotReader, slot_reader, 20, READER_BUGS, induction=PDR),
    Proof(
        "delay_line",
        DelayLine,
        partial(delay_line, layer=SHORT),
        36,
        LINE_BUGS,
        induction=PDR,
        quick=False,
    ),
    Proof(
        "delay_line_longer",
        DelayLine,
        partial(delay_line, layer=LONGER),
        34,
        LINE_BUGS[1:],
        quick=False,
    ),
)
