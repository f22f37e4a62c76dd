"""The network in memory, backpropagation and gradient descent, slice after slice."""
