"""The base of every component."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

from amaranth.lib import wiring

# Of a memory whose words are never read while they are written: what a read would show then is left
# to the block RAM, which saves logic and lets a second read share its port with the write.
NEVER_COLLIDES: Any = {"no_rw_check": 1}


class Component(wiring.Component, ABC):
    """A component whose signature follows from its parameters.

    Its class names the type of every port, so that type checkers know them; the shapes are in the
    signature that its constructor makes.
    """

    @property
    @abstractmethod
    def latency(self) -> int:
        """Clock cycles from what the last line of the component's docstring says to what it says;
        0: in the same cycle. A component adds up those of the components in it.
        """
