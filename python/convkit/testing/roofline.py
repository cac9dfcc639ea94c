"""The roofline of this machine: peaks measured now, and the floor they set under a problem."""

from dataclasses import dataclass

from convkit import _native
from convkit.dispatch import require_cuda

from .cost import Cost


@dataclass(frozen=True)
class Peaks:
    """What this machine does at most, for one dtype, on one backend."""

    backend: str
    dtype: str
    threads: int
    flops_per_s: float
    bytes_per_s: float

    @property
    def ridge(self) -> float:
        """FLOPs per byte above which arithmetic, not memory, is the limit."""
        return self.flops_per_s / self.bytes_per_s


def measure_peaks(
    backend: str = "cpu", dtype: str = "float32", threads: int | None = None
) -> Peaks:
    """Measures the peaks: about a third of a second.

    FLOPs by a loop of independent multiply-adds in registers, of the instruction set in use; bytes
    by reading and by copying arrays beyond the caches, whichever moves more. The best of many
    rounds, on the thread pool of the ops (`threads` None: as many as convkit.num_threads()).

    Raises: ValueError for a backend without a roofline: simt runs each GPU thread as a fiber and
        reference is NumPy, neither has a peak that would mean something.
    """
    if backend == "cuda":
        require_cuda("measure_peaks")
    elif backend != "cpu":
        raise ValueError(f"measure_peaks: backend is {backend!r}, only cpu and cuda have peaks")
    count = _native.num_threads() if threads is None else threads
    flops, moved = _native.measure_peaks(backend, dtype, count)
    return Peaks(backend, dtype, count, flops, moved)


def floor_seconds(cost: Cost, peaks: Peaks) -> float:
    """The time below which no kernel can come when its arrays lie in memory, not in a cache.

    The longer of the operations at the peak rate and the compulsory bytes at the peak bandwidth.
    Small problems called again and again find their arrays in the caches and can beat it.
    """
    return max(cost.flops / peaks.flops_per_s, cost.bytes / peaks.bytes_per_s)
