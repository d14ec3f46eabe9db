//! Two backends in lock step. Equal backends act as one, and every wrong result
//! of either is caught and named.

use poai_core::program::RunShape;
use poai_core::puzzle::commitment::Tree;
use poai_core::*;
use poai_engine::backend::*;
use poai_engine::execute::{Device, RunOptions, Session};
use poai_engine::*;
use poai_testing::dual::Dual;
use poai_testing::tester::check;
use poai_testing::zoo;
use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};

/// The way in which a backend differs from the one that it wraps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lie {
    Root,
    NoisedEntry,
    Product,
    SmallProduct,
    Applied,
    NoisedProduct,
    ExactProduct,
    /// The exact product's last entry is never written.
    Unwritten,
    Ticket,
    MissingWinner,
    Tiles,
    NeverStops,
    Takes,
    /// Refuses the parameters of blocks.
    Refuses,
}

#[derive(Debug)]
struct Liar(Cpu, Lie);

impl Liar {
    fn tells(&self, lie: Lie) -> bool {
        self.1 == lie
    }
}

impl Backend for Liar {
    fn name(&self) -> &'static str {
        self.0.name()
    }
    fn supports(&self, params: &Params) -> Result<(), Unsupported> {
        if self.tells(Lie::Refuses) && *params == Params::CONSENSUS {
            return Err(Unsupported { backend: self.name(), rank: 128, tile: 32 });
        }
        self.0.supports(params)
    }
    fn memory_bytes(&self, params: &Params, shape: &Shape) -> u64 {
        self.0.memory_bytes(params, shape)
    }
    fn prepare(&self, operand: Operand) -> Result<Prepared, BackendError> {
        if self.tells(Lie::Root) {
            let mut bytes = operand.as_bytes().to_vec();
            *bytes.last_mut().unwrap() ^= 1;
            return Ok(Prepared::new(self.name(), operand, Tree::new(&bytes), ()));
        }
        self.0.prepare(operand)
    }
    fn noise(&self, seed: &Seed, prepared: &Prepared) -> Result<Noised, BackendError> {
        self.0.noise(seed, prepared)
    }
    fn pack(&self, prepared: &Prepared) -> Result<Plain, BackendError> {
        self.0.pack(prepared)
    }
    fn product(&self, a: &Plain, b: &Plain, memory: &mut [i32]) -> Result<(), BackendError> {
        let result = self.0.product(a, b, memory);
        if self.tells(Lie::Takes) && matches!(result, Err(BackendError::Output { .. })) {
            return Ok(());
        }
        spoil(self.tells(Lie::Product), memory);
        result
    }
    fn apply(&self, a: Operand, b: &Plain, memory: &mut [i32]) -> Result<(), BackendError> {
        let result = self.0.apply(a, b, memory);
        spoil(self.tells(Lie::Applied), memory);
        result
    }
    fn product_small(
        &self,
        a: &[i8],
        b: &[i8],
        k: usize,
        memory: &mut [i32],
    ) -> Result<(), BackendError> {
        let result = self.0.product_small(a, b, k, memory);
        spoil(self.tells(Lie::SmallProduct), memory);
        result
    }
    fn noised_entries(&self, noised: &Noised) -> Result<Vec<i8>, BackendError> {
        let mut entries = self.0.noised_entries(noised)?;
        if self.tells(Lie::NoisedEntry) && noised.operand().side() == Side::B {
            entries[130] ^= 1;
        }
        Ok(entries)
    }
    fn multiply(
        &self,
        multiplication: &Multiplication<'_>,
        output: Output<'_>,
        watch: &dyn Watch,
    ) -> Result<Completion, BackendError> {
        let watch = Tampered(watch, self.1);
        match output {
            Output::Tickets => self.0.multiply(multiplication, Output::Tickets, &watch),
            Output::Noised(memory) => {
                let completion = self.0.multiply(multiplication, Output::Noised(memory), &watch);
                spoil(self.tells(Lie::NoisedProduct), memory);
                completion
            }
            Output::Exact(memory) => {
                let before = *memory.last().unwrap();
                let completion = self.0.multiply(multiplication, Output::Exact(memory), &watch);
                spoil(self.tells(Lie::ExactProduct), memory);
                if self.tells(Lie::Unwritten) {
                    *memory.last_mut().unwrap() = before;
                }
                completion
            }
        }
    }
}

/// Flips a bit of the last entry.
fn spoil(really: bool, memory: &mut [i32]) {
    if really {
        *memory.last_mut().unwrap() ^= 1;
    }
}

/// Falsifies the reports about tile (1, 0).
struct Tampered<'a>(&'a dyn Watch, Lie);

impl Watch for Tampered<'_> {
    fn winner(&self, mut winner: Winner) {
        if (winner.tile.row, winner.tile.column) == (1, 0) {
            match self.1 {
                Lie::Ticket => winner.ticket.0[31] ^= 1,
                Lie::MissingWinner => return,
                _ => {}
            }
        }
        self.0.winner(winner);
    }
    fn advance(&self, tiles: u64) -> ControlFlow<()> {
        let tiles = if self.1 == Lie::Tiles { tiles + 1 } else { tiles };
        match self.0.advance(tiles) {
            ControlFlow::Break(()) if self.1 == Lie::NeverStops => ControlFlow::Continue(()),
            flow => flow,
        }
    }
}

/// Collects winners, and stops at once if requested.
#[derive(Default)]
struct Collect {
    winners: Mutex<Vec<Winner>>,
    stop: bool,
}

impl Watch for Collect {
    fn winner(&self, winner: Winner) {
        self.winners.lock().unwrap().push(winner);
    }
    fn advance(&self, _: u64) -> ControlFlow<()> {
        if self.stop { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}

const K: usize = 256;

fn operand(side: Side, rows: usize) -> Operand {
    Operand::pseudorandom(&Params::CONSENSUS, side, b"dual", rows, K).unwrap()
}

/// Calls every method of a backend, and returns the winners.
fn everything(backend: &dyn Backend) -> Vec<Winner> {
    let [a, b] = [(Side::A, 96), (Side::B, 64)]
        .map(|(side, rows)| backend.prepare(operand(side, rows)).unwrap());
    let [noised_a, noised_b] = [&a, &b].map(|side| backend.noise(&Seed([7; 32]), side).unwrap());
    let target = Difficulty::ONE.target(&Params::CONSENSUS, K as u32);
    let job = Multiplication { a: &noised_a, b: &noised_b, target };
    let watch = Collect::default();
    let mut memory = vec![0; 96 * 64];
    backend.multiply(&job, Output::Tickets, &watch).unwrap();
    backend.multiply(&job, Output::Noised(&mut memory), &Collect::default()).unwrap();
    backend.multiply(&job, Output::Exact(&mut memory), &Collect::default()).unwrap();
    let stop = Collect { stop: true, ..Collect::default() };
    backend.multiply(&job, Output::Tickets, &stop).unwrap();
    let [plain_a, plain_b] = [&a, &b].map(|side| backend.pack(side).unwrap());
    backend.product(&plain_a, &plain_b, &mut memory).unwrap();
    let short = backend.product(&plain_a, &plain_b, &mut memory[1..]);
    assert!(matches!(short, Err(BackendError::Output { expected: 6144, got: 6143 })));
    backend.apply(operand(Side::A, 96), &plain_b, &mut memory).unwrap();
    backend.product_small(&[1; 6], &[2; 9], 3, &mut memory[..6]).unwrap();
    let mut winners = watch.winners.into_inner().unwrap();
    winners.sort_by_key(|winner| winner.tile);
    winners
}

fn scalar() -> Arc<dyn Device> {
    poai_engine::choose::by_name("cpu-scalar").unwrap()
}

#[test]
fn two_that_agree_pass_for_one() {
    let dual = Dual::new(scalar(), Arc::new(Cpu::new()));
    println!("{dual:?}");
    check(&dual);
    let winners = everything(&dual);
    assert_eq!(winners.len(), 6);
    assert_eq!(winners, everything(&*scalar()));
}

#[test]
fn networks_run_on_both() {
    let [tokens, images] =
        [(2, 17), (3, 1)].map(|(batch, sequence)| RunShape::new(batch, sequence));
    let cases = [
        (zoo::encoder(), tokens, zoo::tokens(&tokens)),
        (zoo::classifier(), images, zoo::images(&images)),
        (zoo::gates(), images, zoo::small_images(&images)),
        (zoo::relative(), tokens, zoo::states(&tokens)),
    ];
    for (network, run, inputs) in cases {
        let root = |backend: Arc<dyn Device>| {
            let model = Session::new(network.clone(), backend).unwrap();
            let options = RunOptions::new();
            model.trace_with((run, inputs.clone()), &options).unwrap().trace.root()
        };
        assert_eq!(root(Arc::new(Dual::new(Arc::new(Cpu::new()), scalar()))), root(scalar()));
    }
}

/// Whichever backend is wrong, the message names the call, both backends and
/// the place.
#[test]
fn every_lie_is_caught() {
    let lies = [
        (Lie::Root, "prepare: ", "the root"),
        (Lie::NoisedEntry, "noise of Bᵀ: ", "row 0, column 130"),
        (Lie::Product, "product: ", "row 95, column 63"),
        (Lie::SmallProduct, "product_small: ", "row 1, column 2"),
        (Lie::Applied, "apply: ", "row 95, column 63"),
        (Lie::NoisedProduct, "multiply, noised: ", "row 95, column 63"),
        (Lie::ExactProduct, "multiply, exact: ", "row 95, column 63"),
        (Lie::Unwritten, "multiply, exact: ", "row 95, column 63"),
        (Lie::Ticket, "multiply: ", "a winner: Winner { tile: Tile { row: 1, column: 0 }"),
        (Lie::MissingWinner, "multiply: ", "a winner: Winner { tile: Tile { row: 1, column: "),
        (Lie::Tiles, "multiply: ", "the number of tiles"),
        (Lie::NeverStops, "multiply: ", "completion: "),
        (Lie::Takes, "product: ", "what they refuse: "),
    ];
    for (lie, call, place) in lies {
        let liar = || Arc::new(Liar(Cpu::named("cpu-scalar").unwrap(), lie));
        let honest = || poai_engine::choose::by_name("reference").unwrap();
        let mut duals = vec![Dual::new(honest(), liar())];
        // A first backend may continue when asked to stop, because it only has
        // to stop soon. The second backend then continues with it.
        if lie != Lie::NeverStops {
            duals.push(Dual::new(liar(), honest()));
        }
        for dual in duals {
            let caught = catch_unwind(AssertUnwindSafe(|| everything(&dual)));
            let message = caught.expect_err(&format!("{lie:?} is caught"));
            let message = message.downcast::<String>().unwrap();
            assert!(message.starts_with(call) && message.contains(place), "{lie:?}: {message}");
            assert!(message.contains("cpu-scalar") && message.contains("reference"), "{message}");
        }
    }
}

/// `Miner::new` relies on the rule that the tester checks first.
#[test]
fn a_backend_without_the_parameters_of_blocks_fails_the_tester() {
    let liar = Liar(Cpu::new(), Lie::Refuses);
    let caught = catch_unwind(AssertUnwindSafe(|| check(&liar)));
    let message = caught.expect_err("the rule is broken").downcast::<String>().unwrap();
    assert!(message.contains("every backend takes the consensus pair"), "{message}");
}

/// Both backends are wrong in the same entry: neither writes it.
#[test]
fn an_entry_that_neither_writes_is_caught() {
    let liar = || Arc::new(Liar(Cpu::new(), Lie::Unwritten));
    let dual = Dual::new(liar(), liar());
    let caught = catch_unwind(AssertUnwindSafe(|| everything(&dual)));
    let message = caught.expect_err("the unwritten entry is caught").downcast::<String>().unwrap();
    assert!(message.contains("row 95, column 63"), "{message}");
}

/// A problem that is not a difference comes back as an error.
#[test]
fn strangers_are_refused_and_unsupported_pairs_named() {
    let dual = Dual::new(scalar(), Arc::new(Cpu::new()));
    let foreign = scalar().prepare(operand(Side::A, 32)).unwrap();
    let refused = dual.noise(&Seed([1; 32]), &foreign).unwrap_err();
    assert!(matches!(refused, BackendError::Foreign { backend: "dual", owner: "cpu-scalar" }));
    // Another pair's handle holds handles of backends that this pair lacks.
    let other = Dual::new(scalar(), poai_engine::choose::by_name("reference").unwrap());
    let a = other.prepare(operand(Side::A, 32)).unwrap();
    let refused = dual.noise(&Seed([1; 32]), &a);

    assert!(matches!(refused, Err(BackendError::Foreign { owner: "reference", .. })));
    for rank in [32, 64, 128, 256] {
        let params = Params::new(rank, 48).unwrap();
        let both = Cpu::new().supports(&params).is_ok();
        let expected = Unsupported { backend: "dual", rank: rank.into(), tile: 48 };
        assert_eq!(dual.supports(&params), if both { Ok(()) } else { Err(expected) });
    }
}
