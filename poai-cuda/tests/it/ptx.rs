//! The embedded PTX: it is complete, as declared, and matches the sources.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use poai_cuda::Version;
use poai_cuda::kernels::{Architecture, PTX_VERSION, Ptx, embedded, find};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// An architecture as NVRTC and the sources write it.
fn written(architecture: Architecture) -> String {
    let Version { major, minor } = architecture.capability;
    format!("compute_{major}{minor}{}", if architecture.only_this { "a" } else { "" })
}

fn name(ptx: &Ptx) -> String {
    format!("{}.{}", ptx.file, written(ptx.architecture))
}

#[test]
fn every_source_is_embedded_for_every_architecture_it_declares() {
    let mut declared = BTreeSet::new();
    for file in fs::read_dir(root().join("kernels")).unwrap() {
        let path = file.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "cu") {
            continue;
        }
        let file = path.file_stem().unwrap().to_str().unwrap();
        let text = fs::read_to_string(&path).unwrap();
        let lines = text.lines().filter_map(|line| line.strip_prefix("// poai: arch "));
        let before = declared.len();
        declared.extend(lines.flat_map(str::split_whitespace).map(|arch| format!("{file}.{arch}")));
        assert!(declared.len() > before, "{file}.cu declares no architecture");
    }
    let names: Vec<String> = embedded().iter().map(name).collect();
    assert_eq!(names.iter().cloned().collect::<BTreeSet<_>>(), declared);
    assert_eq!(names.len(), declared.len(), "twice in the table");
}

#[test]
fn every_ptx_is_as_its_row_says() {
    for ptx in embedded() {
        let name = name(ptx);
        let file = root().join("ptx").join(format!("{name}.ptx"));
        assert_eq!(ptx.text, fs::read_to_string(file).unwrap(), "{name}");
        let line = |starts: &str| ptx.text.lines().find_map(|line| line.strip_prefix(starts));
        assert_eq!(line(".version "), Some(PTX_VERSION.to_string().as_str()), "{name}");
        let target = written(ptx.architecture).replace("compute", "sm");
        assert_eq!(line(".target "), Some(target.as_str()), "{name}");
        assert_eq!(line(".address_size "), Some("64"), "{name}");
        let entries = ptx.text.lines().filter_map(|line| line.strip_prefix(".visible .entry "));
        let entries: Vec<&str> = entries.map(|line| line.trim_end_matches(['(', ')'])).collect();
        assert_eq!(entries, ptx.entries, "{name}");
        assert!(!entries.is_empty(), "{name}");
        // The driver has nothing to link a function with.
        assert!(!ptx.text.contains(".extern .func"), "{name}");
        // The PTX names neither a folder nor a file of the machine that
        // compiled it.
        let mut first_words = ptx.text.lines().filter_map(|line| line.split_whitespace().next());
        assert!(first_words.all(|word| word != ".file" && word != ".loc"), "{name}");
    }
}

#[test]
fn every_supported_card_can_be_checked() {
    for (major, minor) in [(6, 1), (7, 0), (7, 5), (8, 0), (8, 6), (8, 9), (9, 0), (10, 0), (12, 0)]
    {
        assert!(find("check", Version { major, minor }).is_some(), "{major}.{minor}");
    }
    assert_eq!(find("check", Version { major: 6, minor: 0 }), None);
}

/// The Python that has the pinned packages. If `POAI_KERNELS_PYTHON` names it,
/// the packages must be installed. Otherwise it is target/kernels-venv's, if
/// that exists.
fn python() -> Option<(PathBuf, bool)> {
    if let Some(python) = env::var_os("POAI_KERNELS_PYTHON") {
        return Some((python.into(), true));
    }
    let python = root().join("../target/kernels-venv/bin/python");
    python.exists().then_some((python, false))
}

fn check(script: &str) {
    let Some((python, needed)) = python() else {
        println!(
            "SKIPPED: neither POAI_KERNELS_PYTHON nor target/kernels-venv: poai-cuda/README.md \
             says how to make one"
        );
        return;
    };
    let script = root().join("../scripts").join(script);
    let output = Command::new(&python).arg("-B").arg(script).arg("--check").output();
    let output = output.unwrap_or_else(|error| panic!("{}: {error}", python.display()));
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    match output.status.code() {
        Some(0) => println!("{said}"),
        Some(3) if !needed => println!("SKIPPED: {said}"),
        _ => panic!("{said}"),
    }
}

#[test]
fn the_embedded_ptx_is_what_the_sources_give() {
    check("build-kernels.py");
}

#[test]
fn the_table_of_kernels_is_what_the_ptx_gives() {
    check("kernel-table.py");
}
