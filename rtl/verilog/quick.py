"""Amaranth's netlists in less time, with the same text: for wide cores that is half of all time."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

from amaranth.back import rtlil  # pyright: ignore[reportAttributeAccessIssue]
from amaranth.hdl import _nir  # pyright: ignore[reportAttributeAccessIssue]

from golden.errors import UserError

CELL_BITS = 1 << 16  # of a register, or of a component's inputs together, to Amaranth

ALLOCATIONS = 1_000_000  # between two looks for garbage: some hundred megabytes


@contextmanager
def quick_amaranth() -> Iterator[None]:
    """Let Amaranth do less for every bit while it converts (see each function), and Python look for
    garbage seldom: it goes through all nets each time.
    """
    before = gc.get_threshold()
    gc.set_threshold(ALLOCATIONS, *before[1:])
    try:
        with (
            patch.object(_nir.Value, "__new__", _value),
            patch.object(_nir.Net, "from_cell", classmethod(_net_of_cell)),
            patch.object(_nir.Netlist, "resolve_value", _resolve_value),
            patch.object(_nir.Netlist, "add_value_cell", _add_value_cell),
            patch.object(rtlil.ModuleEmitter, "emit_memory", _emit_memory),
        ):
            yield
    finally:
        gc.set_threshold(*before)


def _value(cls: Any, nets: Any = ()) -> Any:
    """Return a value of nets, without a look at the type of each."""
    return tuple.__new__(cls, (nets,) if isinstance(nets, _nir.Net) else nets)


def _net_of_cell(cls: Any, cell: int, bit: int) -> Any:
    """Return the net of a bit of a cell."""
    if bit >= CELL_BITS:
        raise _too_wide("inputs", bit + 1)
    return cls(cell << 16 | bit)


def _too_wide(what: str, width: int) -> UserError:
    return UserError(
        f"a component of the core has {what} of {width} bits, and at most {CELL_BITS} can be"
        " generated: use fewer lanes, or fewer timesteps or products at once"
    )


def _resolve_value(netlist: Any, value: Any) -> Any:
    """Return a value in which each net is what drives it."""
    if all(net >= 0 for net in value):
        return value
    connections, nets = netlist.connections, []
    for net in value:
        while net < 0:
            net = connections[net]
        nets.append(net)
    return _nir.Value(nets)


def _add_value_cell(netlist: Any, width: int, cell: Any) -> Any:
    """Add a cell whose output is one value; raise `UserError` where it is too wide."""
    if width > CELL_BITS:
        raise _too_wide("a register", width)
    base = netlist.add_cell(cell) << 16
    return _nir.Value(map(_nir.Net, range(base, base + width)))


_amaranths_memory = rtlil.ModuleEmitter.emit_memory


def _emit_memory(emitter: Any, index: int, cell: Any) -> None:
    """Write the zeros that a memory starts with at once, and not bit by bit."""
    if any(cell.init):
        _amaranths_memory(emitter, index, cell)
        return
    width, bits = cell.width, cell.width * cell.depth
    ports = {
        "ADDR": emitter.sigspec(), "DATA": f"{bits}'{'0' * bits}", "EN": f"{width}'{'1' * width}"
    }  # fmt: skip
    parameters = {
        "MEMID": emitter.memories[index].memid, "ABITS": 0, "WIDTH": width, "WORDS": cell.depth,
        "PRIORITY": 0,
    }  # fmt: skip
    emitter.builder.cell("$meminit_v2", ports=ports, parameters=parameters, src_loc=cell.src_loc)
