"""`dmp train`: train a preset network."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import torch

from golden.command_line import SEED, Command, Number
from golden.errors import UserError, report_user_errors
from golden.params import MAX_DELAY, check_name
from golden.train.loop import Recipe, train
from golden.train.topology import ARCHITECTURES, find_topology

_RECIPE = Recipe()


@click.command(cls=Command, context_settings={"show_default": True})
@click.argument("preset")
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    help="Folder with the data set [default: fetch MNIST]",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("build/train"),
    help="Checkpoints go here",
)
@click.option("--name", help="Of the checkpoint [default: PRESET, or PRESET_ARCHITECTURE]")
@click.option("--architecture", type=click.Choice(list(ARCHITECTURES)), default="dmp")
@click.option("--neurons", help="Of each layer, as in 200,200 [default: the preset's]")
@click.option("--state", type=click.IntRange(0), help="Values of the slow state")
@click.option(
    "--theta", type=Number(0, min_open=True), help="Window of the slow state in timesteps"
)
@click.option("--dilation", type=click.IntRange(1), help="Timesteps between refreshes")
@click.option("--max-delay", type=click.IntRange(0, MAX_DELAY), help="Bound of the axonal delays")
@click.option("--leak", type=Number(0, 1), help="What a membrane keeps in a timestep")
@click.option(
    "--per-neuron",
    is_flag=True,
    default=None,
    help="Every neuron learns its own leak and threshold",
)
@click.option("--epochs", default=_RECIPE.epochs, type=click.IntRange(1))
@click.option("--batch", default=_RECIPE.batch, type=click.IntRange(1))
@click.option("--learning-rate", default=_RECIPE.learning_rate, type=Number(0, min_open=True))
@click.option(
    "--augmentation",
    default=_RECIPE.augmentation,
    type=Number(0),
    help="Strength of random changes of samples",
)
@click.option("--seed", default=_RECIPE.seed, type=SEED)
@click.option("--limit", type=click.IntRange(1), help="Train and test on the first N sequences")
@click.option(
    "--weight-bits", default=_RECIPE.weight_bits, type=click.IntRange(2, 16), help="Of W_f"
)
@click.option(
    "--slow-bits", default=_RECIPE.slow_bits, type=click.IntRange(2, 16), help="Of P and V"
)
@click.option(
    "--state-bits",
    default=_RECIPE.state_bits,
    type=click.IntRange(4, _RECIPE.state_bits),
    help="Of the slow state, once it is quantized",
)
@click.option(
    "--aware-epochs",
    default=_RECIPE.aware_epochs,
    type=click.IntRange(0),
    help="Last epochs that are quantization-aware",
)
@click.option(
    "--averaging",
    default=_RECIPE.averaging,
    type=Number(0, 1, max_open=True),
    help="Keep an average of the weights; its decay at every step",
)
@click.option(
    "--teachers",
    default=_RECIPE.teachers,
    type=click.IntRange(0),
    help="Digits: learn also from N convolutional networks, trained first",
)
@click.option("--start", help="Checkpoint whose weights to start from")
@click.option("--without-speaker", type=int, help="Spoken digits: test on this speaker only")
@click.option(
    "--held-out",
    type=click.IntRange(2),
    help="Test on one in N training sequences, which are not trained on, not on the test set",
)
@click.option(
    "--held-out-speaker",
    type=int,
    help="Test on what this speaker says in the training set, which is not trained on, not on the"
    " test set",
)
@click.option(
    "--learn-delays/--fixed-delays", default=True, help="Or leave delays as they were drawn"
)
@click.option("--threads", type=click.IntRange(1), help="Processor threads [default: all]")
@report_user_errors
def main(
    preset: str,
    data: Path | None,
    out: Path,
    name: str | None,
    architecture: str,
    neurons: str | None,
    threads: int | None,
    **options: Any,
) -> None:
    """Train network PRESET; a second call continues where the first ended.

    Under torchrun, every process takes its share of each batch.
    """
    if threads:
        torch.set_num_threads(threads)
    fields = {"state": "n_state", "theta": "theta", "dilation": "dilation", "leak": "leak"}
    fields |= {"max_delay": "max_delay", "per_neuron": "per_neuron"}
    given = {key: options.pop(key) for key in fields}
    changes: dict[str, Any] = {fields[k]: v for k, v in given.items() if v is not None}
    if neurons is not None:
        try:
            changes["n_neurons"] = tuple(int(n) for n in neurons.split(","))
        except ValueError:
            raise UserError(f"--neurons {neurons}: use numbers, as in 200,200") from None
        if min(changes["n_neurons"]) < 1:
            raise UserError(f"--neurons {neurons}: use 1 or more in each layer")
    topology = find_topology(preset, architecture, **changes)
    if name is None:  # a network of that name must be possible, too
        name = preset if architecture == "dmp" else f"{preset}_{architecture}".replace("-", "_")
    check_name(name)
    try:
        torch.set_flush_denormal(True)  # decaying membranes are full of them
        train(name, topology, data, out, Recipe(**options))
    except RuntimeError as error:  # Torch's way to say it
        if "allocate memory" not in str(error) and not isinstance(error, torch.OutOfMemoryError):
            raise
        raise MemoryError from None
    finally:
        torch.set_flush_denormal(False)
