#!/usr/bin/env python3
"""PyTorch eager's char-GRU training step, the peer of gru_step.lua: prints one step time in ms per line.

usage: peer_gru.py STEPS THREADS     (Debian: python3-torch; the first 5 steps are warm-up and are not printed)
"""
import sys
import time

import torch
import torch.nn as nn
import torch.nn.functional as F

steps, threads = int(sys.argv[1]), int(sys.argv[2])
torch.set_num_threads(threads)
torch.manual_seed(42)


class CharRNN(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(65, 128)
        self.rnn = nn.GRU(128, 256, 2, batch_first=True)
        self.head = nn.Linear(256, 65)

    def forward(self, x):
        return self.head(self.rnn(self.embed(x))[0])


model = CharRNN()
adam = torch.optim.Adam(model.parameters(), lr=2e-3)
x, y = torch.randint(0, 65, (64, 100)), torch.randint(0, 65, (64, 100))
for step in range(steps + 5):
    begin = time.monotonic()
    adam.zero_grad()
    loss = F.cross_entropy(model(x).reshape(-1, 65), y.reshape(-1))
    loss.backward()
    adam.step()
    loss.item()
    if step >= 5:
        print((time.monotonic() - begin) * 1e3)
