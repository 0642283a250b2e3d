"""What a core is made from, as files: `manifest.json` and beside it one `.hex` image a memory,
which has one memory word a line in hexadecimal, as `$readmemh` reads it.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import click

from export.claim import check_claim, claim
from export.images import Images, pack
from export.store import find_folder, load_network
from golden.errors import UserError
from golden.files import scratch_folder, writing
from golden.hardware.core import CoreParams
from golden.hardware.params import HardwareParams, listed
from golden.inputs import reading
from golden.integer import NetworkIntegers
from golden.manifest import MANIFEST, manifest_text, read_core
from golden.quantize import without_dependency_breaking

IMAGE_KEYS = {"file", "depth", "width", "sha256"}


def folder_of_core(network: str) -> Path:
    """Return where the core of a network (a shipped one, or a folder) lies by default."""
    return Path("build") / load_network(network).params.name


def make_core(name: str, hardware: HardwareParams, folder: Path | None = None) -> Path:
    """Write a core that runs network `name` (a shipped one, or a folder) as `write_core` does, by
    default into build/NAME, which is then of this network; say so, and return the manifest's path.
    """
    network = load_network(name)
    if "no-dependency-breaking" in hardware.ablations:
        network = without_dependency_breaking(network)
    if folder is not None and folder.resolve() == find_folder(name).resolve():
        raise UserError(f"--out {folder} is the network's own folder: use another one")
    core = CoreParams(network.params, hardware)
    folder = folder or folder_of_core(name)
    check_claim(folder, name)
    path = write_core(network, core, folder)
    claim(folder, name)
    bits = sum(memory.bits for memory in core.memories.values())
    lanes = listed(core.hardware.lanes)
    click.echo(f"wrote {path}: {len(core.memories)} memories, {bits} bits, {lanes} lanes")
    return path


def write_core(network: NetworkIntegers, core: CoreParams, folder: Path) -> Path:
    """Write the manifest and the images of a core into `folder` and return the manifest's path; or
    raise `UserError` where the folder has a manifest of something else.

    An earlier core's manifest and images are replaced one by one, the manifest last; what else is
    in the folder stays. No file is left half-written, and an interrupted call leaves a manifest
    whose hashes say so.
    """
    images = pack(network, core)
    if not _replaceable(folder / MANIFEST):
        raise UserError(f"{folder / MANIFEST} is not of a core: use another folder")
    folder.mkdir(parents=True, exist_ok=True)
    with writing(folder), scratch_folder(folder) as scratch:
        table = {}
        for name, words in images.items():
            memory = core.memories[name]
            digits = -(-memory.width // 4)
            content = "".join(f"{word:0{digits}x}\n" for word in words).encode()
            file = f"{name}.hex"
            (scratch / file).write_bytes(content)
            table[name] = {
                "file": file,
                "depth": memory.depth,
                "width": memory.width,
                "sha256": hashlib.sha256(content).hexdigest(),
            }
        path = scratch / MANIFEST
        path.write_text(manifest_text(core, table))
        earlier = _image_files(folder / path.name)
        written = {entry["file"] for entry in table.values()}
        for file in sorted(written):
            (scratch / file).replace(folder / file)
        path.replace(folder / path.name)
        for file in earlier - written:
            (folder / file).unlink(missing_ok=True)
    return folder / MANIFEST


def _replaceable(manifest: Path) -> bool:
    """Return whether there is no such file, or it is a manifest, of whatever version."""
    if not manifest.exists():
        return True
    try:
        return "schema_version" in json.loads(manifest.read_text())
    except (TypeError, ValueError):
        return False


def _image_files(manifest: Path) -> set[str]:
    """Return the names of the images that a manifest lists, or none where it cannot be read."""
    try:
        _, table = read_core(manifest)
        names = {str(entry["file"]) for entry in table.values()}
    except (UserError, KeyError, TypeError):
        return set()
    return {name for name in names if Path(name).name == name and name.endswith(".hex")}


def read_images(path: Path) -> tuple[CoreParams, Images]:
    """Read a manifest and its images, checking version, parameters, sizes and hashes, or raise
    `UserError`.
    """
    core, table = read_core(path)
    images: Images = {}
    for name, memory in core.memories.items():
        entry = table.get(name)
        if not isinstance(entry, dict) or not IMAGE_KEYS <= set(entry):
            raise UserError(f"{path} has no image for memory {name}: export the network again")
        file = path.parent / str(entry["file"])
        if file.name != entry["file"]:
            raise UserError(f"{path} has an image in another folder: export the network again")
        with reading(file, "export the network again"):
            if not file.exists():
                raise UserError(f"{file} is missing: export the network again")
            content = file.read_bytes()
        if hashlib.sha256(content).hexdigest() != entry["sha256"]:
            raise UserError(
                f"{file} does not match its SHA-256 in {path}: export the network again"
            )
        if (entry["depth"], entry["width"]) != (memory.depth, memory.width):
            raise UserError(
                f"{file} is {entry['depth']} words of {entry['width']} bits,"
                f" but memory {name} {memory.depth} of {memory.width}"
            )
        try:
            images[name] = [int(line, 16) for line in content.decode("ascii").split()]
        except ValueError:
            raise UserError(f"{file} is not a list of hexadecimal words") from None
    return core, images
