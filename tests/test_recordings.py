"""Recordings become events: tones are heard where they are, and every wrong file is named."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from scipy.io import wavfile

from dmp_core.__main__ import main
from export.store import Card, find_dataset, load_network, save_network
from golden.data import front_end as of
from golden.data import recordings
from golden.data.front_end import centres, encode, levels
from golden.data.recordings import Recordings, convert
from golden.data.speech import load_spoken
from golden.errors import UserError

RATE = 8000
TONES = {0: 300.0, 1: 900.0, 2: 2500.0}  # Hz, by digit
SPEAKERS = ("anna", "bob")
INDICES = (0, 4, 5, 12)


def tone(hertz: float, seconds: float = 0.3, rate: int = RATE, silence: float = 0.1) -> np.ndarray:
    """Return silence, then a tone, as 16-bit samples."""
    sound = 8000 * np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate)
    return np.concatenate([np.zeros(round(silence * rate)), sound]).astype(np.int16)


def write(folder: Path) -> Path:
    """Write recordings of two speakers, the second's longer and not as loud."""
    (folder / "below").mkdir(parents=True)
    for digit, hertz in TONES.items():
        for speaker in SPEAKERS:
            for index in INDICES:
                sound = tone(hertz, 0.3 if speaker == "anna" else 1.2) // (1 + index)
                place = folder / ("below" if digit else "")
                wavfile.write(place / f"{digit}_{speaker}_{index}.wav", RATE, sound)
    (folder / "README.md").write_text("no recording")
    (folder / "7_of_nobody.wav").write_text("no recording")
    return folder


def call(*arguments: Any) -> Result:
    return CliRunner().invoke(main, ["spoken", *map(str, arguments)])


def test_tones_are_heard_where_and_when_they_are(tmp_path: Path) -> None:
    out = tmp_path / "new" / "fsdd_140x100.npz"
    done = call(write(tmp_path / "in"), "--out", out)
    assert done.exit_code == 0, done.output
    assert "12 train, 12 test" in done.output and "0 anna, 1 bob" in done.output
    assert "12 recordings are longer than 1 second" in done.output
    for split, indices in (("test", INDICES[:2]), ("train", INDICES[2:])):
        found = load_spoken(out.parent, split)
        assert found.labels.tolist() == [0, 0, 1, 1, 2, 2] * len(indices)
        assert found.speakers is not None
        assert found.speakers.tolist() == [0, 1] * 3 * len(indices)
        for events, label, speaker in zip(found.events, found.labels, found.speakers, strict=True):
            nearest = np.abs(centres() - TONES[int(label)]).argmin()
            counts = events.sum(0)
            assert np.flatnonzero(counts == counts.max()).mean() == pytest.approx(nearest, abs=4)
            assert not events[:10].any() and events[12:40].any(1).mean() > 0.8
            assert events[40:].any() == (speaker == 1), "the silence after it is silent"
    with np.load(out) as arrays:
        assert arrays["test_duration"] == pytest.approx([0.4, 1.3] * 6)


def test_there_may_be_many_speakers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """More than a byte counts; what they say does not matter here."""
    monkeypatch.setattr(recordings, "levels", lambda sound, rate: np.zeros((1, 140)))
    for speaker in range(300):
        for index in (0, 5):
            wavfile.write(tmp_path / f"1_s{speaker:03}_{index}.wav", RATE, np.ones(9, np.int16))
    recordings.save(tmp_path / "a.npz", convert(Recordings(tmp_path))[0])
    for split in ("train", "test"):
        speakers = load_spoken(tmp_path / "a.npz", split).speakers
        assert speakers is not None and speakers.tolist() == list(range(300))


def test_the_same_recordings_give_the_same_file(tmp_path: Path) -> None:
    folder = write(tmp_path / "in")
    with zipfile.ZipFile(tmp_path / "in.zip", "w") as archive:
        for path in sorted(folder.rglob("*"), reverse=True):
            archive.write(path, f"recordings/{path.relative_to(folder)}")
    outs = [tmp_path / "one.npz", tmp_path / "other.npz"]
    for source, out in zip((folder, tmp_path / "in.zip"), outs, strict=True):
        assert call(source, "--out", out).exit_code == 0
    with np.load(outs[0]) as one, np.load(outs[1]) as other:
        assert all(np.array_equal(one[name], other[name]) for name in one.files)
    # The file itself is DATA of a network for spoken digits, with its speaker left out.
    first: dict[int | None, np.ndarray] = {None: load_spoken(outs[0], "test").events[0]}
    first[1] = load_spoken(outs[0], "train").events[1]
    for without, events in first.items():
        card = Card("spoken", 100, 0, 0.0, 0.0, 0, [], {"without_speaker": without})
        save_network(load_network("spoken"), tmp_path / "net", card)
        found = find_dataset(tmp_path / "net", outs[0])
        assert len(found) == 12 and np.array_equal(found.sequences()[0], events)


def test_the_centres_are_equally_far_apart_in_the_ear() -> None:
    """Glasberg and Moore: a bandwidth of 24.7 (4.37 f / 1000 + 1) Hz."""
    found = centres()
    assert found.shape == (140,) and found[[0, -1]] == pytest.approx([100, 3700])
    bandwidths = 24.7 * (4.37 * found / 1000 + 1)
    apart = np.diff(found) / ((bandwidths[1:] + bandwidths[:-1]) / 2)
    assert apart == pytest.approx(np.full(139, apart.mean()), rel=1e-3)


def test_how_loud_and_in_what_samples_says_nothing() -> None:
    sound = tone(700.0) + tone(1900.0) // 2
    expected = encode(levels(sound, RATE))
    assert expected.any()
    for other in (sound * 0.01, sound / 2.0**15, np.concatenate([sound, np.zeros(8000)])):
        assert np.array_equal(encode(levels(other, RATE))[:40], expected[:40])
    finer = tone(700.0, rate=16000) + tone(1900.0, rate=16000) // 2
    assert (encode(levels(finer, 16000)) != expected).mean() < 0.02
    assert not encode(levels(np.zeros(4000), RATE)).any()


def test_levels_are_decibels() -> None:
    sound = np.concatenate([tone(700.0), tone(700.0) // 10])
    found = levels(sound, RATE)[:, np.abs(centres() - 700).argmin()]
    assert not levels(sound, RATE)[:9].any(), "silence has the level 0"
    assert found[30] == pytest.approx(1, abs=0.01)
    assert found[70] == pytest.approx(1 - 20 / 50, abs=0.01)


def test_a_neuron_adds_up_and_subtracts() -> None:
    """One value after another, for a channel far from all others."""
    given = np.zeros((40, 140))
    given[:, 70] = np.linspace(0, 1, 40)
    membrane, expected = 0.0, []
    for value in given[:, 70]:
        drive = of.GAIN * (value - of.INHIBITION * value / of.AROUND)
        membrane = max(of.LEAK * membrane + drive, 0.0)
        expected.append(int(membrane >= 1))
        membrane -= expected[-1]
    found = encode(given)
    assert found[:40, 70].tolist() == expected and 0 < sum(expected) < 40
    assert found.sum() == sum(expected)


def low_rate(folder: Path) -> None:
    wavfile.write(folder / "0_anna_0.wav", 4000, tone(300.0))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda f: (f / "0_anna_0.wav").write_bytes(b""), "in/0_anna_0.wav is no WAV file"),
        (lambda f: (f / "0_anna_0.wav").write_text("no"), "in/0_anna_0.wav is no WAV file"),
        (
            lambda f: (f / "0_anna_0.wav").write_bytes((f / "0_anna_0.wav").read_bytes()[:30]),
            "in/0_anna_0.wav is no WAV file",
        ),
        (
            lambda f: wavfile.write(f / "0_anna_0.wav", RATE, np.zeros(0, np.int16)),
            "in/0_anna_0.wav has no sound: remove it",
        ),
        (
            lambda f: wavfile.write(f / "0_anna_0.wav", RATE, np.full(9, np.nan, np.float32)),
            "in/0_anna_0.wav has no sound",
        ),
        (low_rate, "in/0_anna_0.wav has 4000 samples a second: use 8000 to 1000000"),
        (
            lambda f: (f / "below" / "0_anna_0.wav").write_bytes(b""),
            "in has 0_anna_0.wav and below/0_anna_0.wav: keep one of them",
        ),
        (
            lambda f: [p.unlink() for p in f.rglob("*_[04].wav")],
            "in has no recordings of the test split: index 0 to 4 is test",
        ),
        (
            lambda f: [p.unlink() for p in f.rglob("*_*_*.wav")],
            "in has no recordings: name them digit_speaker_index.wav",
        ),
    ],
)
def test_what_is_no_recording_is_named(
    damage: Callable[[Path], Any], message: str, tmp_path: Path
) -> None:
    folder = write(tmp_path / "in")
    damage(folder)
    done = call(folder, "--out", tmp_path / "out.npz")
    assert done.exit_code == 2 and message in done.stderr and not done.stdout
    assert done.stderr.splitlines()[-1].startswith("error: ")
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


def test_other_places(tmp_path: Path) -> None:
    (tmp_path / "some.txt").write_text("no")
    out = tmp_path / "out.npz"
    for source, message in (
        (tmp_path / "nowhere", "nowhere: name a folder or a zip of recordings"),
        (tmp_path / "some.txt", "some.txt is no folder and no zip: name one with recordings"),
    ):
        done = call(source, "--out", out)
        assert done.exit_code == 2 and message in done.stderr and done.stderr.count("\n") == 1
    out.write_text("mine")
    done = call(tmp_path, "--out", out)
    assert done.exit_code == 2 and "out.npz is there already" in done.stderr
    assert out.read_text() == "mine"


def test_a_slow_recording_is_refused() -> None:
    with pytest.raises(UserError, match="7999 samples a second: use 8000 to 1000000"):
        levels(tone(300.0), 7999)
