//! The AMX kernel. On processors without AMX, software emulates its
//! instructions.
#![cfg(all(target_os = "linux", target_arch = "x86_64"))]

use poai_core::Params;
use poai_core::simd::{ALL, Kernel};
use poai_engine::Cpu;
use poai_engine::operand::{pseudorandom, test_challenge};
use poai_testing::amx::{self, emulated};
use poai_testing::tester;

/// Entries of one rank-step of a strip.
const STEP: usize = 32 * 128;

/// The processor's own kernel, if it has AMX.
fn found() -> Option<&'static dyn Kernel> {
    ALL.iter().find(|entry| entry.name == "cpu-amx").and_then(|amx| (amx.find)())
}

/// Runs the whole backend tester. Every call must release its tile registers.
#[test]
fn the_emulated_backend_passes_the_tester() {
    let Some(kernel) = emulated() else { return };
    tester::check(&Cpu::of("cpu-amx", kernel).threads(1).expect("one thread starts"));
    let mut sums = vec![0; 1024];
    kernel.step(32, &[1; STEP], &[1; STEP], &mut sums);
    assert!(sums.iter().all(|&sum| sum == 128));
    assert!(amx::is_released(), "after a fold");
    kernel.accumulate(32, &[&[1; STEP]], &[1; STEP], 1, &mut sums);
    assert!(sums.iter().all(|&sum| sum == 256));
    assert!(amx::is_released(), "after a plain product");
    assert!(amx::was_used() || found().is_some(), "the instructions were executed");
}

/// Runs the vector file's cases with consensus parameters. The integration test
/// `vectors` runs the processor's own kernels on all cases.
#[test]
fn the_emulated_backend_reproduces_the_vectors() {
    let Some(kernel) = emulated() else { return };
    let backend = Cpu::of("cpu-amx", kernel).threads(1).expect("one thread starts");
    let file: serde_json::Value =
        serde_json::from_str(include_str!("../../../test_vectors/puzzle.json")).expect("JSON");
    let text = |value: &serde_json::Value| value.as_str().expect("text").to_owned();
    let number = |value: &serde_json::Value| value.as_u64().expect("a number") as usize;
    let digest = |entries: &[i32]| {
        let mut hasher = blake3::Hasher::new();
        entries.iter().for_each(|entry| _ = hasher.update(&entry.to_le_bytes()));
        hasher.finalize().to_hex().to_string()
    };
    let mut cases = 0;
    for value in file["cases"].as_array().expect("cases") {
        if (number(&value["rank"]), number(&value["tile"])) != (128, 32) {
            continue;
        }
        let tag = hex::decode(text(&value["tag"])).expect("hex");
        let k = number(&value["k"]);
        let entries = |suffix: &[u8], rows: &str| {
            pseudorandom(&[&tag, suffix].concat(), number(&value[rows]), k)
        };
        let case = tester::Case {
            params: Params::CONSENSUS,
            a: entries(b"/a", "m"),
            bt: entries(b"/b", "n"),
            challenge: test_challenge(&tag),
        };
        let result = tester::run(&backend, &case);
        assert_eq!(digest(&result.noised_product), text(&value["noised_product"]));
        assert_eq!(digest(&result.product), text(&value["product"]));
        let expected = value["tickets"].as_array().expect("rows of tickets");
        let expected = expected.iter().flat_map(|row| row.as_array().expect("a row"));
        let tickets = result.tickets.iter().map(|winner| hex::encode(winner.ticket.0));
        assert!(tickets.eq(expected.map(text)), "tickets of {value}");
        cases += 1;
    }
    assert!(cases > 0, "the file has cases of the consensus parameters");
}

/// Verifiers must not change the permissions of the process.
#[test]
fn verifiers_never_ask_for_amx() {
    let amx = ALL.iter().find(|entry| entry.name == "cpu-amx");
    assert!(amx.is_some_and(|amx| !amx.for_verifiers));
}

/// `find` never mistakes the emulator for the processor.
#[test]
fn the_emulator_is_not_found() {
    let before = found().is_some();
    emulated();
    assert_eq!(found().is_some(), before);
}
