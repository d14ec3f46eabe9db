//! Receipts of training: what a requester keeps of a run.

use super::error::{Fields, TrainingDecodeError};
use super::parameters::RunParameters;
use super::segment::TrainedRun;
use crate::digest::{
    DatasetRoot, Job, Prover, RulesDigest, RunRoot, StateRoot, TrainingReceiptDigest, derive,
};
use alloc::vec::Vec;

/// The rule by which iterations take samples of a dataset.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum DataOrder {
    /// By the step draw (spec §12): every epoch has each sample once, in an order
    /// that the run's seed gives. Its byte is 1.
    Drawn,
}

impl DataOrder {
    /// The byte that names the rule.
    pub const fn tag(self) -> u8 {
        match self {
            DataOrder::Drawn => 1,
        }
    }

    /// The rule that a byte names, or `None`.
    pub const fn of_tag(tag: u8) -> Option<DataOrder> {
        match tag {
            1 => Some(DataOrder::Drawn),
            _ => None,
        }
    }
}

/// A prover's claim that it trained by a job's parameters (spec §19). Its canonical
/// bytes are `u32 version ‖ run ‖ dataset ‖ u8 order ‖ first ‖ last ‖ u128 MACs ‖
/// job ‖ prover ‖ rules`.
///
/// By itself it proves nothing. It licenses payment once all segments' audits held
/// and no fraud proof came in time. It says nothing of how good the model is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct TrainingReceipt {
    /// The run. Binds all fields below but the rules and the prover.
    pub run: RunRoot,
    /// The dataset.
    pub dataset: DatasetRoot,
    /// The order of the data.
    pub order: DataOrder,
    /// The state before the first iteration.
    pub first: StateRoot,
    /// The state after the last.
    pub last: StateRoot,
    /// Multiply-accumulates of all iterations. They follow from the parameters, and
    /// are no evidence of cost: a job may repeat the same tensors.
    pub macs: u128,
    /// The requester's name for the run.
    pub job: Job,
    /// The prover's name. The run does not bind it; only a signature over the
    /// receipt's digest shows that the prover agrees.
    pub prover: Prover,
    /// The rules of the audits, [`super::TrainingRules::digest`].
    pub rules: RulesDigest,
}

impl TrainingReceipt {
    /// The length of a receipt's bytes.
    pub const LEN: usize = 4 + 2 * 32 + 1 + 2 * 32 + 16 + 3 * 32;

    /// The receipt of a run, whose iterations have `macs` MACs each.
    pub fn of(
        parameters: &RunParameters,
        trained: &TrainedRun,
        macs: u64,
        prover: Prover,
    ) -> TrainingReceipt {
        TrainingReceipt {
            run: trained.root(parameters),
            dataset: parameters.dataset,
            order: DataOrder::Drawn,
            first: parameters.first,
            last: trained.last,
            macs: u128::from(macs) * u128::from(parameters.iterations),
            job: parameters.job,
            prover,
            rules: parameters.rules,
        }
    }

    /// The canonical bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(TrainingReceipt::LEN);
        bytes.extend(super::TRAINING_VERSION.to_le_bytes());
        bytes.extend(self.run.as_bytes());
        bytes.extend(self.dataset.as_bytes());
        bytes.push(self.order.tag());
        bytes.extend(self.first.as_bytes());
        bytes.extend(self.last.as_bytes());
        bytes.extend(self.macs.to_le_bytes());
        for hash in [&self.job.0, &self.prover.0, &self.rules.0] {
            bytes.extend(hash);
        }
        bytes
    }

    /// Reads exactly [`TrainingReceipt::LEN`] bytes of this version.
    ///
    /// # Errors
    /// [`TrainingDecodeError`].
    pub fn from_bytes(bytes: &[u8]) -> Result<TrainingReceipt, TrainingDecodeError> {
        let mut fields = Fields::after_version(bytes, TrainingReceipt::LEN)?;
        let (run, dataset) = (RunRoot(fields.next()), DatasetRoot(fields.next()));
        let tag = fields.u8();
        let order = DataOrder::of_tag(tag).ok_or(TrainingDecodeError::Order(tag))?;
        Ok(TrainingReceipt {
            run,
            dataset,
            order,
            first: StateRoot(fields.next()),
            last: StateRoot(fields.next()),
            macs: u128::from_le_bytes(fields.next()),
            job: Job(fields.next()),
            prover: Prover(fields.next()),
            rules: RulesDigest(fields.next()),
        })
    }

    /// The receipt's digest: `H("train receipt", bytes)`. The prover signs it.
    pub fn digest(&self) -> TrainingReceiptDigest {
        TrainingReceiptDigest(derive!("train receipt", &self.to_bytes()))
    }
}
