"""`convkit edges`: one or more edge kernels over an image, and the lecture's worked example."""

from __future__ import annotations

import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import typer

from convkit.apps import lecture
from convkit.apps.filters import EDGE_KERNELS, find_kernel
from convkit.apps.images import Mapping, as_image, read_image, save_png, to_planes
from convkit.apps.terminal import InputError, print_json

MADE_BY = "convkit edges"


@dataclass(frozen=True)
class Edges:
    """One filtered image: where it lies, what made it, the range of its values before mapping."""

    file: str
    kernel: str
    weights: list[list[float]]
    height: int
    width: int
    channels: int
    smallest: float
    largest: float


def run(
    image: str | Path,
    out: str | Path | None = None,
    *,
    kernels: list[str] | None = None,
    padding: str = "same",
    stride: int | str = 1,
    color: bool = False,
    magnitude: bool = False,
    mapping: Mapping = "absolute",
) -> list[Edges]:
    """Filters the image with each kernel and writes a PNG for each.

    Raises: InputError for anything that does not fit; files written before stay.
    """
    chosen = [find_kernel(text) for text in kernels or ["sobel"]]
    pads = _padding(padding)
    step = _whole(str(stride))
    if not step:
        raise InputError(f"--stride {stride}: must be a whole number from 1 and below 2**31")
    targets = _targets(Path(image), None if out is None else Path(out), [n for n, _ in chosen])
    planes = to_planes(read_image(image), color=color)
    results = []
    for (name, weights), target in zip(chosen, targets, strict=True):
        values = _filter(planes, name, weights, pads, step, magnitude)
        if not np.isfinite(values).all():
            raise InputError(f"kernel {name}: what it answers passes the range of float32")
        save_png(as_image(values, mapping), target, made_by=MADE_BY)
        results.append(
            Edges(
                str(target),
                name,
                weights.tolist(),
                values.shape[1],
                values.shape[2],
                values.shape[0],
                float(values.min()),
                float(values.max()),
            )
        )
    return results


def _filter(
    planes: np.ndarray, name: str, kernel: np.ndarray, padding: Any, stride: int, magnitude: bool
) -> np.ndarray:
    """(C, P, Q): each channel filtered alone."""
    import convkit

    channels = planes.shape[1]

    def respond(weights: np.ndarray) -> np.ndarray:
        bank = np.ascontiguousarray(np.broadcast_to(weights, (channels, 1, *weights.shape)))
        try:
            y: np.ndarray = convkit.conv2d(
                planes, bank, stride=stride, padding=padding, groups=channels
            )
        except (ValueError, MemoryError) as error:
            rows, columns = weights.shape
            raise InputError(
                f"kernel {name} ({rows}x{columns}) with --padding {padding} --stride {stride} "
                f"cannot filter {planes.shape[3]}x{planes.shape[2]} pixels: {error}"
            ) from None
        return y.reshape(y.shape[1:])

    if not magnitude:
        return respond(kernel)
    if kernel.shape[0] != kernel.shape[1]:
        raise InputError("--magnitude: needs a square kernel")
    with np.errstate(over="ignore"):
        length: np.ndarray = np.hypot(respond(kernel), respond(kernel.T))
    return length


def _padding(text: str) -> str | int:
    word = text.strip().lower()
    if word in ("same", "valid", "full"):
        return word
    number = _whole(word)
    if number is None:
        raise InputError(
            f"--padding {text}: must be same, valid, full or a whole number from 0 and below 2**31"
        )
    return number


def _whole(text: str) -> int | None:
    """The number that the digits say, None where they say none that a stride or padding may be."""
    word = text.strip()
    if not (word.isascii() and word.isdigit() and len(word) <= 10):
        return None
    return int(word) if int(word) < 2**31 else None


def _targets(image: Path, out: Path | None, names: list[str]) -> list[Path]:
    """A file per kernel: OUT itself for one kernel, OUT-<kernel>.png for several."""
    if out is not None and out.suffix.lower() != ".png":
        raise InputError(f"-o {out}: edges writes PNG, so the name must end in .png")
    if out is not None and out.is_dir():
        raise InputError(f"-o {out}: is a folder, must be a file name ending in .png")
    base = Path(image.stem or "edges") if out is None else out.with_suffix("")
    if not base.parent.is_dir():
        raise InputError(f"-o {out}: there is no folder {base.parent}")
    if out is not None and len(names) == 1:
        targets = [out]
    else:
        labels = [
            name if names.count(name) == 1 else f"{name}{i + 1}" for i, name in enumerate(names)
        ]
        targets = [base.with_name(f"{base.name}-{label}.png") for label in labels]
    for target in targets:
        if target.exists() and image.exists() and target.samefile(image):
            raise InputError(f"-o {target}: is the image itself, name another file")
    return targets


def command(
    image: Annotated[Path | None, typer.Argument(help="Any image that Pillow reads.")] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--out",
            metavar="OUT.png",
            help="PNG to write; with several kernels OUT-<kernel>.png. "
            "Default: <image>-<kernel>.png in this folder. An existing file is replaced.",
        ),
    ] = None,
    kernel: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KERNEL",
            help=f"{', '.join(EDGE_KERNELS)}, rows like '1 0 -1; 1 0 -1; 1 0 -1', "
            "or a text file of rows. May be given several times. Default: sobel.",
        ),
    ] = None,
    padding: Annotated[
        str, typer.Option(help="same, valid, full or a number of zero pixels on each side.")
    ] = "same",
    stride: Annotated[
        str, typer.Option(metavar="N", help="Step between places of the kernel.")
    ] = "1",
    color: Annotated[
        bool, typer.Option("--color/--gray", help="Filter R, G and B apart, or their luma.")
    ] = False,
    magnitude: Annotated[
        bool,
        typer.Option(
            "--magnitude", help="Length of the responses to the kernel and its transpose."
        ),
    ] = False,
    mapping: Annotated[
        Literal["absolute", "signed", "clip"],
        typer.Option(
            "--map",
            help="How values become gray. absolute: |v| over the largest |v|, 0 is black. "
            "signed: 0 is middle gray, the largest |v| white or black by its sign. "
            "clip: 0 is black, 1 white (for blurs).",
        ),
    ] = "absolute",
    show_lecture: Annotated[
        bool, typer.Option("--lecture", help="Print the 6x6 example of the lecture, computed now.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON on stdout.")] = False,
) -> None:
    """Filter an image with edge kernels and write PNG files.

    Transparency is laid over white, the camera's orientation is applied, of an animation the first
    frame counts. Pixels are numbers from 0 to 1; kernels are not flipped (cross-correlation).

    Example: convkit edges photo.jpg -o edges.png --kernel scharr --magnitude
    """
    if show_lecture:
        if image is not None or out is not None or kernel:
            raise InputError("--lecture: takes no image, kernel or output file")
        examples = lecture.run()
        if as_json:
            print_json({"examples": [asdict(example) for example in examples]})
        else:
            lecture.show(examples)
        return
    if image is None:
        raise InputError("edges needs an IMAGE (or --lecture); see convkit edges --help")
    results = run(
        image,
        out,
        kernels=kernel,
        padding=padding,
        stride=stride,
        color=color,
        magnitude=magnitude,
        mapping=mapping,
    )
    if as_json:
        print_json({"image": str(image), "map": mapping, "edges": [asdict(r) for r in results]})
        return
    for one in results:
        size = f"{one.width}x{one.height}"
        values = f"values {one.smallest:.4g} to {one.largest:.4g}"
        print(
            f"{one.file}: {one.kernel}, {size} {'color' if one.channels == 3 else 'gray'}, {values}"
        )
    sys.stdout.flush()
