//! Tests that one word stands for one thing.
//!
//! No public type name exists twice in the crates that the facade re-exports.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// The crates that `poai` re-exports, and its own sources.
const SOURCES: [&str; 9] = [
    "poai-core/src",
    "poai-cuda/src",
    "poai-decoder/src",
    "poai-engine/src",
    "poai-import/src",
    "poai-prover/src",
    "poai-train/src",
    "poai-verify/src",
    "src",
];

/// Collects every Rust file below a folder.
fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// The name after a keyword that defines a public type, if the line has one.
fn defined(line: &str) -> Option<&str> {
    let rest = line.trim_start().strip_prefix("pub ")?;
    let rest = rest.strip_prefix("unsafe ").unwrap_or(rest);
    let rest = ["struct ", "enum ", "trait ", "type ", "union "]
        .iter()
        .find_map(|keyword| rest.strip_prefix(keyword))?;
    rest.split(|c: char| !c.is_alphanumeric() && c != '_').next().filter(|name| !name.is_empty())
}

/// The names of types that the macros `digest!`, `bytes!` and `message!` define.
///
/// A name is the first word after the doc comment.
fn generated(text: &str) -> Vec<String> {
    let mut names = vec![];
    for opening in ["\ndigest! {\n", "\nbytes! {\n", "\nmessage! {\n"] {
        for body in text.split(opening).skip(1) {
            let line = body.lines().find(|line| !line.trim_start().starts_with("///"));
            let name = line.unwrap_or_default().trim().split(',').next().unwrap_or_default();
            names.push(name.to_owned());
        }
    }
    names
}

/// Every public type with the files that define it.
fn types() -> BTreeMap<String, Vec<PathBuf>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut all: BTreeMap<String, Vec<PathBuf>> = BTreeMap::new();
    for source in SOURCES {
        let mut found = vec![];
        files(&root.join(source), &mut found);
        for path in found {
            let text = fs::read_to_string(&path).unwrap();
            // Indented lines define associated types of a trait, not types of
            // the crate.
            let lines = text.lines().filter(|line| line.starts_with("pub "));
            let names = lines.filter_map(defined).map(str::to_owned).chain(generated(&text));
            for name in names {
                all.entry(name).or_default().push(path.clone());
            }
        }
    }
    all
}

#[test]
fn no_public_type_name_exists_twice() {
    let types = types();
    // The scan finds structs, enums, traits and the types of the macros.
    for known in ["Params", "Op", "Backend", "Challenge", "Address", "CudaError"] {
        assert!(types.contains_key(known), "{known} is a public type");
    }
    let twice: Vec<_> = types.iter().filter(|(_, files)| files.len() > 1).collect();
    assert!(twice.is_empty(), "expected one definition per name; rename all but one of {twice:#?}");
}

/// Every type that the glossary names as code exists.
#[test]
fn the_glossary_names_types_that_exist() {
    let types = types();
    let glossary = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/glossary.md");
    let glossary = fs::read_to_string(glossary).unwrap();
    let mut checked = 0;
    for word in glossary.split('`').skip(1).step_by(2) {
        let name = word.rsplit("::").next().unwrap_or(word);
        if !name.starts_with(char::is_uppercase) || !name.chars().all(char::is_alphanumeric) {
            continue;
        }
        // Names of constants have no lower-case letters.
        if name.chars().any(char::is_lowercase) {
            assert!(types.contains_key(name), "expected a public type {name}: docs/glossary.md");
            checked += 1;
        }
    }
    assert!(checked >= 40, "the glossary names types: {checked}");
}
