//! Receipts: compares a claim with the trace that it is about.

use super::checker::{Checker, Head};
use super::cursor::Cursor;
use super::error::{ReceiptError, TraceError, TraceInvalid};
use poai_core::trace::{Receipt, TraceHeader};

impl Checker {
    /// Checks that a chain can admit a receipt. The rules must permit its
    /// header's run, including the memory of tiles. The receipt must agree with
    /// header and program, under this checker's rules. A chain calls it when a
    /// trace is posted and refuses a receipt that fails, because no node could
    /// audit it.
    ///
    /// It does not show that such a trace exists. An audit, a full check
    /// ([`super::Audited::header`], [`super::Checked::header`]) or the end of
    /// the time for demands and fraud proofs shows that. It does not check job
    /// and prover: the requester compares the job, and a signature over
    /// [`Receipt::digest`] authenticates the prover.
    ///
    /// # Errors
    /// [`TraceError`]: an inadmissible run, a header that is not of this
    /// program, or [`TraceInvalid::Receipt`] with the first field that differs.
    pub fn receipt(&self, receipt: &Receipt, header: &TraceHeader) -> Result<(), TraceError> {
        let trace = header.root();
        let head = self.head(&trace, &mut Cursor::new(&header.to_bytes()))?;
        self.check_memory(&head.run, &head.extents)?;
        Ok(self.check_receipt(&head, receipt)?)
    }

    /// Checks the header's MACs and every field of the receipt.
    pub(super) fn check_receipt(&self, head: &Head, receipt: &Receipt) -> Result<(), TraceInvalid> {
        self.check_macs(head)?;
        let (header, trace) = (&head.header, head.root);
        let weights = self.program().macs_with_weights(&head.run);
        let activations = header.macs.saturating_sub(weights);
        // A macro, because each field has its own type.
        macro_rules! same {
            ($variant:ident, $expected:expr, $got:expr) => {
                let (expected, got) = ($expected, $got);
                if expected != got {
                    let differs = ReceiptError::$variant { expected, got };
                    return Err(TraceInvalid::Receipt(differs));
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
