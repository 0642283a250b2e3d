"""The cheapest cores of a network, exactly, without pricing each of them: every part is priced
alone with numbers of lanes, events and products of its own, and what no other choice for the part
beats is joined with that of the other parts.

A core is as slow as its slowest part, and its multipliers and block RAMs are the sums of those of
its parts: so a choice that is beaten for its part is in no core that is not beaten too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

import numpy as np

from golden.hardware.core import CoreParams
from golden.hardware.layer import LayerHardware
from golden.hardware.params import CHOICES, EVENTS, HardwareParams
from golden.hardware.part import PartHardware
from golden.hardware.state_update import COLUMNS

LANES = (1, 2, 3, 4, 6, 8, 10, 12, 16, 20, 24, 32, 40, 48, 64, 80, 96, 128)
_FOLDS = 8  # neurons that share a unit: lanes are tried that so many of them divide


@dataclass(frozen=True)
class Costs:
    """What n choices cost: arrays (n,) of cycles a timestep, multipliers and block RAMs."""

    cycles: np.ndarray
    multipliers: np.ndarray
    block_rams: np.ndarray

    @staticmethod
    def of(costs: Iterable[tuple[float, int, int]]) -> Costs:
        """Return those of a list."""
        cycles, multipliers, block_rams = zip(*costs, strict=True)
        return Costs(np.array(cycles, float), np.array(multipliers), np.array(block_rams))

    def __getitem__(self, index: np.ndarray) -> Costs:
        return Costs(self.cycles[index], self.multipliers[index], self.block_rams[index])

    def with_each(self, other: Costs) -> Costs:
        """Return what each choice costs with each of the other's m: arrays (n * m,)."""
        return Costs(
            np.maximum.outer(self.cycles, other.cycles).ravel(),
            np.add.outer(self.multipliers, other.multipliers).ravel(),
            np.add.outer(self.block_rams, other.block_rams).ravel(),
        )

    def unbeaten(self) -> np.ndarray:
        """Return the places of the choices that no other one beats in all costs, the first of those
        that cost the same.

        A table has for each number of cycles and of block RAMs the fewest multipliers that do with
        at most these.
        """
        cycles, row = np.unique(self.cycles, return_inverse=True)
        rams, column = np.unique(self.block_rams, return_inverse=True)
        most = np.iinfo(np.int64).max
        fewest = np.full((len(cycles) + 1, len(rams) + 1), most)
        np.minimum.at(fewest, (row + 1, column + 1), self.multipliers)
        fewest = np.minimum.accumulate(np.minimum.accumulate(fewest, 0), 1)
        best = self.multipliers == fewest[row + 1, column + 1]
        best &= self.multipliers < np.minimum(fewest[row, column + 1], fewest[row + 1, column])
        places = np.flatnonzero(best)
        _, first = np.unique(row[places] * len(rams) + column[places], return_index=True)
        return places[first]


@dataclass(frozen=True)
class Choices:
    """What is chosen for some parts, n times: what it costs, and the numbers (n, parts, 3) of
    lanes, events and products of each part.
    """

    costs: Costs
    numbers: np.ndarray

    def __getitem__(self, index: np.ndarray) -> Choices:
        return Choices(self.costs[index], self.numbers[index])

    def with_part(self, part: Choices) -> Choices:
        """Return what is not beaten of each choice with each of another part."""
        costs = self.costs.with_each(part.costs)
        kept = costs.unbeaten()
        mine, its = np.divmod(kept, len(part.numbers))
        return Choices(costs[kept], np.concatenate([self.numbers[mine], part.numbers[its]], 1))


def lane_choices(part: PartHardware) -> list[int]:
    """Return the numbers of lanes that are worth a price: for every number of groups the fewest,
    and the fewest that some neurons of a unit divide; and some round ones.
    """
    n = part.n_outputs
    found = {n, *(lanes for lanes in LANES if lanes < n)}
    for groups in range(1, n + 1):
        fewest = -(-n // groups)
        for fold in range(1, _FOLDS + 1):
            lanes = -(-fewest // fold) * fold
            if lanes <= n and -(-n // lanes) == groups:
                found.add(lanes)
    return sorted(lanes for lanes in found if lanes <= max(CHOICES["lanes"]))


def product_choices(part: PartHardware) -> list[int]:
    """Return the fewest products a cycle for every number of steps of the dense path, and more
    where a state update may then take more columns a cycle; where events share them, also as many
    as events.
    """
    if not isinstance(part, LayerHardware) or not part.columns:
        return [1]
    found: set[int] = set()
    most: dict[int, int] = {}  # columns, by steps
    for k in CHOICES["products_per_cycle"]:
        steps, columns = -(-part.columns // k), max(n for n in COLUMNS if k % n == 0)
        if columns > most.get(steps, 0):
            most[steps] = columns
            found.add(k)
    return sorted(found | set(EVENTS if part.shares_products else ()))


def part_choices(part: PartHardware) -> list[HardwareParams[int]]:
    """Return the hardware that is worth a price for a part, which adds all events that come at
    once.
    """
    return [
        replace(part.hardware, lanes=n, events_per_cycle=events, products_per_cycle=products)
        for n in lane_choices(part)
        for events in EVENTS
        for products in product_choices(part)
        if events >= part.received_items and (events <= products or not part.shares_products)
    ]


def cheapest(
    core: CoreParams,
    price: Callable[[int, HardwareParams[int]], tuple[float, int, int]],
    least: tuple[float, int, int],
) -> list[tuple[HardwareParams, tuple[float, int, int]]]:
    """Return the hardware that no other one beats, and what it costs, of cores with the block and
    the other choices of this one.

    Parameters
    ----------
    core
        With any lanes, events and products.
    price
        Returns what a part, by its index, costs with some hardware.
    least
        What a core costs without its parts.
    """
    found = Choices(Costs.of([least]), np.zeros((1, 0, 3), np.int64))
    for index, part in enumerate(core.parts.values()):
        hardware = part_choices(part)
        costs = Costs.of([price(index, choice) for choice in hardware])
        turned = [(h.lanes, h.events_per_cycle, h.products_per_cycle) for h in hardware]
        choices = Choices(costs, np.array(turned)[:, None])
        found = found.with_part(choices[costs.unbeaten()])
    return [
        (as_one(core, numbers), (float(cycles), int(multipliers), int(rams)))
        for numbers, cycles, multipliers, rams in zip(
            found.numbers, found.costs.cycles, found.costs.multipliers, found.costs.block_rams,
            strict=True,
        )
    ]  # fmt: skip


def as_one(core: CoreParams, numbers: np.ndarray) -> HardwareParams:
    """Return a core's hardware from the numbers (parts, 3) of its parts; one number for all where
    that makes the same core.
    """
    parts = core.parts.values()
    lanes, events, products = (tuple(of) for of in numbers.T.tolist())
    if all(n == min(max(lanes), part.n_outputs) for n, part in zip(lanes, parts, strict=True)):
        lanes = max(lanes)
    used = {k for k, part in zip(products, parts, strict=True) if part.dense_steps}
    if len(used) < 2:
        products = max(used, default=1)
    return replace(core.hardware, lanes=lanes, events_per_cycle=events, products_per_cycle=products)
