"""`dmp host`, and `python -m driver` on a processor that has only this package and what it needs:
stream sequences through a core on a board, or through its Verilog, and hold classes and logits
against the golden model's.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import click
import numpy as np
from tqdm import tqdm

from driver.device import Device, Results
from driver.memory_mapped import MemoryMapped
from driver.transport import Transport
from driver.uart import TIMEOUT, Uart
from export.images import unpack
from export.sequences import first_sequences
from export.store import find_dataset
from golden.command_line import BAUD_RATE, DATA, NETWORK, Command, Count, Number, count_option
from golden.data.dataset import Dataset
from golden.errors import UserError, report_user_errors
from golden.integer import run
from golden.manifest import read_core
from golden.uart_protocol import BAUD


def open_transport(
    manifest: Path,
    back_end: str,
    *,
    port: str | None,
    baud: int,
    registers: str | None,
    fifo: str | None,
    timeout: float,
    optimize: str,
) -> Transport:
    """Return the transport that the command line asks for."""
    if back_end == "uart":
        if port is None:
            raise UserError("--back-end uart needs --port, as --port /dev/ttyUSB0")
        return Uart.open(port, baud=baud, timeout=timeout)
    if back_end == "memory":
        if registers is None or fifo is None:
            raise UserError("--back-end memory needs --registers and --fifo, as 0x43C00000")
        return MemoryMapped.open(registers, fifo, timeout=timeout)
    try:
        from driver.simulated import Simulated  # which alone needs Verilator and the testbench
    except ImportError as error:
        raise UserError(
            f"the simulated back end needs {error.name}: use the whole project, with the extra"
            " 'sim', or --back-end uart or memory"
        ) from None
    click.echo("building the Verilator model...", err=True)
    return Simulated(manifest, optimize=optimize)


def stream(device: Device, dataset: Dataset) -> Results:
    """Run the sequences one by one, with a line of output for each."""
    parts = []
    with tqdm(total=len(dataset), desc="streamed", unit="sequence") as bar:
        for index, label in enumerate(dataset.labels):
            part = device.run(dataset.sequences(slice(index, index + 1)))
            took = f"{1000 * part.seconds[0]:.2f} ms"
            if part.cycles is not None:
                took = f"{part.cycles[0]} cycles, {took}"
            known = f"label {label}, " if dataset.labelled else ""
            with tqdm.external_write_mode():
                click.echo(f"sequence {index}: class {part.classes[0]}, {known}{took}")
            parts.append(part)
            bar.update()
    cycles = [part.cycles for part in parts if part.cycles is not None]
    return Results(
        np.concatenate([part.logits for part in parts]),
        np.concatenate([part.classes for part in parts]),
        np.concatenate([part.seconds for part in parts]),
        np.concatenate(cycles) if cycles else None,
    )


def check(device: Device, payloads: np.ndarray, results: Results) -> list[str]:
    """Return a line for each sequence whose class or logits are not the golden model's."""
    golden = run(unpack(device.images, device.core), payloads)
    lines = []
    for index in range(len(payloads)):
        found = (results.classes[index], *results.logits[index])
        due = (golden.classes[index], *golden.logits[index])
        if found != due:
            lines.append(
                f"sequence {index}: class {found[0]}, logits {[int(v) for v in found[1:]]}, but the"
                f" golden model has class {due[0]}, logits {[int(v) for v in due[1:]]}"
            )
    return lines


@click.command(cls=Command, context_settings={"show_default": True})
@click.argument("manifest", type=click.Path(path_type=Path))
@click.option(
    "--back-end",
    type=click.Choice(("simulated", "uart", "memory")),
    default="simulated",
    help="The Verilog of the core's standard top (axi), a board on a UART, or a core"
    " beside this processor",
)
@click.option("--port", help="Of the UART: a name, as /dev/ttyUSB0, or a URL of pyserial")
@click.option("--baud", default=BAUD, type=BAUD_RATE, help="Of the UART")
@click.option(
    "--registers",
    help="Window of the core's registers: an address in /dev/mem, or /dev/uio0, or PATH:OFFSET",
)
@click.option("--fifo", help="Window of the AXI4-Stream FIFO, likewise")
@click.option("--timeout", default=TIMEOUT, type=Number(0.01), help="Seconds to wait for an answer")
@count_option(20)
@click.option(
    "--check/--no-check", "checked", default=True, help="Compare with the golden model's results"
)
@NETWORK
@DATA
@click.option("--optimize", default="-O2", help="The C++ compiler's option for the simulated core")
@report_user_errors
def main(
    manifest: Path,
    back_end: str,
    port: str | None,
    baud: int,
    registers: str | None,
    fifo: str | None,
    timeout: float,
    count: Count,
    checked: bool,
    network: str | None,
    data: Path | None,
    optimize: str,
) -> None:
    """Load the core that MANIFEST describes, and stream sequences through it.

    Exits with status 1 where a class or a logit differs from the golden model's.
    """
    core, _ = read_core(manifest)
    _ = core.network.readout  # or raise: what is streamed is answered with results
    dataset = find_dataset(network or core.network.name, data)
    dataset = first_sequences(core, manifest, dataset, count)
    transport = open_transport(
        manifest, back_end, port=port, baud=baud, registers=registers, fifo=fifo, timeout=timeout,
        optimize=optimize,
    )  # fmt: skip
    try:
        device = Device(transport, manifest)
        if device.busy:
            device.recover()
        started = time.monotonic()
        with tqdm(total=device.load_words, desc="loaded", unit="word") as bar:
            device.load(bar.update)
        loading = time.monotonic() - started
        device.clear()
        results = stream(device, dataset)
        counters = device.counters()
        flags = [
            f"{name} ({counters[name]})" if name in counters else name for name in device.errors()
        ]
    finally:
        transport.close()
    n, right = len(dataset), int(np.sum(results.classes == dataset.labels))
    known = f", {right} classes right: {100 * right / n:.2f} %" if dataset.labelled else ""
    cycles = "" if results.cycles is None else f", {results.cycles.mean():.1f} cycles"
    click.echo(f"sequences {n}{known}")
    click.echo(f"loaded    {device.load_words} words in {loading:.2f} s")
    click.echo(f"each      {1000 * results.seconds.mean():.2f} ms of the host{cycles}")
    click.echo(f"flags     {', '.join(flags) or 'none'}")
    if not checked:
        return
    wrong = check(device, dataset.sequences(), results)
    for line in wrong:
        click.echo(line, err=True)
    compared = results.logits.size + results.classes.size
    click.echo(f"compared  {compared} values with the golden model: {len(wrong)} sequences differ")
    if wrong:
        click.echo(f"error: {len(wrong)} sequences differ from the golden model", err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
