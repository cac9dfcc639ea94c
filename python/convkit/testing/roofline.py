"""The roofline of this machine: peaks measured now, and the floor they set under a problem."""

from dataclasses import dataclass

from convkit import _native

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


def why_no_peaks(backend: str) -> str:
    """Why a backend has no roofline here; "" where it has one."""
    if backend == "cpu":
        return ""
    if backend != "cuda":
        return "only cpu and cuda have peaks; simt runs each GPU thread as a fiber, for checking"
    if not _native.with_cuda:
        return "this build has no cuda backend"
    return "" if _native.cuda_devices() else "no CUDA device"


def measure_peaks(
    backend: str = "cpu", dtype: str = "float32", threads: int | None = None
) -> Peaks:
    """Measures the peaks: about half a second.

    FLOPs by a loop of independent multiply-adds in registers, of the instruction set in use; bytes
    by reading and by copying arrays beyond the caches, whichever moves more. The best of many
    rounds, on the thread pool of the ops (`threads` None: as many as convkit.num_threads()). Where
    other programs hold the cores all the time, the peaks come out lower. float16 and bfloat16 are
    computed in float32 and have its peaks.

    Raises: ValueError for a backend without a roofline (see why_no_peaks).
    """
    if why := why_no_peaks(backend):
        raise ValueError(f"measure_peaks: backend is {backend!r}: {why}")
    count = _native.num_threads() if threads is None else threads
    computed = "float32" if dtype in ("float16", "bfloat16") else dtype
    flops, moved = _native.measure_peaks(backend, computed, count)
    return Peaks(backend, dtype, count, flops, moved)


def floor_seconds(cost: Cost, peaks: Peaks) -> float:
    """The time below which no kernel can come when its arrays lie in memory, not in a cache.

    The longer of the operations at the peak rate and the compulsory bytes at the peak bandwidth.
    Small problems called again and again find their arrays in the caches and can beat it.
    """
    return max(cost.flops / peaks.flops_per_s, cost.bytes / peaks.bytes_per_s)
