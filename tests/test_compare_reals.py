"""The comparison of a network in reals with its integers: what differs, where, and by whom."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from dmp_core.frontends.layers import Lif, Readout, from_layers
from golden.compare_reals import compare
from golden.errors import UserError
from golden.formats import Fixed
from golden.integer import NetworkIntegers, run
from golden.params import LayerFormats
from golden.quantize import quantize
from golden.reals import NetworkReals, run_reals
from tests.real_networks import draw_reals

# Values that the formats hold exactly.
RNG = np.random.default_rng(5)
W1, W2 = (RNG.integers(-60, 100, shape) / 128 for shape in ((12, 6), (9, 12)))
EXACT = from_layers(
    [Lif(W1, leak=0.5, threshold=0.75), Lif(W2, leak=0.25, threshold=0.5, reset="to_value")],
    Readout(RNG.integers(-90, 90, (4, 9)) / 128),
).network
PAYLOADS = (RNG.random((120, 30, 6)) < 0.3).astype(np.int64)
MEANS = run_reals(EXACT, PAYLOADS).logits.mean(0) / 30
EXACT = replace(EXACT, b_o=-np.round(MEANS * 128) / 128)  # no class is that of most sequences
WIDE = LayerFormats(u=Fixed(40), bias_width=40)


def integers_of(network: NetworkReals, **given: Fixed) -> NetworkIntegers:
    return quantize(network, PAYLOADS, "some", replace(WIDE, **given)).network


def test_what_rounds_nothing_differs_nowhere() -> None:
    done = compare(EXACT, integers_of(EXACT), PAYLOADS)
    assert [of.own.count for of in done.layers] == [of.end_to_end.count for of in done.layers]
    assert not any(of.end_to_end.count for of in done.layers) and not done.classes_different
    assert [of.steps for of in done.layers] == [120 * 30 * 12, 120 * 30 * 9]
    assert all(of.spikes > of.steps / 50 for of in done.layers)
    assert "120 of 120 equal (100.00 %)" in done.report()


def test_an_error_is_told_from_what_came_in() -> None:
    """The first layer's threshold is changed for two neurons: it differs by itself, and the second
    one only because of it.
    """
    integers = integers_of(EXACT)
    params, layer = integers.params, integers.layers[0]
    threshold = np.full(12, layer.threshold)
    threshold[[1, 7]] *= 2
    changed = replace(params.layers[0], per_neuron=("threshold",))
    wrong = replace(
        integers,
        params=replace(params, layers=(changed, params.layers[1])),
        layers=(replace(layer, threshold=threshold), integers.layers[1]),
    )
    done = compare(EXACT, wrong, PAYLOADS, labels := np.arange(120) % 4)
    first, second = done.layers
    real = run_reals(EXACT, PAYLOADS)
    found = run(wrong, PAYLOADS, trace=True)
    spikes = [of.spikes for of in found.layers]
    assert spikes[0] is not None and spikes[1] is not None
    places = np.argwhere(real.spikes[0] != spikes[0])
    assert first.own.count == first.end_to_end.count == len(places) > 0
    assert first.own.first == tuple(places[0]) and set(places[:, 2]) == {1, 7}
    assert second.own.count == 0 and second.own.first is None
    expected = np.argwhere(real.spikes[1] != spikes[1])
    assert second.end_to_end.count == len(expected) > 0
    assert second.end_to_end.first == tuple(expected[0])
    different = int((real.logits.argmax(1) != found.classes).sum())
    assert done.classes_different == different > 0
    report = " ".join(done.report().split())
    place = ", ".join(
        f"{word} {at}"
        for word, at in zip(("sequence", "timestep", "neuron"), places[0], strict=True)
    )
    assert f"layer0 differs by itself first at {place}" in report
    assert "layer1 differs by itself" not in report
    share = 100 * (real.logits.argmax(1) == labels).mean()
    assert (
        f"accuracy: {share:.2f} % in reals, {100 * (found.classes == labels).mean():.2f}" in report
    )


def test_a_place_in_a_later_batch_is_that_of_all_sequences() -> None:
    quiet = PAYLOADS.copy()
    quiet[:77] = 0
    rough = integers_of(EXACT, w_f=Fixed(3))
    done = compare(EXACT, rough, quiet).layers[0]
    real, found = run_reals(EXACT, quiet), run(rough, quiet, trace=True).layers[0].spikes
    assert done.own.first == tuple(np.argwhere(real.spikes[0] != found)[0])
    assert done.own.first is not None and done.own.first[0] >= 77


@pytest.mark.parametrize("seed", range(6))
def test_every_kind_of_network_is_compared(seed: int) -> None:
    """End to end, as run at once; and a layer of its own error no more than its sum."""
    drawn = draw_reals(seed)
    integers = quantize(drawn.network, drawn.payloads, "some").network
    done = compare(drawn.network, integers, drawn.payloads)
    real, found = (
        run_reals(drawn.network, drawn.payloads),
        run(integers, drawn.payloads, trace=True),
    )
    for of, spikes, traced in zip(done.layers, real.spikes, found.layers, strict=True):
        assert of.end_to_end.count == int((spikes != traced.spikes).sum())
        saturations = traced.membrane_saturations + traced.synapse_saturations
        assert of.saturations >= int(saturations.sum())
    assert done.layers[0].own == done.layers[0].end_to_end
    assert np.array_equal(done.integer_classes, found.classes)


def test_a_network_without_a_readout_has_no_classes() -> None:
    alone = from_layers([Lif(W1, leak=0.5, threshold=0.75)]).network
    done = compare(alone, integers_of(alone), PAYLOADS)
    assert not done.real_classes.size and "classes" not in done.report()


def test_what_does_not_fit_is_refused_in_one_line() -> None:
    integers = integers_of(EXACT)
    alone = from_layers([Lif(W1)]).network
    cases = [
        ((alone, integers, PAYLOADS), "the network in reals has layers and classes of"),
        ((EXACT, integers, PAYLOADS[:0]), "no sequences for the comparison"),
        ((EXACT, integers, PAYLOADS[:, :, :3]), "the comparison: payloads of shape"),
        ((EXACT, integers, PAYLOADS * 0.9), "the comparison: payload 0.9 at sequence 0, timestep"),
        ((EXACT, integers, PAYLOADS, [1, 2]), r"\(2,\) labels of 120 sequences"),
    ]
    for given, message in cases:
        with pytest.raises(UserError, match=message) as refused:
            compare(*given)  # type: ignore[arg-type]
        assert "\n" not in str(refused.value)
