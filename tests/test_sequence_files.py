"""Files of sequences: what each layout holds, and every way in which one can be wrong."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dmp_core.frontends.layers import Lif, from_layers
from export.items import to_items
from golden.data.event_list import EventList, dense
from golden.data.event_text import read_text
from golden.data.sequence_files import Takes, read_sequences, save_sequences
from golden.data.synthetic import draw_layers
from golden.errors import UserError
from golden.formats import Fixed
from golden.payloads import check_payloads
from golden.reals import run_reals
from tests.spoken import draw_spikes, write_hdf5
from tests.test_mnist import flip

BYTES = Fixed(8, 8, signed=False)
SHAPE = (3, 6, 7)
NETWORK = Takes.of(draw_layers("mine", (7, 4), 0, 3, seed=0, payload=BYTES).params)
SIGNED = Takes.of(draw_layers("mine", (7, 4), 0, 3, seed=0, payload=Fixed(4, 0)).params)
RNG = np.random.default_rng(0)
PAYLOADS = RNG.integers(0, 256, SHAPE) * (RNG.random(SHAPE) < 0.3)
LABELS = np.array([2, 0, 1])


def write(path: Path, **arrays: Any) -> None:
    np.savez(path, **arrays)


def events(payloads: np.ndarray = PAYLOADS) -> dict[str, Any]:
    """Return the arrays of events, in an order that is not theirs."""
    places = np.array(np.nonzero(payloads))[:, ::-1]
    names = ("sequence", "timestep", "address")
    named = dict(zip(names, places, strict=True))
    return named | {"payload": payloads[tuple(places)], "shape": np.array(payloads.shape)}


def text(payloads: np.ndarray, labels: np.ndarray | None = None) -> str:
    """Return the lines of sequences, one event after another."""
    parts = []
    for index, sequence in enumerate(payloads):
        lines = ["# made in a test"]
        lines += [f"# label {labels[index]}"] if labels is not None else []
        for timestep, address in np.argwhere(sequence):
            value = sequence[timestep, address]
            lines.append(f"{timestep} {address}" + (f" {value} # big" if value != 1 else ""))
        parts.append("\n".join(lines))
    return "\n\n\n".join(parts) + "\n"


@pytest.mark.parametrize("labels", [LABELS, None])
@pytest.mark.parametrize("kind", ["payloads", "events", "text", "saved", "floats"])
def test_every_layout_gives_the_same_sequences(
    kind: str, labels: np.ndarray | None, tmp_path: Path
) -> None:
    known: dict[str, Any] = {} if labels is None else {"labels": labels}
    path = tmp_path / ("some.aer" if kind == "text" else "some.npz")
    if kind == "payloads":
        write(path, payloads=PAYLOADS, **known)
    elif kind == "events":
        write(path, **events(), **known)
    elif kind == "text":
        path.write_text(text(PAYLOADS, labels))
    elif kind == "floats":
        write(path, payloads=PAYLOADS.astype(np.float32), **known)
    else:
        save_sequences(path, PAYLOADS, labels)
    found = read_sequences(path, NETWORK, 6)
    assert np.array_equal(found.sequences(), PAYLOADS)
    assert found.sequences().dtype.kind in "iu"
    assert found.labels.tolist() == ([-1] * 3 if labels is None else labels.tolist())
    assert found.labelled == (labels is not None)
    assert np.array_equal(found.select(slice(1, 3)).picture(0), PAYLOADS[1].T)


def test_events_are_spikes_where_no_payload_is_said(tmp_path: Path) -> None:
    arrays = events()
    del arrays["payload"]
    write(tmp_path / "some.npz", **arrays)
    found = read_sequences(tmp_path / "some.npz", NETWORK, 0)
    assert np.array_equal(found.sequences(), PAYLOADS != 0)


def test_signed_payloads_come_back(tmp_path: Path) -> None:
    payloads = RNG.integers(-8, 8, SHAPE)
    write(tmp_path / "some.npz", **events(payloads))
    (tmp_path / "some.txt").write_text(text(payloads))
    for name in ("some.npz", "some.txt"):
        found = read_sequences(tmp_path / name, SIGNED, 6).sequences()
        assert np.array_equal(found, payloads)


def test_short_sequences_of_text_end_with_empty_timesteps(tmp_path: Path) -> None:
    path = tmp_path / "some.aer"
    path.write_text("0 1\n2 3\n\n# label\tis no label: a tab\n\n# only words\n\n4 6 9\n\n")
    for n_timesteps, length in ((0, 5), (4, 5), (9, 9)):
        with pytest.raises(UserError, match="line 4: label 'is no label: a tab' is no integer"):
            read_text(path)
        fixed = tmp_path / "fixed.aer"
        fixed.write_text(path.read_text().replace("# label\t", "# a label "))
        found = read_sequences(fixed, NETWORK, n_timesteps).sequences()
        expected = np.zeros((2, length, 7), int)
        expected[0, 0, 1] = expected[0, 2, 3] = 1
        expected[1, 4, 6] = 9
        assert np.array_equal(found, expected)


def test_a_sequence_may_have_a_label_and_no_event(tmp_path: Path) -> None:
    path = tmp_path / "some.aer"
    path.write_text("#label 1\n\n  # LABEL 0  \n0 0\n\n0 2\n# label 2\n")
    found = read_sequences(path, NETWORK, 2)
    assert found.labels.tolist() == [1, 0, 2]
    assert [np.argwhere(part).tolist() for part in found.sequences()] == [[], [[0, 0]], [[0, 2]]]


@given(st.data())
def test_dense_places_every_event(data: st.DataObject) -> None:
    shape = data.draw(st.tuples(*[st.integers(1, 4)] * 3))
    places = st.tuples(*(st.integers(0, size - 1) for size in shape))
    drawn = data.draw(st.dictionaries(places, st.integers(-9, 300), max_size=20))
    sequence, timestep, address = np.array(sorted(drawn), np.int64).reshape(-1, 3).T
    values = np.array([drawn[place] for place in sorted(drawn)], np.int64)
    expected = np.zeros(shape, np.int64)
    for place, value in drawn.items():
        expected[place] = value
    found = dense(EventList(shape[0], sequence, timestep, address, values), shape[1], shape[2])
    assert np.array_equal(found, expected)


def changed(value: Any, at: tuple[int, int, int] = (0, 3, 5), of: Any = float) -> dict[str, Any]:
    payloads = PAYLOADS.astype(of)
    payloads[at] = value
    return {"payloads": payloads}


WRONG_NPZ: list[tuple[dict[str, Any], str]] = [
    (changed(0.9), "payload 0.9 at sequence 0, timestep 3, input 5: use integers"),
    (changed(np.nan), "payload nan at sequence 0, timestep 3, input 5: use integers"),
    (changed(np.inf, (2, 0, 6)), "payload inf at sequence 2, timestep 0, input 6: use integers"),
    (changed(1e30), r"payload 1e\+30 at sequence 0, timestep 3, input 5: use integers"),
    (changed(-1, of=int), "payload -1 at sequence 0, timestep 3, input 5: use 0 to 255"),
    (changed(256, of=int), "payload 256 at sequence 0, timestep 3, input 5: use 0 to 255"),
    (changed(2**64 - 1, of=np.uint64), "payload 18446744073709551615 at sequence 0, .*: use 0 to"),
    ({"payloads": np.full(SHAPE, "a")}, "payloads of type <U1: use integers"),
    ({"payloads": np.full(SHAPE, 1j)}, "payloads of type complex128: use integers"),
    ({"payloads": PAYLOADS[:, :, :5]}, "sequences of 5 inputs, but network mine has 7"),
    ({"payloads": PAYLOADS[0]}, r"payloads of shape \(6, 7\): use \(sequences, timesteps, inputs"),
    ({"payloads": 3}, r"payloads of shape \(\): use \(sequences, timesteps, inputs\)"),
    ({"payloads": PAYLOADS[:0]}, "no sequences: use one or more"),
    ({"payloads": PAYLOADS[:, :0]}, "sequences without timesteps: use one or more"),
    ({"payloads": PAYLOADS, "labels": LABELS[:2]}, r"labels of shape \(2,\): use \(3,\), one a"),
    ({"payloads": PAYLOADS, "labels": 1}, r"labels of shape \(\): use \(3,\)"),
    ({"payloads": PAYLOADS, "labels": LABELS + 1}, "label 3 of sequence 0: use 0 to 2"),
    ({"payloads": PAYLOADS, "labels": LABELS - 1}, "label -1 of sequence 1: use 0 to 2"),
    ({"payloads": PAYLOADS, "labels": LABELS * 0.5}, "labels of type float64: use integers"),
    ({"payloads": PAYLOADS.astype(object)}, "holds Python objects, which are never loaded"),
    ({"payloads": PAYLOADS, "labels": LABELS.astype(object)}, "holds Python objects, which are"),
    ({"x": PAYLOADS, "y": LABELS}, r"has x, y: use payloads \(B, K, M\), or sequence, timestep,"),
    ({}, r"has nothing: use payloads"),
    (events() | {"shape": SHAPE[:2]}, r"shape is \[3, 6\]: use the numbers \(B, K, M\)"),
    ({k: v for k, v in events().items() if k != "shape"}, r"shape is \[\]: use the numbers"),
    (events() | {"shape": (3, 6, 8)}, "sequences of 8 inputs, but network mine has 7"),
    (
        events() | {"shape": (10**9, 10**9, 7)},
        "1000000000 sequences .* do not fit into memory: use",
    ),
    (events() | {"shape": (2, 6, 7)}, "event [0-9]+ has sequence 2: use 0 to 1"),
    (events() | {"shape": (3, 5, 7)}, "event [0-9]+ has timestep 5: use 0 to 4"),
    (events() | {"shape": (3, 6, 6)}, "event [0-9]+ has address 6: use 0 to 5"),
    (events() | {"address": events()["address"] * -1}, "event [0-9]+ has address -[0-9]+: use 0"),
    (events() | {"timestep": events()["timestep"] * 1.0}, "timestep is of type float64: use int"),
    (
        events() | {"sequence": events()["sequence"].astype(np.uint64) + 2**63},
        "sequence has 9223372036854775[0-9]+: use less than 9007199254740992",
    ),
    (events() | {"payload": events()["payload"][1:]}, "payload has the shape .*, and sequence"),
    (events() | {"address": 0 * events()["address"]}, "event [0-9]+ is the second of input 0 in"),
    (events() | {"labels": LABELS[:2]}, r"labels of shape \(2,\): use \(3,\)"),
]


@pytest.mark.parametrize(("arrays", "message"), WRONG_NPZ)
def test_what_an_npz_cannot_hold(arrays: dict[str, Any], message: str, tmp_path: Path) -> None:
    write(tmp_path / "some.npz", **arrays)
    refused(tmp_path / "some.npz", message)


def refused(path: Path, message: str, n_timesteps: int = 6) -> None:
    with pytest.raises(UserError, match=f"^there is no|{path}.*{message}") as error:
        read_sequences(path, NETWORK, n_timesteps)
    assert "\n" not in str(error.value)


def write_array(path: Path) -> None:
    with path.open("wb") as file:
        np.save(file, PAYLOADS)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda path: path.write_bytes(b""), "is no .npz, or damaged: write it with np.savez"),
        (lambda path: path.write_bytes(b"0 1\n"), "is no .npz, or damaged: write it with"),
        (lambda path: path.write_bytes(path.read_bytes()[:-300]), "is no .npz, or damaged"),
        (lambda path: flip(path, path.stat().st_size // 2), "is no .npz, or damaged"),
        (write_array, "is no .npz, or damaged: write it with np.savez"),
    ],
)
def test_a_damaged_npz(damage: Callable[[Path], Any], message: str, tmp_path: Path) -> None:
    write(tmp_path / "some.npz", payloads=PAYLOADS)
    damage(tmp_path / "some.npz")
    refused(tmp_path / "some.npz", message)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "no sequences: use one or more"),
        ("# nothing\n\n", "no sequences: use one or more"),
        ("0 1\n\n1\n", "line 3: '1' is no event: use `time address .payload.`"),
        ("0 1 2 3\n", "line 1: '0 1 2 3' is no event"),
        ("0 1\n0.5 1\n", "line 2: time '0.5' is no integer"),
        ("nan 1\n", "line 1: time 'nan' is no integer"),
        ("0 x\n", "line 1: address 'x' is no integer"),
        ("0 1 0.9\n", "line 1: payload '0.9' is no integer"),
        ("-1 1\n", "line 1: time -1: use 0 or more"),
        ("0 -1\n", "line 1: address -1: use 0 or more"),
        ("0 99999999999999999999\n", "line 1: address 99999999999999999999 is too large"),
        ("0 7\n", "event 0 has address 7: use 0 to 6"),
        ("0 1 256\n", "payload 256 at sequence 0, timestep 0, input 1: use 0 to 255"),
        ("0 1 -1\n", "payload -1 at sequence 0, timestep 0, input 1: use 0 to 255"),
        ("0 1\n0 1\n", "event 1 is the second of input 1 in timestep 0 of sequence 0"),
        ("# label 1\n# label 2\n0 1\n", "line 2: a second label of sequence 0"),
        ("# label x\n0 1\n", "line 1: label 'x' is no integer"),
        ("# label 1\n0 1\n\n0 1\n", "sequence 1 has no label, but others have"),
        ("# label 3\n0 1\n", "label 3 of sequence 0: use 0 to 2"),
        ("# label -1\n0 1\n", "label -1 of sequence 0: use 0 to 2"),
    ],
)
def test_what_is_no_text_of_events(content: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "some.txt").write_text(content)
    refused(tmp_path / "some.txt", message)


def test_other_files(tmp_path: Path) -> None:
    refused(tmp_path / "nowhere.npz", "there is no")
    (tmp_path / "some.csv").write_text("0 1\n")
    refused(tmp_path / "some.csv", "is of no kind that is known: use .npz, .h5, .hdf5, .aer, .txt")
    (tmp_path / "some.aer").write_bytes(b"\xff\xfe\x00")
    refused(tmp_path / "some.aer", "is no text: use lines")
    for suffix in (".h5", ".hdf5"):
        path = tmp_path / f"some{suffix}"
        path.write_bytes(b"no")
        refused(path, "is not an SHD or SSC file")
        write_hdf5(path, content := draw_spikes())
        refused(path, "label [0-9]+ of sequence [0-9]+: use 0 to 2")
        refused(path, "the network's card does not say how many timesteps", n_timesteps=0)
        del content["labels"]
        write_hdf5(path, content)
        assert not read_sequences(path, NETWORK, 6).labelled
        low = [units // 100 for units in content["spikes/units"]]
        write_hdf5(path, content | {"spikes/units": low})
        refused(path, "units of 0 to 6 are not those of 700 channels: make an .npz of it with")
    wide = Takes.of(draw_layers("wide", (37, 4), 0, 3, seed=0).params)
    with pytest.raises(UserError, match="700 channels do not divide onto 37 inputs: make an .npz"):
        read_sequences(path, wide, 6)


def test_payloads_mean_the_same_everywhere() -> None:
    """The core's items were cut to integers, and golden took 0.9 as it is."""
    broken = np.zeros((1, 2, 7))
    broken[0, 1, 4] = 0.9
    reals = from_layers([Lif(np.ones((1, 7)))], payload=BYTES).network
    for take in (
        to_items, lambda payloads: check_payloads(payloads, BYTES),
        lambda payloads: run_reals(reals, payloads),
    ):  # fmt: skip
        with pytest.raises(UserError, match="payload 0.9 at sequence 0, timestep 1, input 4: use"):
            take(broken)
    with pytest.raises(UserError, match=r"of shape \(1, 2, 6\): use \(sequences, timesteps, 7"):
        run_reals(reals, np.zeros((1, 2, 6), int))
    whole = PAYLOADS.astype(np.float64)
    assert np.array_equal(to_items(whole), to_items(PAYLOADS))
    assert np.array_equal(to_items(PAYLOADS != 0), to_items((PAYLOADS != 0).astype(int)))


def test_weights_are_integers() -> None:
    for value in (0.9, np.nan, np.inf):
        with pytest.raises(UserError, match=f"w has {value}: use integers"):
            BYTES.check(np.array([1.0, value]), "w")
    assert BYTES.check(np.array([1.0, 255.0]), "w").tolist() == [1, 255]
