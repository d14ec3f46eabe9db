//! The integer network: its program, its constants and its error.

use super::numbers::{
    BUS, CONTEXT_SHIFT, EMBED_SHIFT, EXP_STEPS, NORM_SHIFT, OPERAND, Product, Rows, SCORE_SHIFT,
    SMOOTH_SHIFT, TABLE_SHIFT, affine, bus, exponentials, gelu_table, largest_shift, round32,
    smoothing,
};
use super::ranges::{LayerRanges, Part, Ranges};
use super::relative::DISTANCES;
use super::weights::{Dense, Layer, Norm};
use super::{BertError, Encoder, inputs};
use crate::quantise::{Granularity, RangeMethod};
use ndarray::Array2;
use poai_core::control::Control;
use poai_core::program::{Builder, Clamp, ConstantId, Dim, Dtype, Form, Op, ValueId};
use poai_engine::backend::cpu::Cpu;
use poai_engine::execute::network::Constants;
use poai_engine::execute::{Network, RunError, Session};
use std::sync::Arc;

/// The most sequences, and the most tokens with padding, of the comparison with
/// the float model.
pub(super) const COMPARED: (usize, usize) = (8, 1024);

/// Options of quantising an encoder.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct EncoderOptions {
    /// The range of queries, keys and values that is kept, measured over
    /// tokens. Values beyond it saturate.
    pub range: RangeMethod,
    /// Whether weights have a scale per output or one for all. One scale for
    /// all costs a trained encoder most of its accuracy.
    pub weights: Granularity,
    /// How much range moves from activations into weights, 0 to 1, before the
    /// products that follow a LayerNorm. `None` omits the step.
    pub smoothing: Option<f64>,
}

impl Default for EncoderOptions {
    fn default() -> EncoderOptions {
        EncoderOptions {
            range: RangeMethod::MinMax,
            weights: Granularity::PerChannel,
            smoothing: Some(0.7),
        }
    }
}

/// The difference of the integer network from the float model at one place.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct LayerError {
    /// The place: the embeddings, a layer's output or the final output.
    pub layer: String,
    /// The Euclidean length of the difference, divided by that of the float
    /// values.
    pub relative_error: f64,
}

/// An integer network and its measured error.
#[derive(Clone, Debug)]
pub struct QuantisedEncoder {
    /// The network. Its inputs are token ids (i32, one row per token) and
    /// lengths (i32, one row per item). Its output is embeddings, one row per
    /// item. A normalised one has length 2¹⁴.
    pub network: Network,
    /// The number in the output that represents 1.
    pub unit: f64,
    /// The error on some calibration sequences, from the embeddings to the
    /// output.
    pub report: Vec<LayerError>,
}

impl Encoder {
    /// Makes the integer network, with ranges measured on calibration
    /// sequences.
    ///
    /// # Errors
    /// [`BertError`] if the encoder does not support a sequence, an option is
    /// out of range, or the weights do not fit the integers.
    pub fn quantise(
        &self,
        calibration: &[Vec<u32>],
        options: &EncoderOptions,
    ) -> Result<QuantisedEncoder, BertError> {
        self.quantise_with(calibration, options, &Control::new())
    }

    /// As [`Encoder::quantise`], with progress and cancellation. The unit of
    /// progress is a calibration sequence.
    ///
    /// # Errors
    /// As [`Encoder::quantise`], or [`BertError::Cancelled`].
    pub fn quantise_with(
        &self,
        calibration: &[Vec<u32>],
        options: &EncoderOptions,
        control: &Control,
    ) -> Result<QuantisedEncoder, BertError> {
        if calibration.is_empty() {
            return Err(BertError::NoSequences);
        }
        self.check(calibration)?;
        let permitted = |option, value: f64, max: f64, permitted| {
            let fits = (0.0..=max).contains(&value);
            if fits { Ok(value) } else { Err(BertError::Option { option, value, permitted }) }
        };
        let percentile = match options.range {
            RangeMethod::MinMax => 100.0,
            RangeMethod::Percentile(value) if value > 0.0 && value <= 100.0 => value,
            RangeMethod::Percentile(value) => {
                let permitted = "above 0 and at most 100";
                return Err(BertError::Option { option: "range", value, permitted });
            }
        };
        if let Some(exponent) = options.smoothing {
            permitted("smoothing", exponent, 1.0, "0 to 1")?;
        }
        let ranges = self.measure(calibration, control)?;
        control.check()?;
        let mut assembly = Assembly::new(self, options, percentile);
        let (states, unit) = assembly.network(&ranges)?;
        let program = assembly.builder.finish()?;
        let network = Network::new(program, assembly.constants.into_tensors())?;
        let report = self.compare(&network, &states, unit, calibration)?;
        Ok(QuantisedEncoder { network, unit, report })
    }

    /// Runs the integer network and the float model on some sequences, and
    /// compares them.
    fn compare(
        &self,
        network: &Network,
        states: &[ValueId],
        unit: f64,
        calibration: &[Vec<u32>],
    ) -> Result<Vec<LayerError>, BertError> {
        let mut longest = 0;
        let few = calibration.iter().enumerate().take(COMPARED.0).take_while(|(index, ids)| {
            longest = longest.max(ids.len());
            *index == 0 || (index + 1) * longest <= COMPARED.1
        });
        let sequences = &calibration[..few.count()];
        let floats = self.run_float(sequences)?;
        let (shape, tensors) = inputs(sequences)?;
        let session = Session::new(network.clone(), Arc::new(Cpu::new()))?;
        let run = session.trace((shape, tensors))?;
        let hidden = self.config.hidden;
        let mut report = vec![];
        for (index, &state) in states.iter().enumerate() {
            let entries = run.trace.value(state).map_err(RunError::from)?.entries();
            let items = entries.chunks_exact(shape.sequence as usize * hidden);
            let pairs = items.zip(&floats).flat_map(|(item, float)| {
                item.iter().zip(&float.hidden[index]).map(|(&x, &y)| (f64::from(x) / BUS, y))
            });
            let layer = match index {
                0 => "embeddings".to_owned(),
                _ => format!("layer {}", index - 1),
            };
            report.push(LayerError { layer, relative_error: relative_error(pairs) });
        }
        let output = run.output.entries();
        let output = output.iter().map(|&x| f64::from(x) / unit);
        let pairs = output.zip(floats.iter().flat_map(|float| float.embedding.iter().copied()));
        report
            .push(LayerError { layer: "output".to_owned(), relative_error: relative_error(pairs) });
        Ok(report)
    }
}

fn relative_error(pairs: impl Iterator<Item = (f64, f32)>) -> f64 {
    let (difference, whole) = pairs.fold((0.0, 0.0), |(difference, whole), (x, y)| {
        let y = f64::from(y);
        (difference + (x - y).powi(2), whole + y.powi(2))
    });
    (difference / f64::max(whole, f64::MIN_POSITIVE)).sqrt()
}

/// A program under construction.
pub(super) struct Assembly<'a> {
    pub(super) encoder: &'a Encoder,
    options: &'a EncoderOptions,
    percentile: f64,
    pub(super) builder: Builder,
    constants: Constants,
}

impl<'a> Assembly<'a> {
    fn new(encoder: &'a Encoder, options: &'a EncoderOptions, percentile: f64) -> Assembly<'a> {
        let inputs = [
            Form::new(Dim::TOKENS, Dim::fixed(1), Dtype::I32),
            Form::new(Dim::fixed(1), Dim::fixed(1), Dtype::I32),
        ];
        let builder = Builder::new(&inputs);
        Assembly { encoder, options, percentile, builder, constants: Constants::default() }
    }

    /// Adds all steps. Returns the values of hidden states, the embeddings
    /// first, and the number that represents 1 in the output.
    fn network(&mut self, ranges: &Ranges) -> Result<(Vec<ValueId>, f64), BertError> {
        let weights = &self.encoder.weights;
        let tables = [
            self.constant("exponentials", 1, Dtype::I16, &exponentials())?,
            self.constant("gelu", 1, Dtype::I16, &gelu_table())?,
        ];
        let biases = match &weights.biases {
            Some(biases) => {
                let integers = biases.integers();
                Some(self.constant("score biases", DISTANCES, Dtype::I32, &integers)?)
            }
            None => None,
        };
        let mut state = self.embeddings()?;
        let mut states = vec![state];
        for (index, (layer, ranges)) in weights.layers.iter().zip(&ranges.layers).enumerate() {
            let name = format!("layer {index}");
            let part = LayerPart { name, layer, ranges, tables, biases };
            let middle = self.attention(&part, state)?;
            state = self.feed_forward(&part, middle)?;
            states.push(state);
        }
        let unit = self.head(state, &ranges.head)?;
        Ok((states, unit))
    }

    fn embeddings(&mut self) -> Result<ValueId, BertError> {
        let weights = &self.encoder.weights;
        let Rows { entries, scales } = Rows::new(&weights.words, None, true);
        let units = BUS * f64::from(1 << EMBED_SHIFT);
        let scales: Vec<i32> = scales.iter().map(|scale| round32(scale * units)).collect();
        let table = self.constant("words", self.encoder.config.hidden, Dtype::I8, &entries)?;
        let scales = self.constant("words / scales", 1, Dtype::I32, &scales)?;
        let positions: Vec<i32> = weights.positions.iter().map(|&x| bus(x.into())).collect();
        let positions =
            self.constant("positions", self.encoder.config.hidden, Dtype::I16, &positions)?;
        let ids = self.builder.input(0);
        let embed = Op::Embed { table, scales, shift: EMBED_SHIFT };
        let words = self.builder.step("words", embed, &[ids])?;
        let places = self.builder.step("positions", Op::AddRows { table: positions }, &[words])?;
        self.normalise("embeddings", &weights.norm, places)
    }

    fn attention(&mut self, part: &LayerPart<'_>, x: ValueId) -> Result<ValueId, BertError> {
        let LayerPart { layer, ranges, .. } = *part;
        let config = self.encoder.config;
        let (heads, d) = (config.heads, config.head());
        let matrices = [&layer.query.weights, &layer.key.weights, &layer.value.weights];
        let (operand, columns) =
            self.smooth(&part.step("attention input"), &ranges.x, &matrices, x)?;
        let operand = self.operand(&part.step("attention input"), operand)?;
        let range = |part| ranges.head_ranges(part, heads, self.percentile);
        let [q, k, v] = [Part::Query, Part::Key, Part::Value].map(range);
        let mut product = |name: &str, dense: &Dense, range: &[f64]| {
            let units = |n: usize| OPERAND / range[n / d];
            let columns = columns.as_deref();
            self.product(&part.step(name), dense, columns, units, Clamp::SYMMETRIC, operand)
        };
        let query = product("query", &layer.query, &q)?;
        let key = product("key", &layer.key, &k)?;
        let value = product("value", &layer.value, &v)?;
        let transposed =
            self.builder.step(&part.step("value transposed"), Op::Transpose, &[value])?;

        let units = EXP_STEPS * f64::from(1 << SCORE_SHIFT) / (d as f64).sqrt();
        let alpha = q.iter().zip(&k).map(|(q, k)| round32(q / OPERAND * (k / OPERAND) * units));
        let alpha: Vec<i32> = alpha.collect();
        let alpha = self.constant(&part.step("score scales"), 1, Dtype::I32, &alpha)?;
        // Exact: at most 2^14 heads and columns.
        let heads = heads as u32;
        let [table, _] = part.tables;
        let (shift, causal) = (SCORE_SHIFT, false);
        let weights = match part.biases {
            Some(bias) => Op::RelativeAttentionWeights { heads, alpha, shift, table, causal, bias },
            None => Op::AttentionWeights { heads, alpha, shift, table, causal },
        };
        let lengths = self.builder.input(1);
        let weights =
            self.builder.step(&part.step("attention weights"), weights, &[query, key, lengths])?;

        let units = |range: f64| range / OPERAND * BUS / f64::from(1 << (22 - CONTEXT_SHIFT));
        let max = v.iter().copied().map(units).fold(0.0, f64::max);
        let shift = largest_shift(max, 1 << 15, 62).max(0);
        let scale = |column: usize| round32(units(v[column / d]) * 2f64.powi(shift));
        let scale: Vec<i32> = (0..config.hidden).map(scale).collect();
        let scale = self.constant(&part.step("context scales"), 1, Dtype::I32, &scale)?;
        // Exact: at most 62.
        let context = Op::AttentionContext { heads, scale, shifts: [CONTEXT_SHIFT, shift as u8] };
        let context = self.builder.step(&part.step("context"), context, &[weights, transposed])?;
        let operand = self.operand(&part.step("context"), context)?;
        self.residual(
            &part.step("attention output"),
            &layer.output,
            &layer.attention_norm,
            operand,
            x,
        )
    }

    fn feed_forward(&mut self, part: &LayerPart<'_>, x: ValueId) -> Result<ValueId, BertError> {
        let LayerPart { layer, ranges, .. } = *part;
        let name = part.step("feed-forward input");
        let (operand, columns) = self.smooth(&name, &ranges.middle, &[&layer.up.weights], x)?;
        let operand = self.operand(&name, operand)?;
        let wide = Clamp::full(Dtype::I16);
        let columns = columns.as_deref();
        let up = self.product(&part.step("up"), &layer.up, columns, |_| BUS, wide, operand)?;
        let [_, table] = part.tables;
        let gelu = Op::Table { table, shift: TABLE_SHIFT, pass_above: true };
        let inner = self.builder.step(&part.step("gelu"), gelu, &[up])?;
        let operand = self.operand(&part.step("gelu"), inner)?;
        self.residual(&part.step("down"), &layer.down, &layer.norm, operand, x)
    }

    /// Adds a product, its residual sum and its normalisation.
    fn residual(
        &mut self,
        name: &str,
        dense: &Dense,
        norm: &Norm,
        operand: [ValueId; 2],
        x: ValueId,
    ) -> Result<ValueId, BertError> {
        let wide = Clamp::full(Dtype::I16);
        let product = self.product(name, dense, None, |_| BUS, wide, operand)?;
        let add = Op::Add { multipliers: [1, 1], shift: 0, clamp: wide };
        let sum = self.builder.step(&format!("{name} / sum"), add, &[product, x])?;
        self.normalise(name, norm, sum)
    }

    fn product(
        &mut self,
        name: &str,
        dense: &Dense,
        columns: Option<&[f64]>,
        units: impl Fn(usize) -> f64,
        clamp: Clamp,
        operand: [ValueId; 2],
    ) -> Result<ValueId, BertError> {
        self.scaled_product(name, dense, columns, (BUS, units), clamp, operand)
    }

    /// Adds a product. `units` are the number that represents 1 in its input,
    /// and that in each output.
    pub(super) fn scaled_product(
        &mut self,
        name: &str,
        dense: &Dense,
        columns: Option<&[f64]>,
        units: (f64, impl Fn(usize) -> f64),
        clamp: Clamp,
        operand: [ValueId; 2],
    ) -> Result<ValueId, BertError> {
        let per_row = self.options.weights == Granularity::PerChannel;
        let Product { weights, requantise, shifts } =
            Product::new(name, dense, columns, units, per_row)?;
        let weights = self.constant(name, dense.weights.ncols(), Dtype::I8, &weights)?;
        let requantise =
            self.constant(&format!("{name} / requantise"), 3, Dtype::I32, &requantise)?;
        Ok(self.builder.step(name, Op::Linear { weights, requantise, shifts, clamp }, &operand)?)
    }

    /// Divides the columns of a product's input by factors. The product's
    /// weights are multiplied by the same factors.
    fn smooth(
        &mut self,
        name: &str,
        activations: &[f32],
        weights: &[&Array2<f32>],
        x: ValueId,
    ) -> Result<(ValueId, Option<Vec<f64>>), BertError> {
        let Some(exponent) = self.options.smoothing else { return Ok((x, None)) };
        let factors = smoothing(activations, weights, exponent);
        let units = f64::from(1 << SMOOTH_SHIFT);
        let scale: Vec<i32> = factors.iter().map(|factor| round32(units / factor)).collect();
        let scale = self.constant(&format!("{name} / columns"), 1, Dtype::I32, &scale)?;
        let clamp = Clamp::full(Dtype::I16);
        let op = Op::ScaleColumns { scale, shift: SMOOTH_SHIFT, clamp };
        let value = self.builder.step(&format!("{name} / columns"), op, &[x])?;
        Ok((value, Some(factors)))
    }

    /// Converts rows to operands. Returns the operands and their scales.
    pub(super) fn operand(&mut self, name: &str, x: ValueId) -> Result<[ValueId; 2], BertError> {
        let scale = self.builder.step(&format!("{name} / row scales"), Op::RowScale, &[x])?;
        let rows = self.builder.step(&format!("{name} / operand"), Op::Quantise, &[x, scale])?;
        Ok([rows, scale])
    }

    fn normalise(&mut self, name: &str, norm: &Norm, x: ValueId) -> Result<ValueId, BertError> {
        let name = format!("{name} / norm");
        let affine = self.constant(&name, 2, Dtype::I32, &affine(norm))?;
        let op = Op::Normalise { affine, centre: true, shift: NORM_SHIFT };
        Ok(self.builder.step(&name, op, &[x])?)
    }

    pub(super) fn constant(
        &mut self,
        name: &str,
        columns: usize,
        dtype: Dtype,
        entries: &[i32],
    ) -> Result<ConstantId, BertError> {
        let shape = (entries.len() / columns, columns);
        Ok(self.constants.add(&mut self.builder, name, shape, dtype, entries)?)
    }
}

/// The parameters of one layer's steps.
struct LayerPart<'a> {
    name: String,
    layer: &'a Layer,
    ranges: &'a LayerRanges,
    /// The tables of exponentials and of GELU.
    tables: [ConstantId; 2],
    /// The biases of scores, if the encoder has any.
    biases: Option<ConstantId>,
}

impl LayerPart<'_> {
    fn step(&self, name: &str) -> String {
        format!("{} / {name}", self.name)
    }
}
