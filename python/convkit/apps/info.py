"""`convkit info`: what this installation can run, and why it cannot run the rest."""

from __future__ import annotations

import platform
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Annotated, Any

import typer

from convkit.apps.terminal import console, print_json

COMPANIONS = ("numpy", "scipy", "torch", "cupy", "pillow", "matplotlib")
CUPY_WHEELS = ("cupy", "cupy-cuda12x", "cupy-cuda13x")


@dataclass(frozen=True)
class Backend:
    """One backend: whether it runs here, and what there is to say about it."""

    name: str
    available: bool
    note: str


@dataclass(frozen=True)
class Info:
    """What `convkit info` reports."""

    version: str
    python: str
    platform: str
    processor: str
    compiler: str
    isa: str
    isas_available: tuple[str, ...]
    threads: int
    cuda_architectures: str
    devices: tuple[str, ...]
    backends: tuple[Backend, ...]
    packages: dict[str, str | None]
    algorithms: dict[str, list[dict[str, Any]]]


def run() -> Info:
    """Gathers everything; imports neither CuPy nor torch."""
    import convkit
    from convkit import _native

    build = _native.build_info()
    return Info(
        version=convkit.__version__,
        python=platform.python_version(),
        platform=f"{platform.system()} {platform.machine()}",
        processor=_processor(),
        compiler=build["compiler"],
        isa=build["isa"],
        isas_available=tuple(build.get("isas", (build["isa"],))),
        threads=_native.num_threads(),
        cuda_architectures=build["cuda_architectures"],
        devices=tuple(_native.cuda_devices()),
        backends=_backends(_native, build["isa"]),
        packages={name: _package_version(name) for name in COMPANIONS},
        algorithms={op: [dict(row) for row in _native.algorithms(op)] for op in _native.ops()},
    )


def _backends(native: Any, isa: str) -> tuple[Backend, ...]:
    missing = why_no_cuda(native)
    return (
        Backend("cpu", True, f"native code for {isa}, {native.num_threads()} threads"),
        Backend("cuda", missing is None, missing or ", ".join(native.cuda_devices())),
        Backend("simt", True, "the CUDA kernels on the host, thread by thread: slow, for checking"),
        Backend("reference", True, "the NumPy definitions"),
    )


def why_no_cuda(native: Any) -> str | None:
    """What keeps the cuda backend from running here; None where nothing does."""
    if not native.with_cuda:
        return "this build has no CUDA kernels (no nvcc when it was built)"
    if not native.cuda_devices():
        return "no CUDA device"
    if _package_version("cupy") is None:
        return "CuPy is not installed: pip install 'convkit[cuda12]' or 'convkit[cuda13]'"
    return None


def _package_version(name: str) -> str | None:
    for wheel in CUPY_WHEELS if name == "cupy" else (name,):
        try:
            return version(wheel)
        except PackageNotFoundError:
            continue
    return None


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            for line in file:
                if line.startswith("model name"):
                    return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def command(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON on stdout.")] = False,
) -> None:
    """Show what runs here: backends, devices, versions, algorithms.

    Example: convkit info --json
    """
    info = run()
    if as_json:
        print_json(asdict(info))
    else:
        _show(info)


def _show(info: Info) -> None:
    from rich.table import Table

    out = console()
    facts = Table.grid(padding=(0, 2))
    facts.add_column(style="dim", no_wrap=True)
    facts.add_column(overflow="fold")
    spare = [name for name in info.isas_available if name != info.isa]
    facts.add_row("convkit", f"{info.version} (built by {info.compiler})")
    facts.add_row("python", f"{info.python} on {info.platform}")
    facts.add_row("processor", info.processor)
    facts.add_row("instructions", info.isa + (f" (also {', '.join(spare)})" if spare else ""))
    facts.add_row("threads", str(info.threads))
    facts.add_row("devices", ", ".join(info.devices) or "no CUDA device")
    if info.cuda_architectures:
        facts.add_row("cuda code for", info.cuda_architectures.replace(";", ", "))
    facts.add_row(
        "packages", ", ".join(f"{name} {found or '-'}" for name, found in info.packages.items())
    )
    out.print(facts)
    out.print()
    backends = Table.grid(padding=(0, 2))
    for backend in info.backends:
        mark = "[green]yes[/]" if backend.available else "[yellow]no[/]"
        backends.add_row(f"[bold]{backend.name}[/]", mark, backend.note)
    out.print(backends)
    out.print()
    out.print(_algorithm_table(info))


def _algorithm_table(info: Info) -> Any:
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in ("op", "algorithm"):
        table.add_column(heading, no_wrap=True, overflow="fold")
    for heading in ("backends", "directions"):
        table.add_column(heading, overflow="fold")
    for op, rows in info.algorithms.items():
        merged: dict[tuple[str, tuple[str, ...]], list[str]] = {}
        for row in rows:
            merged.setdefault((row["name"], tuple(row["directions"])), []).append(row["backend"])
        for i, ((name, directions), backends) in enumerate(merged.items()):
            label = op if i == 0 else ""
            table.add_row(label, name, ", ".join(backends), ", ".join(directions))
    return table
