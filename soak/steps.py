"""Steps of a soak: what a core is given, what it must answer, and what it did."""

from __future__ import annotations

import ctypes
from collections import Counter
from dataclasses import dataclass, field

import numpy as np

from export.items import pack_events, to_items
from golden.cost.cycles import settle_cycles
from golden.hardware.part import EventKind
from golden.integer import run
from golden.interface import Interface
from golden.runs import Run
from soak.cores import Built
from soak.items import Meaning, read_items
from soak.traces import Expected, Port, Shown
from tb.compare import COUNTER_MODULUS, expected_counters, expected_errors
from tb.compiled import CompiledCore
from tb.logs import end_mask

LOADED_CYCLES = 4  # from the last item of the load stream to the first event


@dataclass(frozen=True)
class Step:
    """What a core is given: items (n, 3) of kind, address, payload, while it holds a `variant` of
    its network, which is loaded before where it holds another one.

    Before each item as the stream has it (it may have several events) are `event_gaps`, before each
    transfer of the output `output_gaps`, taken over and over; all 0 where these are empty. With
    `cut`, the core is reset after this many cycles, in the middle of the items.
    """

    variant: int
    items: np.ndarray
    event_gaps: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))
    output_gaps: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))
    cut: int | None = None


@dataclass
class Tally:
    """What was done, and every difference in words."""

    cycles: int = 0
    values: int = 0
    sequences: int = 0
    power_ups: int = 0
    resets: int = 0
    reloads: int = 0
    errors: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)

    def compare(self, what: str, due: np.ndarray, came: np.ndarray) -> None:
        """Compare what should have come with what did; the first difference is told."""
        self.values += len(due)
        if len(due) != len(came):
            self.problems.append(f"{what}: {len(came)} came, {len(due)} are due")
        both = min(len(due), len(came))
        wrong = np.flatnonzero(due[:both] != came[:both])
        if len(wrong):
            n = wrong[0]
            self.problems.append(f"{what} {n}: {came[n]} came, {due[n]} is due")


@dataclass
class Due:
    """What a step's items make a core do: its output (n,) uint64 and which bits of it count, its
    ends, what its trace ports show, its counters and flags.
    """

    output: np.ndarray
    mask: np.ndarray
    n_ends: int
    shown: list[Shown]
    counters: dict[str, int]
    flags: dict[str, bool]
    meaning: Meaning


def due(built: Built, step: Step) -> Due:
    """Compute what the items of a step make the core do, by golden."""
    core, interface = built.core.params, built.interface
    meaning = read_items(step.items, core.network.layers[0].n_inputs)
    groups: dict[tuple[int, tuple[int, ...]], list[int]] = {}
    pairs = zip(meaning.payloads, meaning.reports, strict=True)
    for place, (payloads, reports) in enumerate(pairs):
        groups.setdefault((len(payloads), reports), []).append(place)
    expected = Expected(core, interface)
    counters: Counter[str] = Counter({name: 0 for name in core.counters if "." in name})
    flags: Counter[str] = Counter()
    outputs = [_NOTHING] * len(meaning.payloads)
    predicted = None
    for (_, reports), places in groups.items():
        payloads = np.stack([meaning.payloads[place] for place in places])
        golden = run(
            built.network(step.variant), payloads, block=core.hardware.block, reports=reports,
            trace=True,
        )  # fmt: skip
        expected.add(golden, np.array(places), reports)
        found = expected_counters(core, golden)
        predicted = found.keys()
        counters.update({name: int(values.sum()) for name, values in found.items()})
        set_ = expected_errors(core, golden)
        flags.update({name: int(values.sum()) for name, values in set_.items()})
        for place, output in zip(places, _outputs(interface, golden), strict=True):
            outputs[place] = output
    if predicted is not None:
        _add_errors(built, meaning, counters, flags)
        left_out = _not_predicted(built, meaning)
        counters = Counter({n: counters[n] for n in predicted if n not in left_out})
    else:
        counters = Counter()
    output, mask = np.concatenate([_NOTHING, *outputs], 1)
    return Due(
        output, mask, int(np.count_nonzero(output & np.uint64(end_mask(interface)))),
        expected.total(), dict(counters), {name: flags[name] > 0 for name in core.errors}, meaning,
    )  # fmt: skip


_NOTHING = np.zeros((2, 0), np.uint64)


def _outputs(interface: Interface, golden: Run) -> list[np.ndarray]:
    """Return for every sequence of a run what leaves the core, and which bits of each transfer mean
    something: (2, n) uint64.
    """
    if interface.output == "o_spikes":
        assert golden.layers[-1].spikes is not None
        kind, address, payload = to_items(golden.layers[-1].spikes.astype(np.int64)).T
        event = (kind == EventKind.EVENT).astype(int)
        fields = {"kind": kind, "address": address, "payload": payload}
        masks = {"kind": event * 0 - 1, "address": -event, "payload": -event}
        ends = np.flatnonzero(kind == EventKind.END_SEQUENCE)
    else:
        answers = np.concatenate([golden.reports, golden.logits[:, None]], 1)
        n_classes = answers.shape[2]
        index = np.broadcast_to(np.arange(n_classes), answers.shape)
        last = (index == n_classes - 1).astype(int)
        best = answers.argmax(2)[..., None] * last
        fields = {"index": index, "logit": answers, "best": best, "last": last}
        masks = {"index": last * 0 - 1, "logit": last * 0 - 1, "best": -last, "last": last * 0 - 1}
        ends = np.cumsum([answers[0].size] * len(answers)) - 1
    packed = [interface.pack(interface.output, **of).ravel() for of in (fields, masks)]
    return np.split(np.stack(packed), ends[:-1] + 1, 1)


def _add_errors(
    built: Built, meaning: Meaning, counters: Counter[str], flags: Counter[str]
) -> None:
    """Add what was wrong with the items; an event without an end of timestep was accepted."""
    for name, count in meaning.errors.items():
        flags[f"layer0.{name}"] += count
        if f"layer0.{name}" in counters:
            counters[f"layer0.{name}"] += count
    if "layer0.events" in counters and not built.core.params.layers[0].delayed:
        counters["layer0.events"] += meaning.void


def _not_predicted(built: Built, meaning: Meaning) -> set[str]:
    """Return the counters of the first layer that count what becomes of events that take no part:
    the page says that these are ignored, not what that costs.
    """
    core = built.core.params
    if not meaning.void and not (meaning.errors["repeated"] and core.layers[0].delayed):
        return set()
    accesses = ("reads", "writes", "products", "additions")
    left_out = {n for n in core.counters if n.startswith("layer0.") and n.endswith(accesses)}
    if core.hardware.block > 1:
        left_out |= {"layer0.busy_cycles"}
        left_out |= {"layer0.events"} if core.layers[0].delayed else set()
    return left_out


class Soaked:
    """A model that is given steps.

    Parameters
    ----------
    power_up
        The seed of its contents at power-up.
    variant
        What it holds first.
    """

    def __init__(self, built: Built, compiled: CompiledCore, variant: int, tally: Tally) -> None:
        self.built, self.compiled, self.variant, self.tally = built, compiled, variant, tally
        self._library = ctypes.CDLL(str(built.shared_object))
        self._library.soak_watch.argtypes = [ctypes.c_void_p]
        tally.power_ups += 1
        self._settle(LOADED_CYCLES)

    def _settle(self, cycles: int) -> int:
        """Let cycles pass; return how many transfers came."""
        return self.compiled.run(np.zeros(0, np.uint64), 0, settle=cycles).taken

    def give(self, step: Step) -> None:
        """Give the core a step, and compare all that it does."""
        tally, built = self.tally, self.built
        if step.variant != self.variant:
            self.compiled.load(built.load(step.variant))
            self.variant = step.variant
            tally.reloads += 1
            self._settle(LOADED_CYCLES)
        expected = due(built, step)
        events = pack_events(built.interface, step.items)
        gaps = step.event_gaps[: len(events)]
        gaps = np.pad(gaps, (0, len(events) - len(gaps))), step.output_gaps
        if step.cut is not None:
            self._cut(step, expected, events, gaps)
            return
        ports, kept = _ports(expected.shown)
        self._library.soak_watch(ports)
        ran = self.compiled.run(
            events, expected.n_ends, gaps=gaps, n_results=len(expected.output) + 16,
            settle=settle_cycles(built.core.params),
        )  # fmt: skip
        self._library.soak_watch(None)
        del kept
        if ran.sent != len(events):
            tally.problems.append(f"the core is stuck: it took {ran.sent} of {len(events)} items")
        self._compare_output(expected, ran.results, whole=True)
        for shown, port in zip(expected.shown, ports, strict=True):
            tally.values += shown.n_values
            if port.line != len(shown.lines) or port.hash != shown.hash:
                tally.problems.append(
                    f"{shown.name}: {port.line} lines with hash {port.hash:016x} came,"
                    f" {len(shown.lines)} with {shown.hash:016x} are due"
                )
        self._compare_counts(expected)
        tally.sequences += len(expected.meaning.payloads)
        tally.errors.update(expected.meaning.errors)

    def _compare_output(self, expected: Due, came: np.ndarray, *, whole: bool) -> None:
        """Compare the transfers that came with those that are due, or with the first of these."""
        count = len(expected.output) if whole else min(len(came), len(expected.output))
        mask = np.zeros(len(came), np.uint64)
        mask[: len(expected.mask)] = expected.mask[: len(came)]
        output = expected.output[:count] & expected.mask[:count]
        self.tally.compare(self.built.interface.output, output, came & mask)

    def _compare_counts(self, expected: Due) -> None:
        counters, flags = self.compiled.counters(), self.compiled.errors()
        for name, count in expected.counters.items():
            of = np.array([count % COUNTER_MODULUS]), np.array([counters[name]])
            self.tally.compare(f"counter {name}", *of)
        for name, flag in expected.flags.items():
            self.tally.compare(f"flag {name}", np.array([flag]), np.array([flags[name]]))
        self.compiled.clear()

    def _cut(self, step: Step, expected: Due, events: np.ndarray, gaps: tuple | None) -> None:
        """Reset the core in the middle of a step: what came before is the first part of what is
        due; after it, counters and flags are 0.
        """
        ran = self.compiled.run(
            events, expected.n_ends, gaps=gaps, n_results=len(expected.output) + 16, cut=step.cut
        )
        self._compare_output(expected, ran.results, whole=False)
        self.compiled.reset()
        self.tally.resets += 1
        flags = np.array(list(self.compiled.errors().values()))
        self.tally.compare("flag after a reset", np.zeros(len(flags), bool), flags)
        came = self._settle(settle_cycles(self.built.core.params))
        self.tally.compare("transfers after a reset", np.array([0]), np.array([came]))
        self.compiled.clear()


def _ports(shown: list[Shown]) -> tuple[ctypes.Array, list[np.ndarray]]:
    """Return the ports for C++, and the arrays that must live as long."""
    kept = [np.ascontiguousarray(of.lines, np.uint8) for of in shown]
    ports = (Port * len(kept))(*(Port(lines.ctypes.data, len(lines)) for lines in kept))
    return ports, kept
