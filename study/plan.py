"""What `dmp study` trains: trials in groups, each a network and a recipe; and how the leaks and
learning rates of the architectures are chosen.

Every architecture is trained at its own leak and learning rate: those that were best on a held-out
part of the training data (group `choice`), which the test set has no part in. Of the spoken digits
these are those of one speaker, as digits of known speakers choose too little; what was tested on
other speakers is not tested on that one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from golden.errors import UserError

ARCHITECTURES = ("dmp", "fsnn", "rsnn", "dsnn", "dmp-delays")
CHOICE = "choice"
HELD_OUT = {"held_out": 9}  # one in so many training sequences
HELD_OUT_SPEAKER = {"held_out_speaker": 0}
SPEAKERS = range(1, 6)  # each left out in turn, and tested on
# Of the presets that a study varies: how each trial is trained; how long a choice is; and on how
# many neurons a layer the architectures are compared, of which a choice takes the middle one.
_SPEECH: dict[str, Any] = {"epochs": 60, "batch": 64, "augmentation": 0.5}
_DIGITS: dict[str, Any] = {"epochs": 20, "batch": 128, "augmentation": 0.8}
RECIPES = {
    "spoken": _SPEECH, "shd": _SPEECH, "ssc": _SPEECH, "rows": _DIGITS, "smnist": _DIGITS,
    "psmnist": _DIGITS,
}  # fmt: skip
_SHORT_DIGITS: dict[str, Any] = {"epochs": 3, "limit": 12_000}
CHOICES: dict[str, dict[str, Any]] = {
    "rows": {"epochs": 5}, "smnist": _SHORT_DIGITS, "psmnist": _SHORT_DIGITS,
}  # fmt: skip
SPEECH_CHOICE = {"epochs": 30}
LEFT_OUT = {"epochs": 30}  # of networks that are tested on a speaker whom they have not heard
NEURONS = {"smnist": (64, 128, 224), "psmnist": (64, 128, 208)}
SPEECH_NEURONS = (32, 64, 128)
# Sizes of the slow state, and its windows.
STATES = {"smnist": (5, 10, 20, 40), "psmnist": (16, 32, 64, 128)}
SPEECH_STATES = (2, 5, 10, 20)
THETAS = {
    "smnist": (75.0, 150.0, 300.0, 600.0), "psmnist": (100.0, 200.0, 400.0, 784.0),
    "rows": (7.0, 14.0, 28.0, 56.0),
}  # fmt: skip
SPEECH_THETAS = (10.0, 20.0, 40.0, 80.0, 160.0)
LEAKS, RATES = (0.5, 0.8, 0.9, 0.98), (3e-3, 1e-2, 3e-2)
QUICK: dict[str, Any] = {"epochs": 8, "limit": 2048}
QUICK_NEURONS = 16
SWEPT_NEURONS = 64  # a layer, where something else is varied

Settings = Mapping[str, float]  # the leak, and the learning rate


@dataclass(frozen=True)
class Trial:
    """A network to train and to measure: of a `group` of trials, at `value` on the group's axis.

    `changes` are of the preset's topology, `recipe` of the training. Only those `measured` are run
    through Verilog.
    """

    group: str
    value: float
    preset: str
    architecture: str
    changes: dict[str, Any] = field(default_factory=dict)
    recipe: dict[str, Any] = field(default_factory=dict)
    measured: bool = True

    @property
    def seed(self) -> int:
        return self.recipe.get("seed", 0)

    @property
    def name(self) -> str:
        parts = [self.preset, self.group, self.architecture, f"{self.value:g}"]
        if self.group == CHOICE:
            parts.append(f"{self.recipe['learning_rate']:g}")
        if "without_speaker" in self.recipe:
            parts.append(f"without{self.recipe['without_speaker']}")
        parts += [f"seed{self.seed}"] if self.seed else []
        return re.sub(r"\W", "_", "_".join(parts))


@dataclass(frozen=True)
class Study:
    """Which trials there are.

    Parameters
    ----------
    epochs, limit
        Of every trial, in place of the preset's [default: of the preset].
    seeds
        How many networks are trained of each trial; where spoken digits are swept, one a speaker.

    Raises
    ------
    UserError
        No study varies this preset.
    """

    preset: str
    epochs: int | None = None
    limit: int | None = None
    quick: bool = False
    seeds: int = 1

    def __post_init__(self) -> None:
        if self.preset not in RECIPES:
            raise UserError(f"--preset {self.preset}: use {', '.join(RECIPES)}")

    @property
    def neurons(self) -> tuple[int, ...]:
        """How many a layer the architectures are compared on."""
        return (QUICK_NEURONS,) if self.quick else NEURONS.get(self.preset, SPEECH_NEURONS)

    def _recipe(self, changes: dict[str, Any]) -> dict[str, Any]:
        recipe = RECIPES[self.preset] | changes | (QUICK if self.quick else {})
        recipe |= {"epochs": self.epochs} if self.epochs else {}
        return recipe | ({"limit": self.limit} if self.limit else {})

    def choices(self, architectures: Iterable[str]) -> list[Trial]:
        """Return the trials that choose the leak and the learning rate of these architectures."""
        left = HELD_OUT_SPEAKER if self.preset == "spoken" else HELD_OUT
        recipe = self._recipe(CHOICES.get(self.preset, SPEECH_CHOICE)) | left
        neurons = self.neurons[len(self.neurons) // 2]
        return [
            Trial(
                CHOICE, leak, self.preset, architecture,
                {"n_neurons": (neurons, neurons), "leak": leak}, recipe | {"learning_rate": rate},
            )
            for architecture in architectures
            for leak in (LEAKS[2:3] if self.quick else LEAKS)
            for rate in (RATES[1:2] if self.quick else RATES)
        ]  # fmt: skip

    def trials(self, chosen: Mapping[str, Settings]) -> list[Trial]:
        """Return all other trials; `chosen` are the settings of each architecture, without which
        it has those of the preset.

        Accuracy against parameters for every architecture; against the slow state's size, its
        window and its dilation; with W_f, or P and V, in fewer bits, trained for it; delays beside
        short and long windows, learned and as they were drawn. Of the spoken digits every
        architecture is tested on each speaker left out, too; and where something is swept, there
        are five networks, each tested on another speaker: 2,500 digits of speakers not heard tell
        more than 300.
        """
        found: list[Trial] = []

        def add(
            group: str,
            value: float,
            architecture: str = "dmp",
            recipe: Mapping[str, Any] | None = None,
            measured: bool = True,
            **changes: Any,
        ) -> None:
            settings = dict(chosen.get(architecture, {}))
            leak = {"leak": settings.pop("leak")} if settings else {}
            whole = self._recipe(dict(recipe or {})) | settings
            whole["aware_epochs"] = max(1, whole["epochs"] // 5)
            topology = leak | changes
            found.append(Trial(group, value, self.preset, architecture, topology, whole, measured))

        seeds = [{"seed": seed} if seed else {} for seed in range(self.seeds)]
        for neurons in self.neurons:
            for architecture in ARCHITECTURES:
                for seed in seeds:
                    add("neurons", neurons, architecture, seed, n_neurons=(neurons, neurons))
        speakers = self.preset == "spoken" and not self.quick
        swept = QUICK_NEURONS if self.quick else SWEPT_NEURONS
        small: dict[str, Any] = {"n_neurons": (swept, swept)}

        def sweep(
            group: str,
            value: float,
            architecture: str = "dmp",
            recipe: Mapping[str, Any] | None = None,
            **changes: Any,
        ) -> None:
            networks: list[dict[str, Any]] = [{**seed} for seed in seeds]
            if speakers:
                networks = [LEFT_OUT | {"without_speaker": left, "seed": left} for left in SPEAKERS]
            for index, network in enumerate(networks):
                whole = dict(recipe or {}) | network
                add(group, value, architecture, whole, index == 0, **small, **changes)

        for n_state in (4,) if self.quick else STATES.get(self.preset, SPEECH_STATES):
            sweep("state", n_state, n_state=n_state)
        for theta in (20.0,) if self.quick else THETAS.get(self.preset, SPEECH_THETAS):
            sweep("theta", theta, theta=theta)
            sweep("delays", theta, "dmp-delays", theta=theta)
            sweep("fixed delays", theta, "dmp-delays", {"learn_delays": False}, theta=theta)
        for dilation in (5,) if self.quick else (1, 2, 5, 10, 20):
            sweep("dilation", dilation, dilation=dilation)
        for bits in (4,) if self.quick else (2, 3, 4, 6):
            sweep("bits", bits, recipe={"weight_bits": bits})
            sweep("slow bits", bits, recipe={"slow_bits": bits})
        for neurons in self.neurons if speakers else ():
            for architecture in ARCHITECTURES:
                for seed in seeds:
                    for speaker in SPEAKERS:
                        left = LEFT_OUT | {"without_speaker": speaker} | seed
                        sizes = {"n_neurons": (neurons, neurons)}
                        add("speaker", neurons, architecture, left, False, **sizes)
        return found


def choose(rows: Sequence[Mapping[str, Any]]) -> dict[str, Settings]:
    """Return the settings with the best accuracy on what was held out, of each architecture that
    has rows of the group `choice`; of equal ones the first.
    """
    best: dict[str, Mapping[str, Any]] = {}
    for row in rows:
        if row["group"] == CHOICE:
            before = best.setdefault(row["architecture"], row)
            if row["accuracy_float"] > before["accuracy_float"]:
                best[row["architecture"]] = row
    return {
        name: {"leak": row["changes"]["leak"], "learning_rate": row["recipe"]["learning_rate"]}
        for name, row in best.items()
    }
