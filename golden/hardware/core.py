"""A network on given hardware: its parts, memories, counters and error flags."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import product

from golden.errors import UserError
from golden.hardware.counters import ERROR_COUNTERS, counter_bits
from golden.hardware.layer import LayerHardware
from golden.hardware.memory import MAX_MEMORIES, MemoryParams, address_width
from golden.hardware.params import BLOCKS, HardwareParams
from golden.hardware.part import kind_width
from golden.hardware.readout import ReadoutHardware
from golden.hardware.spike_output import SpikeOutputHardware
from golden.params import LayerParams, NetworkParams

MAX_INPUT_BITS = 64  # of a wide input's item, which testbenches hold in a word


def possible_blocks(network: NetworkParams) -> tuple[int, ...]:
    """Return the blocks that a core of this network can have."""
    return BLOCKS[:1] if any(layer.recurrent for layer in network.layers) else BLOCKS


@dataclass(frozen=True)
class CoreParams:
    """A network on given hardware: all that the generator needs to know but for the weights."""

    network: NetworkParams
    hardware: HardwareParams = field(default_factory=HardwareParams)

    def __post_init__(self) -> None:
        self.hardware.check_parts(len(self.network.layers), self.network.output is not None)
        if self.hardware.block not in possible_blocks(self.network):
            raise UserError(
                f"block {self.hardware.block} for a recurrent layer, whose own spikes come back"
                " after every timestep: use a block of 1"
            )
        if self.hardware.reports and self.network.output is None:
            raise UserError(
                f"reports of network {self.network.name}, which has no readout: its spikes leave at"
                " every timestep, so leave reports out"
            )
        delayed = [name for name, part in self.parts.items() if part.delayed]
        if self.hardware.reports and self.hardware.block > 1 and delayed:
            raise UserError(
                f"reports and block {self.hardware.block} with delays before {delayed[0]}: a report"
                " closes a block early, and a delay line counts whole ones: use a block of 1"
            )
        self._check_ablations()
        self._check_graded()
        self._check_links()
        if len(self.memories) > MAX_MEMORIES:
            raise UserError(
                f"{len(self.memories)} memories: at most {MAX_MEMORIES} can be addressed"
            )

    def _check_graded(self) -> None:
        """Raise `UserError` where graded inputs cannot share the multipliers of a dense path."""
        first = self.layers[0]
        if self.hardware.graded == "own":
            return
        if not first.shares_products:
            has = "spikes for inputs" if first.payload.width == 1 else "no slow state"
            raise UserError(
                f"graded {self.hardware.graded} of layer0, which has {has}: its events take no"
                " multipliers that it could share, so use own"
            )
        events, products = (
            getattr(first.hardware, f"{n}_per_cycle") for n in ("events", "products")
        )
        if events > products:
            raise UserError(
                f"graded {self.hardware.graded} with {events} events and {products} product a"
                " cycle of layer0: an event takes the multiplier of a product, so use as many"
                " products as events"
            )

    def _check_ablations(self) -> None:
        """Raise `UserError` where a layer has what its ablations cannot be built with."""
        ablations = self.hardware.ablations
        for name, p in ((f"layer{i}", layer) for i, layer in enumerate(self.network.layers)):
            if p.n_state and p.state_first != ("no-dependency-breaking" in ablations):
                was = "without" if p.state_first else "with"
                raise UserError(
                    f"{name} was quantized {was} dependency breaking, and the core is ablated by"
                    f" {', '.join(ablations) or 'nothing'}: export it again"
                )
            if not ablations:
                continue
            has = {
                "own spikes that come back": p.recurrent,
                "delays": p.max_delay > 0,
                "graded inputs": p.formats.payload.width > 1,
                "a synaptic current": p.synapse,
                f"a dilation of {p.dilation}": p.dilation > 1,
            }
            if found := [what for what, is_there in has.items() if is_there]:
                raise UserError(
                    f"the ablation {ablations[0]} of {name}, which has {found[0]}: ablate networks"
                    " of plain layers that receive spikes"
                )
            if "shared-datapath" in ablations and p.n_state and p.current_shift < 0:
                raise UserError(
                    f"the ablation shared-datapath of {name}, whose products with the slow state"
                    f" are coarser than its membranes by {-p.current_shift} bits: use a P with as"
                    " many more fractional bits"
                )

    def _check_links(self) -> None:
        """Raise `UserError` where a part cannot send or take several events a cycle."""
        given = {"link_items": self.hardware.link_items, "input_items": self.hardware.input_items}
        several = {option: items for option, items in given.items() if items > 1}
        for (option, items), (name, part) in product(several.items(), self.parts.items()):
            params, n_events = part.params, part.hardware.events_per_cycle
            receives = part.external == (option == "input_items")
            sends = option == "link_items"
            if isinstance(params, LayerParams) and params.recurrent and (receives or sends):
                raise UserError(
                    f"{option} {items} with own spikes that come back to {name}, one a cycle: use"
                    f" {option} of 1"
                )
            if receives and part.delayed:
                raise UserError(
                    f"{option} {items} with delays before {name}, whose line takes one event a"
                    f" cycle: use {option} of 1"
                )
            if receives and items > n_events:
                raise UserError(
                    f"{option} {items} to {name}, which adds {n_events} event"
                    f"{'s' * (n_events > 1)} a cycle: use at most as many items as events"
                )
        first = self.layers[0]
        width = address_width(first.n_addresses) + first.payload.width
        width = kind_width(self.hardware.reports) + first.received_items * width
        if first.wide and width > MAX_INPUT_BITS:
            raise UserError(
                f"input_items {first.received_items} to layer0 are {width} bits together: at most"
                f" {MAX_INPUT_BITS} can enter in a cycle, so use fewer items"
            )

    @cached_property
    def layers(self) -> tuple[LayerHardware, ...]:
        last = len(self.network.layers) - 1
        leave = self.network.output is None
        return tuple(
            LayerHardware(
                layer,
                self.hardware.of_part(index),
                external=index == 0,
                leaves=leave and index == last,
            )
            for index, layer in enumerate(self.network.layers)
        )

    @cached_property
    def readout(self) -> ReadoutHardware:
        """The readout; or raise `UserError`, where the spikes of the last layer leave the core."""
        hardware = self.hardware.of_part(len(self.network.layers))
        return ReadoutHardware(self.network.readout, hardware)

    @cached_property
    def spike_output(self) -> SpikeOutputHardware | None:
        """What turns blocks into timesteps where the spikes of the last layer leave the core."""
        if self.network.output is not None or self.hardware.block == 1:
            return None
        return SpikeOutputHardware(self.network.layers[-1].n_neurons, self.hardware.block)

    @cached_property
    def parts(self) -> dict[str, LayerHardware | ReadoutHardware]:
        """The layers and the readout, if there is one, by name: `layer0`, ..., `readout`."""
        parts: dict[str, LayerHardware | ReadoutHardware] = {
            f"layer{i}": layer for i, layer in enumerate(self.layers)
        }
        if self.network.output is not None:
            parts["readout"] = self.readout
        return parts

    @cached_property
    def memories(self) -> dict[str, MemoryParams]:
        """Every loadable memory by its full name (`layer0.w_f`); its place is its number on the
        load stream.
        """
        return {
            f"{part}.{name}": replace(memory, name=f"{part}.{name}")
            for part, hardware in self.parts.items()
            for name, memory in hardware.memories.items()
        }

    @property
    def multipliers(self) -> int:
        return sum(sum(part.multipliers.values()) for part in self.parts.values())

    @property
    def memory_bits(self) -> int:
        """Bits of all memories, each copy and those that the core writes itself included."""
        parts = self.parts.values()
        loaded = [(p, name, m) for p in parts for name, m in p.memories.items()]
        found = [memory for p, name, memory in loaded for _ in p.copies(name)]
        found += [memory for p in parts for memory in p.buffers.values()]
        if self.spike_output is not None:
            found += self.spike_output.buffers.values()
        return sum(memory.bits for memory in found)

    @cached_property
    def counters(self) -> list[str]:
        """The names of the core's counters; a name's place is its number on the status port."""
        counted = {"all": self._countable, "errors": self.errors, "none": []}
        return counted[self.hardware.counters]

    @property
    def counter_bits(self) -> int:
        """Bits of the number of a counter."""
        return counter_bits(len(self.counters))

    @cached_property
    def errors(self) -> list[str]:
        """The names of the sticky flags, lowest bit first; they have the names of counters."""
        return [name for name in self._countable if name.split(".")[-1] in ERROR_COUNTERS]

    @cached_property
    def _countable(self) -> list[str]:
        parts = self.parts.items()
        return ["cycles", *(f"{part}.{name}" for part, of in parts for name in of.counters)]
