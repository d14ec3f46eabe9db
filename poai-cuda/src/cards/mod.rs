//! Several GPUs as one [`Backend`]: side A's rows are shared among them, side B
//! is on each of them.
//!
//! Rows of the product are independent of each other, so the cards exchange
//! nothing: each has its rows of A, clean and noised, and writes its rows of
//! the product. What the split costs: B is uploaded, kept, noised and, for
//! exact products, multiplied by its step factors once for each card.
//!
//! Programs run product by product ([`Backend::resident`] answers none): a
//! step's rows may depend on any of the step before, which here are on several
//! cards.
//!
//! - `share`: which rows each card takes;
//! - `parts`: what is of each card;
//! - `threads`: a host thread for each card, and what stops them;
//! - `error`: which card failed.

mod error;
mod parts;
mod share;
mod threads;

pub use error::CardsError;

use crate::backend::Cuda;
use crate::backend::multiply::{Place, Work};
use crate::backend::operand::{Clean, NoisedOnCard};
use core::ops::Range;
use parts::{OnCards, Part, cut, outputs, pairs, ranges, rows_of};
use poai_core::puzzle::commitment::Tree;
use poai_core::{Params, Seed, Shape, Side};
use poai_engine::Operand;
use poai_engine::backend::{
    Backend, BackendError, Completion, Multiplication, Noised, Output, Plain, Prepared,
    Unsupported, Watch, product_shape,
};
use std::sync::Arc;
use threads::{Shared, Stop, each, each_beside};

/// The owner of its handles, so that no card alone takes them.
const NAME: &str = "cuda-cards";

/// The least that a card's share moves between host and card: some 50 µs of a
/// fast bus, about what a thread and a few launches take. Reckoned, not
/// measured.
const SHARE_BYTES: u64 = 1 << 20;

/// GPUs that multiply together. Cloning shares them.
#[derive(Clone, Debug)]
pub struct Cards {
    cards: Arc<[Cuda]>,
    /// How fast each is beside the others.
    weights: Vec<u64>,
    share_bytes: u64,
}

impl Cards {
    /// Cards of any variants, in the order in which they take A's rows.
    ///
    /// # Errors
    /// [`CardsError::Empty`]; [`CardsError::Twice`] where two are of one
    /// device.
    pub fn new(cards: Vec<Cuda>) -> Result<Cards, CardsError> {
        if cards.is_empty() {
            return Err(CardsError::Empty);
        }
        let ordinals: Vec<_> = cards.iter().map(|cuda| cuda.card().device().ordinal).collect();
        check_once(&ordinals)?;
        let weights = share::weights(&cards);
        Ok(Cards { cards: cards.into(), weights, share_bytes: SHARE_BYTES })
    }

    /// The same, but a card takes no fewer rows of an operand than these bytes
    /// (1 MiB at first), counted with the rows of the product where its
    /// columns are known. Below that fewer cards are used, the fastest alone
    /// at last. With 0 every card that can have a tile's rows gets some.
    pub fn share_bytes(self, bytes: u64) -> Cards {
        Cards { share_bytes: bytes, ..self }
    }

    /// The cards.
    pub fn cards(&self) -> &[Cuda] {
        &self.cards
    }

    /// The rows of each card of `rows`, each of which moves so many bytes.
    fn shares(&self, rows: u32, row_bytes: u64) -> Vec<Option<Range<u32>>> {
        share::shares(rows, row_bytes, &self.weights, self.share_bytes)
    }

    /// Puts results beside the rows that they are of.
    fn on_cards<T>(&self, rows: Vec<Option<Range<u32>>>, data: Vec<Option<T>>) -> OnCards<T> {
        let part = |(rows, data): (Option<_>, _)| Some(Part { rows: rows?, data: data? });
        let parts = rows.into_iter().zip(data).map(part).collect();
        OnCards { owner: self.cards.clone(), parts }
    }

    /// A handle's data, where it was made by these cards and not by others that
    /// work together.
    fn own<'a, T>(&self, data: &'a OnCards<T>) -> Result<&'a OnCards<T>, BackendError> {
        match Arc::ptr_eq(&self.cards, &data.owner) {
            true => Ok(data),
            false => Err(foreign()),
        }
    }

    /// Rows shared among several cards. The host hashes them meanwhile: the
    /// kernel counts chunks from a matrix's first on, so that a card could hash
    /// its rows only with all before them. That costs the host's cores one pass
    /// over the matrix; hashed by one card, it would cost that card an upload
    /// of all rows and memory for them, more than its share.
    fn split(
        &self,
        operand: &Operand,
        shares: Vec<Option<Range<u32>>>,
    ) -> Result<(OnCards<Clean>, Tree), BackendError> {
        let bytes = operand.as_bytes();
        let tasks = shares.iter().map(|share| rows_of(bytes, share.as_ref()?, operand.k()));
        let hold = |cuda: &Cuda, rows| Ok(cuda.hold(rows)?);
        let hash = || Tree::new(bytes);
        let (held, tree) = each_beside(&self.cards, tasks.collect(), &Stop::default(), hold, hash)?;
        Ok((self.on_cards(shares, held), tree))
    }

    /// All rows on each of the cards that have a share, the fastest of which
    /// hashes them.
    fn whole(
        &self,
        operand: &Operand,
        shares: Vec<Option<Range<u32>>>,
    ) -> Result<(OnCards<Clean>, Tree), BackendError> {
        let holders =
            (0..).zip(&shares).zip(&self.weights).filter(|((_, share), _)| share.is_some());
        let fastest = holders.max_by_key(|(_, weight)| **weight).map(|((card, _), _)| card);
        let task = |(card, share): (usize, &Option<_>)| {
            share.as_ref().map(|_: &Range<u32>| Some(card) == fastest)
        };
        let tasks = (0..).zip(&shares).map(task).collect();
        let keep = |cuda: &Cuda, hashes| match hashes {
            true => Ok(cuda.commit(operand).map(|(clean, tree)| (clean, Some(tree)))?),
            false => Ok((cuda.hold(operand.as_bytes())?, None)),
        };
        let kept = each(&self.cards, tasks, &Stop::default(), keep)?;
        let (clean, trees): (Vec<_>, Vec<_>) = kept.into_iter().map(Option::unzip).unzip();
        let tree = trees.into_iter().flatten().flatten().next();
        // There is always one that hashes.
        let tree = tree.unwrap_or_else(|| Tree::new(operand.as_bytes()));
        Ok((self.on_cards(shares, clean), tree))
    }
}

/// Whether no device is named twice.
pub(crate) fn check_once(ordinals: &[usize]) -> Result<(), CardsError> {
    let twice = |(i, ordinal): &(usize, &usize)| ordinals.iter().take(*i).any(|o| o == *ordinal);
    match ordinals.iter().enumerate().find(twice) {
        Some((_, &ordinal)) => Err(CardsError::Twice { ordinal }),
        None => Ok(()),
    }
}

fn foreign() -> BackendError {
    BackendError::Foreign { backend: NAME, owner: NAME }
}

/// Programs run product by product.
impl poai_engine::execute::Device for Cards {}

impl Backend for Cards {
    fn name(&self) -> &'static str {
        NAME
    }

    fn supports(&self, params: &Params) -> Result<(), Unsupported> {
        if *params != Params::CONSENSUS {
            let (rank, tile) = (params.rank(), params.tile());
            return Err(Unsupported { backend: NAME, rank, tile });
        }
        Ok(())
    }

    fn prepare(&self, operand: Operand) -> Result<Prepared, BackendError> {
        self.supports(operand.params())?;
        let rows = operand.rows();
        let (on_cards, tree) = match operand.side() {
            Side::A => {
                let shares = self.shares(rows, operand.k().into());
                match shares.iter().flatten().count() {
                    1 => self.whole(&operand, shares)?,
                    _ => self.split(&operand, shares)?,
                }
            }
            Side::B => self.whole(&operand, vec![Some(0..rows); self.cards.len()])?,
        };
        Ok(Prepared::new(NAME, operand, tree, Arc::new(on_cards)))
    }

    fn noise(&self, seed: &Seed, prepared: &Prepared) -> Result<Noised, BackendError> {
        let clean = self.own(prepared.data::<Arc<OnCards<Clean>>>(NAME)?)?;
        let k = prepared.operand().k();
        let noise = |cuda: &Cuda, part: &Part<Clean>| {
            Ok(cuda.noised(seed, &part.data, part.rows.start, [part.count(), k])?)
        };
        let tasks = clean.parts.iter().map(Option::as_ref).collect();
        let noised = each(&self.cards, tasks, &Stop::default(), noise)?;
        let noised = self.on_cards(ranges(&clean.parts).collect(), noised);
        Ok(Noised::new(prepared, seed, noised))
    }

    fn pack(&self, prepared: &Prepared) -> Result<Plain, BackendError> {
        let clean = prepared.data::<Arc<OnCards<Clean>>>(NAME)?;
        self.own(clean)?;
        Ok(Plain::new(prepared, clean.clone()))
    }

    fn product(&self, a: &Plain, b: &Plain, memory: &mut [i32]) -> Result<(), BackendError> {
        let Shape { n, k, .. } = product_shape(a.operand(), b.operand(), memory)?;
        let a = self.own(a.data::<Arc<OnCards<Clean>>>(NAME)?)?;
        let b = self.own(b.data::<Arc<OnCards<Clean>>>(NAME)?)?;
        let memory = cut(ranges(&a.parts), n, memory);
        let task = |(pair, memory): (Option<_>, Option<_>)| pair.zip(memory);
        let tasks = pairs(a, b)?.into_iter().zip(memory).map(task).collect();
        let stop = Stop::default();
        let multiply = |cuda: &Cuda, ((a, b), memory): ((&Part<Clean>, &Clean), _)| {
            let shape = Shape { m: a.count(), n, k };
            let (a, b) = (&a.data.matrix, &b.matrix);
            Ok(cuda.fetch_product(a, b, &shape, memory, &stop.stopped)?)
        };
        each(&self.cards, tasks, &stop, multiply).map(drop)
    }

    fn apply(&self, a: Operand, b: &Plain, memory: &mut [i32]) -> Result<(), BackendError> {
        self.supports(a.params())?;
        let Shape { m, n, k } = product_shape(&a, b.operand(), memory)?;
        let b = self.own(b.data::<Arc<OnCards<Clean>>>(NAME)?)?;
        let shares = self.shares(m, u64::from(k) + 4 * u64::from(n));
        let memory = cut(shares.iter().cloned(), n, memory);
        let rows = shares.iter().map(|share| rows_of(a.as_bytes(), share.as_ref()?, k));
        let b = b.parts.iter().map(|part| part.as_ref().map(|part| &part.data));
        let tasks = rows.zip(b).zip(memory);
        let tasks = tasks.map(|((rows, b), memory)| Some((rows?, b?, memory?))).collect();
        let stop = Stop::default();
        let multiply = |cuda: &Cuda, (rows, b, memory): (&[u8], &Clean, &mut [i32])| {
            // Nobody asks for a commitment, so nothing is hashed.
            let a = cuda.hold(rows)?;
            let shape = Shape { m: (memory.len() / n as usize) as u32, n, k };
            Ok(cuda.fetch_product(&a.matrix, &b.matrix, &shape, memory, &stop.stopped)?)
        };
        each(&self.cards, tasks, &stop, multiply).map(drop)
    }

    fn product_small(
        &self,
        a: &[i8],
        b: &[i8],
        k: usize,
        memory: &mut [i32],
    ) -> Result<(), BackendError> {
        // On the processor, so that any card's is as good.
        let cuda = self.cards.first().ok_or(CardsError::Empty)?;
        cuda.product_small(a, b, k, memory)
    }

    fn noised_entries(&self, noised: &Noised) -> Result<Vec<i8>, BackendError> {
        let on_cards = self.own(noised.data::<OnCards<NoisedOnCard>>(NAME)?)?;
        let operand = noised.operand();
        let mut entries = vec![0i8; operand.as_slice().len()];
        // Of side B every card has the same.
        let parts = match operand.side() {
            Side::A => on_cards.parts.len(),
            Side::B => 1,
        };
        let parts = on_cards.parts.iter().take(parts);
        let rows = parts.clone().map(|part| part.as_ref().map(|part| part.rows.clone()));
        let memory = cut(rows, operand.k(), &mut entries);
        let tasks = parts.zip(memory).map(|(part, memory)| part.as_ref().zip(memory)).collect();
        let fetch = |cuda: &Cuda, (part, memory): (&Part<NoisedOnCard>, &mut [i8])| {
            Ok(cuda.card().download(&part.data.matrix, 0, bytemuck::cast_slice_mut(memory))?)
        };
        each(&self.cards, tasks, &Stop::default(), fetch)?;
        Ok(entries)
    }

    fn multiply(
        &self,
        job: &Multiplication<'_>,
        output: Output<'_>,
        watch: &dyn Watch,
    ) -> Result<Completion, BackendError> {
        let shape = job.shape()?;
        job.check_output(&shape, &output)?;
        let a = self.own(job.a.data::<OnCards<NoisedOnCard>>(NAME)?)?;
        let b = self.own(job.b.data::<OnCards<NoisedOnCard>>(NAME)?)?;
        let outputs = outputs(&a.parts, shape.n, output);
        let task = |(pair, output): (Option<_>, Option<_>)| pair.zip(output);
        let tasks = pairs(a, b)?.into_iter().zip(outputs).map(task).collect();
        let stop = Stop::default();
        let shared = Shared { watch, stop: &stop };
        let (seed, target) = (job.a.seed(), job.target);
        let multiply = |cuda: &Cuda, ((a, b), output): ((&Part<NoisedOnCard>, _), _)| {
            let (shape, first) = (Shape { m: a.count(), ..shape }, a.rows.start);
            let work = Work { a: &a.data, b, shape, first, seed, target };
            cuda.draw(&work, Place::Host(output), &shared)
        };
        let done = each(&self.cards, tasks, &stop, multiply)?;
        match done.contains(&Some(Completion::Stopped)) {
            true => Ok(Completion::Stopped),
            false => Ok(Completion::Complete),
        }
    }
}
