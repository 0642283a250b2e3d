"""Sequences of payloads to event words, and result words to logits and a class. No hardware."""

from __future__ import annotations

import numpy as np

from golden.errors import UserError
from golden.hardware.core import CoreParams
from golden.registers import BUS_WIDTH, EVENT_WORD, REPORTING_EVENT_WORD, event_word

_FIELDS = {bits.name: bits for bits in EVENT_WORD}
END_TIMESTEP = np.uint32(_FIELDS["END_TIMESTEP"].mask)
END_SEQUENCE = np.uint32(_FIELDS["END_SEQUENCE"].mask)
REPORT = np.uint32({bits.name: bits for bits in REPORTING_EVENT_WORD}["REPORT"].mask)


def encode(core: CoreParams, payloads: np.ndarray, *, ends: bool = True) -> np.ndarray:
    """Return the words (n,) uint32 of one sequence (K, M) of payloads, of which 0 is no event; or
    of a part of one, which does not end it.

    Events come in the order of their inputs. Ends are bits of the words, so that a transport needs
    neither TLAST nor TUSER; a timestep without events is a word with its end alone.

    Raises
    ------
    UserError
        Another shape, no timestep, no integers, or a payload that the core's format does not hold.
    """
    first = core.network.layers[0]
    payloads = np.asarray(payloads)
    if payloads.ndim != 2 or payloads.shape[1] != first.n_inputs or not len(payloads):
        raise UserError(f"a sequence of shape {payloads.shape}: use (timesteps, {first.n_inputs})")
    if payloads.dtype.kind not in "iub":
        raise UserError(f"payloads of type {payloads.dtype}: use integers")
    values = first.formats.payload.check(payloads, "a payload")
    sent = values != 0
    sent[~sent.any(1), 0] = True  # a silent timestep's word: input 0 with a payload of 0
    timestep, address = np.nonzero(sent)
    fields = {bits.name: bits for bits in event_word(core)}
    payload = values[timestep, address] << fields["PAYLOAD"].low & fields["PAYLOAD"].mask
    words = (address << fields["ADDRESS"].low | payload).astype(np.uint32)
    words[np.cumsum(sent.sum(1)) - 1] |= END_TIMESTEP
    if ends:
        words[-1] |= END_SEQUENCE
    return words


def check_reports(core: CoreParams) -> None:
    """Raise `UserError` where a core cannot be asked for a report."""
    if not core.hardware.reports:
        raise UserError(
            f"the core of {core.network.name} sends no reports: export it with --reports, and build"
            " it again"
        )


def decode(core: CoreParams, words: np.ndarray, last: np.ndarray) -> tuple[np.ndarray, int]:
    """Return the logits (C,) int64 and the class of a packet of results.

    A logit is as wide as the network says; the bits above it must all be its sign.

    Raises
    ------
    UserError
        It is not such a packet, as of another core, or with words lost on the way.
    """
    readout = core.network.readout
    if len(words) != readout.n_classes + 1 or last[:-1].any() or not last[-1]:
        ends = np.flatnonzero(last).tolist()
        raise UserError(
            f"{len(words)} results with TLAST at {ends}, where {readout.n_classes} logits and a"
            " class with TLAST are due: recover the device, and send the sequence again"
        )
    values = np.asarray(words, np.int64)
    sign = 1 << (readout.logit_width - 1)
    logits = ((values[:-1] & (2 * sign - 1)) ^ sign) - sign
    if (logits & ((1 << BUS_WIDTH) - 1) != values[:-1]).any() or values[-1] >= readout.n_classes:
        raise UserError(
            f"results {[f'0x{word:08X}' for word in values]} are not {readout.n_classes} logits of"
            f" {readout.logit_width} bits and a class: is this core that of the manifest?"
        )
    return logits, int(values[-1])
