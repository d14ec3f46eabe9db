//! Receipts of training: compares a claim with a run.

use super::checker::RunChecker;
use super::error::TrainingInvalid;
use poai_core::training_run::{TrainedRun, TrainingReceipt};

impl RunChecker {
    /// Checks that a receipt is of a run under this checker's job and rules. It
    /// shows neither that the run is right nor that the receipt's prover agrees.
    ///
    /// # Errors
    /// [`TrainingInvalid::Receipt`] names the first field that differs.
    pub fn receipt(
        &self,
        trained: &TrainedRun,
        receipt: &TrainingReceipt,
    ) -> Result<(), TrainingInvalid> {
        let own = TrainingReceipt::of(self.parameters(), trained, self.macs(), receipt.prover);
        let same = [
            ("job", own.job == receipt.job),
            ("dataset", own.dataset == receipt.dataset),
            ("order of the data", own.order == receipt.order),
            ("first state", own.first == receipt.first),
            ("last state", own.last == receipt.last),
            ("number of MACs", own.macs == receipt.macs),
            ("rules", own.rules == receipt.rules),
            ("run", own.run == receipt.run),
        ];
        match same.iter().find(|(_, same)| !same) {
            Some(&(what, _)) => Err(TrainingInvalid::Receipt { what }),
            None => Ok(()),
        }
    }
}
