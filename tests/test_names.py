"""Names in the generated Verilog: what is anonymous to Amaranth is called after what it is."""

from __future__ import annotations

import re

from amaranth.back import rtlil  # pyright: ignore[reportAttributeAccessIssue]
from amaranth.hdl import Cat, Const, Module, Signal
from amaranth.lib import data
from amaranth.lib.wiring import In, Out

from rtl.component import Component
from rtl.verilog.names import make_readable


class Adder(Component):
    """Add two bytes of a word in the next cycle."""

    def __init__(self) -> None:
        pair = data.StructLayout({"low": 8, "high": 8})
        super().__init__({"pair": In(pair), "release": In(1), "total": Out(9)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        nothing = Signal(0)
        with m.If(self.release):
            m.d.sync += self.total.eq(self.pair.low + self.pair.high + nothing)
        return m


class Top(Component):
    """Two adders after one another; a signal and a submodule have the same name."""

    def __init__(self) -> None:
        super().__init__({"first": In(8), "second": In(8), "go": In(1), "total": Out(9)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.adder = left = Adder()
        m.submodules.right = right = Adder()
        m.submodules.fixed = fixed = Adder()
        m.d.comb += fixed.pair.eq(Cat(Const(5, 8), self.first))
        adder = Signal(8, name="adder")
        m.d.sync += adder.eq(self.first)
        m.d.comb += [
            left.pair.eq(Cat(adder, self.second)),
            left.release.eq(self.go),
            right.pair.eq(Cat(left.total[:8], self.second)),
            right.release.eq(self.go),
            fixed.release.eq(right.total[0]),
            self.total.eq(right.total ^ fixed.total),
        ]
        return m


def modules_of(text: str) -> dict[str, str]:
    """Return the body of each module of RTLIL text by its name."""
    return dict(re.findall(r"^module \\(\S+)\n(.*?)^end$", text, re.M | re.S))


def ports_of(module: str) -> list[tuple[int, str]]:
    found = re.findall(r"^  wire width \d+ (?:in|out)put (\d+) (?:signed )?\\(\S+)$", module, re.M)
    return sorted((int(place), name) for place, name in found)


def converted() -> tuple[str, str]:
    text = rtlil.convert(Top(), name="top", emit_src=False)
    return text, make_readable(text)


def test_names_need_no_escape_and_are_told_apart() -> None:
    before, after = converted()
    assert re.search(r"\$\d+", before) and "top.adder" in before
    modules = modules_of(after)
    assert set(modules) == {"top", "top__adder", "top__right", "top__fixed"}
    for body in modules.values():
        declared = re.findall(r"^  (?:wire .*|cell \S+) \\(\S+)$", body, re.M)
        assert len(declared) == len(set(declared))
        assert all(re.fullmatch(r"[A-Za-z_]\w*", name) for name in declared), declared
    # A reserved word, and a name for two things: the submodule keeps it.
    assert "release_" in [name for _, name in ports_of(modules["top__adder"])]
    assert r"cell \top__adder \adder" in modules["top"] and r"\adder_2" in modules["top"]


def test_ports_are_in_order_and_named_after_what_is_in_them() -> None:
    modules = modules_of(converted()[1])
    assert [name for _, name in ports_of(modules["top"])] == [
        "clk", "rst", "first", "go", "second", "total"
    ]  # fmt: skip
    assert [place for place, _ in ports_of(modules["top"])] == list(range(1, 7))
    ports = [name for _, name in ports_of(modules["top__right"])]
    assert ports[:2] == ["clk", "rst"] and not any("port" in name for name in ports)
    # What Amaranth made two ports of is called after the field's word and its place in it.
    assert set(ports) == {"clk", "rst", "pair_0", "pair_8", "release_", "total"}
    assert "pair_8" in [name for _, name in ports_of(modules["top__fixed"])]
    connected = re.search(r"cell \\top__right \\right\n(.*?)  end", modules["top"], re.S)
    assert connected and r"connect \release_ \go" in connected[1]
    assert r"\adder__total" in modules["top"]


def test_wires_without_bits_are_gone() -> None:
    before, after = converted()
    assert "wire width 0" in before and "wire width 0" not in after
    assert "nothing" not in after
