"""Drawn cores: a network, hardware, the Verilog and its model, and other weights of its shape."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from export.core import write_core
from export.images import Images, pack, unpack
from export.items import load_items
from golden.cost.cycles import watchdog_cycles
from golden.hardware.core import CoreParams
from golden.integer import LayerIntegers, NetworkIntegers, without_readout
from golden.interface import Interface, read_interface, read_verilog, without_head
from rtl.verilog.generate import generate
from soak.traces import watch_text
from tb.compiled import CompiledCore, shim_of
from tb.verilator import build_library
from tb.wrapper import SHELL, write_shell
from tests.network_kinds import DRAWS
from tests.networks import Drawn
from tests.wide_inputs import draw_wide_input

DRAWN: dict[str, Callable[[int], Drawn]] = {
    **{kind: draw for kind, draw in DRAWS.items() if not kind.startswith(("large", "tiny"))},
    "wide input": draw_wide_input,
}


@dataclass(frozen=True)
class Core:
    """A core of a drawn network with trace ports: of a kind of `DRAWN`, from a seed.

    Every fifth seed that has no reports sends spikes in place of results; every other one counts
    accesses. With `change`, a text of its Verilog is replaced by another one: a bug.
    """

    kind: str
    seed: int
    change: tuple[str, str] | None = None

    @cached_property
    def drawn(self) -> Drawn:
        drawn = DRAWN[self.kind](self.seed)
        network, hardware = drawn.network, replace(drawn.hardware, trace=True)
        if self.seed % 5 == 4 and not hardware.reports and isinstance(hardware.lanes, int):
            network = without_readout(network.params, network.layers)
        hardware = replace(hardware, access_counters=self.seed % 2 == 0)
        return replace(drawn, network=network, hardware=hardware)

    @cached_property
    def params(self) -> CoreParams:
        return CoreParams(self.drawn.network.params, self.drawn.hardware)

    def build(self, folder: Path, optimize: str = "-O3") -> Built:
        """Write the core into a folder, and build its model with this option of the compiler."""
        manifest = write_core(self.drawn.network, self.params, folder)
        generate(manifest)
        interface = read_interface(manifest)
        text = without_power_up(read_verilog(folder / f"{self.params.network.name}.v"))
        if self.change is not None:
            assert text.count(self.change[0]), f"no {self.change[0]!r} in the Verilog"
            text = text.replace(*self.change)
        sources = {
            "core.v": without_head(text),
            f"{SHELL}.sv": write_shell(interface, traces=True),
            "soak.cpp": watch_text(self.params, interface) + shim_of(interface),
        }
        beside = folder / "verilator"
        return Built(self, interface, build_library(sources, SHELL, beside, optimize, random=True))


@dataclass(frozen=True, eq=False)
class Built:
    """A core with its model, the library that C++ drives."""

    core: Core
    interface: Interface
    shared_object: Path

    @lru_cache(8)  # noqa: B019  of the few cores of a process
    def network(self, variant: int) -> NetworkIntegers:
        """Return the network as the core holds it: the drawn one, or with a `variant` other weights
        of the same formats.
        """
        # As it is in the memories: that they are packed right is seen, too.
        return unpack(self._images(variant), self.core.params)

    @lru_cache(8)  # noqa: B019
    def load(self, variant: int) -> np.ndarray:
        """Return the load stream (n,) uint64 of a variant."""
        return load_items(self.interface, self.core.params, self._images(variant))

    def _images(self, variant: int) -> Images:
        network = self.core.drawn.network
        if variant:
            network = _other_weights(np.random.default_rng([self.core.seed, variant]), network)
        return pack(network, self.core.params)

    @contextmanager
    def powered(self, power_up: int, variant: int) -> Iterator[CompiledCore]:
        """A model whose power-up contents are drawn from a seed, with a variant loaded."""
        patience = watchdog_cycles(self.core.params)
        compiled = CompiledCore(
            self.shared_object, patience, self.interface, self.load(variant), power_up=power_up
        )
        try:
            yield compiled
        finally:
            compiled.close()


def _other_weights(rng: np.random.Generator, network: NetworkIntegers) -> NetworkIntegers:
    """Return a network whose arrays have the same values in another order, and whose scalars are
    smaller ones.
    """

    def other(value: Any) -> Any:
        if np.ndim(value):
            return rng.permuted(value.ravel()).reshape(value.shape)
        return int(value * rng.uniform(0, 1))

    layers = [
        LayerIntegers(**{f.name: other(getattr(layer, f.name)) for f in fields(layer)})
        for layer in network.layers
    ]
    w_o, b_o, leak = other(network.w_o), other(network.b_o), other(network.leak_o)
    return replace(network, layers=tuple(layers), w_o=w_o, b_o=b_o, leak_o=leak)


def without_power_up(verilog: str) -> str:
    """Return Verilog in which no register and no memory has a value at power-up."""
    lines, inside = [], False
    for line in verilog.split("\n"):
        if line.startswith("`ifndef SYNTHESIS"):
            inside = True
        if not inside:
            before, equals, _ = line.partition(" = ")
            register = line.startswith("  reg ") and equals
            lines.append(f"{before};" if register else line)
        if line.startswith("`endif"):
            inside = False
    return "\n".join(lines)
