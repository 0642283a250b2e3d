"""The modules of the generated Verilog: each component is one, whose ports are its signature, with
names that need no escape, under a comment that says what it is.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from amaranth.back import rtlil  # pyright: ignore[reportAttributeAccessIssue]
from amaranth.hdl import (
    Cat,
    ClockDomain,
    ClockSignal,
    Const,
    DomainRenamer,
    Fragment,
    Module,
    ResetSignal,
    Signal,
    Value,
)
from amaranth.lib import data, wiring
from amaranth.lib.fifo import SyncFIFO
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from export.core import write_core
from export.store import load_network
from golden.hardware.core import CoreParams
from golden.hardware.params import HardwareParams
from rtl.component import Component
from rtl.core import Core
from rtl.verilog.generate import TOP, generate
from rtl.verilog.hierarchy import ROOT, Hierarchy
from rtl.verilog.yosys import run_yosys
from tests.conftest import Shared
from tests.network_kinds import draw_whole
from tests.networks import draw_recurrent, with_delays

WHOLE = 6652  # the draw of a network of every option
PAIR = data.StructLayout({"low": 8, "high": 8})


class Adder(Component):
    """Add two bytes of a word in the next cycle.

    More of it.
    """

    pair: data.View[data.StructLayout]
    enable: Signal
    unused: Signal
    total: Signal
    carry: Signal

    def __init__(self) -> None:
        super().__init__(
            {"pair": In(PAIR), "enable": In(1), "unused": In(3), "total": Out(8), "carry": Out(1)}
        )

    @property
    def latency(self) -> int:
        return 1

    def elaborate(self, platform: object) -> Module:
        m = Module()
        nothing = Signal(0)
        total = Signal(8)  # of the same name as a port
        m.d.comb += self.total.eq(total)
        with m.If(self.enable):
            m.d.sync += Cat(total, self.carry).eq(self.pair.low + self.pair.high + nothing)
        return m


class Inverter(Component):
    """Invert a bit, without a clock."""

    i: Signal
    o: Signal

    def __init__(self) -> None:
        super().__init__({"i": In(1), "o": Out(1)})

    @property
    def latency(self) -> int:
        return 0

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.d.comb += self.o.eq(~self.i)
        return m


class Top(Component):
    """Two adders, one in a domain of its own; an inverter; a queue that is no component."""

    first: Signal
    go: Signal
    grid: data.View[data.ArrayLayout]
    total: Signal
    waiting: Signal

    def __init__(self) -> None:
        grid = data.ArrayLayout(data.ArrayLayout(2, 2), 2)
        super().__init__(
            {"first": In(8), "go": In(1), "grid": Out(grid), "total": Out(8), "waiting": Out(8)}
        )

    @property
    def latency(self) -> int:
        return 2

    def elaborate(self, platform: object) -> Module:
        m = Module()
        held: Any = ClockDomain("held", local=True)
        m.domains.held = held
        m.submodules.left = left = Adder()
        right = Adder()
        m.submodules.right = DomainRenamer("held")(right)
        m.submodules.inverter = inverter = Inverter()
        m.submodules.queue = queue = SyncFIFO(width=8, depth=4)
        adder = Signal(8, name="left")  # as a submodule is called
        m.d.sync += adder.eq(self.first)
        m.d.comb += [
            held.clk.eq(ClockSignal()),
            held.rst.eq(ResetSignal() | self.go),
            left.pair.eq(Cat(adder, self.first)),
            left.enable.eq(inverter.o),
            inverter.i.eq(self.go),
            right.pair.eq(Cat(left.total, Const(5, 8))),
            right.enable.eq(left.carry),
            self.total.eq(right.total),
            self.grid[1][0].eq(left.total),
            queue.w_data.eq(left.total),
            queue.w_en.eq(self.go),
            queue.r_en.eq(1),
            self.waiting.eq(queue.r_data),
        ]
        return m


def modules_of(text: str) -> dict[str, str]:
    """Return the body of each module of RTLIL text by its name."""
    return dict(re.findall(r"^module \\(\S+)\n(.*?)^end$", text, re.M | re.S))


def rtlil_ports(module: str) -> list[str]:
    found = re.findall(r"^  wire width \d+ (?:in|out)put (\d+)(?: signed)? +\\(\S+)$", module, re.M)
    return [name for _, name in sorted((int(place), name) for place, name in found)]


def test_a_module_has_the_ports_of_its_signature_in_its_order() -> None:
    modules = modules_of(Hierarchy(Top(), "top").text())
    assert set(modules) == {"top", "top__adder", "top__inverter"}
    assert rtlil_ports(modules["top__adder"]) == [
        "clk", "rst", "pair", "enable", "unused", "total", "carry"
    ]  # fmt: skip
    assert rtlil_ports(modules["top__inverter"]) == ["i", "o"]
    assert rtlil_ports(modules["top"]) == [
        "clk", "rst", "first", "go", "grid", "total", "waiting"
    ]  # fmt: skip


def test_names_need_no_escape_and_are_told_apart() -> None:
    modules = modules_of(Hierarchy(Top(), "top").text())
    for body in modules.values():
        declared = re.findall(r"^  (?:wire|cell|memory) (?:.* )?\\(\S+)$", body, re.M)
        assert len(declared) == len(set(declared))
        assert all(re.fullmatch(r"[A-Za-z_]\w*", name) for name in declared), declared
        assert "wire width 0" not in body
    assert r"\total_2" in modules["top__adder"] and r"\left_2" in modules["top"]
    assert r"\grid_1_0" in modules["top"]


def test_a_net_between_instances_is_called_after_the_output_that_drives_it() -> None:
    top = modules_of(Hierarchy(Top(), "top").text())["top"]
    cells = dict(re.findall(r"^  cell \\top__\w+ \\(\w+)\n(.*?)^  end", top, re.M | re.S))
    assert r"connect \enable \inverter__o" in cells["left"]
    assert r"connect \enable \left__carry" in cells["right"]
    assert r"connect \total \right__total" in cells["right"]
    assert r"connect \carry \right__carry" in cells["right"]  # nobody reads it
    assert "inverter__i" not in top and "left__enable" not in top


def test_the_memory_of_a_queue_is_in_the_module_that_has_it() -> None:
    """What is no component becomes a part of its parent."""
    assert modules_of(Hierarchy(Top(), "top").text())["top"].count("cell $memwr_v2") == 1


def test_a_memory_starts_as_amaranth_writes_it() -> None:
    """Its zeros are written at once, not bit by bit: the same text."""

    class Top(Component):
        i: Signal
        o: Signal

        def __init__(self) -> None:
            super().__init__({"i": In(5), "o": Out(3)})

        @property
        def latency(self) -> int:
            return 1

        def elaborate(self, platform: object) -> Module:
            m = Module()
            m.submodules.words = words = Memory(shape=3, depth=20, init=[])
            write, read = words.write_port(), words.read_port()
            m.d.comb += [write.en.eq(1), write.addr.eq(self.i), write.data.eq(self.i)]
            m.d.comb += [read.addr.eq(self.i), self.o.eq(read.data)]
            return m

    def written(text: str) -> str:
        return re.search(r"cell \$meminit_v2.*?\n  end", text, re.S)[0]  # pyright: ignore

    plain, _ = rtlil.convert_fragment(Fragment.get(Top(), None), {}, "top", emit_src=False)
    assert (
        written(Hierarchy(Top(), "top").text()).split("\n")[1:] == (written(plain).split("\n")[1:])
    )


def test_the_modules_do_what_the_components_do(tmp_path: Path) -> None:
    """Proven by SAT for 8 cycles from the start: against Amaranth's own modules."""
    (tmp_path / "gold.il").write_text(rtlil.convert(Top(), name="gold", emit_src=False))
    (tmp_path / "gate.il").write_text(Hierarchy(Top(), "gate").text())
    flatten = ("proc", "flatten", "memory", "opt_clean")
    commands: list[str] = []
    for name in ("gold", "gate"):
        commands += [f"read_rtlil {name}.il", f"hierarchy -top {name}", *flatten]
        commands.append(f"design -stash {name}")
    commands += [f"design -copy-from {name} -as {name} {name}" for name in ("gold", "gate")]
    commands += [
        "miter -equiv -make_assert -flatten gold gate miter",
        "sat -verify -prove-asserts -set-init-zero -seq 8 miter",
    ]
    run_yosys(tmp_path, *commands)


def components_of(component: wiring.Component) -> dict[str, wiring.Component]:
    """Return the components in a component by their place in it."""

    def inner(fragment: Any, path: str) -> dict[str, wiring.Component]:
        found: dict[str, wiring.Component] = {}
        for part, name, _ in fragment.subfragments:
            place = f"{path}.{name}" if path else str(name)
            for origin in getattr(part, "origins", None) or ():
                if isinstance(origin, wiring.Component) and not isinstance(origin, Memory):
                    found[place] = origin
            found |= inner(part, place)
        return found

    return {"": component, **inner(Fragment.get(component, None), "")}


def verilog_modules(text: str) -> dict[str, tuple[dict[str, tuple[str, int]], dict[str, str]]]:
    """Return the ports (direction and width), and the instances, of each module of Verilog."""
    found = {}
    for name, body in re.findall(r"^module (\w+)\(.*?\);\n(.*?)^endmodule", text, re.M | re.S):
        ports = {
            port: (direction, int(high or 0) + 1)
            for direction, high, port in re.findall(
                r"^  (input|output) (?:signed )?(?:\[(\d+):0\] )?(\w+);", body, re.M
            )
        }
        instances = {inner: kind for kind, inner in re.findall(r"^  (\w+) (\w+) \(\n", body, re.M)}
        found[name] = ports, instances
    return found


def signature_ports(component: wiring.Component) -> dict[str, tuple[str, int]]:
    """Return the ports that a component's signature asks for; Verilog has none of no bits."""
    return {
        "__".join(map(str, path)): (
            "input" if member.flow == wiring.In else "output",
            len(Value.cast(value)),
        )
        for path, member, value in component.signature.flatten(component)
        if not isinstance(value, Const) and len(Value.cast(value))
    }


def build(name: str, shared: Shared) -> tuple[CoreParams, Path]:
    """Return a core and its Verilog, which lies beside its manifest."""
    whole = name == "whole"
    hardware = HardwareParams(
        3,
        block=2 if whole else 1,
        trace=whole or name == "rows",
        access_counters=name in ("recurrent", "whole"),
        reports=whole,
    )
    if name == "recurrent":
        network = with_delays(draw_recurrent(3)).network
    elif whole:
        network = draw_whole(WHOLE, max_neurons=12, max_inputs=12).network
    else:
        network = load_network(name)
    core = CoreParams(network.params, hardware)
    folder = shared.folder(name, lambda made: generate(write_core(network, core, made)))
    return core, folder / f"{network.params.name}.v"


@pytest.mark.parametrize("name", ["smnist", "rows", "recurrent", "whole"])
def test_every_port_of_every_inner_module_is_of_its_components_signature(
    name: str, shared: Shared
) -> None:
    core, verilog = build(name, shared)
    modules = verilog_modules(verilog.read_text())
    components = components_of(Core(core))
    reached: set[str] = set()

    def check(module: str, place: str) -> None:
        ports, instances = modules[module]
        reached.add(module)
        clocked = {"clk": ("input", 1), "rst": ("input", 1)}
        expected = signature_ports(components.pop(place))
        assert ports == expected or ports == expected | clocked, place or "the core"
        for inner, kind in instances.items():
            check(kind, f"{place}.{inner}" if place else inner)

    check(TOP, "")
    assert not components and reached == set(modules)
    if name == "whole":
        p, readout = core.network.layers[0], core.network.readout
        assert p.synapse and p.own_reset and len(p.per_neuron) == 4
        assert readout.leaky and readout.report == "max"
        assert {"layer0.neurons.synapse", "readout.snapshots"} <= set(components_of(Core(core)))
    if name == "recurrent":
        assert {"layer0", "layer0.recurrence", "layer0.line"} <= set(components_of(Core(core)))


def test_a_comment_above_each_module_says_what_it_is(shared: Shared) -> None:
    core, verilog = build("rows", shared)
    text = verilog.read_text()
    places = components_of(Core(core))
    commented = re.findall(r"((?:^// .*\n)+)module (\w+)\(", text, re.M)
    assert {module for _, module in commented} == set(verilog_modules(text))
    told: set[str] = set()
    for comment, module in commented:
        lines = [line.removeprefix("// ") for line in comment.splitlines()]
        kind, file = re.fullmatch(r"(\w+), (rtl/\w+\.py)", lines[0]).groups()  # pyright: ignore
        assert f"class {kind}(Component):" in (ROOT / file).read_text()
        several = next((line for line in lines if line.startswith("Instances: ")), None)
        if several:
            instances = several.removeprefix("Instances: ").rstrip(".").split(", ")
        else:
            instances = [module.removeprefix(TOP).removeprefix("__").replace("__", ".")]
        for place in instances:
            component = places[place]
            assert type(component).__name__ == kind and isinstance(component, Component)
            latency = component.latency
            assert f"Latency: {latency} cycle{'s' * (latency != 1)}." in lines
            first = (type(component).__doc__ or "").split("\n")[0]
            assert first in " ".join(lines)
        told |= set(instances)
    assert told == set(places)


def test_equal_components_share_a_module(shared: Shared) -> None:
    _, verilog = build("rows", shared)
    shown = r"// Instances: layer0.encoder, layer1.encoder.\nmodule dmp_core__encoder"
    assert re.search(shown, verilog.read_text())


def test_no_attribute_stands_in_an_expression(shared: Shared) -> None:
    _, verilog = build("recurrent", shared)
    text = verilog.read_text()
    assert "full_case" not in text and "parallel_case" not in text
    assert not re.search(r"[=?:&|(] *\(\*", text)


def test_sources_are_kept_on_demand(shared: Shared, tmp_path: Path) -> None:
    _, verilog = build("recurrent", shared)
    plain = verilog.read_text()
    assert "src =" not in plain
    text = generate(verilog.with_name("manifest.json"), tmp_path, sources=True).read_text()
    lines = re.findall(r'src = "(rtl/\w+\.py):(\d+)"', text)
    assert len(lines) > 100 and str(ROOT) not in text
    for file, line in lines[:20]:
        assert int(line) <= len((ROOT / file).read_text().splitlines())
    # Nothing else differs.
    assert re.sub(r"\(\* .*?src = .*?\*\)\s*", "", text).count("always") == plain.count("always")
