"""The layouts of the core's streams and of the buses inside it."""

from __future__ import annotations

from amaranth.hdl import Shape
from amaranth.lib import data, wiring
from amaranth.lib.wiring import Out

from golden.hardware.layer import LayerHardware
from golden.hardware.memory import LOAD_WIDTH, MAX_DEPTH, MAX_ITEMS, MAX_MEMORIES, address_width
from golden.hardware.part import EventKind
from golden.hardware.readout import ReadoutHardware

KIND_WIDTH = address_width(len(EventKind))


def event_layout(n_addresses: int, payload_width: int) -> data.StructLayout:
    """Return the layout of an event stream's items; `kind` is an `EventKind`. An event with a
    payload of 0 is no event.

    Between the parts of a core that takes blocks of timesteps, the payload has a bit for each
    timestep of the block: those in which the address fires, or, at its end, those it has.
    """
    return data.StructLayout(
        {"kind": KIND_WIDTH, "address": address_width(n_addresses), "payload": payload_width}
    )


def result_layout(n_classes: int, logit_width: int) -> data.StructLayout:
    """Return the layout of the result stream's items: one a class, `best` is the argmax where
    `last` is set.
    """
    index = address_width(n_classes)
    return data.StructLayout(
        {"index": index, "logit": Shape(logit_width, signed=True), "best": index, "last": 1}
    )


LOAD_ITEM = data.StructLayout({"first": 1, "data": LOAD_WIDTH})
LOAD_HEADER = data.StructLayout(
    {"address": address_width(MAX_DEPTH), "memory": address_width(MAX_MEMORIES)}
)


# An item of a memory's word, in any cycle in which `valid` is set; nobody may stall it. The items
# of a word come in order, the low one (`index` 0) first; with the `last` one it is complete.
LOAD_BUS = wiring.Signature(
    {
        "valid": Out(1),
        "memory": Out(address_width(MAX_MEMORIES)),
        "address": Out(address_width(MAX_DEPTH)),
        "index": Out(address_width(MAX_ITEMS)),
        "last": Out(1),
        "data": Out(LOAD_WIDTH),
    }
)


def walk_end_layout(part: LayerHardware | ReadoutHardware) -> data.StructLayout:
    """Return the layout of where a walk of a group ends: at step `last`, which is its first one if
    `single`.
    """
    return data.StructLayout({"last": address_width(part.max_steps), "single": 1})


def issue_layout(part: LayerHardware | ReadoutHardware) -> data.StructLayout:
    """Return the layout of what the group schedule issues in a cycle.

    `start` marks the first step of a block. A `sequence_end` is no step: it only passes through, in
    order; with it, `fresh` says that the sequence had no timestep. `valid` qualifies the rest: step
    `step` of group `group`, the `first` or `last` step of it; it adds the events of the list whose
    bits are set in `sparse`, and walks the dense state path if `dense`; `weight_base` is the first
    word of the group's weights. For the whole block: `timesteps` has a bit for each timestep in it,
    lowest first, `refresh` one for each in which the current is refreshed; `fresh`: it is the first
    of a sequence; `buffer`: of the event list.
    """
    n_addresses, n_groups = part.n_addresses, part.n_groups
    return data.StructLayout(
        {
            "valid": 1,
            "start": 1,
            "first": 1,
            "last": 1,
            "sparse": part.hardware.events_per_cycle,
            "dense": 1,
            "last_group": 1,
            "sequence_end": 1,
            "timesteps": part.block,
            "refresh": part.block,
            "fresh": 1,
            "buffer": address_width(part.n_lists),
            "step": address_width(part.max_steps),
            "group": address_width(n_groups),
            "weight_base": address_width(n_groups * n_addresses),
        }
    )
