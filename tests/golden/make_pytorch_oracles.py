#!/usr/bin/python3
"""Losses, gradients and T-Scores of small models by PyTorch, for tests/engine/nn/oracle_test.cc.

usage: make_pytorch_oracles.py FOLDER [SEED]     writes NAME.safetensors and NAME.json of each case (Debian: python3-torch)
The committed ones: make_pytorch_oracles.py tests/golden/oracles

NAME.safetensors   param.<name>  initial parameters, float32, under PyTorch's names; a tied one is there once
                   x, y          token ids and targets of a batch, int64 (B, T)
                   grad.<name>   gradient of the mean cross entropy over all B T targets, float32
                   sample_sq     squared norm of the gradient of each sample's own mean loss, over all parameters, float64 (B)
NAME.json          the config, loss, S = |sum of the samples' gradients|^2, Q = sum of sample_sq, T = 1 - S / (B Q), and the losses
                   of ten updates by Adam and AdamW on that batch (lr 2e-3, weight decay 0 and 0.01); all in float64
"""
import json
import struct
import sys

import torch
import torch.nn as nn
import torch.nn.functional as F

CASES = {
    'gru': dict(cell='GRU', vocab=37, embed=12, hidden=20, layers=2, batch=5, seq=14),
    'gru_one_step': dict(cell='GRU', vocab=13, embed=6, hidden=9, layers=1, batch=4, seq=1),
    'lstm': dict(cell='LSTM', vocab=29, embed=10, hidden=18, layers=3, batch=6, seq=11),
    'gpt': dict(vocab=41, embed=24, heads=3, layers=2, batch=5, seq=12, tied=False),
    'gpt_tied': dict(vocab=23, embed=20, heads=5, layers=2, batch=7, seq=9, tied=True),
}


class CharRNN(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.embed = nn.Embedding(c['vocab'], c['embed'])
        self.rnn = getattr(nn, c['cell'])(c['embed'], c['hidden'], c['layers'], batch_first=True)
        self.head = nn.Linear(c['hidden'], c['vocab'])

    def forward(self, x):
        return self.head(self.rnn(self.embed(x))[0])


class GPT(nn.Module):
    def __init__(self, c):
        super().__init__()
        size = c['embed']
        self.embed = nn.Embedding(c['vocab'], size)
        self.pos = nn.Embedding(c['seq'], size)
        self.blocks = nn.ModuleList(
            nn.TransformerEncoderLayer(size, c['heads'], 4 * size, dropout=0, activation='gelu', batch_first=True, norm_first=True)
            for _ in range(c['layers']))
        self.norm = nn.LayerNorm(size)
        self.head = nn.Linear(size, c['vocab'], bias=False)
        if c['tied']:
            self.head.weight = self.embed.weight

    def forward(self, x):
        length = x.size(1)
        later = torch.ones(length, length, dtype=torch.bool).triu(1)
        h = self.embed(x) + self.pos(torch.arange(length))
        for block in self.blocks:
            h = block(h, src_mask=later)
        return self.head(self.norm(h))


def make(c):
    return (CharRNN if 'cell' in c else GPT)(c)


def copy_in_double(c, model):
    wide = make(c).double()
    wide.load_state_dict({name: value.double() for name, value in model.state_dict().items()})
    return wide


def loss_of(model, x, y):
    return F.cross_entropy(model(x).flatten(0, 1), y.flatten())


def gradients(model, x, y):
    model.zero_grad()
    loss = loss_of(model, x, y)
    loss.backward()
    return float(loss), {name: p.grad.clone() for name, p in model.named_parameters()}


def ten_losses(c, model, x, y, optimizer, decay):
    wide, losses = copy_in_double(c, model), []
    rule = optimizer(wide.parameters(), lr=2e-3, weight_decay=decay)
    for _ in range(10):
        rule.zero_grad()
        loss = loss_of(wide, x, y)
        losses.append(float(loss))
        loss.backward()
        rule.step()
    return losses


def write_safetensors(path, tensors):
    kinds = {torch.float32: 'F32', torch.float64: 'F64', torch.int64: 'I64'}
    header, data = {}, b''
    for name in sorted(tensors):
        part = tensors[name].detach().contiguous().numpy().tobytes()
        header[name] = dict(dtype=kinds[tensors[name].dtype], shape=list(tensors[name].shape), data_offsets=[len(data), len(data) + len(part)])
        data += part
    text = json.dumps(header, separators=(',', ':')).encode()
    text += b' ' * (-len(text) % 8)
    with open(path, 'wb') as file:
        file.write(struct.pack('<Q', len(text)) + text + data)


def write_case(folder, name, c, seed):
    torch.manual_seed(seed)
    model = make(c)
    x, y = (torch.randint(c['vocab'], (c['batch'], c['seq'])) for _ in range(2))
    x[1] = x[0]                          # two samples with the same inputs and other targets
    x[2, :] = x[2, 0]                    # one id all along: its row of the embedding gets every position's gradient
    wide = copy_in_double(c, model)
    loss, gradient = gradients(wide, x, y)
    total, sample_sq = 0, []
    for i in range(c['batch']):
        flat = torch.cat([g.flatten() for g in gradients(wide, x[i:i + 1], y[i:i + 1])[1].values()])
        sample_sq.append(float(flat @ flat))
        total = total + flat
    tensors = {'param.' + n: p for n, p in model.named_parameters()}
    tensors.update({'grad.' + n: g.float() for n, g in gradient.items()})
    tensors.update(x=x, y=y, sample_sq=torch.tensor(sample_sq, dtype=torch.float64))
    write_safetensors(f'{folder}/{name}.safetensors', tensors)
    s, q = float(total @ total), sum(sample_sq)
    result = dict(config=c, seed=seed, torch=torch.__version__, loss=loss, S=s, Q=q, T=1 - s / (c['batch'] * q),
                  adam_losses=ten_losses(c, model, x, y, torch.optim.Adam, 0.0),
                  adamw_losses=ten_losses(c, model, x, y, torch.optim.AdamW, 0.01))
    with open(f'{folder}/{name}.json', 'w') as file:
        json.dump(result, file, indent=1)
        file.write('\n')


if __name__ == '__main__':
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    first = int(sys.argv[2]) if len(sys.argv) == 3 else 2026
    for number, case in enumerate(CASES):
        write_case(sys.argv[1], case, CASES[case], first + number)
