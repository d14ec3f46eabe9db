//! The program of an iteration, from layers.
//!
//! - `plan`: the parameters, shapes and steps of layers.
//! - `forward`: the forward pass alone.

mod forward;
mod plan;

pub use forward::Forward;
pub(crate) use forward::{ForwardProgram, items};

use crate::error::LayersError;
use crate::layers::{Layers, TrainLoss};
use crate::optimiser::Optimiser;
use crate::tape::{Exponents, Parameter, ParameterId, Tape};
use plan::{Named, ParameterRole, Plan};
use poai_core::program::{Builder, Dim, Dtype, Form, RunShape, ValueId};
use poai_engine::execute::Network;

/// What the states are called that are exponents.
const EXPONENT: &str = "exponent";

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

/// The names of the layers' parameters, layer by layer.
pub(crate) fn parameter_names(layers: &Layers) -> Result<Vec<String>, LayersError> {
    plan::names(layers)
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

/// What a state is before the first iteration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StateStart {
    /// Drawn uniformly, by the parameter's columns.
    Uniform,
    /// 0.
    Zeros,
    /// 1, as a weight has it.
    Ones,
    /// This entry.
    Entry(i32),
}

/// A state of an iteration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    /// The parameter's name, or the operand's whose exponent this is.
    pub parameter: String,
    /// The moment's name, "exponent", or `None` for the parameter itself.
    pub moment: Option<&'static str>,
    /// Rows.
    pub rows: u32,
    /// Columns.
    pub columns: u32,
    /// What it is before the first iteration.
    pub start: StateStart,
    /// Whether iterations change it.
    pub trained: bool,
}

/// An iteration: a program that continues states, with its constants.
#[derive(Clone, Debug)]
pub struct Iteration {
    network: Network,
    states: Vec<State>,
    shape: RunShape,
    source: Source,
    loss: TrainLoss,
}

impl Iteration {
    /// Builds the iteration of layers.
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
        let plan = Plan::new(layers)?;
        Iteration::build(&plan, options, Box::new(streams.into_iter()), None)
    }

    /// As [`Iteration::new`], in the fused profile: exponents of operands are
    /// states that the iteration before computed, so that a product can give an
    /// operand at once.
    ///
    /// It hashes and moves fewer bytes. An operand that grows by more than 1 bit
    /// in an iteration saturates until its exponent has grown, too.
    ///
    /// # Errors
    /// As [`Iteration::new`].
    pub fn fused(layers: &Layers, options: &IterationOptions) -> Result<Iteration, LayersError> {
        let plan = Plan::new(layers)?;
        // A first program counts the operands.
        let counted = Iteration::build(&plan, options, Box::new(0..), Some(0))?;
        let exponents = counted.states.iter().filter(|state| state.moment == Some(EXPONENT));
        Iteration::build(&plan, options, Box::new(0..), Some(exponents.count()))
    }

    /// Builds the iteration, with this number of exponents as states.
    fn build(
        plan: &Plan,
        options: &IterationOptions,
        streams: Box<dyn Iterator<Item = u32>>,
        exponents: Option<usize>,
    ) -> Result<Iteration, LayersError> {
        if options.batch == 0 {
            let (what, expected) = ("batch", "at least 1 sample");
            return Err(LayersError::Option { what, expected, got: "0".into() });
        }
        options.optimiser.check()?;
        let moments = options.optimiser.moments();
        let fixed = Dim::fixed;
        let number = |rows, columns| Form::shared(fixed(rows), fixed(columns), Dtype::I32);
        let (mut forms, mut firsts) = (vec![], vec![]);
        for Named { rows, columns, trained, .. } in &plan.parameters {
            firsts.push(forms.len());
            let each = if *trained { 1 + moments.len() } else { 1 };
            forms.extend(std::iter::repeat_n(number(*rows, *columns), each));
        }
        let first_exponent = forms.len();
        forms.extend(std::iter::repeat_n(number(1, 1), exponents.unwrap_or(0)));
        let states = forms.len();
        forms.extend([number(8, 1), number(1, 1)]);
        forms.extend(plan.source_forms(&options.source));
        let builder = Builder::new(&forms);
        let gradient_fraction = plan.gradient_fraction(options.batch, &options.optimiser);
        let parameters = plan.parameters.iter().zip(&firsts).map(|(parameter, &first)| {
            let trained = parameter.trained;
            Parameter { state: builder.input(first), gradient_fraction, trained }
        });
        let parameters = parameters.collect();
        let exponents = match exponents {
            None => Exponents::Own,
            Some(_) => {
                let states = (first_exponent..states).map(|index| builder.input(index)).collect();
                Exponents::Before { states, next: vec![] }
            }
        };
        let random = (builder.input(states), builder.input(states + 1));
        let first = builder.input(states + 2);
        let mut tape = Tape::new(builder, parameters, random, streams, exponents);
        tape.read_operands_by_gates(plan.operand_gates);
        let batch = plan.batch(&mut tape, &options.source, first)?;
        let logits = plan.forward(&mut tape, batch.samples, true)?;
        let gradient = match plan.loss {
            TrainLoss::CrossEntropy => tape.cross_entropy(logits, batch.labels)?,
            TrainLoss::MeanSquares => tape.mean_squares(logits, batch.labels)?,
        };
        tape.backward(logits.value, gradient)?;
        let decay = options.optimiser.decay_shift(options.decay, options.batch)?;
        let (mut outputs, mut described) = (vec![], vec![]);
        for (index, (parameter, &first)) in plan.parameters.iter().zip(&firsts).enumerate() {
            let id = ParameterId(index);
            let names: &[&'static str] = if parameter.trained { moments } else { &[] };
            if parameter.trained {
                let moments: Vec<ValueId> =
                    (1..=names.len()).map(|moment| tape.builder.input(first + moment)).collect();
                let decay = if parameter.role == ParameterRole::Vector { 0 } else { decay };
                let rate = batch.rate;
                outputs.extend(options.optimiser.update(&mut tape, id, &moments, rate, decay)?);
            } else {
                outputs.push(tape.keep(id)?);
            }
            let own = (None, parameter.start);
            let moments = names.iter().map(|&name| (Some(name), StateStart::Zeros));
            described.extend([own].into_iter().chain(moments).map(|(moment, start)| State {
                parameter: parameter.name.clone(),
                moment,
                rows: parameter.rows,
                columns: parameter.columns,
                start,
                trained: parameter.trained,
            }));
        }
        let Tape { builder, constants, exponents, .. } = tape;
        if let Exponents::Before { next, .. } = exponents {
            for (index, (value, first)) in next.into_iter().enumerate() {
                outputs.push(value);
                described.push(State {
                    parameter: format!("operand {index}"),
                    moment: Some(EXPONENT),
                    rows: 1,
                    columns: 1,
                    start: StateStart::Entry(first),
                    trained: true,
                });
            }
        }
        outputs.push(logits.value);
        // Exact: at most 4096 states.
        let program = builder.finish_with(&outputs, states as u32)?;
        let network = Network::new(program, constants.into_tensors())?;
        let shape = RunShape::new(options.batch, 1);
        let (source, loss) = (options.source.clone(), plan.loss);
        Ok(Iteration { network, states: described, shape, source, loss })
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

    /// The loss.
    pub fn loss(&self) -> TrainLoss {
        self.loss
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
