"""The oracle: the network of fastnn in plain float64 NumPy, written to be obvious, not fast.

`weights` is [W1, b1, W2, b2, ...] with W (n_in, n_out) and b (n_out) or None; `activations` names
one function a layer. z, a, y, dz, da are (n_rows, n_out), one row for each sample.
"""

import math
from dataclasses import fields

import numpy as np

# Activations a = f(z). Under each its chain rule: dz from z and da; with da = 1 that is f'(z).


def linear(z):
    """a = z"""
    return z


def linear_backward(z, da):
    """dz = da"""
    return da


def relu(z):
    """a = max(z, 0)"""
    return np.maximum(z, 0.0)


def relu_backward(z, da):
    """dz = da where z > 0, else 0 (also at z = 0)"""
    return np.where(z > 0, da, 0.0)


def sigmoid(z):
    """a = 1 / (1 + exp(-z)), through exp(-|z|) so that nothing overflows"""
    e = np.exp(-np.abs(z))
    return np.where(z >= 0, 1.0, e) / (1.0 + e)


def sigmoid_backward(z, da):
    """dz = da a (1 - a), where 1 - sigmoid(z) = sigmoid(-z)"""
    return da * sigmoid(z) * sigmoid(-z)


def tanh(z):
    """a = tanh(z)"""
    return np.tanh(z)


def tanh_backward(z, da):
    """dz = da (1 - a^2)"""
    return da * (1.0 - np.tanh(z) ** 2)


def log_softmax(z):
    """log a = z - log sum_k exp(z_k), shifted by max(z) so that nothing overflows"""
    z = z - z.max(axis=1, keepdims=True)
    return z - np.log(np.exp(z).sum(axis=1, keepdims=True))


def softmax(z):
    """a_j = exp(z_j) / sum_k exp(z_k)"""
    return np.exp(log_softmax(z))


def softmax_backward(z, da):
    """dz_j = a_j (da_j - sum_k a_k da_k)"""
    a = softmax(z)
    return a * (da - (a * da).sum(axis=1, keepdims=True))


def leaky_relu(z):
    """a = z where z > 0, else 0.2 z"""
    return np.where(z > 0, z, 0.2 * z)


def leaky_relu_backward(z, da):
    """dz = da where z > 0, else 0.2 da"""
    return da * np.where(z > 0, 1.0, 0.2)


def elu(z):
    """a = z where z > 0, else exp(z) - 1"""
    return np.where(z > 0, z, np.expm1(np.minimum(z, 0.0)))


def elu_backward(z, da):
    """dz = da where z > 0, else da exp(z)"""
    return da * np.exp(np.minimum(z, 0.0))


SELU_SCALE, SELU_ALPHA = 1.0507009873554805, 1.6732632423543772


def selu(z):
    """a = scale z where z > 0, else scale alpha (exp(z) - 1)"""
    return SELU_SCALE * np.where(z > 0, z, SELU_ALPHA * elu(z))


def selu_backward(z, da):
    """dz = da scale where z > 0, else da scale alpha exp(z)"""
    return da * SELU_SCALE * np.where(z > 0, 1.0, SELU_ALPHA * elu_backward(z, 1.0))


def softplus(z):
    """a = log(1 + exp(z))"""
    return np.logaddexp(0.0, z)


def softplus_backward(z, da):
    """dz = da sigmoid(z)"""
    return da * sigmoid(z)


def normal_distribution(z):
    """Phi(z) = (1 + erf(z / sqrt 2)) / 2"""
    return np.vectorize(lambda x: 0.5 * math.erfc(-x / math.sqrt(2)), otypes=[float])(z)


def gelu(z):
    """a = z Phi(z)"""
    return z * normal_distribution(z)


def gelu_backward(z, da):
    """dz = da (Phi(z) + z phi(z))"""
    return da * (normal_distribution(z) + z * np.exp(-(z**2) / 2) / math.sqrt(2 * math.pi))


def silu(z):
    """a = z sigmoid(z)"""
    return z * sigmoid(z)


def silu_backward(z, da):
    """dz = da s (1 + z (1 - s)), s = sigmoid(z)"""
    return da * sigmoid(z) * (1 + z * sigmoid(-z))


def exponential(z):
    """a = exp(z)"""
    return np.exp(z)


def exponential_backward(z, da):
    """dz = da exp(z)"""
    return da * np.exp(z)


ACTIVATIONS = {
    "linear": (linear, linear_backward),
    "relu": (relu, relu_backward),
    "sigmoid": (sigmoid, sigmoid_backward),
    "tanh": (tanh, tanh_backward),
    "softmax": (softmax, softmax_backward),
    "leaky_relu": (leaky_relu, leaky_relu_backward),
    "elu": (elu, elu_backward),
    "selu": (selu, selu_backward),
    "softplus": (softplus, softplus_backward),
    "gelu": (gelu, gelu_backward),
    "silu": (silu, silu_backward),
    "exponential": (exponential, exponential_backward),
}

# Losses l of each row. Under each its delta: dl/da, or dl/dz where fused with an activation.
# (The smoothing of labels is in `targets`.)


def mean_squared_error(z, a, y):
    """l = mean_j (a_j - y_j)^2, without a half"""
    return ((a - y) ** 2).mean(axis=1)


def mean_squared_error_delta(a, y):
    """da = 2 (a - y) / n_out"""
    return 2.0 * (a - y) / a.shape[1]


def mean_absolute_error(z, a, y):
    """l = mean_j |a_j - y_j|"""
    return np.abs(a - y).mean(axis=1)


def mean_absolute_error_delta(a, y):
    """da = sign(a - y) / n_out"""
    return np.sign(a - y) / a.shape[1]


def huber(z, a, y, delta=1.0):
    """l = mean_j h(a_j - y_j), h(e) = e^2 / 2 up to |e| = delta, then delta |e| - delta^2 / 2"""
    e = np.abs(a - y)
    return np.where(e <= delta, e**2 / 2.0, delta * e - delta**2 / 2.0).mean(axis=1)


def huber_delta(a, y, delta=1.0):
    """da = (a - y) / n_out, with a - y cut off at -delta and delta"""
    return np.clip(a - y, -delta, delta) / a.shape[1]


def poisson(z, a, y):
    """l = mean_j (a_j - y_j log(a_j + 1e-7))"""
    return (a - y * np.log(a + 1e-7)).mean(axis=1)


def poisson_delta(a, y):
    """da = (1 - y / (a + 1e-7)) / n_out"""
    return (1.0 - y / (a + 1e-7)) / a.shape[1]


def hinge(z, a, y):
    """l = mean_j max(1 - y_j a_j, 0)"""
    return np.maximum(1.0 - y * a, 0.0).mean(axis=1)


def hinge_delta(a, y):
    """da = -y / n_out where y a < 1, else 0"""
    return -y * (y * a < 1.0) / a.shape[1]


def squared_hinge(z, a, y):
    """l = mean_j max(1 - y_j a_j, 0)^2"""
    return (np.maximum(1.0 - y * a, 0.0) ** 2).mean(axis=1)


def squared_hinge_delta(a, y):
    """da = -2 y max(1 - y a, 0) / n_out"""
    return -2.0 * y * np.maximum(1.0 - y * a, 0.0) / a.shape[1]


def binary_crossentropy(z, a, y):
    """l = -mean_j (y_j log a_j + (1 - y_j) log(1 - a_j)), where -log a = log(1 + exp(-z))"""
    return (y * np.logaddexp(0.0, -z) + (1.0 - y) * np.logaddexp(0.0, z)).mean(axis=1)


def binary_crossentropy_delta(a, y):
    """dz = (a - y) / n_out"""
    return (a - y) / a.shape[1]


def log_loss(z, a, y):
    """binary_crossentropy with the sum over j in place of the mean"""
    return binary_crossentropy(z, a, y) * a.shape[1]


def log_loss_delta(a, y):
    """dz = a - y"""
    return a - y


def half_squared_error(z, a, y):
    """l = 1/2 mean_j (a_j - y_j)^2"""
    return 0.5 * mean_squared_error(z, a, y)


def half_squared_error_delta(a, y):
    """da = a - y, which is n_out times the derivative of l, as in scikit-learn"""
    return a - y


def half_poisson_deviance(z, a, y):
    """l = sum_j (y_j log(y_j / a_j) - y_j + a_j), 0 log 0 = 0, log a = z"""
    log_y = np.log(np.where(y > 0, y, 1.0))
    return (y * (log_y - z) - y + a).sum(axis=1)


def half_poisson_deviance_delta(a, y):
    """dz = a - y"""
    return a - y


def categorical_crossentropy(z, a, y):
    """l = -sum_j y_j log a_j"""
    return -(y * log_softmax(z)).sum(axis=1)


def categorical_crossentropy_delta(a, y):
    """dz = a - y, for rows y that sum to one (any other sum S gives S a - y)"""
    return a * y.sum(axis=1, keepdims=True) - y


LOSSES = {  # value, delta, and the activation the delta is fused with
    "mean_squared_error": (mean_squared_error, mean_squared_error_delta, None),
    "mean_absolute_error": (mean_absolute_error, mean_absolute_error_delta, None),
    "huber": (huber, huber_delta, None),
    "poisson": (poisson, poisson_delta, None),
    "hinge": (hinge, hinge_delta, None),
    "squared_hinge": (squared_hinge, squared_hinge_delta, None),
    "binary_crossentropy": (binary_crossentropy, binary_crossentropy_delta, "sigmoid"),
    "log_loss": (log_loss, log_loss_delta, "sigmoid"),
    "half_squared_error": (half_squared_error, half_squared_error_delta, None),
    "half_poisson_deviance": (half_poisson_deviance, half_poisson_deviance_delta, "exponential"),
    "categorical_crossentropy": (
        categorical_crossentropy,
        categorical_crossentropy_delta,
        "softmax",
    ),
}


def name_and_settings(loss):
    """Of a name, or of an object of fastnn."""
    return (loss, {}) if isinstance(loss, str) else (loss.name, dict(vars(loss)))


def targets(y, loss, n_out):
    """y as float64 (n_rows, n_out); class numbers become one-hot rows, 0 for a hinge -1.

    Label smoothing s makes y (1 - s) + s / n_classes of the y of a cross-entropy.
    """
    y, (name, settings) = np.asarray(y), name_and_settings(loss)
    s = settings.get("label_smoothing", 0.0)
    if name in ("hinge", "squared_hinge"):
        y = np.where(y > 0, 1.0, -1.0)
    if name == "categorical_crossentropy" and (y.ndim == 1 or y.shape[1] != n_out):
        y = np.eye(n_out)[y.astype(int).ravel()]
    y = y.astype(np.float64).reshape(len(y), n_out)
    return y * (1.0 - s) + s / (2 if name in ("binary_crossentropy", "log_loss") else n_out)


def loss_and_delta(loss, activation, z, a, y):
    """l of each sample, and dl/dz of the output layer, one row for each."""
    name, settings = name_and_settings(loss)
    value, delta, fused_with = LOSSES[name]
    for setting in ("label_smoothing", "reduction"):
        settings.pop(setting, None)
    dz = delta(a, y, **settings)
    if fused_with is None:
        _, backward = ACTIVATIONS[activation]
        dz = backward(z, dz)
    elif fused_with != activation:
        raise ValueError(f"the oracle knows {name} on {fused_with} only, not on {activation}")
    return value(z, a, y, **settings), dz


def forward(weights, activations, X, masks=None):
    """Lists z = [z1, ..., zL] and a = [X, a1, ..., aL]: layer k turns a[k] into z[k], a[k + 1].

    `masks` holds, for each layer, what dropout multiplies its inputs by; then a holds the products.
    """
    masks = [1.0] * len(activations) if masks is None else masks
    z, a = [], [np.asarray(X, np.float64)]
    for W, b, name, mask in zip(weights[::2], weights[1::2], activations, masks, strict=True):
        f, _ = ACTIVATIONS[name]
        a[-1] = a[-1] * mask
        z.append(a[-1] @ W + (0.0 if b is None else b))
        a.append(f(z[-1]))
    return z, a


def divisor(loss, n_rows, sample_weight=None):
    """What sum_i w_i l_i of a batch is divided by: its rows, or their weights."""
    _, settings = name_and_settings(loss)
    if sample_weight is None or settings.get("reduction") != "mean_with_sample_weight":
        return n_rows
    return np.sum(sample_weight, dtype=np.float64)


def gradient(weights, activations, loss, X, y, sample_weight=None, masks=None, n=None):
    """Backpropagation: L = sum_i w_i l_i / n, and [dL/dW1, dL/db1, ...]. No weight moves.

    n is the divisor of the batch unless it is given.
    """
    z, a = forward(weights, activations, X, masks)
    w = 1.0 if sample_weight is None else sample_weight
    w = np.broadcast_to(np.asarray(w, np.float64), len(a[0]))
    n = divisor(loss, len(a[0]), sample_weight) if n is None else n
    y = targets(y, loss, a[-1].shape[1])
    losses, dz = loss_and_delta(loss, activations[-1], z[-1], a[-1], y)
    L = w @ losses / n
    return L, backward(weights, activations, z, a, dz * w[:, None] / n, masks)[0]


def backward(weights, activations, z, a, dz, masks=None):
    """[dL/dW1, dL/db1, ...] and dL/dX, given dL/dz of the output layer."""
    masks = [1.0] * len(z) if masks is None else masks
    gradients = []
    for k in reversed(range(len(z))):
        W, b = weights[2 * k : 2 * k + 2]
        gradients = [a[k].T @ dz, None if b is None else dz.sum(axis=0), *gradients]
        da = dz @ np.transpose(W) * masks[k]
        if k > 0:
            _, activation_backward = ACTIVATIONS[activations[k - 1]]
            dz = activation_backward(z[k - 1], da)
    return gradients, da


def dropout_mask(key, positions, layer, n_in, rate):
    """What dropout multiplies the inputs of a layer by, for rows at these positions of an epoch.

    Each unit draws 32 bits: SplitMix64 mixes key, layer and position, then the two halves of that
    and the unit are mixed in 32 bits. Below 2^32 rate it is left out.
    """
    mask32, mask64 = 2**32 - 1, 2**64 - 1
    draws = np.empty((len(positions), n_in))
    for r, position in enumerate(positions):
        h = ((key & mask64) ^ (layer << 56)) + int(position) * 0x9E3779B97F4A7C15 & mask64
        h = (h ^ h >> 30) * 0xBF58476D1CE4E5B9 & mask64
        h = (h ^ h >> 27) * 0x94D049BB133111EB & mask64
        h ^= h >> 31
        for j in range(n_in):
            u = (j + (h & mask32)) & mask32
            u = (u ^ u >> 16) * 0x7FEB352D & mask32
            u = (u ^ u >> 15 ^ h >> 32) * 0x846CA68B & mask32
            draws[r, j] = u ^ u >> 16
    threshold = round(rate * 2**32)
    return np.where(draws >= threshold, 2**32 / (2**32 - threshold), 0.0)


class Momentum:
    """v := momentum v - rate dW; W := W + v, or Nesterov's W + momentum v - rate dW.

    l1, l2 and alpha, one factor a layer, add l1 sign(W) + 2 l2 W + alpha W / n to dW, not to db,
    with the divisor n of the batch; factors, one a layer, multiply the rate, and 0 leaves the layer
    as it is. What is kept stays from call to call.
    """

    def __init__(
        self, momentum=0.0, nesterov=False, l1=(), l2=(), factors=(), weight_decay=0.0,
        clipvalue=None, clipnorm=None, global_clipnorm=None, use_ema=False, ema_momentum=0.99,
        alpha=(),
    ):  # fmt: skip
        self.momentum, self.nesterov = momentum, nesterov
        self.l1, self.l2, self.alpha, self.factors = l1, l2, alpha, factors
        self.weight_decay = weight_decay
        self.clipvalue, self.clipnorm, self.global_clipnorm = clipvalue, clipnorm, global_clipnorm
        self.use_ema, self.ema_momentum = use_ema, ema_momentum
        self.velocity, self.average, self.t, self.clipped_steps = {}, {}, 0, 0

    def factor(self, i):
        return self.factors[i // 2] if self.factors else 1.0

    def shared(self, weights):
        """sum_k alpha_k / 2 sum W_k^2, which the rows of a batch share."""
        squares = [np.sum(W**2) for W in weights[::2]]
        return sum(a / 2 * square for a, square in zip(self.alpha, squares, strict=False))

    def penalised(self, i, W, dW, n):
        """The i-th gradient with what regularisers add; even ones are dW, odd ones db."""
        layer = i // 2
        if i % 2 == 0 and layer < len(self.l1):
            dW = dW + self.l1[layer] * np.sign(W)
        if i % 2 == 0 and layer < len(self.l2):
            dW = dW + 2 * self.l2[layer] * W
        if i % 2 == 0 and layer < len(self.alpha):
            dW = dW + self.alpha[layer] * W / n
        return dW

    def clipped(self, gradients):
        """The gradients, cut off or scaled; counts the steps in which any is."""
        norms = {i: np.sqrt(np.sum(g**2)) for i, g in gradients.items()}
        if self.clipvalue is not None:
            limit = self.clipvalue
            self.clipped_steps += any(np.abs(g).max() > limit for g in gradients.values())
            return {i: np.clip(g, -limit, limit) for i, g in gradients.items()}
        if self.clipnorm is not None:
            limit = self.clipnorm
            self.clipped_steps += max(norms.values()) > limit
            return {i: g * limit / max(norms[i], limit) for i, g in gradients.items()}
        if self.global_clipnorm is not None:
            limit, norm = self.global_clipnorm, np.sqrt(sum(n**2 for n in norms.values()))
            self.clipped_steps += norm > limit
            return {i: g * limit / max(norm, limit) for i, g in gradients.items()}
        return gradients

    def step(self, weights, gradients, rate, n=1):
        """The weights after a step; the rate may be a function of the steps before."""
        rate = rate(self.t) if callable(rate) else rate
        self.t += 1
        moving = [i for i, W in enumerate(weights) if W is not None and self.factor(i)]
        dW = self.clipped({i: self.penalised(i, weights[i], gradients[i], n) for i in moving})
        weights = list(weights)
        for i in moving:
            own_rate = rate * self.factor(i)
            W = weights[i] - own_rate * self.weight_decay * weights[i]
            weights[i] = self.move(i, W, dW[i], own_rate)
            keep = (self.t - 1) / self.t if self.ema_momentum is None else self.ema_momentum
            keep = keep if self.t > 1 else 0.0
            self.average[i] = keep * self.average.get(i, 0.0) + (1 - keep) * weights[i]
        return weights

    def move(self, i, W, dW, rate):
        v = self.momentum * self.velocity.get(i, 0.0) - rate * dW
        self.velocity[i] = v
        return W + self.momentum * v - rate * dW if self.nesterov else W + v


class Adam(Momentum):
    """m, v: means of g, g^2; W - rate sqrt(1 - beta2^t) / (1 - beta1^t) m / (sqrt v + epsilon)"""

    def __init__(self, beta_1, beta_2, epsilon, amsgrad, **settings):
        super().__init__(**settings)
        self.beta_1, self.beta_2, self.epsilon, self.amsgrad = beta_1, beta_2, epsilon, amsgrad
        self.kept = {}

    def move(self, i, W, dW, rate):
        t, m, v, largest = self.kept.get(i, (0, 0.0, 0.0, 0.0))
        t += 1
        m = self.beta_1 * m + (1 - self.beta_1) * dW
        v = self.beta_2 * v + (1 - self.beta_2) * dW**2
        largest = np.maximum(largest, v)
        self.kept[i] = t, m, v, largest
        rate = rate * np.sqrt(1 - self.beta_2**t) / (1 - self.beta_1**t)
        return W - rate * m / (np.sqrt(largest if self.amsgrad else v) + self.epsilon)


class RMSprop(Momentum):
    """v: mean of g^2; W - rate g / sqrt(v + epsilon), or the running sum of such steps"""

    def __init__(self, rho, epsilon, **settings):
        super().__init__(**settings)
        self.rho, self.epsilon = rho, epsilon
        self.kept = {}

    def move(self, i, W, dW, rate):
        v, u = self.kept.get(i, (0.0, 0.0))
        v = self.rho * v + (1 - self.rho) * dW**2
        u = self.momentum * u + rate * dW / np.sqrt(v + self.epsilon)
        self.kept[i] = v, u
        return W - u


class Adagrad(Momentum):
    """v: initially + sum of g^2; W - rate g / sqrt(v + epsilon)"""

    def __init__(self, initial_accumulator_value, epsilon, **settings):
        super().__init__(**settings)
        self.initially, self.epsilon, self.kept = initial_accumulator_value, epsilon, {}

    def move(self, i, W, dW, rate):
        v = self.kept.get(i, self.initially) + dW**2
        self.kept[i] = v
        return W - rate * dW / np.sqrt(v + self.epsilon)


def rule_for(optimizer, **layers):
    """The oracle's rule with the settings of an optimiser; l1, l2, ... are the layers'."""
    known = {field.name: getattr(optimizer, field.name) for field in fields(optimizer)}
    settings = {**known, **layers}
    settings.pop("learning_rate")
    kind = {"SGD": Momentum, "AdamW": Adam}.get(type(optimizer).__name__)
    return (kind or globals()[type(optimizer).__name__])(**settings)


def descend(
    weights, activations, loss, X, y, learning_rate, batch_size, order, sample_weight=None,
    rule=None, dropout=None,
):  # fmt: skip
    """Gradient descent, one epoch in the given order: new weights and the running mean loss.

    W := W - learning_rate * dW after every batch, or what the rule makes of it. The last batch may
    be smaller: its mean is over its own rows. The loss of a batch is taken before its update, and
    holds what the rule's alphas add; it counts as often as the batch has rows. A batch without
    weight makes no step. batch_size=1 is stochastic: the weight of a row multiplies its step, and
    the alphas add what they do with the weights of the beginning. `dropout` is the epoch's key and
    a rate for each layer.
    """
    rule = Momentum() if rule is None else rule
    weights = [None if W is None else np.array(W, np.float64) for W in weights]
    X, y, order = np.asarray(X), np.asarray(y), np.asarray(order)
    total, shared = 0.0, rule.shared(weights)
    for start in range(0, len(order), batch_size):
        rows = order[start : start + batch_size]
        w = None if sample_weight is None else np.asarray(sample_weight)[rows]
        n = 1 if batch_size == 1 else divisor(loss, len(rows), w)
        if n == 0:
            continue
        shared = shared if batch_size == 1 else rule.shared(weights)
        masks = None
        if dropout is not None:
            key, rates = dropout
            positions = np.arange(start, start + len(rows))
            masks = [
                dropout_mask(key, positions, k, len(W), rate) if rate else 1.0
                for k, (W, rate) in enumerate(zip(weights[::2], rates, strict=True))
            ]
        L, gradients = gradient(weights, activations, loss, X[rows], y[rows], w, masks, n)
        total += (L + shared / n) * len(rows)
        weights = rule.step(weights, gradients, learning_rate, n)
    return weights, total / len(order)
