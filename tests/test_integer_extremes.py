"""Formats of any widths, and integers at their ends: golden against the plain model, whose integers
have no bounds.
"""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from golden.errors import UserError
from golden.formats import INT64_MAX, Fixed
from golden.integer import run
from golden.params import LayerFormats, LayerParams
from golden.readout_params import ReadoutParams
from tests.extreme_layers import draw_extreme
from tests.integer_reference import compare


def check(seeds: range) -> Counter[str]:
    """Hold these layers against the plain model; return how many leave 64 bits, by the step."""
    left: Counter[str] = Counter()
    for seed in seeds:
        network, payloads = draw_extreme(seed)
        try:
            compare(run(network, payloads, trace=True), network, payloads)
        except AssertionError as error:
            raise AssertionError(f"seed {seed}: {error}") from None
        p, readout = network.params.layers[0], network.params.readout
        f = p.formats
        reached = {"leak": f.leak.magnitude * f.u.magnitude}
        if p.synapse:
            reached["alpha"] = f.alpha.magnitude * f.y.magnitude
        if p.n_state:
            reached["drive"] = p.drive_sum.magnitude << max(0, -p.drive_shift)
            reached["state"] = p.state_sum.magnitude << max(0, -p.state_shift)
        if readout.leaky:
            reached["logits"] = readout.leak.magnitude * readout.logit.magnitude
        left += Counter([name for name, reach in reached.items() if reach > INT64_MAX])
    return left


def test_extreme_layers_are_exact() -> None:
    left = check(range(300))
    assert set(left) == {"leak", "alpha", "drive", "state", "logits"} and min(left.values()) > 5


@pytest.mark.long
def test_many_extreme_layers_are_exact() -> None:
    check(range(300, 8_000))


def test_formats_beyond_what_is_exact_are_refused() -> None:
    wide = Fixed(64, 0, signed=False)
    with pytest.raises(UserError, match="an unsigned payload of 64 bits: use 1 to 63, or a signed"):
        LayerParams(1, 1, 0, formats=LayerFormats(payload=wide))
    with pytest.raises(UserError, match=r"the format of leak is u64\.0: use an unsigned one of 1 "):
        LayerParams(1, 1, 0, formats=LayerFormats(leak=wide))
    with pytest.raises(UserError, match=r"leak is u60\.60: use .* 1 to 63 bits, frac 0 to 48"):
        ReadoutParams(1, 1, leaky=True, leak=Fixed(60, 60, signed=False))
    with pytest.raises(UserError, match="a format of 600 fractional bits: use -512 to 512"):
        Fixed(8, 600)


@pytest.mark.parametrize("width", [8, 53, 54, 63, 64])
def test_reals_become_the_nearest_integers(width: int) -> None:
    """Also where float64 rounds a half that is added, or the largest integer of the format."""
    fmt = Fixed(width)
    reals = [2.0**k + more for k in range(width + 2) for more in (-0.5, 0.0, 0.5, 1.0, 1.5)]
    reals += [0.49999999999999994, 1e300, float("inf")]
    expected = [
        fmt.max if real >= fmt.max else int(real) + (real - int(real) >= 0.5) for real in reals
    ]
    assert fmt.quantize(np.array(reals)).tolist() == expected
    assert fmt.quantize(-float("inf")) == fmt.min == fmt.quantize(-1e300)
