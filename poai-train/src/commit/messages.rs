//! The bytes of fraud proofs, answers and demands about a segment.

use poai_core::Root;
use poai_core::program::ValueId;
use poai_core::trace::{Answer, FraudProof, RecordBytes, TraceHeader};
use poai_core::training_run::{
    Demanded, FraudKind, IterationClaim, RunParameters, Segment, TrainingAnswer, TrainingDemand,
    TrainingFraud, chain_path,
};

/// A segment with its claims, from which messages about it are made.
///
/// The claims are a prover's and may lie. Each function makes the message that its
/// name says; a checker decides whether it convicts. `None` stands for a place that
/// the segment does not have.
#[derive(Clone, Copy, Debug)]
pub struct SegmentMessages<'a> {
    /// What the job fixes.
    pub parameters: &'a RunParameters,
    /// The segment.
    pub segment: &'a Segment,
    /// The claims of its iterations.
    pub claims: &'a [IterationClaim],
}

impl SegmentMessages<'_> {
    /// A claim and its path in the segment's chain.
    pub fn opened_claim(&self, place: u64) -> Option<Vec<u8>> {
        let mut bytes = self.claims.get(usize::try_from(place).ok()?)?.to_bytes();
        let leaves: Vec<_> = self.claims.iter().map(IterationClaim::leaf).collect();
        bytes.extend(chain_path(&leaves, place).concat());
        Some(bytes)
    }

    fn fraud(&self, place: u64, kind: FraudKind, rest: &[u8]) -> TrainingFraud {
        let place = place.to_le_bytes();
        TrainingFraud::of_body(&[&place[..], &[kind.tag()], rest].concat())
    }

    fn about(&self, place: u64, kind: FraudKind, rest: &[u8]) -> Option<TrainingFraud> {
        let claim = self.opened_claim(place)?;
        Some(self.fraud(place, kind, &[&claim[..], rest].concat()))
    }

    /// That the claim at a place has another number.
    pub fn number(&self, place: u64) -> Option<TrainingFraud> {
        self.about(place, FraudKind::Number, &[])
    }

    /// That the states on both sides of the link before a place differ. The place
    /// after the last is the link to the segment's last state.
    pub fn link(&self, place: u64) -> Option<TrainingFraud> {
        let count = self.claims.len() as u64;
        let mut bytes = vec![];
        if let Some(before) = place.checked_sub(1) {
            bytes.extend(self.opened_claim(before)?);
        }
        if place < count {
            bytes.extend(self.opened_claim(place)?);
        }
        Some(self.fraud(place, FraudKind::Link, &bytes))
    }

    /// That a header is not of the job.
    pub fn header(&self, place: u64, header: &TraceHeader) -> Option<TrainingFraud> {
        self.about(place, FraudKind::Header, &header.to_bytes())
    }

    /// That a header's input is not that of state, seed, number and dataset.
    pub fn inputs(
        &self,
        place: u64,
        header: &TraceHeader,
        states: &[Root],
    ) -> Option<TrainingFraud> {
        self.about(place, FraudKind::Inputs, &with_roots(header, states))
    }

    /// That a claim's next state is not that of its outputs.
    pub fn outputs(
        &self,
        place: u64,
        header: &TraceHeader,
        outputs: &[Root],
    ) -> Option<TrainingFraud> {
        self.about(place, FraudKind::Outputs, &with_roots(header, outputs))
    }

    /// That a draw gives other samples than seed and number. `record` is the draw's
    /// record with its path.
    pub fn order(
        &self,
        place: u64,
        header: &TraceHeader,
        draw: ValueId,
        record: &[u8],
    ) -> Option<TrainingFraud> {
        let rest = [&header.to_bytes()[..], &draw.0.to_le_bytes(), record].concat();
        self.about(place, FraudKind::Order, &rest)
    }

    /// That a claim's trace lies.
    pub fn trace(&self, place: u64, proof: &FraudProof) -> Option<TrainingFraud> {
        self.about(place, FraudKind::Trace, proof.as_bytes())
    }

    /// The demand that the prover opens a part of an iteration.
    pub fn demand(&self, place: u64, what: Demanded) -> TrainingDemand {
        TrainingDemand { segment: self.segment.root(self.parameters), place, what }
    }

    /// The answer to a demand of an iteration's records.
    pub fn records(
        &self,
        place: u64,
        header: &TraceHeader,
        records: &[RecordBytes],
    ) -> Option<TrainingAnswer> {
        let mut bytes = self.opened_claim(place)?;
        bytes.extend(header.to_bytes());
        records.iter().for_each(|record| bytes.extend(&record.0));
        Some(TrainingAnswer::of_body(&bytes))
    }

    /// The answer to a demand of a tile, from the answer about the trace.
    pub fn tile(&self, place: u64, answer: &Answer) -> Option<TrainingAnswer> {
        let claim = self.opened_claim(place)?;
        Some(TrainingAnswer::of_body(&[&claim[..], answer.as_bytes()].concat()))
    }
}

fn with_roots(header: &TraceHeader, roots: &[Root]) -> Vec<u8> {
    let mut bytes = header.to_bytes();
    roots.iter().for_each(|root| bytes.extend(root.as_bytes()));
    bytes
}
