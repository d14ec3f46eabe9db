//! Errors of checks of training runs: malformed and invalid messages.

use crate::trace::{TraceError, TraceInvalid, TraceMalformed};
use poai_core::program::ValueId;
use poai_core::training_run::{RunParametersError, TrainingDecodeError, TrainingProgramError};
use poai_core::{ChainRoot, DatasetRoot, ProgramId, RulesDigest, SegmentRoot, TrainingSeed};

/// Why a checker of a training run cannot be built from what the job fixes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RunCheckerError {
    /// The program's iterations are no training run.
    #[error(transparent)]
    Program(#[from] TrainingProgramError),
    /// A parameter is outside its limits.
    #[error(transparent)]
    Parameters(#[from] RunParametersError),
    /// The rules do not permit an iteration's run.
    #[error(transparent)]
    Trace(#[from] TraceMalformed),
    /// The parameters name another program.
    #[error("expected parameters of program {expected}, got those of {got}")]
    OtherProgram {
        /// The checker's.
        expected: ProgramId,
        /// The parameters'.
        got: ProgramId,
    },
    /// The parameters name another dataset.
    #[error("expected parameters of dataset {expected}, got those of {got}")]
    OtherDataset {
        /// The root of the dataset that was passed.
        expected: DatasetRoot,
        /// The parameters'.
        got: DatasetRoot,
    },
    /// The dataset does not have the program's samples or tensors.
    #[error(
        "expected a dataset of {samples} samples in {tensors} tensors, as the program draws from"
    )]
    Dataset {
        /// The program's samples.
        samples: u32,
        /// The program's tensors.
        tensors: usize,
    },
    /// The seed is not that of the beacon, so somebody chose it.
    #[error("expected seed {expected}, which job and beacon give, got {got}")]
    Seed {
        /// The seed that follows from the job and the beacon.
        expected: TrainingSeed,
        /// The parameters'.
        got: TrainingSeed,
    },
    /// The parameters name other rules.
    #[error("expected parameters under rules {expected}, got those under {got}")]
    Rules {
        /// The checker's.
        expected: RulesDigest,
        /// The parameters'.
        got: RulesDigest,
    },
}

/// Why a message about a training run was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TrainingError {
    /// The bytes are not a message about this run.
    #[error("malformed: {0}")]
    Malformed(#[from] TrainingMalformed),
    /// What the message says is false.
    #[error("invalid: {0}")]
    Invalid(#[from] TrainingInvalid),
}

impl TrainingError {
    /// The error of a check of iteration t's trace.
    pub(crate) fn of_trace(t: u64) -> impl Fn(TraceError) -> TrainingError {
        move |why| match why {
            TraceError::Malformed(why) => TrainingMalformed::Trace(why).into(),
            TraceError::Invalid(source) => TrainingInvalid::Trace { t, source }.into(),
            // Only full checks are cancelled, and a run has none.
            TraceError::Cancelled(_) => TrainingMalformed::Trace(TraceMalformed::Short).into(),
        }
    }
}

/// Bytes of another version are malformed.
impl From<TrainingDecodeError> for TrainingError {
    fn from(error: TrainingDecodeError) -> TrainingError {
        TrainingError::Malformed(error.into())
    }
}

/// The bytes of a message end early or late.
impl From<TraceMalformed> for TrainingError {
    fn from(error: TraceMalformed) -> TrainingError {
        TrainingError::Malformed(error.into())
    }
}

/// Why bytes are not a message about a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TrainingMalformed {
    /// The message is of another version or length.
    #[error(transparent)]
    Decode(#[from] TrainingDecodeError),
    /// The part about a trace is malformed.
    #[error(transparent)]
    Trace(#[from] TraceMalformed),
    /// There are more bytes than any honest message about the segment has.
    #[error("expected at most {max} bytes, got {got}")]
    Size {
        /// The most bytes that there can be.
        max: u64,
        /// The number of bytes.
        got: usize,
    },
    /// There is another number of claims or openings than iterations.
    #[error("expected {expected} iterations, got {got}")]
    Count {
        /// The iterations.
        expected: u64,
        /// The number received.
        got: u64,
    },
    /// An opening has another number of roots than the program has states or
    /// outputs.
    #[error("expected {expected} roots, one for each state or output, got {got}")]
    Roots {
        /// The program's states or outputs.
        expected: usize,
        /// The number received.
        got: usize,
    },
    /// The run has no such segment.
    #[error("the run has no segment {0}")]
    Segment(u32),
    /// The segment has no iteration at this place.
    #[error("the segment has no iteration at place {0}")]
    Place(u64),
    /// A byte names no kind of fraud.
    #[error("expected a kind of fraud, 0 to 6, got {0}")]
    Kind(u8),
    /// A fraud proof of an order of data is about a step that draws nothing.
    #[error("expected a step draw, got value {}", .0.0)]
    Draw(ValueId),
}

/// Why a well-formed message about a run is false.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TrainingInvalid {
    /// A segment does not continue the one before.
    #[error("expected a segment that continues {what} of the one before, got another")]
    Previous {
        /// The number, the root or the state.
        what: &'static str,
    },
    /// A claim has another number than its place.
    #[error("expected the claim of iteration {expected}, got that of iteration {got}")]
    Number {
        /// The number of its place.
        expected: u64,
        /// The number in the claim.
        got: u64,
    },
    /// The state before an iteration is not the state after the one before it, or the
    /// first state.
    #[error("iteration {t} does not continue the state before it")]
    Link {
        /// The iteration.
        t: u64,
    },
    /// The last claim does not end in the state of the segment or of the run.
    #[error("the last iteration, {t}, does not end in the last state")]
    End {
        /// The iteration.
        t: u64,
    },
    /// The claims are not those of the chain.
    #[error("expected claims of chain {expected}, got those of {got}")]
    Chain {
        /// The segment's or the run's.
        expected: ChainRoot,
        /// The root over the claims.
        got: ChainRoot,
    },
    /// A claim and its path do not lead to the segment's chain.
    #[error("the claim at place {place} does not lead to the segment's chain")]
    Path {
        /// The place in the segment.
        place: u64,
    },
    /// The iteration's trace is of another program, run or number of MACs.
    #[error("the header of iteration {t} has another {what} than the job")]
    Header {
        /// The iteration.
        t: u64,
        /// What differs.
        what: &'static str,
    },
    /// The roots are not those of the claim's state.
    #[error("the roots are not those of the state before iteration {t}")]
    States {
        /// The iteration.
        t: u64,
    },
    /// The header's input is not that of states, seed, t and dataset.
    #[error("the input of iteration {t} is not that of its state, seed, number and dataset")]
    Inputs {
        /// The iteration.
        t: u64,
    },
    /// The roots are not those of the header's output.
    #[error("the roots are not those of the outputs of iteration {t}")]
    Outputs {
        /// The iteration.
        t: u64,
    },
    /// The claim's state after the iteration is not that of its outputs.
    #[error("the state after iteration {t} is not that of its outputs")]
    After {
        /// The iteration.
        t: u64,
    },
    /// A record of an input or an output has another root than header and claim.
    #[error("the record of value {} in iteration {t} has another root than header and claim", value.0)]
    Root {
        /// The iteration.
        t: u64,
        /// The value.
        value: ValueId,
    },
    /// A draw gives other samples than seed and number.
    #[error("iteration {t} takes other samples than seed and number give; see value {}", value.0)]
    Order {
        /// The iteration.
        t: u64,
        /// The step draw.
        value: ValueId,
    },
    /// A check of an iteration's trace fails.
    #[error("iteration {t}: {source}")]
    Trace {
        /// The iteration.
        t: u64,
        /// The reason.
        source: TraceInvalid,
    },
    /// A fraud proof is about what is right.
    #[error("iteration {t} is right in this: there is no fraud")]
    NoFraud {
        /// The iteration.
        t: u64,
    },
    /// A demand is about another segment.
    #[error("expected a demand about segment {expected}, got one about {got}")]
    Demand {
        /// The segment's root.
        expected: SegmentRoot,
        /// The root that the demand names.
        got: SegmentRoot,
    },
    /// A receipt differs from the run.
    #[error("the receipt differs from the run in its {what}")]
    Receipt {
        /// What differs.
        what: &'static str,
    },
    /// An export is not of this run, trace or program.
    #[error("the export differs in its {what}")]
    Export {
        /// What differs.
        what: &'static str,
    },
    /// An output of the export's trace is no constant of the program.
    #[error("output {output} of the export's trace is no constant of the program")]
    Constant {
        /// The number of the output.
        output: usize,
    },
    /// A constant of the program is neither trained nor one that may be untrained.
    #[error("expected constant {constant} of the program to be trained, got one of another origin")]
    Untrained {
        /// The number of the constant.
        constant: u32,
    },
}
