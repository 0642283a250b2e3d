"""`make bench`: which cores it measures, and what a row, the tables and the pictures say of one."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tb.bench
from golden.cost.activity import measure_activity
from golden.cost.block_rams import core_block_rams
from golden.cost.cycles import accesses
from golden.cost.other_designs import (
    input_stationary_bits,
    reckon_cycles,
    released_rtl_cycles,
    released_rtl_multipliers,
)
from golden.cost.search import cores, price
from golden.data.speech import SpokenDigits
from golden.hardware.core import CoreParams
from golden.hardware.params import EVENTS, HardwareParams
from golden.params import LayerFormats, LayerParams, NetworkParams
from golden.readout_params import ReadoutParams
from tb.bench import TURNED, describe, find_cases, memory_bits, product_widths
from tb.bench_cores import BLOCKS, LANES, find_hardware
from tb.bench_report import (
    markdown,
    per_multiplier,
    plot,
    plot_cycles,
    plot_roofline,
    roofline_point,
    summary,
)
from tests.bench_cases import (
    HARDWARE,
    N_SEQUENCES,
    N_TIMESTEPS,
    SPIKE,
    make_case,
    make_chain,
    make_network,
)
from tests.networks import draw_network
from tests.pictures import faults

# Which cores are measured


@pytest.mark.long
def test_hardware_of_every_size_and_within_budgets() -> None:
    [case] = find_cases(None, ["rows"])
    activity = case.activity
    assert case.shape == "rows" and len(activity.payloads) == 40
    found = find_hardware(activity)
    assert all(one.access_counters and not one.trace for one in found)
    fitted = [one for one, reasons in found.items() if "fitted" in reasons]
    assert LANES == (4, 8, 16, 32) and BLOCKS == (1, 4, 8)
    assert [(h.lanes, h.block) for h in fitted] == [(n, block) for n in LANES for block in BLOCKS]
    single = [h for h, reasons in found.items() if "one event, one product a cycle" in reasons]
    assert single == [
        HardwareParams(n, block, access_counters=True) for n in (4, 8, 16) for block in (1, 8)
    ]
    params = activity.network.params
    at_port = [h for h, reasons in found.items() if "weight port of the released RTL" in reasons]
    assert [(h.lanes, h.events_per_cycle, h.block) for h in at_port] == [(4, 1, 8), (4, 1, 16)]
    [six] = [one for one in found if one.list_buffers == 6]
    assert six.link_items == 2 and replace(six, list_buffers=3, link_items=1) in found
    eight = CoreParams(params, HardwareParams(8)).multipliers
    budgets = {
        "multipliers of a core of 8 lanes": (eight, None),
        "64 multipliers": (64, None),
        "multipliers of the released RTL": (released_rtl_multipliers(CoreParams(params)), None),
        "fastest on an ECP5-85F": (156, 208),
    }
    priced = [
        price(activity, HardwareParams(n, block, events, products))
        for n in LANES
        for block in BLOCKS
        for events in EVENTS
        for products in range(1, 9)
    ]
    front = cores(activity)
    for reason, (multipliers, rams) in budgets.items():
        [one] = [h for h, reasons in found.items() if reason in reasons]
        core = CoreParams(params, one)
        assert core.multipliers <= multipliers
        assert rams is None or core_block_rams(core) <= rams
        assert price(activity, one).cycles == min(
            c.cycles
            for c in (*priced, *front)
            if c.multipliers <= multipliers and (rams is None or c.block_rams <= rams)
        )
        [plain] = [h for h, of in found.items() if f"{reason}, one number for all parts" in of]
        assert isinstance(plain.lanes, int) and CoreParams(params, plain).multipliers <= multipliers
        assert price(activity, plain).cycles >= price(activity, one).cycles
    for one in fitted[::5]:
        mine = price(activity, one)
        assert mine.cycles * mine.multipliers == min(
            c.cycles * c.multipliers
            for c in priced
            if (c.hardware.lanes, c.hardware.block) == (one.lanes, one.block)
        )


def test_more_lanes_than_neurons_are_measured_too() -> None:
    drawn = draw_network(3, n_sequences=2, max_neurons=6, max_inputs=4)
    found = find_hardware(measure_activity(drawn.network, drawn.payloads))
    wanted = {(n, block) for n in LANES for block in BLOCKS}
    assert wanted <= {(h.lanes, h.block) for h, reasons in found.items() if "fitted" in reasons}


def test_cases_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not list(find_cases(None, ["nonesuch"])) and not list(find_cases(None, ["spoken"]))
    [five] = find_cases(None, ["shd5"])
    assert five.shape == "shd" and five.activity.payloads.shape == (16, 100, 140)
    spoken = SpokenDigits(five.activity.payloads[:1, :, ::-1].repeat(41, 0), *np.zeros((2, 41)))
    monkeypatch.setattr(tb.bench, "load_spoken", lambda folder, split: spoken)
    [case] = find_cases(tmp_path, ["spoken"])
    assert case.shape == "shd" and np.array_equal(case.activity.payloads, spoken.events[:40])


# What a row says


def test_bits_of_every_access() -> None:
    """4 lanes in 2 units; events of 4 bits' address and two timesteps' payloads, two a cycle, of
    which one is written; 3 columns a cycle for two timesteps; 3 rows of the slow state at once. The
    held current: 4 products of up to 2^22 need 26 bits, whose own limit of 2^25 is shifted by 10.
    """
    core = CoreParams(make_network(0).params, HARDWARE)
    widths = {
        "layer0": {
            "list_reads": 2 * 4, "list_writes": 4, "payload_reads": 16, "payload_writes": 16,
            "w_f_reads": 32, "c_reads": 32, "u_reads": 32, "u_writes": 32, "p_reads": 3 * 4 * 8,
            "history_reads": 3 * 2 * 16, "history_writes": 16, "w_x_reads": 8, "ab_reads": 3 * 16,
            "m_reads": 16, "m_writes": 16, "h_reads": 2 * 17, "h_writes": 2 * 17,
        },
        "layer1": {
            "list_reads": 6, "list_writes": 3, "payload_reads": 2, "payload_writes": 2,
            "w_f_reads": 32, "c_reads": 32, "u_reads": 32, "u_writes": 32,
        },
        "readout": {
            "list_reads": 6, "list_writes": 3, "payload_reads": 2, "payload_writes": 2,
            "w_o_reads": 3 * 8, "b_o_reads": 3 * 24, "logits_reads": 96, "logits_writes": 96,
        },
    }  # fmt: skip
    expected = {f"{part}.{name}": w for part, of in widths.items() for name, w in of.items()}
    counted = {f"{part}.{name}": 0.0 for part, of in core.parts.items() for name in of.accesses}
    times = {name: 0.5 + index for index, name in enumerate(counted)}
    assert memory_bits(core, times) == {name: w * times[name] for name, w in expected.items()}
    kinds = {name.rsplit("_")[-1] for name in set(counted) - set(expected)}
    assert kinds == {"additions", "products"}


@pytest.mark.parametrize("block", [1, 4])
def test_bits_of_a_delay_line(block: int) -> None:
    """A word of the ring has 32 bits, whichever of its memories it is in; a delay of up to 5 has
    3.
    """
    layers = (LayerParams(40, 6, 0, max_delay=5, formats=LayerFormats(payload=SPIKE)),)
    network = NetworkParams("late", layers, ReadoutParams(6, 2))
    core = CoreParams(network, HardwareParams(2, block, access_counters=True))
    times = dict.fromkeys((f"{p}.{n}" for p, of in core.parts.items() for n in of.accesses), 2.0)
    found = memory_bits(core, times)
    assert found["layer0.ring_reads"] == found["layer0.ring_writes"] == 2 * 32
    assert found["layer0.delays_reads"] == 2 * 3


def test_products_of_a_word() -> None:
    core = CoreParams(make_network(0).params, HARDWARE)
    assert product_widths(core) == {
        "state": [("layer0", 4)],
        "leak": [("layer0", 2), ("layer1", 2)],
        "update": [("layer0", 3)],
    }


def test_a_row_against_numbers_by_hand() -> None:
    case = make_case()
    core = CoreParams(case.activity.network.params, HARDWARE)
    right, timeline = make_chain(case, core)
    counters = right.counters | {
        "cycles": 1000,
        "layer0.busy_cycles": 680, "layer0.starved_cycles": 100, "layer0.stall_cycles": 50,
        "layer1.busy_cycles": 300, "layer1.starved_cycles": 390, "layer1.stall_cycles": 10,
        "readout.busy_cycles": 900, "readout.starved_cycles": 100, "readout.stall_cycles": 0,
    }  # fmt: skip
    for index, name in enumerate(core.counters):  # they are read one after another at the end
        counters[name] += 3 * index * name.endswith("starved_cycles")
    chain = replace(right, ends=np.array([99, 199, 319]), counters=counters)
    row = describe(case, ["some"], core, chain, timeline, [100, 107, 98])
    turned = [4, 2, 2, 3, "own", 3, 1]
    assert [row[name] for name in ("network", "reasons", *TURNED)] == ["tiny", ["some"], *turned]
    # From the first sequence's end to the third one's are 10 timesteps.
    assert row["cycles_measured"] == 22 and row["cycles_per_sequence"] == 110
    assert row["latency_cycles"] == 100 and row["alone_cycles"] == [100, 107, 98]
    assert row["cycles_predicted"] == (timeline.ends[2] - timeline.ends[0]) / 10
    # 6 neurons on 2 times 4 lanes, 5 on 8, 3 classes on 3.
    assert row["utilisation"] == {
        "layer0": pytest.approx(0.75 * 680 / 850),
        "layer1": pytest.approx(0.625 * 300 / 600),
        "readout": 1,
    }
    assert row["slowest_layer"] == "layer0"
    assert row["chain_utilisation"] == pytest.approx(0.75 * 680 / 320)
    # Graded events 4 * 2 * 2, leak 2, state 4 * 2 * 3, update 3, drive 1; leak 2.
    assert row["multipliers"] == 16 + 2 + 24 + 3 + 1 + 2
    assert row["released_rtl_multipliers"] == 8 + 3 + 8

    golden = case.activity.of_block(2)
    steps = N_SEQUENCES * N_TIMESTEPS
    counted = {name: int(n.sum()) / steps for name, n in accesses(core, golden).items()}
    assert row["accesses_per_timestep"] == counted
    assert row["bits_per_timestep"] == memory_bits(core, counted)
    assert row["products_per_timestep"] == {
        "state": 4 * counted["layer0.state_products"],
        "leak": 2 * counted["layer0.leak_products"] + 2 * counted["layer1.leak_products"],
        "update": 3 * counted["layer0.update_products"],
    }
    first, second = golden.layers
    events = [first.events, first.spike_counts, second.spike_counts]
    means = [of.mean() for of in events]
    assert row["events_per_timestep"] == pytest.approx(means)
    addresses = [first.addresses, second.addresses, golden.readout_addresses]
    assert row["addresses_per_block"] == pytest.approx([of.mean() for of in addresses])
    # 2 groups of 4 weights an address; the released RTL's also 2 groups of 4, an event.
    weights = 8 * (first.addresses.sum() + second.addresses.sum()) / steps
    assert row["weights_read_per_timestep"] == pytest.approx(weights)
    assert row["released_rtl_weights_read"] == pytest.approx(8 * (means[0] + means[1]))
    released = float(released_rtl_cycles(core, events[:2], events[2]).mean())
    assert row["released_rtl_cycles"] == released and row["released_rtl_ratio"] == released / 22
    assert row["reckon_cycles"] == float(reckon_cycles(core, events[:2], events[1:]).mean())
    synaptic = 6 * means[0] + 5 * means[1]
    assert row["synaptic_operations_per_timestep"] == pytest.approx(synaptic)
    lists = sum(
        bits for name, bits in row["bits_per_timestep"].items() if "list" in name or "pay" in name
    )
    assert row["list_bits_per_synaptic_operation"] == pytest.approx(lists / synaptic)
    stored = [input_stationary_bits(of, e) for of, e in zip(core.layers, events, strict=False)]
    assert row["input_stationary_bits_per_synaptic_operation"] == pytest.approx(
        sum(of.mean() for of in stored) / synaptic
    )
    # Groups of max(addresses / 2, 4 for the membranes, or 2 for the logits); 2 steps of the dense
    # path are fewer. From the first sequence's result on, each part issues what is left of them.
    sparse = [-(-of // 2) for of in addresses]
    walks = [
        groups * np.maximum(of, floor)
        for groups, floor, of in zip((2, 2, 1), (4, 4, 2), sparse, strict=True)
    ]
    left = [
        np.clip(start + walk - timeline.ends[0] - 1, 0, walk).sum() / 10
        for start, walk in zip(timeline.starts, walks, strict=True)
    ]
    most = int(np.argmax(left))
    assert row["bound_part"] == list(core.parts)[most] and row["cycles_bound"] == left[most]
    steps = {"sparse": pytest.approx(sparse[most].mean()), "floor": (4, 4, 2)[most]}
    assert row["bound_steps"] == steps
    assert row["cycles_bound"] + sum(row["waits"].values()) == row["cycles_predicted"]
    json.dumps(row)


def make_rows() -> list[dict[str, Any]]:
    rows = []
    for name, shapes in {
        "first": [(4, 1, 1, 1), (4, 8, 2, 3), (2, 8, 1, 1), (2, 8, 2, 1)],
        "second": [(3, 4, 1, 2)],
    }.items():
        case = make_case(name)
        for shape in shapes:
            core = CoreParams(
                case.activity.network.params, HardwareParams(*shape, access_counters=True)
            )
            rows.append(describe(case, [], core, *make_chain(case, core), [90, 110, 70]))
    return rows


def test_tables_have_a_row_a_core() -> None:
    rows = make_rows()
    text = markdown(rows)
    assert [line for line in text.splitlines() if line.startswith("## ")] == [
        "## first",
        "## second",
    ]
    tables: dict[str, list[list[str]]] = {}
    for block in text.split("\n\n"):
        lines = block.splitlines()
        if lines[0].startswith("|"):
            cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
            assert len({len(line) for line in cells}) == 1
            assert set(cells[1]) == {"---:"}
            tables.setdefault(cells[0][0], []).extend(cells[2:])
    cores = tables["L"]
    assert [line[:4] for line in cores] == [
        [str(row[name]) for name in ("lanes", "block", "events_per_cycle", "products_per_cycle")]
        for row in rows
    ]
    for line, row in zip(cores, rows, strict=True):
        assert line[4] == "" and line[5] == str(row["multipliers"])
        assert line[7] == f"{row['cycles_measured']:.2f}"
        ratio = row["released_rtl_cycles"] / row["cycles_measured"]
        fair = ratio * row["released_rtl_multipliers"] / row["multipliers"]
        assert per_multiplier(row) == pytest.approx(fair)
        assert line[9:11] == [f"{row['cycles_bound']:.2f}", row["bound_part"]]
        assert line[12:14] == [f"{ratio:.2f}x", f"{fair:.2f}x"]
        assert line[-1] == "110"
    memories = {line[0] for line in tables["memory"]}
    assert memories > {name for row in rows for name in row["bits_per_timestep"]} - {
        "layer0.payload_reads",
        "layer0.payload_writes",  # fmt: skip
    }


def test_the_summary_fits_a_terminal() -> None:
    rows = make_rows()
    head, rule, *lines = summary(rows).splitlines()
    assert head.split()[:5] == ["network", "L", "T", "E", "K"] and len(rule) <= 80
    for line, row in zip(lines, rows, strict=True):
        cells = line.split()
        assert cells[0] == row["network"] and cells[6] == f"{row['cycles_measured']:.2f}"


@pytest.mark.parametrize("count", [1, 5])
def test_both_pictures_are_plotted(count: int, tmp_path: Path) -> None:
    rows = make_rows()[:count]
    figure = plot_cycles(rows)
    assert not faults(figure) and not faults(plot_roofline(rows))
    numbers = [
        axes.xaxis.get_major_formatter()(row["lanes"]) for axes in figure.axes for row in rows
    ]
    assert numbers == [str(row["lanes"]) for _ in figure.axes for row in rows]
    paths = plot(rows, tmp_path)
    assert sorted(tmp_path.iterdir()) == sorted(paths) and len(paths) == 2
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in paths)


def test_where_a_core_stands() -> None:
    steps = {"sparse": 6.0, "floor": 4}
    row = {"bound_steps": steps, "cycles_bound": 15, "cycles_measured": 20}
    assert roofline_point(row) == (1.5, 75)


# What ends it with an error


# In Verilog
