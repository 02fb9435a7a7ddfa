#!/usr/bin/python3
"""Ten steps of PyTorch's optimisers in float64, for tests/engine/optim/optimizer_test.cc.

usage: make_pytorch_optim.py > pytorch_optim.json      (Debian: python3-torch)
Two parameters a (3) and b (2, 2), in two groups where b has its own learning rate. The gradient of step k is
a * 0.5 + sin(k + index) for element index (b counts on from a's); b has none at step 4. Values after steps 1, 2 and 10.
"""
import json
import torch

A = [0.5, -1.25, 2.0]
B = [[-0.75, 1.5], [0.25, -2.5]]
CASES = {
    'Adam': [{}, {'weight_decay': 0.1}, {'lr': 0.05, 'betas': (0.8, 0.9), 'eps': 1e-3}],
    'AdamW': [{}, {'weight_decay': 0.2, 'lr': 0.03}, {'weight_decay': 0.0}],
    'SGD': [{}, {'momentum': 0.9}, {'momentum': 0.9, 'dampening': 0.3}, {'momentum': 0.8, 'nesterov': True, 'weight_decay': 0.1},
            {'weight_decay': 0.05}],
    'RMSprop': [{}, {'momentum': 0.7}, {'centered': True, 'weight_decay': 0.1}, {'centered': True, 'momentum': 0.5, 'alpha': 0.8, 'eps': 1e-4}],
}
LR = {'Adam': 0.01, 'AdamW': 0.01, 'SGD': 0.02, 'RMSprop': 0.01}


def run(name, options, gap):
    options = dict({'lr': LR[name]}, **options)
    a = torch.tensor(A, dtype=torch.float64, requires_grad=True)
    b = torch.tensor(B, dtype=torch.float64, requires_grad=True)
    optimizer = getattr(torch.optim, name)([{'params': [a]}, {'params': [b], 'lr': options['lr'] * 3}], **options)
    states = []
    for k in range(1, 11):
        with torch.no_grad():
            a.grad = a * 0.5 + torch.sin(torch.arange(3, dtype=torch.float64) + k)
            b.grad = None if gap and k == 4 else b * 0.5 + torch.sin(torch.arange(3, 7, dtype=torch.float64).view(2, 2) + k)
        optimizer.step()
        if k in (1, 2, 10):
            states.append({'step': k, 'a': a.tolist(), 'b': b.flatten().tolist()})
    return states


cases = []
for name, variants in CASES.items():
    for options in variants:
        flat = {k: float(v) for k, v in options.items() if k != 'betas'}
        if 'betas' in options:
            flat['beta1'], flat['beta2'] = options['betas']
        flat.setdefault('lr', LR[name])
        cases.append({'name': name, 'options': flat, 'states': run(name, options, gap=False), 'gap': run(name, options, gap=True)})
grads = [torch.tensor([3.0, -4.0, 0.0], dtype=torch.float64), torch.tensor([[12.0, 0.5]], dtype=torch.float64)]
clipped = []
for limit in (1.0, 5.0, 100.0):
    params = [torch.zeros_like(g).requires_grad_() for g in grads]
    for p, g in zip(params, grads):
        p.grad = g.clone()
    norm = torch.nn.utils.clip_grad_norm_(params, limit)
    clipped.append({'limit': limit, 'norm': float(norm), 'values': [v for p in params for v in p.grad.flatten().tolist()]})
print('{"torch": %s,\n"cases": [\n%s],\n"clip_norm": [\n%s]}' % (json.dumps(torch.__version__), ',\n'.join(map(json.dumps, cases)), ',\n'.join(map(json.dumps, clipped))))
