"""Proofs of the AXI4-Lite front end: every request once, with its own answer."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Mux, Signal, Value

from formal.harness import Harness, implies
from formal.proof import Bug, Proof
from formal.scoreboard import WIDTH
from rtl.host.axi_lite import OKAY, SLVERR, AxiLite


def axi_lite(harness: Harness) -> None:
    opened = harness.add(AxiLite())
    dut = opened.component
    _offer_all(harness, dut.bus)
    for name in ("write_ready", "write_error", "read_ready", "read_error", "read_data"):
        port = getattr(dut.registers, name)
        harness.m.d.comb += port.eq(harness.free(len(port), name))
    _writes(harness, dut, opened.signal("strobes"))
    _reads(harness, dut)


def _offer_all(harness: Harness, bus: Any) -> None:
    """Let a free manager offer addresses and data, each until it is taken."""
    channels = {"aw": ("addr",), "w": ("data", "strb"), "ar": ("addr",)}
    for channel, told in channels.items():
        valid = harness.free(1, f"{channel}valid")
        values = [harness.free(len(getattr(bus, channel + of)), channel + of) for of in told]
        harness.m.d.comb += getattr(bus, f"{channel}valid").eq(valid)
        for name, value in zip(told, values, strict=True):
            harness.m.d.comb += getattr(bus, channel + name).eq(value)
        harness.assume(harness.stays(valid, getattr(bus, f"{channel}ready"), *values))
    for channel in ("b", "r"):
        harness.m.d.comb += getattr(bus, f"{channel}ready").eq(harness.free(1, f"{channel}ready"))


def _follow(harness: Harness, transfer: Value, number: Signal, *values: Value) -> list[Signal]:
    """Return what was transferred as number `number` of its channel, and the transfers so far."""
    count = harness.count(WIDTH, transfer, "transfers")
    found = []
    for value in values:
        kept = Signal(len(value), name="followed")
        with harness.m.If(transfer & (count == number)):
            harness.m.d.sync += kept.eq(value)
        found.append(kept)
    return [count, *found]


def _writes(harness: Harness, dut: AxiLite, dut_strobes: Signal) -> None:
    m, bus, registers = harness.m, dut.bus, dut.registers
    number = harness.constant(WIDTH, "write")  # the write that is followed
    addresses, address = _follow(harness, bus.awvalid & bus.awready, number, bus.awaddr)
    words, data, strobes = _follow(harness, bus.wvalid & bus.wready, number, bus.wdata, bus.wstrb)
    (taken,) = _follow(harness, bus.bvalid & bus.bready, number)
    answered = (taken + bus.bvalid)[:WIDTH]
    done = registers.write_valid & registers.write_ready
    due = answered == number  # the request that may be in work is the one that is followed
    own = bus.bvalid & (taken == number)
    executed, failed = Signal(name="executed"), Signal(name="failed")
    with m.If(due & done):
        m.d.sync += [executed.eq(1), failed.eq(registers.write_error)]
    with m.Elif(~own | bus.bready):
        m.d.sync += executed.eq(0)
    request = (registers.write_address == address) & (registers.write_data == data)
    harness.prove(
        "a write is the one asked for",
        implies(registers.write_valid & due, request & strobes.all()),
    )
    harness.prove("a write is done once", implies(done & due, ~executed))
    ahead = [(count - answered)[:WIDTH] for count in (addresses, words)]
    harness.prove("no write is lost", (ahead[0] == ~bus.awready) & (ahead[1] == ~bus.wready))
    harness.prove("one write in work", implies(registers.write_valid, ~bus.bvalid))
    response = Mux(strobes.all(), failed, strobes.any())
    harness.prove(
        "a write has its own answer",
        implies(own, (bus.bresp == Mux(response, SLVERR, OKAY)) & (executed == strobes.all())),
    )
    kept = harness.stays(
        registers.write_valid, registers.write_ready, registers.write_address, registers.write_data
    )
    harness.prove("a write waits for the registers", kept)
    harness.prove(
        "its answer waits for the manager", harness.stays(bus.bvalid, bus.bready, bus.bresp)
    )
    harness.invariant(implies(due, ~executed))
    harness.invariant(implies(due & ~bus.awready, registers.write_address == address))
    stored = (registers.write_data == data) & (dut_strobes == strobes)
    harness.invariant(implies(due & ~bus.wready, stored))
    harness.cover("a write fails", own & bus.bready & (bus.bresp == SLVERR) & strobes.all())
    harness.cover("a second write is answered", own & bus.bready & (taken == 1))


def _reads(harness: Harness, dut: AxiLite) -> None:
    m, bus, registers = harness.m, dut.bus, dut.registers
    number = harness.constant(WIDTH, "read")
    addresses, address = _follow(harness, bus.arvalid & bus.arready, number, bus.araddr)
    (taken,) = _follow(harness, bus.rvalid & bus.rready, number)
    answered = (taken + bus.rvalid)[:WIDTH]
    done = registers.read_valid & registers.read_ready
    due = answered == number
    data, failed = Signal.like(bus.rdata, name="read"), Signal(name="failed")
    with m.If(due & done):
        m.d.sync += [data.eq(registers.read_data), failed.eq(registers.read_error)]
    harness.prove(
        "a read is the one asked for",
        implies(registers.read_valid & due, registers.read_address == address),
    )
    harness.prove("no read is lost", (addresses - answered)[:WIDTH] == ~bus.arready)
    harness.prove("one read in work", implies(registers.read_valid, ~bus.rvalid))
    own = bus.rvalid & (taken == number)
    right = (bus.rdata == data) & (bus.rresp == Mux(failed, SLVERR, OKAY))
    harness.prove("a read has its own answer", implies(own, right))
    harness.prove(
        "a read waits for the registers",
        harness.stays(registers.read_valid, registers.read_ready, registers.read_address),
    )
    harness.prove(
        "its data wait for the manager", harness.stays(bus.rvalid, bus.rready, bus.rdata, bus.rresp)
    )
    harness.invariant(implies(due & ~bus.arready, registers.read_address == address))
    harness.cover("a second read is answered", own & bus.rready & (taken == 1))


PROOFS = (
    Proof(
        "axi_lite",
        AxiLite,
        axi_lite,
        induction=1,
        steps=10,
        bugs=(
            Bug(
                "a write with some strobes is done",
                "a write is the one asked for",
                (("whole = strobes.all()", "whole = strobes.any()"),),
            ),
            Bug(
                "a write is taken from the next address",
                "no write is lost",
                (("                has_address.eq(0),\n", ""),),
            ),
            Bug(
                "a read is done while its answer waits",
                "one read in work",
                (("has_read & ~bus.rvalid", "has_read"),),
            ),
            Bug(
                "an error of a read is forgotten",
                "a read has its own answer",
                (("with m.If(registers.read_error)", "with m.If(registers.write_error)"),),
            ),
        ),
    ),
)
