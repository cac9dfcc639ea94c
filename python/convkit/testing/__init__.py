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
from .lines import (
    AdaptivePool2d,
    Conv2d,
    ConvTranspose2d,
    Gram,
    Im2col,
    Linear,
    Pool2d,
    Problem,
    parse,
)
from .problems import PROBLEMS, problems

__all__ = [
    "KINDS",
    "PROBLEMS",
    "AdaptivePool2d",
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
    "refusal_parts",
    "reproducer",
    "row_bound",
    "run_case",
    "run_reference",
    "same_bits",
    "simt_order",
    "use_backend",
    "use_threads",
]
