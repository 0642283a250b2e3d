"""States of the authors' training code against a model of their equations, written apart: the slow
state as a convolution, as they compute it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import dmp_core as dmp
from dmp_core.frontends.dual_pathway import from_dual_pathway
from golden.errors import UserError
from golden.reals import run_reals

TAU, T, SIZES, STATE, CLASSES = 2.0, 30, (9, 12, 7), 4, 5


def drawn_state(seed: int = 3) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    state: dict[str, Any] = {}
    for index, (m, n) in enumerate(zip(SIZES, SIZES[1:], strict=False), start=1):
        a = rng.normal(size=(STATE, STATE))
        layer = {
            "A": 0.9 * a / np.abs(np.linalg.eigvals(a)).max(),
            "B": rng.normal(size=(STATE, 1)),
            "W_u.weight": rng.normal(size=(1, m)),
            "W_u.bias": rng.normal(size=1),
            "W_x.weight": rng.normal(0.3, 1.0, size=(n, m)),
            "W_x.bias": rng.normal(size=n),
            "weight.weight": rng.normal(size=(n, STATE)),
            "weight.bias": rng.normal(size=n),
            "bn_x.weight": np.ones(n),
            "H": np.zeros((STATE, T)),
        }
        state |= {f"LMU{index}.{name}": value for name, value in layer.items()}
    return state | {
        "dense.weight": rng.normal(size=(CLASSES, SIZES[-1])),
        "dense.bias": rng.normal(size=CLASSES),
    }


def theirs(state: dict[str, Any], inputs: np.ndarray) -> tuple[list[np.ndarray], np.ndarray]:
    """Return the spikes (T, N) of every layer and the classes' means."""
    values, spikes = inputs, []
    for index in (1, 2):
        p = {
            name.removeprefix(f"LMU{index}."): value
            for name, value in state.items()
            if name.startswith(f"LMU{index}.")
        }
        x = np.maximum(values @ p["W_u.weight"][0] + p["W_u.bias"][0], 0)
        impulse = [np.linalg.matrix_power(p["A"], k) @ p["B"][:, 0] for k in range(len(x))]
        m = np.array([sum(x[k - j] * impulse[j] for j in range(k + 1)) for k in range(len(x))])
        pre = values @ p["W_x.weight"].T + p["W_x.bias"]
        pre = pre + m @ p["weight.weight"].T + p["weight.bias"]
        v = np.zeros(pre.shape[1])
        found = np.zeros_like(pre)
        for k, arriving in enumerate(pre):
            v = v + (arriving - v) / TAU
            found[k] = v >= 1
            v = np.where(found[k] > 0, 0.0, v)
        values = found
        spikes.append(found)
    return spikes, (values @ state["dense.weight"].T + state["dense.bias"]).mean(0)


def test_every_spike_is_theirs() -> None:
    state = drawn_state()
    imported = from_dual_pathway(state)
    payloads = (np.random.default_rng(5).random((6, T, SIZES[0])) < 0.3).astype(np.int64)
    run = run_reals(imported.network, payloads)
    for index, sequence in enumerate(payloads):
        spikes, means = theirs(state, sequence.astype(float))
        for layer, wanted in zip(run.spikes, spikes, strict=True):
            np.testing.assert_array_equal(layer[index], wanted > 0)
            assert 0.05 < wanted.mean() < 0.95
        np.testing.assert_allclose(run.logits[index] / T, means)
    fates = {note.node: note.fate for note in imported.notes}
    assert fates["LMU1"] == fates["dense"] == "mapped" and fates["LMU2.H"] == "left out"


def test_a_file_of_torch_and_its_prefix(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    state = drawn_state()
    path = tmp_path / "state.pt"
    torch.save({f"module.{name}": torch.tensor(value) for name, value in state.items()}, path)
    found = dmp.from_dual_pathway(path).reals.layers[1].w_m
    np.testing.assert_array_equal(found, state["LMU2.weight.weight"] / TAU)
    (tmp_path / "text.pt").write_text("none")
    with pytest.raises(UserError, match="text.pt is no state that torch.save wrote"):
        from_dual_pathway(tmp_path / "text.pt")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"LMU1.A": None}, "the state has no LMU1.A: use the state_dict of a ConvLMU2"),
        ({"LMU3.x": np.zeros(1)}, "LMU3.x has no place in the network"),
        (
            {"dense.weight": np.zeros((5, 6))},
            r"dense.weight has the shape \(5, 6\): use \(any, 7\)",
        ),
        ({"LMU2.B": np.full((4, 1), np.nan)}, r"LMU2.B has nan at \(0, 0\): use finite numbers"),
    ],
)
def test_what_does_not_fit_is_named(change: dict[str, Any], message: str) -> None:
    state = {name: value for name, value in (drawn_state() | change).items() if value is not None}
    with pytest.raises(UserError, match=message):
        from_dual_pathway(state)


def test_what_is_no_state_is_named() -> None:
    with pytest.raises(UserError, match=r"the state has no LMU1.W_x.weight"):
        from_dual_pathway({"fc.weight": np.zeros((2, 2))})
    with pytest.raises(UserError, match="tau 0.5: use 1 or more timesteps"):
        from_dual_pathway(drawn_state(), tau=0.5)
