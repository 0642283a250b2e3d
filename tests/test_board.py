"""The Verilog of a board with a host's UART at its pins, against the golden model; a core that
stalls, breaks, and the button. Its pins and clocks.
"""

from __future__ import annotations

import json
import re
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from export.core import write_core
from export.store import find_dataset, load_network
from golden import uart_protocol as uart
from golden.errors import UserError
from golden.hardware.core import CoreParams
from golden.hardware.params import HardwareParams
from golden.integer import run
from golden.registers import EVENT_WORD, STATUS_BITS, pack_word, register_map
from rtl.host.board import BOARDS, Clocking
from rtl.verilog.generate import BOARD_TOP, generate_board
from rtl.verilog.rtl_command import main as generate_main
from tb.board import Board, Step, build_board, lines, run_digits
from tb.board import main as run_main
from tb.uart_host import event_words, load_commands, to_logits
from tests.conftest import Shared
from tests.networks import Drawn, draw_network
from tests.small_core import make_small_core

NAME = "ulx3s-85f"
CLOCKS_PER_BIT = 8
SIMULATED = Clocking(NAME, 100.0, 100_000_000 // CLOCKS_PER_BIT)
FAST = "-O1"
BUSY, ERROR, LOST = 2, 4, 8  # LEDs
ENOUGH = 20_000  # bits in which a small core ends what it has


@pytest.fixture(scope="module")
def drawn() -> Drawn:
    """Draw a small network with a slow state, for a core that needs longer for a timestep than a
    word takes on the line.
    """
    drawn = draw_network(112, n_sequences=3, max_inputs=12)
    (layer,) = drawn.network.params.layers
    assert layer.n_neurons * layer.n_state > 2 * 4 * uart.FRAME_BITS * CLOCKS_PER_BIT
    return replace(drawn, hardware=HardwareParams(lanes=1))


@pytest.fixture(scope="module")
def core(drawn: Drawn) -> CoreParams:
    return CoreParams(drawn.network.params, drawn.hardware)


@pytest.fixture(scope="module")
def manifest(drawn: Drawn, core: CoreParams, shared: Shared) -> Path:
    """Return the manifest of a core whose Verilog on a board, beside it, is simulated."""

    def make(folder: Path) -> None:
        manifest = write_core(drawn.network, core, folder)
        generate_board(manifest, SIMULATED)
        build_board(manifest, NAME, optimize=FAST)

    return shared.folder("board", make) / "manifest.json"


@pytest.fixture(scope="module")
def board(manifest: Path) -> Board:
    return build_board(manifest, NAME, optimize=FAST)


def loading(board: Board) -> list[Step]:
    return [s for c in load_commands(board.core, board.images) for s in board.ask(c)]


def reading(board: Board, name: str, index: int = 0) -> list[Step]:
    address = register_map(board.core)[name].words[index]
    return board.ask(uart.read_command(address), uart.READ_RESPONSE_BYTES)


def packet(board: Board) -> int:
    """Return the words of a result."""
    return board.core.network.readout.n_classes + 1


def sending(board: Board, payloads: np.ndarray) -> list[Step]:
    """Return the steps that send one sequence in one command and receive its result."""
    return [
        *board.ask(uart.events_command(event_words(payloads))),
        *board.ask(uart.results_command(packet(board)), packet(board) * uart.RESULT_BYTES),
    ]


@pytest.mark.parametrize("name", ["small", pytest.param("rows", marks=pytest.mark.long)])
def test_digits_over_the_uart_are_the_golden_ones(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Through the commands: what is loaded, sent, received and counted, and the classes of the
    network; `rows` as it is shipped.
    """
    if name == "small":
        core, (manifest, *given) = make_small_core(tmp_path)
        network, images = load_network(given[-1]), 1
    else:
        network, images = load_network(name), 5
        core, given = CoreParams(network.params, HardwareParams(lanes=4)), []
        manifest = str(write_core(network, core, tmp_path))
    monkeypatch.setattr("tb.board.build_board", partial(build_board, optimize=FAST))
    options = ["--top", NAME, "--baud", str(SIMULATED.baud), "--out", str(tmp_path / "uart")]
    done = CliRunner().invoke(generate_main, [manifest, *options])
    assert done.exit_code == 0, done.output
    options = ["--verilog", str(tmp_path / "uart"), "--digits", str(images), *given]
    done = CliRunner().invoke(run_main, [manifest, *options])
    assert done.exit_code == 0, done.output
    found = json.loads(Path(manifest).with_name("uart.json").read_text())
    dataset = find_dataset("rows").select(slice(images))
    golden = run(network, dataset.sequences())
    assert found["classes"] == golden.classes.tolist()
    assert found["mismatches"] == 0 and not found["error_flags"]
    assert found["compared"] > images + len(core.memories)
    right = int((golden.classes == dataset.labels).sum())
    assert f"sequences    {images}, of which {right} right" in done.output
    assert name == "small" or right == images
    assert f"sequences    {images}\n" in "\n".join(lines(found, np.full(images, -1)))


def test_errors_and_counters_too_and_a_difference_is_found(
    board: Board, drawn: Drawn, tmp_path: Path
) -> None:
    """A network that saturates; then the same where one weight is loaded wrong."""
    found = run_digits(board, drawn.payloads, tmp_path / "right")
    assert found["mismatches"] == 0 and found["error_flags"]

    class Wrong(Board):
        @property
        def network(self):  # noqa: ANN202
            return board.network

    name = "readout.b_o"
    words = [word ^ 1 for word in board.images[name]]
    wrong = Wrong(board.core, board.images | {name: words}, board.model, board.clocks_per_bit)
    assert run_digits(wrong, drawn.payloads, tmp_path / "wrong")["mismatches"]


@pytest.mark.parametrize("bit_length", [0.98, 1.02])
def test_a_core_that_stalls_takes_the_longest_command(
    board: Board, drawn: Drawn, bit_length: float, tmp_path: Path
) -> None:
    """A sequence of 256 timesteps of a word each, at the host's own baud rate: they come faster
    than they are computed, wait, and none is lost.
    """
    n_inputs = drawn.payloads.shape[2]
    payloads = np.zeros((1, uart.MAX_WORDS, n_inputs), np.int64)
    rng = np.random.default_rng(2)
    fired = rng.integers(0, n_inputs, uart.MAX_WORDS)
    largest = drawn.network.params.layers[0].formats.payload.max
    payloads[0, np.arange(uart.MAX_WORDS), fired] = rng.integers(0, largest + 1, uart.MAX_WORDS)
    stalls = board.core.counters.index("layer0.input_stall_cycles")
    steps = [*loading(board), *sending(board, payloads[0]), *reading(board, "COUNTER", stalls)]
    record = board.exchange(steps, tmp_path, bit_length=bit_length)
    golden = run(board.network, payloads)
    *_, taken, _, result, _, stalled = record["received"]
    assert taken == bytes([uart.OKAY])
    assert to_logits(result) == (golden.logits[0].tolist(), golden.classes[0])
    status, cycles = uart.read_response(stalled)
    assert status == uart.OKAY and cycles > 10_000
    assert not any(led & LOST for led in record["leds"])


def test_a_host_recovers_with_breaks(board: Board, drawn: Drawn, tmp_path: Path) -> None:
    """In the middle of a command; and where the core takes no more, since nobody takes its results:
    the command has no answer, the results come all the same, and what follows is as if nothing had
    been.
    """
    n_inputs = drawn.payloads.shape[2]
    blank = np.zeros((1, 1, n_inputs), np.int64)
    single = event_words(blank[0])
    broken = [{"break": uart.BREAK_BITS}, {"wait": uart.FRAME_BITS}, {"take": 0}]
    register = register_map(board.core)["LOAD_DATA"].offset
    steps = [
        *loading(board),
        {"send": uart.burst_command(register, [1, 2, 3])[:-5].hex()},
        *broken,
        *loading(board),  # two words were written behind the last memory: load again
        *sending(board, drawn.payloads[0]),
        {"send": uart.events_command(single * uart.MAX_WORDS).hex()},
        {"wait": ENOUGH},
        {"take": 0},
        *broken,
        {"send": uart.results_command(uart.MAX_WORDS).hex()},
        {"wait": ENOUGH},
        {"take": 0},
        *broken,
        *reading(board, "STATUS"),
        *sending(board, drawn.payloads[1]),
    ]
    record = board.exchange(steps, tmp_path)
    received, leds = record["received"], record["leds"]
    golden = run(board.network, drawn.payloads)
    expected = list(zip(golden.logits.tolist(), golden.classes.tolist(), strict=True))
    at = 2 * len(loading(board)) + 1 + len(broken)
    assert to_logits(received[at + 3]) == expected[0]
    assert received[at + 6] == b"", "the command is not done"
    assert leds[at + 6] & BUSY and not leds[at + 3] & BUSY
    results = received[at + 12]
    n_bytes = packet(board) * uart.RESULT_BYTES
    assert len(results) % n_bytes == 0 and len(results) > n_bytes
    logits = run(board.network, blank)
    for start in range(0, len(results), n_bytes):
        found = to_logits(results[start : start + n_bytes])
        assert found == (logits.logits[0].tolist(), logits.classes[0])
    status, word = uart.read_response(received[at + 17])
    assert status == uart.OKAY and not word & STATUS_BITS[0].mask
    assert to_logits(received[-1]) == expected[1]


def test_what_the_registers_and_the_lights_say(board: Board, tmp_path: Path) -> None:
    """No register, no direction, an address beyond all, no command; an error flag, which the button
    clears, with what was loaded kept.
    """
    registers = register_map(board.core)
    identification = registers["ID"]
    n_inputs = board.core.network.layers[0].n_inputs
    beyond = bytes([uart.READ]) + (1 << 14 | identification.offset).to_bytes(2, "little")
    wrong = [pack_word(EVENT_WORD, address=n_inputs, payload=1)]
    blank = np.zeros((2, 2, n_inputs), np.int64)
    steps = [
        *loading(board),
        *board.ask(uart.write_command(identification.offset, 1)),
        *board.ask(uart.read_command(registers["CONTROL"].offset), uart.READ_RESPONSE_BYTES),
        *board.ask(beyond, uart.READ_RESPONSE_BYTES),
        *board.ask(b"\0"),
        *reading(board, "ID"),
        *board.ask(uart.events_command(wrong)),
        *reading(board, "ERROR"),
        {"press": 5},
        {"wait": 5},
        *reading(board, "ERROR"),
        *sending(board, blank[0]),
    ]
    record = board.exchange(steps, tmp_path)
    received, leds = record["received"][len(loading(board)) :], record["leds"]
    none = uart.READ_RESPONSE_BYTES - 1
    failed = bytes([uart.SLAVE_ERROR])
    assert received[1:8:2] == [failed, failed + bytes(none), failed + bytes(none), b"\xff"]
    assert uart.read_response(received[9]) == (uart.OKAY, identification.value)
    flag = 1 << board.core.errors.index("layer0.out_of_range")
    assert uart.read_response(received[13]) == (uart.OKAY, flag)
    assert uart.read_response(received[17]) == (uart.OKAY, 0)
    golden = run(board.network, blank[:1])
    assert to_logits(received[-1]) == (golden.logits[0].tolist(), golden.classes[0])
    lit = leds[len(loading(board)) :]
    assert not lit[9] & (ERROR | BUSY) and lit[13] & ERROR and lit[13] & BUSY
    assert not lit[17] & (ERROR | BUSY)


def test_every_pin_is_placed_and_every_clock_is_described(manifest: Path, tmp_path: Path) -> None:
    """All bits of the ports of the Verilog, each once; no two at one site."""
    options = ["--top", NAME, "--mhz", "75", "--out", str(tmp_path)]
    done = CliRunner().invoke(generate_main, [str(manifest), *options])
    name = json.loads(manifest.read_text())["network"]["name"]
    verilog = tmp_path / f"{name}_ulx3s_85f.v"
    assert done.exit_code == 0 and done.stdout == f"Verilog: {verilog}\n", done.output
    text = verilog.read_text()
    top = text.split(f"module {BOARD_TOP}(")[1].split("endmodule")[0]
    declared = re.findall(r"^\s*(?:input|output)\s+(?:\[(\d+):0\]\s+)?(\w+);", top, re.M)
    bits = [f"{n}[{i}]" for high, n in declared if high for i in range(int(high) + 1)]
    bits += [n for high, n in declared if not high]
    constraints = verilog.with_suffix(".lpf").read_text()
    placed = dict(re.findall(r'^LOCATE COMP "(\S+)" SITE "(\w+)";$', constraints, re.M))
    attributes = re.findall(r'^IOBUF PORT "(\S+)" IO_TYPE=LVCMOS33', constraints, re.M)
    assert sorted(placed) == sorted(bits) == sorted(attributes)
    assert len(set(placed.values())) == len(placed) == 5 + 8
    assert 'FREQUENCY PORT "clk" 25 MHZ;' in constraints
    assert re.search(r"EHXPLLL #\(\s*\.CLKFB_DIV\(32'd3\),\s*\.CLKI_DIV\(32'd1\),", text)
    described = json.loads(verilog.with_suffix(".json").read_text())
    assert (described["mhz"], described["baud"], described["clocks_per_bit"]) == (75, uart.BAUD, 75)


@pytest.mark.parametrize(
    ("mhz", "baud", "message"),
    [
        (100.0, 30_000_000, "are too many for 100 MHz: use 20000000 or fewer"),
        (25.0, 5_500_000, "25 MHz make 5000000 baud, not 5500000"),
        (33.0, 1_000_000, "no divider of the PLL makes 33 MHz of 25 MHz: use "),
    ],
)
def test_clocks_that_cannot_be_made(
    manifest: Path, tmp_path: Path, mhz: float, baud: int, message: str
) -> None:
    options = ["--top", NAME, "--mhz", str(mhz), "--baud", str(baud), "--out", str(tmp_path)]
    done = CliRunner().invoke(generate_main, [str(manifest), *options])
    assert done.exit_code == 2 and message in done.output and done.output.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_a_verilog_that_is_missing_or_old_is_named(manifest: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"generate the core first \(dmp rtl \S+ --top ulx3s-12f\)"):
        build_board(manifest, "ulx3s-12f")
    for path in manifest.parent.glob("*.*"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    copy = tmp_path / "manifest.json"
    generate_board(copy, SIMULATED)
    copy.write_text(copy.read_text() + "\n")
    with pytest.raises(UserError, match="belongs to an earlier manifest"):
        build_board(copy, NAME)


def test_the_boards_are_known() -> None:
    assert BOARDS[NAME].device == "ecp5-85k" and BOARDS[NAME].clock_mhz == 25.0
