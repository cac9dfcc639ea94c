"""What is validated: an algorithm of convkit on a backend, or a function of the user's own."""

import dataclasses
import functools
import importlib
import importlib.util
import inspect
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import numpy as np

from convkit import ops

from .cases import candidates, row_bound, run_case, simt_order, use_threads
from .compare import DEFAULT_BOUND, bound_of
from .data import array_shapes
from .geometry import fits, pads_of
from .lines import Problem

# What a public function says of its own run, which no definition has.
_OURS = ("precision", "algo", "max_workspace", "out")
# Parameters that ask for more results.
_RETURNS = ("return_indices", "return_stats")


class Refused(Exception):
    """The subject declines the problem; the text says why."""


class NoArray(Exception):
    """The function gave back something else than arrays; the text says what."""


@dataclass(frozen=True)
class Algorithm:
    """A row of an op's table. Runs are repeated with other thread counts and thread orders."""

    name: str
    backend: str

    takes_out = True

    @property
    def array_library(self) -> Any:
        return importlib.import_module("cupy") if self.backend == "cuda" else np

    def takes(self, name: str) -> bool:
        """Whether it has a parameter of this name."""
        return True

    def bound(self, problem: Problem, direction: str) -> float:
        """The largest E that counts as right."""
        return bound_of(problem, direction, row_bound(problem.op, self.name, self.backend))

    def run(
        self, problem: Problem, direction: str, data: dict[str, Any], out: Any, repeat: int
    ) -> tuple[Any, ...]:
        """The outputs; every `repeat` must give the same bits."""
        with ExitStack() as settings:
            if repeat and self.backend == "cpu":
                settings.enter_context(use_threads(repeat))
            if repeat and self.backend == "simt":
                settings.enter_context(simt_order("shuffled", repeat))
            outcome = run_case(problem, direction, self.name, self.backend, data, out=out)
        if outcome.outputs is None:
            raise Refused(outcome.refusal)
        return outcome.outputs

    def source(self, direction: str) -> str:
        """How the reproducing line names it, behind the problem."""
        return f"--direction {direction} --algo {self.name} --backend {self.backend}"


@functools.lru_cache(maxsize=4096)
def able(problem: Problem, direction: str, backend: str, dtype: str) -> tuple[Algorithm, ...]:
    """The algorithms of a backend that take a problem."""
    told = candidates(problem, direction, backend, dtype)
    return tuple(Algorithm(name, backend) for name, reason in told.items() if reason is None)


class Stranger:
    """A user's function that is called as the public function `name` is.

    Arrays that the public function requires go by position, the rest by keyword, as simple as they
    are: stride=2 for (2, 2), and numbers for "same". A parameter that the function does not have
    is never passed. It may raise NotImplementedError for what it does not support.
    """

    takes_out = False
    array_library = np
    backend = "user"

    def __init__(
        self, function: Callable[..., Any], name: str, bound: float = DEFAULT_BOUND, path: str = ""
    ) -> None:
        self.function, self.function_name, self._bound = function, name, bound
        self.name = getattr(function, "__name__", type(function).__name__)
        module = getattr(function, "__module__", None) or "?"
        self.path = path or f"{module}:{getattr(function, '__qualname__', self.name)}"
        self._public = inspect.signature(ops.FUNCTIONS[name]).parameters
        self._signature = _signature(function)
        # Told before each case how to repeat it: a function may end the process.
        self.announce: Callable[[str], object] = lambda reproducer: None

    def bound(self, problem: Problem, direction: str) -> float:
        return bound_of(problem, direction, self._bound)

    def source(self, direction: str) -> str:
        return f"--against {self.path}"

    def run(
        self, problem: Problem, direction: str, data: dict[str, Any], out: Any, repeat: int
    ) -> tuple[Any, ...]:
        """What the function gave, in the memory of its own array library (see to_numpy)."""
        args, kwargs, _ = self._arguments(problem, direction, data)
        try:
            result = self.function(*args, **kwargs)
        except NotImplementedError as error:
            raise Refused(text_of(error) or "NotImplementedError") from None
        return result if isinstance(result, tuple) else (result,)

    def counts(self, results: int) -> tuple[int, ...]:
        """How many arrays it may return, where the public function returns `results`.

        One without return_indices or return_stats, which cannot be asked for the others, may leave
        them out.
        """
        asked = [name for name in _RETURNS if name in self._public]
        return (results,) if all(map(self.takes, asked)) else (1, results)

    def missing(self, problem: Problem, direction: str) -> frozenset[str]:
        """Parameters that the problem needs and the function does not have."""
        return self._arguments(problem, direction, _no_data(problem, direction))[2]

    def check_signature(self, problem: Problem, direction: str) -> None:
        """Raises ValueError where the function needs what its public twin does not give."""
        args, kwargs, _ = self._arguments(problem, direction, _no_data(problem, direction))
        if self._signature is not None:
            try:
                self._signature.bind(*args, **kwargs)
            except TypeError as error:
                given = ", ".join([*self._required(), *(f"{key}=" for key in kwargs)])
                raise ValueError(
                    f"{self.name} cannot be called as {self.function_name}({given}): {error}"
                ) from None

    def within_signature(self, problem: Problem, direction: str) -> Problem | None:
        """The problem without what the function has no parameter for; None if none is left."""
        lacking = self.missing(problem, direction)
        for candidate in _with_defaults(problem) if lacking else ():
            if fits(candidate) and self.missing(candidate, direction) < lacking:
                return self.within_signature(candidate, direction)
        return None if lacking else problem

    def never_passed(self) -> tuple[str, ...]:
        """The optional parameters of the public function that this one does not have."""
        return tuple(
            name
            for name in self._public
            if name not in _OURS and name not in self._required() and not self.takes(name)
        )

    def _required(self) -> list[str]:
        return [name for name, p in self._public.items() if p.default is inspect.Parameter.empty]

    def takes(self, name: str) -> bool:
        """Whether it has a parameter of this name."""
        if self._signature is None:
            return True
        parameters = self._signature.parameters
        return name in parameters or any(p.kind is p.VAR_KEYWORD for p in parameters.values())

    def _arguments(
        self, problem: Problem, direction: str, data: dict[str, Any]
    ) -> tuple[list[Any], dict[str, Any], frozenset[str]]:
        """(positional, keyword, names that are needed and missing) of a call."""
        name, given, options = problem.call(direction, data)
        if name != self.function_name:
            raise ValueError(f"{self.name} is to be a {self.function_name}, not a {name}")
        named = dict(zip(self._public, given, strict=False)) | options
        named = {key: _plainly(key, value, problem) for key, value in named.items()}
        required = self._required()
        keywords, missing = {}, set()
        for key in named.keys() - set(required):
            value, default = named[key], self._public[key].default
            if key == "stride" and default is None and value == named["kernel_size"]:
                default = value
            if self.takes(key):
                keywords[key] = value
            elif key not in _RETURNS and not _equal(value, default):
                missing.add(key)
        ordered = {key: keywords[key] for key in self._public if key in keywords}
        return [named[key] for key in required], ordered, frozenset(missing)


def load(path: str) -> Any:
    """The function that "module:function" or "file.py:function" names.

    Raises: ValueError that says what was not found.
    """
    module_name, _, function_name = path.rpartition(":")
    if not module_name:
        raise ValueError(f"{path!r} must be module:function or file.py:function")
    found: Any
    try:
        if module_name.endswith(".py"):
            spec = importlib.util.spec_from_file_location("convkit_validated", module_name)
            assert spec is not None
            assert spec.loader is not None
            found = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(found)
        else:
            found = importlib.import_module(module_name)
        for part in function_name.split("."):
            found = getattr(found, part)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # whatever the module raises when it is imported, sys.exit too
        raise ValueError(f"{path}: {said(error)}") from None
    if not callable(found):
        raise ValueError(f"{path} is {found!r}, which cannot be called")
    return found


def _signature(function: Callable[..., Any]) -> inspect.Signature | None:
    try:
        return inspect.signature(function)
    except (TypeError, ValueError):  # a C function without one
        return None


def _no_data(problem: Problem, direction: str) -> dict[str, Any]:
    """Placeholders of the arrays: a call's parameters do not depend on them."""
    return dict.fromkeys(array_shapes(problem, direction), ...)


def _with_defaults(problem: Problem) -> list[Problem]:
    return [
        dataclasses.replace(problem, **{field.name: field.default})
        for field in dataclasses.fields(problem)
        if field.default is not dataclasses.MISSING and field.name not in ("name", "tags")
    ]


def _plainly(name: str, value: Any, problem: Problem) -> Any:
    """A parameter in its simplest form: a number for a pair of equal ones, numbers for a word."""
    if name == "padding":
        value = pads_of(problem)
        if all(low == high for low, high in value):
            value = tuple(low for low, _ in value)
    if name.endswith("_shape") or not isinstance(value, tuple):
        return value
    return value[0] if value[0] == value[1] and not isinstance(value[0], tuple) else value


def _equal(value: Any, default: Any) -> bool:
    return value is default or (value is not ... and default is not None and value == default)


def to_numpy(array: Any) -> np.ndarray:
    """A result as a NumPy array: of CuPy by .get(), of torch by .numpy(), of others as they are.

    Raises: NoArray for what is neither an array nor a number.
    """
    for method in ("get", "detach"):
        if not isinstance(array, (np.ndarray, dict)) and hasattr(array, method):
            array = getattr(array, method)()
    if hasattr(array, "cpu") and not isinstance(array, np.ndarray):
        array = array.cpu()
    if not isinstance(array, (np.ndarray, np.generic, int, float)) and not any(
        hasattr(array, name) for name in ("__array__", "__array_interface__", "__dlpack__")
    ):
        what = "None" if array is None else f"a {type(array).__name__}"
        raise NoArray(f"returned {what}, must return an array")
    return np.asarray(array)


def said(error: BaseException) -> str:
    """The sort of an exception and its text, in one line."""
    return f"{type(error).__name__}: {text_of(error)}"


def text_of(error: BaseException) -> str:
    """The text of an exception, whose own __str__ may fail."""
    try:
        text = " ".join(str(error).split())
        return "".join(one if one.isprintable() else "?" for one in text)  # nothing for a terminal
    except Exception as failed:
        return f"(its text cannot be had: __str__ raised {type(failed).__name__})"
