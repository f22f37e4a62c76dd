"""summary says what is known, before build and after."""

from fastnn import Adam, Dense, Normalization, Sequential
from fastnn.models import learner_of


def summary_lines(model, capsys):
    model.summary()
    return capsys.readouterr().out.splitlines()


def test_summary_counts_outputs_and_parameters(capsys):
    layers = [Normalization([0.0] * 5, [1.0] * 5), Dense(300, "relu"), Dense(2, use_bias=False)]
    model = Sequential(layers, dtype="float64", seed=12)
    model.build(5)
    lines = [line.split() for line in summary_lines(model, capsys)]
    assert lines[1] == ["Normalization", "5", "0"]
    assert lines[2] == ["Dense", "(relu)", "300", "1,800"]
    assert lines[3] == ["Dense", "(linear)", "2", "600"]
    assert lines[4] == ["float64,", "seed", "12,", "parameters:", "2,400"]


def test_summary_of_a_compiled_model_says_what_training_takes(capsys):
    model = Sequential([Dense(300, "relu"), Dense(2)], dtype="float64")
    model.compile(Adam(0.1), "mse")
    model.build(5)
    optimizer, path, batches = summary_lines(model, capsys)[-3:]
    assert optimizer == "optimizer Adam(learning_rate=0.1), loss mean_squared_error"
    assert path == "stochastic mode: fused"
    n = len(learner_of(model).network.parameters)
    expected = f"weights {8 * n / 1e3:,.1f} kB, optimizer {16 * n / 1e3:,.1f} kB, activations"
    assert expected in batches


def test_summary_before_build_says_what_is_known(capsys):
    lines = summary_lines(Sequential([Dense(4, "tanh"), Dense(1)]), capsys)
    assert lines[1].split() == ["Dense", "(tanh)", "4", "?"]
    assert lines[2].split() == ["Dense", "(linear)", "1", "5"]
    assert "parameters: ?" in lines[3]
