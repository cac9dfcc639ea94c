"""What checks convkit: the problem table, data makers, comparison and single cases."""

from convkit.dispatch import use_backend

from .calls import FUNCTIONS, problem_of
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
from .channel_lines import BatchNorm, BiasGrad, CrossEntropy, Lrn
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
from .cost import Cost, cost_of
from .data import KINDS, array_shapes, as_dtype, copies_only, exact_on_whole, make_data
from .geometry import random_problem, shrink
from .lines import (
    AdaptivePool2d,
    Conv2d,
    ConvTranspose2d,
    Gram,
    Im2col,
    Linear,
    Pool2d,
    Problem,
)
from .parsing import parse
from .problems import PROBLEMS, problems
from .report import Report
from .roofline import Peaks, floor_seconds, measure_peaks, why_no_peaks
from .validation import validate

__all__ = [
    "FUNCTIONS",
    "KINDS",
    "PROBLEMS",
    "AdaptivePool2d",
    "BatchNorm",
    "BiasGrad",
    "Comparison",
    "Conv2d",
    "ConvTranspose2d",
    "Cost",
    "CrossEntropy",
    "Expected",
    "Gram",
    "Im2col",
    "Linear",
    "Lrn",
    "Outcome",
    "Peaks",
    "Pool2d",
    "Problem",
    "Report",
    "algorithms",
    "array_shapes",
    "as_dtype",
    "bound_of",
    "candidates",
    "check_case",
    "compare",
    "copies_only",
    "cost_of",
    "exact_on_whole",
    "expected",
    "floor_seconds",
    "make_data",
    "measure_peaks",
    "parse",
    "problem_of",
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
    "why_no_peaks",
]
