//! The description of a circuit, until it is built.

use super::synthesis::Subject;
use super::{Circuit, CircuitError, Ranges};
use crate::estimate::{Estimate, available_memory};
use crate::system::System;
use poai_core::inference::{TensorVisibility, Visibility, WeightsVisibility};
use poai_core::program::RunShape;
use poai_core::{Cancel, Control, Progress};
use poai_engine::execute::Network;

/// The description of a circuit. [`Circuit::new`] makes it.
///
/// By default, it is for a batch of 1 and a sequence of 1, with a hashed input,
/// a public output and fixed weights.
#[derive(Clone, Debug)]
#[must_use = "only `build` makes a circuit"]
pub struct CircuitBuilder {
    network: Network,
    run: RunShape,
    visibility: Visibility,
    ranges: Choice,
    memory: Option<u64>,
    control: Control,
}

/// The ranges of committed numbers.
#[derive(Clone, Debug)]
enum Choice {
    /// The narrowest that the network fits.
    Fitted,
    /// Those of the standard form.
    Standard,
    Given(Ranges),
}

impl CircuitBuilder {
    pub(super) fn new(network: &Network) -> CircuitBuilder {
        CircuitBuilder {
            network: network.clone(),
            run: RunShape::new(1, 1),
            visibility: Visibility {
                input: TensorVisibility::Hashed,
                output: TensorVisibility::Public,
                weights: WeightsVisibility::Fixed,
            },
            ranges: Choice::Fitted,
            memory: None,
            control: Control::new(),
        }
    }

    /// Proves runs of this batch and sequence.
    pub fn run(mut self, run: RunShape) -> CircuitBuilder {
        self.run = run;
        self
    }

    /// Shows the input in this way.
    pub fn input(mut self, visibility: TensorVisibility) -> CircuitBuilder {
        self.visibility.input = visibility;
        self
    }

    /// Shows the output in this way.
    pub fn output(mut self, visibility: TensorVisibility) -> CircuitBuilder {
        self.visibility.output = visibility;
        self
    }

    /// Makes the weights constants of the circuit, or commits to them.
    pub fn weights(mut self, visibility: WeightsVisibility) -> CircuitBuilder {
        self.visibility.weights = visibility;
        self
    }

    /// Sets all three visibilities at once.
    pub fn visibility(mut self, visibility: Visibility) -> CircuitBuilder {
        self.visibility = visibility;
        self
    }

    /// Takes the ranges of the standard form ([`poai_core::program::standard`]).
    ///
    /// With committed weights, the circuit is then the same for all networks of
    /// the architecture in that form.
    pub fn standard(mut self) -> CircuitBuilder {
        self.ranges = Choice::Standard;
        self
    }

    /// Takes these ranges of committed constants and multipliers, for instance
    /// the union of several networks' ranges. By default, the ranges are the
    /// narrowest that the network fits.
    pub fn ranges(mut self, ranges: Ranges) -> CircuitBuilder {
        self.ranges = Choice::Given(ranges);
        self
    }

    /// Refuses a circuit whose proof would take more than this number of bytes.
    /// By default, the limit is the memory that the machine has available when
    /// the build starts.
    pub fn memory_limit(mut self, bytes: u64) -> CircuitBuilder {
        self.memory = Some(bytes);
        self
    }

    /// Stops the build before the next step of the program when `cancel` is
    /// cancelled, from any thread.
    pub fn cancel(mut self, cancel: &Cancel) -> CircuitBuilder {
        self.control = self.control.cancel(cancel);
        self
    }

    /// Calls `callback` after every step of the program, which is the unit of
    /// progress; the input counts as a step.
    pub fn progress(mut self, callback: impl Fn(Progress) + Send + Sync + 'static) -> Self {
        self.control = self.control.progress(callback);
        self
    }

    /// Sets progress and cancellation.
    pub fn control(mut self, control: Control) -> CircuitBuilder {
        self.control = control;
        self
    }

    /// Builds the circuit's constraints, once and for all.
    ///
    /// # Errors
    /// - [`CircuitError`] for steps, shapes or numbers of signals that proofs do
    ///   not support.
    /// - [`CircuitError::Memory`], as soon as the rows so far show that a proof
    ///   would not fit in memory.
    pub fn build(self) -> Result<Circuit, CircuitError> {
        let available = self.memory.or_else(available_memory);
        let control = self.control.clone();
        let subject = self.subject()?;
        let system = System::within(subject.layout.count(), available);
        let system = subject.synthesise(None, system, &control)?.system;
        let estimate = Estimate::of(&system);
        if let Some(available) = available {
            estimate.check_available(available)?;
        }
        Ok(Circuit::of(subject, system.into_parts().0, estimate))
    }

    /// The estimate of the circuit, without its rows. It takes about as long as
    /// [`CircuitBuilder::build`], and succeeds for circuits that do not fit in
    /// memory, too.
    ///
    /// # Errors
    /// As for [`CircuitBuilder::build`], but for memory.
    pub fn estimate(self) -> Result<Estimate, CircuitError> {
        let control = self.control.clone();
        let subject = self.subject()?;
        let system = System::new(subject.layout.count(), false);
        Ok(Estimate::of(&subject.synthesise(None, system, &control)?.system))
    }

    fn subject(self) -> Result<Subject, CircuitError> {
        let ranges = match self.ranges {
            Choice::Fitted => Ranges::of(&self.network),
            Choice::Standard => Ranges::standard(self.network.program()),
            Choice::Given(ranges) => ranges,
        };
        let subject = Subject::new(self.network, self.run, self.visibility, ranges)?;
        subject.ranges.check(&subject.network)?;
        Ok(subject)
    }
}
