//! Two backends in lock step, to find where they differ.
//!
//! The shared tester tries only sizes chosen in advance. [`Dual`] turns any
//! other use of a backend, such as a miner or a whole network, into a
//! comparison of two.

use core::fmt::Debug;
use core::ops::ControlFlow;
use core::sync::atomic::{AtomicU64, Ordering};
use poai_core::digest::Seed;
use poai_core::params::Params;
use poai_core::{Shape, Side, Tile};
use poai_engine::backend::{
    Backend, BackendError, Completion, Multiplication, Noised, Output, Plain, Prepared,
    Unsupported, Watch, Winner,
};
use poai_engine::operand::{Operand, OperandView};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

/// The backend name in its handles.
const NAME: &str = "dual";

/// Two backends that both run every call, one after the other. Their results
/// must be the same: commitments, noised entries, products, winners,
/// completion, and refusals. Returns the first backend's result.
///
/// Winners are reported after both backends have completed the product, so a
/// watch that stops at the first winner does not save work here.
///
/// # Panics
/// Any call in which the two differ panics, as assertions do. The message names
/// the call, the backends and the first differing place. For tests.
#[derive(Clone, Debug)]
pub struct Dual {
    first: Arc<dyn Backend>,
    second: Arc<dyn Backend>,
}

/// The results of both backends for the same input.
struct Both<T>(T, T);

impl Dual {
    /// Puts two backends in lock step.
    pub fn new(first: Arc<dyn Backend>, second: Arc<dyn Backend>) -> Dual {
        Dual { first, second }
    }

    /// Reports a difference between the two.
    fn part(&self, call: &str, what: &str, first: &dyn Debug, second: &dyn Debug) -> ! {
        let names = [self.first.name(), self.second.name()];
        panic!("{call}: {} and {} differ in {what}: {first:?} and {second:?}", names[0], names[1])
    }

    fn same<T: PartialEq + Debug>(&self, call: &str, what: &str, first: &T, second: &T) {
        if first != second {
            self.part(call, what, first, second);
        }
    }

    /// Compares two row-major matrices.
    fn same_entries<T: PartialEq + Debug>(
        &self,
        call: &str,
        columns: usize,
        first: &[T],
        second: &[T],
    ) {
        self.same(call, "the number of entries", &first.len(), &second.len());
        if let Some(at) = first.iter().zip(second).position(|(first, second)| first != second) {
            let columns = columns.max(1);
            let what = format!("row {}, column {}", at / columns, at % columns);
            self.part(call, &what, &first[at], &second[at]);
        }
    }

    /// Both results, or an error. Both backends must refuse wrong operands
    /// alike; the error of a failed device or of a foreign handle is passed on.
    fn both<T>(
        &self,
        call: &str,
        first: Result<T, BackendError>,
        second: Result<T, BackendError>,
    ) -> Result<Both<T>, BackendError> {
        let refusal = |error: &BackendError| match error {
            // The message has the backend's own name.
            BackendError::Unsupported(it) => Some(format!("rank {}, tile {}", it.rank, it.tile)),
            BackendError::Pair | BackendError::Output { .. } => Some(error.to_string()),
            _ => None,
        };
        match (first, second) {
            (Ok(first), Ok(second)) => Ok(Both(first, second)),
            (Err(error), _) | (_, Err(error)) if refusal(&error).is_none() => Err(error),
            (Err(first), Err(second)) => {
                self.same(call, "what they refuse", &refusal(&first), &refusal(&second));
                Err(first)
            }
            (Err(first), Ok(_)) => self.part(call, "what they refuse", &first, &"nothing"),
            (Ok(_), Err(second)) => self.part(call, "what they refuse", &"nothing", &second),
        }
    }

    /// A product that both backends write to separate memory.
    fn entries(
        &self,
        call: &str,
        columns: usize,
        memory: &mut [i32],
        run: impl Fn(&dyn Backend, &mut [i32], Which) -> Result<(), BackendError>,
    ) -> Result<(), BackendError> {
        let mut other = unlike(memory);
        let first = run(&*self.first, memory, Which::First);
        let second = run(&*self.second, &mut other, Which::Second);
        self.both(call, first, second)?;
        self.same_entries(call, columns, memory, &other);
        Ok(())
    }
}

/// Selects one of a handle's two halves.
#[derive(Clone, Copy)]
enum Which {
    First,
    Second,
}

impl<T> Both<T> {
    fn half(&self, which: Which) -> &T {
        match which {
            Which::First => &self.0,
            Which::Second => &self.1,
        }
    }
}

/// Memory of the same size that differs in every entry: an entry that neither
/// backend writes is then a difference.
fn unlike(memory: &[i32]) -> Vec<i32> {
    memory.iter().map(|entry| !entry).collect()
}

impl Backend for Dual {
    fn name(&self) -> &'static str {
        NAME
    }

    /// Accepts parameters that both backends accept.
    fn supports(&self, params: &Params) -> Result<(), Unsupported> {
        let both = self.first.supports(params).and(self.second.supports(params));
        both.map_err(|unsupported| Unsupported { backend: NAME, ..unsupported })
    }

    /// Both backends' memory, the noised entries of both, and all winners.
    fn memory_bytes(&self, params: &Params, shape: &Shape) -> u64 {
        let rows = u64::from(shape.m) + u64::from(shape.n);
        let entries = rows.saturating_mul(shape.k.into());
        let compared = entries.saturating_mul(2).saturating_add(512 * shape.tickets(params));
        let both = self.first.memory_bytes(params, shape);
        both.saturating_add(self.second.memory_bytes(params, shape)).saturating_add(compared)
    }

    fn prepare(&self, operand: Operand) -> Result<Prepared, BackendError> {
        self.supports(operand.params())?;
        let first = self.first.prepare(operand.clone());
        let both = self.both("prepare", first, self.second.prepare(operand.clone()))?;
        // A tree holds only what its root commits to.
        self.same("prepare", "the root", both.0.root(), both.1.root());
        Ok(Prepared::new(NAME, operand, both.0.tree().clone(), both))
    }

    fn noise(&self, seed: &Seed, prepared: &Prepared) -> Result<Noised, BackendError> {
        let halves: &Both<Prepared> = prepared.data(NAME)?;
        let first = self.first.noise(seed, &halves.0);
        let both = self.both("noise", first, self.second.noise(seed, &halves.1))?;
        let noised = Noised::new(prepared, seed, both);
        self.noised_entries(&noised)?;
        Ok(noised)
    }

    fn pack(&self, prepared: &Prepared) -> Result<Plain, BackendError> {
        let halves: &Both<Prepared> = prepared.data(NAME)?;
        let first = self.first.pack(&halves.0);
        Ok(Plain::new(prepared, self.both("pack", first, self.second.pack(&halves.1))?))
    }

    fn product(&self, a: &Plain, b: &Plain, memory: &mut [i32]) -> Result<(), BackendError> {
        let columns = b.operand().rows() as usize;
        let (a, b): (&Both<Plain>, &Both<Plain>) = (a.data(NAME)?, b.data(NAME)?);
        self.entries("product", columns, memory, |backend, memory, which| {
            backend.product(a.half(which), b.half(which), memory)
        })
    }

    fn apply(&self, a: Operand, b: &Plain, memory: &mut [i32]) -> Result<(), BackendError> {
        let columns = b.operand().rows() as usize;
        let b: &Both<Plain> = b.data(NAME)?;
        self.entries("apply", columns, memory, |backend, memory, which| {
            backend.apply(a.clone(), b.half(which), memory)
        })
    }

    fn apply_tiles(
        &self,
        a: OperandView<'_>,
        b: &Plain,
        each: &(dyn Fn(Tile, &[i32]) + Sync),
    ) -> Result<(), BackendError> {
        let b: &Both<Plain> = b.data(NAME)?;
        let run = |backend: &dyn Backend, which| {
            let tiles = Mutex::new(Vec::new());
            let keep = |tile: Tile, sums: &[i32]| {
                let mut tiles = tiles.lock().unwrap_or_else(|held| held.into_inner());
                tiles.push((tile, sums.to_vec()));
            };
            backend.apply_tiles(a, b.half(which), &keep)?;
            let mut tiles = tiles.into_inner().unwrap_or_else(|held| held.into_inner());
            tiles.sort();
            Ok(tiles)
        };
        let first = run(&*self.first, Which::First);
        let both = self.both("apply_tiles", first, run(&*self.second, Which::Second))?;
        self.same("apply_tiles", "the number of tiles", &both.0.len(), &both.1.len());
        for (first, second) in both.0.iter().zip(&both.1) {
            self.same("apply_tiles", "the tile", &first.0, &second.0);
            self.same_entries("apply_tiles", a.params().tile(), &first.1, &second.1);
            each(first.0, &first.1);
        }
        Ok(())
    }

    fn product_small(
        &self,
        a: &[i8],
        b: &[i8],
        k: usize,
        memory: &mut [i32],
    ) -> Result<(), BackendError> {
        let columns = b.len().checked_div(k).unwrap_or(0);
        self.entries("product_small", columns, memory, |backend, memory, _| {
            backend.product_small(a, b, k, memory)
        })
    }

    fn noised_entries(&self, noised: &Noised) -> Result<Vec<i8>, BackendError> {
        let halves: &Both<Noised> = noised.data(NAME)?;
        let first = self.first.noised_entries(&halves.0);
        let both = self.both("noise", first, self.second.noised_entries(&halves.1))?;
        let call = match noised.operand().side() {
            Side::A => "noise of A",
            Side::B => "noise of Bᵀ",
        };
        self.same_entries(call, noised.operand().k() as usize, &both.0, &both.1);
        Ok(both.0)
    }

    fn multiply(
        &self,
        multiplication: &Multiplication<'_>,
        mut output: Output<'_>,
        watch: &dyn Watch,
    ) -> Result<Completion, BackendError> {
        let (a, b): (&Both<Noised>, &Both<Noised>) =
            (multiplication.a.data(NAME)?, multiplication.b.data(NAME)?);
        let [first_job, second_job] = [Which::First, Which::Second].map(|which| Multiplication {
            a: a.half(which),
            b: b.half(which),
            target: multiplication.target,
        });
        let columns = multiplication.b.operand().rows() as usize;

        let ask = |tiles| watch.advance(tiles);
        let first_watch = Record::new(&ask);
        let first = self.first.multiply(&first_job, reborrow(&mut output), &first_watch);
        // The second stops where the first did, because the caller is asked
        // only once.
        let stopped = matches!(first, Ok(Completion::Stopped));
        let follow = |_| if stopped { ControlFlow::Break(()) } else { ControlFlow::Continue(()) };
        let second_watch = Record::new(&follow);
        let mut other = match &output {
            Output::Tickets => Vec::new(),
            Output::Noised(memory) | Output::Exact(memory) => unlike(memory),
        };
        let second_output = match &output {
            Output::Tickets => Output::Tickets,
            Output::Noised(_) => Output::Noised(&mut other),
            Output::Exact(_) => Output::Exact(&mut other),
        };
        let second = self.second.multiply(&second_job, second_output, &second_watch);

        let both = self.both("multiply", first, second)?;
        self.same("multiply", "completion", &both.0, &both.1);
        let winners = match both.0 {
            Completion::Complete => {
                match &output {
                    Output::Tickets => {}
                    Output::Noised(memory) => {
                        self.same_entries("multiply, noised", columns, memory, &other);
                    }
                    Output::Exact(memory) => {
                        self.same_entries("multiply, exact", columns, memory, &other);
                    }
                }
                self.same_tickets(first_watch, second_watch)
            }
            Completion::Stopped => self.same_common_tickets(first_watch, second_watch),
        };
        winners.into_iter().for_each(|winner| watch.winner(winner));
        Ok(both.0)
    }
}

impl Dual {
    /// Compares the winners of two complete products.
    fn same_tickets(&self, first: Record<'_>, second: Record<'_>) -> Vec<Winner> {
        let [first_tiles, second_tiles] =
            [&first, &second].map(|record| record.tiles.load(Ordering::Relaxed));
        self.same("multiply", "the number of tiles", &first_tiles, &second_tiles);
        let (first, second) = (first.winners(), second.winners());
        if let Some((one, other)) = first.iter().zip(&second).find(|(one, other)| one != other) {
            self.part("multiply", "a winner", one, other);
        }
        let longer = if first.len() > second.len() { &first } else { &second };
        if first.len() != second.len() {
            let only = &longer[first.len().min(second.len())];
            let what = format!("the number of winners, from {only:?} on");
            self.part("multiply", &what, &first.len(), &second.len());
        }
        first
    }

    /// Compares the winners of two stopped products, which may have completed
    /// different tiles.
    fn same_common_tickets(&self, first: Record<'_>, second: Record<'_>) -> Vec<Winner> {
        let (first, second) = (first.winners(), second.winners());
        let second: BTreeMap<_, _> = second.iter().map(|winner| (winner.tile, winner)).collect();
        for winner in &first {
            if let Some(other) = second.get(&winner.tile) {
                self.same("multiply, stopped", "a winner", &winner, other);
            }
        }
        first
    }
}

/// Borrows the same memory for a shorter time.
fn reborrow<'a>(output: &'a mut Output<'_>) -> Output<'a> {
    match output {
        Output::Tickets => Output::Tickets,
        Output::Noised(memory) => Output::Noised(memory),
        Output::Exact(memory) => Output::Exact(memory),
    }
}

/// Stores the reports of a backend.
struct Record<'a> {
    winners: Mutex<Vec<Winner>>,
    tiles: AtomicU64,
    go_on: &'a (dyn Fn(u64) -> ControlFlow<()> + Sync),
}

impl<'a> Record<'a> {
    fn new(go_on: &'a (dyn Fn(u64) -> ControlFlow<()> + Sync)) -> Record<'a> {
        Record { winners: Mutex::default(), tiles: AtomicU64::new(0), go_on }
    }

    /// The winners in the order of tiles. Duplicates stay, because they are a
    /// difference too.
    fn winners(self) -> Vec<Winner> {
        let mut winners = self.winners.into_inner().unwrap_or_else(|held| held.into_inner());
        winners.sort_by_key(|winner| winner.tile);
        winners
    }
}

impl Watch for Record<'_> {
    fn winner(&self, winner: Winner) {
        self.winners.lock().unwrap_or_else(|held| held.into_inner()).push(winner);
    }

    fn advance(&self, tiles: u64) -> ControlFlow<()> {
        self.tiles.fetch_add(tiles, Ordering::Relaxed);
        (self.go_on)(tiles)
    }
}

impl poai_engine::execute::Device for Dual {}
