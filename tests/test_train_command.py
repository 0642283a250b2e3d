"""The command line that trains: its options reach the training, and bad ones are one line."""

from __future__ import annotations

import resource
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

from golden.train.checkpoint import load_recipe
from golden.train.loop import Recipe, train
from golden.train.topology import TOPOLOGIES
from golden.train.train_command import main


def test_too_few_sequences_for_a_batch_are_named(data: Path, tmp_path: Path) -> None:
    arguments = ["rows", "--data", str(data), "--out", str(tmp_path / "out"), "--limit", "50"]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 2 and result.stderr == (
        "error: 50 training sequences do not fill a batch of 128: use a smaller --batch or a larger"
        " --limit\n"
    )
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["mnist"],
            "unknown network 'mnist': use one of smnist, psmnist, rows, spoken, shd, ssc\n",
        ),
        (
            ["rows", "--data", "nowhere"],
            "nowhere has no train-images-idx3-ubyte[.gz]: set --data to the folder",
        ),
        (["rows", "--data", __file__], f"{__file__} is a file: set --data to the f"),
        (["shd", "--data", __file__], f"{__file__} is a file: set --data to the f"),
        (["spoken"], "spoken is not fetched: set --data to the folder that holds it\n"),
        (["rows", "--neurons", "12;10"], "--neurons 12;10: use numbers, as in 200,200\n"),
        (["rows", "--neurons", ""], "--neurons : use numbers, as in 200,200\n"),
        (["rows", "--neurons", "12,0"], "--neurons 12,0: use 1 or more in each layer\n"),
        (
            ["rows", "--architecture", "rsnn", "--state", "3"],
            "a recurrent network with a slow state: use one of the two (--state 0 leaves it out)\n",
        ),
        (
            ["rows", "--without-speaker", "3"],
            "rows has no speakers to leave out: only spoken has\n",
        ),
    ],
)
def test_the_command_refuses_in_one_line(
    arguments: list[str], message: str, tmp_path: Path
) -> None:
    result = CliRunner().invoke(main, [*arguments, "--out", str(tmp_path / "out")])
    assert result.exit_code == 2 and result.stderr.startswith(f"error: {message}")
    assert result.stderr.count("\n") == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "option",
    [
        "--theta=0", "--leak=1.5", "--max-delay=256", "--weight-bits=1", "--weight-bits=17",
        "--slow-bits=17", "--state-bits=3", "--state-bits=17",
        "--architecture=cnn", "--dilation=0", "--epochs=0", "--aware-epochs=-1",
    ],
)  # fmt: skip
def test_the_command_refuses_values_out_of_range(option: str, tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["rows", option, "--out", str(tmp_path / "out")])
    assert result.exit_code == 2 and option.split("=")[0] in result.stderr
    assert not (tmp_path / "out").exists()


def test_a_full_disk_is_one_line(data: Path, tmp_path: Path) -> None:
    """A limit on the size of files, which only the checkpoint exceeds, stands for the disk."""
    out, before = tmp_path / "out", resource.getrlimit(resource.RLIMIT_FSIZE)
    options = ["--data", str(data), "--out", str(out), "--epochs", "1", "--batch", "8"]
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
    try:
        done = CliRunner().invoke(main, ["rows", *options, "--limit", "16"])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert done.exit_code == 2
    said = done.stderr.splitlines()[-1]
    assert said == f"error: {out / 'rows.pt'}: File too large: use another path"
    assert {path.name for path in out.iterdir()} == {"rows.csv", "rows.png"}


@pytest.mark.parametrize("name", ["a/b", "", "3", "a b"])
def test_a_name_that_no_network_can_have_is_refused(name: str, data: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = CliRunner().invoke(
        main, ["rows", "--data", str(data), "--out", str(out), "--name", name]
    )
    assert done.exit_code == 2 and f"a network called '{name}'" in done.stderr
    assert not out.exists()


def test_a_curve_of_something_else_stays(data: Path, tmp_path: Path) -> None:
    options = ["--data", str(data), "--out", str(tmp_path), "--epochs", "1", "--batch", "8"]
    for text in ("day,price\n1,2\n", "epoch\nMonday\n"):
        (tmp_path / "rows.csv").write_text(text)
        done = CliRunner().invoke(main, ["rows", *options, "--limit", "16"])
        assert done.exit_code == 2 and "rows.csv is no learning curve: move it" in done.stderr
        assert (tmp_path / "rows.csv").read_text() == text


def test_a_network_too_large_for_the_memory_is_one_line(data: Path, tmp_path: Path) -> None:
    options = ["--data", str(data), "--out", str(tmp_path / "out"), "--batch", "8"]
    done = CliRunner().invoke(main, ["rows", *options, "--neurons", "10000000,10000000"])
    assert done.exit_code == 2
    assert done.stderr.splitlines()[-1].startswith("error: too little memory")


def test_the_command_trains(data: Path, tmp_path: Path) -> None:
    options = [
        "--data", str(data), "--out", str(tmp_path), "--epochs", "1", "--batch", "8",
        "--limit", "16", "--threads", str(torch.get_num_threads()),
    ]  # fmt: skip
    result = CliRunner().invoke(main, ["rows", *options])
    assert result.exit_code == 0, result.output
    recipe = {"epochs_done": 1, "epochs": 1, "batch": 8, "learning_rate": 0.01, "seed": 0}
    recipe["limit"] = 16
    expected = recipe | {"topology": TOPOLOGIES["rows"].to_dict()}
    assert load_recipe(tmp_path / "rows.pt") == expected
    # Every option that says what to train, and how.
    options += [
        "--neurons", "9,7,5", "--state", "3", "--theta", "14.5", "--dilation", "2", "--max-delay",
        "4", "--leak", "0.25", "--learning-rate", "0.02", "--augmentation", "0", "--seed", "4",
        "--weight-bits", "5", "--slow-bits", "4", "--state-bits", "12", "--aware-epochs", "1",
        "--start", str(tmp_path / "start.pt"),
    ]  # fmt: skip
    topology = replace(
        TOPOLOGIES["rows"], n_neurons=(9, 7, 5), n_state=3, theta=14.5, dilation=2, max_delay=4,
        leak=0.25,
    )  # fmt: skip
    train("start", topology, data, tmp_path, Recipe(epochs=1, batch=8, limit=16))
    result = CliRunner().invoke(main, ["rows", "--architecture", "dmp-delays", *options])
    assert result.exit_code == 0, result.output
    assert load_recipe(tmp_path / "rows_dmp_delays.pt") == recipe | {
        "topology": topology.to_dict(), "learning_rate": 0.02, "augmentation": 0.0, "seed": 4,
        "weight_bits": 5, "slow_bits": 4, "state_bits": 12, "aware_epochs": 1,
        "start": recipe | {"topology": topology.to_dict()},
    }  # fmt: skip
    result = CliRunner().invoke(main, ["rows", *options, "--name", "mine", "--start", "nowhere"])
    assert result.exit_code == 2 and not (tmp_path / "mine.pt").exists()
