# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from training.datasets.sample import DatasetError, reading_record
from training.untrusted import CorruptRecordError


def test_a_corrupt_record_crosses_process_borders():
    error = CorruptRecordError(Path("a.json"), "annotation 3", "no mask")
    back = pickle.loads(pickle.dumps(error))
    assert str(back) == str(error) == "a.json, record annotation 3: no mask"
    assert (back.file, back.record, back.reason) == ("a.json", "annotation 3", "no mask")


def test_whatever_a_record_provokes_names_it():
    with (
        pytest.raises(CorruptRecordError, match=r"a\.json, record image 7: has no key 'width'"),
        reading_record(Path("a.json"), "image 7"),
    ):
        {}["width"]


def test_an_error_of_the_whole_dataset_stays_one():
    with (
        pytest.raises(DatasetError, match="no folder") as caught,
        reading_record(Path("a.json"), "image 7"),
    ):
        raise DatasetError("no folder")
    assert not isinstance(caught.value, CorruptRecordError)
