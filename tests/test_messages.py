"""The code that error messages suggest works: each line is taken from a message and run.

The last test finds every message that suggests something, so that none is forgotten.
"""

import ast
import copy
import re
import traceback
import warnings
from pathlib import Path

import numpy as np
import pytest

import fastnn
from fastnn import custom, initializers, losses, metrics, schedules

PACKAGE = Path(fastnn.__file__).parent
# These have tests of their own for their messages.
OTHERS = {
    "options.py",
    "commands.py",
    "tables.py",
    "npz.py",
    "plot.py",
    "style.py",
    "curves.py",
    "surfaces.py",
}  # tested in their own test files

HEAD = """
X, y = np.arange(12.0).reshape(6, 2) / 12, np.arange(6.0) / 6
two, three = np.array([0, 1, 0, 1, 1, 0]), np.array([0, 1, 2, 0, 1, 2])
def made(*layers, loss="mse", optimizer="sgd", **settings):
    model = Sequential(list(layers) or [Dense(1)], seed=0)
    model.compile(optimizer, loss, **settings)
    return model
def softmax(n, **settings):
    return made(Dense(n, "softmax"), loss="categorical_crossentropy", **settings)
def sigmoid(**settings):
    return made(Dense(1, "sigmoid"), loss="binary_crossentropy", **settings)
def built():
    model = made()
    model.build(2)
    return model
def metric(y_true, y_pred):
    return 1.0
own = lambda y_true, y_pred: (float((y_pred ** 2).mean()), 2 * y_pred / y_pred.size)
"""

# Code that raises; a pattern for the suggested line in its message; code to run, {} for the line.
CASES = [
    # looking inside
    ("built().activations(X, layer=7)", r"e\.g\. (layer=0)$", "built().activations(X, {})"),
    ("fastnn.gradcheck('model', X, y)", r"estimator (estimator\.model_)",
     "estimator = MLPRegressor(solver='lbfgs').fit(X, y[:6]); fastnn.gradcheck({}, X, y)"),
    ("m = made(Dense(4000), Dense(1)); m.build(4000); m.per_sample_gradients("
     "np.zeros((10_000, 4000), np.float32), np.ones(10_000))",
     r"e\.g\. (X\[:100\])$", "built().per_sample_gradients({}, y[:100])"),
    ("m = made(optimizer=SGD('auto')); m.build(2); m.explain_update(m.trace(X, y))",
     r"e\.g\. (model\.compile\(.*\))$",
     "model = made(optimizer=SGD('auto')); model.build(2); {}; "
     "model.explain_update(model.trace(X, y))"),
    ("built().predict(X, samples=5)", r"e\.g\. (Sequential\(.*\))$",
     "m = {}; m.build(2); m.predict(X, samples=5)"),
    # numbers and names
    ("Dense(8.0)", r"e\.g\. (units=8)$", "Dense({})"),
    ("Dense('8')", r"e\.g\. (units=1)$", "Dense({})"),
    ("SGD('0.1')", r"for (SGD\(.*?\))", "made(optimizer={}).fit(X, y, mode='batch')"),
    ("SGD(None)", r"e\.g\. (learning_rate=.*)", "SGD({})"),
    ("Dropout(2)", r"e\.g\. (rate=.*)", "Dropout({})"),
    ("Dropout('a')", r"e\.g\. (rate=.*)", "Dropout({})"),
    ("CSVLogger(None)", r"e\.g\. ('.*')", "CSVLogger({})"),
    ("initializers.Constant(np.inf)", r"e\.g\. (value=.*)", "initializers.Constant({})"),
    ("initializers.RandomUniform(1, 0)", r"e\.g\. (.*)", "initializers.RandomUniform({})"),
    ("Dense(1, 'rleu')", r"Did you mean ('relu')", "Dense(1, {})"),
    ("made(optimizer='sdg')", r"Did you mean ('sgd')", "made(optimizer={})"),
    ("Sequential(3)", r"e\.g\. (layers=.*)", "Sequential({})"),
    ("built().set_weights(3)", r"e\.g\. weights=(.*)", "model = built(); model.set_weights({})"),
    ("built().set_weights([np.ones(2), [1.0]])", r"e\.g\. (.*)",
     "built().set_weights([{}, [0.0]])"),
    ("built().set_weights(['a', [1.0]])", r"e\.g\. (.*)\.$", "built().set_weights([{}, [0.0]])"),
    ("fastnn.show_config('dict')", r"e\.g\. (.*)", "fastnn.{}"),
    # rows
    ("built().predict([1.0, 2.0])", r"One sample: (.*);", "X = [1.0, 2.0]; built().predict({})"),
    ("built().predict([1.0])", r"feature: (.*)\.$", "X = [1.0, 2.0]; made().fit({}, [1, 2])"),
    ("built().predict(np.ones((2, 1, 2)))", r"like: (.*)\.$",
     "X = np.ones((2, 1, 2)).tolist(); built().predict({})"),
    ("made().fit(X, y, validation_data=([1.0, 2.0], [1.0]))", r"One sample: (.*);",
     "X_all, X = X, [1.0, 2.0]; made().fit(X_all, y, validation_data=({}, [1.0]))"),
    ("built().predict([[1.0, np.nan]])", r"e\.g\. (.*), and so y",
     "X = [[1.0, np.nan], [1.0, 2.0]]; {}; built().predict(X)"),
    ("built().predict([[1e300, 1.0]])", r"with (dtype='float64')",
     "m = Sequential([Dense(1)], {}); m.build(2); m.predict([[1e300, 1.0]])"),
    ("built().predict([['1', '2']])", r"numbers: (X = .*?\))\.",
     "X = [['1', '2']]; {}; built().predict(X)"),
    ("built().predict([[1.0, '2']])", r"numbers: (X = .*?\))\.",
     "X = np.array([[1.0, '2']], object); {}; built().predict(X)"),
    ("built().predict(np.ma.array(X, mask=X > 0.5))", r"e\.g\. (.*)",
     "X = np.ma.array(X, mask=X > 0.5); built().predict({})"),
    ("built().predict(csr_array(X))", r"e\.g\. (.*)", "X = csr_array(X); built().predict({})"),
    ("built().predict(X, out=[1.0])", r"e\.g\. (out=.*)", "built().predict(X, {})"),
    ("built().predict(X, out=np.ones(6))", r"e\.g\. (out=.*)", "built().predict(X, {})"),
    ("built().predict(X[:, :1])", r"pass the (2) columns", "built().predict(X[:, :{}])"),
    # targets
    ("softmax(3).fit(X, three + 1)", r"from 0: (y = .*?);",
     "y = (three + 1).tolist(); {}; softmax(3).fit(X, y); assert (y == three).all()"),
    ("softmax(3).fit(X, three + 1)", r"or e\.g\. (.*)",
     "made({}, loss='categorical_crossentropy').fit(X, three + 1)"),
    ("softmax(3).fit(X, three * 10)", r"first: (.*)", "y = three * 10; {}; softmax(3).fit(X, y)"),
    ("softmax(2).fit(X, three)", r"e\.g\. (.*)",
     "made({}, loss='categorical_crossentropy').fit(X, three)"),
    ("softmax(2).fit(X, 2 * two - 1)", r"first: (.*)",
     "y = 2 * two - 1; {}; softmax(2).fit(X, y)"),
    ("softmax(3).fit(X, y)", r"For numbers: (.*?) as .* loss=(.*)", "made({}, loss={}).fit(X, y)"),
    ("sigmoid().fit(X, 10 * y)", r"For numbers: (.*?) as .* loss=(.*)",
     "made({}, loss={}).fit(X, 10 * y)"),
    ("sigmoid().fit(X, two + 1)", r"first: (.*)", "y = two + 1; {}; sigmoid().fit(X, y)"),
    ("sigmoid().fit(X, three)", r"classes: (.*?) as .* loss=(.*)",
     "made({}, loss={}).fit(X, three)"),
    ("sigmoid().fit(X, three + 1)", r"first: (.*?\))\. .*: (.*?) as .* loss=(.*)",
     "y = three + 1; {}; made({}, loss={}).fit(X, y)"),
    ("made(Dense(2, 'sigmoid'), loss='binary_crossentropy').fit(X, 9 * X)",
     r"For numbers: (.*?) as .* loss=(.*)", "made({}, loss={}).fit(X, 9 * X)"),
    ("made(loss='hinge').fit(X, two + 1)", r"first: (.*)",
     "y = two + 1; {}; made(loss='hinge').fit(X, y)"),
    ("sigmoid().fit(X, np.array(list('ababab')))", r"first: (.*)",
     "y = np.array(list('ababab')); {}; sigmoid().fit(X, y)"),
    ("made().fit(X, ['1', '2', '3', '4', '5', '6'])", r"numbers: (y = .*?\))\.",
     "y = list('123456'); {}; made().fit(X, y)"),
    # weights of rows
    ("sigmoid().fit(X, two, class_weight=3)", r"e\.g\. (.*) or", "sigmoid().fit(X, two, {})"),
    ("sigmoid().fit(X, two, class_weight=3)", r"e\.g\. .* or (.*)", "sigmoid().fit(X, two, {})"),
    ("sigmoid().fit(X, two, class_weight={2: 1})", r"e\.g\. (.*) or", "sigmoid().fit(X, two, {})"),
    ("sigmoid().fit(X, two, class_weight={0: -1})", r"e\.g\. class_weight\[0\]=(.*)",
     "sigmoid().fit(X, two, class_weight={{0: {}}})"),
    ("softmax(3).fit(X, three, class_weight={2: 3.0}, sample_weight=np.ones(6))", r"yourself: (.*)",
     "sample_weight, y = [1.0] * 6, three.astype(float); {}; "
     "softmax(3).fit(X, y, sample_weight=sample_weight); assert sample_weight.tolist() == "
     "[1, 1, 3] * 2"),
    ("sigmoid().fit(X, two, class_weight='balanced', sample_weight=np.ones(6))", r"yourself: (.*)",
     "sample_weight, y = np.ones(6), two; {}; sigmoid().fit(X, y, sample_weight=sample_weight)"),
    ("sigmoid().fit([(X, two)], class_weight='balanced')", r"e\.g\. (.*)",
     "sigmoid().fit([(X, two)], {})"),
    ("softmax(2).fit(X, [[0.5, 0.5]] * 6, class_weight='balanced')", r"e\.g\. (.*)",
     "y = [[0.5, 0.5]] * 6; {}; softmax(2).fit(X, y, sample_weight=sample_weight)"),
    ("made(loss='hinge').fit([(X, two), (X, 2 * two - 1)])", r"e\.g\. (.*)",
     "y = two.tolist(); {}; made(loss='hinge').fit([(X, y), (X, 2 * two - 1)])"),
    # layers and models
    ("Sequential([3])", r"e\.g\. (.*)", "{}"),
    ("Sequential([Normalization()])", r"e\.g\. (.*)", "{}"),
    ("Dense(1, kernel_initializer=3)", r"e\.g\. (.*)", "Dense(1, {})"),
    ("Dense(1, kernel_initializer=['a'])", r"e\.g\. (.*)\.$", "Dense(1, {})"),
    ("Dense(1, bias_initializer='orthogonal')", r"e\.g\. (.*)", "Dense(1, {})"),
    ("Dense(1, kernel_regularizer=3)", r"e\.g\. (.*)", "Dense(1, {})"),
    ("initializers.Stored((3, 2))(None, (3, 2))", r"e\.g\. (.*)", "Sequential([{}]).build(3)"),
    ("Normalization(['a'], [1.0])", r"e\.g\. (.*)\.$", "{}"),
    ("Normalization().adapt(X * 1e-200)", r"e\.g\. (.*)",
     "X = X[:, :1] * 1e-200; {}; Normalization().adapt(X)"),
    ("made(Normalization(), Dense(1)).fit(X, y)", r"call (.*) first",
     "model = made(Normalization(), Dense(1)); {}; model.fit(X, y)"),
    ("Sequential([Dense(1)]).predict(X)", r"call (.*) or fit",
     "model, n_features = made(), 2; {}; model.predict(X)"),
    ("Sequential([Dense(1)]).fit(X, y)", r"call (.*)",
     "model = Sequential([Dense(1)]); {}; model.fit(X, y)"),
    ("Sequential([Dense(2, 'softmax')]).fit(X, two)", r"call (.*)",
     "model = Sequential([Dense(2, 'softmax')]); {}; model.fit(X, two)"),
    ("built().backward([[1.0]])", r"call (.*), then (.*)",
     "model, dL_dy = built(), np.ones((6, 1)); {}; {}"),
    ("built().apply([1.0])", r"as (.*) returns",
     "model, dL_dy = built(), np.ones((6, 1)); model.forward(X); model.apply({})"),
    ("made(optimizer='lbfgs').apply({}) if built() else 0".replace("made(", "lbfgs("),
     r"e\.g\. (.*)", "model = lbfgs(); {}; model.apply(built().gradient(X, y))"),
    ("trained().find_learning_rate(X, y)", r"new ones: (.*)", "model = trained(); {}"),
    ("built().find_learning_rate(X, y, lowest=100, highest=200)", r"e\.g\. (.*)",
     "built().find_learning_rate(X, y, {})"),
    ("setattr(built(), 'learning_rate', 0.1)", r"'s: (.*)",
     "model = built(); {}; assert model.optimizer.learning_rate == 0.1"),
    ("setattr(built(), 'lr', 0.1)", r"'s: (.*)", "model = built(); {}"),
    ("setattr(built(), 'momentum', 0.1)", r"'s: (.*)", "model = built(); {}"),
    ("setattr(built(), 'weights', [])", r"take (.*) and (.*)",
     "model = built(); weights = {}; {}"),
    ("setattr(built(), 'optimizer', 'adam')", r"compile: (.*)", "model = built(); {}"),
    ("setattr(sigmoid(), 'optimizer', SGD(0.5))", r"compile: (.*)",
     "model = sigmoid(); {}; assert model.optimizer.learning_rate == 0.5"),
    ("setattr(made(loss=own), 'optimizer', 3)", r"compile: (.*)", "model = built(); {}"),
    ("setattr(built().optimizer, 'lr', 0.2)", r"rate, (.*)",
     "optimizer = built().optimizer; {}; assert optimizer.learning_rate == 0.2"),
    ("setattr(built().optimizer, 'momentum', 0.2)", r"e\.g\. (.*)", "made({})"),
    ("setattr(built().optimizer, 'learning_rate', 'auto')", r"with (.*)", "made(optimizer={})"),
    ("SGD('auto', momentum=0.9)", r"e\.g\. (.*)", "made(optimizer={}).fit(X, y, mode='batch')"),
    # compile
    ("made(optimizer=3)", r"e\.g\. (.*)", "made({})"),
    ("made(loss=3)", r"e\.g\. (.*) or", "made(Dense(1, 'sigmoid'), {})"),
    ("made(loss=3)", r"or (loss=.*)", "made({})"),
    ("made(loss='binary_crossentropy')", r"e\.g\. (.*?) as",
     "made({}, loss='binary_crossentropy')"),
    ("made(loss='categorical_crossentropy')", r"e\.g\. (.*?) as",
     "made({}, loss='categorical_crossentropy')"),
    ("made(Dense(1, 'softmax'), loss='categorical_crossentropy')", r"use (.*), or",
     "made({}, loss='categorical_crossentropy')"),
    ("made(Dense(1, 'softmax'), loss='categorical_crossentropy')", r", or (.*?) with loss=(.*)",
     "made({}, loss={})"),
    ("losses.BinaryCrossentropy(from_logits=True)", r"with (Dense.*) and .*: loss=(.*)",
     "made({}, loss=losses.{})"),
    ("losses.CategoricalCrossentropy(from_logits=True)", r"with (Dense.*) and .*: loss=(.*)",
     "made({}, loss=losses.{})"),
    ("made(loss=None, metrics=['mae'])", r"e\.g\. loss=(.*)", "made(loss={}, metrics=['mae'])"),
    ("made(loss=None, metrics=['accuracy'])", r"e\.g\. loss=(.*)",
     "made(loss={}, metrics=['accuracy'])"),
    ("made(Dense(3, 'softmax'), loss=None, metrics=['accuracy'])", r"e\.g\. loss=(.*)",
     "made(Dense(3, 'softmax'), loss={}, metrics=['accuracy'])"),
    ("made(metrics=3)", r"e\.g\. (.*)", "sigmoid({})"),
    ("made(metrics=['accuracy'])", r"e\.g\. (.*), or", "made({})"),
    ("made(metrics=['accuracy'])", r"and 1 (.*)", "made({})"),
    ("made(Dense(1, 'softplus'), loss='poisson', metrics=['accuracy'])", r"e\.g\. (.*)",
     "made(Dense(1, 'softplus'), loss='poisson', {})"),
    ("softmax(3, weighted_metrics=['mae'])", r"e\.g\. (.*)", "softmax(3, {})"),
    ("sigmoid(metrics=['categorical_accuracy'])", r"e\.g\. (.*)", "sigmoid({})"),
    ("softmax(3, metrics=['top_k_accuracy'])", r"e\.g\. (.*)", "softmax(3, {})"),
    ("made(metrics=[3])", r"e\.g\. (.*)", "made({})"),
    ("sigmoid(metrics=['AUC'])", r"e\.g\. (.*)", "sigmoid({}).fit(X, two)"),
    ("made(metrics=['mae', 'mae'])", r"name: (.*)", "f = metric; made(metrics=['mae', {}])"),
    ("metrics.Accuracy(name=3)", r"e\.g\. (.*)", "metrics.Accuracy({})"),
    ("metrics.Accuracy(name='loss')", r"e\.g\. (.*)", "metrics.Accuracy({})"),
    ("metrics.Accuracy(name='a:b')", r"e\.g\. (.*)", "metrics.Accuracy({})"),
    ("made(loss=lambda t, p: 3).fit(X, y)", r"e\.g\. def loss(.*)",
     "exec('def loss{}', globals()); made(loss=loss).fit(X, y)"),
    ("made(loss=lambda t, p: (3.0, [1.0])).fit(X, y)", r"e\.g\. def loss(.*)",
     "exec('def loss{}', globals()); made(loss=loss).fit(X, y[:, None])"),
    # fit
    ("made().fit(X)", r"each (\(X, y\)) or", "made().fit([{}])"),
    ("made().fit(X, y, mode='minibatch', batch_size=1)", r"say (.*?),", "made().fit(X, y, {})"),
    ("made().fit(X, y, mode='stochastic', batch_size=2)", r"use (.*)",
     "made().fit(X, y, batch_size=2, {})"),
    ("made().fit(X, y, mode='batch', batch_size=2)", r"use (.*)",
     "made().fit(X, y, batch_size=2, {})"),
    ("made().fit([(X, y)], mode='batch', batch_size=2)", r"use (.*)",
     "made().fit([(X, y)], batch_size=2, {})"),
    ("made(loss=own).fit(X, y, mode='stochastic')", r"say fit\(\.\.\., (.*?)\)",
     "made(loss=own).fit(X, y, {})"),
    ("made(loss=own).fit(X, y, mode='stochastic')", r"\) or (.*)", "made(loss=own).fit(X, y, {})"),
    ("made(optimizer=SGD('auto')).fit(X, y, mode='stochastic')", r"say fit\(\.\.\., (.*)\)",
     "made(optimizer=SGD('auto')).fit(X, y, {})"),
    ("made(optimizer=SGD('auto')).fit([(X, y)])", r"e\.g\. (.*)",
     "model = made(optimizer=SGD('auto')); {}; model.fit([(X, y)])"),
    ("sigmoid(optimizer=SGD('auto')).fit([(X, two)])", r"e\.g\. (.*)",
     "model = sigmoid(optimizer=SGD('auto')); {}; model.fit([(X, two)])"),
    ("made().fit(X, y, validation_split=1e-20)", r"as (.*)", "made().fit(X, y, {})"),
    ("made().fit([(X, y)], validation_split=0.5)", r"give (.*)", "made().fit([(X, y)], {})"),
    ("made().fit(X, y, validation_data=X)", r"e\.g\. (.*)", "made().fit(X, y, {})"),
    ("made().fit(X, y, callbacks=EarlyStopping('loss'))", r"e\.g\. (.*)", "made().fit(X, y, {})"),
    ("made().fit(X, y, callbacks=[TerminateOnNaN])", r"e\.g\. (.*)", "made().fit(X, y, {})"),
    ("made().fit(X, y, callbacks=[EarlyStopping()])", r"e\.g\. (.*), or fit of an estimator",
     "made().fit(X, y, callbacks=[EarlyStopping()], {})"),
    ("sigmoid().fit(X, two, callbacks=[EarlyStopping('acc')])", r"e\.g\. (.*)",
     "sigmoid({}).fit(X, two, callbacks=[EarlyStopping('accuracy')])"),
    ("ModelCheckpoint(None)", r"e\.g\. (.*)", "ModelCheckpoint({})"),
    ("made(optimizer=Adam)", r"e\.g\. (.*)", "made({})"),
    ("made().fit(X, y, callbacks=3)", r"e\.g\. (.*)", "made().fit(X, y, {})"),
    ("made().fit(X, y, validation_split=0.5)", r"e\.g\. (.*)",
     "{}; made().fit(X, y, validation_split=0.5)"),
    ("made().fit([(X, y)], steps_per_epoch=2, epochs=2) and made().fit(iter([(X, y)]), "
     "steps_per_epoch=2)", r"e\.g\. (itertools.*)",
     "chunks = [(X, y)]; made().fit({}, steps_per_epoch=2)"),
    ("made().fit(twice(), epochs=2)", r"e\.g\. a (list)",
     "made().fit({}(twice()), epochs=2)"),
    # callbacks and schedules
    ("EarlyStopping(3)", r"e\.g\. (.*)", "EarlyStopping({})"),
    ("made(metrics=[metric]).fit(X, y, callbacks=[EarlyStopping('metric')])", r"say (.*) or",
     "made(metrics=[metric]).fit(X, y, callbacks=[EarlyStopping('metric', {})])"),
    ("ModelCheckpoint('best.h5')", r"e\.g\. (.*) or", "ModelCheckpoint({})"),
    ("ModelCheckpoint('best.h5')", r"or ('.*')", "ModelCheckpoint({})"),
    ("made().fit(X, y, callbacks=[ModelCheckpoint('{auc}.npz')])", r"e\.g\. '(.*)'",
     "'{}'.format(epoch=1, loss=0.5)".replace("{}", "{0}")),
    ("fastnn.CSVLogger('a.csv', separator='')", r"e\.g\. (.*)", "fastnn.CSVLogger('a.csv', {})"),
    ("fastnn.StopAt()", r"e\.g\. (.*)", "fastnn.{}"),
    ("fastnn.LearningRateScheduler(3)", r"e\.g\. (.*)",
     "made().fit(X, y, callbacks=[fastnn.LearningRateScheduler({})])"),
    ("schedules.PiecewiseConstantDecay([2], [0.1])", r"e\.g\. (.*)",
     "schedules.PiecewiseConstantDecay({})"),
    ("schedules.PiecewiseConstantDecay([2, 1], [0.1, 0.1, 0.1])", r"e\.g\. (.*)",
     "schedules.PiecewiseConstantDecay({}, values=[0.1, 0.01, 0.001])"),
    ("schedules.CosineDecay(0.1, 10, warmup_steps=3)", r"e\.g\. (.*?),",
     "schedules.CosineDecay(0.1, 10, warmup_steps=3, {})"),
    ("made(optimizer=SGD(1e30)).fit(X * 1e9, y, epochs=9)", r"try (SGD.*?),",
     "made(optimizer={}).fit(X, y, epochs=9)"),
    # estimators
    ("MLPClassifier(dropout=[0.1, 0.2]).fit(X, two)", r"e\.g\. (.*)", "MLPClassifier({})"),
    ("MLPClassifier(activation=['relu'] * 2).fit(X, two)", r"e\.g\. (.*)", "MLPClassifier({})"),
    ("MLPClassifier(solver=SGD(), learning_rate='adaptive').fit(X, two)", r"e\.g\. (.*)",
     "MLPClassifier(max_iter=1, learning_rate='adaptive', {}).fit(X, two)"),
    ("MLPClassifier().fit(X, two, X_val=X)", r"e\.g\. (.*)",
     "y, Xv, yv = two, X, two; MLPClassifier(max_iter=1).{}"),
    ("MLPClassifier(solver='lbfgs', average=True).fit(X, two)", r"itself: (.*)",
     "MLPClassifier(max_iter=1, solver={}).fit(X, two)"),
    ("MLPRegressor().fit(X, list('ababab'))", r"take (.*)",
     "{}(max_iter=1).fit(X, list('ababab'))"),
]  # fmt: skip

TAIL = """
def trained():
    model = made()
    model.fit(X, y)
    return model
def lbfgs(**settings):
    model = made(optimizer="lbfgs")
    model.build(2)
    return model
class twice:
    passes = 0
    def __iter__(self):
        self.passes += 1
        return iter([(X, y)] if self.passes == 1 else [])
"""


def names():
    """Return the names that the lines may use."""
    from itertools import cycle

    found = {name: getattr(fastnn, name) for name in fastnn.__all__}
    found |= {"np": np, "copy": copy, "fastnn": fastnn, "TopKAccuracy": metrics.TopKAccuracy}
    found |= {"itertools": type("itertools", (), {"cycle": staticmethod(cycle)})}
    found |= {"losses": losses, "metrics": metrics, "schedules": schedules}
    found |= {"initializers": initializers, "custom": custom}
    try:
        import sklearn.metrics
        from scipy.sparse import csr_array

        from fastnn.estimators import MLPClassifier, MLPRegressor
    except ImportError:
        pass
    else:
        found |= {"sklearn": sklearn, "csr_array": csr_array}
        found |= {"MLPClassifier": MLPClassifier, "MLPRegressor": MLPRegressor}
    exec(HEAD + TAIL, found)
    return found


def provoked(code):
    """Return the error, or the warning, that a line of code raises."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises((Exception, UserWarning)) as caught:
            exec(code, names())
    return caught.value


@pytest.mark.parametrize(("code", "pattern", "run"), CASES)
def test_what_a_message_suggests_works(code, pattern, run):
    if re.search("MLP|sklearn|csr|lbfgs|AUC", code):
        pytest.importorskip("sklearn")
    message = str(provoked(code))
    found = re.search(pattern, message)
    assert found, message
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        exec(run.format(*found.groups()), names())


def suggestions():
    """Find every raise whose message has an example: file, first and last line."""
    for path in sorted(PACKAGE.rglob("*.py")):
        if path.name in OTHERS:
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Raise) and "e.g." in ast.unparse(node):
                yield path.name, node.lineno, node.end_lineno


def test_every_message_with_an_example_is_tried():
    pytest.importorskip("sklearn")
    raised = set()
    for code in {code for code, *_ in CASES}:
        error = provoked(code)
        while error is not None:
            for frame in traceback.extract_tb(error.__traceback__):
                raised.add((Path(frame.filename).name, frame.lineno))
            error = error.__cause__ or error.__context__
    missing = [
        (name, first)
        for name, first, last in suggestions()
        if not any((name, line) in raised for line in range(first, last + 1))
    ]
    assert missing == []
