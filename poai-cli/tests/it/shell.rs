//! The program's own documentation, and its handling of wrong arguments.

use crate::program::{code, path, poai, printed, refused, text};

const TASKS: [&str; 12] = [
    "mine",
    "verify",
    "run",
    "classify",
    "embed",
    "prove",
    "quantise",
    "inspect",
    "bench",
    "backends",
    "completions",
    "man",
];

#[test]
fn completions_name_every_subcommand() {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let script = printed(&poai(&["completions", shell]));
        for task in TASKS {
            assert!(script.contains(task), "{task} for {shell}");
        }
    }
    refused(&poai(&["completions", "abacus"]), 2, "abacus");
}

#[test]
fn the_manual_has_a_page_for_every_subcommand() {
    let folder = tempfile::tempdir().unwrap();
    let man = path(folder.path(), "man");
    printed(&poai(&["man", &man]));
    let page = |name: &str| std::fs::read_to_string(folder.path().join("man").join(name)).unwrap();
    assert!(page("poai.1").contains("Exit codes"));
    for task in TASKS {
        assert!(page(&format!("poai-{task}.1")).contains(".SH SYNOPSIS"), "{task}");
    }
    assert!(page("poai-verify-audit.1").contains("beacon"));
    let file = path(folder.path(), "file");
    std::fs::write(&file, "").unwrap();
    refused(&poai(&["man", &file]), 2, "cannot write");
}

/// Wrong arguments give exit code 2 and one line, in every subcommand.
#[test]
fn wrong_arguments_are_exit_2() {
    for task in TASKS {
        let output = poai(&[task, "--no-such-flag"]);
        refused(&output, 2, "--no-such-flag");
        assert_eq!(text(&output.stderr).lines().count(), 1, "{}", text(&output.stderr));
        let help = printed(&poai(&[task, "--help"]));
        assert!(help.contains("Usage: poai") && help.contains("Exit codes:"), "{help}");
    }
    refused(&poai(&["abacus"]), 2, "abacus");
    for wrong in [
        &["run", "--beacon", "5a"][..],
        &["run", "--trace", "--beacon", "5a"],
        &["run", "--fault"],
        &["run", "--stored", "folder"],
        &["run", "--input", "file"],
        &["run", "--batch", "0"],
        &["run", "--stored", "folder", "--input", "file", "--onnx", "file"],
        &["verify", "audit"],
        &["verify", "audit", "file", "--program", "file"],
        &["verify", "inference"],
        &["prove", "--keys", "folder", "--zkey", "file"],
        &["bench", "--seconds", "0"],
        &["mine", "--threads", "0"],
    ] {
        refused(&poai(wrong), 2, "error: ");
    }
}

/// Without a subcommand the program prints its help.
#[test]
fn exit_codes_are_documented() {
    let nothing = poai(&[]);
    assert_eq!(code(&nothing), 2);
    let help = printed(&poai(&["--help"]));
    assert!(text(&nothing.stderr).contains(&help));
    let readme = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md"));
    let readme = readme.unwrap();
    let codes = help.split_once("Exit codes:\n").unwrap().1;
    for line in codes.lines() {
        let (code, meaning) = line.trim().split_once("  ").unwrap();
        assert!(readme.contains(&format!("| {code} | {meaning} |")), "{line}");
    }
    for task in TASKS {
        assert!(readme.contains(&format!("poai {task}")), "{task}");
    }
    assert!(printed(&poai(&["--version"])).contains(env!("CARGO_PKG_VERSION")));
}

/// A reader that closes the pipe early is not an error.
#[cfg(unix)]
#[test]
fn a_broken_pipe_is_no_error() {
    use crate::program::command;
    use std::process::Stdio;
    for arguments in [
        &["backends"][..],
        &["completions", "bash"],
        &["--help"],
        &["run", "--json"],
        &["bench", "--help"],
    ] {
        let mut child = command()
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        assert_eq!((code(&output), text(&output.stderr)), (0, String::new()), "{arguments:?}");
    }
}
