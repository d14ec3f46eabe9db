//! Layers with the names of their parameters, their shapes checked.

use super::shape::{Shape, around, squares};
use super::{Named, ParameterRole, StateStart};
use crate::error::LayersError;
use crate::layers::{SampleKind, TrainLayer};
use crate::tape::Activation;
use poai_core::program::Window;

/// The most layers within each other.
const DEPTH_MAX: usize = 64;
/// The most tokens whose places an i16 holds.
const TOKENS_MAX: u32 = 1 << 15;

/// A layer and the names of its parameters.
pub(super) enum Node {
    Linear { weight: String, bias: Option<String>, adapter: Option<[String; 2]> },
    Conv { window: Window, weight: String, bias: String },
    Relu,
    Activation(Activation),
    MaxPool(Window),
    AveragePool(Window),
    MeanPool,
    Flatten,
    Embed { tables: [String; 2] },
    Attention(AttentionNode),
    Residual(Vec<Node>),
    Norm { centre: bool, affine: Option<[String; 2]> },
    Dropout { part: u8 },
}

/// Attention and the names of its parameters.
pub(super) struct AttentionNode {
    pub(super) heads: u32,
    pub(super) causal: bool,
    /// The weights of queries, keys and values, or of all three, each with its bias.
    pub(super) projections: Vec<(String, Option<String>)>,
    pub(super) out: (String, Option<String>),
}

/// How many layers of a kind came before.
#[derive(Clone, Copy, Default)]
struct Counts {
    /// Convolutions, and linear layers of single rows.
    linears: usize,
    /// Linear layers of texts, and of samples of several rows.
    rows: usize,
    attentions: usize,
    blocks: usize,
    norms: usize,
}

/// The next number of a kind.
fn next(count: &mut usize) -> usize {
    *count += 1;
    *count - 1
}

/// Checks layers one after another, and notes their parameters.
pub(super) struct Planner {
    sample: SampleKind,
    pub(super) parameters: Vec<Named>,
    /// The most rows of an item over which a parameter's gradient sums.
    pub(super) rows: u64,
    counts: Counts,
    /// Whether the layers at hand are frozen.
    frozen: bool,
    /// The layers around the one at hand.
    depth: usize,
    /// The number of the outermost layer at hand, and of all of them.
    place: [usize; 2],
}

impl Planner {
    pub(super) fn new(sample: SampleKind, layers: usize) -> Planner {
        Planner {
            sample,
            parameters: vec![],
            rows: 1,
            counts: Counts::default(),
            frozen: false,
            depth: 0,
            place: [0, layers],
        }
    }

    /// Adds a parameter and returns its name.
    fn add(
        &mut self,
        name: impl Into<String>,
        [rows, columns]: [u32; 2],
        role: ParameterRole,
        start: StateStart,
    ) -> String {
        let name = name.into();
        let trained = !self.frozen;
        self.parameters.push(Named { name: name.clone(), rows, columns, role, start, trained });
        name
    }

    fn weight(&mut self, name: impl Into<String>, size: [u32; 2]) -> String {
        self.add(name, size, ParameterRole::Operand, StateStart::Uniform)
    }

    fn vector(&mut self, name: String, size: [u32; 2], start: StateStart) -> String {
        self.add(name, size, ParameterRole::Vector, start)
    }

    /// A weight, and its bias if it has one.
    fn pair(&mut self, names: [String; 2], size: [u32; 2], bias: bool) -> (String, Option<String>) {
        let [weight, bias_name] = names;
        let weight = self.weight(weight, size);
        let bias = bias.then(|| self.vector(bias_name, [size[0], 1], StateStart::Zeros));
        (weight, bias)
    }

    /// The layers outside all others.
    pub(super) fn outermost(
        &mut self,
        layers: &[TrainLayer],
    ) -> Result<(Vec<Node>, Shape), LayersError> {
        let (mut nodes, mut shape) = (vec![], Shape::of(self.sample));
        for (index, layer) in layers.iter().enumerate() {
            self.place[0] = index;
            shape = self.layer(layer, shape, &mut nodes)?;
        }
        Ok((nodes, shape))
    }

    fn layers(
        &mut self,
        layers: &[TrainLayer],
        mut shape: Shape,
    ) -> Result<(Vec<Node>, Shape), LayersError> {
        let mut nodes = vec![];
        if self.depth == DEPTH_MAX {
            return Err(LayersError::Depth(DEPTH_MAX));
        }
        self.depth += 1;
        for layer in layers {
            shape = self.layer(layer, shape, &mut nodes)?;
        }
        self.depth -= 1;
        Ok((nodes, shape))
    }

    /// Adds a layer's nodes, and returns the shape of its output.
    fn layer(
        &mut self,
        layer: &TrainLayer,
        shape: Shape,
        nodes: &mut Vec<Node>,
    ) -> Result<Shape, LayersError> {
        let index = self.place[0];
        let wrong = |expected| LayersError::Layer {
            layer: index,
            kind: layer.kind(),
            expected,
            got: shape.text(),
        };
        let rows = u64::from(shape.size()[0]);
        let (node, shape) = match (layer, shape) {
            (
                &(TrainLayer::Linear { outputs, bias } | TrainLayer::Adapted { outputs, bias, .. }),
                Shape::Rows { columns, .. },
            ) if outputs > 0 && !matches!(layer, TrainLayer::Adapted { rank: 0, .. }) => {
                self.rows = self.rows.max(rows);
                (self.linear(layer, [outputs, columns], bias, shape), shape.with_columns(outputs))
            }
            (TrainLayer::Linear { .. } | TrainLayer::Adapted { .. }, _) => {
                return Err(wrong("rows, and at least 1 output and a rank of 1"));
            }
            (&TrainLayer::Conv { outputs, kernel }, Shape::Image { height, width, channels })
                if outputs > 0 && kernel % 2 == 1 =>
            {
                let count = next(&mut self.counts.linears);
                let area = kernel.checked_mul(kernel).and_then(|area| area.checked_mul(channels));
                let area = area.ok_or_else(|| wrong("a kernel that fits 32 bits"))?;
                let weight = self.weight(format!("w{count}"), [outputs, area]);
                let bias = self.vector(format!("b{count}"), [outputs, 1], StateStart::Zeros);
                self.rows = self.rows.max(rows);
                let window = around(height, width, kernel);
                (Node::Conv { window, weight, bias }, shape.with_columns(outputs))
            }
            (TrainLayer::Conv { .. }, _) => {
                return Err(wrong("an image, and a kernel of odd size"));
            }
            (TrainLayer::Relu, Shape::Rows { .. } | Shape::Image { .. }) => (Node::Relu, shape),
            (TrainLayer::Gelu, Shape::Rows { .. } | Shape::Image { .. }) => {
                (Node::Activation(Activation::Gelu), shape)
            }
            (TrainLayer::Silu, Shape::Rows { .. } | Shape::Image { .. }) => {
                (Node::Activation(Activation::Silu), shape)
            }
            (
                &(TrainLayer::MaxPool { size } | TrainLayer::AveragePool { size }),
                Shape::Image { height, width, channels },
            ) if size > 0 && height % size == 0 && width % size == 0 => {
                let window = squares(height, width, size);
                let node = match layer {
                    TrainLayer::MaxPool { .. } => Node::MaxPool(window),
                    _ => Node::AveragePool(window),
                };
                (node, Shape::Image { height: height / size, width: width / size, channels })
            }
            (TrainLayer::MaxPool { .. } | TrainLayer::AveragePool { .. }, _) => {
                return Err(wrong("an image whose sides it divides"));
            }
            (TrainLayer::MeanPool, Shape::Image { .. } | Shape::Rows { .. }) => {
                let [_, columns] = shape.size();
                (Node::MeanPool, Shape::Rows { length: 1, columns })
            }
            (TrainLayer::Flatten, Shape::Image { .. } | Shape::Rows { .. }) => {
                let [rows, columns] = shape.size();
                let all = rows.checked_mul(columns);
                let columns = all.ok_or_else(|| wrong("a sample that fits 32 bits"))?;
                (Node::Flatten, Shape::Rows { length: 1, columns })
            }
            (&TrainLayer::Embed { width }, Shape::Tokens { length })
                if width > 0 && length <= TOKENS_MAX =>
            {
                let SampleKind::Tokens { vocabulary, .. } = self.sample else {
                    return Err(wrong("tokens"));
                };
                let mut table = |name, rows| {
                    self.add(name, [rows, width], ParameterRole::Table, StateStart::Uniform)
                };
                let tables = [table("tok", vocabulary), table("pos", length)];
                self.rows = self.rows.max(rows);
                (Node::Embed { tables }, Shape::Rows { length, columns: width })
            }
            (TrainLayer::Embed { .. }, _) => {
                return Err(wrong("at most 2^15 tokens, and at least 1 column"));
            }
            (
                &TrainLayer::Attention { heads, causal, bias, joined },
                Shape::Rows { length, columns },
            ) if heads > 0 && columns % heads == 0 && length > 1 => {
                let width = columns;
                let attention = self.attention(heads, causal, bias, joined, width);
                let tripled = width.checked_mul(3).is_some();
                if !tripled {
                    return Err(wrong("columns that fit 32 bits three times"));
                }
                self.rows = self.rows.max(rows);
                (Node::Attention(attention), shape)
            }
            (TrainLayer::Attention { .. }, _) => {
                return Err(wrong("at least 2 rows whose columns the heads divide"));
            }
            (TrainLayer::Residual(layers), Shape::Rows { .. } | Shape::Image { .. }) => {
                let (body, after) = self.layers(layers, shape)?;
                if after != shape || body.is_empty() {
                    return Err(wrong("layers that keep the shape, at least 1"));
                }
                (Node::Residual(body), shape)
            }
            (
                &TrainLayer::Block { heads, hidden, causal, centre },
                Shape::Rows { length, columns: width },
            ) if heads > 0 && hidden > 0 && width % heads == 0 && length > 1 => {
                let [attention, network] = self.block(heads, [hidden, width], causal, centre);
                nodes.push(attention);
                (network, shape)
            }
            (TrainLayer::Block { .. }, _) => {
                return Err(wrong("at least 2 rows whose columns the heads divide"));
            }
            (&TrainLayer::Norm { centre, affine }, Shape::Rows { columns, .. }) => {
                let affine = affine.then(|| {
                    let count = next(&mut self.counts.norms);
                    let size = [1, columns];
                    let gamma = self.vector(format!("gamma{count}"), size, StateStart::Ones);
                    [gamma, self.vector(format!("beta{count}"), size, StateStart::Zeros)]
                });
                self.rows = self.rows.max(rows);
                (Node::Norm { centre, affine }, shape)
            }
            (TrainLayer::Norm { .. }, _) => return Err(wrong("rows of numbers")),
            (&TrainLayer::Dropout { part }, Shape::Rows { .. } | Shape::Image { .. })
                if (1..=192).contains(&part) =>
            {
                (Node::Dropout { part }, shape)
            }
            (TrainLayer::Dropout { .. }, _) => {
                return Err(wrong("numbers, and a part of 1 to 192"));
            }
            (TrainLayer::Frozen(layers), _) => {
                let before = core::mem::replace(&mut self.frozen, true);
                let (body, after) = self.layers(layers, shape)?;
                self.frozen = before;
                nodes.extend(body);
                return Ok(after);
            }
            (TrainLayer::Relu | TrainLayer::Gelu | TrainLayer::Silu, _)
            | (TrainLayer::MeanPool | TrainLayer::Flatten | TrainLayer::Residual(_), _) => {
                return Err(wrong("rows or an image"));
            }
        };
        nodes.push(node);
        Ok(shape)
    }

    fn linear(&mut self, layer: &TrainLayer, size: [u32; 2], bias: bool, shape: Shape) -> Node {
        let last = self.depth == 0 && self.place[0] + 1 == self.place[1];
        let text = matches!(self.sample, SampleKind::Tokens { .. });
        let names = match shape.size()[0] {
            1 if !text => {
                let count = next(&mut self.counts.linears);
                [format!("w{count}"), format!("b{count}")]
            }
            // The last layer of a text has a name of its own.
            2.. if text && last => ["out".into(), "out bias".into()],
            _ => {
                let count = next(&mut self.counts.rows);
                [format!("linear{count}"), format!("linear{count} bias")]
            }
        };
        let adapted = match *layer {
            TrainLayer::Adapted { rank, .. } => Some((rank, names[0].clone())),
            _ => None,
        };
        let before = self.frozen;
        self.frozen |= adapted.is_some();
        let (weight, bias) = self.pair(names, size, bias);
        self.frozen = before;
        let adapter = adapted.map(|(rank, name)| {
            let [outputs, columns] = size;
            let down = self.weight(format!("{name} down"), [rank, columns]);
            // An adapter adds nothing before its first update.
            let (role, start) = (ParameterRole::Operand, StateStart::Zeros);
            [down, self.add(format!("{name} up"), [outputs, rank], role, start)]
        });
        Node::Linear { weight, bias, adapter }
    }

    fn attention(
        &mut self,
        heads: u32,
        causal: bool,
        bias: bool,
        joined: bool,
        width: u32,
    ) -> AttentionNode {
        let count = next(&mut self.counts.attentions);
        let mut pair = |kind: &str, rows| {
            let names =
                [format!("attention{count} {kind}"), format!("attention{count} {kind} bias")];
            self.pair(names, [rows, width], bias)
        };
        let projections = if joined {
            vec![pair("joined", width.saturating_mul(3))]
        } else {
            ["query", "key", "value"].into_iter().map(|kind| pair(kind, width)).collect()
        };
        AttentionNode { heads, causal, projections, out: pair("out", width) }
    }

    /// Attention, then a feed-forward network, each after a norm.
    fn block(
        &mut self,
        heads: u32,
        [hidden, width]: [u32; 2],
        causal: bool,
        centre: bool,
    ) -> [Node; 2] {
        let count = next(&mut self.counts.blocks);
        let text = matches!(self.sample, SampleKind::Tokens { .. });
        // Texts have no other layers of these names.
        let mut weight = |name: &str, size| match text {
            true => self.weight(format!("{name}{count}"), size),
            false => self.weight(format!("block{count} {name}"), size),
        };
        let square = [width, width];
        let projections = ["q", "k", "v"].map(|name| (weight(name, square), None)).into();
        let out = (weight("o", square), None);
        let norm = || Node::Norm { centre, affine: None };
        let linear = |weight| Node::Linear { weight, bias: None, adapter: None };
        let up = linear(weight("u", [hidden, width]));
        let down = linear(weight("w", [width, hidden]));
        let attention = AttentionNode { heads, causal, projections, out };
        [
            Node::Residual(vec![norm(), Node::Attention(attention)]),
            Node::Residual(vec![norm(), up, Node::Relu, down]),
        ]
    }
}
