"""Nothing of one network is left beside another, and nothing of the user's is replaced unasked."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from dmp_core.__main__ import main
from export.store import DIGITS, NETWORKS, load_digits, load_stored
from golden.data import mnist
from golden.data.mnist import Digits
from golden.train.checkpoint import is_start
from tests.mnist import make_mnist


def call(*arguments: object) -> Result:
    return CliRunner().invoke(main, [*map(str, arguments)])


def draw(folder: Path, seed: int = 0) -> Path:
    options = ("--neurons", 4, "--state", 2, "--seed", seed)
    done = call("draw", "mine", *options, "--out", folder)
    assert done.exit_code == 0, done.output
    return folder


def content(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def refused(done: Result, words: str) -> None:
    assert done.exit_code == 2 and not done.stdout
    assert words in done.stderr and done.stderr.count("\n") == 1


COMMANDS: list[Callable[..., Result]] = [
    lambda net, out: call("export", net, "--lanes", 2, "--out", out),
    lambda net, out: call("fit", net, "--digits", 1, "--multipliers", 20, "--out", out),
]


@pytest.mark.parametrize("first", COMMANDS)
@pytest.mark.parametrize("second", COMMANDS)
def test_two_networks_of_one_name_do_not_share_a_folder(
    first: Callable[..., Result], second: Callable[..., Result], tmp_path: Path
) -> None:
    one, two = draw(tmp_path / "a" / "mine"), draw(tmp_path / "b" / "mine", 1)
    out = tmp_path / "build" / "mine"
    assert first(one, out).exit_code == 0
    (out / "notes").write_text("of the user")
    before = content(out)
    refused(second(two, out), f"{out} is of network {one}, not of {two}: use another folder (--out")
    refused(second("rows", out), f"{out} is of network {one}, not of rows: ")
    assert content(out) == before
    draw(one, 2)  # the network itself may change
    assert second(tmp_path / "a" / ".." / "a" / "mine", out).exit_code == 0


def test_a_folder_and_its_network_may_move_together(tmp_path: Path) -> None:
    work, moved = tmp_path / "work", tmp_path / "moved"
    core = COMMANDS[0]
    assert core(draw(work / "net"), work / "build").exit_code == 0
    work.rename(moved)
    assert core(moved / "net", moved / "build").exit_code == 0
    assert core("rows", work / "build").exit_code == 0
    refused(core(moved / "net", work / "build"), "is of network rows, not of ")


def test_the_manifest_of_something_else_stays(tmp_path: Path) -> None:
    for text in ('{"name": "my web page"}', "no JSON", "[]", "3"):
        (tmp_path / "manifest.json").write_text(text)
        refused(call("export", "rows", "--out", tmp_path), "manifest.json is not of a core: use")
        assert (tmp_path / "manifest.json").read_text() == text
        assert not list(tmp_path.glob("*.hex"))


@pytest.fixture
def shipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a copy of a shipped network's folder, under this folder as the one of a user."""
    monkeypatch.chdir(tmp_path)
    return Path(shutil.copytree(NETWORKS / "rows", tmp_path / "rows"))


def test_quantizing_replaces_no_network_unasked(shipped: Path) -> None:
    """Neither a shipped one nor another; that is said before minutes of measuring."""
    before = content(shipped), content(NETWORKS)
    for out in (shipped, NETWORKS / "rows"):
        done = call("quantize", "rows", "--checkpoint", "none.pt", "--out", out)
        refused(done, f"{out / 'network.json'} is there already: name another place, or")
    (shipped / "network.json").unlink()
    done = call("quantize", "rows", "--checkpoint", "none.pt", "--out", shipped)
    refused(done, f"{shipped / 'weights.npz'} is there already")
    forced = call("quantize", "rows", "--checkpoint", "none.pt", "--out", shipped, "--force")
    refused(forced, "no checkpoint none.pt")
    refused(call("quantize", "rows", "--checkpoint", "none.pt"), "no checkpoint none.pt")
    refused(call("quantize", "a/b"), "a network called 'a/b'")
    assert content(NETWORKS) == before[1]


def test_drawing_replaces_what_was_drawn_and_nothing_else(shipped: Path) -> None:
    before = content(shipped)
    done = call("draw", "mine", "--out", shipped)
    refused(done, f"{shipped / 'network.json'} is there already: name another place, or")
    assert content(shipped) == before
    drawn = content(draw(Path("drawn")))
    assert content(draw(Path("drawn"), 1)) != drawn
    assert call("draw", "mine", "--out", shipped, "--force").exit_code == 0
    assert load_stored(shipped)[1].recipe == {"drawn": 0}


def test_a_start_replaces_a_start_and_no_training(tmp_path: Path) -> None:
    path = tmp_path / "a.pt"
    for _ in range(2):
        assert call("checkpoint", "spoken", "--out", path).exit_code == 0
    assert is_start(path)
    path.write_text("hours of training")
    refused(call("checkpoint", "spoken", "--out", path), f"{path} is there already: name another")
    assert path.read_text() == "hours of training"
    assert call("checkpoint", "spoken", "--out", path, "--force").exit_code == 0
    assert is_start(path)


def test_digits_replace_no_file_unasked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = make_mnist(tmp_path / "data", monkeypatch)
    monkeypatch.chdir(tmp_path)
    before = DIGITS.read_bytes()
    options = ("digits", "--data", data, "--count", 5)
    assert call(*options).exit_code == 0
    with mnist.np.load("build/digits.npz") as arrays:
        found = Digits(arrays["images"], arrays["labels"])
    first = mnist.load_mnist(data, "test")
    assert (found.images == first.images[:5]).all() and (found.labels == first.labels[:5]).all()
    refused(call(*options), "build/digits.npz is there already")
    refused(call(*options, "--out", DIGITS), "digits.npz is there already")
    assert call(*options, "--force").exit_code == 0
    assert DIGITS.read_bytes() == before and len(load_digits()) == 200


def test_the_stamp_is_no_part_of_the_core(tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert call("export", "rows", "--out", out).exit_code == 0
    assert (out / "network.txt").read_text() == "rows\n"
    assert "network.txt" not in json.dumps(json.loads((out / "manifest.json").read_text()))
