"""`convkit explain`: what a call would do, and why, without doing it."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer

from convkit.apps.terminal import InputError, print_json

if TYPE_CHECKING:
    from convkit.explanation import Explanation

_WHOLE = re.compile(r"-?\d+")


def run(
    op: str, line: str | None = None, *, backends: tuple[str | None, ...] = (None,), **options: Any
) -> Iterator[Explanation | tuple[str | None, str]]:
    """An Explanation for each backend, or the backend and why it cannot run the call.

    Args:
        op: a public function; op families (pool2d, gram) too where `line` is given.
        line: a problem line in place of shapes.
        options: as for convkit.explain, with the shapes of the forward call.

    Raises: InputError where no backend can run the call.
    """
    import convkit

    function, direction = _forward(op)
    asked = options.setdefault("direction", None)
    if direction is not None and asked not in (None, direction):
        raise InputError(f"explain: {op} is {direction}, but --direction is {asked!r}")
    options["direction"] = direction or asked
    arguments = () if line is None else (line,)
    found: list[Explanation | tuple[str | None, str]] = []
    for backend in backends:
        try:
            found.append(convkit.explain(function, *arguments, backend=backend, **options))
        except (TypeError, ValueError) as error:
            found.append((backend, str(error)))
    if all(isinstance(one, tuple) for one in found):
        raise InputError(found[0][1])  # type: ignore[index]
    return iter(found)


def _forward(op: str) -> tuple[str, str | None]:
    """The forward function, whose shapes tell those of a gradient, and the gradient's direction."""
    from convkit.testing import FUNCTIONS

    if op not in FUNCTIONS or FUNCTIONS[op][1] == "fprop":
        return op, None
    family, direction, fields = FUNCTIONS[op]
    for name, (other, own, others) in FUNCTIONS.items():
        if (other, own, others) == (family, "fprop", fields):
            return name, direction
    return op, None  # the gradient of a bias stands alone


def command(
    op: Annotated[str, typer.Argument(help="A public function, such as conv2d or max_pool2d.")],
    line: Annotated[
        str | None,
        typer.Argument(help="A problem line in place of the shapes: n1c3h20w20-k16r5s5-st1-pd0."),
    ] = None,
    x: Annotated[str | None, typer.Option("--x", help="Shape of x: 32,3,224,224.")] = None,
    w: Annotated[str | None, typer.Option("--w", help="Shape of w: 64,3,7,7.")] = None,
    logits: Annotated[
        str | None, typer.Option("--logits", help="Shape of the logits: 32,1000.")
    ] = None,
    grad_y: Annotated[
        str | None, typer.Option("--grad-y", help="Shape of grad_y: conv2d_bias_grad's.")
    ] = None,
    output_size: Annotated[
        str | None, typer.Option("--output-size", help="6 or 6,4: an adaptive pool's.")
    ] = None,
    kernel_size: Annotated[str | None, typer.Option("--kernel-size", help="3 or 3,2.")] = None,
    stride: Annotated[str | None, typer.Option("--stride", help="2 or 2,1.")] = None,
    padding: Annotated[
        str | None,
        typer.Option("--padding", help="3; 1,2; top,bottom,left,right; valid, same or full."),
    ] = None,
    dilation: Annotated[str | None, typer.Option("--dilation", help="2 or 2,1.")] = None,
    padding_mode: Annotated[
        str | None, typer.Option("--padding-mode", help="zeros, reflect, replicate or circular.")
    ] = None,
    output_padding: Annotated[
        str | None, typer.Option("--output-padding", help="1 or 1,0: conv_transpose2d's.")
    ] = None,
    groups: Annotated[int | None, typer.Option("--groups")] = None,
    size: Annotated[
        int | None, typer.Option("--size", help="Channels of local_response_norm's windows.")
    ] = None,
    alpha: Annotated[float | None, typer.Option("--alpha", help="local_response_norm's.")] = None,
    beta: Annotated[float | None, typer.Option("--beta", help="local_response_norm's.")] = None,
    k: Annotated[float | None, typer.Option("--k", help="local_response_norm's.")] = None,
    label_smoothing: Annotated[
        float | None, typer.Option("--label-smoothing", help="From 0 to 1.")
    ] = None,
    reduction: Annotated[
        str | None, typer.Option("--reduction", help="mean, sum or none: of losses.")
    ] = None,
    ignore_index: Annotated[
        int | None, typer.Option("--ignore-index", help="The class that counts as none.")
    ] = None,
    training: Annotated[
        bool, typer.Option("--training", help="By the statistics of the batch.")
    ] = False,
    weight: Annotated[bool, typer.Option("--weight", help="With a weight.")] = False,
    bias: Annotated[bool, typer.Option("--bias", help="With a bias.")] = False,
    residual: Annotated[bool, typer.Option("--residual", help="With a residual.")] = False,
    activation: Annotated[
        str | None, typer.Option("--activation", help="relu, tanh or sigmoid.")
    ] = None,
    flip_kernel: Annotated[bool, typer.Option("--flip-kernel")] = False,
    ceil_mode: Annotated[bool, typer.Option("--ceil-mode")] = False,
    return_indices: Annotated[bool, typer.Option("--return-indices")] = False,
    real_pixels: Annotated[
        bool, typer.Option("--real-pixels", help="An average over real pixels only.")
    ] = False,
    normalize: Annotated[bool, typer.Option("--normalize")] = False,
    layout: Annotated[str | None, typer.Option("--layout", help="NCHW or NHWC.")] = None,
    direction: Annotated[
        str | None, typer.Option("--direction", help="fprop, dgrad or wgrad.")
    ] = None,
    dtype: Annotated[
        str, typer.Option("--dtype", help="float32, float64, float16 or bfloat16.")
    ] = "float32",
    backend: Annotated[str | None, typer.Option("--backend", help="cpu, cuda or simt.")] = None,
    all_backends: Annotated[
        bool, typer.Option("--all-backends", help="One explanation for each backend.")
    ] = False,
    algo: Annotated[str, typer.Option("--algo", help="auto or an algorithm.")] = "auto",
    precision: Annotated[str, typer.Option("--precision", help="high or strict.")] = "high",
    max_workspace: Annotated[
        int | None, typer.Option("--max-workspace", help="Most bytes of scratch memory.")
    ] = None,
    no_measure: Annotated[
        bool, typer.Option("--no-measure", help="Leave out the roofline floor of this machine.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON on stdout.")] = False,
) -> None:
    """Say what a call would do: its cost, floor, algorithm, workspace, and why not another.

    Shapes are those of the forward call, for gradients too (--direction, or conv2d_input_grad).

    Example: convkit explain conv2d --x 32,3,224,224 --w 64,3,7,7 --stride 2 --padding 3
    """
    from convkit.explanation import BACKENDS

    given: dict[str, Any] = {
        "x": _told(x, partial(_shape, "x")),
        "w": _told(w, partial(_shape, "w")),
        "grad_y": _told(grad_y, partial(_shape, "grad-y")),
        "output_size": _told(output_size, _pair),
        "logits": _told(logits, partial(_shape, "logits")),
        "training": training or None,
        "size": size,
        "alpha": alpha,
        "beta": beta,
        "k": k,
        "label_smoothing": label_smoothing,
        "reduction": reduction,
        "ignore_index": ignore_index,
        "kernel_size": _told(kernel_size, _pair),
        "stride": _told(stride, _pair),
        "padding": _told(padding, _padding),
        "dilation": _told(dilation, _pair),
        "padding_mode": padding_mode,
        "output_padding": _told(output_padding, _pair),
        "groups": groups,
        "activation": activation,
        "layout": layout,
        "flip_kernel": flip_kernel or None,
        "ceil_mode": ceil_mode or None,
        "return_indices": return_indices or None,
        "count_include_pad": False if real_pixels else None,
        "normalize": normalize or None,
    }
    given = {name: value for name, value in given.items() if value is not None}
    wanted = {"weight": weight, "bias": bias, "residual": residual}
    arrays = [name for name, is_wanted in wanted.items() if is_wanted]
    if line is None:
        _check_options(op, given | dict.fromkeys(arrays))
        _add_arrays(op, given, arrays)
    elif given or arrays:
        raise InputError(f"explain: the problem line {line!r} says it all; leave the options out")
    found = list(
        run(
            op,
            line,
            backends=BACKENDS if all_backends else (backend,),
            direction=direction,
            dtype=dtype,
            algo=algo,
            precision=precision,
            max_workspace=max_workspace,
            measure=not no_measure,
            **given,
        )
    )
    if as_json:
        values = [
            {"backend": one[0], "error": one[1]} if isinstance(one, tuple) else one.to_dict()
            for one in found
        ]
        print_json(values if all_backends else values[0])
        return
    texts = [f"on {one[0]}: {one[1]}" if isinstance(one, tuple) else str(one) for one in found]
    print("\n\n".join(texts))


def _check_options(op: str, given: dict[str, Any]) -> None:
    """Says in the command's own words which options the function needs and which it lacks."""
    from convkit import ops

    name, _ = _forward(op)
    if name not in ops.FUNCTIONS:
        raise InputError(f"explain: op is {op!r}, must be one of {', '.join(ops.FUNCTIONS)}")
    parameters = inspect.signature(ops.FUNCTIONS[name]).parameters
    for key in given:
        if key not in parameters:
            raise InputError(f"explain: {op} has no {key}")
    for key, parameter in parameters.items():
        if key == "target":  # one for each of the logits' positions
            continue
        if parameter.default is parameter.empty and key not in given:
            option = f"--{key.replace('_', '-')}"
            raise InputError(f"explain: {op} needs {option}, or a problem line")


def _add_arrays(op: str, given: dict[str, Any], arrays: list[str]) -> None:
    """The shapes that follow from those given."""
    import convkit

    function = _forward(op)[0]
    x = given.get("x", ())
    if "logits" in given:
        sides = given["logits"]
        given["target"] = sides[:-1] if given.get("layout") == "NHWC" else sides[:1] + sides[2:]
    per_channel = x[-1:] if given.get("layout") == "NHWC" else x[1:2]
    if function == "batch_norm" and not given.get("training"):
        given |= {"running_mean": per_channel, "running_var": per_channel}
    try:
        shape = convkit.output_shape(function, **given) if arrays else ()
    except (TypeError, ValueError) as error:
        raise InputError(str(error)) from None
    shapes = {
        "weight": per_channel,
        "bias": given["w"][:1] if "w" in given else per_channel,
        "residual": shape,
    }
    given |= {name: shapes[name] for name in arrays}


def _told(text: str | None, read: Callable[[str], Any]) -> Any:
    """What an option says, if it was given: an empty text says nothing that it could mean."""
    return None if text is None else read(text)


def _numbers(text: str) -> tuple[int, ...] | None:
    parts = [part.strip() for part in text.split(",")]
    return tuple(map(int, parts)) if all(map(_WHOLE.fullmatch, parts)) else None


def _shape(name: str, text: str) -> tuple[int, ...]:
    numbers = _numbers(text)
    if numbers is None:
        raise InputError(f"explain: --{name} is {text!r}, must be a shape such as 32,3,224,224")
    return numbers


def _pair(text: str) -> Any:
    """One number, a tuple of them, or the text itself, which the rules of the op refuse."""
    numbers = _numbers(text)
    if numbers is None:
        return text
    return numbers[0] if len(numbers) == 1 else numbers


def _padding(text: str) -> Any:
    numbers = _numbers(text)
    if numbers is not None and len(numbers) == 4:
        return (numbers[:2], numbers[2:])
    return _pair(text)
