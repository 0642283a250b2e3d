"""Network and hardware parameters: the only truth about sizes, widths, shifts and memory words. No
Torch.

`NetworkParams` is a trained network (`golden.topology`) with the number formats that quantization
chose; every shift and every accumulator width follows from them. `HardwareParams` is what the user
turns on the core; with it, a layer's groups, memories and pipeline latencies follow.
Letters are the paper's (arXiv 2512.07602): A, B the slow state's transition and input, P = W_m A
and V = W_m B the fused coefficients of the current it feeds back.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, fields, replace
from enum import IntEnum
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, get_type_hints

from golden.errors import UserError
from golden.formats import Fixed, accumulator, rshift, width_of

Reset = Literal["subtract", "zero"]

MAX_SHIFT = 48
MAX_INPUTS = 1 << 16
MAX_DEPTH = 1 << 24  # words of one memory: the load stream addresses 24 bits
MAX_MEMORIES = 1 << 8


@dataclass(frozen=True)
class LayerFormats:
    """The formats of a layer that can be chosen; the rest follow.

    `payload` is what arrives (a spike is 1); `w_f`, `w_x`, `p`, `a` are coefficients; `m` the slow
    state, `x` the drive, `u` the membrane, `leak` its factor. `bias_width` and `drive_bias_width`
    are those of c (in u's scale) and b_x.
    """

    payload: Fixed = Fixed(1, 0, signed=False)
    w_f: Fixed = Fixed(8, 7)
    w_x: Fixed = Fixed(8, 7)
    p: Fixed = Fixed(8, 7)
    a: Fixed = Fixed(16, 15)
    m: Fixed = Fixed(16, 13)
    x: Fixed = Fixed(16, 13)
    u: Fixed = Fixed(16, 10)
    leak: Fixed = Fixed(12, 12, signed=False)
    bias_width: int = 16
    drive_bias_width: int = 24

    @property
    def b(self) -> Fixed:
        """Of B: a product B x has the scale of a product A m."""
        return Fixed(self.a.width, self.a.frac + self.m.frac - self.x.frac)

    @property
    def v(self) -> Fixed:
        """Of V: a product V x has the scale of a product P m."""
        return Fixed(self.p.width, self.p.frac + self.m.frac - self.x.frac)

    @property
    def c(self) -> Fixed:
        return Fixed(self.bias_width, self.u.frac)

    @property
    def threshold(self) -> Fixed:
        """Never negative, so that what a reset by subtraction leaves is in u's format."""
        return Fixed(max(1, self.u.width - 1), self.u.frac, signed=False)

    @property
    def b_x(self) -> Fixed:
        return Fixed(self.drive_bias_width, self.w_x.frac + self.payload.frac)


@dataclass(frozen=True)
class MemoryParams:
    """A memory of `depth` words that each hold `n_lanes` numbers of format `element`, lane 0 in the
    lowest bits.
    """

    name: str
    depth: int
    n_lanes: int
    element: Fixed

    def __post_init__(self) -> None:
        if self.depth > MAX_DEPTH:
            raise UserError(
                f"memory {self.name} has {self.depth} words: at most {MAX_DEPTH} can be addressed"
            )

    @property
    def width(self) -> int:
        return self.n_lanes * self.element.width


def _check_sums(params: Any, *names: str) -> None:
    """Derive the formats of these sums, or raise `UserError` where one cannot be built."""
    for name in names:
        try:
            getattr(params, name)
        except UserError as error:
            raise UserError(f"the layer is too large for its formats: {name} is {error}") from None


@dataclass(frozen=True)
class LayerParams:
    """One layer: sizes, formats, and what follows from them.

    `n_state` = 0 is a layer without a slow state. `dilation`: the current from the slow state is
    refreshed every so many timesteps.
    """

    n_inputs: int
    n_neurons: int
    n_state: int
    dilation: int = 1
    reset: Reset = "subtract"
    formats: LayerFormats = LayerFormats()

    def __post_init__(self) -> None:
        if not 1 <= self.n_inputs <= MAX_INPUTS or not 1 <= self.n_neurons <= MAX_INPUTS:
            raise UserError(
                f"a layer of {self.n_inputs} inputs and {self.n_neurons} neurons: use 1 to"
                f" {MAX_INPUTS}"
            )
        if not 0 <= self.n_state <= 1024:
            raise UserError(f"a slow state of {self.n_state} values: use 0 to 1024")
        if not 1 <= self.dilation <= 1 << 16:
            raise UserError(f"a dilation of {self.dilation}: use 1 to {1 << 16}")
        if self.reset not in ("subtract", "zero"):
            raise UserError(f"unknown reset '{self.reset}': use subtract or zero")
        formats = self.formats
        if formats.payload.signed or formats.leak.signed:
            raise UserError("the formats of payload and leak must be unsigned")
        for name in ("w_f", "w_x", "p", "a", "m", "x", "u"):
            if not getattr(formats, name).signed:
                raise UserError(f"the format of {name} must be signed")
        for name in ("drive", "state", "current", "spike", "leak"):
            shift = getattr(self, f"{name}_shift")
            if abs(shift) > MAX_SHIFT:
                raise UserError(
                    f"the formats ask for a {name} shift of {shift}: use at most {MAX_SHIFT}"
                )
        _check_sums(self, "spike_sum", "membrane_sum")
        if self.n_state:
            _check_sums(self, "drive_sum", "state_sum", "current_sum", "current")

    # Shifts: the fractional bits that a sum has more than what it becomes.
    @property
    def drive_shift(self) -> int:
        return self.formats.b_x.frac - self.formats.x.frac

    @property
    def state_shift(self) -> int:
        return self.formats.a.frac

    @property
    def current_shift(self) -> int:
        return self.formats.p.frac + self.formats.m.frac - self.formats.u.frac

    @property
    def spike_shift(self) -> int:
        return self.formats.w_f.frac + self.formats.payload.frac - self.formats.u.frac

    @property
    def leak_shift(self) -> int:
        return self.formats.leak.frac

    # Accumulators: wide enough that nothing overflows, whatever the weights.
    @property
    def drive_sum(self) -> Fixed:
        f = self.formats
        return accumulator((self.n_inputs, f.w_x, f.payload), plus=f.b_x.magnitude)

    @property
    def state_sum(self) -> Fixed:
        f = self.formats
        return accumulator((self.n_state, f.a, f.m), (1, f.b, f.x))

    @property
    def current_sum(self) -> Fixed:
        f = self.formats
        return accumulator((self.n_state, f.p, f.m), (1, f.v, f.x))

    @property
    def spike_sum(self) -> Fixed:
        return accumulator((self.n_inputs, self.formats.w_f, self.formats.payload))

    @property
    def current(self) -> Fixed:
        """Of h, the current from the slow state, in u's scale."""
        return Fixed(
            width_of(rshift(self.current_sum.magnitude, self.current_shift)), self.formats.u.frac
        )

    @property
    def membrane_sum(self) -> Fixed:
        """Of the four terms of u' before it saturates, in u's scale."""
        f = self.formats
        bound = (
            rshift(f.leak.magnitude * f.u.magnitude, self.leak_shift)
            + rshift(self.spike_sum.magnitude, self.spike_shift)
            + (self.current.magnitude if self.n_state else 0)
            + f.c.magnitude
        )
        return Fixed(width_of(bound), f.u.frac)


@dataclass(frozen=True)
class ReadoutParams:
    """The readout: logits += W_o s + b_o at every timestep; the class is the largest logit, the
    first on ties.
    """

    n_inputs: int
    n_classes: int
    w_o: Fixed = Fixed(8, 7)
    bias_width: int = 24
    logit_width: int = 32

    def __post_init__(self) -> None:
        if not 1 <= self.n_classes <= 1 << 16:
            raise UserError(f"a readout of {self.n_classes} classes: use 1 to {1 << 16}")
        if not self.w_o.signed:
            raise UserError("the format of w_o must be signed")
        _check_sums(self, "b_o", "logit", "spike_sum", "logit_sum")

    @property
    def payload(self) -> Fixed:
        return Fixed(1, 0, signed=False)

    @property
    def b_o(self) -> Fixed:
        return Fixed(self.bias_width, self.w_o.frac)

    @property
    def logit(self) -> Fixed:
        return Fixed(self.logit_width, self.w_o.frac)

    @property
    def spike_sum(self) -> Fixed:
        return accumulator((self.n_inputs, self.w_o, self.payload))

    @property
    def logit_sum(self) -> Fixed:
        """Of a logit and what a timestep adds to it, before it saturates."""
        step = self.spike_sum.magnitude + self.b_o.magnitude
        return Fixed(width_of(self.logit.magnitude + step), self.w_o.frac)


@dataclass(frozen=True)
class NetworkParams:
    """A quantized network: a chain of layers and a readout."""

    name: str
    layers: tuple[LayerParams, ...]
    readout: ReadoutParams

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", self.name):
            raise UserError(
                f"a network called '{self.name}': use letters, digits and _, as files are named"
                " after it"
            )
        if not self.layers:
            raise UserError("a network needs at least one layer")
        for index, (layer, following) in enumerate(zip(self.layers, self.layers[1:], strict=False)):
            if following.n_inputs != layer.n_neurons:
                raise UserError(
                    f"layer {index + 1} has {following.n_inputs} inputs, but layer {index}"
                    f" {layer.n_neurons} neurons"
                )
            if following.formats.payload != Fixed(1, 0, signed=False):
                raise UserError(f"layer {index + 1} receives spikes: its payload must be 1 bit")
        if self.readout.n_inputs != self.layers[-1].n_neurons:
            raise UserError(
                f"the readout has {self.readout.n_inputs} inputs,"
                f" but the last layer {self.layers[-1].n_neurons} neurons"
            )

    def to_dict(self) -> dict[str, Any]:
        """Return what JSON can hold; `from_dict` turns it back."""
        return asdict(self)

    @staticmethod
    def from_dict(content: dict[str, Any]) -> NetworkParams:
        """Read what `to_dict` wrote, or raise `UserError`."""
        layers = tuple(
            _from_dict(
                LayerParams, layer, formats=lambda f: _from_dict(LayerFormats, f, default=_fixed)
            )
            for layer in content.get("layers", ())
        )
        readout = _from_dict(ReadoutParams, content.get("readout", {}), w_o=_fixed)
        return NetworkParams(str(content.get("name")), layers, readout)


def _fixed(content: Any) -> Any:
    return _from_dict(Fixed, content) if isinstance(content, dict) else content


def _from_dict(
    kind: Any, content: dict[str, Any], default: Callable[[Any], Any] = lambda v: v, **convert: Any
) -> Any:
    expected, found = {f.name for f in fields(kind)}, set(content)
    if expected != found:
        needed, present = (", ".join(sorted(names)) for names in (expected, found))
        raise UserError(f"{kind.__name__} needs exactly {needed}; it has {present}")
    values = {name: convert.get(name, default)(value) for name, value in content.items()}
    types = get_type_hints(kind)
    for name, value in values.items():
        if types[name] in (int, bool, Fixed) and type(value) is not types[name]:
            raise UserError(
                f"{kind.__name__}.{name} is {value!r}: it must be of type {types[name].__name__}"
            )
    return kind(**values)


# Stages of a layer's pipeline: cycles after the group schedule issues a step.
# Before the first, the event was read and its address added to the group's.
READ_STAGE = 2  # weights, coefficients, membranes and slow state are addressed
MULTIPLY_STAGE = 4  # operands are registered
BIAS_STAGE = 4  # biases, held currents and logits are addressed
NEURON_STAGE = 6  # sums are complete (their products were registered before)
WRITE_STAGE = 9  # membranes (or logits) are written, the spike mask goes to the encoder
CLOSE_LATENCY = 5  # from an end marker's arrival to the event list being open to the group schedule
STATE_LATENCY = 4  # from the last step of a block of the state update to its first row's write
MASK_QUEUE_DEPTH = 16  # spike masks between a layer's neuron stage and its encoder
_COMMON_COUNTERS = (
    "timesteps", "busy_cycles", "stall_cycles", "input_stall_cycles", "events", "out_of_range",
    "repeated", "unclosed",
)  # fmt: skip
LAYER_COUNTERS = (
    *_COMMON_COUNTERS, "spikes", "drive_saturations", "state_saturations", "membrane_saturations",
)  # fmt: skip
READOUT_COUNTERS = (*_COMMON_COUNTERS, "sequences", "logit_saturations")
ERROR_COUNTERS = (  # these counters also have a sticky flag
    "out_of_range", "repeated", "unclosed",
    "drive_saturations", "state_saturations", "membrane_saturations", "logit_saturations",
)  # fmt: skip
COUNTER_WIDTH = 32  # counters wrap around
LOAD_WIDTH = 32  # data bits of an item of the load stream


class EventKind(IntEnum):
    """What an item of an event stream is. The end of a timestep is its own item, so that a timestep
    may be empty.
    """

    EVENT = 0
    END_TIMESTEP = 1
    END_SEQUENCE = 2


def load_header(memory: int, address: int = 0) -> int:
    """Return the data of the load stream's item that opens memory number `memory` at a word."""
    return memory << address_width(MAX_DEPTH) | address


@dataclass(frozen=True)
class HardwareParams:
    """What the user turns on the core.

    Parameters
    ----------
    lanes
        Neurons processed together; any number that is at least 1.
    trace
        Carry the trace ports: membranes, slow state, drive and spikes as they are computed.
    """

    lanes: int = 4
    trace: bool = False

    def __post_init__(self) -> None:
        if not 1 <= self.lanes <= 256:
            raise UserError(f"LANES={self.lanes}: use 1 to 256 lanes")


@dataclass(frozen=True)
class LayerHardware:
    """A layer on given lanes: its groups, its multipliers for the state update, its memories.

    Neuron n is dealt to lane n mod L of group n div L.
    """

    params: LayerParams
    hardware: HardwareParams

    @property
    def n_groups(self) -> int:
        return -(-self.params.n_neurons // self.hardware.lanes)

    @property
    def last_group_lanes(self) -> int:
        """Lanes in use in the last group."""
        return self.params.n_neurons - (self.n_groups - 1) * self.hardware.lanes

    @property
    def dilation(self) -> int:
        return self.params.dilation

    def dense_steps(self, refresh: bool) -> int:
        """Steps of the dense state path for one group: the leak, and slow state and drive where it
        is refreshed.
        """
        return self.params.n_state + 2 if refresh and self.params.n_state else 1

    @property
    def max_steps(self) -> int:
        """The most steps a group can take."""
        return max(self.params.n_inputs, self.dense_steps(refresh=True))

    @property
    def drain(self) -> int:
        """Idle cycles at the end of a timestep, so that a membrane is written before the next
        timestep reads it.

        Zero unless the groups of a timestep can pass in less time than the pipeline takes.
        """
        fewest_steps = self.dense_steps(refresh=self.params.dilation == 1)
        return max(0, WRITE_STAGE - READ_STAGE - (self.n_groups - 1) * fewest_steps)

    @cached_property
    def state_lanes(self) -> int:
        """Multipliers of the state update: as few as keep it within a timestep with a refresh, else
        the fastest.

        With a dilation, timesteps between refreshes are shorter and the update can bound them.
        """
        available = self.n_groups * self.dense_steps(refresh=True) + self.drain
        choices = range(1, max(1, self.params.n_state) + 1)
        fitting = [lanes for lanes in choices if self._state_cycles(lanes) <= available]
        return min(fitting) if fitting else min(choices, key=self._state_cycles)

    def _state_cycles(self, lanes: int) -> int:
        if not self.params.n_state:
            return 0
        n_blocks = -(-self.params.n_state // lanes)
        last_block = self.params.n_state - (n_blocks - 1) * lanes
        return n_blocks * (self.params.n_state + 1) + STATE_LATENCY + last_block

    @property
    def state_cycles(self) -> int:
        """Cycles from the start of a timestep to the last row of its slow state being written."""
        return self._state_cycles(self.state_lanes)

    @property
    def multipliers(self) -> int:
        """Multipliers of this layer: a lane's state path and graded events, the state update's, the
        drive's.
        """
        graded = self.params.formats.payload.width > 1
        slow = self.state_lanes + graded if self.params.n_state else 0
        return self.hardware.lanes * (1 + graded) + slow

    @property
    def n_state_blocks(self) -> int:
        return -(-self.params.n_state // self.state_lanes)

    @property
    def memories(self) -> dict[str, MemoryParams]:
        """What is loaded: `scalars` holds leak, threshold and b_x, a word each."""
        p, f, lanes = self.params, self.params.formats, self.hardware.lanes
        d = p.n_state
        widths = (LOAD_WIDTH, f.leak.width + 1, f.threshold.width + 1, f.b_x.width)
        found = [
            MemoryParams("w_f", self.n_groups * p.n_inputs, lanes, f.w_f),
            MemoryParams("c", self.n_groups, lanes, f.c),
            MemoryParams("scalars", 3, 1, Fixed(max(widths))),
        ]
        if d:
            found += [
                MemoryParams("p", self.n_groups * (d + 1), lanes, f.p),
                MemoryParams("w_x", p.n_inputs, 1, f.w_x),
                MemoryParams("ab", self.n_state_blocks * (d + 1), self.state_lanes, f.a),
            ]
        return {memory.name: memory for memory in found}


@dataclass(frozen=True)
class ReadoutHardware:
    """The readout on given lanes: the sparse spike path of a layer with classes for neurons."""

    params: ReadoutParams
    hardware: HardwareParams

    @property
    def n_groups(self) -> int:
        return -(-self.params.n_classes // self.hardware.lanes)

    dilation = 1
    state_cycles = 0

    def dense_steps(self, refresh: bool) -> int:
        """Steps that a group takes at least: its logits are read in one."""
        return 1

    @property
    def max_steps(self) -> int:
        return self.params.n_inputs

    @property
    def drain(self) -> int:
        """Idle cycles at the end of a timestep, so that a logit is written before the next timestep
        reads it.
        """
        return max(0, WRITE_STAGE - BIAS_STAGE - (self.n_groups - 1))

    @property
    def memories(self) -> dict[str, MemoryParams]:
        p, lanes = self.params, self.hardware.lanes
        return {
            "w_o": MemoryParams("w_o", self.n_groups * p.n_inputs, lanes, p.w_o),
            "b_o": MemoryParams("b_o", self.n_groups, lanes, p.b_o),
        }


@dataclass(frozen=True)
class CoreParams:
    """A network on given hardware: all that the generator needs to know but for the weights."""

    network: NetworkParams
    hardware: HardwareParams = field(default_factory=HardwareParams)

    def __post_init__(self) -> None:
        if len(self.memories) > MAX_MEMORIES:
            raise UserError(
                f"{len(self.memories)} memories: at most {MAX_MEMORIES} can be addressed"
            )

    @cached_property
    def layers(self) -> tuple[LayerHardware, ...]:
        return tuple(LayerHardware(layer, self.hardware) for layer in self.network.layers)

    @cached_property
    def readout(self) -> ReadoutHardware:
        return ReadoutHardware(self.network.readout, self.hardware)

    @cached_property
    def memories(self) -> dict[str, MemoryParams]:
        """Every loadable memory by its full name (`layer0.w_f`); its place is its number on the
        load stream.
        """
        parts = {f"layer{i}": layer.memories for i, layer in enumerate(self.layers)}
        parts["readout"] = self.readout.memories
        return {
            f"{part}.{name}": replace(memory, name=f"{part}.{name}")
            for part, found in parts.items()
            for name, memory in found.items()
        }

    @cached_property
    def counters(self) -> list[str]:
        """The names of the core's counters; a name's place is its number on the status port."""
        return [
            "cycles",
            *(f"layer{i}.{name}" for i in range(len(self.layers)) for name in LAYER_COUNTERS),
            *(f"readout.{name}" for name in READOUT_COUNTERS),
        ]

    @property
    def errors(self) -> list[str]:
        """The names of the sticky flags, lowest bit first."""
        return [name for name in self.counters if name.split(".")[-1] in ERROR_COUNTERS]


SCHEMA_VERSION = 1


def read_core(path: Path) -> tuple[CoreParams, dict[str, dict[str, Any]]]:
    """Return a manifest's core and its table of images, or raise `UserError`."""
    if not path.exists():
        raise UserError(f"no manifest {path}: export a network first (make export)")
    try:
        manifest = json.loads(path.read_text())
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise UserError(f"{path} is not a manifest: {error}") from None
    version = manifest.get("schema_version") if isinstance(manifest, dict) else None
    if version != SCHEMA_VERSION:
        raise UserError(
            f"{path} has schema version {version}; this generator reads {SCHEMA_VERSION}: export"
            " again"
        )
    try:
        network = NetworkParams.from_dict(manifest["network"])
        hardware = _from_dict(HardwareParams, manifest["hardware"])
        images = manifest["images"]
        if not isinstance(images, dict) or not all(isinstance(i, dict) for i in images.values()):
            raise UserError(f"{path} has no table of images: export again")
        return CoreParams(network, hardware), images
    except (KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{path} is not a manifest of schema version {version}: {error}") from None


def address_width(depth: int) -> int:
    """Return the bits that address `depth` words (at least 1)."""
    return max(1, math.ceil(math.log2(depth)))
