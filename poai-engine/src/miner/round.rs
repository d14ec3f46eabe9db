//! A challenge and a noised right operand that serve any number of left
//! operands.

use super::options::MineOptions;
use super::{Found, MineError, Mined, Miner};
use crate::backend::{
    BackendError, Completion, Multiplication, Noised, Output, Prepared, Watch, Winner,
};
use crate::operand::Operand;
use core::ops::ControlFlow;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use ndarray::Array2;
use poai_core::digest::{Challenge, Seed};
use poai_core::params::Params;
use poai_core::puzzle::seeds::{Seeds, seed_a, seed_b};
use poai_core::puzzle::statement::{Shape, Side, Statement};
use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

/// A challenge and a right operand, noised once; serves many left operands.
#[derive(Clone, Debug)]
pub struct Round {
    miner: Miner,
    seed_b: Seed,
    bt: Noised,
}

impl Round {
    pub(super) fn new(
        miner: &Miner,
        challenge: &Challenge,
        bt: &Prepared,
    ) -> Result<Round, MineError> {
        check_operand(&miner.params, Side::B, bt)?;
        let (n, k) = (bt.operand().rows(), bt.operand().k());
        let seed_b = seed_b(&miner.params, challenge, n, k, bt.root());
        let bt = miner.backend.noise(&seed_b, bt)?;
        Ok(Round { miner: miner.clone(), seed_b, bt })
    }

    /// Multiplies to the end. Returns the exact product and the winners.
    /// `options` may be a [`poai_core::Difficulty`] alone.
    ///
    /// # Errors
    /// [`MineError`]; a cancelled product keeps its winners.
    pub fn mine(&self, a: &Prepared, options: impl Into<MineOptions>) -> Result<Mined, MineError> {
        self.exact(a, &options.into())
    }

    fn exact(&self, a: &Prepared, options: &MineOptions) -> Result<Mined, MineError> {
        let shape = self.shape(a)?;
        let no_memory = MineError::Memory { entries: u64::from(shape.m) * u64::from(shape.n) };
        let Some(mut memory) = zeros(&shape) else { return Err(no_memory) };
        let multiply = |multiplication: &Multiplication<'_>, watch: &dyn Watch| {
            self.miner.backend.multiply(multiplication, Output::Exact(&mut memory), watch)
        };
        let found = self.mine_with(a, options, multiply)?;
        let dim = (shape.m as usize, shape.n as usize);
        let Ok(product) = Array2::from_shape_vec(dim, memory) else { return Err(no_memory) };
        Ok(Mined { product, found })
    }

    /// The same for a product that stays on a device. `multiply` does the work
    /// of [`crate::backend::Backend::multiply`] and stores the exact product
    /// where it chooses.
    ///
    /// # Errors
    /// [`MineError`]; a cancelled product keeps its winners.
    pub fn mine_with(
        &self,
        a: &Prepared,
        options: impl Into<MineOptions>,
        multiply: impl FnOnce(&Multiplication<'_>, &dyn Watch) -> Result<Completion, BackendError>,
    ) -> Result<Found, MineError> {
        let shape = self.shape(a)?;
        match self.multiply(a, shape, &options.into(), false, multiply)? {
            (Completion::Complete, found) => Ok(found),
            (Completion::Stopped, found) => Err(MineError::Cancelled { found: Box::new(found) }),
        }
    }

    /// Draws tickets without keeping the product, and stops as soon as it has
    /// as many winners as it keeps. With `Keep::Best` that is the first winner
    /// found, which is enough for a miner that only needs a block.
    ///
    /// # Errors
    /// [`MineError`]; a cancelled search keeps its winners.
    pub fn search(
        &self,
        a: &Prepared,
        options: impl Into<MineOptions>,
    ) -> Result<Found, MineError> {
        self.tickets(a, &options.into())
    }

    fn tickets(&self, a: &Prepared, options: &MineOptions) -> Result<Found, MineError> {
        let shape = self.shape(a)?;
        let multiply = |multiplication: &Multiplication<'_>, watch: &dyn Watch| {
            self.miner.backend.multiply(multiplication, Output::Tickets, watch)
        };
        let (completion, found) = self.multiply(a, shape, options, true, multiply)?;
        let limit = options.keep.limit();
        let full = limit > 0 && found.winners.len() >= limit;
        match completion {
            Completion::Stopped if !full => Err(MineError::Cancelled { found: Box::new(found) }),
            _ => Ok(found),
        }
    }

    fn shape(&self, a: &Prepared) -> Result<Shape, MineError> {
        check_operand(&self.miner.params, Side::A, a)?;
        let (a, bt) = (a.operand(), self.bt.operand());
        if a.k() != bt.k() {
            return Err(MineError::Inner { a: a.k(), b: bt.k() });
        }
        Ok(Shape { m: a.rows(), n: bt.rows(), k: a.k() })
    }

    fn multiply(
        &self,
        a: &Prepared,
        shape: Shape,
        options: &MineOptions,
        stop_when_full: bool,
        multiply: impl FnOnce(&Multiplication<'_>, &dyn Watch) -> Result<Completion, BackendError>,
    ) -> Result<(Completion, Found), MineError> {
        let Miner { params, backend } = &self.miner;
        let seeds = Seeds { a: seed_a(&self.seed_b, shape.m, a.root()), b: self.seed_b };
        let noised = backend.noise(&seeds.a, a)?;
        let job = Multiplication {
            a: &noised,
            b: &self.bt,
            target: options.difficulty.target(params, shape.k),
        };
        let tally = Tally::new(options, shape.tickets(params), stop_when_full);
        let completion = multiply(&job, &tally)?;
        Ok((completion, tally.into_found(*params, shape, seeds, a, self.bt.prepared())))
    }
}

/// Zeroed memory for a product, or `None` if there is not enough.
fn zeros(shape: &Shape) -> Option<Vec<i32>> {
    let entries = usize::try_from(shape.m).ok()?.checked_mul(usize::try_from(shape.n).ok()?)?;
    // Tests whether there is room, and then takes zeroed, untouched memory from
    // the system. Filling it here would cost one thread a pass over it.
    Vec::<i32>::new().try_reserve_exact(entries).ok()?;
    Some(vec![0; entries])
}

fn check_operand(params: &Params, side: Side, operand: &Prepared) -> Result<(), MineError> {
    let operand = operand.operand();
    check_params(params, operand)?;
    if operand.side() != side {
        return Err(MineError::Side { expected: side, got: operand.side() });
    }
    Ok(())
}

/// Checks that an operand was made for the miner's rank and tile.
pub(super) fn check_params(expected: &Params, operand: &Operand) -> Result<(), MineError> {
    let (expected, got) = (*expected, *operand.params());
    if got != expected {
        return Err(MineError::Params { expected, got });
    }
    Ok(())
}

/// Collects winners and counts tiles.
struct Tally<'a> {
    options: &'a MineOptions,
    total: u64,
    stop_when_full: bool,
    done: AtomicU64,
    won: AtomicU64,
    stop: AtomicBool,
    /// Ordered by ticket, then tile: the set drops the worst winner from its
    /// end.
    winners: Mutex<BTreeSet<Ranked>>,
}

/// A winner, as a tuple in the order in which winners are ranked.
type Ranked = (poai_core::Ticket, poai_core::Tile, [u32; 16]);

impl<'a> Tally<'a> {
    fn new(options: &'a MineOptions, total: u64, stop_when_full: bool) -> Tally<'a> {
        Tally {
            options,
            total,
            stop_when_full,
            done: AtomicU64::new(0),
            won: AtomicU64::new(0),
            stop: AtomicBool::new(false),
            winners: Mutex::default(),
        }
    }

    fn into_found(
        self,
        params: Params,
        shape: Shape,
        seeds: Seeds,
        a: &Prepared,
        bt: &Prepared,
    ) -> Found {
        let winners = self.winners.into_inner().unwrap_or_else(PoisonError::into_inner);
        Found {
            params,
            statement: Statement { shape, root_a: *a.root(), root_b: *bt.root() },
            seeds,
            a: a.clone(),
            bt: bt.clone(),
            winners: winners
                .into_iter()
                .map(|(ticket, tile, transcript)| Winner {
                    tile,
                    transcript: poai_core::Transcript(transcript),
                    ticket,
                })
                .collect(),
            won: self.won.into_inner(),
            drawn: self.done.into_inner(),
        }
    }
}

impl Watch for Tally<'_> {
    fn winner(&self, winner: Winner) {
        self.won.fetch_add(1, Ordering::Relaxed);
        let limit = self.options.keep.limit();
        // A callback's panic poisons the lock but leaves the set valid, so no
        // winner is lost.
        let mut winners = self.winners.lock().unwrap_or_else(PoisonError::into_inner);
        winners.insert((winner.ticket, winner.tile, winner.transcript.0));
        if winners.len() > limit {
            winners.pop_last();
        }
        if self.stop_when_full && limit > 0 && winners.len() >= limit {
            self.stop.store(true, Ordering::Relaxed);
        }
    }

    fn advance(&self, tiles: u64) -> ControlFlow<()> {
        let done = self.done.fetch_add(tiles, Ordering::Relaxed) + tiles;
        self.options.control.report(done, self.total);
        let cancelled = self.options.control.is_cancelled();
        // After the last tile there is nothing to stop.
        if done < self.total && (cancelled || self.stop.load(Ordering::Relaxed)) {
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    }
}
