"""All proofs, and what is said of them."""

from __future__ import annotations

from formal import (
    axi_lite,
    axi_streams,
    delays,
    encoder,
    event_list,
    loader,
    readout,
    recurrence,
    schedule,
    spikes,
    streams,
    uart_commands,
)
from formal.proof import Proof
from golden.errors import UserError

MODULES = (
    streams,
    axi_lite,
    axi_streams,
    uart_commands,
    loader,
    event_list,
    delays,
    schedule,
    spikes,
    encoder,
    recurrence,
    readout,
)
PROOFS: tuple[Proof, ...] = tuple(proof for module in MODULES for proof in module.PROOFS)


def named(names: tuple[str, ...]) -> tuple[Proof, ...]:
    """Return the proofs of these names, all without any, or raise `UserError`."""
    known = {proof.name: proof for proof in PROOFS}
    for name in names:
        if name not in known:
            raise UserError(f"there is no proof {name}: use one of {', '.join(known)}")
    return tuple(known[name] for name in names) or PROOFS


def rows() -> list[list[str]]:
    """Return for every proof its name, component, properties, method, and the bugs that it must
    find.
    """
    return [
        [
            f"`{proof.name}`",
            f"`{proof.component.__name__}`",
            "; ".join(proof.written().properties),
            proof.method,
            "; ".join(bug.what for bug in proof.bugs),
        ]
        for proof in PROOFS
    ]
