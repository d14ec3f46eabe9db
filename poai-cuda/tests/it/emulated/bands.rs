//! Products of several bands, in every order of the streams, and the number of
//! waits on the host.

use super::{FILES, gpu};
use poai_core::{Difficulty, Params, Seed, Side};
use poai_cuda::{Cuda, Variant};
use poai_engine::Operand;
use poai_engine::backend::{Backend, Completion, Multiplication, Noised, Output, Watch, Winner};
use poai_engine::operand::{pseudorandom, test_challenge};
use poai_testing::emulated::{Settings, counted, with_driver_today};
use poai_testing::tester::{self, Case};
use std::ops::ControlFlow;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

/// With no multiprocessors to keep busy, a band is one row of blocks.
const NARROW: (&str, &str) = ("POAI_EMULATED_MULTIPROCESSORS", "0");
const HOPPER: (&str, &str) = ("POAI_EMULATED_CAPABILITY", "9.0");
const LATE: (&str, &str) = ("POAI_EMULATED_STREAMS", "late");
const EARLY: (&str, &str) = ("POAI_EMULATED_STREAMS", "early");
const RANDOM: (&str, &str) = ("POAI_EMULATED_STREAMS", "random7");

fn with_bands(settings: &[Settings<'_>], check: impl FnOnce()) {
    with_driver_today(&FILES, settings, check);
}

pub fn case([m, n, k]: [usize; 3]) -> Case {
    let (a, bt) = (pseudorandom(b"bands/a", m, k), pseudorandom(b"bands/b", n, k));
    Case { params: Params::CONSENSUS, a, bt, challenge: test_challenge(b"bands") }
}

fn operands([m, n, k]: [usize; 3]) -> [Operand; 2] {
    [(Side::A, m), (Side::B, n)].map(|(side, rows)| {
        Operand::new(&Params::CONSENSUS, side, pseudorandom(b"bands", rows, k)).unwrap()
    })
}

fn noised(cuda: &Cuda, sizes: [usize; 3]) -> [Noised; 2] {
    operands(sizes)
        .map(|operand| cuda.noise(&Seed([3; 32]), &cuda.prepare(operand).unwrap()).unwrap())
}

/// The reports of a product. The watch stops after `stop_after` bands, if it is
/// set.
#[derive(Default)]
pub struct Watched {
    winners: Mutex<Vec<Winner>>,
    tiles: AtomicU64,
    bands: AtomicU64,
    stop_after: Option<u64>,
}

impl Watch for Watched {
    fn winner(&self, winner: Winner) {
        self.winners.lock().unwrap().push(winner);
    }

    fn advance(&self, tiles: u64) -> ControlFlow<()> {
        self.tiles.fetch_add(tiles, Ordering::Relaxed);
        let bands = 1 + self.bands.fetch_add(1, Ordering::Relaxed);
        match self.stop_after {
            Some(most) if bands >= most => ControlFlow::Break(()),
            _ => ControlFlow::Continue(()),
        }
    }
}

/// Whole bands, a part of one at the end, and one band alone.
#[test]
fn bands_are_right_in_every_variant_and_order() {
    let settings: [Settings<'_>; 3] =
        [&[NARROW, HOPPER, LATE], &[NARROW, HOPPER, EARLY], &[NARROW, HOPPER, RANDOM]];
    with_bands(&settings, || {
        for variant in Variant::ALL {
            let cuda = Cuda::forced(&gpu(), variant).unwrap();
            for sizes in [[544, 64, 256], [288, 32, 640], [128, 64, 128]] {
                tester::compare(&cuda, &case(sizes), &format!("{sizes:?}"));
            }
            let [a, b] = noised(&cuda, [544, 64, 256]);
            let target = Difficulty::ONE.target(&Params::CONSENSUS, 256);
            let watch = Watched::default();
            cuda.multiply(&Multiplication { a: &a, b: &b, target }, Output::Tickets, &watch)
                .unwrap();
            let expected = if variant == Variant::Wgmma { 3 } else { 5 };
            assert_eq!(watch.bands.into_inner(), expected, "{variant}");
        }
    });
}

/// Without pools, memory is freed after everything that is queued.
#[test]
fn cards_without_pools_multiply() {
    let pools = ("POAI_EMULATED_POOLS", "0");
    let settings: [Settings<'_>; 2] = [&[NARROW, pools, LATE], &[NARROW, pools, EARLY]];
    with_bands(&settings, || {
        let cuda = Cuda::open(&gpu()).unwrap();
        tester::compare(&cuda, &case([416, 96, 256]), "without pools");
        assert_eq!(counted("kept"), 0);
    });
}

/// Every band has more winners than there is room for. Each band is computed
/// again, and the band that was launched after it is right as well.
#[test]
fn winners_beyond_the_room_are_drawn_again() {
    let settings: [Settings<'_>; 2] = [&[NARROW, LATE], &[NARROW, EARLY]];
    with_bands(&settings, || {
        let cuda = Cuda::open(&gpu()).unwrap();
        let sizes @ [m, n, k] = [320, 260 * 32, 128];
        let [a, b] = noised(&cuda, sizes);
        let target = Difficulty::ONE.target(&Params::CONSENSUS, k as u32);
        let mut product = vec![0; m * n];
        let watch = Watched::default();
        let output = Output::Noised(&mut product);
        let done = cuda.multiply(&Multiplication { a: &a, b: &b, target }, output, &watch).unwrap();
        assert_eq!((done, watch.bands.into_inner()), (Completion::Complete, 3));
        let mut tiles: Vec<_> =
            watch.winners.into_inner().unwrap().iter().map(|winner| winner.tile).collect();
        assert_eq!(tiles.len(), m / 32 * (n / 32), "every tile wins once");
        tiles.sort();
        tiles.dedup();
        assert_eq!(tiles.len(), m / 32 * (n / 32), "no tile twice");
        let [a, b] = [a, b].map(|side| cuda.noised_entries(&side).unwrap());
        for (i, row) in a.chunks(k).enumerate().step_by(37) {
            for (j, column) in b.chunks(k).enumerate().step_by(41) {
                let sum: i32 =
                    row.iter().zip(column).map(|(&a, &b)| i32::from(a) * i32::from(b)).sum();
                assert_eq!(product[i * n + j], sum, "entry {i}, {j}");
            }
        }
    });
}

/// A watch that stops gets no later band, and the GPU works as before.
#[test]
fn a_stop_between_bands_leaves_the_card_as_it_was() {
    let settings: [Settings<'_>; 3] = [&[NARROW, LATE], &[NARROW, EARLY], &[NARROW, RANDOM]];
    with_bands(&settings, || {
        let cuda = Cuda::open(&gpu()).unwrap();
        let [a, b] = noised(&cuda, [544, 64, 256]);
        let target = Difficulty::ONE.target(&Params::CONSENSUS, 256);
        let job = Multiplication { a: &a, b: &b, target };
        for bands in 1..=5 {
            let watch = Watched { stop_after: Some(bands), ..Watched::default() };
            let mut product = vec![0; 544 * 64];
            let done = cuda.multiply(&job, Output::Exact(&mut product), &watch).unwrap();
            assert_eq!(done, Completion::Stopped);
            assert_eq!(watch.tiles.into_inner(), (8 * bands).min(34));
            let winners = watch.winners.into_inner().unwrap().len() as u64;
            assert_eq!(winners, (8 * bands).min(34));
        }
        tester::compare(&cuda, &case([288, 64, 256]), "after stops");
    });
}

/// A product that fits one band costs the host one wait, for every kind of
/// output.
#[test]
fn small_products_cost_one_wait() {
    let settings: [Settings<'_>; 3] = [&[LATE], &[EARLY], &[HOPPER]];
    with_bands(&settings, || {
        let cuda = Cuda::open(&gpu()).unwrap();
        let [a, b] = noised(&cuda, [96, 64, 256]);
        let target = Difficulty::ONE.target(&Params::CONSENSUS, 256);
        let job = Multiplication { a: &a, b: &b, target };
        let waits = |work: &mut dyn FnMut()| {
            let before = counted("waits");
            work();
            counted("waits") - before
        };
        let multiply = |output: Output<'_>| {
            cuda.multiply(&job, output, &Watched::default()).unwrap();
        };
        let mut product = vec![0; 96 * 64];
        assert_eq!(waits(&mut || multiply(Output::Tickets)), 1, "tickets");
        assert_eq!(waits(&mut || multiply(Output::Noised(&mut product))), 1, "noised");
        assert_eq!(waits(&mut || multiply(Output::Exact(&mut product))), 1, "exact");
        let [on_a, on_b] = [&a, &b].map(|side| cuda.pack(side.prepared()).unwrap());
        assert_eq!(waits(&mut || cuda.product(&on_a, &on_b, &mut product).unwrap()), 1, "plain");
        let clean = a.operand().clone();
        assert_eq!(
            waits(&mut || cuda.apply(clean.clone(), &on_b, &mut product).unwrap()),
            1,
            "applied"
        );
        assert_eq!(waits(&mut || drop(cuda.noise(&Seed([4; 32]), a.prepared()).unwrap())), 0);
    });
}

/// Copies of more than one piece: operands go up, and bands come down while the
/// next is computed.
#[test]
fn large_copies_are_whole() {
    let few = ("POAI_EMULATED_MULTIPROCESSORS", "1");
    let settings: [Settings<'_>; 3] = [&[few, LATE], &[few, EARLY], &[few, RANDOM]];
    with_bands(&settings, || {
        let cuda = Cuda::open(&gpu()).unwrap();
        // 6 MiB up; then 1.1 M entries down, 1 M of them in the first band.
        for [m, n, k] in [[96, 32, 1 << 16], [544, 2080, 128]] {
            let [a, b] = operands([m, n, k]);
            let b = cuda.prepare(b).unwrap();
            let mut product = vec![0; m * n];
            cuda.apply(a.clone(), &cuda.pack(&b).unwrap(), &mut product).unwrap();
            let (a, b) = (a.as_slice(), b.operand().as_slice());
            for (i, row) in a.chunks(k).enumerate().step_by(13) {
                for (j, column) in b.chunks(k).enumerate().step_by(if n > 100 { 97 } else { 5 }) {
                    let sum: i32 =
                        row.iter().zip(column).map(|(&a, &b)| i32::from(a) * i32::from(b)).sum();
                    assert_eq!(product[i * n + j], sum, "entry {i}, {j}");
                }
            }
        }
    });
}

/// A quarter of the GPU's memory is kept for the next product.
#[test]
fn freed_memory_is_kept_for_the_next_product() {
    with_bands(&[&[]], || {
        drop(Cuda::open(&gpu()).unwrap());
        assert_eq!(counted("kept"), gpu().memory / 4);
    });
}
