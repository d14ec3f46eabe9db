//! Remainders and bits of whole numbers that are known.

use super::{Read, one};
use crate::graph::{ValueShape, moves};
use crate::onnx::builder::Operand;
use crate::onnx::error::OnnxError;
use crate::onnx::tensor::{Host, Number};

impl Read<'_, '_> {
    pub(super) fn bits(&mut self, operator: &str) -> Result<Option<Vec<Operand>>, OnnxError> {
        let node = self.node;
        let shift = |a: i64, by: i64, left: bool| match u32::try_from(by) {
            Ok(by) if left => a.checked_shl(by).unwrap_or(0),
            Ok(by) => a.checked_shr(by).unwrap_or(0),
            Err(_) => 0,
        };
        match operator {
            "Mod" => {
                node.only(&["fmod"])?;
                let truncated = node.integer("fmod", 0) != 0;
                self.of_known(|a, b| match b == 0.0 {
                    true => None,
                    false if truncated => Some(a % b),
                    false => Some(a - b * (a / b).floor()),
                })
            }
            "BitShift" => {
                node.only(&["direction"])?;
                let left = match node.string("direction") {
                    Some("LEFT") => true,
                    Some("RIGHT") => false,
                    _ => return Err(node.attribute("direction")),
                };
                self.of_known(|a, b| Some(shift(a as i64, b as i64, left) as f64))
            }
            "BitwiseAnd" => self.of_known(|a, b| Some((a as i64 & b as i64) as f64)),
            "BitwiseOr" => self.of_known(|a, b| Some((a as i64 | b as i64) as f64)),
            "BitwiseXor" => self.of_known(|a, b| Some((a as i64 ^ b as i64) as f64)),
            "BitwiseNot" => {
                node.only(&[])?;
                let host = self.builder.host(node, 0)?;
                self.builder.spend(host.entries.len())?;
                let not = |&x: &f64| host.number.wrapped(!(x as i64) as f64);
                let entries = host.entries.iter().map(not).collect();
                one(Host { entries, ..(*host).clone() }.into())
            }
            _ => Ok(None),
        }
    }

    /// A function of two known tensors, which broadcast.
    fn of_known(
        &mut self,
        of: impl Fn(f64, f64) -> Option<f64>,
    ) -> Result<Option<Vec<Operand>>, OnnxError> {
        let node = self.node;
        let (a, b) = (self.builder.host(node, 0)?, self.builder.host(node, 1)?);
        let shapes = [&a, &b].map(|host| ValueShape(host.shape.clone()));
        let to = self.builder.broadcast(node, &shapes)?;
        let count = ValueShape(to.clone()).entries();
        self.builder.spend(count.saturating_mul(3))?;
        let spread = |host: &Host| {
            let mut shape = vec![1; to.len() - host.shape.len()];
            shape.extend(&host.shape);
            match host.entries.is_empty() || count == 0 {
                true => vec![],
                false => moves::broadcast(&shape, &to, &host.entries),
            }
        };
        let number = a.number;
        let fitted = |x: f64| if number == Number::Real { x } else { number.wrapped(x) };
        let pairs = spread(&a).into_iter().zip(spread(&b));
        let entries: Option<Vec<f64>> = pairs.map(|(a, b)| of(a, b).map(fitted)).collect();
        let entries = entries.ok_or_else(|| node.unsupported("a divisor is 0"))?;
        one(Host { shape: to, number, entries }.into())
    }
}
