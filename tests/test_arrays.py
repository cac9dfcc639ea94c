"""Arrays of other libraries: read without a copy, answered in kind. Device arrays by stand-ins that
follow the documented protocols of CuPy and `__cuda_array_interface__`; not run on a GPU."""

import re
import sys
import types
from unittest.mock import MagicMock, Mock

import numpy as np
import pytest

import convkit
from convkit import dispatch

RNG = np.random.default_rng(5)
X = RNG.standard_normal((2, 3, 7, 6)).astype("f4")
W = RNG.standard_normal((4, 3, 3, 3)).astype("f4")


class HostOnly:
    """A host array of some library, reachable through DLPack alone."""

    def __init__(self, array):
        self.array = array

    def __dlpack__(self, **kwargs):
        return self.array.__dlpack__(**kwargs)

    def __dlpack_device__(self):
        return self.array.__dlpack_device__()


@pytest.fixture
def dlpack_library(monkeypatch):
    module = types.ModuleType("otherlib")
    module.from_dlpack = lambda array: HostOnly(np.from_dlpack(array))
    monkeypatch.setitem(sys.modules, "otherlib", module)
    monkeypatch.setattr(HostOnly, "__module__", "otherlib")
    return module


def test_dlpack_arrays_come_back_as_their_own_type(dlpack_library):
    result = convkit.conv2d(HostOnly(X), HostOnly(W), padding=1)
    assert type(result) is HostOnly
    np.testing.assert_array_equal(result.array, convkit.conv2d(X, W, padding=1))


def test_dlpack_arrays_are_not_copied(dlpack_library):
    from convkit.arrays import wrap

    assert wrap("conv2d", "x", HostOnly(X)).handle.ctypes.data == X.ctypes.data


class FakeCupyArray:
    """What CuPy's ndarray documents: data.ptr, device.id, flags, shape, dtype, strides (bytes)."""

    def __init__(self, array, device=0):
        self.host = array
        self.shape, self.dtype, self.strides = array.shape, array.dtype, array.strides
        self.data = types.SimpleNamespace(ptr=array.ctypes.data)
        self.device = types.SimpleNamespace(id=device)
        self.flags = types.SimpleNamespace(c_contiguous=array.flags.c_contiguous)


FakeCupyArray.__module__ = "cupy"


@pytest.fixture
def device(monkeypatch):
    """CuPy and a device played by host memory: plans run on simt, streams and devices are noted."""
    log = types.SimpleNamespace(streams=[], devices=[])

    class Device:
        def __init__(self, number):
            self.number = number

        def __enter__(self):
            log.devices.append(self.number)

        def __exit__(self, *_):
            pass

    cupy = types.ModuleType("cupy")
    cupy.cuda = types.SimpleNamespace(
        Device=Device,
        get_current_stream=lambda device_id=-1: types.SimpleNamespace(ptr=4711 + device_id),
    )
    cupy.empty = lambda shape, dtype: FakeCupyArray(np.empty(shape, dtype), log.devices[-1])
    monkeypatch.setitem(sys.modules, "cupy", cupy)
    real = dispatch.choose_backend

    def on_simt(op, buffers):
        return "simt" if real(op, buffers) == "cuda" else real(op, buffers)

    real_plan = dispatch._native.plan

    class Noting:
        def __init__(self, plan):
            self.plan = plan

        def __getattr__(self, name):
            return getattr(self.plan, name)

        def run(self, outputs, inputs, stream, device):
            log.streams.append((stream, device))
            self.plan.run(outputs, inputs)

    monkeypatch.setattr(dispatch, "choose_backend", on_simt)
    monkeypatch.setattr(dispatch._native, "plan", lambda *a: Noting(real_plan(*a)))
    monkeypatch.setattr(dispatch, "_plans", {})
    return log


def test_cupy_arrays_run_on_their_device_and_current_stream(device):
    result = convkit.conv2d(FakeCupyArray(X, 1), FakeCupyArray(W, 1), padding=1)
    assert type(result) is FakeCupyArray
    assert result.device.id == 1
    assert device.streams == [(4712, 1)]
    with dispatch.use_backend("simt"):
        expected = convkit.conv2d(X, W, padding=1)
    np.testing.assert_array_equal(result.host, expected)


def test_cupy_out_is_written_in_place(device):
    out = FakeCupyArray(np.full((2, 4, 5, 4), np.nan, "f4"))
    assert convkit.conv2d(FakeCupyArray(X), FakeCupyArray(W), out=out) is out
    assert not np.isnan(out.host).any()


def test_cupy_out_must_not_overlap_an_input(device):
    big = np.zeros(10_000, "f4")
    x = FakeCupyArray(big[: X.size].reshape(X.shape))
    out = FakeCupyArray(big[10 : 10 + 2 * 4 * 5 * 4].reshape(2, 4, 5, 4))
    with pytest.raises(ValueError, match="out shares memory with x"):
        convkit.conv2d(x, FakeCupyArray(W), out=out)


def test_strided_cupy_arrays_are_made_dense_on_the_device(device):
    turned = np.ascontiguousarray(X.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
    assert not turned.flags.c_contiguous
    result = convkit.conv2d(FakeCupyArray(turned), FakeCupyArray(W))
    with dispatch.use_backend("simt"):
        np.testing.assert_array_equal(result.host, convkit.conv2d(X, W))


def test_arrays_on_two_devices_are_refused(device):
    with pytest.raises(ValueError, match=r"x on CUDA device 0 and w on CUDA device 1"):
        convkit.conv2d(FakeCupyArray(X, 0), FakeCupyArray(W, 1))


def test_host_and_device_arrays_do_not_mix(device):
    with pytest.raises(ValueError, match=r"x on CUDA device 0 and w on the host"):
        convkit.conv2d(FakeCupyArray(X), W)


class WithInterface:
    """A device array known by `__cuda_array_interface__` version 3 alone."""

    def __init__(self, array, stream=None, strides=None):
        self.host = array
        self.__cuda_array_interface__ = {
            "shape": array.shape,
            "typestr": array.dtype.str,
            "data": (array.ctypes.data, False),
            "version": 3,
            "stream": stream,
            "strides": strides,
        }


def test_interface_arrays_run_on_the_stream_they_name(device):
    device.devices.append(0)
    result = convkit.conv2d(WithInterface(X, stream=77), WithInterface(W))
    assert device.streams[0][0] == 77
    assert type(result) is FakeCupyArray  # allocated by CuPy, as the library is unknown


def test_interface_strides_that_say_dense_are_dense(device):
    device.devices.append(0)
    explicit = convkit.conv2d(WithInterface(X, strides=X.strides), WithInterface(W))
    np.testing.assert_array_equal(
        explicit.host, convkit.conv2d(WithInterface(X), WithInterface(W)).host
    )


def interface(**changes):
    entries = WithInterface(X).__cuda_array_interface__ | changes
    return {key: value for key, value in entries.items() if value is not ...}


MALFORMED = [
    (7, "__cuda_array_interface__ is 7, must be a dict"),
    (interface(shape=...), "['shape'] is missing, must be a tuple of integers"),
    (interface(shape=3), "['shape'] is 3, must be a tuple of integers"),
    (interface(shape=(2, -3, 7, 6)), "['shape'] is (2, -3, 7, 6), must be a tuple of integers"),
    (interface(shape=(2, 2**70, 7, 6)), "['shape'] is (2, 1180591620717411303424, 7, 6), must"),
    (interface(shape=(2, 3.0, 7, 6)), "['shape'] is (2, 3.0, 7, 6), must be a tuple of integers"),
    (interface(typestr=...), "['typestr'] is missing, must be a type"),
    (interface(typestr=None), "['typestr'] is None, must be a type"),
    (interface(typestr="zz"), "['typestr'] is 'zz', must be a type"),
    (interface(typestr="f4,("), "['typestr'] is 'f4,(', must be a type"),
    (interface(typestr=">f4"), "['typestr'] is '>f4', must be of native byte order"),
    (interface(data=None), "['data'] is None, must be a pair"),
    (interface(data=("1", False)), "['data'] is ('1', False), must be a pair"),
    (interface(data=(0, False)), "['data'] is (0, False), must be an address other than 0"),
    (interface(data=(2, False)), "the address 2 and strides (504, 168, 24, 4) must be multiples"),
    (interface(strides=4), "['strides'] is 4, must be None or a tuple of 4 integers"),
    (interface(strides=(8, 4)), "['strides'] is (8, 4), must be None or a tuple of 4 integers"),
    (interface(strides=(99, 42, 7, 1)), "strides (99, 42, 7, 1) must be multiples of the 4 bytes"),
    (interface(mask=WithInterface(X)), "__cuda_array_interface__ has a mask"),
    (interface(stream="s"), "['stream'] is 's', must be None or a stream's address"),
]


@pytest.mark.parametrize(("malformed", "text"), MALFORMED, ids=[text for _, text in MALFORMED])
def test_a_malformed_interface_is_named(device, malformed, text):
    array = WithInterface(X)
    array.__cuda_array_interface__ = malformed
    with pytest.raises((TypeError, ValueError), match=re.escape(text)) as caught:
        convkit.conv2d(WithInterface(X), array)
    assert str(caught.value).startswith("conv2d: w.__cuda_array_interface__")


def test_a_read_only_device_array_is_no_out(device):
    out = WithInterface(np.empty((2, 4, 5, 4), "f4"))
    out.__cuda_array_interface__["data"] = (out.host.ctypes.data, True)
    with pytest.raises(ValueError, match="conv2d: out is read-only, must be writeable"):
        convkit.conv2d(WithInterface(X), WithInterface(W), out=out)


class Raising:
    """An array of a library whose every protocol raises."""

    def __init__(self, error, *attributes):
        self.error, self.attributes = error, attributes

    def __getattr__(self, name):
        if name in self.attributes:
            raise self.error
        raise AttributeError(name)


@pytest.mark.parametrize(
    "error", [RuntimeError("it\nis gone"), KeyError("k"), ValueError("v" * 999)]
)
def test_a_protocol_that_raises_is_named(error):
    for attribute in ("__cuda_array_interface__", "__dlpack__"):
        with pytest.raises(TypeError, match=rf"^conv2d: x\.{attribute} cannot be read: ") as caught:
            convkit.conv2d(Raising(error, attribute), W)
        assert "\n" not in str(caught.value)
        assert len(str(caught.value)) < 300

    class Failing(HostOnly):
        def __dlpack__(self, **kwargs):
            raise error

    with pytest.raises(TypeError, match=r"^conv2d: w cannot be read through DLPack: "):
        convkit.conv2d(X, Failing(W))


class Hostile:
    """No attribute of it can be read."""

    def __getattribute__(self, name):
        raise RuntimeError(f"no {name}")


class HostileClass(type):
    @property
    def __module__(cls):
        raise RuntimeError("no module")


class OfHostileClass(metaclass=HostileClass):
    pass


class HostileArray(np.ndarray):
    __array__ = __getattribute__ = Hostile.__getattribute__


# Made in the test: pytest itself would trip over some of them.
PRETENDERS = {
    "hostile": Hostile,
    "of a hostile class": OfHostileClass,
    "mock": Mock,
    "magic mock": MagicMock,
    "mock of ndarray": lambda: Mock(spec=np.ndarray),
    "mock of a masked array": lambda: Mock(spec=np.ma.MaskedArray),
    "no cupy array": type("ndarray", (), {"__module__": "cupy", "data": 3}),
    "no tensor": type("Tensor", (), {"__module__": "torch", "is_neg": 3}),
}


@pytest.mark.parametrize("name", PRETENDERS)
def test_objects_that_pretend_are_refused(name):
    value = PRETENDERS[name]()
    for arguments in ((value, W), (X, value)):
        with pytest.raises(TypeError, match=r"^conv2d: [xw][ .]"):
            convkit.conv2d(*arguments)
    with pytest.raises(TypeError, match=r"^conv2d: out[ .]"):
        convkit.conv2d(X, W, out=value)


def test_a_subclass_is_read_as_the_memory_it_is():
    expected = convkit.conv2d(X, W)
    np.testing.assert_array_equal(convkit.conv2d(X.view(HostileArray), W), expected)


@pytest.mark.parametrize("told", [None, (), (2, "a"), (2, None), (2, -1), (2, 2**70)])
def test_a_device_array_that_does_not_tell_its_device_is_named(device, told):
    array = WithInterface(X)
    array.__dlpack_device__ = lambda: told
    with pytest.raises(
        TypeError, match=r"^conv2d: x\.__dlpack_device__\(\) does not tell the device"
    ):
        convkit.conv2d(array, WithInterface(W))


@pytest.mark.skipif(convkit.dispatch._native.with_cuda, reason="this build has a cuda backend")
def test_device_arrays_without_a_cuda_backend_are_refused():
    with pytest.raises(ValueError, match="no cuda backend"):
        convkit.conv2d(FakeCupyArray(X), FakeCupyArray(W))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ([[1.0]], "x is builtins.list, must be an array"),
        (None, "x is None, must be an array"),
        (np.ma.masked_array(X, X > 0), "x is a masked array"),
        (np.ndarray, "x is builtins.type, must be an array"),
        (HostOnly, "x is builtins.type, must be an array"),
        (np.str_("image"), "x.dtype is str160, must be float32"),
        (np.int64(1), "x.dtype is int64, must be float32"),
        (np.array([[[[None]]]]), "x.dtype is object, must be float32"),
        (np.zeros((2, 3, 7, 6), "f4,f4"), "x.dtype is void64, must be float32"),
    ],
)
def test_what_is_no_array_is_refused(value, text):
    with pytest.raises(TypeError, match=text):
        convkit.conv2d(value, W)


def test_a_numpy_scalar_is_an_array_without_dimensions():
    with pytest.raises(ValueError, match=r"x\.shape is \(\), needs 4 dimensions"):
        convkit.conv2d(np.float32(1), W)
    with pytest.raises(TypeError, match=r"x is builtins\.float, must be an array"):
        convkit.conv2d(1.0, W)


def test_big_endian_arrays_are_read_right():
    np.testing.assert_array_equal(convkit.conv2d(X.astype(">f4"), W), convkit.conv2d(X, W))


def test_subclasses_of_ndarray_are_read_as_arrays():
    class Mine(np.ndarray):
        pass

    np.testing.assert_array_equal(convkit.conv2d(X.view(Mine), W), convkit.conv2d(X, W))


def test_lazily_negated_tensors_are_refused():
    torch = pytest.importorskip("torch", reason="torch is not installed")
    negated = torch.randn(2, 3, 7, 6, dtype=torch.complex64).conj().imag
    with pytest.raises(TypeError, match=r"x is a lazily negated tensor; pass x\.resolve_neg\(\)"):
        convkit.conv2d(negated, torch.from_numpy(W))


def test_conjugated_tensors_are_refused():
    torch = pytest.importorskip("torch", reason="torch is not installed")
    conjugated = torch.randn(2, 3, 7, 6, dtype=torch.complex64).conj()
    with pytest.raises(TypeError, match=r"lazily conjugated tensor; pass x\.resolve_conj\(\)"):
        convkit.conv2d(conjugated, torch.from_numpy(W))


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
def test_tensors_that_require_a_gradient_are_refused(dtype):
    torch = pytest.importorskip("torch", reason="torch is not installed")
    x, w = (torch.from_numpy(one).to(getattr(torch, dtype)) for one in (X, W))
    y = convkit.conv2d(x, w)
    for given, out, name in ((x.clone(), None, "x"), (x, y, "out")):
        (given if out is None else out).requires_grad_()
        with pytest.raises(TypeError, match=rf"{name} requires a gradient.*{name}\.detach\(\)"):
            convkit.conv2d(given, w, out=out)


def test_torch_tensors_come_back_as_tensors():
    torch = pytest.importorskip("torch", reason="torch is not installed")
    result = convkit.conv2d(torch.from_numpy(X), torch.from_numpy(W), padding=1)
    np.testing.assert_array_equal(result.numpy(), convkit.conv2d(X, W, padding=1))


@pytest.mark.parametrize("shared", [0, 8])
def test_two_results_must_not_share_memory(shared):
    memory = np.zeros(64)
    x = np.ones((1, 1, 8, 8))
    y = memory[:16].reshape(1, 1, 4, 4)
    indices = memory[shared : shared + 16].view("i8").reshape(1, 1, 4, 4)
    with pytest.raises(ValueError, match=r"out\[1\] shares memory with out\[0\], must not"):
        convkit.max_pool2d(x, 2, return_indices=True, out=(y, indices))
