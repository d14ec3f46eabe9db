//! The program `gpu` without a GPU, and on a driver that emulates one on the
//! processor (`poai-testing/emulated/driver.cpp`). A table comes out, but only
//! its checks have a meaning.

use poai_benches::workload::{Workload, cube};
use poai_cuda::{CudaError, gpus};
use poai_testing::emulated::{Driver, Wrong, compile, succeed};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The kernel files that products and programs need.
const FILES: [&str; 10] = [
    "check",
    "commit",
    "noise",
    "product_mma",
    "product_wgmma",
    "recover",
    "steps_attention",
    "steps_move",
    "steps_norms",
    "steps_rows",
];

/// An emulated GPU and the folder of an emulated cuBLASLt.
struct Emulated {
    driver: Driver,
    cublaslt: PathBuf,
}

impl Emulated {
    /// Correct kernels, or one wrong kernel; `None` without a compiler.
    fn new(wrong: Option<Wrong<'_>>) -> Option<Emulated> {
        let driver = Driver::new(&FILES, wrong)?;
        let other = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/fake_cublaslt.cpp");
        let other = compile::library(&other, "libcublasLt.so.12", &[])?;
        let cublaslt = other.parent().expect("a library is in a folder").to_owned();
        Some(Emulated { driver, cublaslt })
    }

    /// The program, with the emulated driver preferred over any other.
    fn gpu(&self) -> Command {
        let mut command = self.driver.command(&[&self.cublaslt], env!("CARGO_BIN_EXE_gpu"));
        command.env("POAI_EMULATED_CAPABILITY", "9.0");
        command
    }
}

fn gpu() -> Command {
    Command::new(env!("CARGO_BIN_EXE_gpu"))
}

#[test]
fn without_a_card_it_says_so() {
    if let Ok(_) | Err(CudaError::Stub | CudaError::Incomplete { .. }) = gpus() {
        println!("SKIPPED: this machine has a driver");
        return;
    }
    for command in ["table", "soak"] {
        let seen = succeed(gpu().arg(command).output().expect("runs"));
        assert!(seen.starts_with("SKIPPED: no GPU: "), "{seen}");
    }
    let refused = gpu().args(["table", "--backend", "cpu-avx2"]).output().expect("runs");
    assert!(!refused.status.success());
    let refused = gpu().args(["table", "--sizes", "100"]).output().expect("runs");
    assert!(!refused.status.success());
}

/// The lines of a table, by id.
fn lines(data: &Value) -> BTreeMap<&str, &Value> {
    let lines = data["lines"].as_array().expect("lines").iter();
    lines.map(|line| (line["id"].as_str().expect("an id"), line)).collect()
}

#[test]
fn on_an_emulated_card_a_table_comes_out() {
    let Some(emulated) = Emulated::new(None) else { return };
    let out = tempfile::tempdir().expect("a folder");
    let out = out.path();
    let mut command = emulated.gpu();
    command.args(["table", "--quick", "--sizes", "128,256", "--out"]).arg(out);
    let seen = succeed(command.arg("--cublaslt").arg(&emulated.cublaslt).output().expect("runs"));
    for text in [
        "- GPU: Emulated GPU\n",
        "- kernels: cuda-wgmma\n",
        "- cuBLASLt: version 120000, ",
        "| on the GPU | 128³ | 256³ |\n| --- | --- | --- |\n| plain / cuBLASLt int8 | ",
        "| 256³ recovered / the roofline |",
        "| 256³ cuBLASLt int8, the best of 2 algorithms |",
        "| all-MiniLM-L6-v2 | SKIPPED: ",
    ] {
        assert!(seen.contains(text), "no {text:?} in\n{seen}");
    }
    assert_eq!(fs::read_to_string(out.join("gpu.md")).expect("written") + "\n", seen);

    let data = fs::read_to_string(out.join("gpu.json")).expect("written");
    let data: Value = serde_json::from_str(&data).expect("JSON");
    let lines = lines(&data);
    let positive = |id: String| assert!(lines[id.as_str()]["value"].as_f64() > Some(0.0), "{id}");
    for size in ["128³", "256³"] {
        for way in ["plain", "ticketed", "recovered"] {
            for kind in ["", "-rate", "-to-roof", "-to-cublaslt", "-wall"] {
                positive(format!("{way}{kind}/{size}"));
            }
        }
        for id in ["commit-rate", "noise-rate", "kernel-commit-chunks", "kernel-recover-digits"] {
            positive(format!("{id}/{size}"));
        }
    }
    // The result of the CPU backend for the same operands.
    let cpu = poai_engine::Cpu::new();
    let workload = Workload::new(&cpu, cube(256)).expect("operands");
    workload.plain().expect("a product");
    assert_eq!(lines["root-c/256³"]["digest"], workload.digest());
}

#[test]
fn what_is_not_there_is_skipped() {
    let Some(emulated) = Emulated::new(None) else { return };
    let mut command = emulated.gpu();
    command.args(["table", "--quick", "--sizes", "128", "--json", "--cublaslt", "/none"]);
    // The emulated driver reports clocks, but the program does not know this generation's peak.
    command.env("POAI_EMULATED_CAPABILITY", "12.0");
    let data: Value =
        serde_json::from_str(&succeed(command.output().expect("runs"))).expect("JSON");
    let lines = lines(&data);
    let skipped = |id: &str| lines[id]["skipped"].as_str().expect("skipped").to_owned();
    assert!(skipped("recovered-to-cublaslt/128³").contains("no libcublasLt"));
    assert!(skipped("recovered-to-roof/128³").contains("not known"));
}

#[test]
fn wrong_kernels_are_seen() {
    let wrong =
        ["recover", "take_digit(int32_t (&p)[4]) {", "take_digit(int32_t (&p)[4]) { p[0]++;"];
    let Some(emulated) = Emulated::new(Some(wrong)) else { return };
    for command in
        [&["table", "--quick", "--sizes", "128"][..], &["soak", "--seconds", "0", "--tiles", "4"]]
    {
        let output = emulated.gpu().args(command).output().expect("runs");
        let errors = String::from_utf8(output.stderr).expect("UTF-8");
        assert_eq!(output.status.code(), Some(1), "{errors}");
        let expected = match command[0] {
            "table" => "128³: the recovered product is not the plain one",
            _ => "again: gpu soak --seed 0 --first 0 --tiles 4 --seconds 0",
        };
        assert!(errors.contains(expected), "{errors}");
    }
}

#[test]
fn wrong_tickets_are_seen() {
    let wrong = [
        "noise",
        "keyed_word_output(out, key, first + row, part);",
        "keyed_word_output(out, key, first + row, part); out[0] ^= 1;",
    ];
    let Some(emulated) = Emulated::new(Some(wrong)) else { return };
    for command in
        [&["table", "--quick", "--sizes", "128"][..], &["soak", "--seconds", "0", "--tiles", "4"]]
    {
        let output = emulated.gpu().args(command).output().expect("runs");
        let errors = String::from_utf8(output.stderr).expect("UTF-8");
        assert_eq!(output.status.code(), Some(1), "{errors}");
        assert!(errors.contains("ticket"), "{errors}");
    }
}

#[test]
fn on_an_emulated_card_a_soak_counts_what_it_compared() {
    let Some(emulated) = Emulated::new(None) else { return };
    let soak = |seed: &str| {
        let mut command = emulated.gpu();
        command.args(["soak", "--seconds", "0", "--tiles", "2", "--seed", seed]);
        succeed(command.output().expect("runs"))
    };
    let seen = soak("3");
    assert!(seen.starts_with("1 products of seed 3: "), "{seen}");
    assert!(seen.contains(" 8 tiles recomputed, "), "{seen}");
    assert_eq!(soak("3"), seen);
    assert_ne!(soak("4"), seen);
}
