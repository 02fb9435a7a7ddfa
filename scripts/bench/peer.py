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


class Gpt(nn.Module):
    """A small GPT: pre-norm RMS without gain, squared ReLU, no biases, no final norm."""
    def __init__(self, vocab, seq, width, heads, layers):
        super().__init__()
        self.heads, self.vocab = heads, vocab
        self.wte, self.wpe = nn.Embedding(vocab, width), nn.Embedding(seq, width)
        bias = {'bias': False}
        self.blocks = nn.ModuleList([nn.ModuleList([
            nn.Linear(width, 3 * width, **bias), nn.Linear(width, width, **bias),
            nn.Linear(width, 4 * width, **bias), nn.Linear(4 * width, width, **bias)]) for _ in range(layers)])
        self.head = nn.Linear(width, vocab, bias=False)
        self.register_buffer('mask', torch.ones(seq, seq).triu(1).bool())

    @staticmethod
    def rms(x):
        return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + 1e-5)

    def forward(self, ids):
        b, t = ids.shape
        x = self.wte(ids) + self.wpe.weight[:t]
        for qkv, out, up, down in self.blocks:
            q, k, v = (z.view(b, t, self.heads, -1).transpose(1, 2) for z in qkv(self.rms(x)).chunk(3, -1))
            scores = (q @ k.transpose(-2, -1) / q.size(-1) ** 0.5).masked_fill(self.mask[:t, :t], float('-inf'))
            x = x + out((scores.softmax(-1) @ v).transpose(1, 2).reshape(b, t, -1))
            x = x + down(F.relu(up(self.rms(x))).square())
        return self.head(x)


class Gpt2(nn.Module):
    """GPT-2: learned positions, pre-norm with biases, GELU by its tanh formula, the head tied to the embedding."""
    def __init__(self, vocab, positions, width, heads, layers):
        super().__init__()
        self.heads, self.vocab = heads, vocab
        self.wte, self.wpe = nn.Embedding(vocab, width), nn.Embedding(positions, width)
        nn.init.normal_(self.wte.weight, std=0.02)
        self.blocks = nn.ModuleList([nn.ModuleList([
            nn.LayerNorm(width), nn.Linear(width, 3 * width), nn.Linear(width, width),
            nn.LayerNorm(width), nn.Linear(width, 4 * width), nn.Linear(4 * width, width)]) for _ in range(layers)])
        self.norm = nn.LayerNorm(width)
        self.register_buffer('mask', torch.ones(positions, positions).triu(1).bool())

    def forward(self, ids):
        b, t = ids.shape
        x = self.wte(ids) + self.wpe.weight[:t]
        for norm1, qkv, out, norm2, up, down in self.blocks:
            q, k, v = (z.view(b, t, self.heads, -1).transpose(1, 2) for z in qkv(norm1(x)).chunk(3, -1))
            scores = (q @ k.transpose(-2, -1) / q.size(-1) ** 0.5).masked_fill(self.mask[:t, :t], float('-inf'))
            x = x + out((scores.softmax(-1) @ v).transpose(1, 2).reshape(b, t, -1))
            x = x + down(F.gelu(up(norm2(x)), approximate='tanh'))
        return self.norm(x) @ self.wte.weight.T


class Bert(nn.Module):
    """An encoder of BERT's shape: learned positions, post-norm layers with biases and GELU, a final norm, a head."""
    def __init__(self, vocab, positions, width, heads, layers):
        super().__init__()
        self.vocab = vocab
        self.embed, self.positions = nn.Embedding(vocab, width), nn.Embedding(positions, width)
        self.layers = nn.ModuleList([
            nn.TransformerEncoderLayer(width, heads, 4 * width, 0.0, 'gelu', batch_first=True) for _ in range(layers)])
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, vocab)

    def forward(self, ids):
        x = self.embed(ids) + self.positions.weight[:ids.size(1)]
        for layer in self.layers:
            x = layer(x)
        return self.head(self.norm(x))


class Tree(nn.Module):
    """The K-1 tree, level by level: each level is the mean of its blocks."""
    def __init__(self, vocab, seq, width, heads, feedforward, branching, dropout):
        super().__init__()
        self.vocab = vocab
        self.embed, self.positions = nn.Embedding(vocab, width), nn.Parameter(torch.randn(seq, width) * 0.02)
        sizes = [1]
        for b in branching:
            sizes.append(sizes[-1] * b)
        self.levels = nn.ModuleList([nn.ModuleList([
            nn.TransformerEncoderLayer(width, heads, feedforward, dropout, 'gelu', batch_first=True)
            for _ in range(size)]) for size in sizes])
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, vocab)
        self.register_buffer('mask', torch.ones(seq, seq).triu(1).bool())

    def forward(self, ids):
        h = self.embed(ids) + self.positions[:ids.size(1)]
        for level in self.levels:
            h = sum(block(h, self.mask) for block in level) / len(level)
        return self.head(self.norm(h))


def language_model_step(model, rows, seq, make, autocast=False):
    """A training step on random tokens; the loss is read."""
    x, y = (torch.randint(0, model.vocab, (rows, seq)) for _ in range(2))
    optimizer = make(model.parameters())

    def step():
        optimizer.zero_grad()
        with torch.autocast('cpu', dtype=torch.bfloat16, enabled=autocast):
            loss = F.cross_entropy(model(x).reshape(-1, model.vocab), y.reshape(-1))
        loss.backward()
        optimizer.step()
        loss.item()

    return step


def adamw(parameters):
    return torch.optim.AdamW(parameters, lr=1e-3, weight_decay=0.01)


def gpt08(autocast=False):
    return language_model_step(Gpt(67, 64, 128, 8, 4), 32, 64, adamw, autocast)


def randygpt(autocast=False):
    return language_model_step(Gpt(67, 64, 256, 8, 6), 32, 64, adamw, autocast)


def gpt2(autocast=False):
    return language_model_step(Gpt2(50257, 1024, 768, 12, 12), 4, 64, adamw, autocast)


def bert(autocast=False):
    return language_model_step(Bert(8000, 512, 768, 12, 12), 1, 512, adamw, autocast)


def k1(autocast=False):
    return language_model_step(Tree(10000, 64, 128, 4, 256, [4, 3, 2], 0.0), 64, 64, adamw, autocast)


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
    'gpt08': gpt08,
    'gpt08_bf16': lambda: gpt08(autocast=True),
    'randygpt': randygpt,
    'randygpt_bf16': lambda: randygpt(autocast=True),
    'gpt2': gpt2,
    'gpt2_bf16': lambda: gpt2(autocast=True),
    'bert': bert,
    'bert_bf16': lambda: bert(autocast=True),
    'k1': k1,
    'k1_bf16': lambda: k1(autocast=True),
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
