//! Forced opening: a demanded tile is opened, or the trace is rejected (spec
//! §14).

use super::bounds::PLACE;
use super::checker::{Checker, Head};
use super::cursor::Cursor;
use super::error::{TraceError, TraceInvalid, TraceMalformed};
use super::fraud::Fraud;
use poai_core::program::ValueId;
use poai_core::program::ops::Local;
use poai_core::trace::{Demand, Receipt, TraceHeader, unclean};

/// What an answer to a demand shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "an answer may convict the trace"]
pub enum Answer {
    /// The tile is there and right, given what its step read. It does not say
    /// that what the step read is right, nor anything of other tiles.
    Right,
    /// The answer is a fraud proof: the trace is convicted.
    Fraud(Fraud),
}

impl Checker {
    /// Checks that a demand is about a receipt and a tile of its trace, and
    /// returns how many bytes the answer has at most. A chain that admitted the
    /// receipt has its header. It refuses a demand that fails.
    ///
    /// # Errors
    /// [`TraceError`]: another receipt's demand, another trace's header, an
    /// inadmissible run, or a value or tile that the run does not have.
    pub fn demand(
        &self,
        receipt: &Receipt,
        header: &TraceHeader,
        demand: &Demand,
    ) -> Result<u64, TraceError> {
        self.demanded(receipt, demand)?;
        let head = self.head(&receipt.trace, &mut Cursor::new(&header.encode()))?;
        self.check_memory(&head.run, &head.extents)?;
        if !self.has_tile(&head, demand) {
            let Demand { value, tile, .. } = *demand;
            return Err(TraceMalformed::Tile { value, tile }.into());
        }
        Ok(self.answer_bytes(&head, demand.value))
    }

    /// Checks an answer to a demand. The answer is the message that
    /// [`Checker::fraud`] takes about the demanded tile, and the tile is right if
    /// there is no fraud in it.
    ///
    /// # Errors
    /// [`TraceError`]: the bytes are no answer to this demand, which stays open
    /// until its deadline. At the deadline a chain rejects the receipt. It does
    /// not convict the trace: other receipts of it are not affected.
    pub fn answer(
        &self,
        receipt: &Receipt,
        demand: &Demand,
        answer: &[u8],
    ) -> Result<Answer, TraceError> {
        self.demanded(receipt, demand)?;
        let Demand { value, tile, .. } = *demand;
        // Where the message says what it is about. The header alone is about
        // its MACs, and answers nothing.
        let mut from = Cursor::new(answer);
        from.take(TraceHeader::LEN as u64)?;
        let place = from.take(PLACE).map_err(|_| TraceMalformed::Answer { value, tile })?;
        let expected = [&value.0.to_le_bytes()[..], &tile.to_le_bytes()].concat();
        if place != expected {
            return Err(TraceMalformed::Answer { value, tile }.into());
        }
        match self.fraud(&receipt.trace, answer) {
            Ok(fraud) => Ok(Answer::Fraud(fraud)),
            Err(TraceError::Invalid(TraceInvalid::NoFraud { .. })) => Ok(Answer::Right),
            Err(why) => Err(why),
        }
    }

    /// Whether a demand is about this receipt.
    fn demanded(&self, receipt: &Receipt, demand: &Demand) -> Result<(), TraceInvalid> {
        let (expected, got) = (receipt.digest(), demand.receipt);
        if expected != got {
            return Err(TraceInvalid::Demand { expected, got });
        }
        Ok(())
    }

    fn has_tile(&self, head: &Head, demand: &Demand) -> bool {
        let Demand { value, tile, .. } = *demand;
        if let Some(local) = Local::new(self.program(), &head.extents, head.run, value) {
            return tile < local.grid().tiles();
        }
        if value.0 as usize >= self.program().inputs().len() {
            return false;
        }
        let extent = head.extents.get(value.0 as usize);
        match tile.checked_sub(1) {
            None => value == ValueId(0),
            Some(strip) => {
                extent.is_some_and(|extent| unclean::strip_rows(extent, strip).is_some())
            }
        }
    }
}
