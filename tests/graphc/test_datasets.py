"""The digits: how many, which, and that the split never moves."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

from graphc.datasets import SPLIT_SEED, load_digits, split_order

CHECKSUMS = {
    "train_images": "5510158a1e6203f9bcb915bc329156eaf7a1a60c18ba816c1bcc02b732391e76",
    "train_labels": "4cdabfe15925cc5a07e88a59584f4ee888c2407eb6c8f74210fa45a511f0f777",
    "test_images": "534db1496ab367f8e0ca3321d80a112e21ed2468a584fa2889890e9df4f879fa",
    "test_labels": "9f34b2efbcb6116f9b539615481c2fe15ba703bbfdaeeceb64f525748ffa1c4a",
}


def test_shapes_and_types() -> None:
    digits = load_digits()
    assert digits.train_images.shape == (1437, 64)
    assert digits.test_images.shape == (360, 64)
    assert digits.train_labels.shape == (1437,)
    assert digits.test_labels.shape == (360,)
    assert digits.train_images.dtype == digits.test_images.dtype == np.float32
    assert digits.train_labels.dtype == digits.test_labels.dtype == np.int64


def test_pixels_are_sixteenths_between_zero_and_one() -> None:
    digits = load_digits()
    pixels = np.concatenate([digits.train_images, digits.test_images])
    assert pixels.min() == 0.0
    assert pixels.max() == 1.0
    np.testing.assert_array_equal(pixels * 16, np.round(pixels * 16))


def test_classes_are_those_of_the_source() -> None:
    digits = load_digits()
    labels = np.concatenate([digits.train_labels, digits.test_labels])
    assert np.bincount(labels).tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]


@pytest.mark.parametrize("name", CHECKSUMS)
def test_contents_never_change(name: str) -> None:
    array = getattr(load_digits(), name)
    little_endian = array.astype(array.dtype.newbyteorder("<"))
    assert hashlib.sha256(little_endian.tobytes()).hexdigest() == CHECKSUMS[name]


def test_split_is_a_permutation_and_differs_from_the_order_of_the_file() -> None:
    order = split_order(1797)
    np.testing.assert_array_equal(np.sort(order), np.arange(1797))
    assert order[:5].tolist() != [0, 1, 2, 3, 4]
    assert SPLIT_SEED == 20261122


def test_each_call_returns_arrays_of_its_own() -> None:
    first = load_digits()
    first.train_images[:] = -1
    assert load_digits().train_images.min() == 0.0


def test_they_print_in_a_line() -> None:
    assert repr(load_digits()) == "<digits: 1437 to train on, 360 held out>"
