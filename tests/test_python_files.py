"""Files that the Python face takes: of networks, and of sequences."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import nir
import numpy as np
import pytest

import dmp_core as dmp
from export.store import find_dataset, load_network
from golden.errors import UserError
from tests.face_inputs import LABELS, RNG, X, call, graph
from tests.spoken import draw_spikes, write_hdf5
from tests.test_frontend_lava import draw_block, write


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder, which is the working one, with a graph and sequences."""
    monkeypatch.chdir(tmp_path)
    nir.write(tmp_path / "model.nir", graph())
    np.savez(tmp_path / "x.npz", payloads=X)
    np.savez(tmp_path / "labelled.npz", payloads=X[:4], labels=LABELS[:4])
    return tmp_path


KNOWN = ("--dt", "1e-4", "--discretization", "euler", "--reset", "zero")


MODEL = ("model.nir", *KNOWN, "--calibration", "x.npz")


def test_a_file_becomes_a_folder(files: Path) -> None:
    done = call("model.nir", *KNOWN, "--calibration", "x.npz", "--test", "labelled.npz")
    assert done.exit_code == 0, done.output
    assert "a spike sets it" in done.stdout and "differ by itself" in done.stdout
    assert done.stdout.endswith("wrote nets/model: run it with dmp sim nets/model\n")
    network, x = load_network(files / "nets/model"), find_dataset(files / "nets/model")
    assert network.params.output is None and network.params.layers[0].formats.w_f.width == 8
    assert np.array_equal(x.sequences(), X[:4]) and np.array_equal(x.labels, LABELS[:4])
    expected = dmp.from_nir("model.nir", dt=1e-4, discretization="euler", reset="zero")
    again = expected.quantize(X, name="model").network
    assert again.params == network.params
    assert np.array_equal(again.layers[0].w_f, network.layers[0].w_f)
    done = call("model.nir", *KNOWN, "--calibration", "x.npz")
    assert done.exit_code == 2 and "exists: use another folder, or --force" in done.output
    assert call("model.nir", *KNOWN, "--calibration", "x.npz", "--force").exit_code == 0


def test_a_file_of_lava_becomes_a_folder_of_that_name(files: Path) -> None:
    write(files / "lava.net", [draw_block(RNG, 4, 6)])
    done = call("lava.net")
    assert done.exit_code == 0, done.output
    assert done.stdout.endswith("run it with dmp sim nets/lava --data FILE\n")
    assert load_network(files / "nets/lava").params.name == "lava"
    with pytest.raises(UserError, match="no sequences are shipped"):
        find_dataset(files / "nets/lava")
    done = call("lava.net", "--test", "x.npz", "--name", "other")
    assert done.exit_code == 0, done.output
    assert load_network(files / "nets/other").params.name == "other"
    assert np.array_equal(find_dataset(files / "nets/other").sequences(), X)


def test_sequences_are_taken_from_every_kind_of_file(files: Path) -> None:
    """Each gives the network, and the sequences, that an .npz of the same payloads gives."""
    places = dict(zip(("sequence", "timestep", "address"), X.nonzero(), strict=True))
    events: dict[str, Any] = {**places, "shape": np.array(X.shape)}
    np.savez(files / "events.npz", **events)
    text = ("\n".join(f"{k} {m}" for k, m in np.argwhere(x)) for x in X)
    (files / "x.aer").write_text("\n\n".join(text))
    first = None
    for name in ("x.npz", "events.npz", "x.aer"):
        done = call("model.nir", *KNOWN, "--calibration", name, "--timesteps", "15", "--force")
        assert done.exit_code == 0, done.output
        assert np.array_equal(find_dataset("nets/model").sequences(), X)
        found = load_network("nets/model")
        first = first or found
        assert found.params == first.params
        assert np.array_equal(found.layers[0].w_f, first.layers[0].w_f)


def test_the_first_second_of_hdf5_falls_into_timesteps(files: Path) -> None:
    ones = np.ones(3)
    lif = nir.LIF(tau=ones * 1e-3, r=ones, v_leak=ones * 0, v_threshold=ones * 0.1)
    nodes = (nir.Input({"input": np.array([7])}), nir.Linear(RNG.normal(0.5, 1, (3, 7))), lif,
             nir.Output({"output": np.array([3])}))  # fmt: skip
    nir.write(files / "seven.nir", nir.NIRGraph.from_list(*nodes))
    write_hdf5(files / "x.h5", spikes := draw_spikes())
    arguments = ("seven.nir", *KNOWN, "--calibration", "x.h5")
    done = call(*arguments)
    assert done.exit_code == 2 and "(--timesteps)" in done.stderr
    done = call(*arguments, "--timesteps", "20")
    assert done.exit_code == 0, done.output
    found = find_dataset("nets/seven").sequences()
    times, units = (spikes[f"spikes/{name}"] for name in ("times", "units"))
    expected = np.zeros((len(times), 20, 7), np.int64)
    for sequence, (when, unit) in enumerate(zip(times, units, strict=True)):
        for time, channel in zip(when, unit, strict=True):
            if 0 <= time < 1:
                expected[sequence, int(float(time) * 20), channel // 100] = 1
    assert np.array_equal(found, expected) and expected.any()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("model.nir", "--calibration", "x.npz"), "--dt"),
        (("model.nir", "--dt", "1e-4", "--reset", "zero", "--calibration", "x.npz"), "euler"),
        (("model.nir", *KNOWN[:4], "--calibration", "x.npz"), "does not say how it resets"),
        (("model.nir", *KNOWN), "model.nir holds reals: give training sequences (--calibration"),
        (("model.nir", *KNOWN, "--calibration", "none.npz"), "none.npz"),
        (
            ("model.nir", *KNOWN, "--calibration", "model.nir"),
            "of no kind that is known",
        ),
        (
            ("model.nir", *KNOWN, "--calibration", "other.npz"),
            "other.npz has x: use payloads",
        ),
        (("model.nir", *KNOWN, "--calibration", "real.npz"), "0.9"),
        (("model.nir", *KNOWN, "--calibration", "narrow.npz"), "narrow.npz: sequences of 5 inputs"),
        ((*MODEL, "--timesteps", "14"), "--timesteps 14: the sequences of x.npz have 15"),
        (("model.nir", "--dt", "nan", "--calibration", "x.npz"), "nan is no number"),
        (("model.nir", "--dt", "1", *KNOWN[2:], "--calibration", "x.npz"), "1 - dt / tau negative"),
        (("model.onnx", "--calibration", "x.npz"), "files of networks end with .nir"),
        (("none.nir", *KNOWN, "--calibration", "x.npz"), "none.nir"),
        (("model.net", "--dt", "1e-4"), "--dt with a Lava file"),
        (("model.net", "--fires", "at"), "--fires with a Lava file"),
        (("lava.net", "--weight-bits", "8"), "--weight-bits with a Lava"),
        (("lava.net", "--payload-bits", "8"), "--payload-bits with a"),
        (("lava.net", "--calibration", "x.npz"), "give sequences as --test"),
        (
            ("lava.net", "--test", "narrow.npz"),
            "narrow.npz: sequences of 5 inputs, but",
        ),
        (("lava.net", "--timesteps", "5"), "--timesteps 5 without sequences: give --calibration"),
        (("model.net", "--test", "x.npz"), "model.net is no HDF5 file"),
        (("none.net",), "no file none.net"),
        (("model.nir", *KNOWN, "--calibration", "x.npz", "--name", "a b"), "a b"),
        (("model.nir", *KNOWN, "--calibration", "x.npz", "--weight-bits", "1"), "--weight-bits"),
        (("model.nir", *KNOWN, "--calibration", "x.npz", "--test", "bad.npz"), "bad.npz: labels"),
        (("model.nir", *KNOWN, "--calibration", "x.npz", "--test", "real.npz"), "real.npz: pay"),
        (
            ("model.nir", *KNOWN, "--calibration", "x.npz", "--out", "x.npz"),
            "x.npz is a file",
        ),
    ],
)
def test_what_cannot_be_imported_is_one_line(
    files: Path, arguments: Sequence[str], words: str
) -> None:
    np.savez(files / "other.npz", x=X)
    np.savez(files / "real.npz", payloads=X * 0.9)
    np.savez(files / "narrow.npz", payloads=X[:, :, :5])
    np.savez(files / "bad.npz", payloads=X, labels=LABELS[:3])
    (files / "model.net").write_text("no HDF5")
    write(files / "lava.net", [draw_block(RNG, 4, 6)])
    done = call(*arguments)
    assert done.exit_code == 2, done.output
    assert done.stderr.startswith("error: ") and words in done.stderr
    assert done.stderr.count("\n") == 1  # and so before anything was run
    assert not (files / "nets").exists()
