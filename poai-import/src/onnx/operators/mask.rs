//! Masks before a softmax, and the rows that they leave without any number.
//!
//! A file hides entries by a number far below all others, or by −∞. Such a
//! number would take all the range of the integers, so that this module writes
//! −80 in its place. It also keeps what a row computes whose entries are all
//! hidden: equal shares for a number so low that f32 forgets the entries, no
//! number for −∞.

use super::Read;
use crate::graph::{GraphConstant, Kind};
use crate::onnx::builder::Operand;
use crate::onnx::error::OnnxError;
use crate::onnx::tensor::{Host, Number};

/// Entries of a mask below this are as good as −∞, and are raised to
/// [`MASK_TO`], so that they do not take all the range of the integers.
const MASK_FROM: f32 = -1000.0;
/// `e^−80` is below every unit of a softmax's output.
const MASK_TO: f32 = -80.0;
/// Beside a number below this, f32 forgets what it is added to.
const FORGETS: f32 = -1e8;
/// The deepest sum of masks.
const DEPTH: usize = 8;
/// The longest chain of functions and moves of a mask of two numbers.
const LONGEST: usize = 16;

/// A mask that an input decides: two numbers, one where a value is 0 and one
/// where it is 1.
struct Two {
    numbers: [f64; 2],
    /// The value of 0 and 1.
    base: usize,
    /// What moves the value, the first move first.
    moves: Vec<Kind>,
    /// The input of whole numbers that the base is.
    input: Option<usize>,
}

/// What becomes of a constant mask along an axis.
struct Rows {
    /// The mask without low numbers.
    mask: GraphConstant,
    /// 0 for rows that the mask alone decides; `None` without such rows.
    kept: Option<GraphConstant>,
    /// 1 for rows without any number; `None` without such rows.
    undefined: Option<Host>,
}

impl Read<'_, '_> {
    /// Which entries are no numbers. A value has numbers but in the rows that a
    /// mask hides wholly.
    pub(super) fn no_number(&mut self, operator: &str) -> Result<Vec<Operand>, OnnxError> {
        let node = self.node;
        node.only(if operator == "IsInf" { &["detect_negative", "detect_positive"] } else { &[] })?;
        let x = self.first()?;
        let shape = self.builder.shape(&x);
        self.builder.spend(shape.entries())?;
        let entries = match &x {
            Operand::Known(host) => {
                let negative = node.integer("detect_negative", 1) != 0;
                let positive = node.integer("detect_positive", 1) != 0;
                let is = |&x: &f64| match operator {
                    "IsNaN" => x.is_nan(),
                    _ => x.is_infinite() && if x < 0.0 { negative } else { positive },
                };
                host.entries.iter().map(|x| f64::from(u8::from(is(x)))).collect()
            }
            Operand::Value(value) if operator == "IsNaN" => {
                match self.builder.undefined.remove(value) {
                    Some(rows) => {
                        crate::graph::moves::broadcast(&rows.shape, &shape.0, &rows.entries)
                    }
                    None => vec![0.0; shape.entries()],
                }
            }
            _ => vec![0.0; shape.entries()],
        };
        Ok(vec![Host { shape: shape.0, number: Number::Bool, entries }.into()])
    }

    /// What a softmax along the axis reads, without low numbers, and the rows
    /// that have no numbers.
    pub(super) fn unmasked(
        &mut self,
        x: &Operand,
        axis: usize,
    ) -> Result<(Operand, Option<Host>), OnnxError> {
        let &Operand::Value(value) = x else { return Ok((x.clone(), None)) };
        let mut undefined = None;
        let made = self.raised(value, Some(axis), &mut undefined, DEPTH)?;
        Ok((made.unwrap_or_else(|| x.clone()), undefined))
    }

    /// A value whose masks have no low numbers, or `None` if it has none.
    fn raised(
        &mut self,
        value: usize,
        axis: Option<usize>,
        undefined: &mut Option<Host>,
        depth: usize,
    ) -> Result<Option<Operand>, OnnxError> {
        let node = self.node;
        let Some(layer) = self.builder.graph.layer(value) else { return Ok(None) };
        let Some(depth) = depth.checked_sub(1) else { return Ok(None) };
        let inputs = layer.inputs.clone();
        // Several softmaxes may look through one mask, each time anew.
        let size = match &layer.kind {
            Kind::Offset { by } | Kind::Scale { by } => by.entries.len(),
            _ => 0,
        };
        self.builder.spend(size)?;
        let Some(layer) = self.builder.graph.layer(value) else { return Ok(None) };
        match &layer.kind {
            Kind::Offset { by } => {
                let rows =
                    by.entries.iter().any(|&entry| entry < MASK_FROM).then(|| rows(by, axis));
                let source = self.raised(inputs[0], axis, undefined, depth)?;
                if rows.is_none() && source.is_none() {
                    return Ok(None);
                }
                let source = source.unwrap_or(Operand::Value(inputs[0]));
                let Some(Rows { mask, kept, undefined: without }) = rows else {
                    return self.moved(value, &[source]).map(Some);
                };
                let source = match kept {
                    Some(by) => self.builder.layer(node, Kind::Scale { by }, &[source])?,
                    None => source,
                };
                if without.is_some() {
                    *undefined = without;
                }
                self.builder.layer(node, Kind::Offset { by: mask }, &[source]).map(Some)
            }
            Kind::Add { factors: [1.0, 1.0] } => {
                let mut sides = vec![];
                for &input in &inputs {
                    sides.push(self.raised(input, axis, undefined, depth)?);
                }
                if sides.iter().all(Option::is_none) {
                    return Ok(None);
                }
                let sides: Vec<Operand> = sides
                    .into_iter()
                    .zip(&inputs)
                    .map(|(side, &input)| side.unwrap_or(Operand::Value(input)))
                    .collect();
                self.builder.layer(node, Kind::Add { factors: [1.0, 1.0] }, &sides).map(Some)
            }
            kind if kind.is_move() && inputs.len() == 1 => {
                if let Some(two) = self.two(value)? {
                    return self.raised_two(two).map(Some);
                }
                match self.raised(inputs[0], None, undefined, depth)? {
                    Some(source) => self.moved(value, &[source]).map(Some),
                    None => Ok(None),
                }
            }
            // A matrix of low numbers where a value is 1.
            Kind::Scale { by } if by.uniform().is_none() => {
                if !by.entries.iter().any(|&entry| entry < MASK_FROM) {
                    return Ok(None);
                }
                let mut by = by.clone();
                let is_bool = self.builder.number(&Operand::Value(inputs[0])) == Number::Bool;
                if !is_bool {
                    return Ok(None);
                }
                by.entries.iter_mut().for_each(raise);
                let source = Operand::Value(inputs[0]);
                self.builder.layer(node, Kind::Scale { by }, &[source]).map(Some)
            }
            _ => match self.two(value)? {
                Some(two) => self.raised_two(two).map(Some),
                None => Ok(None),
            },
        }
    }

    /// What the layer of a value computes of other operands.
    pub(super) fn moved(
        &mut self,
        value: usize,
        sources: &[Operand],
    ) -> Result<Operand, OnnxError> {
        let node = self.node;
        let Some(layer) = self.builder.graph.layer(value) else { return Ok(Operand::Value(value)) };
        let size = match &layer.kind {
            Kind::Take { indices, .. } => indices.len().saturating_mul(3),
            Kind::Offset { by } | Kind::Scale { by } => by.entries.len(),
            _ => 0,
        };
        self.builder.spend(size)?;
        let kind = self.builder.graph.layer(value).map(|layer| layer.kind.clone());
        match kind {
            Some(kind) => self.builder.layer(node, kind, sources),
            None => Ok(Operand::Value(value)),
        }
    }

    /// The mask of two numbers that a value is, if one of them is low.
    fn two(&mut self, value: usize) -> Result<Option<Two>, OnnxError> {
        // Constants are compared, and moves copied.
        let (mut at, mut size) = (value, 0usize);
        for _ in 0..LONGEST {
            let Some(layer) = self.builder.graph.layer(at) else { break };
            size = size.saturating_add(match &layer.kind {
                Kind::Scale { by } | Kind::Offset { by } if by.entries.len() > 1 => {
                    by.entries.len()
                }
                Kind::Take { indices, .. } => indices.len(),
                _ => 0,
            });
            let Some(&input) = layer.inputs.first() else { break };
            at = input;
        }
        self.builder.spend(size)?;
        Ok(self.two_of(value))
    }

    fn two_of(&self, value: usize) -> Option<Two> {
        let graph = &self.builder.graph;
        let (mut at, mut moves, mut functions) = (value, vec![], vec![]);
        for _ in 0..LONGEST {
            let input = graph.inputs.get(at);
            let number = self.builder.number(&Operand::Value(at));
            let whole = number != Number::Real && input.is_some_and(|input| input.ids.is_none());
            if number == Number::Bool || whole {
                let of = |x: f64| functions.iter().rev().fold(x, |x, of| apply(of, x));
                let numbers = [of(0.0), of(1.0)];
                let low = |x: f64| x < f64::from(MASK_FROM);
                let one = low(numbers[0]) != low(numbers[1]);
                let fine = one && numbers.iter().all(|&x| x < 1000.0);
                moves.reverse();
                let input = (number != Number::Bool).then_some(at);
                return fine.then_some(Two { numbers, base: at, moves, input });
            }
            let layer = graph.layer(at)?;
            match &layer.kind {
                Kind::Take { indices, .. } if indices.contains(&None) => return None,
                kind if kind.is_move() && layer.inputs.len() == 1 => moves.push(kind.clone()),
                Kind::Scale { by } | Kind::Offset { by } => {
                    by.uniform()?;
                    functions.push(layer.kind.clone());
                }
                Kind::Pointwise(_) => functions.push(layer.kind.clone()),
                _ => return None,
            }
            at = *layer.inputs.first()?;
        }
        None
    }

    /// The same mask without its low number.
    fn raised_two(&mut self, two: Two) -> Result<Operand, OnnxError> {
        let node = self.node;
        // Such a mask is right for the numbers 0 and 1 alone.
        if let Some(input) = two.input.and_then(|input| self.builder.graph.inputs.get_mut(input)) {
            input.whole = Some([0, 1]);
        }
        let mut made = Operand::Value(two.base);
        for kind in two.moves {
            if let Kind::Take { indices, .. } = &kind {
                self.builder.spend(indices.len().saturating_mul(3))?;
            }
            made = self.builder.layer(node, kind, &[made])?;
        }
        let [zero, one] = two.numbers.map(|x| x.max(MASK_TO.into()));
        let scaled = self.builder.times(node, &made, one - zero)?;
        self.builder.offset(node, &scaled, &Host::scalar(Number::Real, zero))
    }
}

/// A function of one number that a layer computes of every entry.
fn apply(kind: &Kind, x: f64) -> f64 {
    match kind {
        Kind::Scale { by } => x * f64::from(by.uniform().unwrap_or(1.0)),
        Kind::Offset { by } => {
            let by = f64::from(by.uniform().unwrap_or(0.0));
            x + if by == f64::NEG_INFINITY { -1e9 } else { by }
        }
        Kind::Pointwise(function) => function.at(x),
        _ => x,
    }
}

fn raise(entry: &mut f32) {
    if *entry < MASK_FROM {
        *entry = MASK_TO;
    }
}

/// A constant mask without low numbers. Rows lie along the axis; without one,
/// low numbers are raised and nothing else.
fn rows(by: &GraphConstant, axis: Option<usize>) -> Rows {
    let mut mask = by.clone();
    let Some(size) = axis.and_then(|axis| by.shape.get(axis).copied()) else {
        mask.entries.iter_mut().for_each(raise);
        return Rows { mask, kept: None, undefined: None };
    };
    let axis = axis.unwrap_or_default();
    let inner: usize = by.shape[axis + 1..].iter().product();
    let outer: usize = by.shape[..axis].iter().product();
    let mut shape = by.shape.clone();
    shape[axis] = 1;
    let (mut kept, mut without) = (vec![1.0f32; outer * inner], vec![0.0f64; outer * inner]);
    for row in 0..outer * inner {
        let first = row / inner * size * inner + row % inner;
        let places = (0..size).map(|at| first + at * inner);
        let most = places.clone().fold(f32::NEG_INFINITY, |most, at| most.max(by.entries[at]));
        if most < FORGETS {
            kept[row] = 0.0;
        }
        if most == f32::NEG_INFINITY {
            without[row] = 1.0;
        }
        for at in places {
            let entry = &mut mask.entries[at];
            // A softmax sees no difference if all of a row moves.
            if most == f32::NEG_INFINITY {
                *entry = 0.0;
            } else if most < MASK_FROM {
                *entry -= most;
            }
            raise(entry);
        }
    }
    let changed = kept.contains(&0.0);
    let kept = changed.then(|| GraphConstant { shape: shape.clone(), entries: kept });
    let some = without.contains(&1.0);
    let undefined = some.then_some(Host { shape, number: Number::Bool, entries: without });
    Rows { mask, kept, undefined }
}
