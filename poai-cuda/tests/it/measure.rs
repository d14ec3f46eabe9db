//! The module `measure` on any GPU of this machine, and on an emulated one
//! (`poai-testing/emulated/driver.cpp`). Single steps leave what the CPU
//! leaves, and memory that is too small is refused.

use poai_core::puzzle::seeds::{seed_a, seed_b};
use poai_core::{Difficulty, Params, Shape, Side};
use poai_cuda::measure::{Measure, tickets};
use poai_cuda::{Cuda, CudaError, Variant, gpus};
use poai_engine::backend::{Backend, BackendError, Winner};
use poai_engine::operand::test_challenge;
use poai_engine::{Cpu, Operand};

const P: Params = Params::CONSENSUS;
const SHAPE: Shape = Shape { m: 96, n: 160, k: 1024 };

/// Every variant of the first GPU. Without a GPU it prints a SKIPPED line and
/// returns an empty list.
fn opened() -> Vec<Cuda> {
    let gpu = match gpus() {
        Ok(mut list) => list.remove(0),
        Err(error @ (CudaError::NoDriver | CudaError::NoGpu)) => {
            println!("SKIPPED: no GPU: {error}");
            return vec![];
        }
        Err(error) => panic!("{error}"),
    };
    let open = |variant| match Cuda::forced(&gpu, variant) {
        Err(error @ CudaError::NoVariant { .. }) => {
            println!("SKIPPED: {error}");
            None
        }
        opened => Some(opened.unwrap()),
    };
    Variant::ALL.into_iter().filter_map(open).collect()
}

fn operand(side: Side, rows: u32) -> Operand {
    Operand::pseudorandom(&P, side, b"measure", rows as usize, SHAPE.k as usize).unwrap()
}

#[test]
fn steps_leave_what_the_cpu_leaves() {
    check_steps();
}

#[test]
fn what_does_not_fit_is_refused() {
    check_bounds();
}

#[test]
fn other_parameters_are_refused() {
    check_parameters();
}

#[test]
fn data_of_another_card_is_refused() {
    check_owner();
}

fn sorted(mut winners: Vec<Winner>) -> Vec<Winner> {
    winners.sort_by_key(|winner| winner.tile);
    winners
}

fn check_steps() {
    for cuda in opened() {
        let measure = Measure::new(&cuda).unwrap();
        let (a, bt) = (operand(Side::A, SHAPE.m), operand(Side::B, SHAPE.n));
        let cpu = Cpu::new();
        let [on_cpu_a, on_cpu_b] = [&a, &bt].map(|side| cpu.prepare(side.clone()).unwrap());
        let [on_a, on_b] = [&a, &bt].map(|side| measure.upload(side.as_bytes()).unwrap());
        assert_eq!(measure.tree(&on_a).unwrap().root(), on_cpu_a.root());

        let of_b = seed_b(&P, &test_challenge(b"measure"), SHAPE.n, SHAPE.k, on_cpu_b.root());
        let of_a = seed_a(&of_b, SHAPE.m, on_cpu_a.root());
        let noised_a = measure.noise(&of_a, &a, &on_a).unwrap();
        let noised_b = measure.noise(&of_b, &bt, &on_b).unwrap();
        let expected = cpu.noise(&of_a, &on_cpu_a).unwrap();
        let expected = cpu.noised_entries(&expected).unwrap();
        assert_eq!(measure.noised_entries(&noised_a).unwrap(), expected);

        // Every tile wins, so the winners and all tickets are the same list.
        let target = Difficulty::ONE.target(&P, SHAPE.k);
        let draw = measure.draw(&of_a, &target, Some(&SHAPE)).unwrap();
        let c = measure.empty(4 * u64::from(SHAPE.m * SHAPE.n)).unwrap();
        let recovery = measure.recovery(&noised_a, &noised_b).unwrap();
        measure.exact(&noised_a, &noised_b, &draw, &recovery, &c).unwrap();
        let on_gpu = draw.tickets().unwrap();
        let mut bytes = vec![0; on_gpu.bytes() as usize];
        measure.download(on_gpu, 0, &mut bytes).unwrap();
        let winners = sorted(measure.winners(&draw).unwrap());
        let of_winners: Vec<_> = winners.iter().map(|winner| winner.ticket).collect();
        assert_eq!(tickets(&bytes), of_winners);
        assert_eq!(of_winners.len() as u64, SHAPE.tickets(&P));

        // The backend's own path finds the same winners.
        let by_bands = measure.empty(c.bytes()).unwrap();
        let found = measure.mine(&noised_a, &noised_b, &of_a, &target, Some(&by_bands)).unwrap();
        assert_eq!(sorted(found), winners);
        let found = measure.mine(&noised_a, &noised_b, &of_a, &target, None).unwrap();
        assert_eq!(sorted(found), winners);
        let roots = [&c, &by_bands].map(|product| *measure.tree(product).unwrap().root());
        assert_eq!(roots[0], roots[1]);

        let mut product = vec![0; (SHAPE.m * SHAPE.n) as usize];
        let [a, bt] = [&on_cpu_a, &on_cpu_b].map(|side| cpu.pack(side).unwrap());
        cpu.product(&a, &bt, &mut product).unwrap();
        let product: Vec<u8> = product.iter().flat_map(|entry| entry.to_le_bytes()).collect();
        assert_eq!(measure.tree(&c).unwrap().root().0, *blake3::hash(&product).as_bytes());
        println!("{} agrees with the CPU, step by step", cuda.name());
    }
}

fn check_bounds() {
    for cuda in opened() {
        let measure = Measure::new(&cuda).unwrap();
        let (a, bt) = (operand(Side::A, SHAPE.m), operand(Side::B, SHAPE.n));
        let [on_a, on_b] = [&a, &bt].map(|side| measure.upload(side.as_bytes()).unwrap());
        let seed = seed_b(&P, &test_challenge(b"measure"), SHAPE.n, SHAPE.k, &Default::default());
        let entries = u64::from(SHAPE.m) * u64::from(SHAPE.n);
        let (small, c) =
            (measure.empty(4 * entries - 1).unwrap(), measure.empty(4 * entries).unwrap());
        let refused = |result: Result<(), CudaError>| assert_eq!(result, Err(CudaError::Bounds));

        refused(measure.plain(&on_a, &on_b, &small, &SHAPE));
        refused(measure.plain(&on_b, &on_a, &c, &SHAPE));
        for shape in [Shape { k: 1000, ..SHAPE }, Shape { m: 90, ..SHAPE }, Shape { n: 0, ..SHAPE }]
        {
            refused(measure.plain(&on_a, &on_b, &c, &shape));
        }
        refused(measure.noise(&seed, &bt, &on_a).map(drop));
        refused(measure.noise_kernels(&seed, &bt, &on_a).map(drop));
        let noised_a = measure.noise(&seed, &a, &on_a).unwrap();
        let noised_b = measure.noise(&seed, &bt, &on_b).unwrap();
        let target = Difficulty::ONE.target(&P, SHAPE.k);
        let draw = measure.draw(&seed, &target, None).unwrap();
        refused(measure.ticketed(&noised_a, &noised_b, &draw, Some(&small)));
        let mined = measure.mine(&noised_a, &noised_b, &seed, &target, Some(&small));
        assert!(
            matches!(mined, Err(BackendError::Device(error)) if error.to_string() == CudaError::Bounds.to_string())
        );
        let other = measure.recovery(&noised_b, &noised_a).unwrap();
        refused(measure.exact(&noised_a, &noised_b, &draw, &other, &c));
        let few = Shape { m: 32, ..SHAPE };
        let draw = measure.draw(&seed, &target, Some(&few)).unwrap();
        refused(measure.ticketed(&noised_a, &noised_b, &draw, None));
        measure.plain(&on_a, &on_b, &c, &SHAPE).unwrap();
        let plain = || measure.plain(&on_a, &on_b, &c, &SHAPE);
        assert!(measure.milliseconds(plain).unwrap() > 0.0);
    }
}

/// The kernels are made for one rank: for a smaller one, the number of steps
/// would be 0.
fn check_parameters() {
    for cuda in opened() {
        let measure = Measure::new(&cuda).unwrap();
        let seed = seed_b(&P, &test_challenge(b"measure"), 64, 64, &Default::default());
        for (rank, tile) in [(64, 32), (128, 64)] {
            let params = Params::new(rank, tile).unwrap();
            let k = usize::from(rank);
            let other = Operand::pseudorandom(&params, Side::A, b"measure", 64, k).unwrap();
            let on_gpu = measure.upload(other.as_bytes()).unwrap();
            let expected = CudaError::Unsupported { rank: k, tile: tile.into() };
            assert_eq!(measure.noise(&seed, &other, &on_gpu).unwrap_err(), expected);
            assert_eq!(measure.noise_kernels(&seed, &other, &on_gpu).unwrap_err(), expected);
        }
    }
}

/// Data of another opening of the GPU is not in this opening's queues.
fn check_owner() {
    for cuda in opened() {
        let own = Measure::new(&cuda).unwrap();
        let again = Cuda::forced(cuda.gpu().info(), cuda.variant()).unwrap();
        let other = Measure::new(&again).unwrap();
        let (a, bt) = (operand(Side::A, SHAPE.m), operand(Side::B, SHAPE.n));
        let seed = seed_b(&P, &test_challenge(b"measure"), SHAPE.n, SHAPE.k, &Default::default());
        let target = Difficulty::ONE.target(&P, SHAPE.k);
        // On each: both operands, room for the product, and everything made
        // from them.
        let made = [&own, &other].map(|measure| {
            let [on_a, on_b] = [&a, &bt].map(|side| measure.upload(side.as_bytes()).unwrap());
            let c = measure.empty(4 * u64::from(SHAPE.m * SHAPE.n)).unwrap();
            let noised_a = measure.noise(&seed, &a, &on_a).unwrap();
            let noised_b = measure.noise(&seed, &bt, &on_b).unwrap();
            let draw = measure.draw(&seed, &target, Some(&SHAPE)).unwrap();
            let recovery = measure.recovery(&noised_a, &noised_b).unwrap();
            (on_a, on_b, c, noised_a, noised_b, draw, recovery)
        });
        let [(on_a, on_b, c, a1, b1, draw, recovery), others] = &made;
        let (their_a, their_b, their_c, a2, b2, their_draw, their_recovery) = others;
        let foreign = CudaError::Foreign { name: cuda.gpu().info().name.clone() };
        let refused = |result: Result<(), CudaError>| assert_eq!(result, Err(foreign.clone()));

        refused(own.tree(their_a).map(drop));
        refused(own.download(their_a, 0, &mut [0]));
        refused(own.commit_kernels(their_a).map(drop));
        refused(own.noise(&seed, &a, their_a).map(drop));
        refused(own.noise_kernels(&seed, &a, their_a).map(drop));
        refused(own.noised_entries(a2).map(drop));
        refused(own.recover_kernels(a2).map(drop));
        refused(own.winners(their_draw).map(drop));
        for (a, b, c) in [(their_a, on_b, c), (on_a, their_b, c), (on_a, on_b, their_c)] {
            refused(own.plain(a, b, c, &SHAPE));
        }
        for (a, b, c) in [(a2, b1, c), (a1, b2, c), (a1, b1, their_c)] {
            refused(own.plain_noised(a, b, c));
            refused(own.ticketed(a, b, draw, Some(c)));
            refused(own.exact(a, b, draw, recovery, c));
            let mined = own.mine(a, b, &seed, &target, Some(c)).unwrap_err();
            assert!(
                matches!(&mined, BackendError::Device(error) if error.to_string() == foreign.to_string()),
                "{mined}"
            );
        }
        refused(own.recovery(a2, b1).map(drop));
        refused(own.recovery(a1, b2).map(drop));
        refused(own.ticketed(a1, b1, their_draw, None));
        refused(own.exact(a1, b1, their_draw, recovery, c));
        refused(own.exact(a1, b1, draw, their_recovery, c));
        own.exact(a1, b1, draw, recovery, c).unwrap();
        own.wait().unwrap();
    }
}

/// Runs all of them on the emulated GPU, in every order of its streams.
#[cfg(target_os = "linux")]
mod emulated {
    use poai_testing::emulated::{Settings, with_driver};

    const FILES: [&str; 7] =
        ["check", "commit", "noise", "product_dp4a", "product_mma", "product_wgmma", "recover"];
    const HOPPER: (&str, &str) = ("POAI_EMULATED_CAPABILITY", "9.0");
    const ORDERS: [Settings<'_>; 3] = [
        &[HOPPER, ("POAI_EMULATED_STREAMS", "late")],
        &[HOPPER, ("POAI_EMULATED_STREAMS", "early")],
        &[HOPPER, ("POAI_EMULATED_STREAMS", "random3")],
    ];

    fn with_gpus(settings: &[Settings<'_>], check: fn()) {
        with_driver(&FILES, settings, || {
            assert_eq!(super::opened().len(), 3);
            check();
        });
    }

    #[test]
    fn steps_leave_what_the_cpu_leaves() {
        with_gpus(&ORDERS, super::check_steps);
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        with_gpus(&ORDERS[..1], super::check_bounds);
    }

    #[test]
    fn other_parameters_are_refused() {
        with_gpus(&ORDERS[..1], super::check_parameters);
    }

    #[test]
    fn data_of_another_card_is_refused() {
        with_gpus(&ORDERS[..1], super::check_owner);
    }
}
