//! Products of matrices.

use super::{Read, one};
use crate::graph::Kind;
use crate::graph::expression::Operation;
use crate::onnx::builder::Operand;
use crate::onnx::error::OnnxError;
use crate::onnx::tensor::{Host, Number};
use ndarray::Array2;

impl Read<'_, '_> {
    pub(super) fn linear(&mut self, operator: &str) -> Result<Option<Vec<Operand>>, OnnxError> {
        match operator {
            "Gemm" => self.gemm(),
            "MatMul" => {
                self.node.only(&[])?;
                let (a, b) = (self.first()?, self.builder.operand(self.node, 1)?);
                one(self.product(&a, &b)?)
            }
            "Einsum" => self.einsum(),
            "Attention" => self.attention(),
            _ => Ok(None),
        }
    }

    fn gemm(&mut self) -> Result<Option<Vec<Operand>>, OnnxError> {
        let node = self.node;
        node.only(&["alpha", "beta", "transA", "transB", "broadcast"])?;
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
        let Some(bias) = self.builder.optional(node, 2)? else { return one(product) };
        let bias = self.builder.times(node, &bias, beta.into())?;
        one(self.builder.pair(node, Operation::Add, &product, &bias)?)
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
                let weights = weights(host, node)?;
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

    /// The last two axes swapped.
    fn swapped(&mut self, of: &Operand) -> Result<Operand, OnnxError> {
        let rank = self.builder.shape(of).rank();
        let mut permutation: Vec<usize> = (0..rank).collect();
        if rank >= 2 {
            permutation.swap(rank - 2, rank - 1);
        }
        self.builder.transpose(self.node, of, permutation)
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
            return Err(node.unsupported("expected matrices"));
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

    /// Two operands, each axis of both named once in each.
    fn einsum(&mut self) -> Result<Option<Vec<Operand>>, OnnxError> {
        let node = self.node;
        node.only(&["equation"])?;
        let equation: String = node.string("equation").unwrap_or_default().replace(' ', "");
        let unsupported = || node.unsupported(format!("the equation {equation}"));
        let (inputs, output) = equation.split_once("->").ok_or_else(unsupported)?;
        let (first, second) = inputs.split_once(',').ok_or_else(unsupported)?;
        let letters = |text: &str| -> Option<Vec<char>> {
            let letters: Vec<char> = text.chars().collect();
            let once = |at: usize| !letters[..at].contains(&letters[at]);
            let plain = letters.iter().all(char::is_ascii_alphabetic);
            (plain && (0..letters.len()).all(once)).then_some(letters)
        };
        let [first, second, output] = [first, second, output].map(letters);
        let (Some(first), Some(second), Some(output)) = (first, second, output) else {
            return Err(unsupported());
        };
        let (a, b) = (self.first()?, self.builder.operand(node, 1)?);
        let (left, right) = (self.builder.shape(&a), self.builder.shape(&b));
        if (left.rank(), right.rank()) != (first.len(), second.len()) {
            return Err(unsupported());
        }
        let size = |letter: char| {
            let at = first.iter().position(|&own| own == letter);
            at.map(|at| left.0[at])
                .or_else(|| second.iter().position(|&own| own == letter).map(|at| right.0[at]))
                .unwrap_or(1)
        };
        let kind = |in_a: bool, in_b: bool, out: bool| -> Vec<char> {
            let all = first.iter().chain(second.iter().filter(|letter| !first.contains(letter)));
            let is = |letter: &&char| {
                (first.contains(letter), second.contains(letter), output.contains(letter))
                    == (in_a, in_b, out)
            };
            all.filter(is).copied().collect()
        };
        let batch = kind(true, true, true);
        let (rows, columns) = (kind(true, false, true), kind(false, true, true));
        let summed = kind(true, true, false);
        if !kind(true, false, false).is_empty() || !kind(false, true, false).is_empty() {
            return Err(unsupported());
        }
        let product = |letters: &[char]| letters.iter().map(|&letter| size(letter)).product();
        let (batches, m, n, k): (usize, usize, usize, usize) =
            (product(&batch), product(&rows), product(&columns), product(&summed));
        let order = |own: &[char], wanted: [&Vec<char>; 3]| -> Vec<usize> {
            let wanted = wanted.into_iter().flatten();
            wanted.filter_map(|letter| own.iter().position(|own| own == letter)).collect()
        };
        let a = self.builder.transpose(node, &a, order(&first, [&batch, &rows, &summed]))?;
        let a = self.builder.reshape(node, &a, vec![batches, m, k])?;
        let b = self.builder.transpose(node, &b, order(&second, [&batch, &summed, &columns]))?;
        let b = self.builder.reshape(node, &b, vec![batches, k, n])?;
        let made = if batches == 1 {
            let a = self.builder.reshape(node, &a, vec![m, k])?;
            let b = self.builder.reshape(node, &b, vec![k, n])?;
            self.product(&a, &b)?
        } else {
            self.product(&a, &b)?
        };
        let letters = [batch, rows, columns].concat();
        let sizes = letters.iter().map(|&letter| size(letter)).collect();
        let made = self.builder.reshape(node, &made, sizes)?;
        let permutation = order(&letters, [&output, &vec![], &vec![]]);
        one(self.builder.transpose(node, &made, permutation)?)
    }

    /// Scaled products of queries with keys, softmax, and means of values,
    /// without a cache.
    fn attention(&mut self) -> Result<Option<Vec<Operand>>, OnnxError> {
        let node = self.node;
        node.only(&[
            "is_causal",
            "kv_num_heads",
            "q_num_heads",
            "scale",
            "softcap",
            "softmax_precision",
            "qk_matmul_output_mode",
        ])?;
        if node.float("softcap", 0.0)? != 0.0 || node.inputs() > 4 {
            return Err(node.unsupported("a cap or a cache"));
        }
        let heads = |name| usize::try_from(node.integer(name, 0)).unwrap_or(0);
        let mut sides = vec![];
        let flat = {
            let q = self.first()?;
            self.builder.shape(&q).rank() == 3
        };
        for (index, name) in [(0, "q_num_heads"), (1, "kv_num_heads"), (2, "kv_num_heads")] {
            let mut side = self.builder.operand(node, index)?;
            if flat {
                let shape = self.builder.shape(&side);
                let (&[batch, tokens, width], count) = (shape.0.as_slice(), heads(name)) else {
                    return Err(node.unsupported("inputs of different forms"));
                };
                if count == 0 || width % count != 0 {
                    return Err(node.attribute(name));
                }
                let split = vec![batch, tokens, count, width / count];
                side = self.builder.reshape(node, &side, split)?;
                side = self.builder.transpose(node, &side, vec![0, 2, 1, 3])?;
            }
            sides.push(side);
        }
        let [q, k, v] = [0, 1, 2].map(|at| self.builder.shape(&sides[at]));
        let (&[batch, count, tokens, width], &[_, groups, keys, _]) =
            (q.0.as_slice(), k.0.as_slice())
        else {
            return Err(node.unsupported("inputs of other than 3 or 4 dimensions"));
        };
        if groups == 0 || count % groups != 0 || v.0.len() != 4 {
            return Err(node.unsupported("heads that do not divide"));
        }
        if groups != count {
            let repeated = |head: usize| Some(head * groups / count);
            for side in &mut sides[1..] {
                let indices = (0..count).map(repeated).collect();
                *side = self.builder.take(node, side, 1, indices)?;
            }
        }
        let scale = match node.float("scale", 0.0)? {
            0.0 => 1.0 / (width as f64).sqrt(),
            scale => scale.into(),
        };
        let turned = self.swapped(&sides[1])?;
        let scores = self.product(&sides[0], &turned)?;
        let mut scores = self.builder.times(node, &scores, scale)?;
        if let Some(mask) = self.builder.optional(node, 3)? {
            if self.builder.number(&mask) == Number::Bool {
                return Err(node.unsupported("a mask of booleans"));
            }
            scores = self.builder.pair(node, Operation::Add, &scores, &mask)?;
        }
        if node.integer("is_causal", 0) != 0 {
            self.builder.spend(tokens.saturating_mul(keys))?;
            let entry = |at: usize| if at % keys > at / keys { -1e9 } else { 0.0 };
            let entries = (0..tokens * keys).map(entry).collect();
            let mask = Host { shape: vec![tokens, keys], number: Number::Real, entries };
            scores = self.builder.pair(node, Operation::Add, &scores, &mask.into())?;
        }
        let weights = self.softmax_of(&scores, 3)?;
        let mut mixed = self.product(&weights, &sides[2])?;
        if flat {
            mixed = self.builder.transpose(node, &mixed, vec![0, 2, 1, 3])?;
            mixed = self.builder.reshape(node, &mixed, vec![batch, tokens, count * v.last()])?;
        }
        one(mixed)
    }
}

/// A known matrix inputs × outputs as weights outputs × inputs.
fn weights(host: &Host, node: &crate::onnx::node::Node<'_>) -> Result<Array2<f32>, OnnxError> {
    let (rows, columns) = (host.shape[0], host.shape[1]);
    let entries = host.floats();
    let of = |(output, input): (usize, usize)| entries[input * columns + output];
    match entries.len() == rows * columns {
        true => Ok(Array2::from_shape_fn((columns, rows), of)),
        false => Err(node.unsupported("its weights are no matrix")),
    }
}
