"""Backpropagation computes the gradient; gradient descent uses it. Both on a 3-8-4-1 network."""

import numpy as np

from fastnn import SGD, Dense, Sequential

rng = np.random.default_rng(0)
X = rng.normal(size=(200, 3))  # 200 examples of three numbers each
y = (X[:, 0] * X[:, 1] + X[:, 2] > 0).astype(int)  # and the class of each, 0 or 1


def network(rate: float) -> Sequential:
    model = Sequential([Dense(8, "tanh"), Dense(4, "tanh"), Dense(1, "sigmoid")], seed=0)
    model.compile(SGD(rate), "binary_crossentropy")
    model.build(n_features=3)
    return model


model = network(rate=0.1)
trace = model.trace(X[0], y[0])  # one example, forward and backward
print(trace.explain())  # 1. the forward pass and 2. the chain rule: no weight moves
print(f"\n{model.explain_update(trace)}")  # 3. what gradient descent does with the gradient
model.apply(trace)  # only now the weights move
print(f"\nIts loss: {trace['L']:.4f} before the step, {model.trace(X[0], y[0])['L']:.4f} after it")

print("\nTHREE MODES, then THREE LEARNING RATES: 100 epochs from the same initial weights")
modes = [("batch", 0.1), ("minibatch", 0.1), ("stochastic", 0.1)]
for mode, rate in [*modes, ("batch", 0.01), ("batch", 1.0), ("batch", 40.0)]:
    history = network(rate).fit(X, y, epochs=100, mode=mode)
    (first, *_, last), steps = history.history["loss"], 100 * history.params["steps"]
    print(f"{mode:<11} rate {rate:<5g} {steps:>6} updates: loss {first:.3f} -> {last:.3f}")
