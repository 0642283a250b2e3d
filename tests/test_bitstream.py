"""A bitstream of a small core: whole, of the device, and with the PLL that was asked for; none
where the clock is missed.
"""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from export.core import write_core
from golden.data.synthetic import draw_layers
from golden.hardware.core import CoreParams
from golden.hardware.params import HardwareParams
from rtl.synth import bitstream
from rtl.synth.bitstream import main
from rtl.synth.place import Placement, find_program

PREAMBLE = bytes.fromhex("ffffbdb3")  # Lattice TN1260
IDENTIFICATION = bytes.fromhex("e2000000") + bytes.fromhex("41113043")  # VERIFY_ID, of an LFE5U-85


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    network = draw_layers("small", (6, 4), 2, 2, seed=0)
    core = CoreParams(network.params, HardwareParams(lanes=1))
    return write_core(network, core, tmp_path_factory.mktemp("a board"))


@pytest.mark.long
def test_the_bitstream_is_of_the_board(manifest: Path, tmp_path: Path) -> None:
    """What the packer's counterpart reads from it: the oscillator's pin feeds the PLL; the line to
    the host is an output, the one from it an input.
    """
    done = CliRunner().invoke(main, [str(manifest), "--mhz", "50"])
    assert done.exit_code == 0, done.output
    found = json.loads((manifest.parent / "synth.json").read_text())
    assert {"luts", "ffs", "block_rams", "multipliers", "lanes"} < set(found)
    assert (found["device"], found["board"], found["seed"]) == ("ecp5-85k", "ulx3s-85f", 1)
    assert found["fmax_mhz"] >= found["mhz"] == 50
    assert found["parts"]["layer0"]["multipliers"] > 0
    path = manifest.parent / found["bitstream"]
    content = path.read_bytes()
    assert hashlib.sha256(content).hexdigest() == found["bitstream_sha256"]
    assert PREAMBLE in content and IDENTIFICATION in content
    assert f"bitstream {path}" in done.output
    (tmp_path / "board.bit").write_bytes(content)
    command = [find_program("yowasp-ecpunpack"), "board.bit", "board.config"]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    text = (tmp_path / "board.config").read_text()
    assert ".device LFE5U-85F" in text
    assert re.search(r"^enum: MODE EHXPLLL$", text, re.M)
    assert re.search(r"^word: CLKFB_DIV 0000001$", text, re.M), "50 of 25 MHz: divided by 2"
    # Kinds of outputs look alike in the bits, and so does what else is in a tile of the top bank,
    # where only the button is.
    tiles = [tile for tile in text.split(".tile ")[1:] if "PIOT" not in tile.splitlines()[0]]
    outputs = [kind for tile in tiles for kind in re.findall(r"BASE_TYPE (OUTPUT)_", tile)]
    assert len(outputs) == 2 + 8
    assert len(re.findall(r"BASE_TYPE INPUT_", text)) == 3


@pytest.mark.long
def test_no_bitstream_where_the_clock_is_missed(
    manifest: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An earlier one goes too; the line names a clock that holds; the figures stay."""
    path = manifest.parent / "small_ulx3s_85f.bit"
    path.write_bytes(b"an earlier one")

    def place(*_: Any, placer: str, **__: Any) -> list[Placement]:
        assert placer == "static"
        some = {"luts": 1}
        return [Placement(seed, 60.0 - seed, some, some, []) for seed in (2, 3)]

    monkeypatch.setattr(bitstream, "place", place)
    done = CliRunner().invoke(
        main, [str(manifest), "--mhz", "75", "--seeds", "2", "--placer", "static"]
    )
    assert done.exit_code == 2
    assert done.output.strip().splitlines()[-1] == (
        "error: the best of 2 seeds holds 58.0 MHz, not 75: no bitstream; use more seeds, or --mhz"
        " 57.14286 (make: CLOCK=57.14286)"
    )
    assert not path.exists()
    found = json.loads((manifest.parent / "synth.json").read_text())
    assert found["fmax_mhz"] == 58.0 and "bitstream" not in found


def test_a_packer_that_fails_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "seed1.config").write_text(".device nonesuch\n")
    with pytest.raises(bitstream.UserError, match="ecppack failed: "):
        bitstream.pack(tmp_path / "seed1.config", tmp_path / "none.bit")
    assert not (tmp_path / "none.bit").exists()
