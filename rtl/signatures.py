"""The bundles of signals that several components share.

Each signature is written as the component sees it that its docstring names first, and has a class
of ports that says what its members are called.
"""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Shape, ShapeLike, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from golden.hardware.layer import LayerHardware
from golden.hardware.memory import LOAD_WIDTH, MAX_DEPTH, MAX_ITEMS, MAX_MEMORIES, address_width
from rtl.fixed import shape_of
from rtl.layouts import Array, Part, Struct, list_layout, walk_end_layout


class Signature(wiring.Signature):
    """A signature that equals another one of its kind with the same members."""

    ports: type[wiring.PureInterface] = wiring.PureInterface

    def create(self, *, path: Any = None, src_loc_at: int = 0) -> Any:
        """Return the ports of this signature as an object of `ports`, whose members have types."""
        return self.ports(self, path=path, src_loc_at=1 + src_loc_at)

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and self.members == other.members  # pyright: ignore


class LoadBusPorts(wiring.PureInterface):
    valid: Signal
    memory: Signal
    address: Signal
    index: Signal
    last: Signal
    data: Signal


class LoadBus(Signature):
    """From the loader to every memory: an item of a memory's word, in any cycle in which `valid` is
    set; nobody may stall it.

    Members
    -------
    memory, address
        The memory's number, and the word's address in it.
    index, last
        The place of the item in the word: items come in order, the low one (`index` 0) first; with
        the `last` one the word is complete.
    data
        `LOAD_WIDTH` bits of the word.
    """

    ports = LoadBusPorts

    def __init__(self) -> None:
        super().__init__(
            {
                "valid": Out(1),
                "memory": Out(address_width(MAX_MEMORIES)),
                "address": Out(address_width(MAX_DEPTH)),
                "index": Out(address_width(MAX_ITEMS)),
                "last": Out(1),
                "data": Out(LOAD_WIDTH),
            }
        )


class ListFrontPorts(wiring.PureInterface):
    available: Signal
    count: Signal
    plain_end: Struct
    refreshed_end: Struct
    length: Signal
    sequence_end: Signal
    buffer: Signal
    here: Struct
    behind: Struct
    release: Signal
    report: Signal
    report_taken: Signal


class ListFront(Signature):
    """From an event list to the group schedule: the list that is to be walked next.

    While a list is released, these signals already describe the list that follows it.

    Members
    -------
    available
        There is one: it is closed and has not been walked.
    count, length
        Its addresses; its timesteps, a bit each.
    plain_end, refreshed_end
        Where the walk of a group ends, without and with a refresh (`walk_end_layout`).
    sequence_end
        It is no list but the end of a sequence.
    buffer
        The buffer that holds it.
    here, behind
        `available`, `length` and `sequence_end` as they are without and with a `release`, which is
        known late in the cycle.
    release
        From the schedule: the list is read for the last time.
    report, report_taken
        Where the part has reports: one is due before this list is walked; from the schedule: it
        passes in this cycle.
    """

    ports = ListFrontPorts

    def __init__(self, part: Part) -> None:
        members = {
            "available": Out(1),
            "count": Out(range(part.n_addresses + 1)),
            "plain_end": Out(walk_end_layout(part)),
            "refreshed_end": Out(walk_end_layout(part)),
            "length": Out(part.block),
            "sequence_end": Out(1),
            "buffer": Out(address_width(part.n_lists)),
            "here": Out(list_layout(part)),
            "behind": Out(list_layout(part)),
            "release": In(1),
        }
        if part.reports:
            members |= {"report": Out(1), "report_taken": In(1)}
        super().__init__(members)


class ListReadPorts(wiring.PureInterface):
    enable: Signal
    index: Signal
    addresses: Array
    payloads: Array


class ListRead(Signature):
    """From the sparse spike path to the event list: a read of the list that is walked.

    Members
    -------
    enable, index
        Word `index` is read.
    addresses
        From the list, `READ_STAGE` - 1 cycles later: `addresses[event]`.
    payloads
        From the list, `READ_STAGE` cycles later: `payloads[event][timestep]`.
    """

    ports = ListReadPorts

    def __init__(self, part: Part) -> None:
        n_events = part.hardware.events_per_cycle
        address = data.ArrayLayout(address_width(part.n_addresses), n_events)
        payload = data.ArrayLayout(data.ArrayLayout(shape_of(part.payload), part.block), n_events)
        super().__init__(
            {
                "enable": Out(1),
                "index": Out(address_width(part.max_steps)),
                "addresses": In(address),
                "payloads": In(payload),
            }
        )


class ArrivalPorts(wiring.PureInterface):
    fires: Signal
    address: Any
    payload: Any
    timesteps: Any
    closed: Signal
    closing_timesteps: Signal
    discarded: Signal

    def each(self) -> list[tuple[Value, Value, Value, Value]]:
        """Return of each event that may come whether it `fires`, its address, payload and
        timesteps.
        """
        if len(self.fires) == 1:
            return [(self.fires, self.address, self.payload, self.timesteps)]
        graded = isinstance(self.payload, data.View)
        payloads: Any = self.payload if graded else [self.payload] * len(self.fires)
        return list(zip(self.fires, self.address, payloads, self.timesteps, strict=True))


class Arrival(Signature):
    """What an item of an event stream does to the block of timesteps that is being collected, in
    the cycle in which the item is taken.

    Members
    -------
    fires, address, payload, timesteps
        An event counts: its address, and its payload in each of these timesteps (a bit each).
    closed, closing_timesteps
        A block ends; a bit for each timestep that it has.
    discarded
        A sequence ends: events since the last timestep are void.

    Where several `items` come at once, `fires` has a bit for each, the lowest ones first, and there
    are as many addresses and timesteps, and payloads of more than a bit; `each` tells them apart.
    """

    ports = ArrivalPorts

    def __init__(self, n_addresses: int, payload: ShapeLike, block: int, items: int = 1) -> None:
        address: ShapeLike = address_width(n_addresses)
        timesteps: ShapeLike = block
        if items > 1:
            address, timesteps = (data.ArrayLayout(of, items) for of in (address, timesteps))
            if Shape.cast(payload).width > 1:
                payload = data.ArrayLayout(payload, items)
        super().__init__(
            {
                "fires": Out(items),
                "address": Out(address),
                "payload": Out(payload),
                "timesteps": Out(timesteps),
                "closed": Out(1),
                "closing_timesteps": Out(block),
                "discarded": Out(1),
            }
        )


class InputErrorPorts(wiring.PureInterface):
    out_of_range: Signal
    repeated: Signal
    unclosed: Signal


class InputErrors(Signature):
    """Errors of what comes from outside, each for one cycle; of several `items`, how many.

    Members
    -------
    out_of_range
        An address is out of range, or an item has no kind.
    repeated
        An address comes a second time in a timestep.
    unclosed
        A sequence ends with events that no end of timestep follows, or a report comes after such.
    """

    ports = InputErrorPorts

    def __init__(self, items: int = 1) -> None:
        count = range(items + 1)
        super().__init__({"out_of_range": Out(count), "repeated": Out(count), "unclosed": Out(1)})


class GroupSpikesPorts(wiring.PureInterface):
    valid: Signal
    spikes: Array
    timesteps: Signal
    last_group: Signal
    sequence_end: Signal
    report: Signal


class GroupSpikes(Signature):
    """From the neuron stage to the encoder: the spikes of a group.

    Members
    -------
    valid
        A group is complete.
    spikes
        `spikes[lane]`, a bit for each timestep of the block. Lanes without a neuron never spike.
    timesteps
        Those that the block has, a bit each.
    last_group
        The group is the block's last one.
    sequence_end
        No group, but the end of a sequence passes.
    report
        Where the layer has reports: no group, but one passes.
    """

    ports = GroupSpikesPorts

    def __init__(self, layer: LayerHardware) -> None:
        members = {
            "valid": Out(1),
            "spikes": Out(data.ArrayLayout(layer.block, layer.lanes)),
            "timesteps": Out(layer.block),
            "last_group": Out(1),
            "sequence_end": Out(1),
        }
        super().__init__(members | ({"report": Out(1)} if layer.reports else {}))
