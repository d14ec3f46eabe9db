//! One entry for many: means, sums, maxima, softmax, and classes.

use super::{Read, one};
use crate::graph::expression::{Function, Operation};
use crate::graph::{Expression, Kind, Reduction, ValueShape};
use crate::onnx::builder::Operand;
use crate::onnx::error::OnnxError;
use crate::onnx::tensor::{Host, Number};

impl Read<'_, '_> {
    pub(super) fn reduce(&mut self, operator: &str) -> Result<Option<Vec<Operand>>, OnnxError> {
        let node = self.node;
        match operator {
            "Softmax" | "LogSoftmax" => {
                node.only(&["axis"])?;
                let x = self.first()?;
                let rank = self.builder.shape(&x).rank();
                // Before version 13 all axes from the given one on count.
                let joined = node.version < 13;
                let axis = self.axis(node.integer("axis", if joined { 1 } else { -1 }), rank)?;
                let logarithm = operator == "LogSoftmax";
                if !joined || axis + 1 == rank {
                    return one(self.softmax_or_log(&x, axis, logarithm)?);
                }
                let shape = self.builder.shape(&x).0;
                let first: usize = shape[..axis].iter().product();
                let rest: usize = shape[axis..].iter().product();
                let flat = self.builder.reshape(node, &x, vec![first, rest])?;
                let made = self.softmax_or_log(&flat, 1, logarithm)?;
                one(self.builder.reshape(node, &made, shape)?)
            }
            "ArgMax" | "ArgMin" | "TopK" => self.class(operator).map(Some),
            "ReduceMean" | "ReduceSum" | "ReduceMax" | "ReduceMin" | "ReduceProd" | "ReduceL1"
            | "ReduceL2" | "ReduceSumSquare" | "ReduceLogSum" | "ReduceLogSumExp" => {
                self.over_axes(operator)
            }
            _ => Ok(None),
        }
    }

    /// The result that only the order of entries decides.
    fn class(&mut self, operator: &str) -> Result<Vec<Operand>, OnnxError> {
        let node = self.node;
        node.only(&["axis", "keepdims", "select_last_index", "k", "largest", "sorted"])?;
        let x = self.first()?;
        let shape = self.builder.shape(&x);
        let last = if operator == "TopK" { -1 } else { 0 };
        let size = shape.0.get(self.axis(node.integer("axis", last), shape.rank())?);
        if operator == "TopK" {
            let count = match self.builder.optional_host(node, 1)? {
                Some(host) => host.only().unwrap_or(0.0),
                None => node.integer("k", 0) as f64,
            };
            let size = size.copied().unwrap_or(0);
            if count.fract() != 0.0 || !(1.0..=size as f64).contains(&count) {
                return Err(node.unsupported(format!("{count} of {size} entries")));
            }
        }
        // The least entry is the largest of the negated ones.
        let least = operator == "ArgMin" || node.integer("largest", 1) == 0;
        let x = match (&x, least) {
            (Operand::Value(_), true) => self.builder.times(node, &x, -1.0)?,
            _ => x,
        };
        let Operand::Value(value) = x else { return Err(node.unsupported("of a constant")) };
        let class = Operand::Class { value, by: operator.into() };
        Ok(vec![class; node.outputs().len().max(1)])
    }

    fn over_axes(&mut self, operator: &str) -> Result<Option<Vec<Operand>>, OnnxError> {
        let node = self.node;
        node.only(&["axes", "keepdims", "noop_with_empty_axes"])?;
        let x = self.first()?;
        let shape = self.builder.shape(&x);
        let given = self.axes(1)?.filter(|axes| !axes.is_empty());
        if given.is_none() && node.integer("noop_with_empty_axes", 0) != 0 {
            return one(x);
        }
        let mut axes = vec![];
        for axis in given.unwrap_or_else(|| (0..shape.rank() as i64).collect()) {
            axes.push(self.axis(axis, shape.rank())?);
        }
        axes.sort_unstable();
        axes.dedup();
        let count: usize = axes.iter().map(|&axis| shape.0[axis]).product();
        let kept = node.integer("keepdims", 1) != 0;
        let to = |kept: bool| -> Vec<usize> {
            let sizes = shape.0.iter().enumerate();
            let size = |(axis, &size): (usize, &usize)| match axes.contains(&axis) {
                true => kept.then_some(1),
                false => Some(size),
            };
            sizes.filter_map(size).collect()
        };
        let made = if let Operand::Known(host) = &x {
            let made = ValueShape(to(true)).entries();
            self.builder.spend(made.saturating_add(host.entries.len()))?;
            reduced(host, &axes, to(true), operator).ok_or_else(|| node.unsupported(""))?.into()
        } else {
            self.reduced_value(&x, &axes, count, operator)?
        };
        one(self.builder.reshape(node, &made, to(kept))?)
    }

    fn reduced_value(
        &mut self,
        x: &Operand,
        axes: &[usize],
        count: usize,
        operator: &str,
    ) -> Result<Operand, OnnxError> {
        let node = self.node;
        let number = self.builder.number(x);
        if self.is_whole(x) && !matches!(operator, "ReduceMax" | "ReduceMin" | "ReduceMean") {
            self.keeps_type(Operation::Add, number)?;
        }
        let count = count as f64;
        let square = || Expression::X.with(Operation::Mul, Expression::X);
        let sum = |read: &mut Self, of: &Operand| {
            let mean = read.builder.reduce(node, of, axes, Reduction::Mean)?;
            read.builder.times(node, &mean, count)
        };
        match operator {
            "ReduceMean" if self.is_whole(x) => Err(node.unsupported(super::arithmetic::WHOLE)),
            "ReduceMean" => self.builder.reduce(node, x, axes, Reduction::Mean),
            "ReduceMax" => self.builder.reduce(node, x, axes, Reduction::Max),
            "ReduceMin" => {
                let negative = self.builder.times(node, x, -1.0)?;
                let most = self.builder.reduce(node, &negative, axes, Reduction::Max)?;
                self.builder.times(node, &most, -1.0)
            }
            "ReduceSum" => sum(self, x),
            "ReduceLogSum" => {
                let sum = sum(self, x)?;
                self.builder.call(node, &sum, Function::Log)
            }
            "ReduceProd" => self.multiplied(x, axes),
            "ReduceL1" => {
                let magnitudes = self.builder.call(node, x, Function::Abs)?;
                sum(self, &magnitudes)
            }
            "ReduceSumSquare" | "ReduceL2" => {
                let squares = self.builder.apply(node, x, square())?;
                let squares = sum(self, &squares)?;
                match operator {
                    "ReduceL2" => self.builder.call(node, &squares, Function::Sqrt),
                    _ => Ok(squares),
                }
            }
            "ReduceLogSumExp" => self.log_sum(x, axes, count),
            _ => Err(node.unsupported("of values")),
        }
    }

    /// The product of all entries along some axes, half by half.
    fn multiplied(&mut self, x: &Operand, axes: &[usize]) -> Result<Operand, OnnxError> {
        const MOST: usize = 1 << 12;
        let node = self.node;
        let mut made = x.clone();
        for &axis in axes {
            let mut size = self.builder.shape(&made).0[axis];
            if size > MOST {
                return Err(node.unsupported(format!("of more than {MOST} entries")));
            }
            while size > 1 {
                let half = size / 2;
                let first = self.builder.range(node, &made, axis, 0..half)?;
                let second = self.builder.range(node, &made, axis, half..2 * half)?;
                let product = self.builder.pair(node, Operation::Mul, &first, &second)?;
                made = match size % 2 {
                    0 => product,
                    _ => {
                        let last = self.builder.range(node, &made, axis, size - 1..size)?;
                        self.builder.concat(node, &[product, last], axis)?
                    }
                };
                size = self.builder.shape(&made).0[axis];
            }
        }
        Ok(made)
    }

    /// `ln Σ eˣ`, by the distance from the largest.
    fn log_sum(&mut self, x: &Operand, axes: &[usize], count: f64) -> Result<Operand, OnnxError> {
        let (_, logarithm, most) = self.below_most(x, axes, count)?;
        self.builder.pair(self.node, Operation::Add, &logarithm, &most)
    }

    /// `x − most`, `ln Σ e^(x − most)`, and the largest along the axes.
    fn below_most(
        &mut self,
        x: &Operand,
        axes: &[usize],
        count: f64,
    ) -> Result<(Operand, Operand, Operand), OnnxError> {
        let node = self.node;
        let most = self.builder.reduce(node, x, axes, Reduction::Max)?;
        let below = self.builder.pair(node, Operation::Sub, x, &most)?;
        let parts = self.builder.call(node, &below, Function::Exp)?;
        let mean = self.builder.reduce(node, &parts, axes, Reduction::Mean)?;
        let logarithm = Expression::X.by(Operation::Mul, count).then(Function::Log);
        let logarithm = self.builder.apply(node, &mean, logarithm)?;
        Ok((below, logarithm, most))
    }

    fn softmax_or_log(
        &mut self,
        x: &Operand,
        axis: usize,
        logarithm: bool,
    ) -> Result<Operand, OnnxError> {
        if !logarithm {
            return self.softmax_of(x, axis);
        }
        // (x − most) − ln Σ e^(x − most) keeps the digits of large x.
        let count = self.builder.shape(x).0[axis] as f64;
        let (below, logarithm, _) = self.below_most(x, &[axis], count)?;
        self.builder.pair(self.node, Operation::Sub, &below, &logarithm)
    }

    /// Softmax along an axis.
    pub(super) fn softmax_of(&mut self, x: &Operand, axis: usize) -> Result<Operand, OnnxError> {
        let node = self.node;
        let (x, undefined) = self.unmasked(x, axis)?;
        let rank = self.builder.shape(&x).rank();
        let mut permutation: Vec<usize> = (0..rank).collect();
        if axis < rank {
            permutation.swap(axis, rank - 1);
        }
        let turned = self.builder.transpose(node, &x, permutation.clone())?;
        let made = self.builder.layer(node, Kind::Softmax, &[turned])?;
        let made = self.builder.transpose(node, &made, permutation)?;
        if let (Operand::Value(value), Some(undefined)) = (&made, undefined) {
            self.builder.undefined.insert(*value, undefined);
        }
        Ok(made)
    }
}

/// A reduction of a known tensor.
fn reduced(host: &Host, axes: &[usize], to: Vec<usize>, operator: &str) -> Option<Host> {
    let start = match operator {
        "ReduceMax" => f64::NEG_INFINITY,
        "ReduceMin" => f64::INFINITY,
        "ReduceProd" => 1.0,
        "ReduceSum" | "ReduceMean" | "ReduceL1" | "ReduceL2" | "ReduceSumSquare"
        | "ReduceLogSum" | "ReduceLogSumExp" => 0.0,
        _ => return None,
    };
    // Sums of numbers that each operator makes first.
    let part = |x: f64| match operator {
        "ReduceL1" => x.abs(),
        "ReduceL2" | "ReduceSumSquare" => x * x,
        "ReduceLogSumExp" => x.exp(),
        _ => x,
    };
    let size: usize = to.iter().product();
    let mut entries = vec![start; size];
    let count = host.entries.len() / size.max(1);
    let mut place = vec![0; host.shape.len()];
    for &entry in &host.entries {
        let at = host.shape.iter().zip(&place).enumerate().fold(0, |at, (axis, (&size, &own))| {
            if axes.contains(&axis) { at } else { at * size + own }
        });
        let own = &mut entries[at];
        *own = match operator {
            "ReduceMax" => own.max(entry),
            "ReduceMin" => own.min(entry),
            "ReduceProd" => *own * entry,
            _ => *own + part(entry),
        };
        for axis in (0..place.len()).rev() {
            place[axis] += 1;
            if place[axis] < host.shape[axis] {
                break;
            }
            place[axis] = 0;
        }
    }
    let whole = host.number != Number::Real;
    entries.iter_mut().for_each(|entry| {
        *entry = match operator {
            // The mean of whole numbers is one of them.
            "ReduceMean" if whole => (*entry / count.max(1) as f64).trunc(),
            "ReduceMean" => *entry / count.max(1) as f64,
            "ReduceL2" => entry.sqrt(),
            "ReduceLogSum" | "ReduceLogSumExp" => entry.ln(),
            _ => *entry,
        };
        if whole {
            *entry = host.number.wrapped(entry.trunc());
        }
    });
    let number = host.number;
    Some(Host { shape: to, number, entries })
}
