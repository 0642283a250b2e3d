"""Drive a core's Verilated model with items: from C++ (`tb.compiled`), or under cocotb.

Both hold the same Verilog, with the same logs and the same gaps, so that what they write down is
the same to the cycle. C++ is the fast one; cocotb drives the model by other means, and writes
waves.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from export.core import read_images
from export.images import Images
from export.items import load_items
from golden.cost.cycles import settle_cycles, watchdog_cycles
from golden.errors import UserError
from golden.hardware.core import CoreParams
from golden.interface import Interface, read_interface, read_verilog, without_head
from tb import cocotb_core
from tb.compiled import CompiledCore, build_compiled
from tb.gaps import draw_gaps
from tb.logs import core_logs
from tb.verilator import build_model, empty_run_folder, run_model
from tb.wrapper import TOP, write_wrapper

JOB = "job.npz"


@dataclass(frozen=True)
class Model:
    """A core's Verilated model, with all that was read to build it: a library, or with `cocotb` a
    folder.
    """

    core: CoreParams
    images: Images
    interface: Interface
    verilog: Path
    built: Path
    cocotb: bool


@dataclass(frozen=True)
class Status:
    """The counters and error flags of a core after a run, and when they were cleared after it."""

    counters: dict[str, int]
    errors: dict[str, bool]
    counters_cleared: dict[str, int]
    errors_cleared: dict[str, bool]


def build_core_model(
    manifest: Path, *, optimize: str = "-O2", cocotb: bool = False, waves: bool = False
) -> Model:
    """Build the model of a manifest's core, unless that is done already; `make rtl` must have
    written its Verilog.

    Parameters
    ----------
    optimize
        The C++ compiler's option for the model: a short run is over sooner with -O0.
    cocotb
        Whether it runs under cocotb.
    waves
        Whether it can write its signals into a file; then it runs under cocotb.

    Raises
    ------
    UserError
        A file is missing or does not fit the others, or there is no Verilator to use.
    """
    core, images = read_images(manifest)
    interface = read_interface(manifest)
    verilog = manifest.parent / f"{core.network.name}.v"
    text, logs = read_verilog(verilog), core_logs(core, interface).values()
    beside, cocotb = manifest.parent / "verilator", cocotb or waves
    if cocotb:
        wrapper = write_wrapper(interface, logs, watchdog_cycles(core))
        sources = {"core.v": without_head(text), f"{TOP}.sv": wrapper}
        built = build_model(sources, TOP, beside, optimize, waves=waves)
    else:
        built = build_compiled(text, interface, beside, optimize, logs)
    return Model(core, images, interface, verilog, built, cocotb)


def drive(
    model: Model,
    events: np.ndarray,
    n_ends: int,
    folder: Path,
    *,
    stalls_seed: int | None = None,
    waves: Path | None = None,
    progress: Callable[[int], object] = lambda n: None,
) -> Status:
    """Load the core, send items (n,) uint64 of the event stream and take what comes until it has
    `n_ends` ends, then read what the core counted. Its logs are written into `folder`, which is
    emptied.

    Parameters
    ----------
    stalls_seed
        Draw gaps on every stream from this seed [default: no gaps].
    waves
        An FST file for every signal in every cycle [default: none is written].
    progress
        Called with the number of ends that came since its last call; never under cocotb.

    Raises
    ------
    UserError
        The core is stuck, or the simulation fails.
    """
    core, interface = model.core, model.interface
    load = load_items(interface, core, model.images)
    gaps = draw_gaps(stalls_seed, len(load), len(events), interface.output)
    folder = empty_run_folder(folder, JOB)
    np.savez(
        folder / JOB,
        load=load,
        load_gaps=gaps.load,
        events=events,
        event_gaps=gaps.events,
        output=interface.output,
        output_gaps=gaps.output,
        n_ends=n_ends,
        n_counters=len(interface.counters),
        settle_cycles=settle_cycles(core),
    )
    if model.cocotb:
        return _run_cocotb(model, folder, waves)
    compiled = CompiledCore(model.built, watchdog_cycles(core), interface, load, gaps.load, folder)
    try:
        ran = compiled.run(
            events,
            n_ends,
            gaps=(gaps.events, gaps.output),
            settle=settle_cycles(core),
            progress=progress,
        )
        if ran.sent != len(events) or ran.ends < n_ends:
            raise UserError(
                "the simulation failed: the core is stuck, nothing is transferred any more; it"
                f" took {ran.sent} of {len(events)} items and sent {ran.ends} of {n_ends} ends"
            )
        counters, errors = compiled.counters(), compiled.errors()
        compiled.clear()
        return Status(counters, errors, compiled.counters(), compiled.errors())
    finally:
        compiled.close()


def _run_cocotb(model: Model, folder: Path, waves: Path | None) -> Status:
    run_model(
        model.built,
        TOP,
        cocotb_core.__name__,
        folder,
        {cocotb_core.JOB_VARIABLE: str(folder / JOB)},
        waves=None if waves is None else waves.resolve(),
    )
    interface = model.interface
    with np.load(folder / cocotb_core.STATUS_FILE) as status:
        counters, cleared = (
            dict(zip(interface.counters, status[key].tolist(), strict=True))
            for key in ("counters", "counters_cleared")
        )
        errors, errors_cleared = (
            {name: bool(int(status[key]) >> i & 1) for i, name in enumerate(interface.errors)}
            for key in ("errors", "errors_cleared")
        )
    return Status(counters, errors, cleared, errors_cleared)
