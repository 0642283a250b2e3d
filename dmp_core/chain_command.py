"""`dmp chain`: make the cores of the parts of a network, and run them one after another."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
from tqdm import tqdm

from dmp_core.core_command import FIT, fitted, refuse_shape, write_verilog
from dmp_core.shape import SHAPE
from export.claim import claimed
from export.core import make_core
from export.sequences import first_sequences
from export.store import find_dataset, load_network
from golden.command_line import DATA, Command, Count, count_option
from golden.errors import report_user_errors
from golden.hardware.core import CoreParams
from golden.hardware.params import HardwareParams
from golden.manifest import MANIFEST, read_core
from tb.chain import Chain, check_chain, compare_chain, simulate_chain
from tb.chain_report import chain_lines, summarize_chain
from tb.report import write_report

REPORT = "chain.json"
OUT = click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="Folder of a folder for each core [default: build]",
)


@dataclass(frozen=True)
class _Place:
    """A core of the chain: its network, and what `make_core` needs, or its manifest."""

    network: str
    core: CoreParams
    folder: Path
    made: bool

    def manifest(self) -> Path:
        """Make the core, unless it is made; write the Verilog of its standard top."""
        path = self.folder / MANIFEST
        if not self.made:
            path = make_core(self.network, self.core.hardware, self.folder)
        write_verilog(path, ["axi"])
        return path


def _find(
    name: str, fit: bool, out: Path | None, shape: dict[str, Any], context: click.Context
) -> _Place:
    """Return the core of a network, or of a manifest."""
    path = Path(name)
    if path.name == MANIFEST:
        core, _ = read_core(path)
        return _Place(claimed(path.parent) or core.network.name, core, path.parent, made=True)
    params = load_network(name).params
    folder = (out or Path("build")) / params.name
    hardware = HardwareParams(**(fitted(context, name, folder) if fit else shape))
    return _Place(name, CoreParams(params, hardware), folder, made=False)


@report_user_errors
def _run(
    networks: tuple[str, ...],
    count: Count,
    data: Path | None,
    fit: bool,
    out: Path | None,
    **shape: Any,
) -> None:
    context = click.get_current_context()
    if all(Path(name).name == MANIFEST for name in networks):
        refuse_shape(context, networks[0])
    places = [_find(name, fit, out, shape, context) for name in networks]
    check_chain([place.core for place in places])
    first = places[0]
    dataset = find_dataset(first.network, data)
    dataset = first_sequences(first.core, first.folder / MANIFEST, dataset, count)
    manifests = [place.manifest() for place in places]
    payloads = dataset.sequences()
    report = manifests[-1].parent / REPORT
    report.unlink(missing_ok=True)
    chain = Chain.read(manifests)
    click.echo("building the Verilator model...", err=True)
    with tqdm(total=len(payloads), desc="simulated", unit="sequence") as bar:
        beside = manifests[-1].parent / "verilator"
        ran = simulate_chain(chain, payloads, beside, progress=bar.update)
    activities = chain.golden(payloads)
    comparison = compare_chain(chain, activities, ran)
    summary = summarize_chain(chain, activities, ran, comparison)
    write_report(summary, report)
    click.echo("\n".join(chain_lines(summary)))
    click.echo(f"wrote {report}")
    if comparison.mismatches:
        click.echo(f"error: {comparison.mismatches} values differ from the golden model", err=True)
        sys.exit(1)


HELP = """Make the cores of NETWORKS, simulate them as a chain, and compare with the golden model.

Each core's spikes are the next one's events, over AXI4-Stream between their standard tops. NETWORKS
are the parts that dmp split stored, in their order, or manifests of cores, which are used as they
are. The hardware is the same for all, or with --fit for each what dmp fit chose for it.

Compared are all results, the cycle of each, and the counters and error flags of all cores. Exits
with status 1 where a value differs from the golden model's.
"""
command = Command(
    "chain",
    params=[click.Argument(["networks"], nargs=-1, required=True), *SHAPE, FIT],
    callback=_run,
    help=HELP,
    context_settings={"show_default": True},
)
for option in (DATA, count_option(4), OUT):
    option(command)
