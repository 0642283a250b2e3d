"""What all pictures have in common: how they are written, and numbers that can be read on
logarithmic axes.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from golden.files import write_whole

if TYPE_CHECKING:  # half a second to load, and only a picture needs it
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

DOTS_PER_INCH = 110


def clear_ticks(axis: Axis, places: Sequence[float] | None = None) -> None:
    """Label a logarithmic axis with plain numbers: at these places, or else at decades, and at 2
    and 5 times these where there are few.
    """
    from matplotlib.ticker import FixedLocator, LogLocator, NullLocator, StrMethodFormatter

    low, high = sorted(axis.get_view_interval())
    between = (1.0, 2.0, 5.0) if low > 0 and high < 100 * low else (1.0,)
    axis.set_major_locator(LogLocator(subs=between) if places is None else FixedLocator(places))
    axis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axis.set_minor_locator(NullLocator())


def save_picture(figure: Figure, path: Path, shown: str | None = None) -> Path:
    """Write a figure as a PNG, which keeps `shown` as its `description`; return its path."""
    content = io.BytesIO()
    metadata = None if shown is None else {"Description": shown}
    figure.savefig(content, dpi=DOTS_PER_INCH, format="png", metadata=metadata)
    write_whole(path, content.getvalue())
    return path


def description(path: Path) -> str | None:
    """Return what a picture says that it shows, or None."""
    from PIL import Image

    if not path.exists():
        return None
    with Image.open(path) as picture:
        return picture.info.get("Description")
