"""`dmp package`: what it writes and says, and what it refuses."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from export.core import write_core
from export.store import OWN, Card, load_network, save_network
from golden.data.sequence_files import save_sequences
from golden.errors import UserError
from golden.hardware.core import CoreParams
from golden.hardware.params import HardwareParams
from handoff.package import _replace, write_package  # pyright: ignore[reportPrivateUsage]
from handoff.package_command import main
from rtl.verilog.generate import generate
from tests.networks import Drawn, draw_network


@pytest.fixture(scope="module")
def drawn() -> Drawn:
    return draw_network(2, max_neurons=9, max_inputs=9, n_timesteps=5)


@pytest.fixture(scope="module")
def manifest(drawn: Drawn, tmp_path_factory: pytest.TempPathFactory) -> Path:
    core = CoreParams(drawn.network.params, HardwareParams(3))
    path = write_core(drawn.network, core, tmp_path_factory.mktemp("core"))
    generate(path)
    return path


def test_the_command_writes_a_shipped_networks_package(tmp_path: Path) -> None:
    network = load_network("rows")
    core = CoreParams(network.params, HardwareParams(16))
    manifest = write_core(network, core, tmp_path)
    generate(manifest)
    arguments = [str(manifest), "--timesteps", "3", "--sequences", "2", "--clock", "125"]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output
    package = tmp_path / "package"
    assert f"wrote {package}: " in result.stdout and "compares 20 results" in result.stdout
    assert "8.000" in (package / "constraints" / "rows.xdc").read_text()
    events = (package / "tb" / "events.mem").read_text().split()
    kinds = [int(word, 16) & 3 for word in events]
    assert kinds.count(1) == 6 and kinds.count(2) == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["no.json"], "export a network first"),
        (["{manifest}", "--network", "rows"], "inputs a timestep, but the core of"),
        (["{manifest}", "--network", "rows", "--sequences", "999"], "--sequences 999: there are"),
        (
            ["{manifest}", "--network", "{own}", "--wrapper", "no.v"],
            "no.v: No such file",
        ),
    ],
)
def test_what_is_wrong_is_one_line(
    arguments: list[str], message: str, drawn: Drawn, manifest: Path, tmp_path: Path
) -> None:
    save_network(drawn.network, tmp_path, Card("", 1, 0, 0.0, 0.0, 0, []))
    save_sequences(tmp_path / OWN, drawn.payloads)
    result = CliRunner().invoke(
        main, [a.format(manifest=manifest, own=tmp_path) for a in arguments]
    )
    assert result.exit_code == 2 and result.stdout == ""
    assert message in result.stderr and "error: " in result.stderr


def test_a_folder_that_is_no_package_is_not_replaced(
    drawn: Drawn, manifest: Path, tmp_path: Path
) -> None:
    (tmp_path / "mine").touch()
    with pytest.raises(UserError, match="is not a package and not empty"):
        write_package(manifest, drawn.payloads, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_a_package_that_cannot_be_replaced_is_not_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever ends the command between two moves: the earlier package lies beside."""
    out, rename = tmp_path / "package", Path.rename
    _replace(out, {"package_ip.tcl": "earlier"})

    def fails(path: Path, target: Path) -> Path:
        if target == out:
            raise KeyboardInterrupt
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", fails)
    with pytest.raises(KeyboardInterrupt):
        _replace(out, {"package_ip.tcl": "new"})
    [kept] = tmp_path.glob(".earlier-*/package/package_ip.tcl")
    assert kept.read_text() == "earlier"
    monkeypatch.undo()
    for text in ("new", "newer"):
        _replace(out, {"package_ip.tcl": text})
        assert (out / "package_ip.tcl").read_text() == text
    assert len(list(tmp_path.iterdir())) == 2  # the package, and what was kept
