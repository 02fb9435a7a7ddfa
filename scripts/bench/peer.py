"""PyTorch eager as the peer of `runner bench`. Read from standard input:

  python3 - version                                prints "version 1.13.0"
  python3 - run THREADS WARMUP STEPS CASE          prints "ms 12.3" for each step after the warm-up

A case is a function below that returns a step; its name is a key of CASES. Debian: python3-torch.
"""
import sys
import time

import torch
import torch.nn as nn
import torch.nn.functional as F

VOCAB, EMBED, HIDDEN, LAYERS, BATCH, SEQ = 65, 128, 256, 2, 64, 100


class CharRNN(nn.Module):
    def __init__(self, cell):
        super().__init__()
        self.embed = nn.Embedding(VOCAB, EMBED)
        self.rnn = cell(EMBED, HIDDEN, LAYERS, batch_first=True)
        self.head = nn.Linear(HIDDEN, VOCAB)

    def forward(self, x):
        return self.head(self.rnn(self.embed(x))[0])


def batch():
    return torch.randint(0, VOCAB, (BATCH, SEQ)), torch.randint(0, VOCAB, (BATCH, SEQ))


def loss_of(model, x, y):
    return F.cross_entropy(model(x).reshape(-1, VOCAB), y.reshape(-1))


def char_rnn_step(cell, autocast=False):
    """A training step: forward, backward, Adam; the loss is read, as every loop does."""
    model, (x, y) = CharRNN(cell), batch()
    adam = torch.optim.Adam(model.parameters(), lr=2e-3)

    def step():
        adam.zero_grad()
        with torch.autocast('cpu', dtype=torch.bfloat16, enabled=autocast):
            loss = loss_of(model, x, y)
        loss.backward()
        adam.step()
        loss.item()

    return step


def tscore_backwards():
    """T-Score of one batch by one forward and backward for each of its samples."""
    model, (x, y) = CharRNN(nn.GRU), batch()
    parameters = list(model.parameters())

    def step():
        total, q = [torch.zeros_like(p) for p in parameters], 0.0
        for i in range(BATCH):
            gradients = torch.autograd.grad(loss_of(model, x[i:i + 1], y[i:i + 1]), parameters)
            q += sum(g.square().sum() for g in gradients).item()
            torch._foreach_add_(total, gradients)
        s = sum(g.square().sum() for g in total).item()
        return 1 - s / (BATCH * q)

    return step


def update(make):
    """The optimiser's update alone, over 8 million parameters in 40 tensors."""
    parameters = [nn.Parameter(torch.randn(500, 400)) for _ in range(40)]
    for p in parameters:
        p.grad = torch.randn_like(p)
    return make(parameters).step


CASES = {
    'gru': lambda: char_rnn_step(nn.GRU),
    'gru_bf16': lambda: char_rnn_step(nn.GRU, autocast=True),
    'lstm': lambda: char_rnn_step(nn.LSTM),
    'lstm_bf16': lambda: char_rnn_step(nn.LSTM, autocast=True),
    'tscore': tscore_backwards,
    'adam': lambda: update(lambda p: torch.optim.Adam(p, lr=1e-3)),
    'adam_foreach': lambda: update(lambda p: torch.optim.Adam(p, lr=1e-3, foreach=True)),
    'adamw': lambda: update(lambda p: torch.optim.AdamW(p, lr=1e-3)),
    'adamw_foreach': lambda: update(lambda p: torch.optim.AdamW(p, lr=1e-3, foreach=True)),
    'sgd': lambda: update(lambda p: torch.optim.SGD(p, lr=1e-3, momentum=0.9)),
    'sgd_foreach': lambda: update(lambda p: torch.optim.SGD(p, lr=1e-3, momentum=0.9, foreach=True)),
}
SLOW = {'tscore': 1}  # steps of cases that last seconds; one such step is 64 backward passes


def main(arguments):
    if arguments[0] == 'version':
        print('version', torch.__version__)
        return
    threads, warmup, steps = (int(word) for word in arguments[1:4])
    case = arguments[4]
    torch.set_num_threads(threads)
    torch.manual_seed(42)
    steps, warmup = SLOW.get(case, steps), 0 if case in SLOW else warmup
    step = CASES[case]()
    for i in range(warmup + steps):
        begin = time.perf_counter()
        step()
        if i >= warmup:
            print('ms', (time.perf_counter() - begin) * 1e3)


main(sys.argv[1:])
