"""A self-checking testbench in plain SystemVerilog, and the files it reads: no Python is needed to
run it.

It loads the memory images over the load stream, sends the events of whole sequences and holds every
result against the golden model's, which ran on the weights that the images hold.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from export.images import Images, unpack
from export.items import pack_events, to_items
from golden.cost.cycles import watchdog_cycles
from golden.errors import UserError
from golden.hardware.core import CoreParams
from golden.hardware.memory import LOAD_WIDTH, load_header
from golden.integer import run
from golden.interface import Interface

EVENTS, RESULTS = "events.mem", "results.mem"


def image_file(memory: str) -> str:
    """Return the file of a memory's image."""
    return f"{memory.replace('.', '_')}.mem"


def to_words(values: Iterable[int], width: int) -> str:
    """Return words as `$readmemh` reads them: one a line, in hexadecimal."""
    return "".join(f"{value:0{-(-width // 4)}x}\n" for value in values)


def image_files(core: CoreParams, images: Images) -> dict[str, str]:
    """Return the `$readmemh` image of every memory by its file: a word a line, word 0 first, lane 0
    in the lowest bits.

    To use one, open the memory on the load stream with an item that has `first` set and the
    memory's number << 24 as its data, then send the words in chunks of 32 bits, the low one first;
    the testbench's task `load` does this. A small ROM of these items loads a core on a chip. In a
    simulation, `$readmemh("layer0_w_f.mem", core.layer0.spike_path.weights.words)` is quicker.
    """
    return {
        image_file(name): to_words(images[name], memory.width)
        for name, memory in core.memories.items()
    }


@dataclass(frozen=True)
class Vectors:
    """Payloads (n,) uint64 of `i_events`, and what `o_results` must show for them."""

    n_sequences: int
    events: np.ndarray
    results: np.ndarray

    def files(self, interface: Interface) -> dict[str, str]:
        """Return what the testbench reads, by file."""
        widths = {name: interface.ports[f"{name}__payload"].width for name in interface.fields
                  if f"{name}__payload" in interface.ports}  # fmt: skip
        return {
            EVENTS: to_words(self.events.tolist(), widths["i_events"]),
            RESULTS: to_words(self.results.tolist(), widths["o_results"]),
        }


def make_vectors(
    core: CoreParams,
    images: Images,
    interface: Interface,
    payloads: np.ndarray,
    reports: Sequence[int] = (),
) -> Vectors:
    """Return the events of sequences (B, K, M) of payloads, each of which asks for results after
    these numbers of timesteps (`reports`), and the golden model's results.

    `best` is 0 but in the last result of a report or a sequence, where alone it means something.
    """
    expected, found = core.network.layers[0].n_inputs, payloads.shape[2]
    if found != expected:
        raise UserError(
            f"sequences have {found} input{'s' * (found > 1)} a timestep, but the core has"
            f" {expected}: check --network"
        )
    golden = run(unpack(images, core), payloads, reports=reports)
    n_classes = golden.logits.shape[1]
    logits = np.concatenate([golden.reports, golden.logits[:, None]], 1).reshape(-1, n_classes)
    index = np.broadcast_to(np.arange(n_classes), logits.shape)
    last = index == n_classes - 1
    return Vectors(
        len(payloads),
        pack_events(interface, to_items(payloads, reports=reports)),
        interface.pack(
            "o_results",
            index=index.ravel(),
            logit=logits.ravel(),
            best=np.where(last, logits.argmax(1)[:, None], 0).ravel(),
            last=last.ravel(),
        ),
    )


def _load_memory(number: int, name: str, depth: int) -> str:
    """Return the statements that load a memory."""
    return f"""        load(1, {LOAD_WIDTH}'h{load_header(number):08x});  // {name}
        for (i = 0; i < {depth}; i = i + 1) begin
            word = {name.replace(".", "_")}[i];
            load_word(LAST_CHUNK_{number});
        end
"""


def write_testbench(core: CoreParams, interface: Interface, vectors: Vectors, name: str) -> str:
    """Return the testbench as SystemVerilog; its module is called `name`.

    With its parameter `STALLS` not 0, it draws gaps on both streams.
    """
    ports = [port for port in interface.ports.values() if port.name not in ("clk", "rst")]
    signals = "\n".join(
        f"    {'reg' if port.direction == 'input' else 'wire'} [{port.width - 1}:0] {port.name}"
        f"{' = 0' if port.direction == 'input' else ''};"
        for port in ports
    )
    connections = ", ".join(f".{port.name}({port.name})" for port in ports)
    chunks = {name: memory.items for name, memory in core.memories.items()}
    memories = "\n".join(
        f"    reg [{memory.width - 1}:0] {full.replace('.', '_')} [0:{memory.depth - 1}];\n"
        f"    localparam LAST_CHUNK_{number} = {chunks[full] - 1};"
        for number, (full, memory) in enumerate(core.memories.items())
    )
    read = "\n".join(
        f'        $readmemh("{image_file(full)}", {full.replace(".", "_")});'
        for full in core.memories
    )
    loaded = "".join(
        _load_memory(number, full, memory.depth)
        for number, (full, memory) in enumerate(core.memories.items())
    )
    events, results = (interface.ports[f"{s}__payload"].width for s in ("i_events", "o_results"))
    item, result = interface.fields["i_load"], interface.fields["o_results"]
    data, first = item["data"], item["first"]
    best, last = result["best"], result["last"]
    return f"""// Testbench of {interface.top}, network {core.network.name}: PASS, or a fatal error.
module {name};
    parameter STALLS = 0;  // not 0: gaps on both streams
    localparam N_EVENTS = {len(vectors.events)}, N_RESULTS = {len(vectors.results)};
    localparam WATCHDOG = {watchdog_cycles(core)};  // cycles without a transfer
    reg clk = 0;
    always #1 clk = !clk;
    reg rst = 1;
{signals}
    {interface.top} core (.clk(clk), .rst(rst), {connections});

{memories}
    reg [{events - 1}:0] events [0:N_EVENTS - 1];
    reg [{results - 1}:0] results [0:N_RESULTS - 1];
    reg [{max(chunks.values()) * LOAD_WIDTH - 1}:0] word;
    integer i, chunk, n_results = 0, n_wrong = 0, idle = 0, cycle = 0, first_cycle = 0;
    reg [15:0] noise = 16'hace1;
    wire gap = STALLS != 0 && noise[2:0] != 0;

    // Inputs change at falling edges.
    task load(input first, input [{LOAD_WIDTH - 1}:0] data);
        begin
            @(negedge clk);
            i_load__valid = 1;
            i_load__payload[{first.offset}] = first;
            i_load__payload[{data.offset} +: {data.width}] = data;
            @(posedge clk);
            while (!i_load__ready) @(posedge clk);
        end
    endtask

    task load_word(input integer last_chunk);
        for (chunk = 0; chunk <= last_chunk; chunk = chunk + 1)
            load(0, word[{LOAD_WIDTH} * chunk +: {LOAD_WIDTH}]);
    endtask

    task send(input [{events - 1}:0] payload);
        begin
            @(negedge clk);
            while (gap) begin
                i_events__valid = 0;
                i_events__payload = noise;
                @(negedge clk);
            end
            i_events__valid = 1;
            i_events__payload = payload;
            @(posedge clk);
            while (!i_events__ready) @(posedge clk);
        end
    endtask

    initial begin
{read}
        $readmemh("{EVENTS}", events);
        $readmemh("{RESULTS}", results);
        repeat (4) @(negedge clk);
        rst = 0;
{loaded}        @(negedge clk);
        i_load__valid = 0;
        first_cycle = cycle;
        for (i = 0; i < N_EVENTS; i = i + 1) send(events[i]);
        @(negedge clk);
        i_events__valid = 0;
    end

    always @(negedge clk) begin
        noise <= {{noise[14:0], noise[15] ^ noise[13] ^ noise[12] ^ noise[10]}};
        o_results__ready <= !gap;
    end

    wire [{results - 1}:0] expected = results[n_results];
    wire [{results - 1}:0] differing = expected ^ o_results__payload;
    wire [{best.width - 1}:0] wrong_best = differing[{best.offset} +: {best.width}];
    // `best` means something in the last result of a report or a sequence only.
    wire wrong = {_differs(result)} || (expected[{last.offset}] && wrong_best != 0);
    always @(posedge clk) begin
        cycle <= cycle + 1;
        idle <= idle + 1;
        if (rst || (i_load__valid && i_load__ready) || (i_events__valid && i_events__ready))
            idle <= 0;
        if (idle == WATCHDOG) $fatal(1, "FAIL: the core is stuck");
        if (!rst && o_results__valid && o_results__ready) begin
            idle <= 0;
            // !==: what is not known is wrong.
            if (wrong !== 0) begin
                n_wrong <= n_wrong + 1;
                $display("result %0d is %h, not %h", n_results, o_results__payload, expected);
            end
            n_results <= n_results + 1;
            if (n_results + 1 == N_RESULTS) begin
                if (n_wrong != 0 || wrong !== 0) $fatal(1, "FAIL: results differ from golden's");
                $display("PASS: %0d results of %0d sequences as golden's, %0d cycles",
                         N_RESULTS, {vectors.n_sequences}, cycle - first_cycle);
                $finish;
            end
        end
    end
endmodule
"""


def _differs(result: dict) -> str:
    """Return the expression that tells whether a result's index, logit or last differs."""
    return " || ".join(
        f"differing[{result[name].offset} +: {result[name].width}] != 0"
        for name in ("index", "logit", "last")
    )
