"""Derived widths at their extremes, parameters through JSON, and every parameter that cannot be."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from golden.errors import UserError
from golden.formats import Fixed, rshift
from golden.params import NEURON_VALUES, LayerFormats, LayerParams, NetworkParams
from golden.readout_params import ReadoutParams
from golden.train.topology import find_topology
from tests.networks import draw_network

SPIKE = Fixed(1, 0, signed=False)


def fixed(least: int, most: int, fracs: tuple[int, int]) -> st.SearchStrategy[Fixed]:
    return st.builds(Fixed, st.integers(least, most), st.integers(*fracs))


FORMATS = st.builds(
    LayerFormats,
    payload=st.sampled_from([SPIKE, Fixed(8, 8, signed=False)]),
    w_f=fixed(2, 8, (0, 9)),
    w_x=fixed(2, 8, (0, 9)),
    p=fixed(2, 8, (0, 9)),
    a=fixed(8, 16, (8, 15)),
    m=fixed(8, 16, (4, 13)),
    x=fixed(8, 16, (4, 13)),
    u=fixed(8, 16, (2, 12)),
)
LAYERS = st.builds(
    LayerParams,
    st.integers(1, 300),
    st.integers(1, 300),
    st.integers(0, 64),
    formats=FORMATS,
    reset=st.just("to_value"),
)


def extremes(fmt: Fixed) -> tuple[int, int]:
    return (fmt.min, fmt.max)


@given(LAYERS)
def test_sums_hold_all_inputs_firing_with_all_weights_at_their_extremes(p: LayerParams) -> None:
    f = p.formats
    payload = f.payload.max
    for w, bias in ((w, bias) for w in extremes(f.w_x) for bias in extremes(f.b_x)):
        assert p.drive_sum.min <= p.n_inputs * w * payload + bias <= p.drive_sum.max
    for w in extremes(f.w_f):
        assert p.spike_sum.min <= p.n_inputs * w * payload <= p.spike_sum.max
    for c, m in ((c, m) for c in (0, 1) for m in (0, 1)):
        state = (
            p.n_state * extremes(f.a)[c] * extremes(f.m)[m] + extremes(f.b)[c] * extremes(f.x)[m]
        )
        assert p.state_sum.min <= state <= p.state_sum.max
        current = (
            p.n_state * extremes(f.p)[c] * extremes(f.m)[m] + extremes(f.v)[c] * extremes(f.x)[m]
        )
        assert p.current_sum.min <= current <= p.current_sum.max
        h = rshift(current, p.current_shift)
        assert p.current.min <= h <= p.current.max
        h = h if p.n_state else 0
        for u, w, bias in (
            (u, w, b) for u in extremes(f.u) for w in extremes(f.w_f) for b in extremes(f.c)
        ):
            spikes = rshift(p.n_inputs * w * payload, p.spike_shift)
            total = rshift(f.leak.max * u, p.leak_shift) + spikes + h + bias
            assert p.membrane_sum.min <= total <= p.membrane_sum.max


@given(LAYERS, fixed(8, 16, (2, 12)), st.booleans(), st.integers(8, 20))
def test_sums_hold_a_synaptic_current_at_its_extremes(
    p: LayerParams, y: Fixed, signed: bool, width: int
) -> None:
    """Also of signed payloads: the most negative one times the most negative weight."""
    payload = replace(p.formats.payload, width=8, signed=signed)
    formats = replace(p.formats, payload=payload, y=y, synapse_bias_width=width)
    p = replace(p, formats=formats, synapse=True)
    f = p.formats
    assert f.w_f.frac + f.payload.frac == p.spike_shift + f.y.frac
    assert f.c_y.frac == p.synapse_sum.frac == f.y.frac == p.synapse_shift + f.u.frac
    for w, s, current, bias in product(*map(extremes, (f.w_f, f.payload, f.y, f.c_y))):
        spikes = p.n_inputs * w * s
        assert p.spike_sum.min <= spikes <= p.spike_sum.max
        total = rshift(f.alpha.max * current, p.alpha_shift) + rshift(spikes, p.spike_shift) + bias
        assert p.synapse_sum.min <= total <= p.synapse_sum.max
    for u, current, bias in product(*map(extremes, (f.u, f.y, f.c))):
        h = p.current.max if p.n_state else 0
        for held in (h, -h):
            total = rshift(f.leak.max * u, p.leak_shift) + rshift(current, p.synapse_shift)
            assert p.membrane_sum.min <= total + held + bias <= p.membrane_sum.max


@given(LAYERS)
def test_scales_agree(p: LayerParams) -> None:
    """Check that summands have one scale, and that a shift turns it into the scale of the
    result.
    """
    f = p.formats
    assert f.a.frac + f.m.frac == f.b.frac + f.x.frac == p.state_shift + f.m.frac
    assert f.p.frac + f.m.frac == f.v.frac + f.x.frac == p.current_shift + f.u.frac
    assert f.w_x.frac + f.payload.frac == f.b_x.frac == p.drive_shift + f.x.frac
    assert f.w_f.frac + f.payload.frac == p.spike_shift + f.u.frac
    assert f.leak.frac == p.leak_shift
    assert f.c.frac == f.threshold.frac == p.current.frac == p.membrane_sum.frac == f.u.frac
    # What a reset by subtraction leaves of any membrane fits: thresholds are not negative and not
    # above u.
    assert f.threshold.min == 0 and f.threshold.max == f.u.max


@given(st.integers(1, 2000), st.integers(2, 8))
def test_the_readout_sum_holds_every_neuron_firing(n_inputs: int, width: int) -> None:
    readout = ReadoutParams(n_inputs, 10, Fixed(width, 7))
    for w in extremes(readout.w_o):
        assert readout.spike_sum.min <= n_inputs * w <= readout.spike_sum.max
    assert readout.b_o.frac == readout.logit.frac == readout.w_o.frac


@pytest.mark.parametrize("seed", range(20))
def test_parameters_survive_json(seed: int) -> None:
    params = draw_network(seed, delays=seed % 4 == 3).network.params
    assert NetworkParams.from_dict(json.loads(json.dumps(params.to_dict()))) == params


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d["layers"][0].pop("n_state"), "LayerParams needs exactly"),
        (lambda d: d["layers"][0].update(n_stat=3), "LayerParams needs exactly"),
        (lambda d: d["layers"][0]["formats"].pop("w_f"), "LayerFormats needs exactly"),
        (lambda d: d["layers"][0]["formats"]["w_f"].pop("frac"), "Fixed needs exactly"),
        (lambda d: d["layers"][0]["formats"]["w_f"].update(width=0), "a format of 0 bits"),
        (lambda d: d.pop("readout"), "ReadoutParams needs exactly"),
        (lambda d: d.update(layers=[]), "at least one layer"),
        (lambda d: d["layers"][0].update(n_neurons=7), "7 neurons"),
    ],
)
def test_damaged_parameters_are_named(change: Any, message: str) -> None:
    content = json.loads(json.dumps(network(4, 5, 6).to_dict()))
    change(content)
    with pytest.raises(UserError, match=message):
        NetworkParams.from_dict(content)


def network(*sizes: int) -> NetworkParams:
    """Return a network of layers between these sizes and a readout of 10 classes."""
    layers = tuple(LayerParams(n, m, 3) for n, m in zip(sizes, sizes[1:], strict=False))
    return NetworkParams("some", layers, ReadoutParams(sizes[-1], 10))


@pytest.mark.parametrize("name", ["", "../up", "a-b", "1st", "a b", "a\n"])
def test_a_network_has_a_name_that_files_can_have(name: str) -> None:
    with pytest.raises(UserError, match="use letters, digits and _"):
        replace(network(4, 5), name=name)


def test_a_chain_must_fit_together() -> None:
    layers = (LayerParams(4, 5, 3), LayerParams(6, 7, 3))
    with pytest.raises(UserError, match="layer 1 has 6 inputs, but layer 0 5 neurons"):
        NetworkParams("some", layers, ReadoutParams(7, 10))
    with pytest.raises(UserError, match="readout has 8 inputs, but the last layer 5 neurons"):
        NetworkParams("some", layers[:1], ReadoutParams(8, 10))
    graded = replace(LayerParams(5, 5, 3), formats=LayerFormats(payload=Fixed(8, 8, signed=False)))
    with pytest.raises(UserError, match="layer 1 receives spikes: its payload must be 1 bit"):
        NetworkParams("some", (layers[0], graded), ReadoutParams(5, 10))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0, 5, 3), "0 inputs"),
        ((5, 0, 3), "0 neurons"),
        ((1 << 17, 5, 3), "use 1 to 65536"),
        ((5, 5, -1), "slow state of -1"),
        ((5, 5, 1025), "slow state of 1025"),
        ((5, 5, 3, 0), "dilation of 0"),
        ((5, 5, 3, 1, "never"), "reset 'never': use subtract, to_value or none"),
        ((5, 5, 3, 1, "to_value", LayerFormats(payload=Fixed(1, 0))), "signed payload of 1 bit"),
        ((5, 5, 3, 1, "to_value", LayerFormats(x=Fixed(16, 8, signed=False))), "must be signed"),
        (
            (5, 5, 3, 1, "to_value", LayerFormats(), False, -1),
            "delay of -1 timesteps: use 0 to 255",
        ),
        (
            (5, 5, 3, 1, "to_value", LayerFormats(), False, 256),
            "delay of 256 timesteps: use 0 to 255",
        ),
        (
            (5, 5, 3, 1, "to_value", LayerFormats(Fixed(2, 0, signed=False)), False, 1),
            "graded inputs has no delays",
        ),
        ((5, 5, 3, 1, "to_value", LayerFormats(u=Fixed(16, -50))), "shift of"),
        (
            (5, 5, 3, 1, "to_value", LayerFormats(x=Fixed(16, 70))),
            "drive shift of -63: use at most 48",
        ),
    ],
)
def test_impossible_layers(arguments: tuple[Any, ...], message: str) -> None:
    with pytest.raises(UserError, match=message):
        LayerParams(*arguments)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"decay_rounding": "down"}, "decay_rounding 'down': use half_up or toward_zero"),
        ({"reset": "none", "own_reset": True}, "a reset that does nothing: leave own_reset out"),
        ({"per_neuron": ("alpha",)}, "values a neuron for alpha: this layer has leak, threshold"),
        ({"per_neuron": ("reset",)}, "values a neuron for reset: this layer has leak, threshold"),
        ({"per_neuron": ("leak", "leak")}, "values a neuron for leak, leak: this layer has"),
        ({"per_neuron": ("threshold", "leak")}, "which are named in this order"),
        (
            {"per_neuron": ("beta",), "synapse": True, "own_reset": True},
            "this layer has leak, alpha, threshold, reset, which",
        ),
        ({"formats": LayerFormats(alpha=Fixed(12, 12)), "synapse": True}, "format of alpha is s12"),
        ({"formats": LayerFormats(y=Fixed(16, 60)), "synapse": True}, "a spike shift of -53: use"),
        ({"formats": LayerFormats(y=Fixed(16, 9, signed=False))}, "format of y must be signed"),
        (
            {"formats": LayerFormats(synapse_bias_width=64), "synapse": True},
            "too large for its formats: synapse_sum is a format of",
        ),
    ],
)
def test_impossible_neurons(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        LayerParams(5, 5, 3, **options)


def test_a_neuron_of_everything_is_possible() -> None:
    """What `test_impossible_neurons` changes is what is refused there."""
    every = LayerParams(5, 5, 3, synapse=True, own_reset=True, per_neuron=NEURON_VALUES)
    assert every.per_neuron == ("leak", "alpha", "threshold", "reset")
    alpha = LayerFormats(alpha=Fixed(12, 12))
    assert LayerParams(5, 5, 3, formats=alpha).formats.alpha.signed  # it has none


@pytest.mark.parametrize(("most", "width"), [(0, 1), (1, 1), (2, 2), (7, 3), (8, 4), (255, 8)])
def test_a_delay_has_as_many_bits_as_the_largest(most: int, width: int) -> None:
    assert LayerParams(5, 5, 3, max_delay=most).delay == Fixed(width, 0, signed=False)


def test_a_network_too_large_for_its_formats() -> None:
    wide = LayerFormats(a=Fixed(32, 31), m=Fixed(32, 16))
    with pytest.raises(UserError, match="a format of .* bits: use 1 to 64"):
        _ = LayerParams(5, 5, 3, formats=wide).state_sum


@pytest.mark.parametrize("classes", [0, 1 << 17])
def test_impossible_readouts(classes: int) -> None:
    with pytest.raises(UserError, match="classes"):
        ReadoutParams(5, classes)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"report": "mean"}, "report 'mean': use last or max"),
        ({"decay_rounding": "up"}, "decay_rounding 'up': use half_up or toward_zero"),
        ({"leak": Fixed(12, 12)}, "the format of leak is s12.12: use an unsigned one"),
        ({"logit_width": 64, "leaky": True, "leak": Fixed(13, 12, signed=False)}, "logit_sum is a"),
    ],
)
def test_impossible_options_of_a_readout(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        ReadoutParams(5, 2, **options)


def test_topologies_are_found_by_name() -> None:
    assert [(t.n_inputs, t.n_neurons) for t in find_topology("rows").layers] == [
        (28, 128),
        (128, 128),
    ]
    with pytest.raises(
        UserError, match="unknown network 'mnist': use one of smnist, psmnist, rows"
    ):
        find_topology("mnist")


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"w_f": Fixed(8, 7, signed=False)}, "the format of w_f must be signed"),
        ({"m": Fixed(16, 7, signed=False)}, "the format of m must be signed"),
        ({"leak": Fixed(12, 12)}, "format of leak is s12.12: use an unsigned one of 1 to 63 bits"),
        ({"leak": Fixed(12, -1, signed=False)}, "format of leak is u12.-1: use an unsigned one"),
        ({"w_f": Fixed(16, -38)}, "too large for its formats: membrane_sum is a format of"),
    ],
)
def test_formats_that_no_hardware_could_have(changed: dict[str, Fixed], reason: str) -> None:
    with pytest.raises(UserError, match=reason):
        LayerParams(40, 8, 4, formats=replace(LayerFormats(Fixed(8, 8, signed=False)), **changed))


def test_a_layer_in_words() -> None:
    assert LayerParams(3, 5, 7).summary == "5 neurons with a slow state of 7"
    assert LayerParams(3, 5, 0).summary == "5 neurons"
    assert (
        LayerParams(3, 5, 0, recurrent=True, max_delay=9).summary
        == "5 recurrent neurons after delays of up to 9"
    )
