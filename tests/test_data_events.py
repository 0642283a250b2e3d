"""Events at times become payloads at timesteps: counted one by one, and what is refused."""

from __future__ import annotations

import math
import re
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

from dmp_core.__main__ import main
from golden.data.speech import load_hdf5
from tests.spoken import draw_spikes, write_hdf5

RNG = np.random.default_rng(4)
N_EVENTS, STEP_US = 300, 700
SEQUENCE = np.sort(RNG.integers(0, 4, N_EVENTS))
TIME = RNG.integers(0, 12 * STEP_US, N_EVENTS)
ADDRESS = RNG.integers(0, 21, N_EVENTS)
PAYLOAD = RNG.integers(1, 4, N_EVENTS)
LABELS = np.array([3, 0, 200, 1])
SHAPE = ("--timesteps", "10", "--inputs", "7")


def call(*arguments: Any) -> Result:
    return CliRunner().invoke(main, ["events", *map(str, arguments)])


def expected(largest: int = 255, n_channels: int = 21) -> tuple[np.ndarray, int, int]:
    """Return payloads, and how many events are outside and how many payloads too large."""
    sums: Counter[tuple[int, int, int]] = Counter()
    outside = 0
    for sequence, time, address, payload in zip(SEQUENCE, TIME, ADDRESS, PAYLOAD, strict=True):
        if time // STEP_US >= 10:
            outside += 1
        else:
            sums[sequence, time // STEP_US, address // (n_channels // 7)] += payload
    payloads = np.zeros((4, 10, 7), int)
    for place, total in sums.items():
        payloads[place] = min(total, largest)
    return payloads, outside, sum(total > largest for total in sums.values())


def write_text(path: Path) -> None:
    parts = []
    for index in range(4):
        lines = [f"# label {LABELS[index]}"]
        lines += [f"{TIME[i]} {ADDRESS[i]} {PAYLOAD[i]}" for i in np.flatnonzero(SEQUENCE == index)]
        parts.append("\n".join(lines))
    path.write_text("\n\n".join(parts))


def write_npz(path: Path, scale: float = 1, **change: Any) -> None:
    order = RNG.permutation(N_EVENTS)
    arrays: dict[str, Any] = {
        "sequence": SEQUENCE[order],
        "time": TIME[order] * scale,
        "address": ADDRESS[order],
        "payload": PAYLOAD[order],
        "labels": LABELS,
    }
    np.savez(
        path, **{name: value for name, value in (arrays | change).items() if value is not None}
    )


@pytest.mark.parametrize("kind", ["text", "npz", "seconds"])
def test_every_kind_of_file_is_counted(kind: str, tmp_path: Path) -> None:
    path, out = tmp_path / ("some.aer" if kind == "text" else "some.npz"), tmp_path / "out.npz"
    write_text(path) if kind == "text" else write_npz(path, 1e-6 if kind == "seconds" else 1)
    unit = ["--unit", "s"] if kind == "seconds" else []
    options = (*SHAPE, "--step", "0.7ms", "--channels", 21, "--payload-bits", 3, *unit)
    done = call(path, *options, "--out", out)
    assert done.exit_code == 0, done.output
    payloads, outside, clipped = expected(7)
    assert outside and clipped
    assert f"{N_EVENTS} in the file, {outside} before the first" in done.output
    assert f"clipped     {clipped} payloads to 7" in done.output
    with np.load(out) as arrays:
        assert np.array_equal(arrays["payloads"], payloads) and arrays["payloads"].dtype == np.uint8
        assert arrays["labels"].tolist() == LABELS.tolist()


def test_events_are_one_where_there_are_enough(tmp_path: Path) -> None:
    write_npz(tmp_path / "some.npz", labels=None)
    payloads, _, _ = expected()
    for least in (1, 3):
        options = (*SHAPE, "--step", "700us", "--channels", 21, "--binary", "--at-least", least)
        done = call(tmp_path / "some.npz", *options, "--out", tmp_path / "out.npz", "--force")
        assert done.exit_code == 0 and "clipped" not in done.output, done.output
        with np.load(tmp_path / "out.npz") as arrays:
            assert arrays.files == ["payloads"]
            assert np.array_equal(arrays["payloads"], payloads >= least)


def test_a_file_of_shd_becomes_what_its_loader_makes(tmp_path: Path) -> None:
    write_hdf5(tmp_path / "some.h5", draw_spikes())
    options = ("--timesteps", 64, "--step", f"{1 / 64}s", "--channels", 700, "--inputs", 140)
    out = tmp_path / "new" / "out.npz"
    done = call(tmp_path / "some.h5", *options, "--binary", "--at-least", 2, "--out", out)
    assert done.exit_code == 0, done.output
    found = load_hdf5(tmp_path / "some.h5", 64, min_spikes=2)
    with np.load(out) as arrays:
        assert np.array_equal(arrays["payloads"], found.events) and found.events.any()
        assert np.array_equal(arrays["labels"], found.labels)


def test_a_time_at_the_start_of_a_timestep_is_in_it(tmp_path: Path) -> None:
    """0.29 / 0.01 is 28.999999999999996."""
    times = np.arange(100) * 0.01
    assert (np.floor(times / 0.01) != np.arange(100)).any()
    none = np.zeros(100, int)
    np.savez(tmp_path / "some.npz", sequence=none, time=times, address=none)
    options = ("--timesteps", 100, "--step", "10ms", "--inputs", 1, "--unit", "s")
    assert call(tmp_path / "some.npz", *options, "--out", tmp_path / "out.npz").exit_code == 0
    with np.load(tmp_path / "out.npz") as found:
        assert found["payloads"][0, :, 0].tolist() == [1] * 100


@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        ({}, ("--step", "10"), "'10' is no duration with a unit: use 10ms, 0.5s or 500us"),
        ({}, ("--step", "0ms"), "'0ms' is no duration"),
        ({}, ("--step", "1.2.3ms"), "'1.2.3ms' is no duration"),
        ({}, ("--step", "-1ms"), "'-1ms' is no duration"),
        ({}, ("--timesteps", "0"), "'--timesteps': 0 is not in the range"),
        ({}, ("--payload-bits", "17"), "'--payload-bits': 17 is not in the range"),
        ({}, ("--channels", "5"), "7 inputs of 5 channels: use as many or fewer"),
        ({}, ("--channels", "20"), "some.npz: event [0-9]+ has address 20: use 0 to 19"),
        ({}, ("--out", "some.csv"), "--out some.csv: use a name that ends with .npz"),
        ({"time": None}, (), "some.npz has [a-z, ]*: use sequence, time, address$"),
        ({"time": TIME * math.nan}, (), "event 0 has time nan: use a number"),
        ({"time": TIME[1:]}, (), r"time has the shape \(299,\), and sequence \(300,\)"),
        ({"address": ADDRESS * 1.0}, (), "address is of type float64: use integers"),
        ({"address": ADDRESS - 21}, (), "event 0 has address -[0-9]+: use 0 to 20"),
        ({"payload": PAYLOAD - 3}, (), "event [0-9]+ has payload (0|-1|-2): use 1 or more"),
        ({"labels": LABELS - 1}, (), "label -1 of sequence 1: use 0 or more"),
        ({"labels": LABELS[:2]}, (), "event [0-9]+ has sequence [23]: use 0 to 1"),
        ({"labels": None, "sequence": SEQUENCE * 10**12}, (), "000001 sequences .* do not fit"),
        ({"labels": LABELS * 1.0}, (), "labels of type float64: use integers"),
        ({"labels": None, "sequence": SEQUENCE[:0], "time": TIME[:0], "address": ADDRESS[:0],
          "payload": PAYLOAD[:0]}, (), "some.npz: no sequences: use one or more"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_one_line(
    change: dict[str, Any], options: tuple[str, ...], message: str, tmp_path: Path
) -> None:
    write_npz(tmp_path / "some.npz", **change)
    rest = (*SHAPE, "--step", "700us", "--channels", 21, "--out", tmp_path / "out.npz", *options)
    done = call(tmp_path / "some.npz", *rest)
    assert done.exit_code == 2 and not done.stdout
    assert re.match(f"error: .*{message}", done.stderr) and done.stderr.count("\n") == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["some.npz"]


def test_other_files_and_what_is_there(tmp_path: Path) -> None:
    options = (*SHAPE, "--step", "1ms", "--out", tmp_path / "out.npz")
    (tmp_path / "some.csv").write_text("0 1")
    (tmp_path / "some.txt").write_text("0.5 1\nnan 1\n")
    for name, message in (
        ("nowhere.aer", "there is no"),
        ("some.csv", "is of no kind that is known: use .aer, .txt, .npz, .h5, .hdf5"),
        ("some.txt", "line 2: time 'nan' is no number"),
    ):
        done = call(tmp_path / name, *options)
        assert done.exit_code == 2 and message in done.stderr and done.stderr.count("\n") == 1
    (tmp_path / "out.npz").write_text("mine")
    write_npz(tmp_path / "some.npz")
    done = call(tmp_path / "some.npz", *options)
    assert done.exit_code == 2 and "is there already" in done.stderr
    assert (tmp_path / "out.npz").read_text() == "mine"
