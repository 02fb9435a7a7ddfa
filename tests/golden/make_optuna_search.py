#!/usr/bin/python3
"""What Optuna's TPE and successive halving reach on test functions, for tests/scripts/sweep/search_test.lua.

usage: make_optuna_search.py > optuna_search.json      (Debian: python3-optuna)
TPE: 60 trials; the lowest value, for 20 seeds. Halving: random trials, min 1, eta 3, at most 27 epochs each, until 400 epochs are
spent; the lowest true value among the trials that reached the last epoch. sorted, so that quartiles can be read off.
"""
import json
import math
import optuna

optuna.logging.set_verbosity(optuna.logging.ERROR)
SEEDS, TRIALS = 20, 60
EPOCHS, BUDGET = 27, 400


def sphere(t):
    return (t.suggest_float('x', -5, 5) - 1.5) ** 2 + (t.suggest_float('y', -5, 5) + 2) ** 2


def branin(t):
    x, y = t.suggest_float('x', -5, 10), t.suggest_float('y', 0, 15)
    a = y - 5.1 / (4 * math.pi ** 2) * x * x + 5 / math.pi * x - 6
    return a * a + 10 * (1 - 1 / (8 * math.pi)) * math.cos(x) + 10


def mixed(t):
    lr, n, kind = t.suggest_float('lr', 1e-5, 1, log=True), t.suggest_int('n', 1, 20), t.suggest_categorical('kind', ['a', 'b', 'c'])
    return (math.log10(lr) + 2.5) ** 2 + (n - 6) ** 2 / 10 + {'a': 0.5, 'b': 0, 'c': 1}[kind]


FUNCTIONS = {'sphere': sphere, 'branin': branin, 'mixed': mixed}


def tpe(f, seed):
    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=seed))
    study.optimize(f, n_trials=TRIALS)
    return study.best_value


def halving(f, seed):
    """The loss at an epoch is the function's value and what is not learnt yet, which differs from trial to trial."""
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=seed),
                                pruner=optuna.pruners.SuccessiveHalvingPruner(min_resource=1, reduction_factor=3))
    spent, best = 0, math.inf
    while spent < BUDGET:
        trial = study.ask()
        value = f(trial)
        rate = trial.suggest_float('rate', 0.3, 1)
        for epoch in range(1, EPOCHS + 1):
            spent += 1
            trial.report(value + 10 * math.exp(-rate * epoch), epoch)
            if epoch == EPOCHS:
                best = min(best, value)
            if trial.should_prune() and epoch < EPOCHS:
                study.tell(trial, state=optuna.trial.TrialState.PRUNED)
                break
        else:
            study.tell(trial, value)
    return best


def main():
    made = {'optuna': optuna.__version__, 'trials': TRIALS, 'epochs': EPOCHS, 'budget': BUDGET, 'tpe': {}, 'halving': {}}
    for name, f in FUNCTIONS.items():
        made['tpe'][name] = sorted(tpe(f, seed) for seed in range(SEEDS))
        made['halving'][name] = sorted(halving(f, seed) for seed in range(SEEDS))
    print(json.dumps(made, indent=1, sort_keys=True))


main()
