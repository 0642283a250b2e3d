"""The memory-mapped transport against a model of the FIFO's registers, and the windows on files."""

from __future__ import annotations

import mmap
import time
from pathlib import Path

import numpy as np
import pytest

from driver.memory_mapped import MappedWindow, MemoryMapped
from driver.transport import Silence
from golden.errors import UserError
from tests.host_models import ListedCore, RegisterWindow, StreamFifo

END = 1 << 30


def make(depth: int = 512) -> tuple[ListedCore, StreamFifo, MemoryMapped]:
    core = ListedCore({0: 0x444D_5043, 0x18: 0})
    fifo = StreamFifo(core, depth)
    return core, fifo, MemoryMapped(RegisterWindow(core), fifo, timeout=0.05)


def timesteps(*lengths: int) -> np.ndarray:
    """Return words of timesteps that have so many events."""
    words = np.concatenate([np.arange(n, dtype=np.uint32) | 1 << 16 for n in lengths])
    words[np.cumsum(lengths) - 1] |= END
    return words.astype(np.uint32)


def test_registers_are_words_at_offsets() -> None:
    core, _, transport = make()
    assert transport.read(0) == 0x444D_5043
    transport.write(0x18, 5)
    transport.write_burst(0x18, np.array([6, 0xFFFF_FFFF], np.uint32))
    assert core.written == [(0x18, 5), (0x18, 6), (0x18, 0xFFFF_FFFF)]


def test_packets_end_with_timesteps() -> None:
    """The FIFO sets TLAST, which ends a timestep: elsewhere it would make another network input."""
    core, fifo, transport = make(depth=16)
    words = timesteps(5, 5, 3, 12, 1, 1, 11, 1)
    transport.send_events(words)
    assert [word for word, _ in core.events] == words.tolist()
    assert all(word & END for word, last in core.events if last)
    assert fifo.sent == [10, 3, 12, 2, 12], "as few packets as fit"
    assert not fifo.interrupts & (fifo.TPOE | fifo.TSE)


def test_a_timestep_that_does_not_fit_is_an_error() -> None:
    core, _, transport = make(depth=16)
    with pytest.raises(UserError, match="more words than the 12 of the transmit FIFO: build it"):
        transport.send_events(timesteps(2, 13))
    assert len(core.events) == 2


def test_results_are_packets() -> None:
    core, fifo, transport = make()
    core.results.extend([(1, False), (0xFFFF_FFFE, False), (0, True), (9, True)])
    words, last = transport.receive(2)
    assert words.dtype == np.uint32 and words.tolist() == [1, 0xFFFF_FFFE]
    assert last.tolist() == [False, False]
    words, last = transport.receive(2)
    assert words.tolist() == [0, 9] and last.tolist() == [True, True]
    assert not fifo.interrupts & (fifo.RPURE | fifo.RPUE)
    core.results.append((1, False))  # not a whole packet
    with pytest.raises(Silence, match="the device did not, in 0.05 s, send a result"):
        transport.receive(1)


def test_recovering_drops_what_is_on_the_way() -> None:
    core, fifo, transport = make()
    fifo.write(0x10, 1)  # of a host that was stopped
    core.results.extend([(1, False), (1, True), (2, False), (3, True), (4, True)])
    transport.receive(1)
    fifo.read(0x24)
    transport.recover()
    transport.send_events(timesteps(2))
    assert [word for word, _ in core.events] == timesteps(2).tolist()
    core.results.append((5, True))
    assert transport.receive(1)[0].tolist() == [5]


def test_what_ends_no_timestep_is_a_packet_at_the_end_only() -> None:
    """A report alone, or after timesteps."""
    core, fifo, transport = make()
    transport.send_events(np.array([1 << 29], np.uint32))
    transport.send_events(np.array([1 << 30, 1 << 29 | 1 << 31], np.uint32))
    assert core.events == [(1 << 29, True), (1 << 30, False), (1 << 29 | 1 << 31, True)]
    assert fifo.sent == [1, 2]


def test_a_full_fifo_is_waited_for_but_not_for_ever() -> None:
    _, fifo, transport = make()
    fifo.transmit = [0] * 505
    started = time.monotonic()
    with pytest.raises(Silence, match="take events: do results wait?"):
        transport.send_events(timesteps(4))
    assert time.monotonic() - started < 1
    fifo.transmit = []
    transport.send_events(timesteps(4))


def test_a_window_without_a_fifo_and_one_in_cut_through_mode() -> None:
    class Nothing(StreamFifo):
        def read(self, offset: int) -> int:
            return 0

    core = ListedCore()
    with pytest.raises(Silence, match="finish the FIFO's reset: is it at this address"):
        MemoryMapped(RegisterWindow(core), Nothing(core), timeout=0.05)

    class CutThrough(StreamFifo):
        def read(self, offset: int) -> int:
            return 1 << 31 | super().read(offset) if offset == 0x24 else super().read(offset)

    core.results.append((1, True))
    transport = MemoryMapped(RegisterWindow(core), CutThrough(core), timeout=0.05)
    core.results.append((1, True))
    with pytest.raises(UserError, match="RLR is 0x80000004: build it in store-and-forward mode"):
        transport.receive(1)


def test_a_window_is_a_part_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "uio0"
    content = bytearray(3 * mmap.ALLOCATIONGRANULARITY)
    content[0x10:0x14] = b"\x01\x02\x03\x84"
    base = mmap.ALLOCATIONGRANULARITY + 0x40
    content[base + 8 : base + 12] = b"\x05\x06\x07\x08"
    path.write_bytes(content)
    whole, part = MappedWindow(str(path), 0x1000), MappedWindow(f"{path}:{base:#x}", 0x100)
    assert whole.read(0x10) == 0x8403_0201
    assert part.read(8) == 0x0807_0605
    part.write(4, 0xF1F2_F3F4)
    part.close()
    whole.close()
    assert path.read_bytes()[base + 4 : base + 8] == b"\xf4\xf3\xf2\xf1"


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ("here", "'here' is no window: use an address"),
        ("0x40000002", "not aligned to 4 bytes"),
        ("/nonesuch/uio0", "cannot map 4096 bytes at /nonesuch/uio0 .*run as root"),
        ("/nonesuch/uio0:zero", "is no window"),
    ],
)
def test_what_is_no_window(place: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        MappedWindow(place, 0x1000)


def test_both_windows_are_opened_and_closed(tmp_path: Path) -> None:
    paths = [tmp_path / name for name in ("registers", "fifo")]
    for path in paths:
        path.write_bytes(bytes(0x8000))
    transport = MemoryMapped.open(str(paths[0]), str(paths[1]))
    transport.write(0x18, 7)
    transport.close()
    with pytest.raises(AttributeError):
        transport.read(0x18)
    registers, fifo = (path.read_bytes() for path in paths)
    assert registers[0x18:0x1C] == b"\x07\0\0\0" and registers.count(0) == 0x7FFF
    assert fifo[0x18:0x1C] == fifo[0x08:0x0C] == b"\xa5\0\0\0"
