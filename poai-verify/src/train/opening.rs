//! An iteration's claim, header, and the roots of its states and outputs.

use super::checker::RunChecker;
use super::error::{TrainingError, TrainingInvalid, TrainingMalformed};
use crate::trace::TraceInvalid;
use crate::trace::checker::Head;
use crate::trace::cursor::Cursor;
use alloc::vec::Vec;
use poai_core::trace::{TraceDecodeError, TraceHeader, header};
use poai_core::training_run::{
    IterationClaim, RunParameters, Segment, chain_path_len, chain_path_root, state_root,
};
use poai_core::{Root, TraceRoot};

/// What an iteration's claim and header hash: the header, the commitments of the
/// states before it, and those of its outputs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IterationOpening {
    /// The header of the iteration's trace.
    pub header: TraceHeader,
    /// The commitments of the states before the iteration.
    pub states: Vec<Root>,
    /// The commitments of all outputs, the next states first.
    pub outputs: Vec<Root>,
}

impl IterationOpening {
    /// The bytes in messages: `header ‖ states ‖ outputs`.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = self.header.to_bytes();
        self.states.iter().chain(&self.outputs).for_each(|root| bytes.extend(root.as_bytes()));
        bytes
    }
}

impl RunChecker {
    /// Checks an iteration's header and roots against its claim and the job.
    ///
    /// # Errors
    /// [`TrainingError`] names the first that differs.
    pub fn iteration(
        &self,
        claim: &IterationClaim,
        opening: &IterationOpening,
    ) -> Result<(), TrainingError> {
        let (states, outputs) = (self.program().states(), self.outputs());
        for (expected, got) in [(states, opening.states.len()), (outputs, opening.outputs.len())] {
            if expected != got {
                return Err(TrainingMalformed::Roots { expected, got }.into());
            }
        }
        self.check_trace(claim, &opening.header)?;
        self.check_header(claim.t, &opening.header)?;
        self.check_states(claim, &opening.states)?;
        self.check_input(claim, &opening.header, &opening.states)?;
        self.check_outputs(claim.t, &opening.header, &opening.outputs)?;
        self.check_after(claim, &opening.outputs)?;
        Ok(())
    }

    /// The number of the program's outputs.
    pub(super) fn outputs(&self) -> usize {
        self.checker().program().outputs().len()
    }

    /// Reads the claim at a place of a segment and its path. The claim's number may
    /// still be wrong.
    pub(super) fn opened_claim(
        &self,
        segment: &Segment,
        place: u64,
        from: &mut Cursor<'_>,
    ) -> Result<IterationClaim, TrainingError> {
        let range = self.iterations_of(segment)?;
        let count = range.end - range.start;
        if place >= count {
            return Err(TrainingMalformed::Place(place).into());
        }
        let claim = IterationClaim::from_array(&from.array()?);
        let path = from.hashes(chain_path_len(count, place) as u64)?;
        if chain_path_root(&claim.leaf(), count, place, path) != Some(segment.chain) {
            return Err(TrainingInvalid::Path { place }.into());
        }
        Ok(claim)
    }

    /// As [`RunChecker::opened_claim`], and refuses a claim of another number than
    /// its place.
    pub(super) fn numbered_claim(
        &self,
        segment: &Segment,
        place: u64,
        from: &mut Cursor<'_>,
    ) -> Result<IterationClaim, TrainingError> {
        let claim = self.opened_claim(segment, place, from)?;
        // Exact: the place lies in the segment.
        let (expected, got) = (self.iterations_of(segment)?.start + place, claim.t);
        if expected != got {
            return Err(TrainingInvalid::Number { expected, got }.into());
        }
        Ok(claim)
    }

    /// Reads the header of a claim's trace.
    pub(super) fn opened_header(
        &self,
        claim: &IterationClaim,
        from: &mut Cursor<'_>,
    ) -> Result<TraceHeader, TrainingError> {
        use crate::trace::TraceMalformed;
        let bytes = from.peek(TraceHeader::LEN);
        let header = TraceHeader::from_bytes(bytes).map_err(|why| match why {
            TraceDecodeError::Length { .. } => TraceMalformed::Short,
            why => TraceMalformed::Decode(why),
        })?;
        from.take(TraceHeader::LEN as u64)?;
        self.check_trace(claim, &header)?;
        Ok(header)
    }

    /// Reads as many roots as a claim's state has, which are that state's.
    pub(super) fn opened_states(
        &self,
        claim: &IterationClaim,
        from: &mut Cursor<'_>,
    ) -> Result<Vec<Root>, TrainingError> {
        let states = roots(self.program().states(), from)?;
        self.check_states(claim, &states)?;
        Ok(states)
    }

    /// Reads as many roots as the program has outputs, which are the header's.
    pub(super) fn opened_outputs(
        &self,
        t: u64,
        header: &TraceHeader,
        from: &mut Cursor<'_>,
    ) -> Result<Vec<Root>, TrainingError> {
        let outputs = roots(self.outputs(), from)?;
        self.check_outputs(t, header, &outputs)?;
        Ok(outputs)
    }

    /// What checks of a trace start with, for a header that was checked.
    pub(super) fn head(&self, header: TraceHeader, root: TraceRoot) -> Head {
        Head { header, root, run: header.run, extents: self.extents().to_vec() }
    }

    fn check_trace(
        &self,
        claim: &IterationClaim,
        header: &TraceHeader,
    ) -> Result<(), TrainingInvalid> {
        let (t, expected, got) = (claim.t, claim.trace, header.root());
        if expected != got {
            let source = TraceInvalid::Trace { expected, got };
            return Err(TrainingInvalid::Trace { t, source });
        }
        Ok(())
    }

    /// Checks what job and program imply of a header.
    pub(super) fn check_header(&self, t: u64, header: &TraceHeader) -> Result<(), TrainingInvalid> {
        let RunParameters { program, run, .. } = self.parameters();
        let same = [
            ("program", header.program == *program),
            ("run", header.run == *run),
            ("number of MACs", header.macs == self.macs()),
        ];
        match same.iter().find(|(_, same)| !same) {
            Some(&(what, _)) => Err(TrainingInvalid::Header { t, what }),
            None => Ok(()),
        }
    }

    fn check_states(&self, claim: &IterationClaim, states: &[Root]) -> Result<(), TrainingInvalid> {
        match state_root(states) == claim.before {
            true => Ok(()),
            false => Err(TrainingInvalid::States { t: claim.t }),
        }
    }

    pub(super) fn check_input(
        &self,
        claim: &IterationClaim,
        header: &TraceHeader,
        states: &[Root],
    ) -> Result<(), TrainingInvalid> {
        let (t, parameters) = (claim.t, self.parameters());
        match self.program().header_input(parameters, states, t, self.dataset()) == header.input {
            true => Ok(()),
            false => Err(TrainingInvalid::Inputs { t }),
        }
    }

    fn check_outputs(
        &self,
        t: u64,
        header: &TraceHeader,
        outputs: &[Root],
    ) -> Result<(), TrainingInvalid> {
        match header::output_root(self.checker().program(), outputs) == Some(header.output) {
            true => Ok(()),
            false => Err(TrainingInvalid::Outputs { t }),
        }
    }

    pub(super) fn check_after(
        &self,
        claim: &IterationClaim,
        outputs: &[Root],
    ) -> Result<(), TrainingInvalid> {
        let states = outputs.get(..self.program().states()).unwrap_or_default();
        match state_root(states) == claim.after {
            true => Ok(()),
            false => Err(TrainingInvalid::After { t: claim.t }),
        }
    }
}

/// The next roots of a message.
fn roots(count: usize, from: &mut Cursor<'_>) -> Result<Vec<Root>, TrainingError> {
    Ok(from.hashes(count as u64)?.iter().copied().map(Root).collect())
}
