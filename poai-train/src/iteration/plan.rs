//! What layers need: their parameters, shapes and steps.

use super::Source;
use crate::error::LayersError;
use crate::layers::{Layers, SampleKind, TrainLayer};
use crate::numbers::{PIXEL, WEIGHT_GRADIENT, weight_gradient};
use crate::tape::{Carrier, Operand, ParameterId, Tape};
use poai_core::program::{Clamp, Dim, Dtype, Form, Op, TrainingOp, ValueId, Window};

/// The most iterations of a run whose rates a table holds.
const RATES_MAX: usize = 1 << 24;

/// A parameter of the layers: name, rows, columns, whether it decays.
pub(super) struct Named {
    pub(super) name: String,
    pub(super) rows: u32,
    pub(super) columns: u32,
    pub(super) decays: bool,
}

/// A batch in the program.
pub(super) struct Batch {
    pub(super) samples: Samples,
    pub(super) labels: ValueId,
    pub(super) rate: ValueId,
}

/// A batch's samples.
#[derive(Clone, Copy)]
pub(super) enum Samples {
    /// Rows of features, or pixels.
    Dense(Operand),
    /// Ids of tokens, and the place of each in its sample.
    Ids { ids: ValueId, places: ValueId },
}

/// What layers need: their parameters and shapes.
pub(super) struct Plan {
    sample: SampleKind,
    pub(super) parameters: Vec<Named>,
    /// The most rows of an item over which a parameter's gradient sums.
    rows: u64,
    /// What each layer takes, and the layers before it.
    places: Vec<(Shape, Counts)>,
}

/// The shape of what a layer takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    Row(u32),
    Image {
        height: u32,
        width: u32,
        channels: u32,
    },
    Tokens {
        length: u32,
    },
    Stream {
        length: u32,
        width: u32,
    },
    /// A normalised stream, or logits of tokens.
    Rows {
        length: u32,
        columns: u32,
    },
}

impl Shape {
    fn of(sample: SampleKind) -> Shape {
        match sample {
            SampleKind::Features { columns } => Shape::Row(columns),
            SampleKind::Image { height, width, channels } => {
                Shape::Image { height, width, channels }
            }
            SampleKind::Tokens { length, .. } => Shape::Tokens { length },
        }
    }

    fn text(self) -> String {
        match self {
            Shape::Row(columns) => format!("a row of {columns}"),
            Shape::Image { height, width, channels } => {
                format!("an image of {height}×{width}×{channels}")
            }
            Shape::Tokens { length } => format!("{length} tokens"),
            Shape::Stream { length, width } => format!("a residual stream of {length}×{width}"),
            Shape::Rows { length, columns } => format!("{length} rows of {columns}"),
        }
    }
}

/// The names of a layer's parameters, by its number among its kind.
fn names(kind: &str, count: usize) -> String {
    format!("{kind}{count}")
}

impl Plan {
    pub(super) fn new(layers: &Layers) -> Result<Plan, LayersError> {
        if layers.layers().is_empty() {
            return Err(LayersError::Empty);
        }
        let mut plan =
            Plan { sample: layers.sample(), parameters: vec![], rows: 1, places: vec![] };
        let mut shape = Shape::of(layers.sample());
        let mut counts = Counts::default();
        for (layer, kind) in layers.layers().iter().enumerate() {
            plan.places.push((shape, counts));
            shape = plan.layer(layer, kind, shape, &mut counts)?;
        }
        let fits = match (shape, layers.sample()) {
            (Shape::Row(_), SampleKind::Features { .. } | SampleKind::Image { .. }) => true,
            (Shape::Rows { columns, .. }, SampleKind::Tokens { vocabulary, .. }) => {
                columns == vocabulary
            }
            _ => false,
        };
        let linear = matches!(layers.layers().last(), Some(TrainLayer::Linear { .. }));
        if !fits || !linear {
            return Err(LayersError::Logits(shape.text()));
        }
        Ok(plan)
    }

    fn add(&mut self, name: String, rows: u32, columns: u32, decays: bool) {
        self.parameters.push(Named { name, rows, columns, decays });
    }

    /// Notes a layer's parameters, and returns the shape of its output.
    fn layer(
        &mut self,
        index: usize,
        layer: &TrainLayer,
        shape: Shape,
        counts: &mut Counts,
    ) -> Result<Shape, LayersError> {
        let wrong = |expected| LayersError::Layer {
            layer: index,
            kind: layer.kind(),
            expected,
            got: shape.text(),
        };
        Ok(match (*layer, shape) {
            (TrainLayer::Linear { outputs, bias }, Shape::Row(columns)) if outputs > 0 => {
                let count = counts.linear();
                self.add(names("w", count), outputs, columns, true);
                if bias {
                    self.add(names("b", count), outputs, 1, false);
                }
                Shape::Row(outputs)
            }
            (TrainLayer::Linear { outputs, bias }, Shape::Rows { length, columns })
                if outputs > 0 =>
            {
                // The last layer of a text has a name of its own.
                self.add("out".into(), outputs, columns, true);
                if bias {
                    self.add("out bias".into(), outputs, 1, false);
                }
                self.rows = self.rows.max(length.into());
                Shape::Rows { length, columns: outputs }
            }
            (TrainLayer::Conv { outputs, kernel }, Shape::Image { height, width, channels })
                if outputs > 0 && kernel % 2 == 1 =>
            {
                let count = counts.linear();
                let area = kernel.checked_mul(kernel).and_then(|area| area.checked_mul(channels));
                let area = area.ok_or_else(|| wrong("a kernel that fits 32 bits"))?;
                self.add(names("w", count), outputs, area, true);
                self.add(names("b", count), outputs, 1, false);
                self.rows = self.rows.max(u64::from(height) * u64::from(width));
                Shape::Image { height, width, channels: outputs }
            }
            (TrainLayer::Conv { .. }, _) => {
                return Err(wrong("an image, and a kernel of odd size"));
            }
            (TrainLayer::Relu, Shape::Row(_) | Shape::Image { .. }) => shape,
            (TrainLayer::MaxPool { size }, Shape::Image { height, width, channels })
                if size > 0 && height % size == 0 && width % size == 0 =>
            {
                Shape::Image { height: height / size, width: width / size, channels }
            }
            (TrainLayer::MaxPool { .. }, _) => {
                return Err(wrong("an image whose sides it divides"));
            }
            (TrainLayer::Flatten, Shape::Image { height, width, channels }) => {
                let all = height.checked_mul(width).and_then(|area| area.checked_mul(channels));
                Shape::Row(all.ok_or_else(|| wrong("an image that fits 32 bits"))?)
            }
            (TrainLayer::Flatten, _) => return Err(wrong("an image")),
            (TrainLayer::Embed { width }, Shape::Tokens { length }) if width > 0 => {
                let SampleKind::Tokens { vocabulary, .. } = self.sample else {
                    return Err(wrong("tokens"));
                };
                self.add("tok".into(), vocabulary, width, true);
                self.add("pos".into(), length, width, true);
                self.rows = self.rows.max(length.into());
                Shape::Stream { length, width }
            }
            (TrainLayer::Embed { .. }, _) => return Err(wrong("tokens")),
            (TrainLayer::Block { heads, hidden, .. }, Shape::Stream { width, .. })
                if heads > 0 && hidden > 0 && width % heads == 0 =>
            {
                let count = counts.block();
                for name in ["q", "k", "v", "o"] {
                    self.add(names(name, count), width, width, true);
                }
                self.add(names("u", count), hidden, width, true);
                self.add(names("w", count), width, hidden, true);
                shape
            }
            (TrainLayer::Block { .. }, _) => {
                return Err(wrong("a residual stream whose width the heads divide"));
            }
            (TrainLayer::Norm { .. }, Shape::Stream { length, width }) => {
                Shape::Rows { length, columns: width }
            }
            (TrainLayer::Norm { .. }, _) => return Err(wrong("a residual stream")),
            (TrainLayer::Linear { .. }, _) => return Err(wrong("rows, and at least 1 output")),
            (TrainLayer::Relu, _) => return Err(wrong("a row or an image")),
        })
    }

    /// The fraction of gradients of weights, which sum over the batch's rows.
    pub(super) fn gradient_fraction(&self, batch: u32) -> i32 {
        // The known answers have at most 1024 rows.
        let fraction = weight_gradient(self.rows.saturating_mul(batch.into()));
        debug_assert!(fraction <= WEIGHT_GRADIENT);
        fraction
    }

    /// The forms of the inputs after seed and t.
    pub(super) fn source_forms(&self, source: &Source) -> Vec<Form> {
        let fixed = Dim::fixed;
        match source {
            Source::Drawn { samples, .. } => {
                let (columns, dtype, labels) = match self.sample {
                    SampleKind::Features { columns } => (columns, Dtype::I8, 1),
                    SampleKind::Image { height, width, channels } => {
                        // Sizes beyond a tensor's are refused with the form.
                        let all = height.saturating_mul(width).saturating_mul(channels);
                        (all, Dtype::I8, 1)
                    }
                    SampleKind::Tokens { length, .. } => (length, Dtype::I32, length),
                };
                vec![
                    Form::shared(fixed(*samples), fixed(columns), dtype),
                    Form::shared(fixed(*samples), fixed(labels), Dtype::I32),
                ]
            }
            Source::Given => {
                let one = Form::shared(fixed(1), fixed(1), Dtype::I32);
                let rows = |rows, columns, dtype| Form::new(fixed(rows), fixed(columns), dtype);
                match self.sample {
                    SampleKind::Features { columns } => {
                        vec![rows(1, columns, Dtype::I8), rows(1, 1, Dtype::I32), one]
                    }
                    SampleKind::Image { height, width, channels } => {
                        let pixels = height.saturating_mul(width);
                        vec![rows(pixels, channels, Dtype::I8), rows(1, 1, Dtype::I32), one]
                    }
                    SampleKind::Tokens { length, .. } => {
                        vec![rows(length, 1, Dtype::I32), rows(length, 1, Dtype::I32), one]
                    }
                }
            }
        }
    }

    /// Adds the steps that find the batch and the rate.
    pub(super) fn batch(
        &self,
        tape: &mut Tape,
        source: &Source,
        first: ValueId,
    ) -> Result<Batch, LayersError> {
        let input = |offset: u32| ValueId(first.0 + offset);
        let (mut samples, mut labels) = (input(0), input(1));
        let rate = match source {
            Source::Given => input(2),
            Source::Drawn { samples: count, rates } => {
                if !(1..=RATES_MAX).contains(&rates.len()) {
                    let (what, expected) = ("rates", "1 to 2^24, one an iteration");
                    let got = rates.len().to_string();
                    return Err(LayersError::Option { what, expected, got });
                }
                let (seed, t) = tape.random();
                let drawn = tape.train(TrainingOp::Draw { samples: *count }, &[seed, t])?;
                for value in [&mut samples, &mut labels] {
                    *value = tape.train(TrainingOp::Gather { table: None }, &[*value, drawn])?;
                }
                if let Some((rows, columns)) = self.item() {
                    let op = Op::Reshape { rows: Dim::fixed(rows), columns: Dim::fixed(columns) };
                    samples = tape.step(op.clone(), &[samples])?;
                    if let SampleKind::Tokens { .. } = self.sample {
                        labels = tape.step(op, &[labels])?;
                    }
                }
                let table = tape.table("rates", Dtype::I32, rates)?;
                tape.train(TrainingOp::Gather { table: Some(table) }, &[t])?
            }
        };
        let samples = self.samples(tape, samples)?;
        Ok(Batch { samples, labels, rate })
    }

    /// The samples of a batch, from their value.
    pub(super) fn samples(
        &self,
        tape: &mut Tape,
        samples: ValueId,
    ) -> Result<Samples, LayersError> {
        Ok(match self.sample {
            SampleKind::Tokens { length, .. } => {
                Samples::Ids { ids: samples, places: places(tape, samples, length)? }
            }
            _ => Samples::Dense(Operand { value: samples, fraction: PIXEL, exponent: None }),
        })
    }

    /// Rows and columns of an item, if a sample's row has another shape.
    fn item(&self) -> Option<(u32, u32)> {
        match self.sample {
            SampleKind::Features { .. } => None,
            SampleKind::Image { height, width, channels } => {
                Some((height.saturating_mul(width), channels))
            }
            SampleKind::Tokens { length, .. } => Some((length, 1)),
        }
    }

    fn id(&self, name: &str) -> Result<ParameterId, LayersError> {
        let index = self.parameters.iter().position(|parameter| parameter.name == name);
        Ok(ParameterId(index.ok_or(LayersError::Internal("a layer's parameter"))?))
    }

    /// Adds the steps of the forward pass, and returns the logits.
    pub(super) fn forward(
        &self,
        tape: &mut Tape,
        layers: &Layers,
        samples: Samples,
    ) -> Result<Carrier, LayersError> {
        // All operands of weights first, in the order of names.
        let looked_up = ["tok", "pos"];
        for (index, parameter) in self.parameters.iter().enumerate() {
            if parameter.decays && !looked_up.contains(&parameter.name.as_str()) {
                tape.weight(ParameterId(index))?;
            }
        }
        let mut now = match samples {
            Samples::Dense(operand) => Now::Operand(operand),
            Samples::Ids { ids, places } => Now::Ids { ids, places },
        };
        for (kind, &(shape, counts)) in layers.layers().iter().zip(&self.places) {
            now = self.step(tape, kind, shape, now, counts)?;
        }
        match now {
            Now::Carrier(logits) => Ok(logits),
            _ => Err(LayersError::Internal("logits")),
        }
    }

    fn step(
        &self,
        tape: &mut Tape,
        layer: &TrainLayer,
        shape: Shape,
        now: Now,
        counts: Counts,
    ) -> Result<Now, LayersError> {
        let wrong = LayersError::Internal("a layer's input");
        Ok(match (*layer, shape) {
            (TrainLayer::Linear { bias, .. }, Shape::Rows { .. }) => {
                let bias = if bias { Some(self.id("out bias")?) } else { None };
                let x = now.operand(tape)?;
                let out = tape.linear(x, &[(self.id("out")?, bias)])?;
                Now::Carrier(*out.first().ok_or(wrong)?)
            }
            (TrainLayer::Linear { bias, .. }, _) => {
                let count = counts.linears;
                let bias = if bias { Some(self.id(&names("b", count))?) } else { None };
                let x = now.operand(tape)?;
                let out = tape.linear(x, &[(self.id(&names("w", count))?, bias)])?;
                Now::Carrier(*out.first().ok_or(wrong)?)
            }
            (TrainLayer::Conv { kernel, .. }, Shape::Image { height, width, .. }) => {
                let count = counts.linears;
                let pad = kernel / 2;
                let window =
                    Window { height, width, kernel: [kernel; 2], stride: [1; 2], pads: [pad; 4] };
                let x = now.operand(tape)?;
                let x = tape.unfold(x, window)?;
                let pair = (self.id(&names("w", count))?, Some(self.id(&names("b", count))?));
                let out = tape.linear(x, &[pair])?;
                Now::Carrier(*out.first().ok_or(wrong)?)
            }
            (TrainLayer::Relu, _) => match now {
                Now::Carrier(x) => Now::Carrier(tape.relu(x)?),
                _ => return Err(wrong),
            },
            (TrainLayer::MaxPool { size }, Shape::Image { height, width, .. }) => {
                let window =
                    Window { height, width, kernel: [size; 2], stride: [size; 2], pads: [0; 4] };
                let x = now.operand(tape)?;
                Now::Operand(tape.max_pool(x, window)?)
            }
            (TrainLayer::Flatten, _) => {
                let x = now.operand(tape)?;
                Now::Operand(tape.flatten(x)?)
            }
            (TrainLayer::Embed { .. }, _) => {
                let Now::Ids { ids, places } = now else { return Err(wrong) };
                let tables = [(self.id("tok")?, ids), (self.id("pos")?, places)];
                Now::Carrier(tape.embed(tables)?)
            }
            (TrainLayer::Block { heads, causal, centre, .. }, _) => {
                let Now::Carrier(x) = now else { return Err(wrong) };
                Now::Carrier(self.block(tape, x, counts.blocks, heads, causal, centre)?)
            }
            (TrainLayer::Norm { centre }, _) => {
                let Now::Carrier(x) = now else { return Err(wrong) };
                Now::Operand(tape.normalise(x, centre)?)
            }
            _ => return Err(wrong),
        })
    }

    /// Attention, then a feed-forward network, each added to the stream.
    fn block(
        &self,
        tape: &mut Tape,
        x: Carrier,
        count: usize,
        heads: u32,
        causal: bool,
        centre: bool,
    ) -> Result<Carrier, LayersError> {
        let id = |name: &str| self.id(&names(name, count));
        let normed = tape.normalise(x, centre)?;
        let mut all = vec![];
        for name in ["q", "k", "v"] {
            all.push((id(name)?, None));
        }
        let projected = tape.linear(normed, &all)?;
        let [q, k, v] = projected[..] else { return Err(LayersError::Internal("projections")) };
        let mixed = tape.attention([q, k, v], heads, causal)?;
        let mixed = tape.operand(mixed)?;
        let out = tape.linear_residual(mixed, id("o")?, None)?;
        let x = tape.residual(x, out)?;
        let normed = tape.normalise(x, centre)?;
        let hidden = tape.linear(normed, &[(id("u")?, None)])?;
        let [hidden] = hidden[..] else { return Err(LayersError::Internal("a hidden layer")) };
        let hidden = tape.relu(hidden)?;
        let hidden = tape.operand(hidden)?;
        let out = tape.linear_residual(hidden, id("w")?, None)?;
        tape.residual(x, out)
    }
}

/// What the layers have computed so far.
#[derive(Clone, Copy)]
enum Now {
    Carrier(Carrier),
    Operand(Operand),
    Ids { ids: ValueId, places: ValueId },
}

impl Now {
    fn operand(self, tape: &mut Tape) -> Result<Operand, LayersError> {
        match self {
            Now::Carrier(x) => tape.operand(x),
            Now::Operand(x) => Ok(x),
            Now::Ids { .. } => Err(LayersError::Internal("rows of numbers")),
        }
    }
}

/// How many layers of a kind came before.
#[derive(Clone, Copy, Default)]
struct Counts {
    linears: usize,
    blocks: usize,
}

impl Counts {
    fn linear(&mut self) -> usize {
        self.linears += 1;
        self.linears - 1
    }

    fn block(&mut self) -> usize {
        self.blocks += 1;
        self.blocks - 1
    }
}

/// The place of each token in its sample: a row of places added to nothing.
fn places(tape: &mut Tape, ids: ValueId, length: u32) -> Result<ValueId, LayersError> {
    let narrow = Clamp::full(Dtype::I16);
    let none = Op::Requantise { multiplier: 0, shift: 0, clamp: narrow };
    let none = tape.step(none, &[ids])?;
    let entries: Vec<i32> = (0..length).map(|place| place as i32).collect();
    let table = tape.table("places", Dtype::I16, &entries)?;
    let places = tape.step(Op::AddRows { table }, &[none])?;
    let wide = Op::Requantise { multiplier: 1, shift: 0, clamp: Clamp::full(Dtype::I32) };
    tape.step(wide, &[places])
}
