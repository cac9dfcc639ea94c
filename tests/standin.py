"""A stand-in for CuPy where there is none: arrays that refuse to meet NumPy's."""

import sys
import types

import numpy as np


class Array(np.ndarray):
    """Claims to be CuPy's; what it makes is like it, its numbers are arrays of no dimension."""

    def __array_ufunc__(self, ufunc, method, *inputs, out=(), **options):
        arrays = [_plain(one) for one in (*inputs, *out)]
        count = len(inputs)
        if out:
            options["out"] = tuple(arrays[count:])
        made = getattr(ufunc, method)(*arrays[:count], **options)
        if out:
            return out[0]
        return None if made is None else _like(made)

    def __array_function__(self, function, types, args, kwargs):
        return _wrapped(function)(*args, **kwargs)

    def __getitem__(self, index):
        index = tuple(map(_index, index)) if isinstance(index, tuple) else _index(index)
        return _like(self.view(np.ndarray)[index])

    def __setitem__(self, index, value):
        index = tuple(map(_index, index)) if isinstance(index, tuple) else _index(index)
        self.view(np.ndarray)[index] = _plain(value)

    def get(self):
        return np.array(self.view(np.ndarray))


Array.__module__ = "cupy"


def _plain(value):
    if isinstance(value, Array):
        return value.view(np.ndarray)
    if isinstance(value, np.ndarray):
        raise TypeError("an array of NumPy meets one of the device")
    if isinstance(value, (tuple, list)):
        return type(value)(map(_plain, value))
    return value


def _index(value):
    return value.view(np.ndarray) if isinstance(value, Array) else value


def _like(made):
    if isinstance(made, tuple):
        return tuple(map(_like, made))
    return np.asarray(made).view(Array) if isinstance(made, (np.ndarray, np.generic)) else made


def _wrapped(function):
    def call(*args, **options):
        options = {name: _plain(value) for name, value in options.items()}
        return _like(function(*map(_plain, args), **options))

    return call


def install(monkeypatch):
    """Makes `import cupy` find it; returns it."""
    module = types.ModuleType("cupy")
    for name in dir(np):
        function = getattr(np, name)
        if isinstance(function, np.ufunc):
            setattr(module, name, function)
        elif callable(function) and not isinstance(function, type):
            setattr(module, name, _wrapped(function))
    module.array = lambda value: np.array(value).view(Array)  # from the host, too
    module.asarray = lambda value: value if isinstance(value, Array) else module.array(value)
    module.ndarray = Array
    monkeypatch.setitem(sys.modules, "cupy", module)
    return module
