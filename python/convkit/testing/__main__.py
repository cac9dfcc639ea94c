"""python -m convkit.testing conv2d "n1c3h9w9-k4r3s3-st1-pd1" --direction dgrad --backend simt"""

import argparse
import sys

from . import KINDS, PROBLEMS, algorithms, check_case, parse


def main() -> int:
    """Runs one problem by each algorithm asked for; status 1 if any is wrong."""
    parser = argparse.ArgumentParser(prog="python -m convkit.testing", description=__doc__)
    parser.add_argument("op", choices=PROBLEMS)
    parser.add_argument("line", help="problem, as the tests print it")
    parser.add_argument("--direction", choices=("fprop", "dgrad", "wgrad"), default="fprop")
    parser.add_argument("--algo", help="default: all of the backend")
    parser.add_argument("--backend", default="cpu")
    parser.add_argument("--dtype", choices=("float32", "float64"), default="float32")
    parser.add_argument("--data", choices=KINDS, default="normal")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    try:
        problem = parse(arguments.op, arguments.line)
    except ValueError as error:
        parser.error(str(error))
    if arguments.direction not in problem.directions:
        parser.error(f"{problem.op} has no {arguments.direction}")
    names = [arguments.algo] if arguments.algo else _names(arguments)
    failed = False
    for algo in names:
        outcome, comparisons = check_case(
            problem,
            arguments.direction,
            algo,
            arguments.backend,
            dtype=arguments.dtype,
            kind=arguments.data,
            seed=arguments.seed,
        )
        label = f"{problem.op}.{arguments.direction}.{algo} on {arguments.backend}:"
        if outcome.refused:
            print(label, "refused:", outcome.refusal)
        for comparison in comparisons:
            print(label, "ok" if comparison.ok else "WRONG", comparison)
            failed |= not comparison.ok
    return int(failed)


def _names(arguments: argparse.Namespace) -> list[str]:
    return [
        row["name"]
        for row in algorithms(arguments.op, arguments.backend)
        if arguments.direction in row["directions"]
    ]


if __name__ == "__main__":
    sys.exit(main())
