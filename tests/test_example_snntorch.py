"""The example that trains networks of snnTorch, on a few drawn digits."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from export.store import load_stored
from golden.data.dataset import load_dataset
from golden.integer import run
from golden.reals import run_reals
from tests.mnist import make_mnist

pytest.importorskip("snntorch", reason="snnTorch is not installed")
torch: Any = pytest.importorskip("torch")

PATH = Path(__file__).parents[1] / "examples" / "train_snntorch.py"


@pytest.fixture(scope="module")
def example() -> Any:
    spec = importlib.util.spec_from_file_location("train_snntorch", PATH)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def loss(example: Any, module: Any, data: Path) -> float:
    training = load_dataset("rows", data, "train")
    with torch.no_grad():
        scores = example.scores(module, example.as_tensor(training, slice(None)))
    labels = torch.from_numpy(training.labels.astype(np.int64))
    return float(torch.nn.functional.cross_entropy(scores, labels))


def test_it_trains_measures_and_stores(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, example: Any
) -> None:
    data = make_mnist(tmp_path / "mnist", monkeypatch)
    monkeypatch.setattr(example, "BATCH", 8)
    names = ("membrane", "leaky_09")
    chosen = [word for name in names for word in ("--network", name)]
    options = ["--data", str(data), "--epochs", "2", *chosen]
    result = CliRunner().invoke(example.main, [str(tmp_path / "out"), *options])
    assert result.exit_code == 0, result.output
    rows = {line.split()[0]: line.split()[1:] for line in result.output.splitlines() if line}
    test = load_dataset("rows", data, "test")
    for name in names:
        module = example.make(name)
        module.load_state_dict(torch.load(tmp_path / "out" / f"{name}.pt"))
        theirs = example.classify(module, test)
        network, card = load_stored(tmp_path / "out" / name)
        ours = run(network, test.sequences()).classes
        right = 100 * np.mean(ours == test.labels)
        shown = [f"{100 * np.mean(theirs == test.labels):.2f}", *rows[name][1:3]]
        assert rows[name] == [*shown, f"{100 * np.mean(ours == theirs):.2f}", f"{right:.2f}"]
        assert float(rows[name][1]) == 100
        assert loss(example, module, data) < loss(example, example.make(name), data) - 0.05
        assert card.data == "rows" and 100 * card.accuracy_integer == right


def test_all_networks_are_the_modules(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, example: Any
) -> None:
    """Counts of spikes and membranes of the seven, untrained, in reals and in snnTorch."""
    data = make_mnist(tmp_path, monkeypatch)
    test = load_dataset("rows", data, "test")
    assert len(example.NETWORKS) == 7
    for name in example.NETWORKS:
        torch.manual_seed(1)
        module = example.make(name)
        with torch.no_grad():
            module[0].bias.add_(0.2)
            theirs = example.scores(module, example.as_tensor(test, slice(None))).numpy()
        ours = run_reals(example.import_module(name, module).network, test.sequences()).logits
        assert np.ptp(theirs) > 0.5
        np.testing.assert_allclose(ours, theirs, atol=1e-4)


@pytest.mark.parametrize("file", ["zero.pt", "zero/card.json", "recurrent/weights.npz"])
def test_what_is_there_is_not_replaced_unasked(example: Any, tmp_path: Path, file: str) -> None:
    (tmp_path / file).parent.mkdir(exist_ok=True)
    (tmp_path / file).write_text("mine")
    result = CliRunner().invoke(example.main, [str(tmp_path), "--data", str(tmp_path)])
    assert result.exit_code == 2 and result.output.count("\n") == 1
    assert f"{tmp_path / file} is there already" in result.output and "--force" in result.output
    assert (tmp_path / file).read_text() == "mine" and len(list(tmp_path.iterdir())) == 1
    for options in (
        ["--force"],
        ["--network", "leaky_05"],
    ):  # it goes on, to data that is not there
        result = CliRunner().invoke(
            example.main, [str(tmp_path), "--data", str(tmp_path), *options]
        )
        assert "has no train-images-idx3-ubyte" in result.output


def test_a_network_that_does_not_exist_is_refused(example: Any) -> None:
    result = CliRunner().invoke(example.main, ["--network", "other"])
    assert result.exit_code == 2 and "--network other: use one of leaky_05" in result.output
