# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import os
import pickle
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest

from training.datasets.restricted_pickle import load_restricted
from training.datasets.sample import DatasetError


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_containers_and_arrays_of_every_protocol(tmp_path, protocol):
    content = {
        "dict": {1: [2.5, "three", None, True]},
        "bytes": b"\x00\xffabc",
        "set": {1, 2},
        "ordered": OrderedDict(a=1),
        "array": np.arange(6, dtype=np.int64).reshape(2, 3),
        "fortran": np.asfortranarray(np.arange(6, dtype=np.float32).reshape(2, 3)),
        "transposed": np.arange(24, dtype=np.int16).reshape(2, 3, 4).transpose(1, 0, 2),
        "objects": np.array(["a", None], dtype=object),
        "number": np.float32(1.5),
        "complex": 1 + 2j,
    }
    file = tmp_path / "data.pkl"
    file.write_bytes(pickle.dumps(content, protocol=protocol))
    loaded = load_restricted(file)
    assert list(loaded) == list(content)
    for key, value in content.items():
        np.testing.assert_array_equal(loaded[key], value)
        assert type(loaded[key]) is type(value)


def test_a_python_2_pickle(tmp_path):
    file = tmp_path / "old.pkl"
    file.write_bytes(b"(dp0\nS'VM'\np1\nS'c26'\np2\nsS'n'\nI3\ns.")
    assert load_restricted(file) == {"VM": "c26", "n": 3}


class Malicious:
    def __init__(self, function, *arguments):
        self.call = (function, arguments)

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize(
    ("payload", "name"),
    [
        (Malicious(os.system, "touch hacked"), r"(posix|nt)\.system"),
        (Malicious(eval, "1 + 1"), r"builtins\.eval"),
        (Malicious(getattr, "a", "upper"), r"builtins\.getattr"),
        (Path("a"), r"pathlib"),
        (np.load, r"numpy\.load"),
    ],
)
def test_anything_else_is_refused_by_name(tmp_path, monkeypatch, payload, name):
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "data.pkl"
    file.write_bytes(pickle.dumps({"innocent": [payload]}))
    with pytest.raises(DatasetError, match=rf"data\.pkl: the pickle asks for {name}"):
        load_restricted(file)
    assert not (tmp_path / "hacked").exists()


def test_a_scalar_cannot_smuggle_a_second_pickle(tmp_path):
    file = tmp_path / "data.pkl"
    scalar = np.float32(0).__reduce__()[0]
    inner = pickle.dumps(Malicious(os.system, "touch hacked"))
    file.write_bytes(pickle.dumps(Malicious(scalar, np.dtype(object), inner)))
    with pytest.raises(DatasetError, match="scalar that holds an object"):
        load_restricted(file)


@pytest.mark.parametrize("cut", [0, 1, 20])
def test_a_damaged_file_is_named(tmp_path, cut):
    file = tmp_path / "data.pkl"
    file.write_bytes(pickle.dumps({"a": list(range(50))})[:cut])
    with pytest.raises(DatasetError, match=r"data\.pkl: is not a readable pickle"):
        load_restricted(file)
