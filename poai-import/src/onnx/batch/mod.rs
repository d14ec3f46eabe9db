//! Whether the nodes of a file keep the samples of a batch apart.
//!
//! The reader takes a batch of 1. That is the file's function of every sample
//! only if no node mixes samples. This module follows the axis of the samples
//! from the inputs to the output, node by node, through transpositions and
//! through axes that hold samples beside other entries.
//!
//! Known tensors may depend on the size of the batch: `Shape` makes them, and
//! arithmetic on shapes follows. Nodes of known tensors therefore run twice,
//! with a batch of 1 and with a larger one, and the results are compared.
//!
//! What is not known to keep samples apart counts as mixing them. [`rules`]
//! has the operators, and [`moves`] those that move entries. [`trial`] tells
//! where no rule can.

mod moves;
mod rules;
pub(super) mod trial;

use super::Limits;
use super::Versions;
use super::builder::{Builder, Operand};
use super::error::OnnxError;
use super::inputs::Declared;
use super::node::Node;
use super::operators;
use super::tensor::Host;
use crate::graph::ValueShape;
use rten_onnx::onnx::GraphProto;
use std::collections::HashMap;
use std::path::Path;
use std::rc::Rc;

/// The larger batch for files that leave the batch open. It is a prime, so that
/// quotients of it and of other sizes are rarely whole.
const BATCH: usize = 7;

/// Where a value has the samples: along an axis that, with a batch of N, has
/// `outer`·N·inner places, in that order. All sizes here are those of a batch
/// of 1, so the axis' size is `outer`·inner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Along {
    axis: usize,
    outer: usize,
}

impl Along {
    /// Whether samples come one after another.
    const fn is_first(self) -> bool {
        self.axis == 0 && self.outer == 1
    }
}

/// What is known of a name that depends on the batch.
#[derive(Clone)]
enum Track {
    /// A value with samples along an axis.
    Along(Along),
    /// A known tensor that the size of the batch changes.
    Sized,
    /// Samples were mixed by a node before, or may have been.
    Mixed(Rc<Mixing>),
}

/// The node that mixes samples.
pub(super) struct Mixing {
    pub(super) node: String,
    pub(super) operator: String,
}

/// The samples of a batch, while nodes are read.
pub(super) struct Samples<'a> {
    tracks: HashMap<&'a str, Track>,
    /// Known tensors with the larger batch.
    other: Builder<'a>,
    batch: usize,
    /// The first node that mixes samples.
    mixing: Option<Rc<Mixing>>,
    /// Whether the batch was the first axis of all inputs.
    first: bool,
    /// Whether the file fixes the batch.
    fixed: bool,
}

impl<'a> Samples<'a> {
    /// Starts at the inputs that have a batch. `fixed` is the batch of a file
    /// that fixes it.
    pub(super) fn new(
        inputs: &[Declared<'a>],
        fixed: Option<usize>,
        limits: &Limits,
        folder: Option<&'a Path>,
        versions: &'a Versions<'a>,
    ) -> Option<Samples<'a>> {
        let mut tracks = HashMap::new();
        let mut first = true;
        for input in inputs {
            if let Some((axis, _)) = input.batch {
                first &= axis == 0;
                tracks.insert(input.name, Track::Along(Along { axis, outer: 1 }));
            }
        }
        let other = Builder::new(limits, folder, versions);
        let batch = fixed.unwrap_or(BATCH);
        let samples = Samples { tracks, other, batch, mixing: None, first, fixed: fixed.is_some() };
        (!samples.tracks.is_empty()).then_some(samples)
    }

    /// Follows the samples through a node that was read with a batch of 1.
    pub(super) fn follow(
        &mut self,
        builder: &mut Builder<'a>,
        node: &Node<'a>,
    ) -> Result<(), OnnxError> {
        let names: Vec<&'a str> = (0..node.inputs()).filter_map(|at| node.optional(at)).collect();
        if !names.iter().any(|name| self.tracks.contains_key(name)) {
            return Ok(());
        }
        let mixed = names.iter().find_map(|name| match self.tracks.get(name) {
            Some(Track::Mixed(by)) => Some(by.clone()),
            _ => None,
        });
        let here = || Rc::new(Mixing { node: node.name.clone(), operator: node.operator() });
        let mut known = true;
        for name in &names {
            known &= matches!(builder.named(&node.name, name)?, Operand::Known(_));
        }
        let asks = matches!(node.operator().as_str(), "Shape" | "Size");
        if let Some(by) = mixed {
            self.define(node, |_| Some(Track::Mixed(by.clone())));
        } else if known || asks {
            if self.again(builder, node, &names).is_err() {
                self.define(node, |_| Some(Track::Mixed(here())));
            }
        } else {
            let found = rules::Rule::new(self, builder, node)?.apply();
            let mut values = vec![];
            for name in node.outputs() {
                let value = !name.is_empty()
                    && !matches!(builder.named(&node.name, name), Ok(Operand::Known(_)));
                values.push(value);
            }
            self.define(node, |at| {
                let track = match &found {
                    Some(found) => found.get(at).or(found.last()).copied().map(Track::Along),
                    None => Some(Track::Mixed(here())),
                };
                track.filter(|_| values[at])
            });
        }
        Ok(())
    }

    /// Sets the tracks of a node's outputs.
    fn define(&mut self, node: &Node<'a>, track: impl Fn(usize) -> Option<Track>) {
        for (at, name) in node.outputs().iter().enumerate() {
            if let Some(track) = track(at).filter(|_| !name.is_empty()) {
                if let Track::Mixed(by) = &track {
                    self.mixing.get_or_insert_with(|| by.clone());
                }
                self.tracks.insert(name, track);
            }
        }
    }

    /// Computes a node's known results again, with the larger batch.
    fn again(
        &mut self,
        builder: &mut Builder<'a>,
        node: &Node<'a>,
        names: &[&'a str],
    ) -> Result<(), OnnxError> {
        for name in names {
            let own = builder.named(&node.name, name)?;
            match self.tracks.get(name) {
                Some(Track::Along(along)) => {
                    let mut shape = builder.shape(&own);
                    if let Some(size) = shape.0.get_mut(along.axis) {
                        *size = size.saturating_mul(self.batch);
                    }
                    self.other.add_input(name, shape, builder.number(&own));
                }
                Some(_) => {}
                // A tensor of the file, or a value whose shape is asked for.
                None => match own {
                    Operand::Known(_) => self.other.put(name, own),
                    own => self.other.add_input(name, builder.shape(&own), builder.number(&own)),
                },
            }
        }
        operators::read(&mut self.other, node)?;
        for name in node.outputs().iter().filter(|name| !name.is_empty()) {
            let pair = (builder.named(&node.name, name)?, self.other.named(&node.name, name)?);
            if let (Operand::Known(own), Operand::Known(other)) = pair
                && own != other
            {
                self.tracks.insert(name, Track::Sized);
            }
        }
        Ok(())
    }

    /// The known tensor of a name with the larger batch.
    fn sized(&mut self, node: &Node<'a>, name: &'a str) -> Result<Option<Rc<Host>>, OnnxError> {
        Ok(match self.tracks.get(name) {
            Some(Track::Sized) => match self.other.named(&node.name, name)? {
                Operand::Known(host) => Some(host),
                _ => None,
            },
            _ => None,
        })
    }

    /// The first node that mixes samples, if there is one so far.
    pub(super) fn mixing(&self) -> Option<&Mixing> {
        self.mixing.as_deref()
    }

    /// Whether the output keeps samples apart, one after another; otherwise the
    /// node that mixes or moves them.
    pub(super) fn kept(
        &self,
        graph: &GraphProto,
        output: &str,
        shape: &ValueShape,
    ) -> Result<(), Mixing> {
        match self.tracks.get(output) {
            Some(Track::Mixed(by)) => {
                Err(Mixing { node: by.node.clone(), operator: by.operator.clone() })
            }
            Some(Track::Along(along)) => {
                let alone = !self.fixed || shape.0.first() == Some(&1);
                let kept = !self.first || (along.is_first() && alone);
                if kept { Ok(()) } else { Err(self.mover(graph, output)) }
            }
            // The output does not depend on the batch.
            None if !self.fixed => Ok(()),
            Some(Track::Sized) | None => Err(self.mover(graph, output)),
        }
    }

    /// The node that moves samples away from the first axis of an output.
    fn mover(&self, graph: &GraphProto, output: &str) -> Mixing {
        let mut mover = Mixing { node: output.to_owned(), operator: String::new() };
        let mut name = output;
        // Nodes come after those that make their inputs.
        for node in graph.node.iter().rev() {
            if !node.output.iter().any(|own| own == name) {
                continue;
            }
            let label = node.name.iter().find(|label| !label.is_empty());
            let node_name = label.map_or(name, String::as_str).to_owned();
            let operator = node.op_type.clone().unwrap_or_default();
            mover = Mixing { node: node_name, operator };
            let before = node.input.iter().find_map(|input| match self.tracks.get(&**input) {
                Some(Track::Along(along)) => Some((input, along.is_first())),
                _ => None,
            });
            match before {
                Some((before, false)) => name = before,
                _ => break,
            }
        }
        mover
    }
}

/// Where a known tensor repeats the same entries for every sample.
fn repeats(own: &Host, other: &Host, batch: usize) -> Option<Along> {
    if own.shape.len() != other.shape.len() {
        return None;
    }
    let mut differs = (0..own.shape.len()).filter(|&axis| own.shape[axis] != other.shape[axis]);
    let axis = differs.next()?;
    if differs.next().is_some() || own.shape[axis] != 1 || other.shape[axis] != batch {
        return None;
    }
    let inner: usize = own.shape[axis + 1..].iter().product();
    let blocks = own.entries.chunks_exact(inner.max(1));
    let others = other.entries.chunks_exact((inner * batch).max(1));
    let same = blocks
        .zip(others)
        .all(|(own, all)| all.chunks_exact(inner.max(1)).all(|sample| sample == own));
    same.then_some(Along { axis, outer: 1 })
}
