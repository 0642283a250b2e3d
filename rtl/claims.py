"""What components claim of themselves. Every simulation checks it in every cycle: Amaranth's, and
those of Verilog with trace ports. The product and the proofs have nothing of it.
"""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Assert, Module, ResetSignal, Signal, Value


class Product:
    """The platform for which components are elaborated without claims; that of simulations is
    None.
    """


PRODUCT = Product()


def claim(m: Module, platform: object, text: str, holds: Any) -> None:
    """Claim that `holds` is not 0 at any clock edge but in a reset; `text` says what it means."""
    if platform is not PRODUCT:
        m.d.sync += Assert(ResetSignal() | Value.cast(holds).bool(), text)


def claim_stable(m: Module, platform: object, name: str, offered: Any) -> None:
    """Claim that what a stream offers stays, item and all, until it is taken."""
    if platform is PRODUCT:
        return
    payload = Value.cast(offered.payload)
    waited, before = Signal(name=f"{name}_waited"), Signal(len(payload), name=f"{name}_before")
    m.d.sync += [waited.eq(offered.valid & ~offered.ready), before.eq(payload)]
    stays = offered.valid & (payload == before)
    claim(m, platform, f"what {name} offers stays until it is taken", ~waited | stays)


def claim_apart(m: Module, platform: object, name: str, write: Any, read: Any) -> None:
    """Claim that no word of a memory is read in the cycle in which it is written."""
    same = read.en & Value.cast(write.en).any() & (read.addr == write.addr)
    claim(m, platform, f"no word of {name} is read while it is written", ~same)
