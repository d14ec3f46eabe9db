//! Errors of trace messages: malformed and invalid ones.

use crate::freivalds::FreivaldsError;
use poai_core::program::ops::StepError;
use poai_core::program::{RunShapeError, ValueId};
use poai_core::puzzle::commitment::opening::OpeningError;
use poai_core::trace::{RecordError, TraceDecodeError};
use poai_core::{Cancelled, ProgramId, ReceiptDigest, Root, RulesDigest, TraceRoot};

/// Why a message about a trace was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TraceError {
    /// The bytes are not a message under the node's rules.
    #[error("malformed: {0}")]
    Malformed(#[from] TraceMalformed),
    /// What the message says is false.
    #[error("invalid: {0}")]
    Invalid(#[from] TraceInvalid),
    /// The caller cancelled a full check, which then decides nothing.
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
}

/// Bytes that do not begin with a header of this version are malformed.
impl From<TraceDecodeError> for TraceError {
    fn from(error: TraceDecodeError) -> TraceError {
        TraceError::Malformed(error.into())
    }
}

/// Why bytes are not a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TraceMalformed {
    /// The header, or a demand, is of another version or length.
    #[error(transparent)]
    Decode(#[from] TraceDecodeError),
    /// The bytes end early.
    #[error("the message ends early")]
    Short,
    /// Bytes follow after the message's end.
    #[error("expected no bytes after the message's end, got {0}")]
    Long(usize),
    /// The run is larger than the rules permit.
    #[error("the rules do not permit a batch of {batch} items of {sequence} tokens")]
    Limit {
        /// Items.
        batch: u32,
        /// Tokens.
        sequence: u32,
    },
    /// The run has more answers than a verifier with these rules permits.
    #[error("expected at most {max} answers, got {answers}; run fewer")]
    Answers {
        /// Answers of an item.
        answers: u32,
        /// The most tokens of an item, and so the most answers.
        max: u32,
    },
    /// There are more bytes than any honest message about the run has.
    #[error("expected at most {max} bytes, got {got}")]
    Size {
        /// The most bytes that there can be.
        max: u64,
        /// The number of bytes.
        got: usize,
    },
    /// Recomputing a tile could take more memory than the rules permit. The run
    /// is inadmissible, even if the message is right.
    #[error("a tile of value {} may take {bytes} bytes of memory, the rules permit {max}", value.0)]
    Memory {
        /// The value.
        value: ValueId,
        /// The memory of its worst tile, in bytes.
        bytes: u64,
        /// [`poai_core::trace::TraceRules::tile_memory_max`].
        max: u64,
    },
    /// The run has no tensors.
    #[error(transparent)]
    Run(#[from] RunShapeError),
    /// The message is about a value that no step makes, or a link about one that
    /// is no product of two operands.
    #[error("expected a value that a step makes, got value {}", .0.0)]
    Value(ValueId),
    /// The tensors of a full check differ in number or length from the
    /// program's.
    #[error("expected the program's tensors, got another number or other lengths")]
    Data,
    /// Sums have another length than their product.
    #[error("sums of value {}: {source}", value.0)]
    Sums {
        /// The value.
        value: ValueId,
        /// The reason.
        source: FreivaldsError,
    },
    /// The message is about a tile outside the value.
    #[error("value {} has no tile {tile}", value.0)]
    Tile {
        /// The value.
        value: ValueId,
        /// The tile.
        tile: u64,
    },
    /// The message does not answer this demand, which stays open.
    #[error("expected tile {tile} of value {}, got another or the header alone", value.0)]
    Answer {
        /// The value demanded.
        value: ValueId,
        /// The tile demanded.
        tile: u64,
    },
}

/// Why a well-formed message is false.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TraceInvalid {
    /// The message is about another trace.
    #[error("expected the header of trace {expected}, got that of trace {got}")]
    Trace {
        /// The trace asked about.
        expected: TraceRoot,
        /// The header's.
        got: TraceRoot,
    },
    /// The message is about another program.
    #[error("the trace is of program {got}, not {expected}")]
    Program {
        /// The checker's.
        expected: ProgramId,
        /// The header's.
        got: ProgramId,
    },
    /// The header's total differs from the program's.
    #[error("expected {expected} MACs in the header, got {got}")]
    Macs {
        /// The program's.
        expected: u64,
        /// The header's.
        got: u64,
    },
    /// The header's input is not that of the inputs' records.
    #[error("the header's input is not that of the records")]
    Input,
    /// The header's output is not that of the outputs' records.
    #[error("the header's output is not that of the records")]
    Output,
    /// The records do not hash to the header's root.
    #[error("the records do not lead to the header")]
    Records,
    /// A record differs from what the program implies.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// An opening does not lead to its root.
    #[error("value {}: opening {slot}: {source}", value.0)]
    Opening {
        /// The value being checked.
        value: ValueId,
        /// Which of the tile's openings.
        slot: usize,
        /// The reason.
        source: OpeningError,
    },
    /// A step has no result for the opened rows.
    #[error("value {}: {source}", value.0)]
    Step {
        /// The value.
        value: ValueId,
        /// The reason.
        source: StepError,
    },
    /// Rows that a step reads hold i8 entries outside −64..=63, or non-zero
    /// padding.
    #[error("value {}: the rows of slot {slot} are out of range or have non-zero padding", value.0)]
    Unclean {
        /// The value whose step reads them.
        value: ValueId,
        /// The slot: inputs first, then constants.
        slot: usize,
    },
    /// A row of an input of the program is unclean in the same sense.
    #[error("row {row} of input {} is out of range or has non-zero padding", value.0)]
    UncleanInput {
        /// The input.
        value: ValueId,
        /// The first such row of the opened ones, counting padding rows.
        row: u32,
    },
    /// A whole tensor is unclean in the same sense.
    #[error("tensor {tensor} (values, then constants) is out of range or has non-zero padding")]
    UncleanTensor {
        /// The tensor's index: values first, then constants.
        tensor: usize,
    },
    /// A tile differs from what its step computes.
    #[error("value {}, tile {tile}: entry [{row}, {column}] is wrong", value.0)]
    Entry {
        /// The value.
        value: ValueId,
        /// The tile.
        tile: u64,
        /// The first wrong entry's row.
        row: u32,
        /// The first wrong entry's column.
        column: u32,
    },
    /// An entry differs from what its step computes.
    #[error("value {}: entry [{row}, {column}] is wrong", value.0)]
    Value {
        /// The value.
        value: ValueId,
        /// The first wrong entry's row.
        row: u32,
        /// The first wrong entry's column.
        column: u32,
    },
    /// Claimed sums are not the product's. No root binds them, so this proves
    /// nothing against the trace.
    #[error("sums of value {}: {source}", value.0)]
    Sums {
        /// The value.
        value: ValueId,
        /// The reason.
        source: FreivaldsError,
    },
    /// A constant is not the program's.
    #[error("expected the program's root of constant {constant}, got {got}")]
    Constant {
        /// The constant's index.
        constant: usize,
        /// Its root.
        got: Root,
    },
    /// A fraud proof is about a tile that is right.
    #[error("value {}, tile {tile} is right: there is no fraud", value.0)]
    NoFraud {
        /// The value.
        value: ValueId,
        /// The tile.
        tile: u64,
    },
    /// A mined product is not the trace's step.
    #[error("the proof's {what} is not the step's")]
    Link {
        /// What differs.
        what: &'static str,
        /// The proof's root, or the step's if a dimension differs.
        root: Root,
    },
    /// A demand is about another receipt.
    #[error("expected a demand about receipt {expected}, got one about {got}")]
    Demand {
        /// The receipt's digest.
        expected: ReceiptDigest,
        /// The digest that the demand names.
        got: ReceiptDigest,
    },
    /// A field of a receipt is not the trace's.
    #[error(transparent)]
    Receipt(#[from] ReceiptError),
}

/// The field of a receipt that is not the trace's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReceiptError {
    /// The receipt names another program.
    #[error("the receipt is of program {got}, the trace of {expected}")]
    Program {
        /// The trace's.
        expected: ProgramId,
        /// The receipt's.
        got: ProgramId,
    },
    /// The receipt names other inputs.
    #[error("the receipt is of inputs {got}, the trace of {expected}")]
    Input {
        /// The trace's.
        expected: Root,
        /// The receipt's.
        got: Root,
    },
    /// The receipt names another output.
    #[error("the receipt is of output {got}, the trace of {expected}")]
    Output {
        /// The trace's.
        expected: Root,
        /// The receipt's.
        got: Root,
    },
    /// The receipt names another trace.
    #[error("the receipt is of trace {got}, not {expected}")]
    Trace {
        /// The header's root.
        expected: TraceRoot,
        /// The receipt's.
        got: TraceRoot,
    },
    /// The receipt counts other MACs of products with weights.
    #[error("the receipt says {got} MACs with weights, the run has {expected}")]
    MacsWeights {
        /// The program's in this run.
        expected: u64,
        /// The receipt's.
        got: u64,
    },
    /// The receipt counts other MACs of products of activations.
    #[error("the receipt says {got} MACs of activations, the run has {expected}")]
    MacsActivations {
        /// The program's in this run.
        expected: u64,
        /// The receipt's.
        got: u64,
    },
    /// The receipt asks for verification under other rules than the checker's.
    #[error("the receipt asks for rules {got}, the checker has {expected}")]
    Rules {
        /// The checker's.
        expected: RulesDigest,
        /// The receipt's.
        got: RulesDigest,
    },
}
