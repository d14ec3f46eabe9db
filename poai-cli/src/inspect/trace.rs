//! Messages about a trace. None of them names its kind; the place of the first
//! record distinguishes them.

use super::found::Found;
use poai::program::Extent;
use poai::program::tensor::Dtype;
use poai::trace::{Demand, Receipt, Record, TraceHeader};

/// A receipt.
pub fn receipt(bytes: &[u8]) -> Option<Found> {
    let receipt = Receipt::from_bytes(bytes).ok()?;
    Some(
        Found::new("receipt")
            .text_of("program_id", receipt.program)
            .text_of("input", receipt.input)
            .text_of("output", receipt.output)
            .text_of("trace_root", receipt.trace)
            .with("macs_weights", receipt.macs_weights)
            .with("macs_activations", receipt.macs_activations)
            .with("job", hex::encode(receipt.job))
            .with("prover", hex::encode(receipt.prover))
            .text_of("rules", receipt.rules)
            .with("to_sign", hex::encode(receipt.digest())),
    )
}

/// A demand.
pub fn demand(bytes: &[u8]) -> Option<Found> {
    let Demand { receipt, value, tile } = Demand::from_bytes(bytes).ok()?;
    let found = Found::new("demand to open a tile of a trace");
    Some(found.with("receipt", hex::encode(receipt)).with("value", value.0).with("tile", tile))
}

/// A header, and the message that may follow it.
pub fn message(bytes: &[u8]) -> Option<Found> {
    let (head, rest) = bytes.split_at_checked(TraceHeader::len_at(bytes))?;
    let header = TraceHeader::from_bytes(head).ok()?;
    let number = |at: usize| Some(u32::from_le_bytes(rest.get(at..at + 4)?.try_into().ok()?));
    let found = if rest.is_empty() {
        // A header has no mark of its own. The only check is that its run is
        // valid.
        if header.run.batch == 0 || header.run.sequence == 0 {
            return None;
        }
        Found::new("header of a trace")
    } else if record(rest, 0, 0) {
        Found::new("audit of a trace")
    } else if let Some(value) = number(0)
        && record(rest, 12, value)
    {
        let tile = u64::from_le_bytes(rest.get(4..12)?.try_into().ok()?);
        Found::new("fraud proof, or answer to a demand").with("value", value).with("tile", tile)
    } else if let Some(value) = number(0)
        && record(rest, 4, value)
    {
        Found::new("link of a mined product to a trace").with("value", value)
    } else {
        return None;
    };
    let found = match header.run.answers {
        0 => found,
        answers => found.with("answers", answers),
    };
    Some(
        found
            .text_of("trace_root", header.root())
            .text_of("program_id", header.program)
            .with("batch", header.run.batch)
            .with("sequence", header.run.sequence)
            .text_of("input", header.input)
            .text_of("output", header.output)
            .with("macs", header.macs)
            .with("bytes", bytes.len()),
    )
}

/// Whether a record of a value may start there: `value ‖ root ‖ u32 rows ‖ u32
/// columns ‖ u8 dtype ‖ u64 macs ‖ u8 count`.
fn record(bytes: &[u8], at: usize, value: u32) -> bool {
    let fields = || -> Option<bool> {
        let bytes = bytes.get(at..at.checked_add(Record::len(0))?)?;
        let word = |at: usize| Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
        let dtype = Dtype::of_tag(*bytes.get(44)?)?;
        let is_extent = Extent::new(word(36)?, word(40)?, dtype).is_some();
        // A step has at most three inputs.
        Some(word(0)? == value && is_extent && *bytes.get(53)? <= 3)
    };
    fields().unwrap_or(false)
}
