"""Look at a picture as a reader does: whether its texts can be told apart."""

from __future__ import annotations

from itertools import combinations

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure, FigureBase
from matplotlib.text import Text

TOUCHING = 0.5  # pixels by which two boxes may share an edge


def texts_of(figure: FigureBase) -> list[Text]:
    """Return the texts of a drawn figure: of its panels the labels of ticks within their limits,
    the titles, and the labels of the axes; and those of the figure itself.
    """
    found = [text for text in figure.texts]
    for nested in figure.subfigs:
        found += texts_of(nested)
    for axes in figure.axes if isinstance(figure, Figure) else []:
        found += [axes.title, axes.xaxis.label, axes.yaxis.label]
        found += [axes.xaxis.get_offset_text(), axes.yaxis.get_offset_text(), *axes.texts]
        for axis in (axes.xaxis, axes.yaxis):
            low, high = sorted(axis.get_view_interval())
            for tick in (*axis.get_major_ticks(), *axis.get_minor_ticks()):
                if low - 1e-9 <= tick.get_loc() <= high + 1e-9:
                    found += [tick.label1, tick.label2]
    return [text for text in found if text.get_visible() and text.get_text().strip()]


def faults(figure: Figure) -> list[str]:
    """Return which texts of a figure overlap, and which reach out of it."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    renderer = canvas.get_renderer()
    width, height = canvas.get_width_height()
    boxes = [(text.get_text(), text.get_window_extent(renderer)) for text in texts_of(figure)]
    assert boxes, "a picture without a word"
    found = []
    for (one, a), (other, b) in combinations(boxes, 2):
        shared = (
            min(a.x1, b.x1) - max(a.x0, b.x0) > TOUCHING,
            min(a.y1, b.y1) - max(a.y0, b.y0) > TOUCHING,
        )
        if all(shared):
            found.append(f"'{one}' overlaps '{other}'")
    for text, box in boxes:
        if box.x0 < -1 or box.y0 < -1 or box.x1 > width + 1 or box.y1 > height + 1:
            found.append(f"'{text}' reaches out of the picture")
    return found
