//! Receipts: a claim held against the trace that it is about.

use super::checker::Checker;
use super::cursor::Cursor;
use super::error::{ReceiptError, TraceError, TraceInvalid};
use poai_core::trace::{Receipt, TraceHeader};

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
