"""Proofs of the encoder: no group is lost in the queue of masks, every spike becomes one event."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from unittest.mock import patch

from amaranth.hdl import Const, Mux, Signal, Value

from formal.harness import Harness, implies
from formal.proof import Bug, Proof
from golden.hardware import layer as golden_layer
from golden.hardware import stages
from golden.hardware.layer import LayerHardware
from golden.hardware.params import HardwareParams
from golden.hardware.part import EventKind
from golden.hardware.stages import MASK_QUEUE_DEPTH
from golden.params import LayerParams
from rtl import encoder as rtl_encoder
from rtl.encoder import Encoder

WIDTH = 3  # of what counts blocks and sequences

LAYER = LayerHardware(LayerParams(2, 3, 0), HardwareParams(2))
REPORTING = LayerHardware(LayerParams(2, 3, 0), HardwareParams(2, 2, reports=True))
WIDE = LayerHardware(LayerParams(2, 4, 0), HardwareParams(2, link_items=2))


def masks(harness: Harness, layer: LayerHardware, depth: int = MASK_QUEUE_DEPTH) -> None:
    """Whoever reserved room for a group sends it, however long after; and takes no room else. What
    the lanes are of matters nowhere here: it is so for every core.
    """
    with queue_depth(depth):
        opened = harness.add(Encoder(replace(layer)))
    dut = opened.component
    depth = dut.queue.depth  # a bug may be of another one
    free, room = opened.signal("free"), opened.signal("has_room")
    inner, shown = opened.signal("queue.items.inner_level"), opened.signal("queue.items.r_rdy")
    harness.accept(dut.o)
    reserve = harness.free(1, "reserve")
    arrivals = _arrive(harness, dut, layer)
    reserved = Signal(8, name="reserved")  # and not yet sent
    harness.m.d.sync += reserved.eq(reserved + reserve - arrivals)
    harness.m.d.comb += dut.reserve.eq(reserve)
    harness.assume(implies(reserve, dut.room))
    harness.assume(implies(arrivals, reserved != 0))
    harness.prove("a group finds its room", implies(dut.queue.i.valid, dut.queue.i.ready))
    harness.prove(
        "room is there as long as it is said", dut.room == (reserved + inner + shown < depth)
    )
    harness.stable(dut.o, "the output stays")
    harness.invariant(free + inner + shown + reserved == depth)
    harness.invariant((room == (free != 0)) & (free <= depth) & (reserved <= depth))
    # What the depth is for: the register after the memory is empty at the most while one waits.
    harness.invariant((inner < depth) & (shown | (inner <= 1)))
    harness.cover("no room is left", ~dut.room & (reserved == 0) & dut.o.valid)
    harness.cover("room is reserved for all", (reserved == depth) & ~dut.room)


def _arrive(harness: Harness, dut: Encoder, layer: LayerHardware) -> Value:
    """Let groups, ends of sequences and reports come freely; return whether one does."""
    i = dut.i
    names = ["valid", "sequence_end", *(["report"] if layer.reports else [])]
    kinds = {name: harness.free(1, name) for name in names}
    for name, value in kinds.items():
        harness.m.d.comb += getattr(i, name).eq(value)
    harness.m.d.comb += [
        i.spikes.as_value().eq(harness.free(layer.lanes * layer.block, "spikes")),
        i.timesteps.eq(harness.free(layer.block, "timesteps")),
        i.last_group.eq(harness.free(1, "last_group")),
    ]
    harness.assume(sum(kinds.values(), Const(0)) <= 1)
    found: Value = Const(0)
    for value in kinds.values():
        found = found | value
    return found


@contextmanager
def queue_depth(depth: int) -> Iterator[None]:
    """Let encoders have a queue of other depth: what they do is the same, and sooner found."""
    with ExitStack() as stack:
        for module in (stages, golden_layer, rtl_encoder):
            stack.enter_context(patch.object(module, "MASK_QUEUE_DEPTH", depth))
        yield


def spikes(harness: Harness, layer: LayerHardware) -> None:
    """Follow an arbitrary neuron in an arbitrary block, and an arbitrary end of a sequence."""
    m = harness.m
    with queue_depth(3):
        dut = harness.add(Encoder(replace(layer))).component
    i, o, item = dut.i, dut.o, dut.o.payload
    harness.accept(o)
    arrives = _arrive(harness, dut, layer)
    harness.m.d.comb += dut.reserve.eq(arrives)
    harness.assume(implies(arrives, dut.room))
    # Groups come in their order, with the timesteps that the block has: from the first one on.
    group = Signal(range(layer.n_groups + 1), name="group")
    ends = i.valid & i.last_group
    with m.If(i.valid):
        m.d.sync += group.eq(Mux(i.last_group, 0, group + 1))
    harness.assume(i.last_group == (group == layer.n_groups - 1))
    harness.assume((i.timesteps != 0) & ((i.timesteps & (i.timesteps + 1))[: layer.block] == 0))
    harness.assume(implies(i.sequence_end, group == 0))
    for lane in range(layer.lanes):
        spike = i.spikes[lane]
        harness.assume((spike & ~i.timesteps) == 0)
        if lane >= layer.params.n_neurons % layer.lanes and layer.params.n_neurons % layer.lanes:
            harness.assume(implies(i.last_group, spike == 0))
    # In.
    neuron = harness.constant(range(layer.params.n_neurons), "neuron")
    harness.assume(neuron < layer.params.n_neurons)
    block = harness.constant(WIDTH, "block")
    blocks_in = harness.count(WIDTH, ends, "blocks_in")
    mask, timesteps = Signal(layer.block, name="mask"), Signal(layer.block, name="length")
    due = blocks_in == block
    for lane in range(layer.lanes):
        for number in range(layer.n_groups):
            here = (group == number) & (neuron == number * layer.lanes + lane)
            with m.If(i.valid & due & here):
                m.d.sync += mask.eq(i.spikes[lane])
    with m.If(ends & due):
        m.d.sync += timesteps.eq(i.timesteps)
    sequence = harness.constant(WIDTH, "sequence")
    sequences_in = harness.count(WIDTH, i.sequence_end, "sequences_in")
    after = Signal(WIDTH, name="after")  # the blocks before the end of the sequence
    with m.If(i.sequence_end & (sequences_in == sequence)):
        m.d.sync += after.eq(blocks_in)
    # Out.
    goes = o.valid & o.ready
    ended = goes & (item.kind == EventKind.END_TIMESTEP)
    sequence_ended = goes & (item.kind == EventKind.END_SEQUENCE)
    blocks_out = harness.count(WIDTH, ended, "blocks_out")
    sequences_out = harness.count(WIDTH, sequence_ended, "sequences_out")
    now = blocks_out == block
    several = layer.sent_items > 1
    addresses = list(item.address) if several else [item.address]
    payloads = list(item.payload) if several else [item.payload]
    sent = Signal(name="sent")
    least = Signal(len(addresses[0]) + 1, name="least")  # that the next address may be
    is_event = goes & (item.kind == EventKind.EVENT)
    told: Value = Const(0)
    for address, payload in zip(addresses, payloads, strict=True):
        counts = is_event & (payload != 0)
        own = counts & (address == neuron)
        harness.prove("an event is a spike", implies(own & now, (payload == mask) & ~sent))
        harness.prove("addresses ascend", implies(counts, address >= least))
        with m.If(counts):
            m.d.sync += least.eq(address + 1)
        told = told | own
    with m.If(ended):
        m.d.sync += [sent.eq(0), least.eq(0)]
    with m.Elif(told):
        m.d.sync += sent.eq(1)
    harness.prove(
        "no spike is lost", implies(ended & now, (sent == (mask != 0)) & (payloads[0] == timesteps))
    )
    harness.prove(
        "a sequence ends in its place",
        implies(sequence_ended & (sequences_out == sequence), blocks_out == after),
    )
    harness.prove(
        "no end is made up",
        implies(ended, blocks_in != blocks_out)
        & implies(sequence_ended, sequences_in != sequences_out),
    )
    harness.cover("a spike of the second block", told & now & (block == 1) & (neuron == 2))
    harness.cover("a sequence ends after a block", sequence_ended & (blocks_out == 1))


ROOM_BUGS = (
    Bug(
        "a silent group gives no room back",
        "room is there as long as it is said",
        (("enumerate((0, -1, 1, 0, 1, 0, 2, 1))", "enumerate((0, -1, 0, 0, 1, 0, 2, 1))"),),
    ),
    Bug(
        "room is told for one group too many",
        "a group finds its room",
        (("((free == 1) & ~self.reserve)", "(free == 1)"),),
    ),
    Bug(
        "a queue of two groups",
        "a group finds its room",
        (
            (
                "import MASK_QUEUE_DEPTH, MASK_SEGMENT",
                "import MASK_SEGMENT\nMASK_QUEUE_DEPTH = 2",
            ),
            ('layer.buffers["masks"].depth', "2"),
        ),
    ),
)
ORDER_BUGS = (
    Bug(
        "the first address of a group is that of the next one",
        "an event is a spike",
        (("waits.first.eq(base)", "waits.first.eq(base + lanes)"),),
    ),
    Bug(
        "an item more is sent before the next group is taken",
        "no spike is lost",
        (("left.eq(rest)]", "left.eq(0)]"),),
    ),
)
PROOFS = (
    Proof("masks", Encoder, partial(masks, layer=LAYER), 20, ROOM_BUGS, induction=1),
    Proof(
        "masks_reports",
        Encoder,
        partial(masks, layer=REPORTING),
        20,
        ROOM_BUGS,
        induction=1,
        quick=False,
    ),
    Proof(
        "masks_least",
        Encoder,
        partial(masks, layer=LAYER, depth=3),
        20,
        ROOM_BUGS,
        induction=1,
        quick=False,
    ),
    Proof("encoder", Encoder, partial(spikes, layer=LAYER), 14, ORDER_BUGS, quick=False),
    Proof("encoder_wide", Encoder, partial(spikes, layer=WIDE), 13, ORDER_BUGS, quick=False),
)
