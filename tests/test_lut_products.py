"""Products in LUTs: what they compute, and which products of a core they are."""

from __future__ import annotations

import random
import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from export.core import write_core
from golden.data.synthetic import draw_layers
from golden.errors import UserError
from golden.hardware.core import CoreParams
from golden.hardware.params import HardwareParams
from rtl.synth.devices import DEVICES
from rtl.synth.lut_products import build_in_luts
from rtl.synth.report import main, synthesize
from rtl.verilog.generate import generate
from rtl.verilog.yosys import run_yosys

# A product in Verilog, beside Yosys' model of an ECP5's cells: A, B and result, in bits.
CELLS = "read_verilog -lib -specify +/ecp5/cells_sim.v"


def write_product(folder: Path, a: int, b: int, y: int, *, signed: bool = True) -> None:
    kind = "signed" if signed else ""
    (folder / "product.v").write_text(
        f"module product(input {kind} [{a - 1}:0] a, input {kind} [{b - 1}:0] b,"
        f" output {kind} [{y - 1}:0] y); assign y = a * b; endmodule"
    )


@pytest.mark.parametrize(
    ("a", "b", "y", "signed"),
    [
        (2, 2, 4, True), (3, 4, 7, True), (4, 3, 7, True), (5, 5, 10, True), (1, 5, 6, True),
        (5, 4, 12, True), (4, 6, 7, True), (3, 3, 6, False), (1, 3, 4, False), (4, 4, 8, False),
    ],
)  # fmt: skip
def test_a_product_in_luts_is_the_product(
    a: int, b: int, y: int, signed: bool, tmp_path: Path
) -> None:
    """Proved by SAT for all factors, against Yosys' own multiplication."""
    write_product(tmp_path, a, b, y, signed=signed)
    mapped = build_in_luts(tmp_path, "product.v", "product", 1)
    run_yosys(
        tmp_path, f"read_rtlil {mapped}", "select -assert-none t:$mul", CELLS,
        "select -assert-min 1 t:CCU2C", "techmap -map +/ecp5/cells_sim.v t:CCU2C",
        "rename product luts", "read_verilog product.v", "proc",
        "miter -equiv -flatten -make_assert product luts both", "hierarchy -top both", "flatten",
        "opt", "sat -verify -prove-asserts both",
    )  # fmt: skip


@pytest.mark.parametrize(("a", "b"), [(8, 12), (9, 9), (12, 12), (18, 10), (18, 18)])
def test_wide_products_in_luts(a: int, b: int, tmp_path: Path) -> None:
    """Extreme and drawn factors, evaluated by Yosys; expected values are Python's."""
    write_product(tmp_path, a, b, a + b)
    mapped = build_in_luts(tmp_path, "product.v", "product", 1)
    rng = random.Random(a * b)
    edges = [[0, 1, -1, -(1 << (bits - 1)), (1 << (bits - 1)) - 1] for bits in (a, b)]
    pairs = [(x, y) for x in edges[0] for y in edges[1]]
    for _ in range(60):
        pairs.append(tuple(rng.randrange(-(1 << (n - 1)), 1 << (n - 1)) for n in (a, b)))  # pyright: ignore
    evaluated = [
        f"tee -a found.txt eval -set a {x % (1 << a)} -set b {y % (1 << b)} -show y"
        for x, y in pairs
    ]
    run_yosys(
        tmp_path, f"read_rtlil {mapped}", CELLS, "techmap -map +/ecp5/cells_sim.v t:CCU2C",
        "flatten", "opt", "cd product", *evaluated,
    )  # fmt: skip
    found = re.findall(r"y = \d+'([01]+)", (tmp_path / "found.txt").read_text())
    assert found == [format(x * y % (1 << (a + b)), f"0{a + b}b") for x, y in pairs]


def test_signs_that_are_extended_are_no_rows(tmp_path: Path) -> None:
    """Verilog extends both factors to the width of the result: of 4 by 4 bits, that is two carry
    chains of 6 bits, and one that adds them above the lowest two.
    """
    write_product(tmp_path, 4, 4, 8)
    text = (tmp_path / build_in_luts(tmp_path, "product.v", "product", 1)).read_text()
    assert text.count("cell \\CCU2C") == 6 and text.count("cell $add") == 1
    write_product(tmp_path, 4, 4, 20)
    text = (tmp_path / build_in_luts(tmp_path, "product.v", "product", 1)).read_text()
    assert text.count("cell \\CCU2C") == 6 and text.count("cell $add") == 1


def test_the_smallest_products_become_luts(tmp_path: Path) -> None:
    (tmp_path / "product.v").write_text(
        "module product(input signed [8:0] a, input signed [3:0] b, output signed [17:0] o,"
        " output signed [12:0] p, output signed [7:0] q, output signed [6:0] r);"
        " assign o = a * a, p = a * b, q = b * b, r = b * $signed(a[2:0]); endmodule"
    )
    for count, left in ((1, "opq"), (2, "op"), (3, "o"), (4, "")):
        mapped = build_in_luts(tmp_path, "product.v", "product", count)
        text = (tmp_path / mapped).read_text()
        assert "CCU2C" in text
        cells = re.findall(r"cell \$mul .*?\n  end", text, re.S)
        named = [re.findall(r"connect \\Y \\(\w)", cell) for cell in cells]
        assert sorted(named) == [[name] for name in left]
    with pytest.raises(UserError, match="5 products in LUTs: the core has 4"):
        build_in_luts(tmp_path, "product.v", "product", 5)


@pytest.fixture(scope="module")
def verilog(tmp_path_factory: pytest.TempPathFactory) -> Path:
    network = draw_layers("tiny", (28, 32), 8, 10, seed=0)
    core = CoreParams(network.params, HardwareParams(lanes=2))
    assert core.multipliers == 4
    return generate(write_core(network, core, tmp_path_factory.mktemp("tiny")))


@pytest.mark.long
def test_the_smallest_products_are_luts(verilog: Path, tmp_path: Path) -> None:
    device = DEVICES["ecp5-25k"]
    whole = synthesize(verilog, device, tmp_path / "whole")
    some = synthesize(verilog, device, tmp_path / "some", in_luts=2)
    none = synthesize(verilog, device, tmp_path / "none", in_luts=4)
    found = [of.total["multipliers"] for of in (whole, some, none)]
    assert found == [4, 2, 0]
    assert [of.in_luts for of in (whole, some, none)] == [0, 2, 4]
    text = (tmp_path / "some" / "flat.il").read_text()
    assert text.count("cell $__lut_mul ") == 2 and text.count("cell $mul ") == 2


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("--device ecp5-25k --multipliers 29", "--multipliers 29: ecp5-25k has 28, use 0 to 28"),
        ("--device ice40-up5k --multipliers 4", "--multipliers on ice40-up5k"),
    ],
)
def test_multipliers_that_a_device_has_not(words: str, says: str, verilog: Path) -> None:
    given = [str(verilog.with_name("manifest.json")), *words.split()]
    found = CliRunner().invoke(main, given)
    assert found.exit_code == 2 and says in found.output
