//! Several GPUs as one backend, on the emulated driver
//! (`poai-testing/emulated/driver.cpp`). All its GPUs are the processor. It
//! ends the process if anything of one GPU is used under another's context.
mod apart;
use poai_core::program::RunShape;
use poai_core::puzzle::commitment::Tree;
use poai_core::{Challenge, Difficulty, Params, Seed, Side};
use poai_cuda::{Cuda, CudaError, MultiGpu, MultiGpuError, Variant, choose, gpus};
use poai_engine::backend::{
    Backend, BackendError, Completion, Multiplication, Noised, Output, Prepared, Watch, Winner,
};
use poai_engine::execute::{Device, Mining, RunOptions, Session};
use poai_engine::operand::pseudorandom;
use poai_engine::{Cpu, MineOptions, Operand};
use poai_testing::emulated::{self, Settings, counted};
use poai_testing::tester;
use poai_testing::zoo;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

const FILES: [&str; 7] =
    ["check", "commit", "noise", "product_dp4a", "product_mma", "product_wgmma", "recover"];

const TWO: (&str, &str) = ("POAI_EMULATED_GPUS", "2");
const THREE: (&str, &str) = ("POAI_EMULATED_GPUS", "3");
const EARLY: (&str, &str) = ("POAI_EMULATED_STREAMS", "early");
const RANDOM: (&str, &str) = ("POAI_EMULATED_STREAMS", "random7");

/// Runs `check` in a process whose driver is the emulated one.
fn with_driver(all: &[Settings<'_>], check: impl FnOnce()) {
    emulated::with_driver(&FILES, all, check);
}

/// All GPUs; they split every product of two tiles of rows or more.
fn multi() -> MultiGpu {
    let opened = gpus().unwrap().iter().map(|gpu| Cuda::open(gpu).unwrap()).collect();
    MultiGpu::new(opened).unwrap().share_bytes(0)
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

/// The reports of a product. The report with the number `stop_at` asks to stop;
/// later reports do not.
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

/// Waits until only `before` threads are left: a joined thread may be listed
/// for a moment more.
fn none_left(before: usize) {
    for _ in 0..1000 {
        if threads() == before {
            return;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    panic!("{} threads, {before} before", threads());
}

fn error_of(error: BackendError) -> MultiGpuError {
    match error {
        BackendError::Device(error) => *error.downcast::<MultiGpuError>().unwrap(),
        other => panic!("{other}"),
    }
}

#[test]
fn two_cards_pass_the_tester() {
    with_driver(&[&[TWO], &[TWO, EARLY]], || {
        let multi = multi();
        assert_eq!((multi.name(), multi.gpus().len()), ("cuda-multi", 2));
        tester::check_today(&multi);
    });
}

/// One GPU of each variant, so that shares have different sizes.
#[test]
fn three_cards_of_three_kinds_pass_the_tester() {
    let settings = [THREE, RANDOM, ("POAI_EMULATED_CAPABILITY", "6.1,9.0,8.0")];
    with_driver(&[&settings], || {
        let multi = multi();
        let variants: Vec<_> = multi.gpus().iter().map(Cuda::variant).collect();
        assert_eq!(variants, [Variant::Dp4a, Variant::Wgmma, Variant::Mma]);
        tester::check_today(&multi);
    });
}

/// If a share has a minimum size, small products stay on one GPU. Products
/// around the minimum are the same as on the processor.
#[test]
fn small_products_go_to_one_card() {
    let settings = [TWO, ("POAI_EMULATED_CAPABILITY", "6.1,8.0")];
    with_driver(&[&settings], || {
        let multi = multi().share_bytes(32 * 256);
        let cpu = Cpu::new();
        // Weights are 512 and 2048: a fifth and four fifths.
        for (rows, split) in [(32, false), (64, false), (96, true), (192, true)] {
            let mut seen = vec![];
            for backend in [&multi as &dyn Backend, &cpu] {
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
                    // One band of the rows of each GPU.
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
    with_driver(&[&settings], || {
        let multi = multi();
        for (rows, k) in [(32, 128), (64, 1024), (544, 128), (1056, 384)] {
            for side in [Side::A, Side::B] {
                let operand = operand(side, rows, k);
                let expected = Tree::new(operand.as_bytes());
                let prepared = multi.prepare(operand).unwrap();
                assert_eq!(format!("{:?}", prepared.tree()), format!("{expected:?}"), "{rows}×{k}");
            }
        }
    });
}

/// A watch that stops one GPU stops all of them, and no thread goes on.
#[test]
fn stopping_stops_every_card() {
    let settings = [THREE, ("POAI_EMULATED_MULTIPROCESSORS", "1")];
    with_driver(&[&settings], || {
        let multi = multi();
        // Two bands for each GPU: in one band, one multiprocessor computes 32
        // blocks of 128×256, and 4096 columns are 16 blocks.
        let pair = pair(&multi, [3 * 512, 4096, 128]);
        // The pool that hashes small matrices keeps its threads.
        let before = threads();
        let watch = Seen::new(1);
        let stopped = multi.multiply(&job(&pair), Output::Tickets, &watch).unwrap();
        assert_eq!(stopped, Completion::Stopped);
        let advances = watch.advances.into_inner().unwrap();
        // No GPU went on after its first band.
        assert!((1..=3).contains(&advances.len()), "{advances:?}");
        assert!(advances.iter().all(|tiles| *tiles == 8 * 128), "{advances:?}");
        none_left(before);
    });
}

/// A panic of the watch reaches the caller after the other GPUs have stopped.
#[test]
fn a_watch_that_panics_leaves_no_thread() {
    struct Panics;
    impl Watch for Panics {
        fn winner(&self, _: Winner) {}
        fn advance(&self, _: u64) -> ControlFlow<()> {
            panic!("seen by the caller")
        }
    }
    with_driver(&[&[TWO]], || {
        let multi = multi();
        let pair = pair(&multi, [128, 64, 128]);
        // The pool that hashes small matrices keeps its threads.
        let before = threads();
        let multiply = || multi.multiply(&job(&pair), Output::Tickets, &Panics);
        let panic = std::panic::catch_unwind(std::panic::AssertUnwindSafe(multiply)).unwrap_err();
        assert_eq!(panic.downcast_ref(), Some(&"seen by the caller"));
        none_left(before);
    });
}

/// One of three GPUs fails in the middle of a product: the error names it, and
/// the others still work.
#[test]
fn the_card_that_failed_is_named() {
    // The kernels of GPU 1: check, then both sides' noise (3 kernels each),
    // then the product.
    let settings = [THREE, ("POAI_EMULATED_FAIL", "cuLaunchKernel:8:719:1")];
    with_driver(&[&settings], || {
        let multi = multi();
        let pair = pair(&multi, [192, 64, 128]);
        // The pool that hashes small matrices keeps its threads.
        let before = threads();
        let watch = Seen::new(usize::MAX);
        let error = multi.multiply(&job(&pair), Output::Tickets, &watch).unwrap_err();
        let error = error_of(error);
        let text = error.to_string();
        assert!(
            matches!(error, MultiGpuError::Gpu { ordinal: 1, source: CudaError::Kernel { .. } }),
            "{error:?}"
        );
        assert!(text.starts_with("GPU 1 of those used together: a kernel failed on"), "{text}");
        none_left(before);
        let error = error_of(multi.prepare(operand(Side::B, 32, 128)).unwrap_err());
        assert!(matches!(error, MultiGpuError::Gpu { ordinal: 1, .. }), "{error:?}");
        tester::compare(
            &MultiGpu::new([0, 2].map(|i| multi.gpus()[i].clone()).into()).unwrap(),
            &tester::Case {
                params: Params::CONSENSUS,
                a: pseudorandom(b"a", 64, 128),
                bt: pseudorandom(b"b", 32, 128),
                challenge: poai_core::Challenge([1; 32]),
            },
            "the GPUs that are left",
        );
    });
}

/// A GPU that fails stops the others before their next band.
#[test]
fn a_card_that_fails_stops_the_others() {
    /// Lets GPU 1 continue once GPU 0's thread has ended.
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
    // The launch fails as above, but on GPU 0. With no multiprocessors to keep
    // busy, a band is one row of blocks: each GPU has 8.
    let settings = [
        TWO,
        ("POAI_EMULATED_MULTIPROCESSORS", "0"),
        ("POAI_EMULATED_FAIL", "cuLaunchKernel:8:719"),
    ];
    with_driver(&[&settings], || {
        let multi = multi();
        let pair = pair(&multi, [2 * 8 * 128, 32, 128]);
        let watch = Behind { threads: threads(), advances: AtomicUsize::new(0) };
        let error = error_of(multi.multiply(&job(&pair), Output::Tickets, &watch).unwrap_err());
        assert!(matches!(error, MultiGpuError::Gpu { ordinal: 0, .. }), "{error:?}");
        assert_eq!(watch.advances.into_inner(), 1);
        none_left(watch.threads);
    });
}

/// A handle is accepted only by the backend that made it. The test tries GPUs
/// that work together, others that do, one GPU alone, another of the same kind,
/// and the same GPU opened once more.
#[test]
fn handles_stay_with_their_cards() {
    with_driver(&[&[TWO]], || {
        let multi = multi();
        let [alone, other] = [0, 1].map(|gpu| multi.gpus()[gpu].clone());
        let again = Cuda::open(alone.gpu().info()).unwrap();
        let others = MultiGpu::new(multi.gpus().iter().rev().cloned().collect()).unwrap();
        let seed = Seed([1; 32]);
        let all: [&dyn Backend; 5] = [&multi, &others, &alone, &other, &again];
        assert!(alone.name() == other.name() && alone.name() == again.name());
        let made = all.map(|backend| pair(backend, [64, 32, 128]));
        let sides = |[a, b]: &[(Prepared, Noised); 2], of: &dyn Backend| {
            [&a.0, &b.0].map(|side| of.pack(side).unwrap())
        };
        let packed: Vec<_> = made.iter().zip(all).map(|(made, of)| sides(made, of)).collect();
        for (i, backend) in all.into_iter().enumerate() {
            // The maker of A and the maker of B.
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
        // Clones are the same GPUs.
        multi.clone().noise(&seed, &made[0][0].0).unwrap();
        alone.clone().noise(&seed, &made[2][0].0).unwrap();
    });
}

/// Programs run product by product, with rows on both GPUs, and give the
/// processor's outputs, traces and proofs.
#[test]
fn programs_leave_the_cpus_traces() {
    with_driver(&[&[TWO], &[TWO, EARLY]], || {
        let multi = Arc::new(multi());
        let run = |batch, sequence| RunShape::new(batch, sequence);
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
            let options = RunOptions::new().mine(mining);
            let on = |backend: Arc<dyn Device>| {
                let model = Session::new(network.clone(), backend).unwrap();
                assert!(!model.is_resident());
                let run = model.trace_with((run, inputs.clone()), &options).unwrap();
                let proofs: Vec<_> = run.mined.iter().map(|step| step.found.proof()).collect();
                (run.output, run.trace.root(), proofs)
            };
            let before = counted("fewest_launches");
            let shared = on(multi.clone());
            assert!(counted("fewest_launches") > before, "both GPUs had rows");
            assert!(shared == on(Arc::new(Cpu::new())), "{mined} products mined");
            assert_eq!(shared.2.len(), mined);
        }
    });
}

#[test]
fn names_choose_cards() {
    let settings = [THREE, ("POAI_EMULATED_CAPABILITY", "9.0,5.2,8.0")];
    with_driver(&[&settings], || {
        let open = |name| choose::by_name(name).expect("a GPU's name");
        for (name, opened) in [
            ("cuda", "cuda-wgmma"),
            ("cuda:2", "cuda-mma"),
            ("cuda:2,0", "cuda-multi"),
            ("cuda:all", "cuda-multi"),
            ("cuda-dp4a:0,2", "cuda-multi"),
            // A selection of one GPU opens that GPU alone.
            ("cuda-wgmma:all", "cuda-wgmma"),
        ] {
            assert_eq!(open(name).unwrap().name(), opened, "{name}");
        }
        let none = CudaError::NoOrdinal { ordinal: 3, count: 3 };
        assert_eq!(open("cuda:0,3").unwrap_err(), MultiGpuError::Cuda(none));
        assert_eq!(open("cuda:0,2,0").unwrap_err(), MultiGpuError::Twice { ordinal: 0 });
        let error = open("cuda:0,1").unwrap_err();
        let old =
            matches!(error, MultiGpuError::Gpu { ordinal: 1, source: CudaError::TooOld { .. } });
        assert!(old, "{error}");
        let error = open("cuda-wgmma:0,2").unwrap_err().to_string();
        assert!(error.starts_with("GPU 2 ") && error.contains("for cuda-wgmma, got"), "{error}");

        let gpu = gpus().unwrap().remove(0);
        let gpu = Cuda::open(&gpu).unwrap();
        let twice = MultiGpu::new(vec![gpu.clone(), gpu]).unwrap_err();
        assert_eq!(twice, MultiGpuError::Twice { ordinal: 0 });
        assert_eq!(MultiGpu::new(vec![]).unwrap_err(), MultiGpuError::Empty);
    });
}
