"""The face of the project: networks that were trained anywhere, on a core of their own.

import dmp_core as dmp
net = dmp.from_nir("model.nir", dt=1e-4, discretization="euler", reset="subtract")
print(net.report())
integers = net.quantize(sequences, weight_bits=8)
core = integers.compile("build/mine", lanes=16)
core.check(sequences), core.cycles
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    import nir
    import torch

    from dmp_core.network import Core, Integers, Network

__all__ = [
    "Core",
    "Integers",
    "Network",
    "from_dual_pathway",
    "from_lava",
    "from_layers",
    "from_nir",
    "from_snntorch",
    "load",
]


def __getattr__(name: str) -> Any:
    """Load the classes when they are asked for: a command needs none of them."""
    if name in ("Network", "Integers", "Core"):
        import dmp_core.network

        return getattr(dmp_core.network, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def load(network: str | Path) -> Integers:
    """Return a network's integers: of a shipped one, or of a folder."""
    from dmp_core.network import Integers
    from export.store import load_network
    from golden.param_checks import check_path

    return Integers(load_network(check_path("network", network)))


def from_nir(source: str | nir.NIRGraph, **options: Any) -> Network:
    """Return the network of a NIR file or graph; see `dmp_core.frontends.nir.from_nir`."""
    from dmp_core.frontends.nir import from_nir as read
    from dmp_core.network import Network

    return Network(read(source, **options))


def from_snntorch(module: torch.nn.Module, **options: Any) -> Network:
    """Return the network of a module of snnTorch's; see
    `dmp_core.frontends.snntorch.from_snntorch`.
    """
    from dmp_core.network import Network
    from golden.errors import UserError

    try:
        from dmp_core.frontends.snntorch import from_snntorch as read
    except ModuleNotFoundError as error:
        raise UserError(
            f"{error.name} is not installed: pip install --editable '.[snntorch]'"
        ) from None
    return Network(read(module, **options))


def from_layers(*arguments: Any, **options: Any) -> Network:
    """Return the network of arrays of weights; see `dmp_core.frontends.layers.from_layers`."""
    from dmp_core.frontends.layers import from_layers as build
    from dmp_core.network import Network

    return Network(build(*arguments, **options))


def from_dual_pathway(state: Any, **options: Any) -> Network:
    """Return the network of a state of the training code of the Dual Memory Pathway's authors; see
    `dmp_core.frontends.dual_pathway.from_dual_pathway`.
    """
    from dmp_core.frontends.dual_pathway import from_dual_pathway as read
    from dmp_core.network import Network

    return Network(read(state, **options))


def from_lava(path: str, **options: Any) -> Integers:
    """Return the integers of a file of Lava's netx; see `dmp_core.frontends.lava.from_lava`."""
    from dmp_core.frontends.lava import from_lava as read
    from dmp_core.network import Integers

    imported = read(path, **options)
    return Integers(imported.network, imported.report())
