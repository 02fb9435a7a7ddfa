#!/usr/bin/python3
"""A made-up GPT-2 under Hugging Face's names, and its logits by plain PyTorch, for tests/scripts/research/gpt2_test.lua.

usage: make_gpt2.py FOLDER [SEED]     writes gpt2_tiny.safetensors and gpt2_tiny.json (Debian: python3-torch)
The committed ones: make_gpt2.py tests/golden

gpt2_tiny.safetensors   h.N.attn.c_attn.weight (d, 3 d) and so on, as GPT2LMHeadModel stores them: matrices of attention and feed-forward
                        lie (in, out), the causal mask is a buffer of every block, the head is the embedding and is left out
gpt2_tiny.json          ids (B, T), the sizes, and the logits (B, T, V), computed in float64
"""
import json
import math
import struct
import sys

import torch
import torch.nn.functional as F

V, P, D, LAYERS, HEADS, B, T = 31, 10, 12, 2, 3, 2, 7


def weights(generator):
    def normal(*sizes, std=0.3):
        return torch.randn(*sizes, generator=generator, dtype=torch.float64).mul(std).float()

    w = {'wte.weight': normal(V, D), 'wpe.weight': normal(P, D)}
    for i in range(LAYERS):
        for name, sizes in [('attn.c_attn', (D, 3 * D)), ('attn.c_proj', (D, D)), ('mlp.c_fc', (D, 4 * D)), ('mlp.c_proj', (4 * D, D))]:
            w[f'h.{i}.{name}.weight'], w[f'h.{i}.{name}.bias'] = normal(*sizes), normal(sizes[1])
        for name in ['ln_1', 'ln_2']:
            w[f'h.{i}.{name}.weight'], w[f'h.{i}.{name}.bias'] = 1 + normal(D), normal(D)
        w[f'h.{i}.attn.bias'] = torch.ones(P, P).tril().view(1, 1, P, P)
    w['ln_f.weight'], w['ln_f.bias'] = 1 + normal(D), normal(D)
    return w


def logits(w, ids):
    w = {name: value.double() for name, value in w.items()}
    norm = lambda x, name: F.layer_norm(x, (D,), w[name + '.weight'], w[name + '.bias'], 1e-5)
    linear = lambda x, name: x @ w[name + '.weight'] + w[name + '.bias']
    x = w['wte.weight'][ids] + w['wpe.weight'][: ids.size(1)]
    for i in range(LAYERS):
        q, k, v = linear(norm(x, f'h.{i}.ln_1'), f'h.{i}.attn.c_attn').split(D, dim=2)
        split = lambda y: y.view(*y.shape[:2], HEADS, D // HEADS).transpose(1, 2)
        scores = split(q) @ split(k).transpose(2, 3) / math.sqrt(D // HEADS)
        seen = w[f'h.{i}.attn.bias'][:, :, : ids.size(1), : ids.size(1)].bool()
        mixed = scores.masked_fill(~seen, -math.inf).softmax(-1) @ split(v)
        x = x + linear(mixed.transpose(1, 2).reshape(*x.shape), f'h.{i}.attn.c_proj')
        hidden = F.gelu(linear(norm(x, f'h.{i}.ln_2'), f'h.{i}.mlp.c_fc'), approximate='tanh')
        x = x + linear(hidden, f'h.{i}.mlp.c_proj')
    return norm(x, 'ln_f') @ w['wte.weight'].T


def save(tensors, path):
    header, data = {}, b''
    for name, value in tensors.items():
        raw = value.contiguous().numpy().tobytes()
        header[name] = {'dtype': 'F32', 'shape': list(value.shape), 'data_offsets': [len(data), len(data) + len(raw)]}
        data += raw
    text = json.dumps(header).encode()
    text += b' ' * (-len(text) % 8)
    with open(path, 'wb') as file:
        file.write(struct.pack('<Q', len(text)) + text + data)


def main():
    folder = sys.argv[1]
    generator = torch.Generator().manual_seed(int(sys.argv[2]) if len(sys.argv) > 2 else 1)
    w = weights(generator)
    ids = torch.randint(V, (B, T), generator=generator)
    save(w, folder + '/gpt2_tiny.safetensors')
    sizes = dict(vocab=V, max_len=P, d_model=D, heads=HEADS, layers=LAYERS)
    with open(folder + '/gpt2_tiny.json', 'w') as file:
        json.dump(dict(sizes=sizes, ids=ids.tolist(), logits=logits(w, ids).tolist()), file)
        file.write('\n')


main()
