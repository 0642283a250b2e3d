"""`dmp uart-sim`: run sequences through the Verilog of a board, with a host's UART at its
pins, and hold logits, classes, counters and error flags against the golden model.

The host speaks the protocol of `golden.uart_protocol`: it loads every memory, sends the events, and
reads what comes back, one command after another. The Verilog is that of the bitstream; only its PLL
is a stand-in (`ehxplll.v`). A bit is made short for it (`dmp rtl MANIFEST --top BOARD --baud
..`).
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np

from export.core import read_images
from export.images import Images, unpack
from export.sequences import first_sequences
from export.store import find_dataset
from golden import uart_protocol as uart
from golden.command_line import DATA, NETWORK, Command, Count, count_option
from golden.cost.cycles import settle_cycles, watchdog_cycles
from golden.errors import UserError, report_user_errors
from golden.hardware.core import CoreParams
from golden.hardware.params import listed
from golden.integer import NetworkIntegers, run
from golden.interface import read_verilog
from golden.manifest import digest
from golden.registers import BUS_WIDTH, STATUS_BITS, pack_word, register_map
from tb import cocotb_board
from tb.compare import COUNTER_MODULUS, expected_counters, expected_errors
from tb.report import write_report
from tb.uart_host import batches, event_words, load_commands, to_logits
from tb.verilator import build_model, empty_run_folder, run_model

TESTBENCH = "board_testbench"
PLL = Path(__file__).with_name("ehxplll.v")
REPORT = "uart.json"
JOB = "job.json"
RESET_CYCLES = 64  # in which the stand-in of the PLL locks, and more
WRAPPER = f"""module {TESTBENCH};
    logic clk /*verilator public_flat_rw*/;
    logic button_n /*verilator public_flat_rw*/;
    logic uart_rx /*verilator public_flat_rw*/;
    logic uart_tx /*verilator public_flat_rw*/;
    logic [7:0] led /*verilator public_flat_rw*/;
    %s board (
        .clk(clk), .button_n(button_n), .uart_rx(uart_rx), .uart_tx(uart_tx), .led(led),
        .wifi_gpio0()
    );
endmodule
"""

Step = dict[str, Any]  # what the pins do: see `tb.cocotb_board`


@dataclass(frozen=True)
class Board:
    """A board's Verilated model, with the core that is on it and what is to be loaded."""

    core: CoreParams
    images: Images
    model: Path
    clocks_per_bit: int

    @property
    def network(self) -> NetworkIntegers:
        """The network of the images."""
        return unpack(self.images, self.core)

    def ask(self, command: bytes, n_bytes: int = 1) -> list[Step]:
        """Return the steps that send a command and receive its response."""
        patience = watchdog_cycles(self.core, uart.MAX_WORDS)
        return [{"send": command.hex()}, {"receive": [n_bytes, patience]}]

    def exchange(
        self, steps: Sequence[Step], folder: Path, *, bit_length: float = 1.0
    ) -> dict[str, Any]:
        """Do the steps at the pins; return `received` (bytes of each step), `leds` after each
        step, and `cycles` in all.

        Parameters
        ----------
        bit_length
            Of the host's bits, in those of the board.
        """
        folder = empty_run_folder(folder, JOB)
        job = folder / JOB
        content = {
            "clocks_per_bit": self.clocks_per_bit, "bit_length": bit_length,
            "settle_cycles": RESET_CYCLES, "steps": list(steps),
        }  # fmt: skip
        job.write_text(json.dumps(content))
        run_model(
            self.model,
            TESTBENCH,
            cocotb_board.__name__,
            folder,
            {cocotb_board.JOB_VARIABLE: str(job)},
        )
        record = json.loads((folder / cocotb_board.RECEIVED).read_text())
        record["received"] = [bytes.fromhex(content) for content in record["received"]]
        return record


def build_board(
    manifest: Path, board: str, folder: Path | None = None, *, optimize: str = "-O2"
) -> Board:
    """Build the model of a manifest's core on a board, unless that is done already; `dmp rtl
    --top BOARD` must have written its Verilog into `folder` [default: beside the
    manifest]. Or raise `UserError`.
    """
    core, images = read_images(manifest)
    verilog = (folder or manifest.parent) / f"{core.network.name}_{board.replace('-', '_')}.v"
    described = verilog.with_suffix(".json")
    command = f"dmp rtl {manifest} --top {board}"
    text = read_verilog(verilog, command)
    try:
        content = json.loads(described.read_text())
        top, clocks_per_bit = str(content["top"]), int(content["clocks_per_bit"])
        current = content["manifest_sha256"] == digest(manifest)
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise UserError(
            f"{described} does not describe {verilog.name} ({error!r}): generate it again"
            f" ({command})"
        ) from None
    if not current:
        raise UserError(f"{verilog} belongs to an earlier manifest: generate it again ({command})")
    sources = {
        verilog.name: text,
        PLL.name: PLL.read_text(),
        f"{TESTBENCH}.sv": WRAPPER % top,
    }
    model = build_model(sources, TESTBENCH, manifest.parent / "verilator", optimize)
    return Board(core, images, model, clocks_per_bit)


def sequence_steps(board: Board, payloads: np.ndarray) -> list[Step]:
    """Return the steps that send a sequence (K, M) and receive its result, in the last step."""
    steps = [step for part in batches(event_words(payloads))
             for step in board.ask(uart.events_command(part))]  # fmt: skip
    count = board.core.network.readout.n_classes + 1
    return steps + board.ask(uart.results_command(count), count * uart.RESULT_BYTES)


def run_digits(board: Board, payloads: np.ndarray, folder: Path) -> dict[str, Any]:
    """Load the board, run sequences (B, K, M) on it, read its counters and flags; return what
    `uart.json` holds, with how many values differ from the golden model's.
    """
    core, registers = board.core, register_map(board.core)
    golden = run(board.network, payloads, block=core.hardware.block)
    counts = {name: int(of.sum()) for name, of in expected_counters(core, golden).items()}
    errors = expected_errors(core, golden)
    flags = sum(1 << i for i, name in enumerate(core.errors) if errors[name].any())
    expected = {r.offset: r.value for r in registers.values() if r.value is not None}
    expected[registers["STATUS"].offset] = pack_word(STATUS_BITS, error=int(flags > 0))
    for index, address in enumerate(registers["ERROR"].words):
        expected[address] = flags >> BUS_WIDTH * index & (1 << BUS_WIDTH) - 1
    for name, count in counts.items():
        address = registers["COUNTER"].words[core.counters.index(name)]
        expected[address] = count % COUNTER_MODULUS

    steps = [step for command in load_commands(core, board.images) for step in board.ask(command)]
    n_loading, ends = len(steps), []
    for sequence in payloads:
        steps += sequence_steps(board, sequence)
        ends.append(len(steps) - 1)
    settle = -(-settle_cycles(core) // board.clocks_per_bit)
    steps.append({"wait": settle})
    first_read = len(steps)
    for address in expected:
        steps += board.ask(uart.read_command(address), uart.READ_RESPONSE_BYTES)
    record = board.exchange(steps, folder)
    received = record["received"]

    # Of each command its bytes, then its response.
    statuses = [received[i] for i in range(1, first_read - 1, 2) if i not in ends]
    results = [to_logits(received[end]) for end in ends]
    found = [uart.read_response(content) for content in received[first_read + 1 :: 2]]
    pairs = [
        *((status, bytes([uart.OKAY])) for status in statuses),
        *zip(
            results, zip(golden.logits.tolist(), golden.classes.tolist(), strict=True), strict=True
        ),
        *zip(found, ((uart.OKAY, value) for value in expected.values()), strict=True),
    ]
    sent = sum(len(step.get("send", "")) // 2 for step in steps)
    loading = sum(len(step.get("send", "")) // 2 for step in steps[:n_loading])
    return {
        "network": core.network.name,
        "lanes": core.hardware.lanes,
        "digits": len(payloads),
        "classes": [best for _, best in results],
        "golden_classes": golden.classes.tolist(),
        "compared": len(pairs),
        "mismatches": sum(one != other for one, other in pairs),
        "error_flags": flags,
        "bytes_sent": sent,
        "bytes_to_load": loading,
        "bytes_received": sum(map(len, received)),
        "cycles": record["cycles"],
        "clocks_per_bit": board.clocks_per_bit,
    }


def lines(found: dict[str, Any], labels: np.ndarray) -> list[str]:
    """Return what people read."""
    seconds = found["bytes_to_load"] * uart.FRAME_BITS / uart.BAUD
    right = int((labels == np.array(found["classes"])).sum())
    known = f", of which {right} right" if (labels >= 0).all() else ""
    return [
        f"{found['network']}, {listed(found['lanes'])} lanes, over a UART at the pins",
        f"sequences    {found['digits']}{known}",
        f"compared     {found['compared']} values; {found['mismatches']} differ from golden's",
        f"error flags  0x{found['error_flags']:x}",
        f"bytes        {found['bytes_sent']} sent, {found['bytes_received']} received",
        f"loading      {found['bytes_to_load']} bytes: {seconds:.2f} s at {uart.BAUD} baud",
        f"cycles       {found['cycles']}, {found['clocks_per_bit']} a bit",
    ]


@click.command(cls=Command, context_settings={"show_default": True})
@click.argument("manifest", type=click.Path(path_type=Path))
@click.option("--board", default="ulx3s-85f", help="As --top of dmp rtl")
@click.option(
    "--verilog",
    type=click.Path(path_type=Path),
    help="Folder with the board's Verilog [default: beside the manifest]",
)
@count_option(5)
@NETWORK
@DATA
@report_user_errors
def main(
    manifest: Path,
    board: str,
    verilog: Path | None,
    count: Count,
    network: str | None,
    data: Path | None,
) -> None:
    """Simulate the core of MANIFEST on a board, with a UART at its pins; write uart.json beside the
    manifest.

    Exits with status 1 where a value differs from the golden model's.
    """
    core, _ = read_images(manifest)
    _ = core.network.readout  # or raise: a UART answers with results
    report = manifest.parent / REPORT
    report.unlink(missing_ok=True)
    dataset = find_dataset(network or core.network.name, data)
    dataset = first_sequences(core, manifest, dataset, count)
    click.echo("building the Verilator model...", err=True)
    model = build_board(manifest, board, verilog)
    found = run_digits(model, dataset.sequences(), manifest.parent / "uart_run")
    write_report(found, report)
    click.echo("\n".join([*lines(found, dataset.labels), f"report       {report}"]))
    if found["mismatches"]:
        click.echo(f"error: {found['mismatches']} values differ from the golden model", err=True)
        sys.exit(1)
