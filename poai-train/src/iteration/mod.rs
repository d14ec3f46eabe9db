//! The program of an iteration, from layers.
//!
//! - `plan`: the parameters, shapes and steps of layers.
//! - `forward`: the forward pass alone.

mod forward;
mod plan;

pub use forward::Forward;

use crate::error::LayersError;
use crate::layers::Layers;
use crate::optimiser::Optimiser;
use crate::tape::{Parameter, ParameterId, Tape};
use plan::Plan;
use poai_core::program::{Builder, Dim, Dtype, Form, RunShape, ValueId};
use poai_engine::execute::Network;

/// Where an iteration's batch and rate come from.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Source {
    /// The program draws the batch from a dataset of this many samples, and has
    /// a rate for each iteration. Inputs after the states: seed, t, the samples,
    /// the labels.
    Drawn {
        /// The number of samples.
        samples: u32,
        /// λ of each iteration, as [`Optimiser::rate`] gives it.
        rates: Vec<i32>,
    },
    /// The batch, its labels and the rate are inputs. Inputs after the states:
    /// seed, t, the samples, the labels, λ.
    Given,
}

/// What an iteration does.
#[derive(Clone, Debug)]
pub struct IterationOptions {
    /// The optimiser.
    pub optimiser: Optimiser,
    /// The coefficient of weight decay, rounded to a power of two; 0 for none.
    /// Biases do not decay.
    pub decay: f64,
    /// The samples of a batch.
    pub batch: u32,
    /// Where batches and rates come from.
    pub source: Source,
}

/// A state of an iteration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    /// The parameter's name.
    pub parameter: String,
    /// The moment's name, or `None` for the parameter itself.
    pub moment: Option<&'static str>,
    /// Rows.
    pub rows: u32,
    /// Columns.
    pub columns: u32,
    /// Whether the parameter is a bias, which starts at 0 and does not decay.
    pub is_bias: bool,
}

/// An iteration: a program that continues states, with its constants.
#[derive(Clone, Debug)]
pub struct Iteration {
    network: Network,
    states: Vec<State>,
    shape: RunShape,
    source: Source,
}

impl Iteration {
    /// Builds the iteration of layers, with cross entropy as the loss.
    ///
    /// # Errors
    /// [`LayersError`] names the layer that does not fit, or the option that is
    /// not permitted.
    pub fn new(layers: &Layers, options: &IterationOptions) -> Result<Iteration, LayersError> {
        Iteration::with_streams(layers, options, 0..)
    }

    /// As [`Iteration::new`], with other streams of random bytes for the
    /// stochastic steps in their order. They must be distinct.
    ///
    /// # Errors
    /// As [`Iteration::new`]. It is also an error if there are too few streams.
    pub fn with_streams(
        layers: &Layers,
        options: &IterationOptions,
        streams: impl IntoIterator<Item = u32, IntoIter: 'static>,
    ) -> Result<Iteration, LayersError> {
        if options.batch == 0 {
            let (what, expected) = ("batch", "at least 1 sample");
            return Err(LayersError::Option { what, expected, got: "0".into() });
        }
        let mut plan = Plan::new(layers)?;
        plan.parameters.sort_by(|a, b| a.name.cmp(&b.name));
        let each = 1 + options.optimiser.moments().len();
        let mut forms = vec![];
        for parameter in &plan.parameters {
            let (rows, columns) = (Dim::fixed(parameter.rows), Dim::fixed(parameter.columns));
            forms.extend(std::iter::repeat_n(Form::shared(rows, columns, Dtype::I32), each));
        }
        let states = forms.len();
        let number = |rows| Form::shared(Dim::fixed(rows), Dim::fixed(1), Dtype::I32);
        forms.extend([number(8), number(1)]);
        forms.extend(plan.source_forms(&options.source));
        let builder = Builder::new(&forms);
        let parameters = plan.parameters.iter().enumerate().map(|(index, _)| Parameter {
            state: builder.input(index * each),
            gradient_fraction: plan.gradient_fraction(options.batch),
        });
        let parameters = parameters.collect();
        let random = (builder.input(states), builder.input(states + 1));
        let first = builder.input(states + 2);
        let streams = Box::new(streams.into_iter());
        let mut tape = Tape::new(builder, parameters, random, streams);
        let batch = plan.batch(&mut tape, &options.source, first)?;
        let logits = plan.forward(&mut tape, layers, batch.samples)?;
        let gradient = tape.cross_entropy(logits, batch.labels)?;
        tape.backward(logits.value, gradient)?;
        let decay = options.optimiser.decay_shift(options.decay, options.batch)?;
        let (mut outputs, mut described) = (vec![], vec![]);
        for (index, parameter) in plan.parameters.iter().enumerate() {
            let moments: Vec<ValueId> =
                (1..each).map(|moment| tape.builder.input(index * each + moment)).collect();
            let decay = if parameter.decays { decay } else { 0 };
            let id = ParameterId(index);
            let rate = batch.rate;
            outputs.extend(options.optimiser.update(&mut tape, id, &moments, rate, decay)?);
            let moments = options.optimiser.moments().iter().copied().map(Some);
            described.extend([None].into_iter().chain(moments).map(|moment| State {
                parameter: parameter.name.clone(),
                moment,
                rows: parameter.rows,
                columns: parameter.columns,
                is_bias: !parameter.decays,
            }));
        }
        outputs.push(logits.value);
        let Tape { builder, constants, .. } = tape;
        // Exact: at most 4096 states.
        let program = builder.finish_with(&outputs, states as u32)?;
        let network = Network::new(program, constants.into_tensors())?;
        let shape = RunShape { batch: options.batch, sequence: 1 };
        let source = options.source.clone();
        Ok(Iteration { network, states: described, shape, source })
    }

    /// The program with its constants.
    pub fn network(&self) -> &Network {
        &self.network
    }

    /// The states, in the order of the program's inputs and outputs.
    ///
    /// The output after them is the logits.
    pub fn states(&self) -> &[State] {
        &self.states
    }

    /// Where batches and rates come from.
    pub fn source(&self) -> &Source {
        &self.source
    }

    /// The shape of an iteration's run.
    pub fn shape(&self) -> RunShape {
        self.shape
    }
}
