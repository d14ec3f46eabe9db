//! What a run's iterations cost, for reports. No commitment depends on it.

use super::IterationReport;
use poai_core::program::{Program, RunShape};

/// What all iterations that are done came to. A checkpoint has it, so it includes the
/// iterations before a resumption.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct RunTotals {
    /// The seconds that the iterations took, without checkpoints and claims.
    pub seconds: f64,
    /// Multiply-accumulates of products that drew tickets.
    pub mined_macs: u128,
    /// Tickets that products drew.
    pub tickets: u64,
}

impl RunTotals {
    /// The bytes in a checkpoint: `f64 seconds ‖ u128 mined MACs ‖ u64 tickets`.
    pub(super) const LEN: usize = 8 + 16 + 8;

    /// Adds an iteration.
    pub(super) fn add(
        &mut self,
        program: &Program,
        shape: &RunShape,
        report: &IterationReport,
        seconds: f64,
    ) {
        self.seconds += seconds;
        for step in &report.mined {
            self.tickets = self.tickets.saturating_add(step.found.drawn());
            let macs = u128::from(program.macs(step.value, shape));
            self.mined_macs = self.mined_macs.saturating_add(macs);
        }
    }

    pub(super) fn to_bytes(self) -> Vec<u8> {
        let RunTotals { seconds, mined_macs, tickets } = self;
        [&seconds.to_le_bytes()[..], &mined_macs.to_le_bytes(), &tickets.to_le_bytes()].concat()
    }

    pub(super) fn from_array(bytes: &[u8; RunTotals::LEN]) -> RunTotals {
        let [seconds, low, high, tickets] = [0, 8, 16, 24].map(|at| {
            let mut word = [0; 8];
            word.copy_from_slice(&bytes[at..at + 8]);
            word
        });
        let mined_macs =
            u128::from(u64::from_le_bytes(low)) | u128::from(u64::from_le_bytes(high)) << 64;
        let (seconds, tickets) = (f64::from_le_bytes(seconds), u64::from_le_bytes(tickets));
        RunTotals { seconds, mined_macs, tickets }
    }
}
