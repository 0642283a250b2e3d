"""A device behind each back end: `rows` in its standard top, real digits, against the golden model;
and the command line.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from driver import __main__ as command
from driver.device import Device
from driver.memory_mapped import MemoryMapped
from driver.simulated import Simulated
from driver.transport import BusError, Silence, Transport, check_response
from driver.uart import Uart
from export.core import write_core
from export.images import unpack
from export.store import load_digits, load_stored
from golden.cost.timeline import Timeline
from golden.data.mnist import to_sequences
from golden.data.sequence_files import save_sequences
from golden.errors import UserError
from golden.hardware.core import CoreParams
from golden.hardware.params import HardwareParams
from golden.integer import NetworkIntegers, run
from golden.manifest import read_core
from golden.registers import LATENCY
from golden.runs import Run
from rtl.verilog.generate import generate_axi
from tb.compare import expected_counters
from tests.host_models import (
    Bridge,
    FakeLine,
    ListedCore,
    RegisterWindow,
    StreamFifo,
    VerilatedCore,
    served,
)

FAST = "-O0"
N_DIGITS = 5


@dataclass(frozen=True)
class Rows:
    """`rows` on 8 lanes, and the golden model's run of some digits."""

    manifest: Path
    core: CoreParams
    network: NetworkIntegers
    payloads: np.ndarray
    labels: np.ndarray
    golden: Run

    @property
    def n_results(self) -> int:
        return self.core.network.readout.n_classes + 1


@pytest.fixture(scope="module")
def rows(rows_axi: Path) -> Rows:
    network, card = load_stored("rows")
    core, _ = read_core(rows_axi)
    digits = load_digits()
    payloads = to_sequences(digits.images[:N_DIGITS], card.data)
    golden = run(network, payloads, block=2, trace=True)
    return Rows(rows_axi, core, network, payloads, digits.labels[:N_DIGITS], golden)


@pytest.fixture
def simulated(rows: Rows) -> Iterator[Simulated]:
    transport = Simulated(rows.manifest, optimize=FAST)
    yield transport
    transport.close()


@pytest.fixture
def device(rows: Rows, simulated: Simulated) -> Device:
    """Return a device that is loaded."""
    device = Device(simulated, rows.manifest)
    device.load()
    return device


def transports(rows: Rows, simulated: Simulated) -> dict[str, Transport]:
    """Return every back end in front of the same Verilog."""
    core = VerilatedCore(simulated, rows.n_results)
    uart = Uart(FakeLine(Bridge(core)))
    memory = MemoryMapped(RegisterWindow(core), StreamFifo(core, 64))
    return {"simulated": simulated, "uart": uart, "memory": memory}


@pytest.mark.parametrize("back_end", ["simulated", "uart", "memory"])
def test_digits_are_the_golden_models(rows: Rows, simulated: Simulated, back_end: str) -> None:
    device = Device(transports(rows, simulated)[back_end], rows.manifest)
    loaded: list[int] = []
    device.load(loaded.append)
    assert sum(loaded) == device.load_words and len(loaded) == len(rows.core.memories)
    done: list[int] = []
    results = device.run(rows.payloads, done.append)
    assert done == [1] * N_DIGITS
    assert np.array_equal(results.logits, rows.golden.logits)
    assert np.array_equal(results.classes, rows.golden.classes)
    assert (results.logits < 0).any() and (results.seconds > 0).all()
    counters = device.counters()
    assert list(counters) == rows.core.counters
    expected = expected_counters(rows.core, rows.golden)
    assert "layer1.spikes" in expected
    for name, counts in expected.items():
        assert counters[name] == counts.sum(), name
    saturated = [n for n in rows.core.errors if n in expected and expected[n].sum()]
    assert device.errors() == saturated and not device.busy
    if back_end != "simulated":
        assert results.cycles is None
        return
    assert results.cycles is not None
    for index, cycles in enumerate(results.cycles):
        alone = rows.payloads[index : index + 1]
        layers = run(rows.network, alone, block=2, trace=True).layers
        assert cycles == Timeline(rows.core, alone, layers).ends[0] + LATENCY + 1
    one = device.run(rows.payloads[0])
    assert one.logits.shape == (1, 10) and np.array_equal(one.logits[0], results.logits[0])


def test_errors_are_raised_counted_and_cleared(rows: Rows, device: Device) -> None:
    outside = np.array([1 << 16 | 28, 1 << 16 | 29, 1 << 16 | 3, 1 << 16 | 3, 3 << 30], np.uint32)
    assert device.errors() == []
    device.transport.send_events(outside)
    device.transport.receive(rows.n_results)
    assert device.errors() == ["layer0.out_of_range", "layer0.repeated"]
    counters = device.counters()
    assert [counters[name] for name in device.errors()] == [2, 1]
    device.clear_errors(["layer0.repeated"])
    assert device.errors() == ["layer0.out_of_range"], "the flag that was not named stays"
    with pytest.raises(UserError, match="^no error flag is named 'layer9.repeated': use .*"):
        device.clear_errors(["layer9.repeated"])
    device.clear()
    assert device.errors() == []
    counters = device.counters()
    assert all(counters[name] == 0 for name in (*device.core.errors, "readout.sequences"))
    results = device.run(rows.payloads[:1])
    assert np.array_equal(results.logits, rows.golden.logits[:1]), "an error is no end"
    assert device.counters()["readout.sequences"] == 1


@pytest.mark.parametrize("back_end", ["simulated", "uart", "memory"])
@pytest.mark.parametrize("left", ["begun", "ended", "half fetched", "both"])
def test_a_run_that_was_broken_off(
    rows: Rows, simulated: Simulated, back_end: str, left: str
) -> None:
    transport = transports(rows, simulated)[back_end]
    device = Device(transport, rows.manifest)
    device.load()
    part = np.array([1 << 16 | 3, 1 << 30 | 1 << 16 | 4], np.uint32)
    begun, ended = left in ("begun", "both"), left != "begun"
    if ended:
        transport.send_events(part | np.array([0, 1 << 31], np.uint32))
    if left == "half fetched":
        transport.receive(4)
    if begun:
        transport.send_events(part)
    if back_end != "memory" or begun:  # a FIFO takes results by itself
        assert device.busy
        with pytest.raises(UserError, match="a sequence runs on the device: recover it"):
            device.load()
    device.recover()
    assert not device.busy
    results = device.run(rows.payloads[:2])
    assert np.array_equal(results.logits, rows.golden.logits[:2])


@pytest.mark.parametrize("back_end", ["simulated", "uart"])
def test_results_that_nobody_took_are_in_the_way(
    rows: Rows, simulated: Simulated, back_end: str
) -> None:
    """Sequences until the core takes no more: also the end that a recovery sends."""
    transport = transports(rows, simulated)[back_end]
    device = Device(transport, rows.manifest)
    device.load()
    with pytest.raises(Silence):
        transport.send_events(np.full(100, 0b11 << 30 | 1 << 16 | 3, np.uint32))
    device.recover()
    assert not device.busy
    results = device.run(rows.payloads[:2])
    assert np.array_equal(results.logits, rows.golden.logits[:2])


def test_a_reset_keeps_what_was_loaded(rows: Rows, device: Device, simulated: Simulated) -> None:
    simulated.send_events(np.array([1 << 30 | 1 << 16 | 4, 1 << 16 | 99], np.uint32))
    assert device.busy and device.errors() == ["layer0.out_of_range"]
    simulated.reset()
    assert not device.busy and device.errors() == []
    assert device.counters()["layer0.out_of_range"] == 0
    assert np.array_equal(device.run(rows.payloads[:1]).logits, rows.golden.logits[:1])


def test_what_is_not_there_is_told(device: Device, simulated: Simulated) -> None:
    with pytest.raises(BusError, match="a read of 0x0F00 was answered with SLVERR"):
        simulated.read(0xF00)
    with pytest.raises(BusError, match="a write to 0x0000 was answered with SLVERR"):
        simulated.write(0, 1)
    with pytest.raises(Silence, match="the core sent 0 of 1 results: a sequence has not ended"):
        simulated.receive(1)
    ends = np.full(100, 3 << 30, np.uint32)
    with pytest.raises(Silence, match=r"the core took \d+ of 100 words: results wait to be taken"):
        simulated.send_events(ends)
    with pytest.raises(UserError, match="no sequences to run"):
        device.run(np.zeros((0, 28, 28), int))


@pytest.mark.parametrize(
    ("response", "name"), [(1, "EXOKAY"), (2, "SLVERR"), (3, "DECERR"), (4, "response 4")]
)
def test_a_response_is_called_as_axi_calls_it(response: int, name: str) -> None:
    check_response(0, "a read")
    with pytest.raises(BusError, match=f"^a read was answered with {name}: there is no such"):
        check_response(response, "a read")


def other_manifest(rows: Rows, folder: Path, lanes: int, more_frac: int = 0) -> Path:
    """Export `rows` for other lanes, or with the readout's weights in another format."""
    readout = rows.network.params.readout
    w_o = replace(readout.w_o, frac=readout.w_o.frac + more_frac)
    params = replace(rows.network.params, output=replace(readout, w_o=w_o))
    core = CoreParams(params, HardwareParams(lanes, block=2))
    return write_core(replace(rows.network, params=params), core, folder)


def test_another_core_is_refused(rows: Rows, simulated: Simulated, tmp_path: Path) -> None:
    narrow = other_manifest(rows, tmp_path / "4", lanes=4)
    with pytest.raises(UserError, match=r"another core \(LANES 8 instead of 4\): use its manifest"):
        Device(simulated, narrow)
    formats = other_manifest(rows, tmp_path / "f", 8, 1)
    with pytest.raises(UserError, match=r"another core \(other layers or number formats\)"):
        Device(simulated, formats)
    Device(simulated, rows.manifest)


@pytest.mark.parametrize(
    ("registers", "message"),
    [
        ({0: 0xFFFF_FFFF}, "the device's ID is 0xFFFFFFFF, not 0x444D5043: there is no core"),
        ({0: 0x444D_5043, 4: 2 << 16}, r"registers are of version 2\.0, not 1\.1: build the core"),
        ({0: 0x444D_5043, 4: 0}, r"registers are of version 0\.0, not 1\.1"),
        ({0: 0x444D_5043, 4: 1 << 16}, r"registers are of version 1\.0, not 1\.1"),
        # More is known there: only its core is another one.
        ({0: 0x444D_5043, 4: 1 << 16 | 2, **dict.fromkeys(range(8, 256, 4), 0)}, "another core"),
    ],
)
def test_no_core_or_one_of_another_version(
    rows: Rows, registers: dict[int, int], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        Device(Uart(FakeLine(Bridge(ListedCore(registers)))), rows.manifest)


def test_a_device_closes_its_transport(rows: Rows, simulated: Simulated) -> None:
    line = FakeLine(Bridge(VerilatedCore(simulated, rows.n_results)))
    with Device(Uart(line), rows.manifest):
        assert not line.closed
    assert line.closed


def test_verilog_that_is_missing(rows: Rows, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no .*rows_axi.v: generate the core first .*--top axi"):
        Simulated(other_manifest(rows, tmp_path, 8))


def invoke(rows: Rows, *options: str) -> tuple[int, str]:
    arguments = [str(rows.manifest), "--optimize", FAST, "--digits", "3", *options]
    result = CliRunner().invoke(command.main, arguments)
    return result.exit_code, result.output


def test_the_command_line_streams_digits(
    rows: Rows, simulated: Simulated, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    save_sequences(tmp_path / "own.npz", rows.payloads)
    code, output = invoke(rows, "--data", str(tmp_path / "own.npz"))
    assert code == 0 and "label" not in output and "right" not in output, output
    assert "sequence 2: class 1, " in output and "sequences 3\n" in output
    code, output = invoke(rows)
    assert code == 0, output
    assert "sequence 2: class 1, label 1, " in output and "3 classes right: 100.00 %" in output
    assert "compared  33 values with the golden model: 0 sequences differ" in output
    with served(Bridge(VerilatedCore(simulated, rows.n_results))) as url:
        code, output = invoke(rows, "--back-end", "uart", "--port", url)
    assert code == 0, output
    assert "sequence 2: class 1, label 1, " in output and "cycles" not in output
    assert "compared  33 values" in output

    def open_models(registers: str, fifo: str, *, timeout: float) -> MemoryMapped:
        assert (registers, fifo) == ("0x43C00000", "/dev/uio1")
        core = VerilatedCore(simulated, rows.n_results)
        return MemoryMapped(RegisterWindow(core), StreamFifo(core), timeout)

    monkeypatch.setattr(MemoryMapped, "open", open_models)
    windows = ["--registers", "0x43C00000", "--fifo", "/dev/uio1"]
    code, output = invoke(rows, "--back-end", "memory", *windows)
    assert code == 0, output
    assert "compared  33 values" in output


@pytest.mark.long
def test_a_core_without_counters_tells_its_flags(
    rows: Rows, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    hardware = HardwareParams(8, block=2, counters="none")
    core = CoreParams(rows.network.params, hardware)
    manifest = write_core(rows.network, core, tmp_path)
    generate_axi(manifest)
    with closing(Simulated(manifest, optimize=FAST)) as transport:
        device = Device(transport, manifest)
        device.load()
        results = device.run(rows.payloads)
        assert np.array_equal(results.logits, rows.golden.logits)
        assert device.counters() == {} and device.errors() == []
    monkeypatch.setattr(Device, "errors", lambda _: ["layer0.repeated"])
    code, output = invoke(replace(rows, manifest=manifest))
    assert code == 0, output
    assert "flags     layer0.repeated\n" in output


class Wrong(Simulated):
    """A transport that loses the lowest bit of a logit of the second sequence."""

    received = 0

    def receive(self, count: int) -> tuple[np.ndarray, np.ndarray]:
        words, last = super().receive(count)
        self.received += 1
        if self.received == 2:
            words[4] ^= 1
        return words, last


def test_a_wrong_logit_is_an_exit_status(rows: Rows, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("driver.simulated.Simulated", Wrong)
    code, output = invoke(rows)
    assert code == 1
    assert "error: 1 sequences differ from the golden model" in output
    assert "sequence 1: class 2, logits [" in output and "sequence 0: class 7, logits" not in output
    code, output = invoke(rows, "--no-check")
    assert code == 0 and "compared" not in output


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--back-end", "uart"], "error: --back-end uart needs --port"),
        (["--back-end", "memory"], "error: --back-end memory needs --registers and --fifo"),
        (["--digits", "999"], "error: --digits 999: there are 200"),
        (["--network", "smnist"], "error: the sequences have 1 input a timestep, but the core"),
    ],
)
def test_what_cannot_be_run_is_one_line(rows: Rows, options: list[str], message: str) -> None:
    code, output = invoke(rows, *options)
    assert code == 2 and message in output, output


def test_a_host_without_the_bench_is_told(rows: Rows, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tb.verilator", None)
    monkeypatch.delitem(sys.modules, "driver.simulated")
    code, output = invoke(rows)
    assert code == 2 and "error: the simulated back end needs tb.verilator: use the whole" in output


def test_images_are_what_is_loaded(rows: Rows, device: Device) -> None:
    network = unpack(device.images, device.core)
    assert np.array_equal(network.layers[0].w_f, rows.network.layers[0].w_f)
