//! Several cards as one backend, on the emulated driver (`emulated/driver.cpp`),
//! whose cards are all the processor: it ends the process where anything of one
//! card is used under another's context.
#![cfg(target_os = "linux")]

#[path = "emulated/apart.rs"]
mod apart;
#[path = "emulated/harness.rs"]
mod harness;
mod host;
use harness::{Settings, told, with_driver_of};
use poai_core::program::RunShape;
use poai_core::puzzle::commitment::Tree;
use poai_core::{Challenge, Difficulty, Params, Seed, Side};
use poai_cuda::{Cards, CardsError, Cuda, CudaError, Variant, choose, devices};
use poai_engine::backend::{
    Backend, BackendError, Completion, Multiplication, Noised, Output, Prepared, Watch, Winner,
};
use poai_engine::execute::{Mining, Model, RunOptions};
use poai_engine::operand::pseudorandom;
use poai_engine::{Cpu, MineOptions, Operand};
use poai_testing::tester;
use poai_testing::zoo;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

const FILES: [&str; 7] =
    ["check", "commit", "noise", "product_dp4a", "product_mma", "product_wgmma", "recover"];

const TWO: (&str, &str) = ("POAI_EMULATED_DEVICES", "2");
const THREE: (&str, &str) = ("POAI_EMULATED_DEVICES", "3");
const EARLY: (&str, &str) = ("POAI_EMULATED_STREAMS", "early");
const RANDOM: (&str, &str) = ("POAI_EMULATED_STREAMS", "random7");

/// Runs `check` where the driver is the emulated one. `test` is the name of the
/// calling test.
fn with_driver(test: &str, all: &[Settings<'_>], check: impl FnOnce()) {
    with_driver_of(&FILES, ".", test, all, check);
}

/// All cards, splitting whatever has two tiles of rows.
fn cards() -> Cards {
    let cards = devices().unwrap().iter().map(|device| Cuda::open(device).unwrap()).collect();
    Cards::new(cards).unwrap().share_bytes(0)
}

fn operand(side: Side, rows: usize, k: usize) -> Operand {
    Operand::new(&Params::CONSENSUS, side, pseudorandom(b"cards", rows, k)).unwrap()
}

/// A prepared and a noised pair.
fn pair(backend: &dyn Backend, [m, n, k]: [usize; 3]) -> [(Prepared, Noised); 2] {
    [(Side::A, m, 1), (Side::B, n, 2)].map(|(side, rows, seed)| {
        let prepared = backend.prepare(operand(side, rows, k)).unwrap();
        let noised = backend.noise(&Seed([seed; 32]), &prepared).unwrap();
        (prepared, noised)
    })
}

fn job<'a>([a, b]: &'a [(Prepared, Noised); 2]) -> Multiplication<'a> {
    let target = Difficulty::ONE.target(&Params::CONSENSUS, a.0.operand().k());
    Multiplication { a: &a.1, b: &b.1, target }
}

/// What is seen of a product, of whose reports the one with a number asks to
/// stop, and those after it do not.
struct Seen {
    stop_at: usize,
    winners: Mutex<Vec<Winner>>,
    advances: Mutex<Vec<u64>>,
}

impl Seen {
    fn new(stop_at: usize) -> Seen {
        Seen { stop_at, winners: Mutex::default(), advances: Mutex::default() }
    }

    fn sorted(self) -> Vec<Winner> {
        let mut winners = self.winners.into_inner().unwrap();
        winners.sort_by_key(|winner| winner.tile);
        winners
    }
}

impl Watch for Seen {
    fn winner(&self, winner: Winner) {
        self.winners.lock().unwrap().push(winner);
    }

    fn advance(&self, tiles: u64) -> ControlFlow<()> {
        let mut advances = self.advances.lock().unwrap();
        advances.push(tiles);
        if advances.len() == self.stop_at {
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    }
}

/// Threads of this process.
fn threads() -> usize {
    std::fs::read_dir("/proc/self/task").unwrap().count()
}

/// Waits for no thread to be there that was not before: one that was joined may
/// be listed for a moment more.
fn none_left(before: usize) {
    for _ in 0..1000 {
        if threads() == before {
            return;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    panic!("{} threads, {before} before", threads());
}

fn error_of(error: BackendError) -> CardsError {
    match error {
        BackendError::Device(error) => *error.downcast::<CardsError>().unwrap(),
        other => panic!("{other}"),
    }
}

#[test]
fn two_cards_pass_the_tester() {
    with_driver("two_cards_pass_the_tester", &[&[TWO], &[TWO, EARLY]], || {
        let cards = cards();
        assert_eq!((cards.name(), cards.cards().len()), ("cuda-cards", 2));
        tester::check(&cards);
    });
}

/// One of each variant, so that shares are of different sizes.
#[test]
fn three_cards_of_three_kinds_pass_the_tester() {
    let settings = [THREE, RANDOM, ("POAI_EMULATED_CAPABILITY", "6.1,9.0,8.0")];
    with_driver("three_cards_of_three_kinds_pass_the_tester", &[&settings], || {
        let cards = cards();
        let variants: Vec<_> = cards.cards().iter().map(Cuda::variant).collect();
        assert_eq!(variants, [Variant::Dp4a, Variant::Wgmma, Variant::Mma]);
        tester::check(&cards);
    });
}

/// With the least share that is worth a card, small products stay on one, and
/// those around the bound are the same as on the processor.
#[test]
fn small_products_go_to_one_card() {
    let settings = [TWO, ("POAI_EMULATED_CAPABILITY", "6.1,8.0")];
    with_driver("small_products_go_to_one_card", &[&settings], || {
        let cards = cards().share_bytes(32 * 256);
        let cpu = Cpu::new();
        // Weights are 512 and 2048: a fifth and four fifths.
        for (rows, split) in [(32, false), (64, false), (96, true), (192, true)] {
            let mut seen = vec![];
            for backend in [&cards as &dyn Backend, &cpu] {
                let pair = pair(backend, [rows, 64, 256]);
                let watch = Seen::new(usize::MAX);
                let mut product = vec![1; rows * 64];
                let output = Output::Exact(&mut product);
                backend.multiply(&job(&pair), output, &watch).unwrap();
                let bands = watch.advances.lock().unwrap().len();
                let [a, b] = pair.each_ref().map(|(prepared, _)| backend.pack(prepared).unwrap());
                let (mut plain, mut applied) = (vec![1; rows * 64], vec![1; rows * 64]);
                backend.product(&a, &b, &mut plain).unwrap();
                backend.apply(a.operand().clone(), &b, &mut applied).unwrap();
                assert!(plain == product && applied == product, "{rows} rows");
                if seen.is_empty() {
                    // One band of each card's rows.
                    assert_eq!(bands, 1 + usize::from(split), "{rows} rows");
                }
                seen.push((product, watch.sorted()));
            }
            assert!(seen[0] == seen[1], "{rows} rows");
        }
    });
}

/// Both sides' commitments, split and whole.
#[test]
fn commitments_are_the_cpus() {
    let settings = [THREE, ("POAI_EMULATED_CAPABILITY", "8.0,6.1")];
    with_driver("commitments_are_the_cpus", &[&settings], || {
        let cards = cards();
        for (rows, k) in [(32, 128), (64, 1024), (544, 128), (1056, 384)] {
            for side in [Side::A, Side::B] {
                let operand = operand(side, rows, k);
                let expected = Tree::new(operand.as_bytes());
                let prepared = cards.prepare(operand).unwrap();
                assert_eq!(format!("{:?}", prepared.tree()), format!("{expected:?}"), "{rows}×{k}");
            }
        }
    });
}

/// A watch that stops one card stops all, and nothing runs on.
#[test]
fn stopping_stops_every_card() {
    let settings = [THREE, ("POAI_EMULATED_MULTIPROCESSORS", "1")];
    with_driver("stopping_stops_every_card", &[&settings], || {
        let cards = cards();
        // Two bands for each card: one multiprocessor computes 32 blocks of
        // 128×256 in one, and 4096 columns are 16 of them.
        let pair = pair(&cards, [3 * 512, 4096, 128]);
        // The pool that hashes small matrices stays.
        let before = threads();
        let watch = Seen::new(1);
        let stopped = cards.multiply(&job(&pair), Output::Tickets, &watch).unwrap();
        assert_eq!(stopped, Completion::Stopped);
        let advances = watch.advances.into_inner().unwrap();
        // No card went on after its first band.
        assert!((1..=3).contains(&advances.len()), "{advances:?}");
        assert!(advances.iter().all(|tiles| *tiles == 8 * 128), "{advances:?}");
        none_left(before);
    });
}

/// A panic of whoever watches comes out, after the other cards have stopped.
#[test]
fn a_watch_that_panics_leaves_no_thread() {
    struct Panics;
    impl Watch for Panics {
        fn winner(&self, _: Winner) {}
        fn advance(&self, _: u64) -> ControlFlow<()> {
            panic!("seen by the caller")
        }
    }
    with_driver("a_watch_that_panics_leaves_no_thread", &[&[TWO]], || {
        let cards = cards();
        let pair = pair(&cards, [128, 64, 128]);
        // The pool that hashes small matrices stays.
        let before = threads();
        let multiply = || cards.multiply(&job(&pair), Output::Tickets, &Panics);
        let panic = std::panic::catch_unwind(std::panic::AssertUnwindSafe(multiply)).unwrap_err();
        assert_eq!(panic.downcast_ref(), Some(&"seen by the caller"));
        none_left(before);
    });
}

/// One of three cards fails in the middle of a product: the error says which,
/// and the others are as good as before.
#[test]
fn the_card_that_failed_is_named() {
    // The kernels of card 1: check, then both sides' noise (3 each), and the
    // product.
    let settings = [THREE, ("POAI_EMULATED_FAIL", "cuLaunchKernel:8:719:1")];
    with_driver("the_card_that_failed_is_named", &[&settings], || {
        let cards = cards();
        let pair = pair(&cards, [192, 64, 128]);
        // The pool that hashes small matrices stays.
        let before = threads();
        let watch = Seen::new(usize::MAX);
        let error = cards.multiply(&job(&pair), Output::Tickets, &watch).unwrap_err();
        let error = error_of(error);
        let text = error.to_string();
        assert!(
            matches!(error, CardsError::Card { ordinal: 1, source: CudaError::Kernel { .. } }),
            "{error:?}"
        );
        assert!(text.starts_with("GPU 1 of those used together: a kernel failed on"), "{text}");
        none_left(before);
        let error = error_of(cards.prepare(operand(Side::B, 32, 128)).unwrap_err());
        assert!(matches!(error, CardsError::Card { ordinal: 1, .. }), "{error:?}");
        tester::compare(
            &Cards::new([0, 2].map(|i| cards.cards()[i].clone()).into()).unwrap(),
            &tester::Case {
                params: Params::CONSENSUS,
                a: pseudorandom(b"a", 64, 128),
                bt: pseudorandom(b"b", 32, 128),
                challenge: poai_core::Challenge([1; 32]),
            },
            "the cards that are left",
        );
    });
}

/// A card that fails stops the others before their next band.
#[test]
fn a_card_that_fails_stops_the_others() {
    /// Lets card 1 go on once card 0's thread has ended.
    struct Behind {
        threads: usize,
        advances: AtomicUsize,
    }
    impl Watch for Behind {
        fn winner(&self, _: Winner) {}
        fn advance(&self, tiles: u64) -> ControlFlow<()> {
            assert_eq!(tiles, 4, "a band of 128 rows");
            self.advances.fetch_add(1, Ordering::Relaxed);
            none_left(self.threads + 1);
            ControlFlow::Continue(())
        }
    }
    // As above, now of card 0. With no multiprocessors to keep busy a band is
    // one row of blocks: each card has 8.
    let settings = [
        TWO,
        ("POAI_EMULATED_MULTIPROCESSORS", "0"),
        ("POAI_EMULATED_FAIL", "cuLaunchKernel:8:719"),
    ];
    with_driver("a_card_that_fails_stops_the_others", &[&settings], || {
        let cards = cards();
        let pair = pair(&cards, [2 * 8 * 128, 32, 128]);
        let watch = Behind { threads: threads(), advances: AtomicUsize::new(0) };
        let error = error_of(cards.multiply(&job(&pair), Output::Tickets, &watch).unwrap_err());
        assert!(matches!(error, CardsError::Card { ordinal: 0, .. }), "{error:?}");
        assert_eq!(watch.advances.into_inner(), 1);
        none_left(watch.threads);
    });
}

/// Handles of cards that work together, of others that do, of one alone, of
/// another of the same kind, and of the same device opened once more are not
/// taken for each other's.
#[test]
fn handles_stay_with_their_cards() {
    with_driver("handles_stay_with_their_cards", &[&[TWO]], || {
        let cards = cards();
        let [alone, other] = [0, 1].map(|card| cards.cards()[card].clone());
        let again = Cuda::open(alone.card().device()).unwrap();
        let others = Cards::new(cards.cards().iter().rev().cloned().collect()).unwrap();
        let seed = Seed([1; 32]);
        let all: [&dyn Backend; 5] = [&cards, &others, &alone, &other, &again];
        assert!(alone.name() == other.name() && alone.name() == again.name());
        let made = all.map(|backend| pair(backend, [64, 32, 128]));
        let sides = |[a, b]: &[(Prepared, Noised); 2], of: &dyn Backend| {
            [&a.0, &b.0].map(|side| of.pack(side).unwrap())
        };
        let packed: Vec<_> = made.iter().zip(all).map(|(made, of)| sides(made, of)).collect();
        for (i, backend) in all.into_iter().enumerate() {
            // A's maker and B's.
            for (j, k) in (0..all.len()).flat_map(|j| (0..all.len()).map(move |k| (j, k))) {
                let (a, b) = (&made[j][0], &made[k][1]);
                let ([plain_a, _], [_, plain_b]) = (&packed[j], &packed[k]);
                let job = Multiplication { a: &a.1, ..job(&made[k]) };
                let mut product = vec![0; 64 * 32];
                for (own, refused) in [
                    (i == j, backend.noise(&seed, &a.0).err()),
                    (i == k, backend.pack(&b.0).err()),
                    (i == j, backend.noised_entries(&a.1).err()),
                    (i == k, backend.apply(a.0.operand().clone(), plain_b, &mut product).err()),
                    (i == j && i == k, backend.product(plain_a, plain_b, &mut product).err()),
                    (
                        i == j && i == k,
                        backend.multiply(&job, Output::Exact(&mut product), &Seen::new(9)).err(),
                    ),
                ] {
                    match refused {
                        None => assert!(own, "{i}: {j}, {k}"),
                        Some(BackendError::Foreign { .. }) => assert!(!own, "{i}: {j}, {k}"),
                        Some(error) => panic!("{error}"),
                    }
                }
            }
        }
        // Clones are the same cards.
        cards.clone().noise(&seed, &made[0][0].0).unwrap();
        alone.clone().noise(&seed, &made[2][0].0).unwrap();
    });
}

/// Programs run product by product, with rows on both cards: the processor's
/// outputs, traces and proofs.
#[test]
fn programs_leave_the_cpus_traces() {
    with_driver("programs_leave_the_cpus_traces", &[&[TWO], &[TWO, EARLY]], || {
        let cards = Arc::new(cards());
        let run = |batch, sequence| RunShape { batch, sequence };
        // Two tiles of rows in each product that is mined.
        let (encoder, classifier) = (run(3, 20), run(40, 1));
        for (network, run, inputs, mined) in [
            (zoo::encoder(), encoder, zoo::tokens(&encoder), 0),
            (zoo::classifier(), classifier, zoo::images(&classifier), 1),
        ] {
            let mining = Mining {
                challenge: Challenge([3; 32]),
                options: MineOptions::new(Difficulty::ONE),
            };
            let options = RunOptions::new().trace().mine(mining);
            let on = |backend: Arc<dyn Backend>| {
                let model = Model::new(network.clone(), backend).unwrap();
                assert!(!model.is_resident());
                let run = model.run(&run, inputs.clone(), &options).unwrap();
                let proofs: Vec<_> = run.mined.iter().map(|step| step.found.proof()).collect();
                (run.output, run.trace.unwrap().root(), proofs)
            };
            let before = told("fewest_launches");
            let shared = on(cards.clone());
            assert!(told("fewest_launches") > before, "both cards had rows");
            assert!(shared == on(Arc::new(Cpu::new())), "{mined} products mined");
            assert_eq!(shared.2.len(), mined);
        }
    });
}

#[test]
fn names_choose_cards() {
    let settings = [THREE, ("POAI_EMULATED_CAPABILITY", "9.0,5.2,8.0")];
    with_driver("names_choose_cards", &[&settings], || {
        let open = |name| choose::by_name(name).expect("a GPU's name");
        for (name, opened) in [
            ("cuda", "cuda-wgmma"),
            ("cuda:2", "cuda-mma"),
            ("cuda:2,0", "cuda-cards"),
            ("cuda:all", "cuda-cards"),
            ("cuda-dp4a:0,2", "cuda-cards"),
            // Of one card there is no need of more than that card.
            ("cuda-wgmma:all", "cuda-wgmma"),
        ] {
            assert_eq!(open(name).unwrap().name(), opened, "{name}");
        }
        let none = CudaError::NoOrdinal { ordinal: 3, count: 3 };
        assert_eq!(open("cuda:0,3").unwrap_err(), CardsError::Cuda(none));
        assert_eq!(open("cuda:0,2,0").unwrap_err(), CardsError::Twice { ordinal: 0 });
        let error = open("cuda:0,1").unwrap_err();
        let old =
            matches!(error, CardsError::Card { ordinal: 1, source: CudaError::TooOld { .. } });
        assert!(old, "{error}");
        let error = open("cuda-wgmma:0,2").unwrap_err().to_string();
        assert!(error.starts_with("GPU 2 ") && error.contains("cuda-wgmma needs"), "{error}");

        let device = devices().unwrap().remove(0);
        let card = Cuda::open(&device).unwrap();
        let twice = Cards::new(vec![card.clone(), card]).unwrap_err();
        assert_eq!(twice, CardsError::Twice { ordinal: 0 });
        assert_eq!(Cards::new(vec![]).unwrap_err(), CardsError::Empty);
    });
}
