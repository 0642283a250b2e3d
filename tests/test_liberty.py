"""Liberty is read as foundries write it, and what is none is refused with its line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from energy.functions import evaluate, names, parse, truth, verilog
from energy.liberty import parse_liberty, read_liberty
from golden.errors import UserError

TEXT = """/* a comment
over lines */
library (small) {
  voltage_unit : "1V";
  capacitive_load_unit (1, pf);   // to the end
  define_cell_area (pads, slots) ;
  cell ("and 2") {
    area : 9.5
    dont_use : true;
    pin (A[7:0]) { direction : input ; capacitance : 0.002; }
    pin(Y) {
      function : "(A * \\
B)";
      internal_power () {
        rise_power (table_2x3) {
          index_1 ("0.1, 0.3"); index_2 ("1, 2, 3");
          values ( \\
            "1, 2, 3", \\
            "4, 5, 6" \\
          );
        }
      }
    };
  }
}
"""


def test_groups_attributes_and_tables_are_read() -> None:
    library = parse_liberty(TEXT)
    assert library.name == "small" and library.complex["capacitive_load_unit"] == [["1", "pf"]]
    (cell,) = library.all("cell")
    assert cell.name == "and 2" and cell.line == 7
    assert cell.number("area") == 9.5 and cell.simple["dont_use"] == "true"
    inputs, output = cell.all("pin")
    assert inputs.name == "A[7:0]" and inputs.number("capacitance") == 0.002
    power = output.first("internal_power")
    assert power is not None and output.simple["function"] == "(A * B)"
    rise = power.first("rise_power")
    assert rise is not None and rise.name == "table_2x3"
    assert np.array_equal(rise.numbers("values"), [[1, 2, 3], [4, 5, 6]])
    assert np.array_equal(rise.numbers("index_1"), [[0.1, 0.3]])
    assert power.first("fall_power") is None


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (TEXT.replace("area : 9.5", "area 9.5"), r"line 8: 9.5, where \( is due"),
        (TEXT[:-3], "ends in line 24, where word is due"),
        (TEXT.replace("*/", ""), r"line 1: a, where \( is due"),
        (TEXT + '"', 'line 26: " opens what never ends'),
        ("cell (x) { }", "has a cell where a library is due"),
        ("", "ends in line 1, where word is due"),
    ],
)
def test_what_is_no_liberty_is_refused(wrong: str, says: str) -> None:
    with pytest.raises(UserError, match=says):
        parse_liberty(wrong, "small.lib")


def test_what_lacks_a_number_is_named(tmp_path: Path) -> None:
    cell = parse_liberty(TEXT.replace("9.5", "big;")).first("cell")
    assert cell is not None and cell.number("leakage", 2.0) == 2.0
    with pytest.raises(UserError, match=r"cell and 2 in line 7 has area big, which is no number"):
        cell.number("area")
    with pytest.raises(UserError, match=r"cell and 2 in line 7 has no leakage"):
        cell.number("leakage")
    with pytest.raises(UserError, match="has no table of numbers values"):
        cell.numbers("values")
    with pytest.raises(UserError, match="cannot be read"):
        read_liberty(tmp_path / "none.lib")


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("!(A*B)", "1110"),
        ("(A B)' + !A", "1110"),
        ("A^B", "0110"),
        ("A+B*!A", "0111"),
        ("A & B | A ^ B", "0111"),
        ("!A'", "0011"),
        ("(A) * 1 + (B * 0)", "0011"),
    ],
)
def test_functions_mean_what_liberty_says(text: str, values: str) -> None:
    """`values` are those for A B = 00, 01, 10, 11."""
    tree = parse(text)
    assert truth(tree, ["A", "B"]) == values
    assert set(names(tree)) <= {"A", "B"}
    # Verilog's operators mean the same in Python, but for ~ of a single bit.
    written = verilog(tree, {"A": "a", "B": "b"}).replace("1'b", "").replace("~", "1^")
    found = [eval(written, {"a": i >> 1, "b": i & 1}) & 1 for i in range(4)]
    assert "".join(map(str, found)) == values


@pytest.mark.parametrize("wrong", ["A+", "(A", "A)", "A $ B", "*A", ""])
def test_what_is_no_function_is_refused(wrong: str) -> None:
    with pytest.raises(UserError, match="is no function of Liberty"):
        parse(wrong)


def test_a_name_that_has_no_value_is_an_error() -> None:
    with pytest.raises(KeyError):
        evaluate(parse("A*B"), {"A": True})
