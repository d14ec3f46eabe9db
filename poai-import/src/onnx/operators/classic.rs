//! Operators of `ai.onnx.ml`, as exporters of scikit-learn write them.

use super::{Read, one};
use crate::graph::expression::{Function, Operation};
use crate::graph::{Expression, Reduction};
use crate::onnx::builder::Operand;
use crate::onnx::error::OnnxError;
use crate::onnx::tensor::{Host, Number};
use ndarray::Array2;

impl Read<'_, '_> {
    pub(super) fn classic(&mut self, operator: &str) -> Result<Option<Vec<Operand>>, OnnxError> {
        let Some(operator) = operator.strip_prefix("ai.onnx.ml.") else { return Ok(None) };
        let node = self.node;
        match operator {
            "LinearClassifier" => self.linear_classifier().map(Some),
            "LinearRegressor" => {
                node.only(&["coefficients", "intercepts", "post_transform", "targets"])?;
                let targets = usize::try_from(node.integer("targets", 1)).unwrap_or(0);
                let made = self.scores(targets)?;
                match node.string("post_transform") {
                    None | Some("NONE") => one(made),
                    _ => Err(node.attribute("post_transform")),
                }
            }
            "Scaler" => {
                node.only(&["offset", "scale"])?;
                let x = self.first()?;
                let list = |name: &str, default: f32| -> Host {
                    let entries = node.floats(name).unwrap_or(&[]);
                    let entries = if entries.is_empty() { &[default][..] } else { entries };
                    let entries: Vec<f64> = entries.iter().map(|&entry| entry.into()).collect();
                    Host { shape: vec![entries.len()], number: Number::Real, entries }
                };
                let offset = list("offset", 0.0).into();
                let scale = list("scale", 1.0).into();
                let moved = self.builder.pair(node, Operation::Sub, &x, &offset)?;
                one(self.builder.pair(node, Operation::Mul, &moved, &scale)?)
            }
            "Normalizer" => {
                node.only(&["norm"])?;
                let x = self.first()?;
                let axis = self.builder.shape(&x).rank().saturating_sub(1);
                one(match node.string("norm").unwrap_or("MAX") {
                    "L1" => self.unit_length(&x, axis, 1)?,
                    "L2" => self.unit_length(&x, axis, 2)?,
                    _ => self.largest(&x, axis)?,
                })
            }
            // A table from classes to scores, in the order of the classes.
            "ZipMap" => one(self.first()?),
            "Cast" | "LabelEncoder" | "ArrayFeatureExtractor" => {
                let x = self.first()?;
                let places = node.optional(1).map(|_| self.builder.operand(node, 1)).transpose()?;
                match (x, places) {
                    (class @ Operand::Class { .. }, _)
                    | (_, Some(class @ Operand::Class { .. })) => one(class),
                    (x, Some(Operand::Known(places))) if operator == "ArrayFeatureExtractor" => {
                        let shape = self.builder.shape(&x);
                        let axis = shape.rank().saturating_sub(1);
                        let place = |place: i64| usize::try_from(place).ok().map(Some);
                        let indices: Option<Vec<_>> =
                            places.integers().into_iter().map(place).collect();
                        let indices =
                            indices.ok_or_else(|| node.unsupported("a negative index"))?;
                        one(self.builder.take(node, &x, axis, indices)?)
                    }
                    _ => Err(node.unsupported("of other than classes")),
                }
            }
            "Binarizer" => {
                node.only(&["threshold"])?;
                let x = self.first()?;
                let bound = Expression::Number(node.float("threshold", 0.0)?.into());
                one(self.builder.apply(node, &x, bound.with(Operation::Less, Expression::X))?)
            }
            "Imputer" => one(self.imputer()?),
            "OneHotEncoder" => one(self.categories()?),
            "SVMRegressor" => one(self.support_vectors()?),
            "FeatureVectorizer" => {
                let mut parts = vec![];
                for index in 0..node.inputs() {
                    parts.push(self.builder.operand(node, index)?);
                }
                one(self.builder.concat(node, &parts, 1)?)
            }
            "TreeEnsembleClassifier" | "TreeEnsembleRegressor" | "TreeEnsemble" => {
                Err(node.unsupported("trees are no tensors; train a linear model or a network"))
            }
            _ => Err(node.unsupported("")),
        }
    }

    /// The product of the input with the coefficients, and the intercepts.
    fn scores(&mut self, targets: usize) -> Result<Operand, OnnxError> {
        let node = self.node;
        let x = self.first()?;
        let features = self.builder.shape(&x).last();
        let coefficients = node.floats("coefficients").unwrap_or(&[]);
        if targets == 0 || coefficients.len() != targets.saturating_mul(features) {
            return Err(node.attribute("coefficients"));
        }
        let of = |(target, feature): (usize, usize)| coefficients[target * features + feature];
        let weights = Array2::from_shape_fn((targets, features), of);
        let bias = match node.floats("intercepts") {
            Some(bias) if bias.len() == targets => bias.to_vec(),
            None => vec![0.0; targets],
            Some([]) => vec![0.0; targets],
            Some(_) => return Err(node.attribute("intercepts")),
        };
        self.builder.spend(weights.len())?;
        self.builder.linear(node, &x, weights, bias)
    }

    /// The label, and the scores.
    fn linear_classifier(&mut self) -> Result<Vec<Operand>, OnnxError> {
        let node = self.node;
        node.only(&[
            "classlabels_ints",
            "classlabels_strings",
            "coefficients",
            "intercepts",
            "multi_class",
            "post_transform",
        ])?;
        let x = self.first()?;
        let features = self.builder.shape(&x).last().max(1);
        let labels = node.integers("classlabels_ints").map_or(0, <[i64]>::len);
        let labels = labels.max(node.strings("classlabels_strings").len());
        let targets = node.floats("coefficients").map_or(0, <[f32]>::len) / features;
        let mut scores = self.scores(targets)?;
        let post = node.string("post_transform").unwrap_or("NONE");
        // One score of two classes is that of the second.
        let two = targets == 1 && labels == 2;
        let logistic =
            |read: &mut Self, of: &Operand| read.builder.call(node, of, Function::Sigmoid);
        scores = match (post, two) {
            ("NONE", false) => scores,
            ("LOGISTIC", false) => logistic(self, &scores)?,
            ("SOFTMAX", false) => self.softmax_of(&scores, 1)?,
            ("NONE", true) => {
                let other = self.builder.times(node, &scores, -1.0)?;
                self.builder.concat(node, &[other, scores], 1)?
            }
            ("LOGISTIC", true) => {
                let second = logistic(self, &scores)?;
                let rest = Expression::Number(1.0).with(Operation::Sub, Expression::X);
                let first = self.builder.apply(node, &second, rest)?;
                self.builder.concat(node, &[first, second], 1)?
            }
            ("SOFTMAX", true) => {
                let other = self.builder.times(node, &scores, -1.0)?;
                let both = self.builder.concat(node, &[other, scores], 1)?;
                self.softmax_of(&both, 1)?
            }
            _ => return Err(node.attribute("post_transform")),
        };
        let Operand::Value(value) = scores else { return Err(node.unsupported("of a constant")) };
        let class = Operand::Class { value, by: "LinearClassifier".into() };
        Ok(vec![class, scores])
    }

    /// Puts a number in place of each entry that is another. An input has
    /// finite numbers, so that nothing takes the place of NaN there.
    fn imputer(&mut self) -> Result<Operand, OnnxError> {
        let node = self.node;
        node.only(&[
            "imputed_value_floats",
            "imputed_value_int64s",
            "replaced_value_float",
            "replaced_value_int64",
        ])?;
        let x = self.first()?;
        let (by, replaced): (Vec<f64>, f64) = match node.floats("imputed_value_floats") {
            Some(by) if !by.is_empty() => {
                let replaced = node.number("replaced_value_float", 0.0);
                (by.iter().map(|&by| by.into()).collect(), replaced.into())
            }
            _ => {
                let by = node.integers("imputed_value_int64s").unwrap_or_default();
                let replaced = node.integer("replaced_value_int64", 0);
                (by.iter().map(|&by| by as f64).collect(), replaced as f64)
            }
        };
        if !replaced.is_finite() {
            return match self.with_numbers(x.clone())? {
                Operand::Value(value) if Some(value) != of(&x) => Err(node.unsupported(
                    "it replaces what a function has no number for; choose features without it",
                )),
                _ => Ok(x),
            };
        }
        let found = Expression::X.by(Operation::Equal, replaced);
        let found = self.builder.apply(node, &x, found)?;
        let entries: Vec<f64> = by.iter().map(|by| by - replaced).collect();
        if entries.is_empty() {
            return Err(node.attribute("imputed_value_floats"));
        }
        let by = Host { shape: vec![entries.len()], number: Number::Real, entries };
        let more = self.builder.pair(node, Operation::Mul, &found, &by.into())?;
        self.builder.pair(node, Operation::Add, &x, &more)
    }

    /// For each number, which of the categories it is.
    fn categories(&mut self) -> Result<Operand, OnnxError> {
        let node = self.node;
        node.only(&["cats_int64s", "zeros"])?;
        if node.integer("zeros", 1) == 0 {
            return Err(node.attribute("zeros"));
        }
        let x = self.first()?;
        let shape = self.builder.shape(&x).0;
        let categories = node.integers("cats_int64s").unwrap_or_default();
        let entries: Vec<f64> = categories.iter().map(|&category| category as f64).collect();
        if entries.is_empty() {
            return Err(node.attribute("cats_int64s"));
        }
        let column = self.builder.reshape(node, &x, [shape, vec![1]].concat())?;
        let categories = Host { shape: vec![entries.len()], number: Number::Real, entries };
        self.builder.pair(node, Operation::Equal, &column, &categories.into())
    }

    /// A sum over support vectors, or a linear function.
    fn support_vectors(&mut self) -> Result<Operand, OnnxError> {
        let node = self.node;
        node.only(&[
            "coefficients",
            "kernel_params",
            "kernel_type",
            "n_supports",
            "one_class",
            "post_transform",
            "rho",
            "support_vectors",
        ])?;
        node.fixed("one_class", 0)?;
        if !matches!(node.string("post_transform"), None | Some("NONE")) {
            return Err(node.attribute("post_transform"));
        }
        let x = self.first()?;
        let features = self.builder.shape(&x).last().max(1);
        let count = usize::try_from(node.integer("n_supports", 0)).unwrap_or(0);
        let coefficients = node.floats("coefficients").unwrap_or_default();
        let vectors = node.floats("support_vectors").unwrap_or_default();
        let rho = node.floats("rho").and_then(|rho| rho.first()).copied().unwrap_or(0.0);
        let kernel = node.string("kernel_type").unwrap_or("LINEAR");
        if count == 0 {
            if coefficients.len() != features || kernel != "LINEAR" {
                return Err(node.attribute("coefficients"));
            }
            let weights = Array2::from_shape_fn((1, features), |(_, at)| coefficients[at]);
            return self.builder.linear(node, &x, weights, vec![rho]);
        }
        if coefficients.len() != count || vectors.len() != count.saturating_mul(features) {
            return Err(node.attribute("support_vectors"));
        }
        self.builder.spend(vectors.len())?;
        let vector = |at: usize| &vectors[at * features..(at + 1) * features];
        if kernel == "LINEAR" {
            let sum = |(_, feature): (usize, usize)| -> f32 {
                let parts = coefficients.iter().enumerate();
                parts.map(|(at, by)| by * vector(at)[feature]).sum()
            };
            let weights = Array2::from_shape_fn((1, features), sum);
            return self.builder.linear(node, &x, weights, vec![rho]);
        }
        let parameters = node.floats("kernel_params").unwrap_or_default();
        let &[gamma, constant, degree] = parameters else {
            return Err(node.attribute("kernel_params"));
        };
        let (scaled, bias) = match kernel {
            // −γ|x − v|² = 2γ·x·v − γ|v|² − γ|x|².
            "RBF" => {
                let square = |at: usize| -> f32 { vector(at).iter().map(|x| x * x).sum() };
                (2.0 * gamma, (0..count).map(|at| -gamma * square(at)).collect())
            }
            "POLY" | "SIGMOID" => (gamma, vec![constant; count]),
            _ => return Err(node.attribute("kernel_type")),
        };
        let of = |(at, feature): (usize, usize)| scaled * vector(at)[feature];
        let weights = Array2::from_shape_fn((count, features), of);
        let mut products = self.builder.linear(node, &x, weights, bias)?;
        let function = match kernel {
            "POLY" => Expression::X.by(Operation::Pow, degree.into()),
            "SIGMOID" => Expression::call(Function::Tanh),
            _ => {
                let square = Expression::X.with(Operation::Mul, Expression::X);
                let squares = self.builder.apply(node, &x, square)?;
                let weights = Array2::from_elem((1, features), -gamma);
                let length = self.builder.linear(node, &squares, weights, vec![0.0])?;
                products = self.builder.pair(node, Operation::Add, &products, &length)?;
                Expression::call(Function::Exp)
            }
        };
        let kernels = self.builder.apply(node, &products, function)?;
        let weights = Array2::from_shape_fn((1, count), |(_, at)| coefficients[at]);
        self.builder.linear(node, &kernels, weights, vec![rho])
    }

    /// Divides by the largest magnitude.
    fn largest(&mut self, x: &Operand, axis: usize) -> Result<Operand, OnnxError> {
        let node = self.node;
        let magnitudes = self.builder.call(node, x, Function::Abs)?;
        let most = self.builder.reduce(node, &magnitudes, &[axis], Reduction::Max)?;
        let inverse = Expression::Number(1.0).with(Operation::Div, Expression::X);
        let inverse = self.builder.apply(node, &most, inverse)?;
        self.builder.pair(node, Operation::Mul, x, &inverse)
    }
}

/// The value that an operand is.
const fn of(operand: &Operand) -> Option<usize> {
    match operand {
        Operand::Value(value) => Some(*value),
        _ => None,
    }
}
