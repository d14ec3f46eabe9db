//! Several cards as one backend, on the emulated driver (`emulated/driver.cpp`),
//! whose cards are all the processor: it ends the process where anything of one
//! card is used under another's context.
#![cfg(target_os = "linux")]

#[path = "emulated/driver.rs"]
mod driver;
mod host;

use driver::{output, with_driver};
use poai_core::backend::{
    Backend, BackendError, Completion, Job, Noised, Output, Prepared, Watch, Winner, tester,
};
use poai_core::commitment::Tree;
use poai_core::operand::pseudorandom;
use poai_core::{Cpu, Difficulty, Operand, Params, Seed, Side};
use poai_cuda::{Cards, CardsError, Cuda, CudaError, Variant, choose, devices};
use std::ffi::{c_int, c_void};
use std::ops::ControlFlow;
use std::sync::Mutex;
use std::time::Duration;

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

fn job<'a>([a, b]: &'a [(Prepared, Noised); 2]) -> Job<'a> {
    let target = Difficulty::ONE.target(&Params::CONSENSUS, a.0.operand().k());
    Job { a: &a.1, b: &b.1, target }
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
    let settings = [("POAI_EMULATED_DEVICES", "2")];
    with_driver("two_cards_pass_the_tester", &settings, || {
        let cards = cards();
        assert_eq!((cards.name(), cards.cards().len()), ("cuda-cards", 2));
        tester::check(&cards);
    });
}

/// One of each variant, so that shares are of different sizes.
#[test]
fn three_cards_of_three_kinds_pass_the_tester() {
    let settings = [("POAI_EMULATED_DEVICES", "3"), ("POAI_EMULATED_CAPABILITY", "6.1,9.0,8.0")];
    with_driver("three_cards_of_three_kinds_pass_the_tester", &settings, || {
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
    let settings = [("POAI_EMULATED_DEVICES", "2"), ("POAI_EMULATED_CAPABILITY", "6.1,8.0")];
    with_driver("small_products_go_to_one_card", &settings, || {
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
    let settings = [("POAI_EMULATED_DEVICES", "3"), ("POAI_EMULATED_CAPABILITY", "8.0,6.1")];
    with_driver("commitments_are_the_cpus", &settings, || {
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
    let settings = [("POAI_EMULATED_DEVICES", "3"), ("POAI_EMULATED_MULTIPROCESSORS", "1")];
    with_driver("stopping_stops_every_card", &settings, || {
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
        // No card went into its second band.
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
    let settings = [("POAI_EMULATED_DEVICES", "2")];
    with_driver("a_watch_that_panics_leaves_no_thread", &settings, || {
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
    let settings =
        [("POAI_EMULATED_DEVICES", "3"), ("POAI_EMULATED_FAIL", "cuLaunchKernel:8:719:1")];
    with_driver("the_card_that_failed_is_named", &settings, || {
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

/// Handles of cards that work together, of others that do, and of one alone are
/// not taken for each other's.
#[test]
fn handles_stay_with_their_cards() {
    let settings = [("POAI_EMULATED_DEVICES", "2")];
    with_driver("handles_stay_with_their_cards", &settings, || {
        let cards = cards();
        let alone = cards.cards()[0].clone();
        let others = Cards::new(cards.cards().iter().rev().cloned().collect()).unwrap();
        let seed = Seed([1; 32]);
        let all: [&dyn Backend; 3] = [&cards, &others, &alone];
        let made = all.map(|backend| pair(backend, [64, 32, 128]));
        for (i, backend) in all.into_iter().enumerate() {
            for (j, made) in made.iter().enumerate() {
                let [a, b] = made;
                let refused = [
                    backend.noise(&seed, &a.0).err(),
                    backend.pack(&b.0).err(),
                    backend.noised_entries(&a.1).err(),
                    backend.multiply(&job(made), Output::Tickets, &Seen::new(9)).err(),
                ];
                for error in refused {
                    match error {
                        None => assert_eq!(i, j),
                        Some(BackendError::Foreign { .. }) => assert_ne!(i, j),
                        Some(other) => panic!("{other}"),
                    }
                }
            }
        }
        // A clone is the same cards.
        cards.clone().noise(&seed, &made[0][0].0).unwrap();
    });
}

#[test]
fn names_choose_cards() {
    let settings = [("POAI_EMULATED_DEVICES", "3"), ("POAI_EMULATED_CAPABILITY", "9.0,5.2,8.0")];
    with_driver("names_choose_cards", &settings, || {
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

/// The emulated driver itself: memory of one device, freed under the context
/// of another, ends the process. Without that the tests above would pass
/// whatever is mixed up.
#[test]
fn the_driver_tells_devices_apart() {
    let test = "the_driver_tells_devices_apart";
    let misuse = || {
        // SAFETY: the emulated driver, which asks for nothing when it is
        // loaded; the functions have these types there, as in NVIDIA's.
        unsafe {
            let driver = libloading::Library::new("libcuda.so").unwrap();
            let init: libloading::Symbol<unsafe extern "C" fn(u32) -> c_int> =
                driver.get(b"cuInit\0").unwrap();
            let retain: libloading::Symbol<unsafe extern "C" fn(*mut *mut c_void, c_int) -> c_int> =
                driver.get(b"cuDevicePrimaryCtxRetain\0").unwrap();
            let set: libloading::Symbol<unsafe extern "C" fn(*mut c_void) -> c_int> =
                driver.get(b"cuCtxSetCurrent\0").unwrap();
            let allocate: libloading::Symbol<unsafe extern "C" fn(*mut u64, usize) -> c_int> =
                driver.get(b"cuMemAlloc_v2\0").unwrap();
            let free: libloading::Symbol<unsafe extern "C" fn(u64) -> c_int> =
                driver.get(b"cuMemFree_v2\0").unwrap();
            let (mut contexts, mut memory) = ([std::ptr::null_mut(); 2], 0);
            assert_eq!(init(0), 0);
            for (device, context) in (0..).zip(&mut contexts) {
                assert_eq!(retain(context, device), 0);
            }
            assert_eq!((set(contexts[0]), allocate(&mut memory, 64)), (0, 0));
            assert_eq!((set(contexts[1]), free(memory)), (0, 0));
        }
    };
    let settings = [("POAI_EMULATED_DEVICES", "2")];
    let Some(output) = output(".", test, &settings, misuse) else { return };
    let errors = String::from_utf8(output.stderr).unwrap();
    let told = "cuMemFree_v2: memory of device 0 under the context of device 1";
    assert!(!output.status.success() && errors.contains(told), "{}\n{errors}", output.status);
}
