"""The options of a command that makes a core: its hardware, and its trace ports."""

from __future__ import annotations

import click

from golden.hardware.part import ABLATIONS, COUNTED, HardwareParams

DEFAULT = HardwareParams()


def _whole(name: str, default: int, text: str) -> click.Option:
    return click.Option([name], default=default, show_default=True, type=int, help=text)


SHAPE = [
    _whole("--lanes", DEFAULT.lanes, "Neurons processed together"),
    _whole("--block", DEFAULT.block, "Timesteps taken at once: 1, 2, 4, 8 or 16"),
    _whole(
        "--events-per-cycle",
        DEFAULT.events_per_cycle,
        "Events that a layer adds in a cycle: 1, 2 or 4",
    ),
    _whole(
        "--products-per-cycle",
        DEFAULT.products_per_cycle,
        "Columns of the dense path that a lane multiplies in a cycle: 1 to 8",
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
)
TRACE = click.Option(["--trace"], is_flag=True, help="Give the core trace ports")
