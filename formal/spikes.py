"""Proofs of the spikes that leave a core: by timesteps, in order, and as beats."""

from __future__ import annotations

from amaranth.hdl import Array, Cat, Const, Mux, Signal, Value

from formal.harness import Harness, implies
from formal.proof import PDR, Bug, Proof
from formal.scoreboard import Scoreboard
from formal.streams import follow_queue
from golden.hardware.part import EventKind
from golden.hardware.spike_output import SpikeOutputHardware
from golden.hardware.stages import BEAT_QUEUE_DEPTH
from golden.registers import EVENT_WORD
from rtl.host.axi_spikes import AxiSpikes
from rtl.spike_output import SpikeOutput

N_NEURONS, BLOCK = 2, 2
BLOCKS = 8  # that the harness remembers: more than are ever inside


def spike_output(harness: Harness) -> None:
    """Blocks come as a layer sends them: ascending addresses, each once, then their end."""
    m = harness.m
    dut = harness.add(SpikeOutput(SpikeOutputHardware(N_NEURONS, BLOCK))).component
    harness.offer(dut.i)
    harness.accept(dut.o)
    item, taken = dut.i.payload, dut.i.valid & dut.i.ready
    event = item.kind == EventKind.EVENT
    least = Signal(range(N_NEURONS + 1), name="least")  # the lowest address that may come
    harness.assume(implies(dut.i.valid & event, (item.address >= least) & (item.payload != 0)))
    harness.assume(implies(dut.i.valid & event, item.address < N_NEURONS))
    ends_block = item.kind == EventKind.END_TIMESTEP
    whole = Value.cast(item.payload)
    harness.assume(implies(dut.i.valid & ends_block, (whole == 1) | (whole == 3)))
    harness.assume(implies(dut.i.valid & ~event & ~ends_block, item.kind == EventKind.END_SEQUENCE))

    # What came, by block: a bit a timestep and neuron, and how many timesteps; 0: a sequence ends.
    fires = Array(Signal(BLOCK * N_NEURONS, name=f"fires_{n}") for n in range(BLOCKS))
    lengths = Array(Signal(range(BLOCK + 1), name=f"length_{n}") for n in range(BLOCKS))
    filled, sent = Signal(range(BLOCKS), name="filled"), Signal(range(BLOCKS), name="sent_block")
    inside = Signal(range(BLOCKS + 1), name="inside")  # blocks whose end has come
    # Spikes are of timesteps that the block has; a sequence ends after a block.
    harness.assume(implies(dut.i.valid & ends_block & (whole == 1), fires[filled] < 1 << N_NEURONS))
    harness.assume(implies(dut.i.valid & (item.kind == EventKind.END_SEQUENCE), least == 0))
    bits = Cat(
        item.payload[t] & (item.address == neuron)
        for t in range(BLOCK)
        for neuron in range(N_NEURONS)
    )
    with m.If(taken & event):
        m.d.sync += [fires[filled].eq(fires[filled] | bits), least.eq(item.address + 1)]
    closes = taken & ~event
    with m.If(closes):
        length = Mux(ends_block, Mux(whole == 3, 2, 1), 0)
        m.d.sync += [
            lengths[filled].eq(length), filled.eq(filled + 1), least.eq(0),
            fires[(filled + 1)[: len(filled)]].eq(0),
        ]  # fmt: skip

    # What is due: the lowest neuron not yet sent of the timestep, else its end.
    timestep = Signal(range(BLOCK), name="due_timestep")
    after = Signal(range(N_NEURONS + 1), name="due_after")  # neurons that were sent, or are silent
    now = (fires[sent] >> timestep * N_NEURONS)[:N_NEURONS]
    left = Signal(N_NEURONS, name="due")
    m.d.comb += left.eq(now & ~((1 << after) - 1)[:N_NEURONS])
    address = Mux(left[0], 0, 1)
    out, goes = dut.o.payload, dut.o.valid & dut.o.ready
    over = lengths[sent] == 0
    kind = Mux(
        over,
        EventKind.END_SEQUENCE,
        Mux(left.any(), EventKind.EVENT, EventKind.END_TIMESTEP),
    )
    last = over | (~left.any() & (timestep + 1 == lengths[sent]))
    with m.If(goes):
        m.d.sync += after.eq(address + 1)
        with m.If(~left.any() | over):
            m.d.sync += [after.eq(0), timestep.eq(timestep + 1)]
        with m.If(last):
            m.d.sync += [timestep.eq(0), sent.eq(sent + 1)]
    m.d.sync += inside.eq(inside + closes - (goes & last))
    harness.prove("nothing is made up", implies(dut.o.valid, inside != 0))
    harness.prove("every item in its place", implies(dut.o.valid, out.kind == kind))
    told = (out.address == address) & (out.payload == 1)
    ended = (out.address == 0) & (out.payload == 0)
    harness.prove("a spike is the next one", implies(dut.o.valid, Mux(left.any(), told, ended)))
    harness.prove("no more blocks than are remembered", inside < BLOCKS)
    harness.stable(dut.o, "the output stays")
    harness.cover("a block of every spike leaves", goes & last & now.all() & (timestep == 1))
    harness.cover("a sequence ends", goes & over)


def axi_spikes(harness: Harness) -> None:
    opened = harness.add(AxiSpikes(N_NEURONS))
    dut = opened.component
    harness.offer(dut.i)
    harness.accept(dut.o)
    item = dut.i.payload
    values: dict[str, tuple[Value, int]] = {
        "ADDRESS": (item.address, len(item.address)),
        "PAYLOAD": (item.kind == EventKind.EVENT, 1),
        "END_TIMESTEP": (item.kind == EventKind.END_TIMESTEP, 1),
        "END_SEQUENCE": (item.kind == EventKind.END_SEQUENCE, 1),
    }
    word: Value = Const(0, len(dut.o.payload.data))
    for bits in EVENT_WORD:
        if bits.name in values:
            word = word | (values[bits.name][0] << bits.low)
    expected = Cat(word[: len(dut.o.payload.data)], values["END_TIMESTEP"][0])
    board = Scoreboard(harness, len(dut.o.payload.data))
    board.goes_in(dut.i.valid & dut.i.ready, (1, expected[: len(dut.o.payload.data)]))
    board.comes_out("beats", dut.o.valid, dut.o.ready, dut.o.payload.data)
    follow_queue(harness, board, opened, "words.items", BEAT_QUEUE_DEPTH, buffered=False)
    beat = {bits.name: dut.o.payload.data[bits.low] for bits in EVENT_WORD}
    harness.prove("TLAST tells the end of a timestep", dut.o.payload.last == beat["END_TIMESTEP"])
    harness.prove("TUSER tells the end of a sequence", dut.o.payload.user == beat["END_SEQUENCE"])
    harness.stable(dut.o, "the beats stay")
    harness.cover("an end leaves", dut.o.valid & dut.o.ready & dut.o.payload.last)


PROOFS = (
    Proof(
        "spike_output",
        SpikeOutput,
        spike_output,
        22,
        (
            Bug(
                "a list is filled while it is sent",
                "every item in its place",
                (("self.i.ready.eq(waiting != n_lists)", "self.i.ready.eq(1)"),),
            ),
            Bug(
                "an item moves on while it waits",
                "the output stays",
                (("advance = ~self.o.valid | self.o.ready", "advance = ~self.o.valid | 1"),),
            ),
        ),
        induction=PDR,
        quick=False,
    ),
    Proof(
        "axi_spikes",
        AxiSpikes,
        axi_spikes,
        10,
        (
            Bug(
                "an end has a payload",
                "beats: each in its place",
                (('"PAYLOAD": item.kind == EventKind.EVENT', '"PAYLOAD": Const(1)'),),
            ),
            Bug(
                "TUSER tells the end of a timestep",
                "TUSER tells the end of a sequence",
                (('BIT_OF["END_SEQUENCE"]', 'BIT_OF["END_TIMESTEP"]'),),
            ),
        ),
        induction=1,
    ),
)
