"""The cores that `dmp bench` measures: old choices beside new ones."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from itertools import product

from golden.cost.activity import Activity
from golden.cost.other_designs import released_rtl_multipliers
from golden.cost.part_search import LANES as ROUND_LANES
from golden.cost.part_search import product_choices
from golden.cost.search import Budget, Candidate, choose, fit, price
from golden.errors import UserError
from golden.hardware.core import CoreParams, possible_blocks
from golden.hardware.params import CHOICES, EVENTS, LINK_ITEMS, LIST_BUFFERS, HardwareParams
from golden.params import NetworkParams

LANES, BLOCKS = (4, 8, 16, 32), (1, 4, 8)
ECP5_85F = Budget(multipliers=156, block_rams=208)


def find_hardware(activity: Activity) -> dict[HardwareParams, list[str]]:
    """Return the configurations to measure a network on, each with the reasons for it.

    For every number of lanes and timesteps a block, the events and products a cycle with the least
    cycles times multipliers; on 4, 8 and 16 lanes also one of each. With the multipliers of a core
    of 8 lanes, with 64, with those of the released RTL, and with what an ECP5-85F has: the fastest
    with one number for all parts, and the fastest. And the fastest at the released RTL's weight
    port.
    """
    found: dict[HardwareParams, list[str]] = {}

    def add(hardware: HardwareParams, reason: str) -> None:
        found.setdefault(replace(hardware, access_counters=True), []).append(reason)

    columns = max(layer.n_state for layer in activity.network.params.layers) + 1
    for lanes in LANES:
        for block in BLOCKS:
            candidates = [
                price(activity, HardwareParams(lanes, block, events, products))
                for events in EVENTS
                for products in range(1, min(max(CHOICES["products_per_cycle"]), columns) + 1)
            ]
            best = min(candidates, key=lambda c: (c.cycles * c.multipliers, c.costs))
            add(best.hardware, "fitted")
            if lanes <= 16 and block in (1, 8):
                add(HardwareParams(lanes, block), "one event, one product a cycle")
    params = activity.network.params
    released = released_rtl_multipliers(CoreParams(params))
    eight = CoreParams(params, HardwareParams(8)).multipliers
    uniform = of_one_number(activity)
    for budget, reason in (
        (Budget(multipliers=eight), "multipliers of a core of 8 lanes"),
        (Budget(multipliers=64), "64 multipliers"),
        (Budget(multipliers=released), "multipliers of the released RTL"),
        (ECP5_85F, "fastest on an ECP5-85F"),
    ):
        one = choose(uniform, budget).hardware
        add(one, f"{reason}, one number for all parts")
        chosen = fit(activity, budget)[0].hardware
        add(chosen, reason)
    add(widened(params, chosen), "as before, with links of more items and six lists")
    for block in possible_blocks(params):
        if block >= 8:
            add(at_weight_port(activity, block), "weight port of the released RTL")
    return found


def of_one_number(activity: Activity) -> list[Candidate]:
    """Return priced cores whose parts have the same lanes, events and products, and whose graded
    inputs have multipliers of their own.
    """
    params = activity.network.params
    most = max(layer.n_neurons for layer in params.layers)
    columns = max(layer.n_state for layer in params.layers) + 1
    products = range(1, min(max(CHOICES["products_per_cycle"]), columns) + 1)
    numbers = product(
        [n for n in ROUND_LANES if n <= most], possible_blocks(params), EVENTS, products
    )
    return [price(activity, HardwareParams(*of)) for of in numbers]


def widened(params: NetworkParams, hardware: HardwareParams) -> HardwareParams:
    """Return hardware with six lists, and with links as wide as its parts can take."""
    six = replace(hardware, list_buffers=max(LIST_BUFFERS))
    for items in sorted(LINK_ITEMS, reverse=True):
        with suppress(UserError):
            wide = replace(six, link_items=items)
            CoreParams(params, wide)
            return wide
    raise AssertionError("a link of one item is always possible")


def at_weight_port(activity: Activity, block: int) -> HardwareParams:
    """Return the fastest hardware that reads as many weights a cycle as the released RTL: of 4
    lanes and one event; of the fastest the one with the fewest multipliers.
    """
    params = activity.network.params
    core = CoreParams(params, HardwareParams(4, block))
    each = product(*(product_choices(part) for part in core.parts.values()))
    candidates = [price(activity, HardwareParams(4, block, 1, of)) for of in each]
    return min(candidates, key=lambda c: (round(c.cycles, 1), c.multipliers)).hardware
