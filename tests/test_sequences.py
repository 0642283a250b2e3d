"""Which sequences a command runs: those of DATA, of the network's folder, or the shipped digits."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from dmp_core.__main__ import main
from export.core import write_core
from export.store import OWN, Card, find_dataset, load_digits, load_network, save_network
from golden.command_line import Count
from golden.data.mnist import to_sequences
from golden.data.sequence_files import save_sequences
from golden.errors import UserError
from golden.hardware.core import CoreParams
from golden.hardware.params import HardwareParams
from golden.integer import run, without_readout
from tb.sequences import find_sequences
from tests.mnist import make_mnist
from tests.networks import draw_network
from tests.spoken import draw_spikes, make_spoken, write_hdf5

CARD = Card("mine", 28, 1234, 0.5, 0.25, 100, [1.5, 2.25, 0.0], {"seed": 3})


def store(folder: Path, card: Card = CARD, network: str = "rows") -> Path:
    """Store a shipped network with another card in a folder of the given one."""
    save_network(load_network(network), folder / "net", card)
    return folder / "net"


def test_the_sequences_of_a_network_are_those_of_its_card(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_mnist(tmp_path, monkeypatch)
    arrays = make_spoken(tmp_path)
    digits = load_digits()
    for variant in ("rows", "smnist", "psmnist"):
        net = store(tmp_path, replace(CARD, data=variant))
        shipped = find_dataset(net)
        assert np.array_equal(shipped.sequences(), to_sequences(digits.images, variant))
        assert np.array_equal(shipped.labels, digits.labels)
        for whole in (False, True):
            found = find_dataset(net, tmp_path, whole=whole)
            assert len(found) == 32 and found.sequences().shape[1:] == shipped.sequences().shape[1:]
    for without in (None, 1):
        net = store(tmp_path, replace(CARD, data="spoken", recipe={"without_speaker": without}))
        everyone = np.concatenate([arrays["train_x"], arrays["test_x"]])
        speakers = np.concatenate([arrays["train_speaker"], arrays["test_speaker"]])
        expected = arrays["test_x"] if without is None else everyone[speakers == 1]
        assert np.array_equal(find_dataset(net, tmp_path).sequences(), expected)
    for data in ("spoken", "shd", "mine", ""):
        net = store(tmp_path, replace(CARD, data=data))
        of = f"of {data} " if data else ""
        for whole in (False, True):
            with pytest.raises(UserError, match=f"no sequences {of}are shipped: set --data to"):
                find_dataset(net, whole=whole)
    with pytest.raises(UserError, match="net names none of the data sets smn.*: set --data to"):
        find_dataset(store(tmp_path), tmp_path)


def test_sequences_in_the_folder_of_a_network_are_the_default(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    own, given = (rng.integers(0, 256, (3, 5, 28)) for _ in range(2))
    for data in ("mine", "rows", ""):
        net = store(tmp_path, replace(CARD, data=data))
        save_sequences(net / OWN, own, np.array([4, 9, 0]))
        save_sequences(tmp_path / "given.npz", given)
        for whole in (False, True):
            found = find_dataset(net, whole=whole)
            assert np.array_equal(found.sequences(), own) and found.labels.tolist() == [4, 9, 0]
            other = find_dataset(net, tmp_path / "given.npz", whole=whole)
            assert np.array_equal(other.sequences(), given) and other.labels.tolist() == [-1] * 3


def test_files_of_shd_take_the_timesteps_of_the_card(tmp_path: Path) -> None:
    content = draw_spikes()
    content["labels"] %= 10
    write_hdf5(tmp_path / "some.h5", content)
    found = find_dataset(
        store(tmp_path, replace(CARD, n_timesteps=50), "rows"), tmp_path / "some.h5"
    )
    expected = np.zeros((5, 50, 28), int)
    samples = zip(content["spikes/times"], content["spikes/units"], strict=True)
    for sample, spikes in enumerate(samples):
        for time, unit in zip(*spikes, strict=True):
            if float(time) < 1:
                expected[sample, int(float(time) * 50), int(unit) // 25] = 1
    assert np.array_equal(found.sequences(), expected) and np.array_equal(
        found.labels, content["labels"]
    )


def test_without_a_number_all_that_there_are_may_be_few(tmp_path: Path) -> None:
    net = store(tmp_path)
    network = load_network("rows")
    core = CoreParams(network.params, HardwareParams(8, trace=True))
    manifest = write_core(network, core, tmp_path / "core")
    save_sequences(net / OWN, np.ones((12, 3, 28), np.uint8))
    for count, length in ((Count(20, False), 12), (Count(5, False), 5), (Count(12, True), 12)):
        assert len(find_sequences(manifest, count, str(net), None)[1]) == length
    with pytest.raises(UserError, match="--digits 13: there are 12"):
        find_sequences(manifest, Count(13, True), str(net), None)


def test_accuracy_is_of_labels_only(tmp_path: Path) -> None:
    net = store(tmp_path, replace(CARD, n_test=0))
    payloads = to_sequences(load_digits().images[:40], "rows")
    classes = run(load_network("rows"), payloads).classes
    labels = np.where(np.arange(40) < 10, (classes + 1) % 10, classes)
    save_sequences(net / OWN, payloads, labels)
    done = CliRunner().invoke(main, ["accuracy", str(net)])
    assert done.exit_code == 0, done.output
    assert "rows: 75.00 % of 40 test sequences in integers; its card does not say" in done.output
    # What its card says is of its own sequences, not of as many others.
    save_network(
        load_network("rows"),
        net,
        replace(CARD, n_test=40, accuracy_float=0.0, accuracy_integer=0.5),
    )
    done = CliRunner().invoke(main, ["accuracy", str(net)])
    assert done.exit_code == 1 and "its card says 50.00 % of 40\n" in done.output
    save_sequences(tmp_path / "others.npz", payloads, labels)
    given = ["accuracy", str(net), "--data", str(tmp_path / "others.npz")]
    assert CliRunner().invoke(main, given).exit_code == 0
    save_sequences(net / OWN, payloads)
    done = CliRunner().invoke(main, ["accuracy", str(net)])
    assert done.exit_code == 2 and "error: the sequences have no labels" in done.stderr


def test_a_network_without_readout_takes_any_labels(tmp_path: Path) -> None:
    whole = draw_network(1).network
    network = without_readout(whole.params, whole.layers)
    save_network(network, tmp_path, CARD)
    payloads = np.zeros((2, 4, network.params.widths[0]), int)
    save_sequences(tmp_path / OWN, payloads, np.array([1000, 0]))
    assert find_dataset(tmp_path).labels.tolist() == [1000, 0]
    save_sequences(tmp_path / OWN, payloads)
    assert not find_dataset(tmp_path).labelled
