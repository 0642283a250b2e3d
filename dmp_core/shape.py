"""The options of a command that makes a core: its hardware, and its trace ports."""

from __future__ import annotations

from typing import Any

import click

from golden.hardware.params import ABLATIONS, COUNTED, GRADED, HardwareParams

DEFAULT = HardwareParams()


class _Each(click.ParamType):
    """A whole number of all parts of a core, or one each, with commas."""

    name = "integer"

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str:
        return "N[,N...]"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> int | tuple[int, ...]:
        if not isinstance(value, str):
            return value
        try:
            first, *others = map(int, value.split(","))
        except ValueError:
            self.fail(f"{value!r} is neither a whole number, nor one for each part, as 4,8,10")
        return (first, *others) if others else first


def _each(name: str, default: int, text: str) -> click.Option:
    text += "; or one each of the layers and the readout, with commas"
    return click.Option([name], default=default, show_default=True, type=_Each(), help=text)


def _whole(name: str, default: int, text: str) -> click.Option:
    return click.Option([name], default=default, show_default=True, type=int, help=text)


SHAPE = [
    _each("--lanes", DEFAULT.lanes, "Neurons processed together"),
    _whole("--block", DEFAULT.block, "Timesteps taken at once: 1, 2, 4, 8 or 16"),
    _each(
        "--events-per-cycle",
        DEFAULT.events_per_cycle,
        "Events that a layer adds in a cycle: 1, 2 or 4",
    ),
    _each(
        "--products-per-cycle",
        DEFAULT.products_per_cycle,
        "Columns of the dense path that a lane multiplies in a cycle: 1 to 8",
    ),
    click.Option(
        ["--graded"],
        type=click.Choice(GRADED),
        default=DEFAULT.graded,
        show_default=True,
        help="Multipliers of graded inputs: of their own, or those of the dense path, where the"
        " columns then follow the events",
    ),
    click.Option(
        ["--access-counters"], is_flag=True, help="Count accesses, products and additions"
    ),
    click.Option(
        ["--reports"],
        is_flag=True,
        help="Let the event stream ask for the results so far at any time",
    ),
    _whole(
        "--segment-words",
        DEFAULT.segment_words,
        "Words of a segment of a deep memory: fewer take less energy and more logic",
    ),
    _whole(
        "--list-buffers",
        DEFAULT.list_buffers,
        "Blocks that fit before a layer: 3 or 6; six take up bursts",
    ),
    _whole(
        "--link-items",
        DEFAULT.link_items,
        "Events a cycle on the links between layers, not at the core's input: 1, 2 or 4",
    ),
    _whole(
        "--input-items",
        DEFAULT.input_items,
        "Events a cycle at the core's input, for blocks of one timestep: 1, 2 or 4",
    ),
    click.Option(
        ["--counters"],
        type=click.Choice(COUNTED),
        default=DEFAULT.counters,
        show_default=True,
        help="What the core counts; the flags of errors stay",
    ),
    click.Option(
        ["--hold-operands"],
        is_flag=True,
        help="Registers next to multipliers hold where nothing moves: less energy on a chip,"
        " more logic on an FPGA",
    ),
    click.Option(
        ["--ablate", "ablations"],
        multiple=True,
        type=click.Choice(ABLATIONS),
        callback=lambda _, __, given: tuple(name for name in ABLATIONS if name in given),
        help="Build the layers without this, to measure what it is worth; may come several times",
    ),
]
# What dmp fit leaves open.
BESIDE_FIT = (
    "access_counters",
    "segment_words",
    "counters",
    "hold_operands",
    "list_buffers",
    "link_items",
    "input_items",
)
TRACE = click.Option(["--trace"], is_flag=True, help="Give the core trace ports")
