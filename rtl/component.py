"""The base of every component."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from amaranth.lib import wiring

# Of a memory whose words are never read while they are written: what a read would show then is left
# to the block RAM, which saves logic and lets a second read share its port with the write.
NEVER_COLLIDES: Any = {"no_rw_check": 1}


class Component(wiring.Component):
    """A component whose ports follow from its parameters: type checkers cannot know them by
    name.
    """

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any: ...
