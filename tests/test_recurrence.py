"""The merge of a recurrent layer's own spikes into its events, cycle for cycle against a model:
random items, gaps and stalls on all sides.
"""

from __future__ import annotations

from collections import deque
from typing import Any

import numpy as np
import pytest
from amaranth.lib import data

from golden.formats import Fixed
from golden.hardware.layer import LayerHardware
from golden.hardware.params import HardwareParams
from golden.hardware.part import EventKind
from golden.params import LayerFormats, LayerParams
from rtl.recurrence import Recurrence
from tests.streams import Item, play, scramble

EVENT, END_TIMESTEP, END_SEQUENCE, INVALID, _ = (kind.value for kind in EventKind)
NO_KIND = INVALID
OUTPUTS = ["i.ready", "o.valid", "o.payload.kind", "o.payload.address", "o.payload.payload"]


def layer(n_inputs: int, n_neurons: int, width: int = 1, *, external: bool = True) -> LayerHardware:
    formats = LayerFormats(payload=Fixed(width, 0, signed=False))
    params = LayerParams(n_inputs, n_neurons, 0, formats=formats, recurrent=True)
    return LayerHardware(params, HardwareParams(2), external=external)


LAYERS = {
    "one input and neuron": layer(1, 1),
    "spikes": layer(5, 9),
    "graded": layer(6, 3, 8),
    "all addresses are inputs": layer(8, 8, 3),
    "behind a layer": layer(7, 12, external=False),
}


def draw_sequences(
    rng: np.random.Generator, part: LayerHardware, layout: data.StructLayout, count: int
) -> tuple[list[Item], list[list[int]]]:
    """Draw what arrives: sequences of no, one or more timesteps, from outside also void events; and
    the spikes that the layer sends for each timestep.
    """
    p = part.params
    items: list[Item] = []
    spikes: list[list[int]] = []

    def events() -> None:
        for _ in range(int(rng.choice([0, 0, 1, p.n_inputs]))):
            item = scramble(rng, layout) | {"kind": EVENT}
            if not part.external:
                item["address"] %= p.n_inputs
            elif rng.random() < 0.1:
                item["kind"] = NO_KIND
            items.append(item)

    for _ in range(count):
        for _ in range(int(rng.choice([0, 1, 1, 4]))):
            events()
            items.append(scramble(rng, layout) | {"kind": END_TIMESTEP})
            fires = rng.random(p.n_neurons) < rng.choice([0, 0.3, 1])
            spikes.append(np.flatnonzero(fires).tolist())
        if part.external and rng.random() < 0.3:
            events()
        items.append(scramble(rng, layout) | {"kind": END_SEQUENCE})
    return items, spikes


def merged(part: LayerHardware, items: list[Item], spikes: list[list[int]]) -> list[Any]:
    """Return what the list must get, by timesteps: sorted, as the order within one is free."""
    p = part.params
    own: list[int] = []  # of the timestep before
    found, timestep = [], []
    following = iter(spikes)
    for item in items:
        kind, address, payload = item["kind"], item["address"], item["payload"]
        if kind in (END_TIMESTEP, END_SEQUENCE):
            timestep += [(EVENT, p.n_inputs + neuron, p.own_payload) for neuron in own]
            found += [sorted(timestep), kind]
            timestep, own = [], next(following) if kind == END_TIMESTEP else []
        elif part.external and kind == EVENT and payload and address >= p.n_inputs:
            timestep.append((NO_KIND, address, payload))
        else:
            timestep.append((kind, address, payload))
    return found


@pytest.mark.parametrize(
    ("gaps", "stall", "busy"), [(0, 0, 0), (0.5, 0.1, 0.1), (0, 0.8, 0), (0.2, 0.2, 0.7)]
)
@pytest.mark.parametrize("name", LAYERS)
def test_own_spikes_come_a_timestep_later(
    name: str, gaps: float, stall: float, busy: float
) -> None:
    """A model of the layer sends the spikes of a timestep some time after its end has passed; its
    consumer stalls, and so does the list, but for own spikes.
    """
    part = LAYERS[name]
    rng = np.random.default_rng([list(LAYERS).index(name), int(stall * 10), int(gaps * 10)])
    dut = Recurrence(part)
    layout, own_layout = dut.i.payload.shape(), dut.own.shape()
    items, spikes = draw_sequences(rng, part, layout, 40)
    n_inputs, arriving, unsent = part.params.n_inputs, deque(items), deque(spikes)
    sending: deque[Item] = deque()  # what the layer has still to send
    received: list[Any] = []
    timestep: list[tuple[int, ...]] = []
    offered: Item | None = None
    own: Item | None = None
    announced = False  # the layer offers it since an earlier cycle
    owed = False
    seen: set[str] = set()
    given: dict[str, Any] = {}

    def account(found: dict[str, int]) -> None:
        """Hold a cycle's outputs against the rules, and follow what was transferred."""
        nonlocal offered, own, announced, owed, timestep
        fresh = own if own is not None and not announced else {"kind": NO_KIND, "address": 0}
        spiking, over = fresh["kind"] == EVENT, fresh["kind"] == END_TIMESTEP
        ends = offered is not None and offered["kind"] in (END_TIMESTEP, END_SEQUENCE)
        held = spiking or (ends and owed and not over)
        assert found["o.valid"] == (spiking or (offered is not None and not held))
        if offered is not None:
            assert found["i.ready"] == (given["o.ready"] and not held)
        sent = tuple(found[f"o.payload.{field}"] for field in ("kind", "address", "payload"))
        if spiking:
            assert sent == (EVENT, n_inputs + fresh["address"], part.params.own_payload)
            seen.add("external waits for own" if offered else "own alone")
        seen.update({"an end waits"} if ends and owed and not over else ())
        seen.update({"an end comes at once"} if ends and over else ())
        if over:
            owed = False
        if spiking or (found["o.valid"] and given["o.ready"]):
            if sent[0] in (END_TIMESTEP, END_SEQUENCE):
                received.extend([sorted(timestep), sent[0]])
                timestep = []
                if sent[0] == END_TIMESTEP:
                    owed = True
                    fired = unsent.popleft()
                    sending.extend({"kind": EVENT, "address": n, "payload": 1} for n in fired)
                    sending.append({"kind": END_TIMESTEP, "address": 0, "payload": 1})
                else:
                    sending.append({"kind": END_SEQUENCE, "address": 0, "payload": 0})
            else:
                timestep.append(sent)
            if not spiking:
                offered = None
        announced = own is not None and not given["own_ready"]
        if own is not None and given["own_ready"]:
            own = None

    def step(cycle: int, found: dict[str, int]) -> dict[str, Any] | None:
        nonlocal offered, own, given
        if cycle:
            account(found)
        if not arriving and offered is None and not sending and own is None:
            return None
        if offered is None and arriving and rng.random() >= gaps:
            offered = arriving.popleft()
        if own is None and sending and rng.random() >= busy:
            own = sending.popleft()
        spiking = own is not None and not announced and own["kind"] == EVENT
        given = {
            "i.valid": offered is not None,
            "i.payload": offered or scramble(rng, layout),
            "own_valid": own is not None,
            "own_ready": int(rng.random() >= stall),
            "own": own or scramble(rng, own_layout),
            "o.ready": int(spiking or rng.random() >= stall),
        }
        return given

    play(dut, OUTPUTS, step)
    assert received == merged(part, items, spikes)
    assert seen >= {"an end waits", "external waits for own", "an end comes at once"} or gaps


def test_an_end_comes_in_the_cycle_of_the_last_own_item() -> None:
    """Spikes go in the first cycle in which they are offered, though nobody takes them; the end of
    a timestep that waits goes with theirs, and the one behind it waits again.
    """
    dut = Recurrence(LAYERS["spikes"])
    end = {"i.valid": 1, "i.payload": {"kind": END_TIMESTEP}, "o.ready": 1}

    def own(kind: int, address: int, ready: int) -> dict[str, Any]:
        item = {"kind": kind, "address": address, "payload": 1}
        return {"own_valid": 1, "own_ready": ready, "own": item}

    cycles = [
        end,  # of timestep 0: nothing is owed
        end,
        own(EVENT, 3, 0),
        own(EVENT, 3, 0),
        own(EVENT, 3, 1),
        own(EVENT, 8, 1),
        own(END_TIMESTEP, 0, 0),
        own(END_TIMESTEP, 0, 1),
        {"own_valid": 0},
    ]

    def step(cycle: int, _: Any) -> dict[str, Any] | None:
        return cycles[cycle] if cycle < len(cycles) else None

    record = play(dut, OUTPUTS, step)
    sent = [
        (cycle, row["o.payload.kind"], row["o.payload.address"])
        for cycle, row in enumerate(record)
        if row["o.valid"]
    ]
    assert sent == [
        (0, END_TIMESTEP, 0), (2, EVENT, 5 + 3), (5, EVENT, 5 + 8), (6, END_TIMESTEP, 0),
    ]  # fmt: skip
    assert [cycle for cycle, row in enumerate(record) if row["i.ready"]] == [0, 6]
