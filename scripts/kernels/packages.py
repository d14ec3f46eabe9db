"""The pinned packages that hold NVIDIA's tools."""

import importlib.metadata
from pathlib import Path

from .sources import ROOT, Missing

REQUIREMENTS = ROOT / "scripts/requirements-kernels.txt"


def path(package, file):
    """The path of a package's file, if the package has the pinned version."""
    pins = dict(
        line.strip().split("==")
        for line in REQUIREMENTS.read_text().splitlines()
        if "==" in line and not line.startswith("#")
    )
    advice = f"pip install --no-deps -r {REQUIREMENTS.relative_to(ROOT)}"
    try:
        distribution = importlib.metadata.distribution(package)
    except importlib.metadata.PackageNotFoundError:
        raise Missing(f"{package} is not installed; run {advice}") from None
    if distribution.version != pins[package]:
        raise Missing(f"expected {package} {pins[package]}, got {distribution.version}; run {advice}")
    found = Path(distribution.locate_file(file))
    if not found.exists():
        raise Missing(f"expected {file} in {package}, got none; the package is for another system")
    return found
