"""The page docs/integration.md: its C compiles and does what the driver does, the files it names
exist.
"""

from __future__ import annotations

import ast
import re
import subprocess
from pathlib import Path

import numpy as np

from driver.words import encode
from export.images import pack
from export.store import load_digits, load_network
from golden.hardware.core import CoreParams
from golden.hardware.params import HardwareParams
from handoff.c_images import c_images
from rtl.verilog.register_pages import c_header

ROOT = Path(__file__).parents[1]
PATH = ROOT / "docs" / "integration.md"
PAGE = PATH.read_text()
NETWORK = load_network("rows")
CORE = CoreParams(NETWORK.params, HardwareParams(8))

# What the system around the page's C does here: it prints what is sent, and answers from tables.
MAIN = """
#include <stdio.h>

void bus_write(uint32_t offset, uint32_t word) { printf("W %x %x\\n", offset, word); }
uint32_t bus_read(uint32_t offset)
{
    if (offset == DMP_ID_OFFSET) return DMP_ID_VALUE;
    if (offset == DMP_VERSION_OFFSET) return DMP_VERSION_VALUE;
    if (offset == DMP_SHAPE_OFFSET) return DMP_SHAPE_VALUE ^ WRONG;
    return 0;
}
void send_event(uint32_t word) { printf("E %x\\n", word); }
uint32_t receive_result(void)
{
    static uint32_t taken;
    ++taken;
    return taken > DMP_CLASSES_VALUE ? 7 : 5 - 10 * taken;
}
static const uint8_t inputs[] = {INPUTS};

int main(void)
{
    int32_t logits[DMP_CLASSES_VALUE];
    int started = dmp_start();
    if (started) { printf("S %d\\n", started); return 0; }
    printf("C %x\\n", dmp_run(inputs, sizeof inputs / DMP_INPUTS_VALUE, logits));
    for (unsigned c = 0; c < DMP_CLASSES_VALUE; ++c) printf("L %d\\n", logits[c]);
    return 0;
}
"""


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.M | re.S)


def run_c(folder: Path, inputs: np.ndarray, wrong: int = 0) -> list[list[str]]:
    """Compile the page's C with the generated headers and a main; return what it printed."""
    (example,) = blocks("c")
    (folder / "rows_axi.h").write_text(c_header(CORE))
    (folder / "rows_images.h").write_text(c_images(CORE, pack(NETWORK, CORE)))
    listed = ", ".join(map(str, inputs.ravel()))
    (folder / "main.c").write_text(example + MAIN.replace("INPUTS}", f"{listed}}}"))
    options = ["-Wall", "-Wextra", "-Werror", "-pedantic", "-std=c99", f"-DWRONG={wrong}"]
    subprocess.run(["gcc", *options, "-o", "main", "main.c"], cwd=folder, check=True)
    done = subprocess.run([folder / "main"], capture_output=True, text=True, check=True)
    return [line.split() for line in done.stdout.splitlines()]


def test_the_c_example_loads_sends_and_receives(tmp_path: Path) -> None:
    image = load_digits().images[0]
    assert not image.any(1).all(), "there are silent timesteps"
    printed = run_c(tmp_path, image)
    events = [int(line[1], 16) for line in printed if line[0] == "E"]
    assert events == encode(CORE, image).tolist()
    loads = [(int(line[1], 16), int(line[2], 16)) for line in printed if line[0] == "W"]
    expected = []
    for number, (name, words) in enumerate(pack(NETWORK, CORE).items()):
        expected.append((0x14, number << 24))
        size = -(-CORE.memories[name].width // 32) * 4
        for word in words:
            content = word.to_bytes(size, "little")
            expected += [
                (0x18, int.from_bytes(content[i : i + 4], "little")) for i in range(0, size, 4)
            ]
    assert loads == [*expected, (0x0C, 1)]
    assert ["C", "7"] in printed
    assert [int(line[1]) for line in printed if line[0] == "L"] == list(range(-5, -105, -10))


def test_the_c_example_refuses_another_core(tmp_path: Path) -> None:
    assert run_c(tmp_path, np.zeros((1, 28), np.uint8), wrong=1) == [["S", "-3"]]


def test_what_the_page_names_is_there() -> None:
    for path in re.findall(r"`((?:golden|driver|rtl)/\w+\.py)`", PAGE):
        assert (ROOT / path).exists(), path
    for text in blocks("python"):
        for node in ast.parse(text).body:
            if isinstance(node, ast.ImportFrom) and node.module != "litex_dmp_core":
                exec(ast.unparse(node))
