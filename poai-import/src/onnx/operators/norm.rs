//! Normalisations.

use super::{Read, one};
use crate::graph::expression::{Function, Operation};
use crate::graph::{Expression, Kind, Reduction};
use crate::onnx::builder::Operand;
use crate::onnx::error::OnnxError;
use crate::onnx::tensor::{Host, Number};

impl Read<'_, '_> {
    pub(super) fn norm(&mut self, operator: &str) -> Result<Option<Vec<Operand>>, OnnxError> {
        let node = self.node;
        match operator {
            "BatchNormalization" => self.batch_norm().map(Some),
            "LayerNormalization" | "RMSNormalization" | "SimplifiedLayerNormalization" => {
                self.layer_norm(operator == "LayerNormalization").map(Some)
            }
            "InstanceNormalization" => {
                node.only(&["epsilon"])?;
                let x = self.first()?;
                let channels = self.builder.shape(&x).0.get(1).copied().unwrap_or(1);
                one(self.groups(&x, channels, false)?)
            }
            "GroupNormalization" => {
                node.only(&["epsilon", "num_groups", "stash_type"])?;
                let x = self.first()?;
                let groups = usize::try_from(node.integer("num_groups", 0)).unwrap_or(0);
                // Before version 21 γ and β are those of groups.
                one(self.groups(&x, groups, node.version < 21)?)
            }
            "LpNormalization" => {
                node.only(&["axis", "p"])?;
                let x = self.first()?;
                let axis = self.axis(node.integer("axis", -1), self.builder.shape(&x).rank())?;
                one(self.unit_length(&x, axis, node.integer("p", 2))?)
            }
            "LRN" => self.across_channels().map(Some),
            _ => Ok(None),
        }
    }

    fn batch_norm(&mut self) -> Result<Vec<Operand>, OnnxError> {
        let node = self.node;
        node.only(&["epsilon", "momentum", "spatial", "training_mode", "is_test"])?;
        node.fixed("spatial", 1)?;
        node.fixed("training_mode", 0)?;
        let epsilon = f64::from(node.float("epsilon", 1e-5)?);
        let x = self.first()?;
        let shape = self.builder.shape(&x);
        let channels = if shape.rank() > 1 { shape.0[1] } else { 1 };
        let mut parameter = |index| {
            let host = self.builder.host(node, index)?;
            match host.entries.len() == channels {
                true => Ok(host.entries.clone()),
                false => {
                    Err(node.unsupported(format!("expected {channels} numbers as input {index}")))
                }
            }
        };
        let (gamma, beta) = (parameter(1)?, parameter(2)?);
        let (mean, variance) = (parameter(3)?, parameter(4)?);
        let by: Vec<f64> =
            gamma.iter().zip(&variance).map(|(gamma, v)| gamma / (v + epsilon).sqrt()).collect();
        let plus = beta.iter().zip(mean.iter().zip(&by));
        let plus: Vec<f64> = plus.map(|(beta, (mean, by))| beta - mean * by).collect();
        Ok(vec![self.per_channel(&x, by, plus)?])
    }

    /// `x·by + plus`, by the channels of axis 1.
    fn per_channel(
        &mut self,
        x: &Operand,
        by: Vec<f64>,
        plus: Vec<f64>,
    ) -> Result<Operand, OnnxError> {
        let node = self.node;
        let rank = self.builder.shape(x).rank();
        let mut shape = vec![1; rank];
        if let Some(channels) = shape.get_mut(1.min(rank.saturating_sub(1))) {
            *channels = by.len();
        }
        let host = |entries| Host { shape: shape.clone(), number: Number::Real, entries };
        let scaled = self.builder.scale(node, x, &host(by))?;
        self.builder.offset(node, &scaled, &host(plus))
    }

    fn layer_norm(&mut self, centre: bool) -> Result<Vec<Operand>, OnnxError> {
        let node = self.node;
        node.only(&["axis", "epsilon", "stash_type"])?;
        let x = self.first()?;
        let shape = self.builder.shape(&x);
        let axis = self.axis(node.integer("axis", -1), shape.rank())?;
        let first: usize = shape.0[..axis].iter().product();
        let rest: usize = shape.0[axis..].iter().product();
        let flat = self.builder.reshape(node, &x, vec![first, rest])?;
        self.builder.spend(rest.saturating_mul(2))?;
        let epsilon = node.float("epsilon", 1e-5)?;
        let mut affine = |index, default: f32| -> Result<Vec<f32>, OnnxError> {
            let Some(host) = self.builder.optional_host(node, index)? else {
                return Ok(vec![default; rest]);
            };
            match host.floats() {
                floats if floats.len() == rest => Ok(floats),
                floats if floats.len() == 1 => Ok(vec![floats[0]; rest]),
                _ => Err(node.unsupported(format!("expected {rest} numbers as input {index}"))),
            }
        };
        let (gamma, beta) = (affine(1, 1.0)?, affine(2, 0.0)?);
        let kind = Kind::Normalise { centre, epsilon, gamma, beta };
        let made = self.builder.layer(node, kind, &[flat])?;
        Ok(vec![self.builder.reshape(node, &made, shape.0)?])
    }

    /// Normalises groups of channels over all their pixels, with γ and β for
    /// each channel, or for each group.
    fn groups(&mut self, x: &Operand, groups: usize, by_group: bool) -> Result<Operand, OnnxError> {
        let node = self.node;
        let shape = self.builder.shape(x);
        let channels = shape.0.get(1).copied().unwrap_or(0);
        if shape.0.first() != Some(&1) || groups == 0 || !channels.is_multiple_of(groups) {
            return Err(node.unsupported("expected groups that divide the channels"));
        }
        let rest = shape.entries() / groups;
        let flat = self.builder.reshape(node, x, vec![groups, rest])?;
        self.builder.spend(rest.saturating_mul(2))?;
        let epsilon = node.float("epsilon", 1e-5)?;
        let (gamma, beta) = (vec![1.0; rest], vec![0.0; rest]);
        let kind = Kind::Normalise { centre: true, epsilon, gamma, beta };
        let made = self.builder.layer(node, kind, &[flat])?;
        let made = self.builder.reshape(node, &made, shape.0)?;
        let mut parameter = |index| {
            let host = self.builder.host(node, index)?;
            let entries = &host.entries;
            let per_group = channels / groups;
            match entries.len() {
                count if count == channels && !by_group => Ok(entries.clone()),
                count if count == groups && by_group => {
                    Ok((0..channels).map(|channel| entries[channel / per_group]).collect())
                }
                _ => Err(node.unsupported(format!("input {index} does not fit the channels"))),
            }
        };
        let (gamma, beta): (Vec<f64>, Vec<f64>) = (parameter(1)?, parameter(2)?);
        self.per_channel(&made, gamma, beta)
    }

    /// Divides by a power of the squares of some channels around each.
    fn across_channels(&mut self) -> Result<Vec<Operand>, OnnxError> {
        let node = self.node;
        node.only(&["alpha", "beta", "bias", "size"])?;
        let x = self.first()?;
        let shape = self.builder.shape(&x);
        let size = usize::try_from(node.integer("size", 0)).unwrap_or(0);
        let Some(&channels) = shape.0.get(1).filter(|_| size > 0) else {
            return Err(node.attribute("size"));
        };
        self.builder.spend(channels.saturating_mul(channels))?;
        let alpha = node.float("alpha", 1e-4)? / size as f32;
        let (before, after) = ((size - 1) / 2, size / 2);
        let near = |(to, from): (usize, usize)| {
            let inside = from + before >= to && from <= to.saturating_add(after);
            if inside { alpha } else { 0.0 }
        };
        let weights = ndarray::Array2::from_shape_fn((channels, channels), near);
        let bias = vec![node.float("bias", 1.0)?; channels];
        let mut permutation: Vec<usize> = (0..shape.rank()).collect();
        permutation.swap(1, shape.rank() - 1);
        let square = Expression::X.with(Operation::Mul, Expression::X);
        let squares = self.builder.apply(node, &x, square)?;
        let squares = self.builder.transpose(node, &squares, permutation.clone())?;
        let sums = self.builder.linear(node, &squares, weights, bias)?;
        let sums = self.builder.transpose(node, &sums, permutation)?;
        let power = Expression::X.by(Operation::Pow, -f64::from(node.float("beta", 0.75)?));
        let by = self.builder.apply(node, &sums, power)?;
        Ok(vec![self.builder.pair(node, Operation::Mul, &x, &by)?])
    }

    /// Divides by the norm along an axis.
    pub(super) fn unit_length(
        &mut self,
        x: &Operand,
        axis: usize,
        p: i64,
    ) -> Result<Operand, OnnxError> {
        let node = self.node;
        let shape = self.builder.shape(x);
        let (rank, size) = (shape.rank(), shape.0[axis]);
        if p == 2 {
            // x/√Σx² is x/√(mean x²)/√n.
            let mut permutation: Vec<usize> = (0..rank).collect();
            permutation.swap(axis, rank - 1);
            let turned = self.builder.transpose(node, x, permutation.clone())?;
            self.builder.spend(size.saturating_mul(2))?;
            let gamma = vec![1.0 / (size as f32).sqrt(); size];
            let beta = vec![0.0; size];
            let kind = Kind::Normalise { centre: false, epsilon: 1e-12, gamma, beta };
            let made = self.builder.layer(node, kind, &[turned])?;
            return self.builder.transpose(node, &made, permutation);
        }
        if p != 1 {
            return Err(node.attribute("p"));
        }
        let magnitudes = self.builder.call(node, x, Function::Abs)?;
        let mean = self.builder.reduce(node, &magnitudes, &[axis], Reduction::Mean)?;
        let sum = self.builder.times(node, &mean, size as f64)?;
        let inverse = Expression::Number(1.0).with(Operation::Div, Expression::X);
        let inverse = self.builder.apply(node, &sum, inverse)?;
        self.builder.pair(node, Operation::Mul, x, &inverse)
    }
}
