//! Operations on two or more operands, and conversions.

use super::{Read, one};
use crate::graph::Expression;
use crate::graph::expression::{Function, Operation};
use crate::onnx::builder::Operand;
use crate::onnx::error::OnnxError;
use crate::onnx::tensor::{Host, Number};
use rten_onnx::onnx::DataType;

impl Read<'_, '_> {
    pub(super) fn arithmetic(&mut self, operator: &str) -> Result<Option<Vec<Operand>>, OnnxError> {
        let node = self.node;
        let operation = match operator {
            "Add" => Operation::Add,
            "Sub" => Operation::Sub,
            "Mul" | "And" => Operation::Mul,
            "Div" => Operation::Div,
            "Pow" => Operation::Pow,
            "Less" => Operation::Less,
            "Equal" => Operation::Equal,
            "Max" | "Or" => Operation::Max,
            "Min" => Operation::Min,
            "Sum" => Operation::Add,
            "Mean" => return self.mean().map(Some),
            "Greater" | "LessOrEqual" | "GreaterOrEqual" | "Xor" => return self.compare(operator),
            "Where" => return self.choose(),
            "Cast" | "CastLike" => return self.cast(),
            "Identity" | "Dropout" => {
                node.only(&["ratio", "seed"])?;
                if operator == "Dropout" && node.inputs() > 2 {
                    let training = self.builder.optional_host(node, 2)?;
                    if training.is_some_and(|training| training.only() != Some(0.0)) {
                        return Err(node.unsupported("it is in training mode"));
                    }
                }
                return one(self.first()?);
            }
            _ => return Ok(None),
        };
        node.only(&[])?;
        let mut result = self.first()?;
        let mut whole = self.is_whole(&result);
        let number = self.builder.number(&result);
        for index in 1..node.inputs() {
            let next = self.builder.operand(node, index)?;
            whole &= self.is_whole(&next);
            if whole && operation == Operation::Div && !known(&result, &next) {
                return Err(node.unsupported(WHOLE));
            }
            if whole && !known(&result, &next) {
                self.keeps_type(operation, number)?;
            }
            result = self.builder.pair(node, operation, &result, &next)?;
        }
        if whole {
            self.builder.keep_number(&result, number);
        }
        if matches!(operator, "And" | "Or" | "Less" | "Equal") {
            result = self.as_bool(result);
        }
        one(result)
    }

    /// Refuses arithmetic on values of whole numbers that would wrap around.
    pub(super) fn keeps_type(&self, operation: Operation, number: Number) -> Result<(), OnnxError> {
        let leaves = match operation {
            Operation::Add | Operation::Mul | Operation::Pow => number.is_narrow(),
            Operation::Sub => number.is_narrow() || matches!(number, Number::Unsigned(_)),
            _ => false,
        };
        if leaves { Err(self.node.unsupported(WRAPS)) } else { Ok(()) }
    }

    /// Whether an operand has whole numbers.
    pub(super) fn is_whole(&self, operand: &Operand) -> bool {
        !matches!(operand, Operand::Class { .. }) && self.builder.number(operand) != Number::Real
    }

    fn mean(&mut self) -> Result<Vec<Operand>, OnnxError> {
        let node = self.node;
        node.only(&[])?;
        let mut sum = self.first()?;
        for index in 1..node.inputs() {
            let next = self.builder.operand(node, index)?;
            sum = self.builder.pair(node, Operation::Add, &sum, &next)?;
        }
        Ok(vec![self.builder.times(node, &sum, 1.0 / node.inputs().max(1) as f64)?])
    }

    fn compare(&mut self, operator: &str) -> Result<Option<Vec<Operand>>, OnnxError> {
        let node = self.node;
        node.only(&[])?;
        let (a, b) = (self.first()?, self.builder.operand(node, 1)?);
        let not = |read: &mut Self, operand: Operand| {
            let function = Expression::Number(1.0).with(Operation::Sub, Expression::X);
            let made = read.builder.apply(node, &operand, function)?;
            Ok::<_, OnnxError>(read.as_bool(made))
        };
        let result = match operator {
            "Greater" => {
                let greater = self.builder.pair(node, Operation::Less, &b, &a)?;
                self.as_bool(greater)
            }
            "LessOrEqual" => {
                let greater = self.builder.pair(node, Operation::Less, &b, &a)?;
                not(self, greater)?
            }
            "GreaterOrEqual" => {
                let less = self.builder.pair(node, Operation::Less, &a, &b)?;
                not(self, less)?
            }
            _ => {
                let equal = self.builder.pair(node, Operation::Equal, &a, &b)?;
                not(self, equal)?
            }
        };
        one(result)
    }

    /// `where(c, a, b)` is a·c + b·(1 − c).
    fn choose(&mut self) -> Result<Option<Vec<Operand>>, OnnxError> {
        let node = self.node;
        node.only(&[])?;
        let condition = self.first()?;
        let (a, b) = (self.builder.operand(node, 1)?, self.builder.operand(node, 2)?);
        let shapes = [&condition, &a, &b].map(|operand| self.builder.shape(operand));
        let to = self.builder.broadcast(node, &shapes)?;
        if let (Operand::Known(condition), Operand::Known(a), Operand::Known(b)) =
            (&condition, &a, &b)
        {
            let count = crate::graph::ValueShape(to.clone()).entries();
            self.builder.spend(count.saturating_mul(3))?;
            let spread = |host: &Host| {
                let mut shape = vec![1; to.len() - host.shape.len()];
                shape.extend(&host.shape);
                match host.entries.is_empty() || count == 0 {
                    true => vec![],
                    false => crate::graph::moves::broadcast(&shape, &to, &host.entries),
                }
            };
            let pairs = spread(a).into_iter().zip(spread(b));
            let chosen = spread(condition).into_iter().zip(pairs);
            let entries = chosen.map(|(c, (a, b))| if c == 0.0 { b } else { a }).collect();
            return one(Host { shape: to, number: a.number, entries }.into());
        }
        // A condition that is known and the same everywhere chooses one side.
        if let Operand::Known(condition) = &condition
            && let Some((&first, rest)) = condition.entries.split_first()
            && rest.iter().all(|&entry| (entry == 0.0) == (first == 0.0))
        {
            let chosen = if first == 0.0 { &b } else { &a };
            return one(self.builder.expand(node, chosen, &to)?);
        }
        let inverse = Expression::Number(1.0).with(Operation::Sub, Expression::X);
        let inverse = self.builder.apply(node, &condition, inverse)?;
        let mut sum: Option<Operand> = None;
        for (side, chosen) in [(a, condition), (b, inverse)] {
            let cut = match (side, &chosen) {
                // Masks hold −∞ or the least number where nothing may be seen.
                (Operand::Known(side), Operand::Known(chosen)) => self.cut(&side, chosen)?.into(),
                (Operand::Known(side), _) if side.entries.iter().all(|&entry| entry == 0.0) => {
                    continue;
                }
                (Operand::Known(side), _) => {
                    let side = bounded(&side).into();
                    self.builder.pair(node, Operation::Mul, &side, &chosen)?
                }
                (side, _) => {
                    // A condition hides what a function has no number for, but 0
                    // times NaN is NaN.
                    let side = self.with_numbers(side)?;
                    self.builder.pair(node, Operation::Mul, &side, &chosen)?
                }
            };
            sum = Some(match sum {
                None => cut,
                Some(first) => self.builder.pair(node, Operation::Add, &first, &cut)?,
            });
        }
        let sum = sum.unwrap_or_else(|| Host::scalar(Number::Real, 0.0).into());
        one(self.builder.expand(node, &sum, &to)?)
    }

    /// A known tensor where another is 1, and 0 where that is 0.
    fn cut(&mut self, side: &Host, chosen: &Host) -> Result<Host, OnnxError> {
        let shapes = [side, chosen].map(|host| crate::graph::ValueShape(host.shape.clone()));
        let to = self.builder.broadcast(self.node, &shapes)?;
        let count = crate::graph::ValueShape(to.clone()).entries();
        self.builder.spend(count.saturating_mul(3))?;
        let spread = |host: &Host| {
            let mut shape = vec![1; to.len() - host.shape.len()];
            shape.extend(&host.shape);
            match host.entries.is_empty() || count == 0 {
                true => vec![],
                false => crate::graph::moves::broadcast(&shape, &to, &host.entries),
            }
        };
        let pairs = spread(side).into_iter().zip(spread(chosen));
        let entries = pairs.map(|(x, chosen)| if chosen == 0.0 { 0.0 } else { x.min(MOST) });
        let entries = entries.collect();
        Ok(Host { shape: to, number: side.number, entries })
    }

    /// An operand of 0 and 1.
    pub(super) fn as_bool(&mut self, operand: Operand) -> Operand {
        if let Operand::Known(host) = &operand {
            return Host { number: Number::Bool, ..(**host).clone() }.into();
        }
        self.builder.keep_number(&operand, Number::Bool);
        operand
    }

    fn cast(&mut self) -> Result<Option<Vec<Operand>>, OnnxError> {
        let node = self.node;
        node.only(&["to", "saturate", "round_mode"])?;
        let of = self.first()?;
        let number = if node.has("to") {
            let to = DataType(i32::try_from(node.integer("to", 0)).unwrap_or(0));
            // Labels may be texts; the class behind them is the same.
            match (Number::of(to), &of) {
                (Some(number), _) => number,
                (None, Operand::Class { .. }) => return one(of),
                (None, _) => return Err(node.attribute("to")),
            }
        } else {
            let like = self.builder.operand(node, 1)?;
            self.builder.number(&like)
        };
        let from = self.builder.number(&of);
        if let (Operand::Known(host), Some(_)) = (&of, number.range()) {
            let entry = |&x: &f64| match number {
                Number::Bool => f64::from(u8::from(x != 0.0)),
                _ => number.wrapped(x.trunc()),
            };
            self.builder.spend(host.entries.len())?;
            let entries = host.entries.iter().map(entry).collect();
            return one(Host { number, entries, ..(**host).clone() }.into());
        }
        if matches!(of, Operand::Value(_)) && number.is_narrow() && !within(from, number) {
            return Err(node.unsupported(WRAPS));
        }
        let function = match (from, number) {
            (Number::Real, Number::Signed(_) | Number::Unsigned(_)) => Some(truncate()),
            (Number::Real | Number::Signed(_) | Number::Unsigned(_), Number::Bool) => Some(
                Expression::Number(1.0)
                    .with(Operation::Sub, Expression::X.by(Operation::Equal, 0.0)),
            ),
            _ => None,
        };
        // From here on, the numbers are real: divisions have fractions.
        if let (Operand::Value(_), Number::Real, true) = (&of, number, self.is_whole(&of)) {
            let rank = self.builder.shape(&of).rank();
            let by = crate::graph::GraphConstant::scalar(1.0, rank);
            return one(self.builder.layer(node, crate::graph::Kind::Scale { by }, &[of])?);
        }
        let cast = match (&of, function) {
            (Operand::Class { .. }, _) | (_, None) => of,
            (_, Some(function)) => {
                let cast = self.builder.apply(node, &of, function)?;
                self.builder.keep_number(&cast, number);
                cast
            }
        };
        one(match cast {
            Operand::Known(host) => Host { number, ..(*host).clone() }.into(),
            other => other,
        })
    }
}

/// Why a division of integers is refused.
pub(super) const WHOLE: &str =
    "a division of whole numbers, which rounds; cast to floats before it";

/// Why arithmetic on narrow integers is refused.
pub(super) const WRAPS: &str =
    "whole numbers that may wrap around in their type; cast to int32 or to floats before it";

/// Whether both operands are known.
const fn known(a: &Operand, b: &Operand) -> bool {
    matches!((a, b), (Operand::Known(_), Operand::Known(_)))
}

/// Whether every number of the first type is one of the second.
fn within(from: Number, to: Number) -> bool {
    match (from.range(), to.range()) {
        (Some([low, high]), Some([least, most])) => least <= low && high <= most,
        _ => false,
    }
}

/// x without its fraction.
fn truncate() -> Expression {
    let magnitude = Expression::call(Function::Abs).then(Function::Floor);
    magnitude.with(Operation::Mul, Expression::call(Function::Sign))
}

/// The largest number of a mask.
const MOST: f64 = 1e9;

/// A mask without infinities.
pub(super) fn bounded(host: &Host) -> Host {
    let entries = host.entries.iter().map(|entry| entry.clamp(-MOST, MOST)).collect();
    Host { entries, ..host.clone() }
}
