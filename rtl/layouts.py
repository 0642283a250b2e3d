"""The layouts of what components tell each other of lanes, timesteps and steps."""

from __future__ import annotations

from typing import TYPE_CHECKING

from amaranth.lib import data

from golden.formats import Fixed
from golden.hardware.layer import LayerHardware
from golden.hardware.memory import address_width
from golden.hardware.readout import ReadoutHardware
from rtl.fixed import shape_of

Part = LayerHardware | ReadoutHardware
if TYPE_CHECKING:
    Array = data.View[data.ArrayLayout]
    Struct = data.View[data.StructLayout]
else:  # a view is generic for type checkers only
    Array = Struct = data.View


def is_reordered(part: Part) -> bool:
    """Return whether a part's walk is ablated."""
    return isinstance(part, LayerHardware) and part.reordered


def is_input_stationary(part: Part) -> bool:
    """Return whether each event of a part goes through all of its groups."""
    return isinstance(part, LayerHardware) and part.input_stationary


def sums_layout(part: Part, accumulator: Fixed) -> data.ArrayLayout:
    """Return the layout of the sums of a group: `sums[timestep][lane]`."""
    return data.ArrayLayout(data.ArrayLayout(shape_of(accumulator), part.lanes), part.block)


def drives_layout(layer: LayerHardware) -> data.ArrayLayout:
    """Return the layout of the drives of every buffer of an event list: `drives[buffer][timestep]`,
    in x's format.
    """
    of_block = data.ArrayLayout(shape_of(layer.params.formats.x), layer.block)
    return data.ArrayLayout(of_block, layer.n_lists)


def list_layout(part: Part) -> data.StructLayout:
    """Return the layout of what decides on a list: there is one, and its timesteps, a bit each; or
    it is the end of a sequence.
    """
    return data.StructLayout({"available": 1, "length": part.block, "sequence_end": 1})


def walk_end_layout(part: Part) -> data.StructLayout:
    """Return the layout of where a walk of a group ends: at step `last`, which is its first one if
    `single`.
    """
    return data.StructLayout({"last": address_width(part.max_steps), "single": 1})


def issue_layout(part: Part) -> data.StructLayout:
    """Return the layout of what the group schedule issues in a cycle.

    `walking`
        A step is due, which is issued in this cycle or waits. Known at the start of a cycle.

    In a cycle with a step:

    `valid`
        A step is issued; what follows describes it.
    `step`, `first`, `last`
        Its number in the group, and whether it is the group's first or last one.
    `group`, `last_group`
        The group, and whether it is the block's last one.
    `start`
        It is the first step of a block.
    `sparse`
        It adds these events of the list, a bit for each event of a cycle.
    `dense`
        It multiplies the slow state.
    `weight_base`
        The first word of the group's weights.
    `timesteps`, `refresh`
        Of the block, a bit each: the timesteps that it has, those in which the current from the
        slow state is refreshed.
    `fresh`
        The block is the first of a sequence.
    `buffer`
        Of the event list.

    Where events share the multipliers of the dense path, its columns follow them, and

    `column`
        The number of the dense step in the group.

    A cycle with `sequence_end` has no step: the end of a sequence passes; with `fresh`, the
    sequence had no timestep. Where the part has reports, one passes in a cycle with `report`, which
    may have a step that is not the last one of its group.

    Where a layer's walk is ablated, `step` counts anew where the columns follow the events, and

    `complete`
        The step completes its group's sums.
    `passing`
        No step of a walk: the pass of neuron updates takes the group, whose sums are stored.
    `listed`
        The list has an event.
    """
    n_addresses, n_groups = part.n_addresses, part.n_groups
    return data.StructLayout(
        {
            "walking": 1,
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
        | ({"report": 1} if part.reports else {})
        | ({"column": address_width(part.dense_steps)} if part.shares_products else {})
        | (dict.fromkeys(("complete", "passing", "listed"), 1) if is_reordered(part) else {})
    )
