"""The buses between a core and its host: beats of words, requests for registers."""

from __future__ import annotations

from amaranth.hdl import Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from golden.registers import ADDRESS_WIDTH, BUS_WIDTH
from rtl.signatures import Signature


def beat_layout(user: int = 0) -> data.StructLayout:
    """Return the layout of a beat of an AXI4-Stream, with `user` bits of TUSER."""
    return data.StructLayout({"data": BUS_WIDTH, "last": 1} | ({"user": user} if user else {}))


class RegisterBusPorts(wiring.PureInterface):
    write_valid: Signal
    write_address: Signal
    write_data: Signal
    write_ready: Signal
    write_error: Signal
    read_valid: Signal
    read_address: Signal
    read_ready: Signal
    read_data: Signal
    read_error: Signal


class RegisterBus(Signature):
    """Writes and reads of registers, each one at a time.

    A request stands, with all that belongs to it, until `ready` is set: then it is done, and
    `error` and `read_data` are its answer.
    """

    ports = RegisterBusPorts

    def __init__(self) -> None:
        super().__init__(
            {
                "write_valid": Out(1),
                "write_address": Out(ADDRESS_WIDTH),
                "write_data": Out(BUS_WIDTH),
                "write_ready": In(1),
                "write_error": In(1),
                "read_valid": Out(1),
                "read_address": Out(ADDRESS_WIDTH),
                "read_ready": In(1),
                "read_data": In(BUS_WIDTH),
                "read_error": In(1),
            }
        )
