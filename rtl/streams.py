"""The layouts of the items of the core's streams."""

from __future__ import annotations

from amaranth.hdl import Shape
from amaranth.lib import data

from golden.hardware.memory import LOAD_WIDTH, MAX_DEPTH, MAX_MEMORIES, address_width
from golden.hardware.part import EventKind

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
