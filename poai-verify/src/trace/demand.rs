//! Forced opening: a prover opens a demanded tile, or its receipt is rejected
//! (spec §14).

use super::bounds::PLACE;
use super::checker::Checker;
use super::cursor::Cursor;
use super::error::{TraceError, TraceInvalid, TraceMalformed};
use super::fraud::Fraud;
use poai_core::TraceRoot;
use poai_core::program::ops::Local;
use poai_core::program::{Extent, RunShape, ValueId};
use poai_core::trace::{Answer, Demand, Receipt, TraceHeader, unclean};

/// The result of an answer to a demand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "an answer may convict the trace"]
pub enum Answered {
    /// The tile is right, given what its step read. It does not show that what
    /// the step read is right, nor anything about other tiles.
    Right,
    /// The answer is a fraud proof: the trace is convicted.
    Fraud(Fraud),
}

impl Checker {
    /// Checks that a demand is about a receipt and a tile of its trace. Returns
    /// the most bytes that the answer can have. A chain that admitted the
    /// receipt has its header, and refuses a demand that fails this check.
    ///
    /// # Errors
    /// [`TraceError`]: a demand about another receipt, another trace's header,
    /// an inadmissible run, or a value or tile that the run does not have.
    pub fn demand(
        &self,
        receipt: &Receipt,
        header: &TraceHeader,
        demand: &Demand,
    ) -> Result<u64, TraceError> {
        self.demanded(receipt, demand)?;
        let head = self.head(&receipt.trace, &mut Cursor::new(&header.to_bytes()))?;
        self.check_memory(&head.run, &head.extents)?;
        let Demand { value, tile, .. } = *demand;
        if !self.has_tile(&head.run, &head.extents, value, tile) {
            return Err(TraceMalformed::Tile { value, tile }.into());
        }
        Ok(self.answer_bytes(&head, demand.value))
    }

    /// Checks an answer to a demand. The answer is the message that [`Checker::fraud`] takes about
    /// the demanded tile. The tile is right if the message shows no fraud.
    ///
    /// # Errors
    /// [`TraceError`]: the bytes do not answer this demand, which stays open
    /// until its deadline. At the deadline a chain rejects the receipt. It does
    /// not convict the trace: other receipts of it are not affected.
    pub fn answer(
        &self,
        receipt: &Receipt,
        demand: &Demand,
        answer: &Answer,
    ) -> Result<Answered, TraceError> {
        self.demanded(receipt, demand)?;
        let Demand { value, tile, .. } = *demand;
        self.answer_of(&receipt.trace, value, tile, answer.as_bytes())
    }

    /// As [`Checker::answer`], for the bytes of an answer about a tile of a trace.
    pub(crate) fn answer_of(
        &self,
        trace: &TraceRoot,
        value: ValueId,
        tile: u64,
        answer: &[u8],
    ) -> Result<Answered, TraceError> {
        // The bytes that name what the message is about. A header alone is
        // about its MACs, and answers no demand.
        let mut from = Cursor::new(answer);
        from.take(TraceHeader::len_at(answer) as u64)?;
        let place = from.take(PLACE).map_err(|_| TraceMalformed::Answer { value, tile })?;
        let expected = [&value.0.to_le_bytes()[..], &tile.to_le_bytes()].concat();
        if place != expected {
            return Err(TraceMalformed::Answer { value, tile }.into());
        }
        match self.fraud_of(trace, answer) {
            Ok(fraud) => Ok(Answered::Fraud(fraud)),
            Err(TraceError::Invalid(TraceInvalid::NoFraud { .. })) => Ok(Answered::Right),
            Err(why) => Err(why),
        }
    }

    /// Checks that a demand is about this receipt.
    fn demanded(&self, receipt: &Receipt, demand: &Demand) -> Result<(), TraceInvalid> {
        let (expected, got) = (receipt.digest(), demand.receipt);
        if expected != got {
            return Err(TraceInvalid::Demand { expected, got });
        }
        Ok(())
    }

    /// Whether a run has what a demand names.
    pub(crate) fn has_tile(
        &self,
        run: &RunShape,
        extents: &[Extent],
        value: ValueId,
        tile: u64,
    ) -> bool {
        if let Some(local) = Local::new(self.program(), extents, *run, value) {
            return tile < local.grid().tiles();
        }
        if Demand::of_outputs(self.program()) == Some(value) {
            return tile == 0;
        }
        if value.0 as usize >= self.program().inputs().len() {
            return false;
        }
        let extent = extents.get(value.0 as usize);
        match tile.checked_sub(1) {
            None => value == ValueId(0),
            Some(strip) => {
                extent.is_some_and(|extent| unclean::strip_rows(extent, strip).is_some())
            }
        }
    }
}
