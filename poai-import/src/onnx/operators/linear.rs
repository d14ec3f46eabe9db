//! Products of matrices.

use super::{Read, one};
use crate::graph::Kind;
use crate::graph::expression::Operation;
use crate::onnx::builder::Operand;
use crate::onnx::error::OnnxError;
use crate::onnx::tensor::{Host, Number};

impl Read<'_, '_> {
    pub(super) fn linear(&mut self, operator: &str) -> Result<Option<Vec<Operand>>, OnnxError> {
        match operator {
            "Gemm" => one(self.gemm_of(&["alpha", "beta", "transA", "transB", "broadcast"])?),
            "MatMul" => {
                self.node.only(&[])?;
                let (a, b) = (self.first()?, self.builder.operand(self.node, 1)?);
                one(self.product(&a, &b)?)
            }
            "Einsum" => self.einsum(),
            _ => Ok(None),
        }
    }

    /// A product of matrices and a sum, of a node with these attributes.
    pub(super) fn gemm_of(&mut self, attributes: &[&str]) -> Result<Operand, OnnxError> {
        let node = self.node;
        node.only(attributes)?;
        let (mut a, mut b) = (self.first()?, self.builder.operand(node, 1)?);
        for (operand, turned) in [(&mut a, "transA"), (&mut b, "transB")] {
            if self.builder.shape(operand).rank() != 2 {
                return Err(node.unsupported("expected matrices"));
            }
            if node.integer(turned, 0) != 0 {
                *operand = self.builder.transpose(node, operand, vec![1, 0])?;
            }
        }
        let product = self.product(&a, &b)?;
        let (alpha, beta) = (node.float("alpha", 1.0)?, node.float("beta", 1.0)?);
        let product = self.builder.times(node, &product, alpha.into())?;
        let Some(bias) = self.builder.optional(node, 2)? else { return Ok(product) };
        let bias = self.builder.times(node, &bias, beta.into())?;
        self.builder.pair(node, Operation::Add, &product, &bias)
    }

    /// The product of two operands, as ONNX's MatMul.
    pub(super) fn product(&mut self, a: &Operand, b: &Operand) -> Result<Operand, OnnxError> {
        let node = self.node;
        if let (Operand::Known(a), Operand::Known(b)) = (a, b) {
            return self.known_product(a, b);
        }
        let (left, right) = (self.builder.shape(a), self.builder.shape(b));
        if left.rank() == 0 || right.rank() == 0 {
            return Err(node.unsupported("expected matrices"));
        }
        // A vector is a row on the left, and a column on the right.
        let row = match left.rank() {
            1 => self.builder.reshape(node, a, vec![1, left.last()])?,
            _ => a.clone(),
        };
        let column = match right.rank() {
            1 => self.builder.reshape(node, b, vec![right.last(), 1])?,
            _ => b.clone(),
        };
        let product = match (&row, &column) {
            (value, Operand::Known(host)) if host.shape.len() == 2 => {
                let weights = self.builder.weights(node, host)?;
                let bias = vec![0.0; weights.nrows()];
                self.builder.linear(node, value, weights, bias)?
            }
            // (A·x)ᵀ = xᵀ·Aᵀ.
            (Operand::Known(host), value) if host.shape.len() == 2 => {
                let turned = self.swapped(value)?;
                let turned_host = self.swapped(&Operand::Known(host.clone()))?;
                let product = self.product(&turned, &turned_host)?;
                self.swapped(&product)?
            }
            (a, b) => self.batched(a, b)?,
        };
        let mut shape = self.builder.shape(&product).0;
        if right.rank() == 1 {
            shape.pop();
        }
        if left.rank() == 1 {
            let at = shape.len().saturating_sub(if right.rank() == 1 { 1 } else { 2 });
            shape.remove(at);
        }
        self.builder.reshape(node, &product, shape)
    }

    /// A product of stacks of matrices, which broadcast.
    fn batched(&mut self, a: &Operand, b: &Operand) -> Result<Operand, OnnxError> {
        let node = self.node;
        let (left, right) = (self.builder.shape(a), self.builder.shape(b));
        let split = |shape: &crate::graph::ValueShape| {
            let at = shape.rank() - 2;
            (crate::graph::ValueShape(shape.0[..at].to_vec()), shape.0[at..].to_vec())
        };
        let ((lead_a, own_a), (lead_b, own_b)) = (split(&left), split(&right));
        let leading = self.builder.broadcast(node, &[lead_a, lead_b])?;
        let full = |own: Vec<usize>| [leading.clone(), own].concat();
        let mut sides = vec![];
        for (side, own) in [(a, own_a), (b, own_b)] {
            let side = self.builder.expand(node, side, &full(own))?;
            sides.push(match (&side, [a, b]) {
                (Operand::Known(host), [x, y]) => {
                    let value = if matches!(x, Operand::Value(_)) { x } else { y };
                    self.builder.filled(node, value, &host.clone())?
                }
                _ => side,
            });
        }
        self.builder.layer(node, Kind::MatMul, &sides)
    }

    fn known_product(&mut self, a: &Host, b: &Host) -> Result<Operand, OnnxError> {
        let node = self.node;
        let (&[m, k], &[rows, n]) = (a.shape.as_slice(), b.shape.as_slice()) else {
            return Err(node.unsupported("expected matrices, got stacks of constant matrices"));
        };
        let work = m.saturating_mul(k).saturating_mul(n);
        if k != rows || work > crate::graph::MAX_ENTRIES {
            return Err(node.unsupported("its matrices do not fit together"));
        }
        self.builder.spend(m.saturating_mul(n))?;
        let entry = |at: usize| {
            (0..k).map(|step| a.entries[at / n * k + step] * b.entries[step * n + at % n]).sum()
        };
        let entries = (0..m * n).map(entry).collect();
        Ok(Host { shape: vec![m, n], number: Number::Real, entries }.into())
    }
}
