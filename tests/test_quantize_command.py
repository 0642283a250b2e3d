"""The commands that quantize, measure again, and go back to a checkpoint."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result

from dmp_core.__main__ import main
from export.store import load_stored, save_network
from golden.data.accuracy import evaluate_integers
from golden.data.dataset import load_dataset
from golden.train.checkpoint import load_network, load_recipe
from golden.train.loop import Recipe, evaluate, train
from golden.train.model import DmpNetwork
from golden.train.topology import TOPOLOGIES
from tests.mnist import make_mnist
from tests.spoken import make_spoken

BARS = replace(TOPOLOGIES["rows"], n_neurons=(24, 20), n_state=4, leak=0.9)
Stored = tuple[Path, list[str]]


@pytest.fixture
def trained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stored:
    """Return where a network is to be stored, and the options that quantize it: one trained for
    W_f in five bits, and P and V in seven.
    """
    data = make_mnist(tmp_path / "mnist", monkeypatch)
    recipe = Recipe(epochs=3, batch=8, augmentation=0, weight_bits=5, slow_bits=7)
    checkpoint = train("rows", BARS, data, tmp_path / "train", recipe)
    out = tmp_path / "bars"
    options = ["--checkpoint", str(checkpoint), "--data", str(data), "--out", str(out)]
    return out, [*options, "--calibration", "30"]


def call(*arguments: str) -> Result:
    return CliRunner().invoke(main, arguments)


def test_the_command_stores_what_it_measured(trained: Stored, tmp_path: Path) -> None:
    out, options = trained
    result = call("quantize", "bars", *options, "--digits", "20")
    assert result.exit_code == 0, result.output
    network, card = load_stored(out)
    assert network.params.name == "bars"
    assert (card.data, card.n_timesteps, card.n_test) == ("rows", 28, 20)
    assert card.recipe["topology"] == BARS.to_dict()
    assert card.recipe["epochs_done"] == 3 and card.recipe["weight_bits"] == 5
    assert card.parameters == DmpNetwork(BARS).n_parameters()
    twenty = load_dataset("rows", tmp_path / "mnist", "test").select(slice(20))
    measured = evaluate_integers(network, twenty)
    assert card.accuracy_integer == measured.accuracy
    assert card.events_per_step == [round(rate, 2) for rate in measured.rates]
    float_network = load_network(tmp_path / "train" / "rows.pt")
    assert card.accuracy_float == evaluate(float_network, twenty)
    assert f"integers: {100 * card.accuracy_integer:.2f} % of 20 test sequences" in result.output
    assert f"float:    {100 * card.accuracy_float:.2f} % of 20 test sequences" in result.output


@pytest.mark.parametrize(
    ("option", "w_f", "p", "m"),
    [
        ((), 5, 7, 16),
        (("--weight-bits", "4"), 4, 7, 16),
        (("--slow-bits", "4", "--state-bits", "12"), 5, 4, 12),
    ],
)
def test_numbers_have_the_bits_of_the_training_unless_others_are_asked_for(
    option: tuple[str, ...], w_f: int, p: int, m: int, trained: Stored
) -> None:
    out, options = trained
    result = call("quantize", "bars", *options, "--digits", "2", *option)
    assert result.exit_code == 0, result.output
    network = load_stored(out)[0]
    for params, layer in zip(network.params.layers, network.layers, strict=True):
        f = params.formats
        assert [fmt.width for fmt in (f.w_f, f.p, f.v, f.m)] == [w_f, p, p, m]
        assert 2 ** (w_f - 2) < np.abs(layer.w_f).max() <= 2 ** (w_f - 1)
        assert 2 ** (p - 2) < np.abs(layer.p).max() <= 2 ** (p - 1)


def test_accuracy_is_measured_again(trained: Stored, tmp_path: Path) -> None:
    out, options = trained
    assert call("quantize", "bars", *options).exit_code == 0
    network, card = load_stored(out)
    again = ["accuracy", str(out), "--data", str(tmp_path / "mnist"), "--batch", "7"]
    result = call(*again)
    assert result.exit_code == 0, result.output
    share = f"{100 * card.accuracy_integer:.2f} %"
    assert f"bars: {share} of 32 test sequences in integers" in result.stdout
    assert f"its card says {share} of 32, and {100 * card.accuracy_float:.2f} % in float with" in (
        result.stdout
    )
    lie = replace(card, accuracy_integer=card.accuracy_integer - 1 / 32)
    save_network(network, out, lie)
    result = call(*again)
    assert result.exit_code == 1 and f"bars: {share} of 32" in result.stdout
    assert f"error: {out} is not what its card says: quantize it again" in result.stderr
    save_network(network, out, replace(lie, n_test=20))
    assert call(*again).exit_code == 0, "of fewer sequences it is another figure"
    result = call("accuracy", "nonesuch")
    assert result.exit_code == 2 and result.stderr.startswith("error: unknown network 'nonesuch'")


def test_a_network_for_the_speech_of_others_is_measured_on_the_one_left_out(tmp_path: Path) -> None:
    """Eight digits of a speaker: an accuracy of eighths, of both commands."""
    arrays = make_spoken(tmp_path)
    count = sum(int((arrays[f"{split}_speaker"] == 2).sum()) for split in ("train", "test"))
    topology = replace(TOPOLOGIES["spoken"], n_neurons=(12, 10), n_state=4, leak=0.9)
    recipe = Recipe(epochs=1, batch=24, without_speaker=2)
    checkpoint = train("some", topology, tmp_path, tmp_path / "train", recipe)
    out, data = tmp_path / "some", ["--data", str(tmp_path)]
    options = ["--checkpoint", str(checkpoint), *data, "--out", str(out)]
    assert call("quantize", "some", *options).exit_code == 0
    card = load_stored(out)[1]
    assert card.n_test == count and card.recipe["without_speaker"] == 2
    assert card.n_timesteps == 100 and card.data == "spoken"
    result = call("accuracy", str(out), *data)
    assert result.exit_code == 0 and f"of {count} test sequences" in result.stdout


def test_the_command_refuses_in_one_line(tmp_path: Path) -> None:
    out = tmp_path / "out"
    options = ["--checkpoint", str(tmp_path / "none.pt"), "--out", str(out)]
    result = CliRunner().invoke(main, ["quantize", "rows", *options])
    assert result.exit_code == 2 and not out.exists()
    assert (
        result.stderr
        == f"error: no checkpoint {tmp_path / 'none.pt'}: train one first (dmp train)\n"
    )


def test_the_command_writes_what_a_training_can_start_from(tmp_path: Path) -> None:
    """Also with another dilation; a network whose card has no recipe is refused in one line."""
    out = tmp_path / "start.pt"
    result = CliRunner().invoke(main, ["checkpoint", "spoken", "--out", str(out)])
    assert result.exit_code == 0 and "38680 parameters" in result.output
    make_spoken(tmp_path)
    topology = replace(TOPOLOGIES["spoken"], dilation=5)
    recipe = Recipe(epochs=1, batch=8, limit=8, learning_rate=0.0, start=str(out))
    trained = load_network(train("more", topology, tmp_path, tmp_path, recipe, quiet=True))
    started = load_network(out)
    for name, value in started.state_dict().items():
        assert torch.equal(trained.state_dict()[name], value), name
    assert load_recipe(tmp_path / "more.pt")["start"]["epochs_done"] == 80
    network, card = load_stored("rows")
    save_network(network, tmp_path / "mute", replace(card, recipe={}))
    result = CliRunner().invoke(main, ["checkpoint", str(tmp_path / "mute"), "--out", "no.pt"])
    assert result.exit_code == 2 and "does not say how it was trained" in result.stderr
    assert not Path("no.pt").exists()
