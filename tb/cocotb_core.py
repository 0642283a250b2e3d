"""The cocotb side of the testbench: load the core, send events, take what it sends, read counters.

It runs inside the simulator. It reads its job from the file that `DMP_CORE_JOB` names (see
`tb.drivers`) and leaves counters and error flags in `status.npz`. What the core sends and its
traces are written down by the testbench's Verilog.
"""

from __future__ import annotations

import itertools
import os
import random
from pathlib import Path
from typing import Any

import cocotb
import numpy as np
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, FallingEdge, First, RisingEdge, Timer, ValueChange

JOB_VARIABLE = "DMP_CORE_JOB"
STATUS_FILE = "status.npz"
COUNTER_CYCLES = 3  # from the reading of a counter to that of the next
PERIOD = 2


async def send(dut: Any, stream: str, payloads: list[int], gaps: list[int]) -> None:
    """Transfer payloads into a stream, before each its gap: cycles in which nothing is valid, and
    the payload is noise.
    """
    valid, payload = getattr(dut, f"{stream}__valid"), getattr(dut, f"{stream}__payload")
    transferred = ValueChange(getattr(dut, f"{stream.split('_')[1]}_toggle"))
    width, noise = len(payload), random.Random(stream)
    for value, gap in zip(payloads, gaps, strict=True):
        if gap:
            valid.value = 0
            noisy = min(gap, 3)
            for _ in range(noisy):
                payload.value = noise.getrandbits(width)
                await FallingEdge(dut.clk)
            await Timer(PERIOD * (gap - noisy + 1), "step")  # to a falling edge
        payload.value = value
        valid.value = 1
        await transferred
    valid.value = 0


async def take(dut: Any, stream: str, n_ends: int, gaps: list[int]) -> None:
    """Let out what the core sends until `n_ends` ends came (see `tb.logs.core_logs`), before each
    transfer a gap, of these over and over.
    """
    ready = getattr(dut, f"{stream}__ready")
    transferred = ValueChange(getattr(dut, f"{stream.split('_')[1]}_toggle"))
    following = itertools.cycle(gaps)
    while int(dut.ends.value) < n_ends:
        if gap := next(following):
            ready.value = 0
            await Timer(PERIOD * gap + 1, "step")  # to a falling edge
        ready.value = 1
        await transferred
    ready.value = 0


async def read_counters(dut: Any, count: int) -> list[int]:
    """Read every counter through the status port."""
    values = []
    for index in range(count):
        dut.i_counter.value = index
        await ClockCycles(dut.clk, COUNTER_CYCLES)
        values.append(int(dut.o_counter.value))
    return values


async def work(dut: Any, job: dict[str, Any]) -> None:
    """Reset and load the core, run every sequence, and leave what the core counted."""
    output, gaps = str(job["output"]), job["output_gaps"].tolist()
    Clock(dut.clk, PERIOD, "step", impl="gpi").start()  # toggled in C++: Python never wakes for it
    idle = ("i_events__valid", "i_load__valid", f"{output}__ready", "i_counter")
    for name in (*idle, "i_clear", "i_clear_errors"):
        getattr(dut, name).value = 0
    dut.rst.value = 1
    await ClockCycles(dut.clk, 4)
    dut.rst.value = 0
    await ClockCycles(dut.clk, 2)
    await send(dut, "i_load", job["load"].tolist(), job["load_gaps"].tolist())
    await ClockCycles(dut.clk, 2)
    taking = cocotb.start_soon(take(dut, output, int(job["n_ends"]), gaps))
    await send(dut, "i_events", job["events"].tolist(), job["event_gaps"].tolist())
    await taking
    await ClockCycles(dut.clk, int(job["settle_cycles"]))
    counters = await read_counters(dut, int(job["n_counters"]))
    errors = int(dut.o_errors.value)
    dut.i_clear.value = 1
    await ClockCycles(dut.clk, 1)
    dut.i_clear.value = 0
    await ClockCycles(dut.clk, 3)
    cleared = await read_counters(dut, int(job["n_counters"]))
    np.savez(
        STATUS_FILE,
        counters=np.array(counters, np.int64),
        errors=np.array(errors, np.uint64),
        counters_cleared=np.array(cleared, np.int64),
        errors_cleared=np.array(int(dut.o_errors.value), np.uint64),
    )


@cocotb.test
async def drive(dut: Any) -> None:
    """Do the job, and fail where the core transfers nothing any more."""
    with np.load(Path(os.environ[JOB_VARIABLE])) as job:
        working = cocotb.start_soon(work(dut, dict(job)))
    stuck = RisingEdge(dut.stuck)
    assert await First(working.complete, stuck) is not stuck, (
        "the core is stuck: nothing is transferred any more"
    )
    await working
