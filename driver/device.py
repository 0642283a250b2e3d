"""A core with its standard top, as a host sees it: identify, load, run, count.

    from driver.device import Device
    from driver.uart import Uart
    with Device(Uart.open("/dev/ttyUSB0"), Path("build/rows/manifest.json")) as device:
        device.load()
        results = device.run(payloads)  # (B, K, M) integers
        results.classes, results.logits, device.counters(), device.errors()

A core with reports also tells its results so far, within a sequence that may go on for ever:

        device.send(timesteps)  # (K, M) integers, again and again
        logits, best = device.report()
        logits, best = device.end()

Nothing here can deadlock. A core stalls its events while results wait, so a host that sends
sequence after sequence before it takes a result may wait for ever, above all on a UART, where one
call ends before the next begins. Here at most one sequence is on its way: all its events are taken,
since within a sequence the core never waits for its results, and then its results are fetched,
which come without further events. So it is with a report: its results are fetched before anything
else is sent. Every wait of a transport has an end besides.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import numpy as np

from driver.transport import Silence, Transport
from driver.words import END_SEQUENCE, END_TIMESTEP, REPORT, check_reports, decode, encode
from export.core import read_images
from golden.errors import UserError
from golden.hardware.memory import LOAD_WIDTH, load_header
from golden.registers import IDENTIFICATION, register_map

_MINOR = (1 << 16) - 1  # of VERSION; what is above is its major part


@dataclass(frozen=True)
class Results:
    """What a core did with B sequences: `logits` (B, C) and `classes` (B,) int64, the host's
    `seconds` (B,) from the first word sent to the class, and the core's `cycles` (B,) for the same,
    or None where its transport has no clock to count.
    """

    logits: np.ndarray
    classes: np.ndarray
    seconds: np.ndarray
    cycles: np.ndarray | None


class Device:
    """A core at the end of a transport; it must be the core that a manifest describes.

    Parameters
    ----------
    transport
        The way to it; `close` closes it.
    manifest
        The core that it must be; its images are what `load` loads.

    Raises
    ------
    UserError
        The manifest or an image cannot be used, or there is another core on the device.
    """

    def __init__(self, transport: Transport, manifest: Path) -> None:
        self.transport = transport
        self.core, self.images = read_images(manifest)
        self.registers = register_map(self.core)
        self._manifest = manifest
        transport.recover()
        self._identify()

    def __enter__(self) -> Device:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Leave the device."""
        self.transport.close()

    def _read(self, name: str, word: int = 0) -> int:
        return self.transport.read(self.registers[name].words[word])

    def _identify(self) -> None:
        """Raise `UserError` unless the device is the core of the manifest."""
        found = self._read("ID")
        if found != IDENTIFICATION:
            raise UserError(
                f"the device's ID is 0x{found:08X}, not 0x{IDENTIFICATION:08X}: there is no core at"
                " this port or address, or it is not configured"
            )
        found, known = self._read("VERSION"), self.registers["VERSION"].value or 0
        if found >> 16 != known >> 16 or found & _MINOR < known & _MINOR:
            raise UserError(
                f"the device's registers are of version {found >> 16}.{found & _MINOR}, not"
                f" {known >> 16}.{known & _MINOR}: build the core with this version of dmp-core"
            )
        if self._read("SHAPE") == self.registers["SHAPE"].value:
            return
        shown = [r for r in self.registers.values() if r.value is not None][3:]
        wrong = [
            f"{register.name} {found} instead of {register.value}"
            for register in shown
            if (found := self.transport.read(register.offset)) != register.value
        ]
        what = ", ".join(wrong) or "other layers or number formats"
        raise UserError(
            f"the device has another core ({what}): use its manifest instead of {self._manifest},"
            " or configure it with the core of this one"
        )

    @property
    def busy(self) -> bool:
        """A sequence has begun, or a result waits."""
        return bool(self._read("STATUS") & self.registers["STATUS"].bits[0].mask)

    def load(self, progress: Callable[[int], object] = lambda n: None) -> None:
        """Load every memory from the manifest's images; `progress` is called with the number of
        words after each memory.
        """
        if self.busy:
            raise UserError("a sequence runs on the device: recover it before you load it")
        header, data = (self.registers[name].offset for name in ("LOAD_HEADER", "LOAD_DATA"))
        for number, (name, memory) in enumerate(self.core.memories.items()):
            n_bytes = memory.items * LOAD_WIDTH // 8
            content = b"".join(word.to_bytes(n_bytes, "little") for word in self.images[name])
            words = np.frombuffer(content, "<u4").astype(np.uint32)
            self.transport.write(header, load_header(number))
            self.transport.write_burst(data, words)
            progress(len(words))

    @property
    def load_words(self) -> int:
        """The writes of LOAD_DATA that load every memory."""
        return sum(m.depth * m.items for m in self.core.memories.values())

    def run(
        self, payloads: np.ndarray, progress: Callable[[int], object] = lambda n: None
    ) -> Results:
        """Run one sequence (K, M) of payloads, or several (B, K, M), one after another; `progress`
        is called with 1 after each.

        Raises
        ------
        UserError
            The payloads do not fit the core, or the device answers wrongly or not at all; call
            `recover` then.
        """
        payloads = np.asarray(payloads)
        sequences = payloads[None] if payloads.ndim == 2 else payloads
        if not len(sequences):
            raise UserError("no sequences to run: give at least one")
        encoded = [encode(self.core, sequence) for sequence in sequences]
        logits, classes, seconds, cycles = [], [], [], []
        for words in encoded:
            started, before = time.perf_counter(), self.transport.cycles
            self.transport.send_events(words)
            packet = self._receive()
            after = self.transport.cycles
            seconds.append(time.perf_counter() - started)
            if before is not None and after is not None:
                cycles.append(after - before)
            found, best = decode(self.core, *packet)
            logits.append(found)
            classes.append(best)
            progress(1)
        return Results(
            np.stack(logits),
            np.array(classes),
            np.array(seconds),
            np.array(cycles) if len(cycles) == len(encoded) else None,
        )

    def _receive(self) -> tuple[np.ndarray, np.ndarray]:
        """Wait for and return the words of a packet of results, and their TLAST."""
        return self.transport.receive(self.core.network.readout.n_classes + 1)

    def send(self, payloads: np.ndarray) -> None:
        """Send timesteps (K, M) of payloads of a sequence that is then not over; they begin one
        where none has begun.

        Raises
        ------
        UserError
            As `run`; or the core has no reports, so that it says nothing before the end.
        """
        check_reports(self.core)
        self.transport.send_events(encode(self.core, payloads, ends=False))

    def report(self) -> tuple[np.ndarray, int]:
        """Return the logits (C,) int64 and the class of the sequence so far, which goes on as if
        nobody had asked; errors as `send`.
        """
        check_reports(self.core)
        self.transport.send_events(np.array([REPORT], np.uint32))
        return decode(self.core, *self._receive())

    def end(self) -> tuple[np.ndarray, int]:
        """End the sequence and return its logits (C,) int64 and its class; errors as `send`.

        The word also asks for a report: it is then no end of a timestep, whatever TLAST is.
        """
        check_reports(self.core)
        self.transport.send_events(np.array([REPORT | END_SEQUENCE], np.uint32))
        decode(self.core, *self._receive())
        return decode(self.core, *self._receive())

    def counters(self) -> dict[str, int]:
        """Return every counter by its name; they wrap around at 32 bits."""
        return {name: self._read("COUNTER", i) for i, name in enumerate(self.core.counters)}

    def errors(self) -> list[str]:
        """Return the names of the error flags that are set."""
        register = self.registers["ERROR"]
        flags = sum(self._read("ERROR", i) << LOAD_WIDTH * i for i in range(register.count))
        return [name for i, name in enumerate(self.core.errors) if flags >> i & 1]

    def clear(self) -> None:
        """Clear every counter and every error flag."""
        control = self.registers["CONTROL"]
        self.transport.write(control.offset, control.bits[0].mask)

    def clear_errors(self, names: Iterable[str]) -> None:
        """Clear the error flags of these names, and no other: an error that came since they were
        read keeps its flag.
        """
        register = self.registers["ERROR"]
        known, flags = self.core.errors, 0
        for name in names:
            if name not in known:
                raise UserError(f"no error flag is named {name!r}: use {', '.join(known)}")
            flags |= 1 << known.index(name)
        for i in range(register.count):
            word = flags >> LOAD_WIDTH * i & (1 << LOAD_WIDTH) - 1
            if word:
                self.transport.write(register.words[i], word)

    def recover(self) -> None:
        """Bring the device to rest after a run that was broken off: end its sequence, and throw
        the results away. What was loaded stays.

        Where a sequence has ended and only its results are left, the end that is sent here is that
        of another one, of one silent timestep; both packets are thrown away. A core that is busy
        then will send a packet, so that there is always a result to wait for. Where the end is not
        taken, results that nobody took are in the way: they are thrown away first.
        """
        self.transport.recover()
        if not self.busy:
            return
        end = np.array([END_TIMESTEP | END_SEQUENCE])
        try:
            self.transport.send_events(end)
        except Silence:
            self.transport.recover()
            with suppress(Silence):
                while self.busy:
                    self.transport.receive(1)
            self.transport.recover()
            self.transport.send_events(end)
        while self.busy:
            self.transport.receive(1)
        self.transport.recover()  # a FIFO on the way may have taken the rest already
