"""python -m convkit.testing conv2d "n1c3h9w9-k4r3s3-st1-pd1" --direction dgrad --backend simt"""

import argparse
import sys

from . import (
    KINDS,
    PROBLEMS,
    Problem,
    algorithms,
    candidates,
    check_case,
    parse,
    problems,
    use_backend,
)

DTYPES = ("float32", "float64", "float16", "bfloat16")
TAGS = ("core", "edge", "long", "layer", "huge")


def main() -> int:
    """Runs problems by each algorithm asked for; status 1 if any is wrong."""
    arguments = _arguments()
    failed = False
    for problem in arguments.problems:
        for direction in problem.directions:
            if direction in (arguments.direction or problem.directions):
                failed |= _check(problem, direction, arguments)
    return int(failed)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m convkit.testing", description=__doc__)
    parser.add_argument("op", choices=[*PROBLEMS, "all"])
    parser.add_argument("line", help="a problem as the tests print it, or tags: core,edge")
    parser.add_argument("--direction", action="append", choices=("fprop", "dgrad", "wgrad"))
    parser.add_argument("--algo", help="default: all of the backend that take the problem")
    parser.add_argument("--backend", default="cpu")
    parser.add_argument("--dtype", choices=DTYPES, default="float32")
    parser.add_argument("--data", choices=KINDS, default="normal")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    try:
        arguments.problems = _problems(arguments.op, arguments.line)
    except ValueError as error:
        parser.error(str(error))
    try:
        with use_backend(arguments.backend):
            pass
    except ValueError as error:
        parser.error(f"--backend {arguments.backend}: {error}")
    known = {
        name
        for op in {problem.op for problem in arguments.problems}
        for name in (row["name"] for row in algorithms(op, arguments.backend))
    }
    if not known:
        parser.error(f"--backend is {arguments.backend!r}, which is what the others are checked by")
    if arguments.algo not in (None, "auto", *known):
        parser.error(f"--algo is {arguments.algo!r}, must be auto, {', '.join(sorted(known))}")
    for direction in arguments.direction or ():
        if not any(direction in problem.directions for problem in arguments.problems):
            parser.error(f"{arguments.op} has no {direction}")
    return arguments


def _problems(op: str, line: str) -> list[Problem]:
    tags = line.split(",")
    if not set(tags) <= set(TAGS):
        return [parse(op, line)]
    return [row for one in PROBLEMS if op in (one, "all") for row in problems(one, *tags)]


def _check(problem: Problem, direction: str, arguments: argparse.Namespace) -> bool:
    """Prints one line per output; True if one of them is wrong."""
    taken = candidates(problem, direction, arguments.backend, arguments.dtype)
    names = [arguments.algo] if arguments.algo else [n for n, reason in taken.items() if not reason]
    wrong = False
    for algo in names:
        outcome, comparisons = check_case(
            problem,
            direction,
            algo,
            arguments.backend,
            dtype=arguments.dtype,
            kind=arguments.data,
            seed=arguments.seed,
        )
        label = f"{problem.op}.{direction}.{algo} on {arguments.backend}: {problem.line}:"
        if outcome.refused:
            print(label, "refused:", outcome.refusal)
        for comparison in comparisons:
            print(label, "ok" if comparison.ok else "WRONG", comparison)
            wrong |= not comparison.ok
    return wrong


if __name__ == "__main__":
    sys.exit(main())
