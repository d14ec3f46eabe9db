"""The set `sklearn`: pipelines of scikit-learn, exported by skl2onnx."""

import warnings

import numpy as np
import skl2onnx
import sklearn
from sklearn.decomposition import PCA
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge, SGDClassifier
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, Normalizer, StandardScaler

from .writer import Case, rows

FEATURES = 6
# Real tables have columns of different sizes.
SCALES = np.array([1, 10, 0.1, 3, 100, 1], dtype=np.float32)


def samples(numbers, count):
    return [SCALES * (rows(numbers, count, FEATURES) + 0.5)]


def data():
    """A table, a class and a value of each row."""
    numbers = np.random.default_rng(7)
    table = samples(numbers, 400)[0]
    even = table / SCALES
    classes = (even[:, 0] + even[:, 1] > 1).astype(int) + (even[:, 2] * even[:, 3] > 0)
    return table, classes, even @ np.arange(1, FEATURES + 1) + np.abs(even[:, 0])


def models():
    """Models by name, and whether each classifies."""
    small = {"hidden_layer_sizes": (16,), "random_state": 0, "max_iter": 300}
    return {
        "scaler-logistic-regression": (make_pipeline(StandardScaler(), LogisticRegression()), True),
        "linear-regression": (LinearRegression(), False),
        "scaler-mlp-classifier": (make_pipeline(StandardScaler(), MLPClassifier(**small)), True),
        "scaler-mlp-regressor": (make_pipeline(StandardScaler(), MLPRegressor(**small)), False),
        "min-max-sgd-classifier": (make_pipeline(MinMaxScaler(), SGDClassifier(loss="log_loss", random_state=0)), True),
        "normalizer-pca-ridge": (make_pipeline(Normalizer(), PCA(3, random_state=0), Ridge()), False),
    }


def sklearn_cases():
    table, classes, values = data()
    for name, (model, classifies) in models().items():

        def write(path, model=model, classifies=classifies):
            with warnings.catch_warnings():
                # Short trainings do not converge, and need not.
                warnings.simplefilter("ignore")
                model.fit(table, classes if classifies else values)
            path.write_bytes(skl2onnx.to_onnx(model, table[:1]).SerializeToString())

        exporter = f"skl2onnx {skl2onnx.__version__}, scikit-learn {sklearn.__version__}"
        notes = ["classifier", "trained"] if classifies else ["trained"]
        yield Case("sklearn", name, exporter, write, samples, notes)
