//! Receipts: a claim held against the trace that it is about.

use super::checker::Checker;
use super::cursor::Cursor;
use super::error::{TraceError, TraceInvalid};
use poai_core::trace::{Receipt, TraceHeader};
use poai_core::{ProgramId, Root, RulesDigest, TraceRoot};

/// Which field of a receipt is not the trace's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReceiptError {
    /// It names another program.
    #[error("the receipt is of program {got}, the trace of {expected}")]
    Program {
        /// The trace's.
        expected: ProgramId,
        /// The receipt's.
        got: ProgramId,
    },
    /// It names other inputs.
    #[error("the receipt is of inputs {got}, the trace of {expected}")]
    Input {
        /// The trace's.
        expected: Root,
        /// The receipt's.
        got: Root,
    },
    /// It names another output.
    #[error("the receipt is of output {got}, the trace of {expected}")]
    Output {
        /// The trace's.
        expected: Root,
        /// The receipt's.
        got: Root,
    },
    /// It names another trace.
    #[error("the receipt is of trace {got}, not {expected}")]
    Trace {
        /// The header's root.
        expected: TraceRoot,
        /// The receipt's.
        got: TraceRoot,
    },
    /// It counts other MACs of products with weights.
    #[error("the receipt says {got} MACs with weights, the run has {expected}")]
    MacsWeights {
        /// The program's in this run.
        expected: u64,
        /// The receipt's.
        got: u64,
    },
    /// It counts other MACs of products of activations.
    #[error("the receipt says {got} MACs of activations, the run has {expected}")]
    MacsActivations {
        /// The program's in this run.
        expected: u64,
        /// The receipt's.
        got: u64,
    },
    /// It asks for verification under other rules than the checker's.
    #[error("the receipt asks for rules {got}, the checker has {expected}")]
    Rules {
        /// The checker's.
        expected: RulesDigest,
        /// The receipt's.
        got: RulesDigest,
    },
}

impl Checker {
    /// Checks that a receipt says of a trace what its header and the program
    /// say, and that it asks for this checker's rules. The header is that of a
    /// trace which an audit or a full check accepted
    /// ([`super::Audited::header`], [`super::Checked::header`]); this adds
    /// nothing to what they found. Nor does it look at job and prover, which
    /// no trace binds: the requester compares the job, and a signature over
    /// [`Receipt::digest`] names the prover.
    ///
    /// # Errors
    /// [`TraceError`]: a header that is not of this program, or
    /// [`TraceInvalid::Receipt`] with the first field that differs.
    pub fn receipt(&self, receipt: &Receipt, header: &TraceHeader) -> Result<(), TraceError> {
        let trace = header.root();
        let head = self.head(&trace, &mut Cursor::new(&header.encode()))?;
        self.check_macs(&head)?;
        let weights = self.program().macs_with_weights(&head.run);
        let activations = header.macs.saturating_sub(weights);
        // A macro, because each field has its own type.
        macro_rules! same {
            ($variant:ident, $expected:expr, $got:expr) => {
                let (expected, got) = ($expected, $got);
                if expected != got {
                    let differs = ReceiptError::$variant { expected, got };
                    return Err(TraceInvalid::Receipt(differs).into());
                }
            };
        }
        same!(Program, header.program, receipt.program);
        same!(Input, header.input, receipt.input);
        same!(Output, header.output, receipt.output);
        same!(Trace, trace, receipt.trace);
        same!(MacsWeights, weights, receipt.macs_weights);
        same!(MacsActivations, activations, receipt.macs_activations);
        same!(Rules, self.rules().digest(), receipt.rules);
        Ok(())
    }
}
