#!/usr/bin/env python3
"""Remakes tensor_format.txt: tensors as PyTorch prints them (Debian 12: python3-torch 1.13).

usage: make_tensor_format.py > tensor_format.txt
Each case is a line "== name", then the text. tests/engine/base/text/tensor_format_test.cc makes the same tensors by name.
"""
import torch

inf, nan = float('inf'), float('nan')
ramp = lambda n, dtype=torch.float32: torch.arange(n, dtype=dtype)
weight = torch.tensor([1.5, -2.25], requires_grad=True)

CASES = {
    'floats': torch.tensor([[0.1, -2.5, 3.14159], [100.0, 0.25, 7.0]]),
    'whole_floats': torch.tensor([1.0, 20.0, -300.0]),
    'whole_floats_wide_range': torch.tensor([1.0, 2000.0]),
    'whole_floats_at_the_limit': torch.tensor([1.0, 1000.0]),
    'whole_floats_large': torch.tensor([123456789.0, 200000000.0]),
    'zeros': torch.zeros(2, 3),
    'negative_zero': torch.tensor([-0.0, 0.0]),
    'scientific_by_ratio': torch.tensor([0.001, 10.0]),
    'scientific_by_size': torch.tensor([1.5e9, 2.5e9]),
    'scientific_small': torch.tensor([[1.5e-5, -2.5e-5], [0.0, 3.25e-5]]),
    'scientific_three_digit_exponent': torch.tensor([1e-120, 1e200], dtype=torch.float64),
    'inf_and_nan': torch.tensor([inf, -inf, nan, 1.5]),
    'only_inf_and_nan': torch.tensor([inf, -inf, nan]),
    'whole_with_inf': torch.tensor([1.0, inf, nan, -3.0]),
    'scientific_with_inf': torch.tensor([1e-6, inf, -1.0]),
    'scalar': torch.tensor(1.5),
    'scalar_whole': torch.tensor(3.0),
    'scalar_int': torch.tensor(7),
    'scalar_bool': torch.tensor(True),
    'ints': torch.tensor([[1, -20], [300, 4]]),
    'int32': torch.tensor([1, 2], dtype=torch.int32),
    'uint8': torch.tensor([0, 255], dtype=torch.uint8),
    'bools': torch.tensor([[True, False], [False, False]]),
    'half': torch.tensor([0.1, 65504.0], dtype=torch.float16),
    'bfloat16': torch.tensor([0.1, 3.0], dtype=torch.bfloat16),
    'double': torch.tensor([0.1, 3.0], dtype=torch.float64),
    'empty': torch.zeros(0),
    'empty_matrix': torch.zeros(0, 3),
    'empty_int': torch.zeros(0, dtype=torch.int64),
    'empty_int_cube': torch.zeros(2, 0, 3, dtype=torch.int64),
    'wrapped_vector': ramp(40) * 0.5,
    'wrapped_ints': ramp(60, torch.int64) * 1000,
    'wrapped_rows': (ramp(50) / 7).view(2, 25),
    'thousand': ramp(1000, torch.int64),
    'summarised_vector': ramp(1001),
    'summarised_matrix': (ramp(10000) / 16).view(100, 100),
    'summarised_short_rows': ramp(2000, torch.int64).view(1000, 2),
    'summarised_cube': ramp(8 * 9 * 20).view(8, 9, 20) - 700,
    'summarised_bools': ramp(1200, torch.int64).remainder(3).eq(0),
    'summary_ignores_the_middle': torch.cat([torch.ones(600), torch.full((600,), 0.5), torch.ones(600)]),
    'cube': ramp(12).view(2, 2, 3),
    'four_dims': ramp(16, torch.int64).view(2, 2, 2, 2),
    'transposed': (ramp(6) / 4).view(2, 3).t(),
    'complex': torch.complex(torch.tensor([1.5, -2.0]), torch.tensor([-0.5, 4.0])),
    'complex_whole': torch.complex(torch.tensor([1.0, -2.0, 0.0]), torch.tensor([0.0, -4.0, 10.0])),
    'complex_double_scalar': torch.tensor(1 - 2j, dtype=torch.complex128),
    'complex_wrapped': torch.complex(ramp(12) / 4, -ramp(12) / 3),
    'conjugated': torch.complex(torch.tensor([1.5]), torch.tensor([2.5])).conj(),
    'parameter': weight,
    'gradient_function': weight * weight,
    'gradient_of_a_sum': (weight * weight).sum(),
    'suffix_fits': ramp(12, torch.float64) * 1.25,
    'suffix_wraps': (ramp(9, torch.float64) * 1.25).requires_grad_(),
    'suffix_wraps_short': (ramp(8, torch.float64) * 1.25).requires_grad_(),
    'suffix_after_rows': (ramp(16, torch.float64) * 1.25).view(2, 8).requires_grad_(),
    'meta': torch.zeros(2, 3, device='meta'),
}

if __name__ == '__main__':
    for name, tensor in CASES.items():
        print(f'== {name}\n{tensor!r}')
