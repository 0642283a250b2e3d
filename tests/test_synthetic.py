"""Networks and events that are drawn: as many of them as asked for, and the same every time."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from dmp_core.__main__ import main
from export.store import find_dataset, load_network, load_stored
from golden.data.synthetic import (
    SHD_CLASSES,
    SHD_SIZES,
    SHD_STATE,
    SHD_TIMESTEPS,
    draw_events,
    draw_layers,
    draw_network,
)
from golden.errors import UserError
from golden.integer import NetworkIntegers, run


@pytest.mark.parametrize("rate", [0.3, 5, 20, 70])
def test_events_come_at_a_rate_at_inputs_without_preference(rate: float) -> None:
    events = draw_events(rate, 50, seed=3)
    assert events.shape == (50, SHD_TIMESTEPS, SHD_SIZES[0])
    assert set(np.unique(events)) == {0, 1}
    counts = events.sum(2)
    n, most = counts.size, 5  # standard deviations
    assert abs(counts.mean() - rate) < most * (rate / n) ** 0.5
    assert counts.var() == pytest.approx(rate, rel=0.15), "of a Poisson number"
    expected = rate * n / SHD_SIZES[0]
    assert np.abs(events.sum((0, 1)) - expected).max() < most * expected**0.5


def test_sizes_and_seeds_of_events() -> None:
    events = draw_events(4, 3, seed=1, n_timesteps=7, n_inputs=12)
    assert events.shape == (3, 7, 12)
    assert np.array_equal(events, draw_events(4, 3, 1, 7, 12))
    assert not np.array_equal(events, draw_events(4, 3, 2, 7, 12))
    assert not np.array_equal(events, draw_events(4.5, 3, 1, 7, 12))
    assert not draw_events(0, 3, 1).any()
    every = draw_events(12, 40, 1, 20, 12)
    assert every.sum(2).max() == 12, "no more than there are inputs"


@pytest.mark.parametrize("rate", [-1, 12.5, float("nan"), float("inf")])
def test_rates_that_cannot_be_drawn(rate: float) -> None:
    with pytest.raises(UserError, match="events a timestep: use 0 to 12"):
        draw_events(rate, 3, 1, 7, 12)


def arrays(network: NetworkIntegers) -> list[np.ndarray]:
    found = [value for layer in network.layers for value in vars(layer).values()]
    return [np.asarray(value) for value in (*found, network.w_o, network.b_o)]


@pytest.mark.parametrize("rate", [1, 5, 20, 40])
def test_every_layer_sends_as_many_spikes_as_there_are_events(rate: int) -> None:
    """Also on sequences that the thresholds were not chosen on; and nothing is clamped."""
    payloads = draw_events(rate, 16, seed=5)
    network = draw_network("drawn", payloads, seed=2)
    assert network.params.name == "drawn" and network.params.widths == SHD_SIZES
    for chosen_on, close in ((payloads[:8], 0.02), (payloads[8:], 0.05 + 0.2 / rate)):
        golden = run(network, chosen_on, trace=True)
        active = chosen_on.any(2)
        for layer in golden.layers:
            spikes = layer.spike_counts[active].mean()
            assert spikes == pytest.approx(chosen_on.sum(2)[active].mean(), rel=close)
            assert layer.spikes is not None and layer.state is not None
            assert layer.spikes.any((0, 1)).mean() > 0.3, "not the same few neurons"
            assert len(np.unique(layer.state)) > 100, "the slow state moves"
            clamped = layer.state_saturations, layer.membrane_saturations, layer.drive_saturations
            assert not any(count.any() for count in clamped)
        assert not golden.logit_saturations.any()


def test_networks_come_from_their_seed() -> None:
    payloads = draw_events(10, 4, seed=0)
    first, same, other = (draw_network("one", payloads, seed) for seed in (0, 0, 1))
    assert all(np.array_equal(a, b) for a, b in zip(arrays(first), arrays(same), strict=True))
    assert not np.array_equal(first.layers[0].w_f, other.layers[0].w_f)
    assert not np.array_equal(first.w_o, other.w_o)


def test_timesteps_without_events_do_not_count() -> None:
    """Sequences of which the second half is silent still ask for as many spikes a timestep."""
    payloads = draw_events(20, 8, seed=0)
    payloads[:, SHD_TIMESTEPS // 2 :] = 0
    network = draw_network("half", payloads, seed=0)
    spikes = run(network, payloads).layers[1].spike_counts[:, : SHD_TIMESTEPS // 2]
    assert spikes.mean() == pytest.approx(20, rel=0.05)


def test_more_events_than_can_be_sent_leave_half() -> None:
    payloads = draw_events(120, 2, seed=0)
    golden = run(draw_network("full", payloads, seed=0), payloads)
    for layer, n in zip(golden.layers, SHD_SIZES[1:], strict=True):
        assert 0.3 * n < layer.spike_counts.mean() < 0.7 * n


def test_no_events_are_an_error() -> None:
    with pytest.raises(UserError, match="no events to choose the thresholds on"):
        draw_network("none", draw_events(0, 2, seed=0), seed=0)


def test_networks_of_other_sizes_are_stored(tmp_path: Path) -> None:
    """The command writes what `draw_layers` draws, for the shipped digits; another seed differs."""
    out = tmp_path / "small"
    options = ["--neurons", "12", "--layers", "2", "--state", "3", "--classes", "4"]
    done = CliRunner().invoke(main, ["draw", "small", *options, "--out", str(out)])
    assert done.exit_code == 0, done.output
    stored, card = load_stored(out)
    assert stored.params.widths == (28, 12, 12) and stored.params.readout.n_classes == 4
    assert [layer.n_state for layer in stored.params.layers] == [3, 3]
    assert card.data == "rows" and card.n_test == 0 and card.recipe == {"drawn": 0}
    payload = load_network("rows").params.layers[0].formats.payload
    drawn, other = (
        draw_layers("small", (28, 12, 12), 3, 4, seed, payload=payload, threshold=256)
        for seed in (0, 1)
    )
    assert drawn.params == stored.params
    assert all(np.array_equal(a, b) for a, b in zip(arrays(drawn), arrays(stored), strict=True))
    assert not np.array_equal(drawn.layers[1].w_f, other.layers[1].w_f)
    digits = find_dataset(out).sequences(slice(20))
    for layer in run(stored, digits).layers:
        assert 0 < layer.spike_counts.mean() < 12, "some neurons fire"


def test_numbers_are_drawn_in_fewer_bits(tmp_path: Path) -> None:
    """They stand for about the same reals."""
    bits = ["--weight-bits", "5", "--slow-bits", "4", "--state-bits", "12"]
    networks = []
    for more in ([], bits):
        options = ["small", "--layers", "2", "--out", str(tmp_path / f"small{len(more)}"), *more]
        done = CliRunner().invoke(main, ["draw", *options])
        assert done.exit_code == 0, done.output
        networks.append(load_network(tmp_path / f"small{len(more)}"))
    wide, narrow = networks
    for layer, other in zip(narrow.params.layers, wide.params.layers, strict=True):
        f, g = layer.formats, other.formats
        assert [fmt.width for fmt in (f.w_f, f.p, f.v, f.m, f.x)] == [5, 4, 4, 12, 16]
        assert (g.m.width - g.m.frac, g.w_f.width, g.p.width) == (f.m.width - f.m.frac, 8, 8)
    for layer, fine in zip(narrow.layers, wide.layers, strict=True):
        assert np.abs(layer.w_f * 8 - fine.w_f).max() <= 4
        assert np.abs(layer.p * 16 - fine.p).max() <= 8
        assert layer.p.any() and layer.v.any()


def test_the_network_of_the_bench_is_stored(tmp_path: Path) -> None:
    """With spikes as inputs, and the sizes of `draw_network`: the same core."""
    sizes = ["--inputs", str(SHD_SIZES[0]), "--neurons", str(SHD_SIZES[1]), "--layers", "2"]
    sizes += ["--state", str(SHD_STATE), "--classes", str(SHD_CLASSES), "--spikes"]
    done = CliRunner().invoke(main, ["draw", "shd", *sizes, "--out", str(tmp_path / "shd")])
    assert done.exit_code == 0, done.output
    stored, card = load_stored(tmp_path / "shd")
    assert stored.params == draw_network("shd", draw_events(20, 8, seed=0), seed=0).params
    assert card.data == "drawn"


@pytest.mark.parametrize("more", [["--state", "3"], ["--state", "0", "--recurrent"]])
def test_a_rate_chooses_the_activity(tmp_path: Path, more: list[str]) -> None:
    """Sequences of that rate are beside the network, and its layers send about as many spikes."""
    out = tmp_path / "busy"
    sizes = ["--inputs", "30", "--neurons", "40", "--layers", "2", "--rate", "6", *more]
    done = CliRunner().invoke(main, ["draw", "busy", *sizes, "--out", str(out)])
    assert done.exit_code == 0, done.output
    network = load_network(out)
    payloads = find_dataset(out).sequences()
    assert payloads.shape == (8, 100, 30) and payloads.max() == 1
    assert 5.5 < payloads.sum(2).mean() < 6.5
    for layer, params in zip(run(network, payloads).layers, network.params.layers, strict=True):
        assert params.recurrent == ("--recurrent" in more)
        assert 5 < layer.spike_counts.mean() < 8
    again = CliRunner().invoke(main, ["draw", "busy", *sizes, "--out", str(out)])
    assert again.exit_code == 0, "its own files are replaced"
    (out / "card.json").unlink()
    kept = CliRunner().invoke(main, ["draw", "busy", *sizes, "--out", str(out)])
    assert kept.exit_code == 2 and "error" in kept.output
