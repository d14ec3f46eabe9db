//! Re-execution: a watcher runs what a prover claims, and proves the first lie.

use super::messages::SegmentMessages;
use super::{JobParameters, claim_of, input_roots, output_roots};
use crate::run::{TrainError, TrainingRun};
use poai_core::Root;
use poai_core::program::ops::Local;
use poai_core::program::{Extent, Program, ValueId};
use poai_core::trace::{FraudProof, Record, RecordBytes, TraceHeader, record};
use poai_core::training_run::{
    Demanded, IterationClaim, Segment, TrainingDemand, TrainingFraud, TrainingProgram,
    TrainingProgramError, chain_root, state_root,
};
use poai_engine::execute::{
    Network, OpenError, Published, ReceivedError, TensorBytes, Trace, ValueError,
};
use std::sync::Arc;

/// What a prover has published of a segment. What it withholds is `None`.
pub trait Claimed {
    /// The header and all records of an iteration.
    fn records(&self, t: u64) -> Option<(TraceHeader, Vec<RecordBytes>)>;

    /// The padded bytes of a value of an iteration.
    fn tensor(&self, t: u64, value: ValueId) -> Option<TensorBytes>;
}

/// The first lie of a segment.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Lie {
    /// It is proven.
    Proven(TrainingFraud),
    /// Data that would prove it is withheld, or is not what the claims commit to.
    /// The prover answers these demands, or its segment fails.
    Withheld(Vec<TrainingDemand>),
}

/// Why a watcher cannot re-execute a segment.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WatchError {
    /// The run is not the job's: another program, shape, dataset, seed or state.
    #[error("expected a run with the job's {0}, got another; build it from the job")]
    Job(&'static str),
    /// The claims are not those of the next segment.
    #[error("expected {expected} claims of the segment after iteration {done}, got {got}")]
    Claims {
        /// Iterations of the segment.
        expected: u64,
        /// Iterations that the run has done.
        done: u64,
        /// The number of claims.
        got: usize,
    },
    /// The claims do not hash to the segment's chain, so the segment's are withheld.
    #[error("expected the claims that the segment commits to, got others; demand them")]
    Chain,
    /// The program's iterations are no training run.
    #[error(transparent)]
    Program(#[from] TrainingProgramError),
    /// An iteration failed.
    #[error(transparent)]
    Train(#[from] TrainError),
    /// A trace could not be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// A tensor could not be read.
    #[error(transparent)]
    Value(#[from] ValueError),
}

/// A watcher of a run: it re-executes the iterations of one segment after another.
///
/// It compares claims with its own. The first that differs names the iteration, the
/// first record of it that differs names a value, and the first entry names a tile.
#[derive(Debug)]
pub struct Watcher {
    run: TrainingRun,
    job: JobParameters,
    program: TrainingProgram,
    network: Arc<Network>,
}

impl Watcher {
    /// A watcher that goes on from a run's state: the job's first, or that of a
    /// checkpoint of the watcher's own.
    ///
    /// # Errors
    /// [`WatchError::Job`] if the run is not the job's.
    pub fn new(run: TrainingRun, job: JobParameters) -> Result<Watcher, WatchError> {
        let network = Arc::new(run.iteration().network().clone());
        let program = TrainingProgram::of(network.program())?;
        let parameters = &job.parameters;
        let roots: Vec<Root> = run.states().map(|state| state.root()).collect();
        let dataset = [run.dataset().samples(), run.dataset().labels()];
        let dataset = dataset.map(|input| input.tensor.root());
        let same = [
            ("program", network.program().program_id() == parameters.program),
            ("shape", run.iteration().shape() == parameters.run),
            ("dataset", dataset[..] == job.dataset.roots && program.takes(&job.dataset)),
            ("seed", *run.seed() == parameters.seed.0),
            ("number of iterations", u64::from(run.total()) == parameters.iterations),
            ("first state", run.done() > 0 || state_root(&roots) == parameters.first),
        ];
        match same.iter().find(|(_, same)| !same) {
            Some(&(what, _)) => Err(WatchError::Job(what)),
            None => Ok(Watcher { run, job, program, network }),
        }
    }

    /// The run, as far as it was re-executed.
    pub fn run(&self) -> &TrainingRun {
        &self.run
    }

    /// Re-executes the next segment, and returns its first lie. `None` if it is
    /// honest. The segment was admitted: it begins with the state that the one
    /// before ends with.
    ///
    /// # Errors
    /// [`WatchError`]: the claims are of another segment, or an iteration failed.
    pub fn segment(
        &mut self,
        segment: &Segment,
        claims: &[IterationClaim],
        published: &impl Claimed,
    ) -> Result<Option<Lie>, WatchError> {
        let (done, got) = (u64::from(self.run.done()), claims.len());
        let range = self.job.parameters.iterations_of(segment.index).unwrap_or(0..0);
        let expected = range.end - range.start;
        if range.start != done || got as u64 != expected || expected == 0 {
            return Err(WatchError::Claims { expected, done, got });
        }
        let leaves: Vec<_> = claims.iter().map(IterationClaim::leaf).collect();
        if chain_root(&leaves) != segment.chain {
            return Err(WatchError::Chain);
        }
        let parameters = self.job.parameters;
        let messages = SegmentMessages { parameters: &parameters, segment, claims };
        for (place, claim) in (0..).zip(claims) {
            let t = range.start + place;
            if claim.t != t {
                return Ok(messages.number(place).map(Lie::Proven));
            }
            let report = self.run.trace()?;
            let own = report.trace.ok_or(TrainError::Done(self.run.total()))?;
            let honest = claim_of(&self.program, t, &own);
            if *claim == honest {
                continue;
            }
            // The state after the claim before is the watcher's own.
            if claim.before != honest.before {
                return Ok(messages.link(place).map(Lie::Proven));
            }
            if claim.trace == honest.trace {
                let proof = messages.outputs(place, &own.header(), &output_roots(&own));
                return Ok(proof.map(Lie::Proven));
            }
            return self.lie(&messages, place, &own, published).map(Some);
        }
        // The last link is to the segment's own state.
        let ends = claims.last().is_some_and(|last| last.after == segment.after);
        Ok(if ends { None } else { messages.link(expected).map(Lie::Proven) })
    }

    /// The lie of an iteration whose trace differs from the watcher's own, which
    /// begins with the same state.
    fn lie(
        &self,
        messages: &SegmentMessages<'_>,
        place: u64,
        own: &Trace,
        published: &impl Claimed,
    ) -> Result<Lie, WatchError> {
        let demand = |what| Lie::Withheld(vec![messages.demand(place, what)]);
        let proven = |proof: Option<TrainingFraud>| {
            // The place is one of the segment's.
            proof.map_or_else(|| demand(Demanded::Records), Lie::Proven)
        };
        let Some(claim) = usize::try_from(place).ok().and_then(|at| messages.claims.get(at)) else {
            return Ok(demand(Demanded::Records));
        };
        let Some((header, records)) = published.records(claim.t) else {
            return Ok(demand(Demanded::Records));
        };
        if header.root() != claim.trace {
            return Ok(demand(Demanded::Records));
        }
        let honest = own.header();
        if (header.program, header.run, header.macs) != (honest.program, honest.run, honest.macs) {
            return Ok(proven(messages.header(place, &header)));
        }
        if header.input != honest.input {
            let states = input_roots(&self.program, own);
            return Ok(proven(messages.inputs(place, &header, &states)));
        }
        match Published::new(self.network.clone(), header, records.clone()) {
            Ok(_) => {}
            Err(ReceivedError::Fraud(proof)) => return Ok(proven(messages.trace(place, &proof))),
            Err(_) => return Ok(demand(Demanded::Records)),
        }
        let leaves: Vec<_> = records.iter().map(|record| Record::leaf(&record.0)).collect();
        let mut pairs = (0..).map(ValueId).zip(records.iter().zip(own.records()));
        let Some((value, _)) = pairs.find(|(_, (theirs, own))| theirs != own) else {
            // The records are the watcher's own, so what differs is the next state.
            return Ok(proven(messages.outputs(place, &header, &output_roots(own))));
        };
        let opened = |values: &[ValueId]| -> Vec<u8> {
            let paths = record::paths(&leaves, values.iter().map(|value| value.0.into()));
            let each = values.iter().zip(paths);
            let bytes = each.map(|(value, path)| {
                [&records[value.0 as usize].0[..], path.as_flattened()].concat()
            });
            bytes.collect::<Vec<_>>().concat()
        };
        if self.program.draws().contains(&value) {
            return Ok(proven(messages.order(place, &header, value, &opened(&[value]))));
        }
        let program = self.network.program();
        let extents = program
            .extents(own.run())
            .map_err(|_| TrainError::Run(poai_engine::execute::RunError::Layout))?;
        let Some(local) = Local::new(program, &extents, *own.run(), value) else {
            return Ok(demand(Demanded::Records));
        };
        let tiles = local.grid().tiles();
        let all = (0..tiles).map(|tile| messages.demand(place, Demanded::Tile { value, tile }));
        let root = records[value.0 as usize].0.get(Record::ROOT);
        let theirs = published.tensor(claim.t, value).filter(|theirs| {
            theirs.0.len() as u64 == local.output.bytes()
                && Some(&blake3::hash(&theirs.0).as_bytes()[..]) == root
        });
        let Some(TensorBytes(theirs)) = theirs else { return Ok(Lie::Withheld(all.collect())) };
        let tile = first_difference(&local.output, own.value(value)?.bytes(), &theirs)
            .and_then(|(row, column)| local.grid().at(row, column));
        let Some(tile) = tile else { return Ok(Lie::Withheld(all.collect())) };
        let proof = tile_fraud(program, &header, value, tile, &opened);
        let proof = [proof, own.tile_openings_of(value, tile, &theirs)?].concat();
        let proof = FraudProof::try_from(proof).map_err(OpenError::from)?;
        Ok(proven(messages.trace(place, &proof)))
    }
}

/// The row and the column of the first entry in which two tensors' padded bytes
/// differ.
fn first_difference(extent: &Extent, own: &[u8], theirs: &[u8]) -> Option<(u32, u32)> {
    let at = own.iter().zip(theirs).position(|(own, theirs)| own != theirs)?;
    let (row, byte) = (at / extent.row_bytes(), at % extent.row_bytes());
    // Exact: a row and a padded column of the tensor.
    Some((row as u32, (byte / extent.dtype.size()) as u32))
}

/// What a tile's fraud proof has before the openings.
fn tile_fraud(
    program: &Program,
    header: &TraceHeader,
    value: ValueId,
    tile: u64,
    opened: &impl Fn(&[ValueId]) -> Vec<u8>,
) -> Vec<u8> {
    let inputs = program.step_of(value).map_or(&[][..], |step| &step.inputs);
    let values = [&[value][..], inputs].concat();
    let place = [&value.0.to_le_bytes()[..], &tile.to_le_bytes()].concat();
    [header.to_bytes(), place, opened(&values)].concat()
}
