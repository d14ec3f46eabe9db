//! Registration: what a program costs its checkers.

use super::checker::Checker;
use super::error::TraceMalformed;
use super::reach::{TileBound, worst_light};
use poai_core::Params;
use poai_core::program::ops::Local;
use poai_core::program::{BatchAxis, Extent, Form, RunShape, ValueId};
use poai_core::trace::{Demand, TraceRules};

/// Rows of a tile.
const TILE: u32 = Params::CONSENSUS.tile() as u32;

/// From this sequence on, a tile of rows per token lies in at most two items.
const FEW: u32 = 2 * TILE;

/// The largest costs of the runs that the rules permit. A smaller run can cost
/// more than a larger one: its tiles reach into more items, or over more
/// padding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Largest {
    /// The run of most entries: [`TraceRules::batch_max`] items of
    /// [`TraceRules::sequence_max`] tokens, or of 1 token if no form is per
    /// token. It has as many answers if a form is per answer.
    pub run: RunShape,
    /// Bounds of its worst tile; bytes and memory may be of two different
    /// tiles.
    pub tile: TileBound,
    /// Bytes of an audit.
    pub audit_bytes: u64,
    /// Bytes of a fraud proof, and of an answer to a demand.
    pub fraud_bytes: u64,
    /// Bytes of a link.
    pub link_bytes: u64,
}

impl Checker {
    /// The largest sizes of messages about runs that the rules permit. On an error the rules permit
    /// runs that no checker takes. A chain then registers the program under lower rules,
    /// [`Checker::fitted`].
    ///
    /// It looks at up to 6144 runs, or twice as many if runs have answers, and
    /// takes about a microsecond for each step of a run.
    ///
    /// # Errors
    /// [`TraceMalformed`] names what of a run is too large.
    pub fn largest(&self) -> Result<Largest, TraceMalformed> {
        let run = self.corner();
        let mut worst = Worst::default();
        // The first batches, and the last batch of each remainder by a tile's
        // rows.
        for batch in ends(run.batch, TILE) {
            for run in runs(RunShape { batch, ..run }) {
                self.widen(&mut worst, run)?;
            }
        }
        // The rules permit no run.
        self.widen(&mut worst, run)?;
        let Worst { tile, fraud_bytes } = worst;
        let audit_bytes = self.audit_bytes_of(tile.bytes);
        Ok(Largest { run, tile, audit_bytes, fraud_bytes, link_bytes: self.link_bytes_max() })
    }

    /// The checker under the same rules, except for the longest sequence and then the largest batch
    /// for which [`Checker::largest`] succeeds. `None` if not even one item of one token fits.
    pub fn fitted(self) -> Option<Checker> {
        let (program, rules) = (self.program().clone(), *self.rules());
        let under = |batch_max: u32, sequence_max: u32| {
            Checker::new(program.clone(), TraceRules { batch_max, sequence_max, ..rules })
        };
        // Few runs first: what is too large for these is too large for all.
        let roughly = |batch: u32, last: u32| {
            let (checker, mut worst) = (under(batch, last), Worst::default());
            runs(checker.corner()).all(|run| checker.widen(&mut worst, run).is_ok())
        };
        let sequence_max = last(rules.sequence_max, |sequence| roughly(1, sequence))?;
        let batch_max = last(rules.batch_max, |batch| roughly(batch, sequence_max))?;
        // A smaller batch takes no more memory, only longer messages, which no rule
        // limits: what fits these runs fits all.
        let fitted = under(batch_max, sequence_max);
        fitted.largest().is_ok().then_some(fitted)
    }

    /// The run of most entries.
    fn corner(&self) -> RunShape {
        let TraceRules { batch_max, sequence_max, .. } = *self.rules();
        let program = self.program();
        let sequence = if program.has_tokens() { sequence_max } else { sequence_max.min(1) };
        let answers = if program.has_answers() { sequence_max } else { 0 };
        RunShape::new(batch_max, sequence).answers(answers)
    }

    /// Widens the maxima by the costs of a run.
    fn widen(&self, worst: &mut Worst, run: RunShape) -> Result<(), TraceMalformed> {
        let extents = self.extents(&run)?;
        // Exact: at most 2^16 + 4096 values.
        for value in (0..self.program().values() as u32).map(ValueId) {
            let tile = self.permitted_tile(&run, &extents, value)?;
            let tile = self.of_smaller(tile, &run, &extents, value)?;
            worst.tile.bytes = worst.tile.bytes.max(tile.bytes);
            worst.tile.memory = worst.tile.memory.max(tile.memory);
            let fraud = self.fraud_bytes_of(&extents, value, tile.bytes);
            worst.fraud_bytes = worst.fraud_bytes.max(fraud);
        }
        if let Some(outputs) = Demand::of_outputs(self.program()) {
            let fraud = self.fraud_bytes_of(&extents, outputs, 0);
            worst.fraud_bytes = worst.fraud_bytes.max(fraud);
        }
        Ok(())
    }
}

impl Checker {
    /// The worst tile of a value in this run, or of a run with fewer columns.
    ///
    /// In a program with a list of outputs, tiles of row-local steps have more
    /// rows if these are shorter. So a run of fewer columns can have a larger
    /// tile.
    fn of_smaller(
        &self,
        tile: TileBound,
        run: &RunShape,
        extents: &[Extent],
        value: ValueId,
    ) -> Result<TileBound, TraceMalformed> {
        let program = self.program();
        let local = Local::new(program, extents, *run, value);
        let (Some(local), Some(step)) = (local, program.step_of(value)) else { return Ok(tile) };
        let mut forms = step.inputs.iter().filter_map(|&input| program.form(input));
        let grows = |form: &Form| !form.columns.is_fixed() || form.batch == BatchAxis::Columns;
        let grows = forms.any(grows) || grows(&step.form);
        if !local.listed || !local.is_row_local() || !grows {
            return Ok(tile);
        }
        // Rows for every token are as many as in this run only in this run.
        let padding = match step.form.rows.is_fixed() {
            false => TILE - 1,
            true => local.output.padded_rows() - local.output.rows,
        };
        let any = worst_light(&local, padding);
        let (bytes, max) = (any.memory, self.rules().tile_memory_max);
        if bytes > max {
            return Err(TraceMalformed::Memory { value, bytes, max });
        }
        Ok(TileBound { bytes: tile.bytes.max(any.bytes), memory: tile.memory.max(any.memory) })
    }
}

/// Runs of one batch among which some cost the most, up to the sequence and the
/// answers of `most`.
///
/// No step but tail reads rows of tokens for rows of answers, and tail's
/// messages are longest for the longest sequence. So no run with another
/// sequence and other answers costs more.
fn runs(most: RunShape) -> impl Iterator<Item = RunShape> {
    let fewest = most.answers.min(1);
    let by_sequence =
        ends(most.sequence, FEW).map(move |sequence| RunShape { sequence, ..most }.answers(fewest));
    by_sequence.chain(ends(most.answers, FEW).map(move |answers| most.answers(answers)))
}

/// The largest costs of some runs.
#[derive(Default)]
struct Worst {
    tile: TileBound,
    fraud_bytes: u64,
}

/// The first of 1..=last, where a tile reaches into many items, and the last
/// number of each remainder by a tile's rows, which determines how items lie in
/// tiles.
fn ends(last: u32, first: u32) -> impl Iterator<Item = u32> {
    (1..=last.min(first)).chain(last.saturating_sub(TILE - 1).max(first + 1)..=last)
}

/// The last of 1..=most that fits. `fits` must be monotone: what is larger than
/// a number that does not fit does not fit either.
fn last(most: u32, fits: impl Fn(u32) -> bool) -> Option<u32> {
    if most == 0 || !fits(1) {
        return None;
    }
    let (mut low, mut high) = (1, most);
    while low < high {
        let middle = high - (high - low) / 2;
        if fits(middle) { low = middle } else { high = middle - 1 }
    }
    Some(low)
}
