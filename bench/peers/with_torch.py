"""PyTorch: backpropagation written out with updates in place, and as most people use it."""

from collections.abc import Sequence
from typing import ClassVar

import torch

from bench.peers.base import Peer
from bench.workloads import BETA_1, BETA_2, EPSILON, Array, Mode, Net, Weights, targets

torch.set_num_threads(1)


class TorchPeer(Peer):
    """No autograd, ``addmm_`` straight into the weights."""

    version = torch.__version__

    def __init__(self, net: Net, mode: Mode) -> None:
        super().__init__(net, mode)
        self.probabilities = torch.sigmoid if net.is_binary else lambda z: torch.softmax(z, 1)

    def load_data(self, X: Array, y: Array) -> None:
        m = self.batch_size(len(X))
        t = targets(y, self.net.widths[-1])
        self.batches = list(
            zip(torch.from_numpy(X).split(m), torch.from_numpy(t).split(m), strict=True)
        )

    def load_weights(self, weights: Sequence[Array]) -> None:
        self.W = [torch.tensor(w) for w in weights[0::2]]
        self.b = [torch.tensor(w) for w in weights[1::2]]

    @torch.inference_mode()
    def train_epoch(self) -> None:
        for x, t in self.batches:
            self.step(x, t)

    def step(self, x: torch.Tensor, t: torch.Tensor) -> None:
        """One batch: W := W - rate / m * a' dz, for every layer."""
        a = [x]
        for W, b in zip(self.W[:-1], self.b[:-1], strict=True):
            a.append(torch.addmm(b, a[-1], W).relu_())
        dz = self.probabilities(torch.addmm(self.b[-1], a[-1], self.W[-1])).sub_(t)
        alpha = -self.learning_rate / len(x)
        for W, b in zip(reversed(self.W), reversed(self.b), strict=True):
            a_in = a.pop()
            # The gradient to the layer below needs W before this step changes it.
            da = dz.mm(W.t()).mul_(a_in > 0) if a else None
            W.addmm_(a_in.t(), dz, alpha=alpha)
            b.add_(dz.sum(0), alpha=alpha)
            dz = da

    def weights(self) -> Weights:
        return [w.numpy() for pair in zip(self.W, self.b, strict=True) for w in pair]


class TorchModulePeer(TorchPeer):
    """``nn.Module``, autograd and ``torch.optim``."""

    optimizers = ("sgd", "adam")
    implementation: ClassVar[dict[str, bool]] = {}  # of the optimiser: a loop unless set otherwise

    def load_weights(self, weights: Sequence[Array]) -> None:
        layers: list[torch.nn.Module] = []
        for W, b in zip(weights[0::2], weights[1::2], strict=True):
            layer = torch.nn.Linear(*W.shape)
            with torch.no_grad():
                layer.weight.copy_(torch.from_numpy(W.T))
                layer.bias.copy_(torch.from_numpy(b))
            layers += [layer, torch.nn.ReLU()]
        self.model = torch.nn.Sequential(*layers[:-1])
        self.optimizer = self.new_optimizer()
        binary = self.net.is_binary
        self.loss = torch.nn.BCEWithLogitsLoss() if binary else torch.nn.CrossEntropyLoss()

    def new_optimizer(self) -> torch.optim.Optimizer:
        parameters, options = self.model.parameters(), self.implementation
        if self.mode.optimizer == "sgd":
            return torch.optim.SGD(parameters, self.learning_rate, **options)
        betas = (BETA_1, BETA_2)
        return torch.optim.Adam(parameters, self.learning_rate, betas, EPSILON, **options)

    def train_epoch(self) -> None:
        for x, t in self.batches:
            self.optimizer.zero_grad()
            self.loss(self.model(x), t).backward()
            self.optimizer.step()

    def weights(self) -> Weights:
        arrays = [p.detach().numpy() for p in self.model.parameters()]
        return [a.T for a in arrays]  # a transposed bias is itself


class TorchFusedPeer(TorchModulePeer):
    """The same, one kernel for a step of all parameters."""

    optimizers = ("adam",)
    implementation: ClassVar[dict[str, bool]] = {"fused": True}


class TorchForeachPeer(TorchModulePeer):
    """The same, one call for each operation on all parameters."""

    optimizers = ("adam",)
    implementation: ClassVar[dict[str, bool]] = {"foreach": True}
