"""The layouts of the items of the core's streams."""

from __future__ import annotations

from amaranth.hdl import Shape, ShapeLike
from amaranth.lib import data

from golden.hardware.core import CoreParams
from golden.hardware.memory import LOAD_WIDTH, MAX_DEPTH, MAX_MEMORIES, address_width
from golden.hardware.part import kind_width
from rtl.fixed import shape_of


def event_layout(
    n_addresses: int, payload: ShapeLike, *, reports: bool = False, items: int = 1
) -> data.StructLayout:
    """Return the layout of an event stream's items; `kind` is an `EventKind`, with `reports` or
    without. An event with a payload of 0 is no event.

    Between the parts of a core that takes blocks of timesteps, the payload has a bit for each
    timestep of the block: those in which the address fires, or, at its end, those it has. On a wide
    link several `items` of one kind come at once, with an address and a payload each: events in
    ascending order, those of payload 0 behind the others; of an end, only the first payload counts.
    At a wide input they are in any order, and those of payload 0 anywhere.
    """
    return data.StructLayout(
        {
            "kind": kind_width(reports),
            "address": _several(address_width(n_addresses), items),
            "payload": _several(payload, items),
        }
    )


def _several(shape: ShapeLike, items: int) -> ShapeLike:
    return shape if items == 1 else data.ArrayLayout(shape, items)


def input_layout(core: CoreParams) -> data.StructLayout:
    """Return the layout of what enters a core."""
    first, hardware = core.network.layers[0], core.hardware
    payload = shape_of(first.formats.payload)
    return event_layout(
        first.n_inputs, payload, reports=hardware.reports, items=hardware.input_items
    )


def result_layout(n_classes: int, logit_width: int) -> data.StructLayout:
    """Return the layout of the result stream's items: one a class, `best` is the argmax where
    `last` is set.
    """
    index = address_width(n_classes)
    return data.StructLayout(
        {"index": index, "logit": Shape(logit_width, signed=True), "best": index, "last": 1}
    )


def output_layouts(core: CoreParams) -> dict[str, data.StructLayout]:
    """Return the layout of what leaves a core, by the name of its port: results or spikes."""
    readout = core.network.output
    if readout is None:
        return {"o_spikes": event_layout(core.network.layers[-1].n_neurons, 1)}
    return {"o_results": result_layout(readout.n_classes, readout.logit_width)}


LOAD_ITEM = data.StructLayout({"first": 1, "data": LOAD_WIDTH})
LOAD_HEADER = data.StructLayout(
    {"address": address_width(MAX_DEPTH), "memory": address_width(MAX_MEMORIES)}
)
