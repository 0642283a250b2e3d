"""A device that is asked for its results within a sequence, behind each back end, against the
golden model.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from driver.device import Device
from driver.memory_mapped import MemoryMapped
from driver.simulated import Simulated
from driver.transport import Silence, Transport
from driver.uart import Uart
from export.core import write_core
from golden.data.synthetic import draw_layers
from golden.errors import UserError
from golden.formats import GRADED
from golden.hardware.core import CoreParams
from golden.hardware.params import HardwareParams
from golden.integer import NetworkIntegers, run
from rtl.verilog.generate import generate_axi
from tests.conftest import Shared
from tests.host_models import Bridge, FakeLine, RegisterWindow, StreamFifo, VerilatedCore

FAST = "-O0"
N_CLASSES = 3
EVENT, END_TIMESTEP, END_SEQUENCE, REPORT = 1 << 16, 1 << 30, 1 << 31, 1 << 29


@dataclass(frozen=True)
class Small:
    """A small network on a core with reports, and a sequence for it."""

    manifest: Path
    network: NetworkIntegers
    payloads: np.ndarray

    def logits(self, n_timesteps: int) -> np.ndarray:
        """Return the golden logits after the first timesteps."""
        return run(self.network, self.payloads[None, :n_timesteps]).logits[0]


@pytest.fixture(scope="module")
def small(shared: Shared) -> Small:
    network = draw_layers("small", (9, 10, 8), 3, N_CLASSES, 2, payload=GRADED, threshold=256)
    core = CoreParams(network.params, HardwareParams(lanes=4, block=4, reports=True))
    folder = shared.folder("reports", lambda made: generate_axi(write_core(network, core, made)))
    rng = np.random.default_rng(1)
    payloads = rng.integers(0, 256, (30, 9)) * (rng.random((30, 9)) < 0.4)
    return Small(folder / "manifest.json", network, payloads)


@pytest.fixture
def simulated(small: Small) -> Iterator[Simulated]:
    transport = Simulated(small.manifest, optimize=FAST)
    yield transport
    transport.close()


@pytest.fixture
def device(small: Small, simulated: Simulated) -> Device:
    device = Device(simulated, small.manifest)
    device.load()
    return device


def behind(back_end: str, simulated: Simulated) -> Transport:
    """Return a back end in front of the Verilog."""
    core = VerilatedCore(simulated, N_CLASSES + 1, reports=True)
    if back_end == "uart":
        return Uart(FakeLine(Bridge(core)))
    if back_end == "memory":
        return MemoryMapped(RegisterWindow(core), StreamFifo(core, 64))
    return simulated


@pytest.mark.parametrize("back_end", ["simulated", "uart", "memory"])
def test_results_are_read_at_any_time(small: Small, simulated: Simulated, back_end: str) -> None:
    device = Device(behind(back_end, simulated), small.manifest)
    device.load()
    logits, _ = device.report()
    assert not logits.any() and not device.busy, "a report begins no sequence"
    done, seen = 0, []
    for n_timesteps in (5, 1, 8, 2, 11):
        device.send(small.payloads[done : done + n_timesteps])
        done += n_timesteps
        for _ in range(2):  # one changes nothing
            logits, best = device.report()
            assert np.array_equal(logits, small.logits(done)) and best == logits.argmax()
        seen.append(tuple(logits.tolist()))
        assert device.busy
    assert len(set(seen)) == 5
    device.send(small.payloads[done:])
    logits, best = device.end()
    assert np.array_equal(logits, small.logits(30)) and best == logits.argmax()
    assert not device.busy and not device.errors()
    counters = device.counters()
    assert [counters[f"readout.{name}"] for name in ("reports", "sequences")] == [1 + 10 + 1, 1]
    assert counters["readout.timesteps"] == 30
    results = device.run(small.payloads)
    assert np.array_equal(results.logits[0], small.logits(30))


def test_a_report_within_a_timestep_is_ignored_and_counted(small: Small, device: Device) -> None:
    """No packet comes for it, and nobody waits for one."""
    device.transport.send_events(np.array([EVENT | 3, EVENT | 4 | REPORT, REPORT], np.uint32))
    with pytest.raises(Silence, match="the core sent 0 of 1 results"):
        device.transport.receive(1)
    assert device.errors() == ["layer0.unclosed"]
    ends = np.array([END_TIMESTEP | END_SEQUENCE], np.uint32)
    device.transport.send_events(ends)
    assert device.busy
    words, last = device.transport.receive(N_CLASSES + 1)
    alone = np.zeros((1, 1, 9), np.int64)
    alone[0, 0, [3, 4]] = 1
    golden = run(small.network, alone).logits[0]
    assert words[:-1].astype(np.int32).tolist() == golden.tolist() and last[-1]
    counters = device.counters()
    assert counters["layer0.unclosed"] == 2 and counters["readout.reports"] == 0
    assert not device.busy


def test_an_event_that_counts_for_nothing_leaves_room_for_a_report(device: Device) -> None:
    """One out of range begins no timestep: the report that follows is answered."""
    device.transport.send_events(np.array([EVENT | 12, EVENT | 15 | REPORT], np.uint32))
    device.transport.receive(N_CLASSES + 1)
    assert device.errors() == ["layer0.out_of_range"]
    device.recover()
    assert not device.busy


def test_a_report_that_nobody_took_is_thrown_away(small: Small, device: Device) -> None:
    device.send(small.payloads[:3])
    device.transport.send_events(np.array([REPORT], np.uint32))
    device.transport.receive(1)
    assert device.busy
    device.recover()
    assert not device.busy
    assert np.array_equal(device.run(small.payloads).logits[0], small.logits(30))


def test_a_core_without_reports_is_not_asked(rows_axi: Path) -> None:
    """The bit is one of a payload that it does not have."""
    simulated = Simulated(rows_axi, optimize=FAST)
    device = Device(simulated, rows_axi)
    device.load()
    before = simulated.cycles
    line = "the core of rows sends no reports: export it with --reports, and build it again"
    for ask in (lambda: device.send(np.zeros((1, 28), int)), device.report, device.end):
        with pytest.raises(UserError, match=line):
            ask()
    assert simulated.cycles == before, "nothing was sent"
    simulated.send_events(np.array([REPORT, END_TIMESTEP | END_SEQUENCE], np.uint32))
    simulated.receive(11)
    assert device.errors() == ["layer0.out_of_range"] and not device.busy
    simulated.close()
