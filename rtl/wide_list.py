"""The memories of an event list that takes several events a cycle."""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Signal, Value
from amaranth.lib import data
from amaranth.lib.memory import Memory
from amaranth.utils import exact_log2

from golden.hardware.memory import address_width
from golden.hardware.stages import READ_STAGE
from rtl.claims import claim_apart
from rtl.component import NEVER_COLLIDES
from rtl.fixed import delay, shape_of, stages, total
from rtl.layouts import Part
from rtl.signatures import ArrivalPorts, ListReadPorts


def store_several(
    m: Module,
    platform: object,
    part: Part,
    arrival: ArrivalPorts,
    asked: ListReadPorts,
    filling: Signal,
    front: Signal,
    count: Signal,
) -> None:
    """Store the events that arrive as the next ones of the list that is `filling`, which has
    `count` of them, and read those of the list in `front`.

    There is a memory for each event of a word, which has its payloads beside its address: the
    events go to the next places, maybe of two words. From outside, some of those that come at once
    may not count, so that the places are those of the ones that do.
    """
    n_events, bits = part.hardware.events_per_cycle, exact_log2(part.hardware.events_per_cycle)
    place, offset = count[bits:], count[:bits]
    row_bits = address_width(-(-part.n_addresses // n_events))
    of_event = data.ArrayLayout(shape_of(part.payload), part.block)
    entry = data.StructLayout(
        {"address": address_width(part.n_addresses)}
        | ({"payloads": of_event.size} if part.has_payloads else {})
    )
    graded = part.payload.width > 1
    addressed = READ_STAGE - 1  # the stage at which the addresses are valid
    asks = stages(m, asked.enable, addressed, "walked")
    for bank in range(n_events):
        memory = Memory(
            shape=entry,
            depth=part.buffers[f"list{bank}"].depth,
            init=[],
            attrs=NEVER_COLLIDES,
        )
        m.submodules[f"addresses_{bank}"] = memory
        write, read = memory.write_port(), memory.read_port()
        claim_apart(m, platform, f"addresses_{bank}", write, read)
        number = (bank + n_events - offset)[:bits]  # of the event that comes here
        row = place + (offset > bank)
        m.d.comb += [
            write.addr.eq(Cat(Cat(row, Const(0, row_bits))[:row_bits], filling)),
            read.en.eq(asked.enable),
            read.addr.eq(Cat(Cat(asked.index, Const(0, row_bits))[:row_bits], front)),
        ]
        for n, (fires, address, payload, timesteps) in enumerate(arrival.each()):
            before = total(arrival.fires[:n]) if part.by_timesteps and n else n
            here = number == before
            with m.If(fires & here if part.by_timesteps else here):
                m.d.comb += [write.en.eq(fires), write.data.address.eq(address)]
                if part.has_payloads:
                    m.d.comb += write.data.payloads.eq(payload if graded else timesteps)
        name = f"walked_{bank}"
        listed = delay(m, read.data, addressed - 1, name, moving=asks[1:])
        m.d.comb += asked.addresses[bank].eq(listed.address)
        payloads: Value = Const((1 << of_event.size) - 1)
        if part.has_payloads:
            payloads = delay(m, listed.payloads, 1, f"{name}_payloads", moving=asks[addressed:])
        m.d.comb += asked.payloads[bank].as_value().eq(payloads)
