"""What checks convkit: the problem table, data makers, comparison and single cases."""

from convkit.dispatch import use_backend

from .cases import (
    Outcome,
    algorithms,
    candidates,
    check_case,
    refusal_parts,
    row_bound,
    run_case,
    simt_order,
    use_threads,
)
from .compare import (
    Comparison,
    Expected,
    bound_of,
    compare,
    expected,
    reproducer,
    run_reference,
    same_bits,
)
from .data import KINDS, as_dtype, copies_only, exact_on_whole, make_data
from .geometry import random_problem, shrink
from .lines import Conv2d, ConvTranspose2d, Gram, Im2col, Linear, Pool2d, Problem, parse
from .problems import PROBLEMS, problems
from .report import Report
from .validation import validate

__all__ = [
    "KINDS",
    "PROBLEMS",
    "Comparison",
    "Conv2d",
    "ConvTranspose2d",
    "Expected",
    "Gram",
    "Im2col",
    "Linear",
    "Outcome",
    "Pool2d",
    "Problem",
    "Report",
    "algorithms",
    "as_dtype",
    "bound_of",
    "candidates",
    "check_case",
    "compare",
    "copies_only",
    "exact_on_whole",
    "expected",
    "make_data",
    "parse",
    "problems",
    "random_problem",
    "refusal_parts",
    "reproducer",
    "row_bound",
    "run_case",
    "run_reference",
    "same_bits",
    "shrink",
    "simt_order",
    "use_backend",
    "use_threads",
    "validate",
]
