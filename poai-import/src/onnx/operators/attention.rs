//! Attention as one operator.

use super::Read;
use crate::graph::Expression;
use crate::graph::expression::{Function, Operation};
use crate::onnx::builder::Operand;
use crate::onnx::error::OnnxError;
use crate::onnx::tensor::{Host, Number};

/// What a hidden entry of a mask adds to its score.
const HIDDEN: f64 = -1e9;

/// Queries, keys and values: batch × heads × tokens × width.
struct Heads {
    sides: [Operand; 3],
    scale: f64,
    /// What is added to the scores.
    masks: Vec<Operand>,
    causal: bool,
    /// The bound of the scores by a tanh; 0 for none.
    cap: f64,
}

impl Read<'_, '_> {
    pub(super) fn attention(&mut self, operator: &str) -> Result<Option<Vec<Operand>>, OnnxError> {
        match operator {
            "Attention" => self.attention_of_onnx().map(Some),
            "com.microsoft.Attention" => self.packed_attention().map(Some),
            "com.microsoft.MultiHeadAttention" => self.multi_head().map(Some),
            _ => Ok(None),
        }
    }

    /// Scaled products of queries with keys, softmax, and means of values,
    /// without a cache.
    fn attention_of_onnx(&mut self) -> Result<Vec<Operand>, OnnxError> {
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
        let cached = (4..7).any(|index| node.optional(index).is_some());
        let more = node.outputs().iter().skip(1).any(|name| !name.is_empty());
        if cached || more {
            return Err(node.unsupported("a cache, or its scores as an output"));
        }
        let q = self.first()?;
        let flat = self.builder.shape(&q).rank() == 3;
        let mut sides = vec![];
        for (index, name) in [(0, "q_num_heads"), (1, "kv_num_heads"), (2, "kv_num_heads")] {
            let side = self.builder.operand(node, index)?;
            sides.push(if flat { self.split_heads(&side, name)? } else { side });
        }
        let [q, k, v] = [0, 1, 2].map(|at| self.builder.shape(&sides[at]));
        let (&[_, count, _, width], &[_, groups, ..]) = (q.0.as_slice(), k.0.as_slice()) else {
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
        let mut masks = vec![];
        if let Some(mask) = self.builder.optional(node, 3)? {
            masks.push(match self.builder.number(&mask) {
                Number::Bool => self.hiding(&mask, f64::NEG_INFINITY)?,
                _ => mask,
            });
        }
        let scale = self.scale_or_root("scale", width)?;
        let Ok(sides) = <[Operand; 3]>::try_from(sides) else {
            return Err(node.unsupported("expected three inputs"));
        };
        let causal = node.integer("is_causal", 0) != 0;
        let cap = node.float("softcap", 0.0)?.into();
        // Versions differ on which of them comes first.
        if cap != 0.0 && (causal || !masks.is_empty()) {
            return Err(node.unsupported("a cap beside a mask"));
        }
        let mixed = self.attend(Heads { sides, scale, masks, causal, cap })?;
        Ok(vec![if flat { self.join_heads(&mixed)? } else { mixed }])
    }

    /// Attention of ONNX Runtime, which makes queries, keys and values itself.
    fn packed_attention(&mut self) -> Result<Vec<Operand>, OnnxError> {
        let node = self.node;
        node.only(&[
            "num_heads",
            "unidirectional",
            "mask_filter_value",
            "qkv_hidden_sizes",
            "scale",
            "do_rotary",
            "past_present_share_buffer",
            "rotary_embedding_dim",
        ])?;
        node.fixed("do_rotary", 0)?;
        let cached = [4, 6].iter().any(|&index| node.optional(index).is_some());
        if cached || node.outputs().iter().skip(1).any(|name| !name.is_empty()) {
            return Err(node.unsupported("a cache"));
        }
        let (x, weights) = (self.first()?, self.builder.operand(node, 1)?);
        let all = self.product(&x, &weights)?;
        let all = self.plus(all, 2)?;
        let width = self.builder.shape(&all).last();
        let sizes = match node.sizes("qkv_hidden_sizes")?.filter(|sizes| !sizes.is_empty()) {
            Some(sizes) => sizes,
            None => vec![width / 3; 3],
        };
        if sizes.len() != 3 || sizes.iter().sum::<usize>() != width || sizes[0] != sizes[1] {
            return Err(node.attribute("qkv_hidden_sizes"));
        }
        let axis = self.builder.shape(&all).rank().saturating_sub(1);
        let mut sides = vec![];
        let mut first = 0;
        for size in sizes {
            let part = self.builder.range(node, &all, axis, first..first + size)?;
            sides.push(self.split_heads(&part, "num_heads")?);
            first += size;
        }
        self.of_microsoft(sides, 3, 5)
    }

    /// Attention of queries, keys and values that other nodes make.
    fn multi_head(&mut self) -> Result<Vec<Operand>, OnnxError> {
        let node = self.node;
        node.only(&["num_heads", "unidirectional", "mask_filter_value", "scale"])?;
        let cached = (6..node.inputs()).any(|index| node.optional(index).is_some());
        if cached || node.outputs().iter().skip(1).any(|name| !name.is_empty()) {
            return Err(node.unsupported("a cache"));
        }
        let bias = self.builder.optional(node, 3)?;
        let (mut sides, mut first) = (vec![], 0);
        for index in 0..3 {
            let mut side = self.builder.operand(node, index)?;
            let shape = self.builder.shape(&side);
            if shape.rank() != 3 {
                return Err(node.unsupported("inputs of other than three dimensions"));
            }
            if let Some(bias) = &bias {
                let own = first..first + shape.last();
                if own.end > self.builder.shape(bias).entries() {
                    return Err(node.unsupported("its bias does not fit"));
                }
                let own = self.builder.range(node, bias, 0, own)?;
                side = self.builder.pair(node, Operation::Add, &side, &own)?;
            }
            first += shape.last();
            sides.push(self.split_heads(&side, "num_heads")?);
        }
        self.of_microsoft(sides, 4, 5)
    }

    /// Attention with a mask of 0 and 1, and a bias of the scores.
    fn of_microsoft(
        &mut self,
        sides: Vec<Operand>,
        mask: usize,
        bias: usize,
    ) -> Result<Vec<Operand>, OnnxError> {
        let node = self.node;
        let shape = self.builder.shape(&sides[0]);
        let (batch, width) = (shape.0.first().copied().unwrap_or(1), shape.last());
        let keys = self.builder.shape(&sides[1]).0.get(2).copied().unwrap_or(1);
        let mut masks = vec![];
        if let Some(mask) = self.builder.optional(node, mask)? {
            let own = self.builder.shape(&mask).0;
            let form = match *own.as_slice() {
                [rows, columns] if [rows, columns] == [batch, keys] => vec![batch, 1, 1, keys],
                [rows, queries, columns] if [rows, columns] == [batch, keys] => {
                    vec![batch, 1, queries, keys]
                }
                // How many tokens count: all of them is no mask.
                [_] => match &mask {
                    Operand::Known(host)
                        if host.entries.iter().all(|&count| count == keys as f64) =>
                    {
                        vec![]
                    }
                    _ => return Err(node.unsupported(LENGTHS)),
                },
                _ => return Err(node.unsupported(LENGTHS)),
            };
            if !form.is_empty() {
                let mask = self.builder.reshape(node, &mask, form)?;
                let low = node.float("mask_filter_value", -10000.0)?;
                masks.push(self.hiding(&mask, low.into())?);
            }
        }
        if let Some(bias) = self.builder.optional(node, bias)? {
            masks.push(bias);
        }
        let scale = self.scale_or_root("scale", width)?;
        let Ok(sides) = <[Operand; 3]>::try_from(sides) else {
            return Err(node.unsupported("expected three inputs"));
        };
        let causal = node.integer("unidirectional", 0) != 0;
        let mixed = self.attend(Heads { sides, scale, masks, causal, cap: 0.0 })?;
        Ok(vec![self.join_heads(&mixed)?])
    }

    /// The scale of scores: an attribute, or one over the root of the width.
    fn scale_or_root(&self, name: &str, width: usize) -> Result<f64, OnnxError> {
        Ok(match self.node.float(name, 0.0)? {
            0.0 => 1.0 / (width as f64).sqrt(),
            scale => scale.into(),
        })
    }

    /// Batch × tokens × all heads as batch × heads × tokens × width.
    fn split_heads(&mut self, side: &Operand, name: &str) -> Result<Operand, OnnxError> {
        let node = self.node;
        let count = usize::try_from(node.integer(name, 0)).unwrap_or(0);
        let shape = self.builder.shape(side);
        let &[batch, tokens, width] = shape.0.as_slice() else {
            return Err(node.unsupported("inputs of different forms"));
        };
        if count == 0 || width % count != 0 {
            return Err(node.attribute(name));
        }
        let split = vec![batch, tokens, count, width / count];
        let side = self.builder.reshape(node, side, split)?;
        self.builder.transpose(node, &side, vec![0, 2, 1, 3])
    }

    /// The reverse of [`Read::split_heads`].
    fn join_heads(&mut self, mixed: &Operand) -> Result<Operand, OnnxError> {
        let node = self.node;
        let &[batch, count, tokens, width] = self.builder.shape(mixed).0.as_slice() else {
            return Err(node.unsupported("inputs of different forms"));
        };
        let turned = self.builder.transpose(node, mixed, vec![0, 2, 1, 3])?;
        self.builder.reshape(node, &turned, vec![batch, tokens, count.saturating_mul(width)])
    }

    /// What a mask of 0 and 1 adds to scores: nothing where it is 1.
    fn hiding(&mut self, mask: &Operand, low: f64) -> Result<Operand, OnnxError> {
        let node = self.node;
        if let Operand::Known(host) = mask {
            self.builder.spend(host.entries.len())?;
            let of = |&seen: &f64| if seen == 0.0 { low } else { 0.0 };
            let entries = host.entries.iter().map(of).collect();
            return Ok(Host { number: Number::Real, entries, ..(**host).clone() }.into());
        }
        let inverse = Expression::Number(1.0).with(Operation::Sub, Expression::X);
        let inverse = self.builder.apply(node, mask, inverse)?;
        self.builder.times(node, &inverse, low.max(HIDDEN))
    }

    fn attend(&mut self, heads: Heads) -> Result<Operand, OnnxError> {
        let node = self.node;
        let Heads { sides: [q, k, v], scale, masks, causal, cap } = heads;
        let tokens = self.builder.shape(&q).0.get(2).copied().unwrap_or(1);
        let keys = self.builder.shape(&k).0.get(2).copied().unwrap_or(1);
        let turned = self.swapped(&k)?;
        let scores = self.product(&q, &turned)?;
        let mut scores = self.builder.times(node, &scores, scale)?;
        if cap != 0.0 {
            let capped = Expression::X.by(Operation::Div, cap).then(Function::Tanh);
            scores = self.builder.apply(node, &scores, capped.by(Operation::Mul, cap))?;
        }
        for mask in masks {
            scores = self.builder.pair(node, Operation::Add, &scores, &mask)?;
        }
        if causal {
            self.builder.spend(tokens.saturating_mul(keys))?;
            let entry = |at: usize| if at % keys > at / keys { f64::NEG_INFINITY } else { 0.0 };
            let entries = (0..tokens * keys).map(entry).collect();
            let mask = Host { shape: vec![tokens, keys], number: Number::Real, entries };
            scores = self.builder.pair(node, Operation::Add, &scores, &mask.into())?;
        }
        let weights = self.softmax_of(&scores, 3)?;
        self.product(&weights, &v)
    }
}

/// Why a mask of lengths is refused.
const LENGTHS: &str =
    "a mask that counts tokens of the input; export with a fixed length and no mask";

impl Read<'_, '_> {
    /// The last two axes swapped.
    pub(super) fn swapped(&mut self, of: &Operand) -> Result<Operand, OnnxError> {
        let rank = self.builder.shape(of).rank();
        let mut permutation: Vec<usize> = (0..rank).collect();
        if rank >= 2 {
            permutation.swap(rank - 2, rank - 1);
        }
        self.builder.transpose(self.node, of, permutation)
    }
}
