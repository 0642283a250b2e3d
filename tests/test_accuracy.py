"""The accuracy of integers, and the events that they are measured with."""

from __future__ import annotations

from dataclasses import replace

import pytest

from golden.data.accuracy import evaluate_integers
from golden.errors import UserError
from golden.integer import run
from tests.torch_networks import SMALL, draw_digits, drawn, quantize, sequences


def test_nothing_to_work_on() -> None:
    with pytest.raises(UserError, match="no sequences for the calibration"):
        quantize(drawn(), sequences(0), "some")
    network = quantize(drawn(), sequences(2), "some").network
    with pytest.raises(UserError, match="nothing to classify: use at least one sequence"):
        evaluate_integers(network, draw_digits(0))


def test_accuracy_is_that_of_the_run() -> None:
    digits = draw_digits(23)
    network = quantize(drawn(), digits.sequences(slice(1)), "some").network
    done = run(network, digits.sequences())
    told: list[int] = []
    measured = evaluate_integers(network, digits, batch=10, progress=told.append)
    assert told == [10, 10, 3]
    assert measured.accuracy == (done.classes == digits.labels).mean()
    received = [digits.images != 0, done.layers[0].spike_counts, done.layers[1].spike_counts]
    expected = [float(events.sum()) / 23 / 28 for events in received]
    assert measured.rates == pytest.approx(expected)
    for i, layer in enumerate(done.layers):
        for kind in ("drive", "state", "membrane"):
            assert (
                measured.saturations[f"layer{i}.{kind}"]
                == getattr(layer, f"{kind}_saturations").sum()
            )
    assert measured.saturations["readout.logit"] == 0


def test_events_behind_delays_and_own_spikes_are_counted() -> None:
    digits = draw_digits(6)
    topology = replace(SMALL, n_state=0, recurrent=True, max_delay=5)
    network = quantize(drawn(topology), digits.sequences(), "some").network
    done = run(network, digits.sequences(), trace=True)
    rates = evaluate_integers(network, digits).rates
    first, second = (layer.spikes for layer in done.layers)
    assert first is not None and second is not None and network.layers[1].delays.max() > 0
    own = [spikes[:, :-1].sum() for spikes in (first, second)]
    arriving = sum(
        first[:, : 28 - delay, j].sum() for j, delay in enumerate(network.layers[1].delays)
    )
    events = [(digits.images != 0).sum() + own[0], arriving + own[1], second.sum()]
    assert rates == pytest.approx([count / 6 / 28 for count in events])
