"""What the testbench writes down while it simulates, and how it is read back.

Reading trace ports from Python in every cycle would cost far more time than the simulation itself.
So the testbench's Verilog writes every traced value into a file, one line of fixed width an item,
and numpy decodes whole files at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from golden.errors import UserError
from golden.formats import Fixed
from golden.hardware.core import CoreParams
from golden.interface import Interface

CYCLE = Fixed(48, signed=False)
SENT, ENDS = "sent", "ends"
_NIBBLES = np.full(256, 255, np.uint8)
_NIBBLES[np.frombuffer(b"0123456789abcdef", np.uint8)] = np.arange(16)


@dataclass(frozen=True)
class Column:
    """`count` numbers of one format, the first in the lowest bits of the Verilog signal `source`
    from bit `offset`.
    """

    name: str
    source: str
    element: Fixed
    count: int = 1
    offset: int = 0

    @property
    def digits(self) -> int:
        """Hexadecimal digits of one number."""
        return -(-self.element.width // 4)

    @property
    def expression(self) -> str:
        """The Verilog expression whose `%h` is the numbers in order, each in its whole digits."""
        width, padding = self.element.width, 4 * self.digits - self.element.width
        parts = []
        for index in range(self.count):
            low = self.offset + index * width
            parts += ([f"{padding}'d0"] if padding else []) + [
                f"{self.source}[{low + width - 1}:{low}]"
            ]
        return f"{{{', '.join(parts)}}}"


@dataclass(frozen=True)
class Log:
    """A file that gets a line of `columns` in every cycle in which the Verilog signal `valid` is
    high.
    """

    name: str
    valid: str
    columns: tuple[Column, ...]

    @property
    def file(self) -> str:
        return f"{self.name}.log"

    @cached_property
    def line_length(self) -> int:
        return sum(column.count * column.digits for column in self.columns) + 1

    def n_lines(self, folder: Path) -> int:
        """Return how many whole lines the file has so far."""
        path = folder / self.file
        return path.stat().st_size // self.line_length if path.exists() else 0

    def read(self, folder: Path, first: int = 0, count: int | None = None) -> dict[str, np.ndarray]:
        """Return the values (lines, count) int64 of every column, for `count` lines from line
        `first`.

        Fewer lines come back where the file has fewer.
        """
        available = max(0, self.n_lines(folder) - first)
        count = available if count is None else min(count, available)
        if not count:
            return self.decode(np.zeros(0, np.uint8))
        offset = first * self.line_length
        return self.decode(
            np.fromfile(folder / self.file, np.uint8, count * self.line_length, offset=offset)
        )

    def decode(self, characters: np.ndarray) -> dict[str, np.ndarray]:
        """Return the values (lines, count) int64 of every column from the characters (uint8) of
        whole lines.
        """
        nibbles = _NIBBLES[characters.reshape(-1, self.line_length)[:, :-1]]
        if (nibbles > 15).any():
            raise UserError(f"{self.file} is damaged: simulate again")
        values, start = {}, 0
        for column in self.columns:
            stop = start + column.count * column.digits
            values[column.name] = _numbers(
                nibbles[:, start:stop].reshape(-1, column.count, column.digits), column.element
            )
            start = stop
        return values


def _numbers(nibbles: np.ndarray, element: Fixed) -> np.ndarray:
    """Return the numbers (…) int64 of their nibbles (…, digits), the highest first."""
    numbers = np.zeros(nibbles.shape[:-1], np.uint64)
    for index in range(nibbles.shape[-1]):
        numbers = numbers << np.uint64(4) | nibbles[..., index]
    signed = numbers.astype(np.int64)
    if element.signed and element.width < 64:
        signed -= (signed >> (element.width - 1)) << element.width
    return signed


def end_mask(interface: Interface) -> int:
    """Return the bits of the output's payload that are not all 0 in an end."""
    fields = interface.fields[interface.output]
    end = fields["last" if "last" in fields else "kind"]
    return (1 << end.width) - 1 << end.offset


def core_logs(core: CoreParams, interface: Interface) -> dict[str, Log]:
    """Return every log of a core by name: input `items`; what leaves it, `sent`; the `ends` among
    these transfers, of results (the last one of a report or a sequence) or of spikes (of a timestep
    or a sequence); and with trace ports those of each layer.

    The last are `layer0.start`, `layer0.neurons`, `layer0.synapse`, `layer0.state`, `layer0.drive`,
    ..., and of a readout `readout.start`. A log's `cycle` counts rising clock edges since the start
    of the simulation; a line of neurons or of synaptic currents is a word of the neuron stage,
    `neuron_fold.units` wide (see `tb.simulate.by_timestep`).
    """
    cycle = Column("cycle", "cycle", CYCLE)
    stream = interface.output
    payload, transfer = f"{stream}__payload", f"{stream}__valid && {stream}__ready"
    fields = interface.fields[stream]
    sent = tuple(
        Column(field.name, payload, Fixed(field.width, signed=field.signed), offset=field.offset)
        for field in fields.values()
    )
    width = interface.ports[payload].width
    ends = f"{transfer} && ({payload} & {width}'d{end_mask(interface)}) != 0"
    logs = [
        Log("items", "i_events__valid && i_events__ready", (cycle,)),
        Log(SENT, transfer, sent),
        Log(ENDS, ends, (cycle,)),
    ]
    if core.hardware.trace:
        for index, layer in enumerate(core.layers):
            port, formats, units = f"trace{index}", layer.params.formats, layer.neuron_fold.units
            logs.append(Log(f"layer{index}.start", f"{port}_start", (cycle,)))
            membrane = Column("membrane", f"{port}_neuron_membrane", formats.u, units)
            spikes = Column("spikes", f"{port}_neuron_spikes", Fixed(1, signed=False), units)
            logs.append(Log(f"layer{index}.neurons", f"{port}_neuron_valid", (membrane, spikes)))
            if layer.params.synapse:
                current = Column("synapse", f"{port}_synapse_value", formats.y, units)
                logs.append(Log(f"layer{index}.synapse", f"{port}_synapse_valid", (current,)))
            if layer.params.n_state:
                rows = layer.state_update.columns
                for name, element, of in (("state", formats.m, rows), ("drive", formats.x, 1)):
                    column = Column(name, f"{port}_{name}_value", element, of)
                    logs.append(Log(f"layer{index}.{name}", f"{port}_{name}_valid", (column,)))
        if core.network.output is not None:
            logs.append(Log("readout.start", "trace_readout_start", (cycle,)))
    return {log.name: log for log in logs}
