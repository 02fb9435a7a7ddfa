#!/usr/bin/python3
"""Initial values of PyTorch's layers after manual_seed(42), for tests/engine/nn/init_test.cc.

usage: make_pytorch_init.py > pytorch_init.json        (Debian: python3-torch)
For each model and parameter: shape, sum in float64, and the first, middle and last values of the flat tensor.
"""
import json
import torch
import torch.nn as nn


class CharRNN(nn.Module):
    def __init__(self, cell):
        super().__init__()
        self.embed = nn.Embedding(65, 128)
        self.rnn = getattr(nn, cell)(128, 256, 2, batch_first=True)
        self.head = nn.Linear(256, 65)


class Parts(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm = nn.LayerNorm(12)
        self.wide = nn.Linear(12, 7)
        self.bare = nn.Linear(7, 5, bias=False)
        self.odd = nn.Linear(3, 300)
        self.padded = nn.Embedding(9, 4, padding_idx=2)


class Transformer(nn.Module):
    def __init__(self):
        super().__init__()
        self.attention = nn.MultiheadAttention(12, 3)
        self.bare = nn.MultiheadAttention(6, 2, bias=False)
        self.block = nn.TransformerEncoderLayer(16, 4, 40)


class Layers(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv1d(4, 6, 3, stride=2, groups=2)
        self.conv2 = nn.Conv2d(3, 5, (3, 2), padding=1, bias=False)
        self.conv3 = nn.Conv2d(5, 7, 3, padding='same')
        self.up1 = nn.ConvTranspose1d(4, 6, 4, groups=2)
        self.up2 = nn.ConvTranspose2d(7, 3, 2, stride=2)
        self.norm1 = nn.BatchNorm1d(4)
        self.norm2 = nn.BatchNorm2d(5)
        self.group = nn.GroupNorm(2, 6)
        self.pair = nn.Bilinear(3, 4, 5)
        self.bare = nn.Bilinear(4, 2, 3, bias=False)
        self.bag = nn.EmbeddingBag(9, 4, padding_idx=2)
        self.slope = nn.PReLU(3)


def describe(make):
    torch.manual_seed(42)
    found = {}
    for name, p in make().named_parameters():
        flat = p.detach().flatten()
        n = flat.numel()
        at = sorted({0, 1, n // 3, n // 2, n - 2, n - 1})
        found[name] = dict(shape=list(p.shape), sum=float(flat.double().sum()), at=at, values=[float(flat[i]) for i in at])
    return found


models = {'GRU': lambda: CharRNN('GRU'), 'LSTM': lambda: CharRNN('LSTM'), 'parts': Parts,
          'transformer': Transformer, 'layers': Layers}
lines = [',\n'.join(f'  {json.dumps(name)}: {json.dumps(v)}' for name, v in describe(make).items()) for make in models.values()]
print('{"torch": %s,\n%s}' % (json.dumps(torch.__version__), ',\n'.join(f'"{m}": {{\n{text}}}' for m, text in zip(models, lines))))
