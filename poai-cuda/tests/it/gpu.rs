//! Tests that need a GPU: the shared tester, the vectors, the CPU and the GPU
//! in lock step, and a soak of mining. Without a GPU every test prints that it
//! was skipped.
//!
//! `scripts/gpu-suite.sh` runs these at length. Environment variables set the
//! sizes. `POAI_DUAL_CASES` products, and the same number of programs, run in
//! lock step. `POAI_DUAL_SEED` draws them, and `POAI_DUAL_SECONDS` limits each
//! kind. `POAI_EDGE_CASES` of the steps' edge cases run. Mining runs for
//! `POAI_SOAK_SECONDS`, on products of at most `POAI_SOAK_TILES` tiles a side.

pub mod drawn;
use poai_core::params::{ENTRY_MAX, ENTRY_MIN};
use poai_core::program::RunShape;
use poai_core::*;
use poai_cuda::{Cuda, CudaError, Variant, gpus};
use poai_engine::backend::Backend;
use poai_engine::execute::{Mining, Network, RunOptions, Session, Tensor};
use poai_engine::operand::{Padded, pseudorandom, test_challenge};
use poai_engine::*;
use poai_testing::dual::Dual;
use poai_testing::edges;
use poai_testing::tester::{self, Case};
use poai_testing::training;
use poai_testing::zoo;
use poai_verify::{Rules, Seed32, Verifier, check_product};
use serde_json::Value;
use std::collections::BTreeSet;
use std::env;
use std::fmt::Debug;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Every variant of every GPU. Without a GPU it prints a SKIPPED line and
/// returns an empty list. A GPU that does not work is a failure.
fn opened() -> Vec<Cuda> {
    let list = match gpus() {
        Ok(list) => list,
        Err(error @ (CudaError::NoDriver | CudaError::NoGpu)) => {
            println!("SKIPPED: no GPU: {error}");
            return vec![];
        }
        Err(error) => panic!("{error}"),
    };
    let mut opened = vec![];
    for gpu in &list {
        if let Err(error) = gpu.check_supported() {
            println!("SKIPPED: {error}");
            continue;
        }
        for variant in Variant::ALL {
            match Cuda::forced(gpu, variant) {
                Ok(cuda) => opened.push(cuda),
                Err(error @ CudaError::NoVariant { .. }) => println!("SKIPPED: {error}"),
                Err(error) => panic!("{error}"),
            }
        }
    }
    if opened.is_empty() {
        println!("SKIPPED: no GPU that the kernels run on");
    }
    opened
}

/// A number set in the environment.
fn setting(name: &str, default: u64) -> u64 {
    match env::var(name) {
        Ok(text) => text.parse().unwrap_or_else(|error| panic!("{name}={text}: {error}")),
        Err(_) => default,
    }
}

fn described(cuda: &Cuda) -> String {
    let gpu = cuda.gpu().info();
    format!("{} on {} ({})", cuda.name(), gpu.name, gpu.ordinal)
}

/// The CPU's fastest backend and a GPU in lock step.
fn dual(cuda: &Cuda) -> Arc<Dual> {
    Arc::new(Dual::new(Arc::new(Cpu::new()), Arc::new(cuda.clone())))
}

/// Pseudo-random numbers that depend on a name.
pub struct Draw(blake3::OutputReader);

impl Draw {
    pub fn new(name: &str) -> Draw {
        Draw(blake3::Hasher::new().update(name.as_bytes()).finalize_xof())
    }

    /// A number in 0..end, almost uniform.
    pub fn below(&mut self, end: u64) -> u64 {
        let mut bytes = [0; 8];
        self.0.fill(&mut bytes);
        u64::from_le_bytes(bytes) % end
    }

    /// A number in min..=max, almost uniform.
    fn within(&mut self, (min, max): (i32, i32)) -> i32 {
        let span = (i64::from(max) - i64::from(min) + 1) as u64;
        (i64::from(min) + self.below(span) as i64) as i32
    }

    fn of<T: Copy>(&mut self, list: &[T]) -> T {
        list[self.below(list.len() as u64) as usize]
    }

    /// The size, changed by at most 40 either way.
    fn around(&mut self, size: usize) -> usize {
        size - 40 + self.below(81) as usize
    }
}

/// A product of any shape, padded; one in four has only extreme entries.
fn product(name: &str, [m, n, k]: [usize; 3], fill: u64) -> Case {
    let side = |side: &str, rows| {
        let entries = pseudorandom(format!("{name}/{side}").as_bytes(), rows, k);
        entries.mapv(|entry| match fill {
            0 => {
                if entry < 0 {
                    ENTRY_MIN
                } else {
                    ENTRY_MAX
                }
            }
            _ => entry,
        })
    };
    let padded = Padded::new(&Params::CONSENSUS, side("a", m), side("b", n)).unwrap();
    let [a, bt] =
        [padded.operands().a(), padded.operands().bt()].map(|operand| operand.entries().to_owned());
    Case { params: Params::CONSENSUS, a, bt, challenge: test_challenge(name.as_bytes()) }
}

#[test]
fn every_variant_passes_the_tester() {
    for cuda in opened() {
        tester::check(&cuda);
        println!("{} agrees with the reference", described(&cuda));
    }
}

/// Every kernel of mining, at sizes small enough for the sanitizers.
#[test]
fn products_at_small_sizes() {
    for cuda in opened() {
        for (m, n, k) in [(97, 161, 300), (32, 32, 128), (160, 32, 1152)] {
            let name = format!("{m}×{n}×{k}");
            tester::compare(&cuda, &product(&name, [m, n, k], 1), &name);
        }
        println!("{} agrees with the reference", described(&cuda));
    }
}

/// Runs cases in lock step, on the GPUs in turn, until the time is over.
fn lock_step(what: &str, mut case: impl FnMut(&str, &Cuda)) {
    let opened = opened();
    if opened.is_empty() {
        return;
    }
    let (seed, cases) = (setting("POAI_DUAL_SEED", 0), setting("POAI_DUAL_CASES", 100));
    let lasting = Duration::from_secs(setting("POAI_DUAL_SECONDS", 3600));
    let (start, mut done) = (Instant::now(), 0);
    for (index, cuda) in (0..cases).zip(opened.iter().cycle()) {
        if start.elapsed() >= lasting {
            break;
        }
        case(&format!("{what} {index} of seed {seed}"), cuda);
        done += 1;
    }
    assert!(done > 0, "POAI_DUAL_CASES and POAI_DUAL_SECONDS leave nothing to do");
    println!("DONE: {done} of {cases}");
}

/// Products around the sizes of blocks and bands.
#[test]
fn products_in_lock_step_with_the_cpu() {
    lock_step("product", |name, cuda| {
        let mut draw = Draw::new(name);
        let sizes = [(); 3].map(|()| {
            let size = draw.of(&[64, 128, 256]);
            draw.around(size)
        });
        println!("{name}: {sizes:?}, {}", described(cuda));
        tester::run(&*dual(cuda), &product(name, sizes, draw.below(4)));
    });
}

/// A million entries in each operand and in the product. In the second case no
/// size is a multiple of the tile, the rank or the block.
#[test]
fn a_million_entries_in_lock_step_with_the_cpu() {
    for cuda in opened() {
        for sizes in [[1024; 3], [1000, 1050, 1100]] {
            println!("{sizes:?}, {}", described(&cuda));
            tester::run(&*dual(&cuda), &product("a million", sizes, 1));
        }
    }
}

/// The kinds of step in a network.
fn kinds(network: &Network) -> impl Iterator<Item = &'static str> {
    network.program().steps().iter().map(|step| step.op.name())
}

/// Every kind of step at its edges, and two networks that are mined, at sizes
/// small enough for the sanitizers. `POAI_EDGE_CASES` edge cases run: the first
/// of every kind before the second of any.
#[test]
fn every_step_at_small_sizes() {
    let opened = opened();
    if opened.is_empty() {
        return;
    }
    let mut cases = edges::cases();
    let (all, every) = (cases.len(), kinds_of(&cases));
    // A name ends in the case's number within its kind; the sort is stable.
    let number = |name: &str| name.rsplit(' ').next().unwrap().parse::<usize>().unwrap();
    cases.sort_by_key(|case| number(&case.name));
    cases.truncate(setting("POAI_EDGE_CASES", all as u64) as usize);
    assert_eq!(kinds_of(&cases), every, "POAI_EDGE_CASES leaves out a kind of step");
    let mut training = training::one_step_programs();
    training.extend(training::programs_without_output());
    if cases.len() < all {
        // The first two of every kind.
        let number = |name: &str| name.split(" (").next().map(number);
        training.retain(|program| number(&program.0) < Some(2));
    }

    let (encoder, classifier) = (RunShape::new(3, 20), RunShape::new(5, 1));
    let networks = [
        ("encoder", zoo::encoder(), encoder, zoo::tokens(&encoder)),
        ("classifier", zoo::classifier(), classifier, zoo::images(&classifier)),
        ("gates", zoo::gates(), classifier, zoo::small_images(&classifier)),
        ("relative", zoo::relative(), encoder, zoo::states(&encoder)),
    ];
    for cuda in &opened {
        let agree = |name: &str, network: &Network, run: &RunShape, inputs: &[Tensor], mined| {
            let options = options(name, mined);
            let on = |backend| {
                let model = Session::new(network.clone(), backend).unwrap();
                left(&model, run, inputs, &options)
            };
            let (gpu, cpu) = (on(Arc::new(cuda.clone())), on(Arc::new(Cpu::new())));
            assert!(gpu == cpu, "{name} on {}:\n{gpu:?}\n{cpu:?}", described(cuda));
            gpu
        };
        for case in &cases {
            let name = format!("{} ({})", case.name, case.about);
            // If the case has an error, the errors are compared as well.
            let _ = agree(&name, &case.network, &case.run, &case.inputs, false);
        }
        for (name, network, inputs, run) in &training {
            let _ = agree(name, network, run, inputs, false);
        }
        for (name, network, run, inputs) in &networks {
            agree(name, network, run, inputs, true).unwrap();
        }
        println!("{}: the steps agree with the CPU", described(cuda));
    }
    println!("DONE: {} of {all} edge cases, {} kinds of step", cases.len(), every.len());
}

fn kinds_of(cases: &[edges::ProgramCase]) -> BTreeSet<&'static str> {
    cases.iter().flat_map(|case| kinds(&case.network)).collect()
}

/// Drawn programs are valid, of every kind of step, and the backends of the
/// processor agree on them. This needs no GPU.
#[test]
fn drawn_programs_run_on_processors() {
    let mut seen = BTreeSet::new();
    for index in 0..400 {
        let mut draw = Draw::new(&format!("processor {index}"));
        let (batch, sequence) = (1 + draw.below(5) as u32, 1 + draw.below(9) as u32);
        let mut run = RunShape::new(batch, sequence);
        let (network, inputs) = drawn::program(&mut draw, &mut run);
        seen.extend(kinds(&network));
        let on = |backend| {
            let model = Session::new(network.clone(), backend).unwrap();
            left(&model, &run, &inputs, &RunOptions::new())
        };
        let of = |name| poai_engine::choose::by_name(name).unwrap();
        assert!(on(of("cpu-scalar")) == on(of("reference")), "{index}");
    }
    let mut every = kinds_of(&edges::cases());
    every.extend(training::one_step_programs().iter().flat_map(|program| kinds(&program.1)));
    assert_eq!(seen, every);
}

/// Drawn programs; three in sixteen are networks of the zoo at a drawn shape. Every
/// other program is mined. Each runs whole on the GPU, and product by product
/// on the CPU and the GPU at once.
#[test]
fn programs_in_lock_step_with_the_cpu() {
    let networks = [zoo::encoder(), zoo::classifier(), zoo::gates()];
    lock_step("program", |name, cuda| {
        let mut draw = Draw::new(name);
        let (batch, sequence) = (1 + draw.below(9) as u32, 1 + draw.below(64) as u32);
        let mut run = RunShape::new(batch, sequence);
        let (network, inputs) = match draw.below(16) {
            0 => (networks[0].clone(), zoo::tokens(&run)),
            1 => {
                run.sequence = 1;
                (networks[1].clone(), zoo::images(&run))
            }
            2 => {
                run.sequence = 1;
                (networks[2].clone(), zoo::small_images(&run))
            }
            _ => drawn::program(&mut draw, &mut run),
        };
        let steps: Vec<_> = kinds(&network).collect();
        println!("{name}: {run:?}, {steps:?}, {}", described(cuda));

        let cpu = Session::new(network.clone(), Arc::new(Cpu::new())).unwrap();
        let whole = Session::new(network.clone(), Arc::new(cuda.clone())).unwrap();
        let products = Session::by_products(network, dual(cuda)).unwrap();
        assert!(whole.is_resident() && !products.is_resident(), "{name}");
        let options = options(name, draw.below(2) == 0);
        let expected = left(&cpu, &run, &inputs, &options);
        for (how, model) in [("whole on the GPU", &whole), ("product by product", &products)] {
            let got = left(model, &run, &inputs, &options);
            let errors = [got.as_ref().err(), expected.as_ref().err()];
            assert!(got == expected, "{name}, {how}: errors {errors:?}");
        }
    });
}

/// Options of a traced run, mined or not.
fn options(name: &str, mined: bool) -> RunOptions {
    let options = RunOptions::new();
    if !mined {
        return options;
    }
    let of_mining = MineOptions::new(Difficulty::ONE).keep(Keep::UpTo(4));
    options.mine(Mining { challenge: test_challenge(name.as_bytes()), options: of_mining })
}

/// The results of a traced run: its output, the trace's root, and for every
/// mined step the best tickets and the winner's proof; or the text of its
/// error.
fn left(
    model: &Session,
    run: &RunShape,
    inputs: &[Tensor],
    options: &RunOptions,
) -> Result<impl PartialEq + Debug + use<>, String> {
    let run =
        model.trace_with((*run, inputs.to_vec()), options).map_err(|error| error.to_string())?;
    let mined: Vec<_> = run
        .mined
        .iter()
        .map(|step| (step.value, step.found.winners().to_vec(), step.found.proof()))
        .collect();
    Ok((run.output, run.trace.root(), mined))
}

/// Mines continuously. The verifier accepts every winner, some tiles of each
/// product are recomputed to see whether they win, and the product is checked.
#[test]
fn a_soak_of_mining_draws_no_wrong_ticket() {
    let seconds = Duration::from_secs(setting("POAI_SOAK_SECONDS", 2));
    let tiles = setting("POAI_SOAK_TILES", 8);
    let opened = opened();
    let share = seconds / opened.len().max(1) as u32;
    for cuda in opened {
        let (start, mut products, mut winners, mut sampled) = (Instant::now(), 0u64, 0, 0);
        while start.elapsed() < share || winners == 0 {
            let tag = format!("soak {products} of {}", described(&cuda));
            let (won, drawn) = mine(&cuda, &tag, tiles);
            (products, winners, sampled) = (products + 1, winners + won, sampled + drawn);
        }
        println!(
            "{}: {products} products, {winners} winners and {sampled} sampled tiles are right",
            described(&cuda)
        );
    }
}

/// Mines one product and checks it. Returns the number of winners and the
/// number of sampled tiles.
fn mine(cuda: &Cuda, tag: &str, tiles: u64) -> (u64, u64) {
    let params = Params::CONSENSUS;
    let mut draw = Draw::new(tag);
    let [m, n] = [(); 2].map(|()| params.tile() * (1 + draw.below(tiles) as usize));
    let k = params.rank() * (8 + draw.below(8) as usize);
    let operand = |side, rows| {
        Operand::pseudorandom(&params, side, format!("{tag}/{side:?}").as_bytes(), rows, k).unwrap()
    };
    let (a, bt) = (operand(Side::A, m), operand(Side::B, n));
    let challenge = test_challenge(tag.as_bytes());
    // Every fourth tile wins.
    let difficulty = Difficulty::new(4 * (params.tile() * params.tile() * k) as u128).unwrap();

    let miner = Miner::new(Arc::new(cuda.clone()));
    let [on_a, on_b] = [&a, &bt].map(|operand| miner.prepare(operand.clone()).unwrap());
    let round = miner.round(&challenge, &on_b).unwrap();
    let options = MineOptions::new(difficulty).keep(Keep::UpTo(usize::MAX));
    let mined = round.mine(&on_a, &options).unwrap();
    let found = &mined.found;

    let verifier = Verifier::new(Rules::SHARE, difficulty).unwrap();
    for winner in found.winners() {
        let proof = found.prove(winner).unwrap().to_bytes();
        let verified = verifier.verify(&challenge, &proof);
        let verified = verified.unwrap_or_else(|error| panic!("{tag}: {winner:?}: {error}"));
        assert_eq!((verified.tile, verified.ticket), (winner.tile, winner.ticket), "{tag}");
    }
    let (rows, columns) = found.statement().shape.tiles(&params);
    assert_eq!(found.drawn(), u64::from(rows) * u64::from(columns), "{tag}");
    let samples = 4;
    for _ in 0..samples {
        let tile =
            Tile { row: draw.below(rows.into()) as u32, column: draw.below(columns.into()) as u32 };
        let strip = |operand: &Operand, index: u32| {
            let bytes = params.tile() * k;
            operand.as_bytes()[index as usize * bytes..][..bytes].to_vec()
        };
        let (strip_a, strip_b) = (strip(&a, tile.row), strip(&bt, tile.column));
        let transcript =
            recompute::transcript(&params, found.seeds(), tile, k as u32, &strip_a, &strip_b);
        let transcript = transcript.unwrap();
        let ticket = puzzle::ticket::TicketKey::new(&found.seeds().a).ticket(&transcript);
        let expected = difficulty.wins(&params, k as u32, &ticket);
        let winner = Winner { tile, transcript, ticket };
        assert_eq!(found.winners().contains(&winner), expected, "{tag}: {winner:?}");
    }
    let product = mined.product.as_slice().expect("row-major");
    // A GPU does not choose its errors, so the seed need not be secret.
    let secret = Seed32(challenge.0);
    check_product(found.statement().shape, a.as_slice(), bt.as_slice(), product, &secret, 2)
        .unwrap_or_else(|error| panic!("{tag}: {error}"));
    (found.winners().len() as u64, samples)
}

fn hex32<T: From<[u8; 32]>>(value: &Value) -> T {
    let mut bytes = [0; 32];
    hex::decode_to_slice(value.as_str().expect("hex text"), &mut bytes).expect("64 hex digits");
    T::from(bytes)
}

fn digest(bytes: impl Iterator<Item = u8>) -> [u8; 32] {
    *blake3::hash(&bytes.collect::<Vec<_>>()).as_bytes()
}

/// Compares everything that a GPU computes for the consensus parameters with
/// the test vectors of an independent implementation.
#[test]
fn the_vectors_hold() {
    let opened = opened();
    let text = include_str!("../../../test_vectors/puzzle.json");
    let file: Value = serde_json::from_str(text).expect("the vector file is JSON");
    let list = file["cases"].as_array().expect("a list of cases").iter();
    let list: Vec<_> = list.filter(|value| value["rank"] == 128 && value["tile"] == 32).collect();
    assert!(!list.is_empty());
    for cuda in opened {
        list.iter().for_each(|value| check_vector(value, &cuda));
        println!("{}: {} vectors hold", described(&cuda), list.len());
    }
}

fn check_vector(value: &Value, cuda: &Cuda) {
    let params = Params::CONSENSUS;
    let name = value["tag"].as_str().expect("a tag");
    let tag = hex::decode(name).expect("hex");
    let number = |key: &str| value[key].as_u64().expect("a number") as usize;
    let operand = |suffix: &[u8], rows| pseudorandom(&[&tag, suffix].concat(), rows, number("k"));
    let (a, bt) = (operand(b"/a", number("m")), operand(b"/b", number("n")));
    let case = Case { params, a, bt, challenge: test_challenge(&tag) };

    let result = tester::run(cuda, &case);
    let of_bytes = |entries: &[i8]| digest(entries.iter().map(|&entry| entry as u8));
    let of_sums = |entries: &[i32]| digest(entries.iter().flat_map(|entry| entry.to_le_bytes()));
    for (key, got) in [
        ("noised_a", of_bytes(&result.noised_a)),
        ("noised_bt", of_bytes(&result.noised_bt)),
        ("noised_product", of_sums(&result.noised_product)),
        ("product", of_sums(&result.product)),
        ("product", of_sums(&result.plain)),
    ] {
        assert_eq!(got, hex32::<[u8; 32]>(&value[key]), "{key} of {name}");
    }
    let rows = value["tickets"].as_array().expect("rows of tickets").iter();
    let tickets: Vec<Ticket> =
        rows.flat_map(|row| row.as_array().expect("a row of tickets").iter().map(hex32)).collect();
    let got: Vec<_> = result.tickets.iter().map(|winner| winner.ticket).collect();
    assert_eq!(got, tickets, "tickets of {name}");

    let best = &value["best"];
    let operands = Operands::new(&params, case.a, case.bt).unwrap();
    let miner = Miner::new(Arc::new(cuda.clone()));
    let [a, bt] = [operands.a(), operands.bt()].map(|side| miner.prepare(side.clone()).unwrap());
    assert_eq!([*a.root(), *bt.root()], [hex32(&value["root_a"]), hex32(&value["root_b"])]);
    let edge: Difficulty = best["largest_winning_difficulty"].as_str().unwrap().parse().unwrap();
    let round = miner.round(&case.challenge, &bt).unwrap();
    let mined = round.mine(&a, edge).unwrap();
    let proof = mined.found.proof().expect("it wins at the edge").to_bytes();
    assert_eq!(digest(proof.into_iter()), hex32::<[u8; 32]>(&best["proof_blake3"]), "{name}");
}
