//! The program `gpu` where there is no card, and on a driver whose card is the
//! processor (`poai-cuda/tests/emulated/driver.cpp`): a table comes out, of
//! which nothing but the checks means anything.
#![cfg(target_os = "linux")]

use poai_cuda::{CudaError, devices, kernels};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::{env, fs};

/// The files of kernels that products take.
const FILES: [&str; 6] = ["check", "commit", "noise", "product_dp4a", "product_mma", "recover"];

fn source(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../poai-cuda").join(name)
}

fn succeed(output: Output) -> String {
    let [seen, errors] =
        [output.stdout, output.stderr].map(|text| String::from_utf8(text).expect("UTF-8"));
    assert!(output.status.success(), "{}\n{seen}\n{errors}", output.status);
    seen
}

/// The names of a file's kernels, for whatever architecture.
fn names(file: &str) -> Vec<&'static str> {
    let found = kernels::embedded().iter().find(|ptx| ptx.file == file);
    found.expect("an embedded file").entries.to_vec()
}

/// The driver's folder and its kernels; none without a compiler.
fn driver(folder: &Path) -> Option<(PathBuf, String)> {
    if !Command::new("c++").arg("--version").output().is_ok_and(|output| output.status.success()) {
        println!("SKIPPED: no C++ compiler");
        return None;
    }
    let build = |input: &Path, output: &Path| {
        let mut compiler = Command::new("c++");
        compiler.args(["-std=c++17", "-O2", "-shared", "-fPIC", "-fvisibility=hidden"]);
        compiler.args(["-DPOAI_HOST", "-w", "-fno-strict-aliasing", "-U_FORTIFY_SOURCE"]);
        if input.starts_with(folder) {
            compiler.arg("-I").arg(source("kernels")).arg("-I").arg(source("tests/shim"));
        } else {
            // The driver's functions are to be found by their names.
            compiler.arg("-fvisibility=default");
        }
        succeed(compiler.arg(input).arg("-o").arg(output).arg("-ldl").output().expect("runs"));
    };
    let mut libraries = vec![];
    for file in FILES {
        let list: String = names(file).iter().map(|name| format!("SIMT_KERNEL({name}) ")).collect();
        let text = format!(
            "#include \"simt.cuh\"\n#include \"{file}.cu\"\n#include \"launch.hpp\"\n\
             SIMT_KERNELS({list})\n"
        );
        let (input, output) =
            (folder.join(format!("{file}.cpp")), folder.join(format!("{file}.so")));
        fs::write(&input, text).expect("written");
        build(&input, &output);
        libraries.push(output.into_os_string().into_string().expect("UTF-8"));
    }
    build(&source("tests/emulated/driver.cpp"), &folder.join("libcuda.so"));
    Some((folder.to_owned(), libraries.join(":")))
}

fn gpu() -> Command {
    Command::new(env!("CARGO_BIN_EXE_gpu"))
}

/// The program with the emulated driver before any other.
fn emulated((folder, kernels): &(PathBuf, String)) -> Command {
    let search = env::var_os("LD_LIBRARY_PATH").unwrap_or_default();
    let search = [folder.clone()].into_iter().chain(env::split_paths(&search));
    let mut command = gpu();
    command.env("LD_LIBRARY_PATH", env::join_paths(search).expect("paths"));
    command.env("POAI_EMULATED_KERNELS", kernels);
    command
}

#[test]
fn without_a_card_it_says_so() {
    if let Ok(_) | Err(CudaError::Stub | CudaError::Incomplete { .. }) = devices() {
        println!("SKIPPED: there is a driver");
        return;
    }
    for command in ["table", "soak"] {
        let seen = succeed(gpu().arg(command).output().expect("runs"));
        assert!(seen.starts_with("SKIPPED: no card: "), "{seen}");
    }
    let refused = gpu().args(["table", "--device", "cpu-avx2"]).output().expect("runs");
    assert!(!refused.status.success());
    let refused = gpu().args(["table", "--sizes", "100"]).output().expect("runs");
    assert!(!refused.status.success());
}

#[test]
fn on_an_emulated_card_a_table_comes_out() {
    let folder = tempfile::tempdir().expect("a folder");
    let Some(driver) = driver(folder.path()) else { return };
    let out = folder.path().join("out");
    let mut command = emulated(&driver);
    command.args(["table", "--quick", "--sizes", "128,256", "--out"]).arg(&out);
    let seen = succeed(command.args(["--cublaslt", "/none"]).output().expect("runs"));
    for text in [
        "Emulated GPU",
        "| cuBLASLt: SKIPPED: no libcublasLt",
        "| 256³ ticketed / cuBLASLt int8 | SKIPPED: no libcublasLt",
        "| 256³ recovered / the roofline |",
        "| all-MiniLM-L6-v2 | SKIPPED: ",
    ] {
        let text = text.trim_start_matches("| cuBLASLt");
        assert!(seen.contains(text), "no {text:?} in\n{seen}");
    }
    assert_eq!(fs::read_to_string(out.join("gpu.md")).expect("written") + "\n", seen);

    let data = fs::read_to_string(out.join("gpu.json")).expect("written");
    let data: serde_json::Value = serde_json::from_str(&data).expect("JSON");
    let lines = data["lines"].as_array().expect("lines").iter();
    let lines: BTreeMap<&str, &serde_json::Value> =
        lines.map(|line| (line["id"].as_str().expect("an id"), line)).collect();
    for id in ["plain", "ticketed", "recovered", "commit-rate", "noise-rate", "recover-extra"] {
        for size in ["128³", "256³"] {
            let value = lines[format!("{id}/{size}").as_str()]["value"].as_f64();
            assert!(value.is_some_and(f64::is_finite), "{id}/{size}");
        }
    }
    for id in ["kernel-commit-chunks", "kernel-noise-operand", "kernel-recover-digits"] {
        assert!(lines[format!("{id}/256³").as_str()]["value"].as_f64() > Some(0.0), "{id}");
    }
    // What the processor's own backend makes of the same operands.
    let cpu = poai_core::Cpu::new();
    let shape = poai_benches::workload::cube(256);
    let workload = poai_benches::workload::Workload::new(&cpu, shape).expect("operands");
    workload.plain().expect("a product");
    assert_eq!(lines["root-c/256³"]["digest"], workload.digest());
}

#[test]
fn on_an_emulated_card_a_soak_counts_what_it_compared() {
    let folder = tempfile::tempdir().expect("a folder");
    let Some(driver) = driver(folder.path()) else { return };
    let soak = |seed: &str| {
        let mut command = emulated(&driver);
        command.args(["soak", "--seconds", "0", "--tiles", "2", "--seed", seed]);
        succeed(command.output().expect("runs"))
    };
    let seen = soak("3");
    assert!(seen.starts_with("1 products of seed 3: "), "{seen}");
    assert!(seen.contains(" 8 tiles recomputed, "), "{seen}");
}
