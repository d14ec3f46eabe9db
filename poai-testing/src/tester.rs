//! The tester that every backend must pass, in this crate or another. A new backend or kernel adds
//! a call of [`check`] and no test logic.
//!
//! The tester compares everything bit for bit with [`poai_engine::backend::reference`], at sizes
//! around every boundary and with extreme operands. A difference panics with the case's name, as
//! assertions do.

use crate::turn::today;
use core::ops::ControlFlow;
use core::sync::atomic::{AtomicU64, Ordering};
use ndarray::{Array2, ArrayViewMut2};
use poai_core::difficulty::{Difficulty, Target};
use poai_core::params::{ENTRY_MAX, ENTRY_MIN, Params};
use poai_core::puzzle::seeds::{seed_a, seed_b};
use poai_core::{Challenge, Side, Tile};
use poai_engine::backend::reference::Reference;
use poai_engine::backend::{
    Backend, BackendError, Completion, Multiplication, Noised, Output, Plain, Watch, Winner,
};
use poai_engine::operand::{Operand, Padded, pseudorandom};
use std::sync::Mutex;

/// One product to compare.
#[derive(Clone, Debug)]
pub struct Case {
    /// Rank and tile.
    pub params: Params,
    /// The left operand.
    pub a: Array2<i8>,
    /// The right operand, transposed.
    pub bt: Array2<i8>,
    /// The challenge.
    pub challenge: Challenge,
}

/// The results of a backend for a case, in a form to compare.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Result {
    /// `A'`, row-major.
    pub noised_a: Vec<i8>,
    /// `B'ᵀ`, row-major.
    pub noised_bt: Vec<i8>,
    /// `A'·B'`, row-major.
    pub noised_product: Vec<i32>,
    /// `A·B`, row-major, recovered from the noised product.
    pub product: Vec<i32>,
    /// `A·B`, row-major, without noise.
    pub plain: Vec<i32>,
    /// Every tile with its transcript and ticket, by row, then column.
    pub tickets: Vec<Winner>,
}

/// Runs a case on a backend.
///
/// # Panics
/// If the backend fails, or does not process every tile exactly once.
pub fn run(backend: &dyn Backend, case: &Case) -> Result {
    let (a, b) = noise(backend, case).expect("the backend takes a valid case");
    let params = &case.params;
    let (m, n, k) = (a.operand().rows(), b.operand().rows(), a.operand().k());
    let every = Difficulty::ONE.target(params, k);
    let job = Multiplication { a: &a, b: &b, target: every };

    let multiply = |output: Output<'_>| {
        let watch = Collect::default();
        let completion = backend.multiply(&job, output, &watch).expect("the backend multiplies");
        assert_eq!(completion, Completion::Complete);
        assert_eq!(
            watch.tiles.into_inner(),
            u64::from(m) * u64::from(n) / params.tile().pow(2) as u64
        );
        sorted(watch.winners)
    };
    let mut noised_product = vec![1; m as usize * n as usize];
    let mut product = noised_product.clone();
    let tickets = multiply(Output::Tickets);
    assert_eq!(
        tickets,
        multiply(Output::Noised(&mut noised_product)),
        "tickets beside the noised product"
    );
    assert_eq!(tickets, multiply(Output::Exact(&mut product)), "tickets beside the exact product");

    let half = tickets.iter().map(|winner| winner.ticket).nth(tickets.len() / 2);
    check_target(backend, job, half.expect("every product has a tile"), &tickets);
    Result {
        noised_a: backend.noised_entries(&a).expect("noised by this backend"),
        noised_bt: backend.noised_entries(&b).expect("noised by this backend"),
        noised_product,
        product,
        plain: plain(backend, &a, &b),
        tickets,
    }
}

/// The plain product of the clean operands.
fn plain(backend: &dyn Backend, a: &Noised, b: &Noised) -> Vec<i32> {
    let [a, b] =
        [a, b].map(|side| backend.pack(side.prepared()).expect("prepared by this backend"));
    let mut memory = vec![1; a.operand().rows() as usize * b.operand().rows() as usize];
    backend.product(&a, &b, &mut memory).expect("the backend multiplies");
    assert!(memory == by_tiles(backend, a.operand(), &b), "a product and its tiles differ");
    into_parts(backend, a.operand(), &b, &memory);
    memory
}

/// The plain product that a backend hands over tile by tile.
fn by_tiles(backend: &dyn Backend, a: &Operand, b: &Plain) -> Vec<i32> {
    let (tile, columns) = (a.params().tile(), b.operand().rows() as usize);
    let rows = a.rows() as usize;
    let product = Mutex::new((vec![1; rows * columns], vec![0; rows * columns / tile / tile]));
    let each = |place: Tile, sums: &[i32]| {
        let (row, column) = (place.row as usize, place.column as usize);
        let mut product = product.lock().expect("nothing panics while it is held");
        product.1[row * (columns / tile) + column] += 1;
        for (i, sums) in sums.chunks_exact(tile).enumerate() {
            product.0[(row * tile + i) * columns + column * tile..][..tile].copy_from_slice(sums);
        }
    };
    backend.apply_tiles(a.view(), b, &each).expect("the backend multiplies");
    let (product, times) = product.into_inner().expect("nothing panics while it is held");
    assert!(times.iter().all(|&times| times == 1), "every tile is handed over once");
    product
}

/// Checks the parts of outputs that a backend hands over with tiles: whole, and without
/// the last rows and columns.
fn into_parts(backend: &dyn Backend, a: &Operand, b: &Plain, product: &[i32]) {
    const ENTRY: usize = 2;
    let (tile, n) = (a.params().tile(), b.operand().rows() as usize);
    let low = |sum: i32| (sum as i16).to_le_bytes();
    let each = |place: Tile, sums: &[i32], mut part: ArrayViewMut2<'_, u8>| {
        assert!((place.column as usize) < n / tile, "the tile is one of the product");
        for (to, sums) in part.rows_mut().into_iter().zip(sums.chunks_exact(tile)) {
            let to = to.into_slice().expect("a row's bytes lie side by side");
            for (to, &sum) in to.chunks_exact_mut(ENTRY).zip(sums) {
                let [one, two] = low(sum);
                // A part that is handed over twice differs from the product.
                to.copy_from_slice(&[to[0] ^ one, to[1] ^ two]);
            }
        }
    };
    for less in [0, 1, tile - 1] {
        let (rows, columns) = (a.rows() as usize - less, n - less);
        let mut output = Array2::zeros((rows, columns * ENTRY));
        let into = backend.apply_into(a.view(), b, output.view_mut(), ENTRY, &each);
        into.expect("the backend multiplies");
        for (own, sums) in output.rows().into_iter().zip(product.chunks_exact(n)) {
            let expected: Vec<u8> = sums[..columns].iter().flat_map(|&sum| low(sum)).collect();
            assert!(own.as_slice() == Some(&expected), "a product and its parts differ");
        }
    }
    let mut small = Array2::zeros((a.rows() as usize, (n - tile) * ENTRY));
    let wrong = backend.apply_into(a.view(), b, small.view_mut(), ENTRY, &each);
    assert!(matches!(wrong, Err(BackendError::Output { .. })), "a strip of columns is missing");
}

/// Compares a backend with the reference on a case.
///
/// # Panics
/// On any difference.
pub fn compare(backend: &dyn Backend, case: &Case, name: &str) {
    compare_with(backend, case, &run(&Reference, case), name);
}

fn compare_with(backend: &dyn Backend, case: &Case, expected: &Result, name: &str) {
    let got = run(backend, case);
    let context = format!("{} on {name}", backend.name());
    assert!(got.noised_a == expected.noised_a, "noised A: {context}");
    assert!(got.noised_bt == expected.noised_bt, "noised Bᵀ: {context}");
    assert!(got.noised_product == expected.noised_product, "noised product: {context}");
    assert!(got.product == expected.product, "exact product: {context}");
    assert!(
        got.plain == expected.product && expected.plain == expected.product,
        "plain product: {context}"
    );
    assert_eq!(got.tickets, expected.tickets, "tickets: {context}");
}

/// Runs all tests of a backend.
///
/// # Panics
/// On the first case in which it differs from the reference or breaks the
/// trait's contract.
pub fn check(backend: &dyn Backend) {
    check_all(&[backend]);
}

/// Runs today's part of the tests of a slow backend; see [`today`].
///
/// # Panics
/// As [`check`] does.
pub fn check_today(backend: &dyn Backend) {
    let supported = |(_, case): &(String, Case)| backend.supports(&case.params).is_ok();
    let (supported, others): (Vec<_>, Vec<_>) = cases().into_iter().partition(supported);
    check_cases(&[backend], today(supported).into_iter().chain(others));
}

/// Runs all tests of several backends. The slow reference runs once.
///
/// # Panics
/// As [`check`] does.
pub fn check_all(backends: &[&dyn Backend]) {
    check_cases(backends, cases());
}

fn check_cases(backends: &[&dyn Backend], cases: impl IntoIterator<Item = (String, Case)>) {
    for backend in backends {
        backend.supports(&Params::CONSENSUS).expect("every backend takes the consensus pair");
    }
    for (name, case) in cases {
        let mut expected = None;
        for backend in backends {
            match backend.supports(&case.params) {
                Ok(()) => {
                    let expected = expected.get_or_insert_with(|| run(&Reference, &case));
                    compare_with(*backend, &case, expected, &name);
                }
                Err(unsupported) => assert_eq!(unsupported.backend, backend.name()),
            }
        }
    }
    backends.iter().for_each(|backend| check_contract(*backend));
}

/// Sizes around every boundary, for every permitted rank and tile; extreme
/// operands for the consensus parameters.
fn cases() -> Vec<(String, Case)> {
    let mut cases = Vec::new();
    let challenge = Challenge(*blake3::hash(b"poai backend tester").as_bytes());
    let mut add = |name: String, params: Params, a, bt| {
        cases.push((name, Case { params, a, bt, challenge }));
    };
    for rank in [32, 64, 128, 256] {
        for tile in [16, 32, 48, 64] {
            let params = Params::new(rank, tile).expect("permitted");
            let sizes: &[_] = match params {
                Params::CONSENSUS => {
                    // Sizes around a tile, a block of 8 or 16 strips, the steps
                    // that are processed at once, and the length of the
                    // transcript.
                    &[
                        (1, 1, 1),
                        (1, 3, 2),
                        (3, 1, 7),
                        (2, 2, 16),
                        (2, 1, 17),
                        (5, 4, 3),
                        (8, 8, 4),
                        (9, 7, 5),
                        (1, 17, 8),
                        (17, 2, 4),
                        (17, 17, 1),
                    ]
                }
                _ => &[(1, 1, 1), (1, 2, 3)],
            };
            for &(m, n, k) in sizes {
                let (m, n, k) = (m * params.tile(), n * params.tile(), k * params.rank());
                let name = format!("{m}×{n}×{k}, rank {rank}, tile {tile}");
                let a = pseudorandom(format!("{name}/a").as_bytes(), m, k);
                let bt = pseudorandom(format!("{name}/b").as_bytes(), n, k);
                add(name, params, a, bt);
            }
        }
    }
    // Prime numbers of rows and columns, padded.
    for (m, n, k) in [(97, 61, 131), (257, 31, 641)] {
        let [a, bt] = [m, n].map(|rows| pseudorandom(b"prime", rows, k));
        let padded = Padded::new(&Params::CONSENSUS, a, bt).expect("any shape can be padded");
        let [a, bt] = [padded.operands().a(), padded.operands().bt()]
            .map(|operand| operand.entries().to_owned());
        add(format!("{m}×{n}×{k}, padded"), Params::CONSENSUS, a, bt);
    }
    for (fill_name, fill) in extremes() {
        let (a, bt) =
            (Array2::from_shape_fn((288, 640), fill), Array2::from_shape_fn((64, 640), fill));
        add(format!("operands of {fill_name}"), Params::CONSENSUS, a, bt);
    }
    cases
}

/// Entries by (row, column).
type Fill = fn((usize, usize)) -> i8;

fn extremes() -> [(&'static str, Fill); 5] {
    [
        ("zeros", |_| 0),
        ("the least entry", |_| ENTRY_MIN),
        ("the largest entry", |_| ENTRY_MAX),
        ("alternating extremes", |(i, j)| if (i + j) % 2 == 0 { ENTRY_MIN } else { ENTRY_MAX }),
        ("equal rows", |(_, j)| (j % 128) as i8 - 64),
    ]
}

fn noise(
    backend: &dyn Backend,
    case: &Case,
) -> core::result::Result<(Noised, Noised), BackendError> {
    let params = &case.params;
    let operand = |side, entries: &Array2<i8>| {
        Operand::new(params, side, entries.clone()).expect("the case's operands are valid")
    };
    let a = backend.prepare(operand(Side::A, &case.a))?;
    let b = backend.prepare(operand(Side::B, &case.bt))?;
    assert_eq!(a.root().0, *blake3::hash(a.operand().as_bytes()).as_bytes());
    let (n, k) = (b.operand().rows(), b.operand().k());
    let seed_b = seed_b(params, &case.challenge, n, k, b.root());
    let seed_a = seed_a(&seed_b, a.operand().rows(), a.root());
    Ok((backend.noise(&seed_a, &a)?, backend.noise(&seed_b, &b)?))
}

/// Checks that only tickets up to the target are reported.
fn check_target(
    backend: &dyn Backend,
    multiplication: Multiplication<'_>,
    largest: poai_core::Ticket,
    all: &[Winner],
) {
    let watch = Collect::default();
    let multiplication = Multiplication { target: Target::up_to(largest), ..multiplication };
    backend.multiply(&multiplication, Output::Tickets, &watch).expect("the backend multiplies");
    let expected: Vec<_> = all.iter().filter(|winner| winner.ticket <= largest).copied().collect();
    assert_eq!(sorted(watch.winners), expected, "winners at a target");
}

/// Checks the guarantees of the trait beyond the arithmetic.
fn check_contract(backend: &dyn Backend) {
    let params = Params::CONSENSUS;
    let entries = |rows| pseudorandom(b"contract", rows, 256);
    let case = Case { params, a: entries(96), bt: entries(64), challenge: Challenge([7; 32]) };
    let (a, b) = noise(backend, &case).expect("valid");
    let target = Difficulty::ONE.target(&params, 256);
    let job = Multiplication { a: &a, b: &b, target };

    let stop = StopAtOnce;
    let stopped = backend.multiply(&job, Output::Tickets, &stop).expect("stopping is no error");
    assert_eq!(stopped, Completion::Stopped, "a watch that breaks stops the product");

    let mut short = vec![0; 96 * 64 - 1];
    let refused = backend.multiply(&job, Output::Exact(&mut short), &stop);
    assert!(matches!(refused, Err(BackendError::Output { expected: 6144, got: 6143 })));

    let swapped = Multiplication { a: &b, b: &a, ..job };
    let refused = backend.multiply(&swapped, Output::Tickets, &stop);
    assert!(matches!(refused, Err(BackendError::Pair)));

    // Operands made for different parameters are not a pair.
    for other in [Params::new(64, 32), Params::new(128, 64)] {
        let other = other.expect("permitted");
        let case = Case { params: other, a: entries(64), bt: entries(64), ..case.clone() };
        if backend.supports(&other).is_ok() {
            let (other_a, _) = noise(backend, &case).expect("valid");
            let refused =
                backend.multiply(&Multiplication { a: &other_a, ..job }, Output::Tickets, &stop);
            assert!(matches!(refused, Err(BackendError::Pair)));
        }
    }

    struct Stranger;
    let strange = poai_engine::backend::Prepared::new(
        "stranger",
        a.operand().clone(),
        a.prepared().tree().clone(),
        Stranger,
    );
    let refused = backend.noise(a.seed(), &strange);
    assert!(matches!(refused, Err(BackendError::Foreign { owner: "stranger", .. })));
    let strange = Noised::new(&strange, a.seed(), Stranger);
    let job = Multiplication { a: &strange, ..job };
    let refused = backend.multiply(&job, Output::Tickets, &stop);
    assert!(matches!(refused, Err(BackendError::Foreign { owner: "stranger", .. })));
}

#[derive(Default)]
struct Collect {
    winners: Mutex<Vec<Winner>>,
    tiles: AtomicU64,
}

impl Watch for Collect {
    fn winner(&self, winner: Winner) {
        self.winners.lock().expect("nothing panics while it is held").push(winner);
    }

    fn advance(&self, tiles: u64) -> ControlFlow<()> {
        self.tiles.fetch_add(tiles, Ordering::Relaxed);
        ControlFlow::Continue(())
    }
}

struct StopAtOnce;

impl Watch for StopAtOnce {
    fn winner(&self, _: Winner) {}

    fn advance(&self, _: u64) -> ControlFlow<()> {
        ControlFlow::Break(())
    }
}

fn sorted(winners: Mutex<Vec<Winner>>) -> Vec<Winner> {
    let mut winners = winners.into_inner().expect("nothing panics while it is held");
    winners.sort_by_key(|winner| winner.tile);
    winners
}
