"""Proofs of the commands of a UART: each does what its bytes say, once, and answers once."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from amaranth.hdl import Cat, Const, Mux, Signal, Value

from formal.harness import Harness, Opened, implies
from formal.proof import Bug, Proof
from golden.registers import ADDRESS_WIDTH, WORD_BYTES
from golden.uart_protocol import (
    ADDRESS_BYTES,
    BURST,
    EVENTS,
    FLAG_LAST,
    OKAY,
    READ,
    READ_RESPONSE_BYTES,
    RESULT_BYTES,
    RESULTS,
    SLAVE_ERROR,
    UNKNOWN,
    WRITE,
)
from rtl.host.uart import BYTE
from rtl.host.uart_commands import UartCommands

KNOWN = (WRITE, READ, BURST, EVENTS, RESULTS)


def commands(harness: Harness) -> None:
    """Bytes, answers of registers, room and results come freely. What is claimed follows from the
    table of `golden.uart_protocol`: it counts bytes, requests and answers of a command.
    """
    m = harness.m
    opened = harness.add(UartCommands())
    dut = opened.component
    bus, byte = dut.registers, dut.i.payload
    harness.offer(dut.i)
    harness.offer(dut.results, "results")
    harness.accept(dut.o)
    harness.accept(dut.events, "events")
    for name in ("write_ready", "write_error", "read_ready", "read_error", "read_data"):
        port = getattr(bus, name)
        m.d.comb += port.eq(harness.free(len(port), name))
    taken, sent = dut.i.valid & dut.i.ready, dut.o.valid & dut.o.ready
    written, read = bus.write_valid & bus.write_ready, bus.read_valid & bus.read_ready
    event = dut.events.valid & dut.events.ready
    result = dut.results.valid & dut.results.ready

    # The command so far: its bytes, what it has asked for, what of its answer has been sent.
    first, n_bytes = Signal(BYTE, name="first"), Signal(11, name="n_bytes")
    address, word = (
        Signal(ADDRESS_BYTES * BYTE, name="asked"),
        Signal(WORD_BYTES * BYTE, name="told"),
    )
    count = Signal(BYTE, name="one_less")  # words of the command, less one
    n_words, n_sent = Signal(9, name="n_words"), Signal(11, name="n_sent")
    status = Signal(BYTE, name="due_status")
    found = Signal(40, name="found")  # what a read or a result holds
    addressed = (first == WRITE) | (first == READ) | (first == BURST)
    header = 1 + Mux(addressed, ADDRESS_BYTES, 0) + Mux((first != WRITE) & (first != READ), 1, 0)
    begun = n_bytes != 0
    unknown = begun & ~_one_of(first)
    has_words = (first == WRITE) | (first == BURST) | (first == EVENTS)
    wanted = Mux(first == WRITE, 1, count + 1)
    bad = address >> ADDRESS_WIDTH != 0
    with m.If(taken):
        m.d.sync += n_bytes.eq(n_bytes + 1)
        with m.If(~begun):
            m.d.sync += [first.eq(byte), status.eq(OKAY)]
        with m.Elif(addressed & (n_bytes <= ADDRESS_BYTES)):
            m.d.sync += address.eq(Cat(address[BYTE:], byte))
        with m.Elif(n_bytes < header):
            m.d.sync += count.eq(byte)
        with m.Else():
            m.d.sync += word.eq(Cat(word[BYTE:], byte))
    # A word is complete, and not yet asked for.
    complete = (
        begun & has_words & (n_bytes >= header) & ((n_bytes - header) == ((n_words + 1) << 2))
    )
    refused = complete & (first != EVENTS) & bad
    done = written | event | refused
    with m.If(done):
        m.d.sync += [
            n_words.eq(n_words + 1),
            status.eq(status | Mux(refused | (written & bus.write_error), SLAVE_ERROR, OKAY)),
        ]
    reading = begun & (first == READ) & (n_bytes == header) & (n_words == 0)
    with m.If(read | (reading & bad)):
        failed = bad | bus.read_error
        m.d.sync += [
            n_words.eq(1),
            found.eq(Cat(Mux(failed, Const(SLAVE_ERROR, BYTE), OKAY), Mux(bad, 0, bus.read_data))),
        ]
    with m.If(result):
        beat = dut.results.payload
        m.d.sync += [
            n_words.eq(n_words + 1),
            found.eq(Cat(beat.data, Mux(beat.last, Const(FLAG_LAST, BYTE), 0))),
        ]
    due = Mux(first == READ, READ_RESPONSE_BYTES, Mux(first == RESULTS, RESULT_BYTES, 1))
    more = (first == RESULTS) & (n_words != wanted)
    with m.If(sent):
        m.d.sync += n_sent.eq(n_sent + 1)
        with m.If(n_sent + 1 == due):
            m.d.sync += n_sent.eq(0)
            with m.If(~more):
                m.d.sync += [n_bytes.eq(0), n_words.eq(0)]
    answer = Mux(unknown, Const(UNKNOWN, BYTE), status)
    long_answer = begun & ((first == READ) | (first == RESULTS))
    expected = Mux(long_answer, (found >> (n_sent << 3))[:BYTE], answer)
    words_done = n_words == wanted
    may_answer = Mux(unknown, n_bytes == 1, Mux(long_answer, n_words != 0, has_words & words_done))
    harness.prove(
        "a write is the one asked for",
        implies(
            bus.write_valid,
            complete
            & ~bad
            & ((first == WRITE) | (first == BURST))
            & (bus.write_address == address)
            & (bus.write_data == word),
        ),
    )
    harness.prove(
        "a read is the one asked for",
        implies(bus.read_valid, reading & ~bad & (bus.read_address == address)),
    )
    harness.prove(
        "an event is the word told",
        implies(dut.events.valid, complete & (first == EVENTS) & (dut.events.payload.data == word)),
    )
    harness.prove(
        "a result is taken when asked for",
        implies(
            dut.results.ready,
            begun & (first == RESULTS) & (n_bytes == header) & (n_words != wanted) & (n_sent == 0),
        ),
    )
    harness.prove(
        "an answer comes once, when all is done", implies(dut.o.valid, begun & may_answer)
    )
    harness.prove("an answer is the right one", implies(dut.o.valid, dut.o.payload == expected))
    harness.prove(
        "no byte beyond the command is taken",
        implies(
            dut.i.ready & begun,
            _one_of(first) & (n_bytes < header + Mux(has_words, wanted << 2, 0)) | ~begun,
        ),
    )
    harness.stable(dut.o, "the answer stays")
    harness.stable(dut.events, "an event stays")
    harness.prove(
        "a request stays",
        harness.stays(bus.write_valid, bus.write_ready, bus.write_address, bus.write_data)
        & harness.stays(bus.read_valid, bus.read_ready, bus.read_address),
    )
    _invariants(
        harness,
        opened,
        {
            "first": first,
            "n_bytes": n_bytes,
            "header": header,
            "n_words": n_words,
            "n_sent": n_sent,
            "wanted": wanted,
            "has_words": has_words,
            "found": found,
            "answer": answer,
            "more": more,
            "addressed": addressed,
            "due": due,
            "unknown": unknown,
            "address": address,
            "word": word,
            "status": status,
        },
    )
    harness.cover("a burst of two words is answered", sent & (first == BURST) & (n_words == 2))
    harness.cover("a read is answered", sent & (first == READ) & (n_sent == 4))
    harness.cover("an unknown command is answered", sent & unknown)
    harness.cover("two results are answered", sent & (first == RESULTS) & (n_words == 2))


def _invariants(harness: Harness, opened: Opened, told: dict[str, Any]) -> None:
    """Claim what the registers hold in each state, in the words of the command so far."""
    states = ("COMMAND", "ADDRESS", "COUNT", "WORD", "WRITE", "READ", "EVENT", "RESULT", "SEND")
    at = {name: opened.state(name) for name in states}
    names = ("command", "address", "word", "place", "left", "more", "status", "response", "to_send")
    inner = {name: opened.signal(name) for name in names}
    first, n_bytes, header = told["first"], told["n_bytes"], told["header"]
    n_words, n_sent, wanted = told["n_words"], told["n_sent"], told["wanted"]
    held = SimpleNamespace(**inner)
    left = (held.left == (wanted - 1 - n_words)[: len(held.left)]) & (n_words < wanted)
    body = Mux(told["has_words"], wanted << 2, 0)
    long_answer = (first == READ) | (first == RESULTS)
    writes = (first == WRITE) | (first == BURST)
    right = Mux(
        long_answer,
        held.response == (told["found"] >> (n_sent << 3)),
        held.response == told["answer"],
    )
    of_results = Mux(told["more"], left, n_words == wanted) & (n_words != 0)
    claims = {
        "COMMAND": (n_bytes == 0) & (n_words == 0),
        "ADDRESS": told["addressed"]
        & (n_bytes == held.place + 1)
        & (n_words == 0)
        & (held.place < ADDRESS_BYTES),
        "COUNT": (n_bytes == header - 1)
        & (n_words == 0)
        & ((first == BURST) | (first == EVENTS) | (first == RESULTS)),
        "WORD": told["has_words"] & left & (n_bytes == header + (n_words << 2) + held.place),
        "WRITE": writes & left & (n_bytes == header + (n_words << 2) + WORD_BYTES),
        "EVENT": (first == EVENTS) & left & (n_bytes == header + (n_words << 2) + WORD_BYTES),
        "READ": (first == READ) & (n_bytes == header) & (n_words == 0),
        "RESULT": (first == RESULTS) & (n_bytes == header) & left,
        "SEND": right
        & (held.to_send == told["due"] - n_sent)
        & (n_sent < told["due"])
        & (held.more == told["more"])
        & Mux(told["unknown"], n_bytes == 1, n_bytes == header + body)
        & implies(told["has_words"], n_words == wanted)
        & implies(first == READ, n_words == 1)
        & implies(first == RESULTS, of_results),
    }
    for name, claim in claims.items():
        harness.invariant(implies(at[name], claim))
        counts_bytes = name in ("ADDRESS", "WORD")
        harness.invariant(implies(at[name], (held.place == 0) | counts_bytes))
        harness.invariant(implies(at[name], (n_sent == 0) | (name == "SEND")))
        if name != "SEND":
            harness.invariant(implies(at[name], ~told["unknown"]))
    # WRITE has a word and no count, from the command on.
    harness.invariant(implies(at["ADDRESS"] & (first == WRITE), held.left == 0))
    harness.invariant((held.address == told["address"]) & (held.word == told["word"]))
    known = (held.command == first) & (held.status == told["status"])
    harness.invariant(implies(~at["COMMAND"], known))
    harness.invariant(implies(~at["SEND"] & ~at["RESULT"], ~held.more))
    some: Value = Const(0)
    for state in at.values():
        some = some | state
    harness.invariant(some)


def _one_of(command: Value) -> Value:
    found: Value = Const(0)
    for known in KNOWN:
        found = found | (command == known)
    return found


BUGS = (
    Bug(
        "an address beyond the registers is written",
        "a write is the one asked for",
        (("bus.write_valid.eq(~unknown)", "bus.write_valid.eq(1)"),),
    ),
    Bug(
        "of a burst only the last status is told",
        "an answer is the right one",
        (("finish_word(status | Mux(failed", "finish_word(Mux(failed"),),
    ),
    Bug(
        "a burst is a word too long",
        "an answer comes once, when all is done",
        (("with m.If(left == 0)", "with m.If(left <= 1)"),),
    ),
    Bug(
        "a read's answer is taken in the cycle before",
        "a read is the one asked for",
        (("bus.read_valid.eq(~unknown)", "bus.read_valid.eq(1)"),),
    ),
    Bug(
        "bytes of the answer are lost to a busy line",
        "the answer stays",
        (("with m.If(self.o.ready):", "with m.If(1):"),),
    ),
)
PROOFS = (Proof("uart_commands", UartCommands, commands, 30, BUGS, induction=1, quick=False),)
