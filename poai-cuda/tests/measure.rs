//! The module `measure` on whatever card there is, and on an emulated one
//! (`emulated/driver.cpp`): steps by themselves leave what the CPU leaves, and
//! memory that is too small is refused.

mod host;

use host::compile;
use poai_core::backend::Backend;
use poai_core::operand::test_challenge;
use poai_core::seeds::{seed_a, seed_b};
use poai_core::{Cpu, Difficulty, Operand, Params, Shape, Side};
use poai_cuda::measure::{Measure, tickets};
use poai_cuda::{Cuda, CudaError, Variant, devices};
use std::path::Path;
use std::process::Command;
use std::{env, fs};

const P: Params = Params::CONSENSUS;
const SHAPE: Shape = Shape { m: 96, n: 160, k: 1024 };

/// Every variant of the first card; none, and a line that says so, without.
fn cards() -> Vec<Cuda> {
    let device = match devices() {
        Ok(mut list) => list.remove(0),
        Err(error @ (CudaError::NoDriver | CudaError::NoDevice)) => {
            println!("SKIPPED: no card: {error}");
            return vec![];
        }
        Err(error) => panic!("{error}"),
    };
    let open = |variant| match Cuda::forced(&device, variant) {
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
    for cuda in cards() {
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

        // Every tile wins, so that winners and all tickets are the same list.
        let target = Difficulty::ONE.target(&P, SHAPE.k);
        let draw = measure.draw(&of_a, &target, Some(&SHAPE)).unwrap();
        let c = measure.empty(4 * u64::from(SHAPE.m * SHAPE.n)).unwrap();
        let recovery = measure.recovery(&noised_a, &noised_b).unwrap();
        measure.exact(&noised_a, &noised_b, &draw, &recovery, &c).unwrap();
        let on_card = draw.tickets().unwrap();
        let mut bytes = vec![0; on_card.bytes() as usize];
        measure.download(on_card, 0, &mut bytes).unwrap();
        let mut winners = measure.winners(&draw).unwrap();
        winners.sort_by_key(|winner| (winner.tile.row, winner.tile.column));
        let of_winners: Vec<_> = winners.iter().map(|winner| winner.ticket).collect();
        assert_eq!(tickets(&bytes), of_winners);
        assert_eq!(of_winners.len() as u64, SHAPE.tickets(&P));

        let mut product = vec![0; (SHAPE.m * SHAPE.n) as usize];
        let [a, bt] = [&on_cpu_a, &on_cpu_b].map(|side| cpu.pack(side).unwrap());
        cpu.product(&a, &bt, &mut product).unwrap();
        let product: Vec<u8> = product.iter().flat_map(|entry| entry.to_le_bytes()).collect();
        assert_eq!(measure.tree(&c).unwrap().root().0, *blake3::hash(&product).as_bytes());
        println!("{} agrees with the CPU, step by step", cuda.name());
    }
}

#[test]
fn what_does_not_fit_is_refused() {
    for cuda in cards() {
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
        let other = measure.recovery(&noised_b, &noised_a).unwrap();
        refused(measure.exact(&noised_a, &noised_b, &draw, &other, &c));
        let few = Shape { m: 32, ..SHAPE };
        let draw = measure.draw(&seed, &target, Some(&few)).unwrap();
        refused(measure.ticketed(&noised_a, &noised_b, &draw, None));
        measure.plain(&on_a, &on_b, &c, &SHAPE).unwrap();
        assert!(measure.milliseconds(|| measure.plain(&on_a, &on_b, &c, &SHAPE)).unwrap() >= 0.0);
    }
}

/// Both again, in a process that finds the emulated driver before any other.
#[cfg(target_os = "linux")]
#[test]
fn the_same_holds_on_an_emulated_card() {
    let files =
        ["check", "commit", "noise", "product_dp4a", "product_mma", "product_wgmma", "recover"];
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("measure");
    fs::create_dir_all(&folder).unwrap();
    let mut kernels = vec![];
    for file in files {
        let source = fs::read_to_string(compile::folder("kernels").join(format!("{file}.cu")));
        let library = folder.join(format!("{file}.so"));
        let text = format!("#include \"simt.cuh\"\n#include \"{file}.cu\"");
        let names = compile::names(&source.unwrap());
        // It says SKIPPED itself.
        let Some(_) = compile::build(&text, &names, &[], &library) else { return };
        kernels.push(library.into_os_string().into_string().unwrap());
    }
    let mut driver = Command::new("c++");
    driver.args(["-std=c++17", "-O1", "-shared", "-fPIC"]);
    driver.arg(compile::folder("tests/emulated/driver.cpp")).arg("-o");
    assert!(driver.arg(folder.join("libcuda.so")).arg("-ldl").status().unwrap().success());
    let search = env::var_os("LD_LIBRARY_PATH").unwrap_or_default();
    let search = [folder].into_iter().chain(env::split_paths(&search));
    let search = env::join_paths(search).unwrap();
    for test in ["steps_leave_what_the_cpu_leaves", "what_does_not_fit_is_refused"] {
        let mut again = Command::new(env::current_exe().unwrap());
        again.args(["--exact", test, "--nocapture"]);
        again.env("LD_LIBRARY_PATH", &search);
        again.env("POAI_EMULATED_KERNELS", kernels.join(":"));
        let output = again.env("POAI_EMULATED_CAPABILITY", "9.0").output().unwrap();
        let seen = String::from_utf8_lossy(&output.stdout).into_owned();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{seen}\n{errors}");
        assert!(seen.contains("ok. 1 passed") && !seen.contains("SKIPPED"), "{seen}");
    }
}
