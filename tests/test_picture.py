"""What all pictures have in common; and that the tests see texts that overlap."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

import pytest
from matplotlib.figure import Figure

from golden.picture import clear_ticks, save_picture
from tests.pictures import faults, texts_of


def make_figure() -> Figure:
    figure = Figure(figsize=(4, 3), layout="constrained")
    figure.subplots().set(title="a title", xlabel="x", xlim=(0, 10))
    return figure


def test_texts_that_overlap_are_seen() -> None:
    figure = make_figure()
    assert not faults(figure)
    axes = figure.axes[0]
    axes.set_xticks([1, 2, 3, 3.2], ["one", "two", "three hundred", "four hundred"])
    assert any("'three hundred' overlaps 'four hundred'" in line for line in faults(figure))
    axes.set_xticks([1, 5, 30], ["one", "two", "outside, and not drawn"])
    assert not faults(figure)
    axes.set_title("a title that is wider than the whole picture is, so that its ends are cut off")
    assert any("reaches out" in line for line in faults(figure))
    axes.set_title("a title")
    nested = Figure(figsize=(6, 3))
    for part in nested.subfigures(1, 2, squeeze=False)[0]:
        part.suptitle("so long a title of one half that it reaches into the other half of it")
    assert any("overlaps" in line for line in faults(nested))


@pytest.mark.parametrize(("low", "high"), [(3, 40), (1, 90), (9, 250), (0.02, 0.9), (1, 3e6)])
def test_logarithmic_axes_have_plain_numbers_that_can_be_read(low: float, high: float) -> None:
    figure = make_figure()
    axes = figure.axes[0]
    axes.plot([low, high], [low, high])
    axes.set(xscale="log", yscale="log", xlim=(low, high), ylim=(low, high))
    for axis in (axes.xaxis, axes.yaxis):
        clear_ticks(axis)
    assert not faults(figure)
    shown = [text.get_text() for text in texts_of(figure)][:-2]
    numbers = [float(text) for text in shown if text.replace(".", "").replace("e+", "").isdigit()]
    assert len(set(numbers)) >= 2 and all(low <= number <= high for number in numbers)


def test_a_picture_is_written_whole_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "some.png"
    assert save_picture(make_figure(), path) == path
    earlier = path.read_bytes()
    assert earlier.startswith(b"\x89PNG") and list(tmp_path.iterdir()) == [path]

    def fail(self: Figure, file: BinaryIO, **options: object) -> None:
        file.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Figure, "savefig", fail)
    with pytest.raises(OSError, match="No space"):
        save_picture(make_figure(), path)
    assert path.read_bytes() == earlier and list(tmp_path.iterdir()) == [path]
