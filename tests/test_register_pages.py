"""The C header as a compiler reads it, and the page, against the map that both come from."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from golden.hardware.core import CoreParams
from golden.hardware.params import HardwareParams
from golden.registers import EVENT_WORD, REPORTING_EVENT_WORD, register_map
from rtl.verilog.register_pages import c_header, markdown
from tests.test_registers import NETWORK

CORE = CoreParams(NETWORK, HardwareParams(2, block=4))
REPORTING = CoreParams(NETWORK, HardwareParams(2, reports=True))


def test_the_header_holds_every_number(tmp_path: Path) -> None:
    """All of its names are compiled, without a warning, and printed."""
    header = c_header(CORE)
    names = re.findall(r"^#define (DMP_\w+) +\S", header, re.M)
    assert len(set(names)) == len(names) > 60
    (tmp_path / "core.h").write_text(header)
    lines = "\n".join(f'    printf("%s %lu\\n", "{n}", (unsigned long)({n}));' for n in names)
    twice = '#include "core.h"\n' * 2
    source = f"#include <stdio.h>\n{twice}int main(void) {{\n{lines}\n    return 0;\n}}\n"
    (tmp_path / "main.c").write_text(source)
    options = ["-Wall", "-Wextra", "-Werror", "-pedantic", "-std=c99"]
    subprocess.run(["gcc", *options, "-o", "main", "main.c"], cwd=tmp_path, check=True)
    printed = subprocess.run([tmp_path / "main"], capture_output=True, text=True, check=True).stdout
    found = {name: int(value) for name, value in map(str.split, printed.splitlines())}

    for name, register in register_map(CORE).items():
        assert found[f"DMP_{name}_OFFSET"] == register.offset
        if register.value is not None:
            assert found[f"DMP_{name}_VALUE"] == register.value
        for bits in register.bits:
            assert found[f"DMP_{name}_{bits.name}_MASK"] == bits.mask
            assert found[f"DMP_{name}_{bits.name}_SHIFT"] == bits.low
    assert found["DMP_COUNTER_WORDS"] == len(CORE.counters)
    assert found["DMP_EVENT_PAYLOAD_MASK"] == EVENT_WORD[1].mask
    for prefix, listed in (("COUNTER", CORE.counters), ("ERROR", CORE.errors)):
        for number, name in enumerate(listed):
            assert found[f"DMP_{prefix}_{name.replace('.', '_').upper()}"] == number
    assert found["DMP_MEMORY_LAYER0_AB"] == list(CORE.memories).index("layer0.ab")
    memory = CORE.memories["layer0.p"]
    assert found["DMP_MEMORY_LAYER0_P_DEPTH"] == memory.depth
    assert found["DMP_MEMORY_LAYER0_P_ITEMS"] == -(-memory.width // 32)


def test_the_page_has_a_row_for_everything() -> None:
    page = markdown(CORE)
    tables = re.findall(r"(?:^\|.*\|$\n)+", page, re.M)
    for table in tables:  # no cell has a bar of its own
        assert len({line.count("|") for line in table.splitlines()}) == 1, table
    for name, register in register_map(CORE).items():
        value = "" if register.value is None else f"0x{register.value:08X}"
        row = rf"\| 0x{register.offset:04X}[^|]* \| {name} \| {register.access} \| {value} \|"
        assert re.search(row, page), name
    rows = [f"| {i} | {name} |" for i, name in enumerate(CORE.counters)]
    rows += [f"| {i} | {name} |" for i, name in enumerate(CORE.errors)]
    rows += [f"| {i} | {name} | {m.depth} |" for i, (name, m) in enumerate(CORE.memories.items())]
    rows += ["| 29:16 | PAYLOAD |", "| 31 | END_SEQUENCE |"]
    assert all(row in page for row in rows)
    assert all(len(line) < 600 for line in page.splitlines()) and page.endswith("|\n")


@pytest.mark.parametrize("counters", ["errors", "none"])
def test_a_core_has_a_window_for_the_counters_that_it_has(counters: str) -> None:
    core = CoreParams(NETWORK, HardwareParams(2, counters=counters))
    header, page = c_header(core), markdown(core)
    assert ("DMP_COUNTER_OFFSET" in header) == ("| COUNTER |" in page) == (counters == "errors")
    numbered = re.findall(r"^#define DMP_COUNTER_(\w+) +\d+u", header, re.M)
    names = [name.replace(".", "_").upper() for name in core.counters]
    assert [name for name in numbered if name != "WORDS"] == names
    flags = (f"DMP_ERROR_{name.replace('.', '_').upper()} " for name in core.errors)
    assert all(flag in header for flag in flags)


def test_a_core_with_reports_says_how_to_ask() -> None:
    header, page = c_header(REPORTING), markdown(REPORTING)
    for bits in REPORTING_EVENT_WORD:
        mask = rf"^#define DMP_EVENT_{bits.name}_MASK +0x{bits.mask:08X}u"
        assert re.search(mask, header, re.M)
    assert "| 28:16 | PAYLOAD |" in page and "| 29 | REPORT |" in page
    assert "With bit 29 a beat also asks" in page and "A packet a sequence, and one a rep" in page
    plain = markdown(CORE)
    assert "REPORT" not in c_header(CORE) + plain and "A packet a sequence: " in plain
