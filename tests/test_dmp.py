"""The command `dmp`: every subcommand's help and examples, the core that one makes first, and what
`dmp doctor` finds.
"""

from __future__ import annotations

import json
import re
import shlex
import shutil
import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

import click
import numpy as np
import pytest
from click.testing import CliRunner, Result

from dmp_core import doctor
from dmp_core.__main__ import main
from dmp_core.commands import COMMANDS
from export.store import OWN, load_network, load_stored, save_network
from golden.data.sequence_files import save_sequences
from golden.errors import UserError
from golden.hardware.params import HardwareParams
from golden.integer import without_readout
from golden.manifest import read_core


def call(*arguments: str) -> Result:
    return CliRunner().invoke(main, arguments, prog_name="dmp")


def command_of(name: str) -> click.Command:
    found = main.get_command(click.Context(main), name)
    assert found is not None
    return found


def test_help_names_every_command_in_a_line() -> None:
    shown = call("--help").output
    for name, entry in COMMANDS.items():
        assert re.search(rf"^  {name}  +{re.escape(entry.text)}$", shown, re.M), name
    assert call("--version").output.startswith("dmp, version ")


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_and_examples_that_it_takes(name: str) -> None:
    done = call(name, "--help")
    assert done.exit_code == 0 and done.output.startswith(f"Usage: dmp {name} [OPTIONS]")
    for example in COMMANDS[name].examples:
        assert f"\n    {example}\n" in done.output
        program, called, *arguments = shlex.split(example)
        assert program == "dmp" and (called == name or name in ("fit", "import"))
        command_of(called).make_context(called, arguments)
    assert "MANIFEST" not in done.output
    assert COMMANDS[name].making is None or "--fit" in done.output


@pytest.fixture
def tiny(tmp_path: Path) -> str:
    """Return the folder of a network so small that its Verilog is written in no time."""
    folder = tmp_path / "tiny"
    sizes = ("--neurons", "2", "--state", "0", "--classes", "2", "--inputs", "2")
    done = call("draw", "tiny", *sizes, "--out", str(folder))
    assert done.exit_code == 0, done.output
    return str(folder)


def test_a_core_is_made_as_it_is_asked_for(tmp_path: Path, tiny: str) -> None:
    folder = tmp_path / "core"
    shape = ["--lanes", "3", "--block", "2", "--events-per-cycle", "2"]
    done = call("rtl", tiny, *shape, "--reports", "--trace", "--out", str(folder))
    assert done.exit_code == 0, done.output
    core, _ = read_core(folder / "manifest.json")
    assert core.hardware == HardwareParams(3, 2, 2, trace=True, reports=True)
    assert (folder / "tiny.v").exists() and (folder / "network.txt").exists()
    done = call("rtl", tiny, "--out", tiny)
    assert done.exit_code == 2 and f"--out {tiny} is the network's own folder" in done.output
    done = call("rtl", "smnist", "--out", str(folder))
    assert done.exit_code == 2 and f"{folder} is of network {tiny}, not of smnist" in done.output


def test_the_hardware_that_was_chosen_is_taken(tmp_path: Path) -> None:
    folder = tmp_path / "core"
    budget = ["--multipliers", "30", "--digits", "1"]
    done = call("fit", "rows", *budget, "--out", str(folder))
    assert done.exit_code == 0, done.output
    chosen = json.loads((folder / "fit.json").read_text())["chosen"]
    done = call("export", "rows", "--fit", "--out", str(folder))
    assert done.exit_code == 0, done.output
    core, _ = read_core(folder / "manifest.json")
    assert json.loads(json.dumps(asdict(core.hardware))) == chosen["hardware"]
    assert chosen["hardware"]["lanes"] != 8
    done = call("export", "rows", "--fit", "--counters", "none", "--out", str(folder))
    assert done.exit_code == 0, done.output
    fewer, _ = read_core(folder / "manifest.json")
    assert fewer.hardware == replace(core.hardware, counters="none")
    strange = json.dumps({"chosen": {"hardware": chosen["hardware"] | {"lanes": "8"}}})
    for content in ("{}", "[]", strange):
        (folder / "fit.json").write_text(content)
        done = call("export", "rows", "--fit", "--out", str(folder))
        assert done.exit_code == 2 and "holds no choice of hardware" in done.output


TIMED = ("--timesteps", "1", "--step", "1ms", "--inputs", "1", "--out", "b.npz")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["sim", "nonesuch"], "unknown network 'nonesuch': use a folder, or a shipped one:"),
        (["sim", "rows", "--fit", "--lanes", "8"], "--fit with --lanes: use one of the two"),
        (["sim", "rows", "--fit"], "fit.json: run dmp fit rows first, with --out"),
        (["sim", "rows", "--block", "3"], "block 3: use 1, 2, 4, 8 or 16 timesteps"),
        (["fit", "shd", "--data", "a.npz"], "--data a.npz with shd, whose events are drawn"),
        (["fit", "shd", "--digits", "2"], "--digits with shd, whose events are drawn: leave it"),
        (["fit", "rows", "--rate", "2"], "--rate 2 with rows: only shd has drawn events"),
        (
            ["bench", "--network", "rows", "--data", "a.npz"],
            "--data a.npz: only the network spok",
        ),
        (["digits", "--data", __file__], f"{__file__} is a file: set --data to the"),
        (["sim", "rows", "--reporst"], "No such option"),
        (["sim"], "Missing argument 'NETWORK'"),
        (["events", "a.npz", *TIMED, "--at-least", "2"], "--at-least without --binary"),
        (["events", "a.npz", *TIMED, "--binary", "--payload-bits", "2"], "without --counts"),
        (["uart-sim", "rows", "--board", "foo"], "--board foo: use one of ulx3s-85f"),
        (["simulate", "rows"], "No such command 'simulate'"),
        (["sim", "a/manifest.json"], "manifest.json"),
        (["synth", "a/manifest.json", "--lanes", "8"], "--lanes with a/manifest.json: that core"),
        (["host", "a/manifest.json", "--reports"], "--reports with a/manifest.json: that core is"),
        (["package", "a/manifest.json", "--fit"], "--fit with a/manifest.json: that core is made"),
        (["rtl", "a/manifest.json", "--trace"], "--trace with a/manifest.json: that core is made"),
        (["rtl", "a/manifest.json", "--out", "b"], "--out with a/manifest.json: that core is made"),
    ],
)
def test_what_cannot_be_is_one_line(
    arguments: Sequence[str], words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = call(*arguments)
    assert done.exit_code == 2 and not done.stdout
    assert done.stderr.startswith("error: ") and words in done.stderr
    assert done.stderr.count("\n") == 1 and not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["testset", "host", "uart-sim", "bitstream", "package"])
def test_what_waits_for_results_refuses_a_network_without_a_readout(
    tmp_path: Path, tiny: str, name: str
) -> None:
    network = load_network(tiny)
    alone = without_readout(network.params, network.layers)
    save_network(alone, tmp_path / "alone", load_stored(tiny)[1])
    out = tmp_path / "core"
    done = call(name, str(tmp_path / "alone"), "--out", str(out))
    assert done.exit_code == 2 and done.stderr.count("\n") == 1 and not out.exists()
    assert "network tiny has no readout" in done.stderr


def test_a_made_core_is_used_as_it_is(tmp_path: Path, tiny: str) -> None:
    folder = tmp_path / "core"
    assert call("export", tiny, "--lanes", "2", "--out", str(folder)).exit_code == 0
    manifest = folder / "manifest.json"
    before = manifest.read_bytes()
    done = call("rtl", str(manifest), "--top", "axi")
    assert done.exit_code == 0, done.output
    assert manifest.read_bytes() == before and (folder / "tiny_axi.v").exists()


def test_a_made_core_says_whose_it_is(tmp_path: Path, tiny: str) -> None:
    """Its sequences are those of its network, wherever that lies."""
    save_sequences(Path(tiny) / OWN, np.ones((2, 3, 2), np.uint8), np.array([0, 1]))
    folder = tmp_path / "core"
    assert call("rtl", tiny, "--lanes", "2", "--trace", "--out", str(folder)).exit_code == 0
    done = call("timeline", str(folder / "manifest.json"), "--digits", "3")
    assert done.exit_code == 2 and done.stderr == "error: --digits 3: there are 2\n"
    (folder / "network.txt").unlink()
    done = call("timeline", str(folder / "manifest.json"), "--digits", "3")
    assert done.exit_code == 2 and "unknown network 'tiny'" in done.stderr


# The doctor


def test_the_doctor_finds_this_environment_well() -> None:
    done = call("doctor")
    assert done.exit_code == 0 and done.stdout.endswith("dmp sim and make demo can work.\n")


def test_the_doctor_says_what_is_missing_and_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    def version(name: str) -> str:
        if name in ("cocotb", "torch"):
            raise doctor.metadata.PackageNotFoundError(name)
        return "1"

    monkeypatch.setattr(doctor.metadata, "version", version)
    assert doctor.missing_packages("train") == ["torch"]
    assert doctor.missing_packages("sim") == ["cocotb"] and doctor.missing_packages(None) == []
    rows = {row.name: row for row in doctor.examine()}
    assert rows["packages of train"].found == "missing: torch"
    assert "'.[train]'" in rows["packages of train"].remedy
    done = call("doctor")
    assert done.exit_code == 1
    assert done.stderr == "error: dmp sim cannot work without: packages of sim\n"


def test_the_doctor_looks_for_programs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    which = shutil.which
    monkeypatch.setattr(shutil, "which", lambda name: None if name == "g++" else which(name))
    rows = {row.name: row for row in doctor.examine()}
    assert rows["C++ compiler"].remedy == "apt install g++" and "g++" in rows["Verilator"].found
    assert "apt install g++" in rows["Verilator"].remedy
    assert call("doctor").stderr == "error: dmp sim cannot work without: Verilator, C++ compiler\n"

    synth = rows["nextpnr, ecppack"]
    assert "bitstream" in synth.purpose and not synth.remedy and Path(synth.found).is_dir()
    monkeypatch.setattr(shutil, "which", lambda name: None)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    rows = {row.name: row for row in doctor.examine()}
    assert rows["nextpnr, ecppack"].found == "there is no yowasp-ecppack"
    assert "'.[synth]'" in rows["nextpnr, ecppack"].remedy and not rows["nextpnr, ecppack"].needed
    assert rows["perl"].remedy == "apt install perl" and rows["perl"].needed
    assert "openfpgaloader" in rows["openFPGALoader"].remedy

    def none() -> str:
        raise UserError("no such thing: make one")

    found = doctor.asked("thing", "all", none)
    assert (found.found, found.remedy) == ("no such thing", "make one")
