//! The verifier builds on targets without a standard library.

use std::path::PathBuf;
use std::process::Command;

/// A target without `std`, on which a dependency that needs it cannot compile.
const TARGET: &str = "thumbv7em-none-eabihf";

fn rustc_has(target: &str) -> bool {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output =
        Command::new(rustc).args(["--print", "target-libdir", "--target", target]).output();
    output
        .is_ok_and(|output| PathBuf::from(String::from_utf8_lossy(&output.stdout).trim()).is_dir())
}

fn build(features: &[&str]) {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let directory = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("no_std");
    let output = Command::new(cargo)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .args(["build", "--lib", "--no-default-features", "--target", TARGET, "--target-dir"])
        .arg(directory)
        .args(features)
        // The test only builds, and does not run the result.
        .env("CARGO_PROFILE_DEV_OPT_LEVEL", "0")
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn builds_without_std() {
    if !rustc_has(TARGET) {
        println!("SKIPPED: the target {TARGET} is not installed (rustup target add {TARGET})");
        return;
    }
    build(&[]);
    build(&["--features", "serde"]);
    build(&["--features", "inference"]);
}

/// On any machine: the verifier's own sources do not use `std`.
#[test]
fn the_sources_name_no_std() {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let (mut files, mut folders) = (Vec::new(), vec![root.join("src")]);
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { folders.push(path) } else { files.push(path) }
        }
    }
    files.retain(|path| path.extension().is_some_and(|extension| extension == "rs"));
    assert!(files.len() >= 8);
    for path in files {
        let text = std::fs::read_to_string(&path).unwrap();
        let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
        for line in code {
            assert!(!line.contains("std::"), "{}: {line}", path.display());
        }
    }
    let lib = std::fs::read_to_string(root.join("src/lib.rs")).unwrap();
    assert!(lib.contains("#![no_std]"));
}

/// Fewer than 25 crates, build tools included, without optional features.
#[test]
fn the_dependency_tree_is_small() {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .args([
            "tree",
            "--locked",
            "--edges",
            "no-dev",
            "--prefix",
            "none",
            "--no-default-features",
        ])
        .args(["--format", "{p}"])
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let crates: std::collections::BTreeSet<&str> = text
        .lines()
        .map(|line| line.trim_end_matches(" (*)"))
        .filter(|line| !line.is_empty())
        .collect();
    println!("{} crates", crates.len());
    assert!(crates.len() > 3 && crates.len() < 25, "{crates:?}");
}
