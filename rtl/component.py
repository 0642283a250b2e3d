"""The base of every component."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from amaranth.lib import wiring


class Component(wiring.Component):
    """A component whose ports follow from its parameters: type checkers cannot know them by
    name.
    """

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any: ...
