//! Kills programs at any moment: they leave whole files or none. Killed during
//! the work, they leave the folder as it was.

use crate::program::command;
use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

#[test]
fn a_killed_miner_leaves_no_truncated_proof() {
    let directory = tempfile::tempdir().unwrap();
    let proof = directory.path().join("win.proof");
    let start = || {
        command()
            .args([
                "mine",
                "--random",
                "256,256,4096",
                "--difficulty",
                "1",
                "--challenge",
                &"5a".repeat(32),
            ])
            .arg("--out")
            .arg(&proof)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap()
    };
    let clock = Instant::now();
    assert!(start().wait().unwrap().success());
    let whole = clock.elapsed();
    let honest = std::fs::read(&proof).unwrap();
    assert!(honest.len() > 100_000, "a proof of some length: {}", honest.len());

    // An older file stays as it is, or the whole new one replaces it.
    let (old, tries) = (b"an older proof".to_vec(), 40u32);
    let (mut killed, mut replaced) = (0, 0);
    for index in 0..tries {
        std::fs::write(&proof, &old).unwrap();
        let mut child = start();
        // Tries the whole duration of a run and a little more, most often its
        // end, where the file is written.
        let part = f64::from(index) / f64::from(tries);
        std::thread::sleep(Duration::from_secs_f64(whole.as_secs_f64() * 1.1 * part.sqrt()));
        killed += u32::from(child.kill().is_ok() && !child.wait().unwrap().success());
        let left = std::fs::read(&proof).unwrap();
        assert!(left == old || left == honest, "{} bytes after kill {index}", left.len());
        replaced += u32::from(left == honest);
    }
    println!("{killed} of {tries} killed, {replaced} files replaced");
    assert!(killed > 0 && killed > tries - replaced - 1);
    // Undisturbed, the program still writes the file.
    assert!(start().wait().unwrap().success());
    assert_eq!(std::fs::read(&proof).unwrap(), honest);
}

/// The files of a folder, and their content.
fn files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    // Only the names of folders and pipes count.
    let read = |path: &PathBuf| if path.is_file() { std::fs::read(path).unwrap() } else { vec![] };
    entries.map(|path| (path.clone(), read(&path))).collect()
}

/// `--out` and `--product`, both new and both existing.
#[test]
fn a_miner_killed_at_its_work_leaves_the_folder_as_it_was() {
    let directory = tempfile::tempdir().unwrap();
    let (proof, product) = (directory.path().join("win.proof"), directory.path().join("product"));
    for there in [false, true] {
        if there {
            std::fs::write(&proof, b"an older proof").unwrap();
            std::fs::write(&product, b"an older product").unwrap();
        }
        let before = files(directory.path());
        for milliseconds in [50, 200, 400] {
            // More than a tera-MAC: no machine finishes it by then.
            let mut child = command()
                .args(["mine", "--random", "8192,8192,16384", "--difficulty", "1", "--out"])
                .args([&proof, Path::new("--product"), &product])
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .unwrap();
            std::thread::sleep(Duration::from_millis(milliseconds));
            assert!(child.try_wait().unwrap().is_none(), "it works at {milliseconds} ms");
            child.kill().unwrap();
            assert_eq!(child.wait().unwrap().code(), None, "ended by the signal");
            let left = files(directory.path());
            assert!(left == before, "{:?} after {milliseconds} ms", left.keys());
        }
    }
}

/// Kills the other subcommands at a known moment: the program has checked its
/// places, and waits for its network from a pipe.
#[test]
fn a_run_killed_at_its_work_leaves_the_folder_as_it_was() {
    for arguments in [
        &["run", "--out"][..],
        &["prove", "--out"],
        &["prove", "--keys"],
        &["prove", "--export-r1cs"],
    ] {
        let directory = tempfile::tempdir().unwrap();
        let pipe = directory.path().join("network.onnx");
        if !Command::new("mkfifo").arg(&pipe).status().is_ok_and(|status| status.success()) {
            println!("SKIPPED: no mkfifo to make a pipe with");
            return;
        }
        let before = files(directory.path());
        let mut child = command()
            .args(arguments)
            .arg(directory.path().join("new"))
            .arg("--onnx")
            .arg(&pipe)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // Opening a pipe for writing succeeds once its reader has opened it.
        let (opened, when_opened) = std::sync::mpsc::channel();
        std::thread::spawn(move || opened.send(File::options().write(true).open(pipe)));
        let writer = when_opened.recv_timeout(Duration::from_secs(60));
        child.kill().unwrap();
        assert_eq!(child.wait().unwrap().code(), None, "{arguments:?}: ended by the signal");
        assert!(writer.is_ok_and(|writer| writer.is_ok()), "{arguments:?} reads its network");
        let left = files(directory.path());
        assert!(left == before, "{arguments:?} leaves {:?}", left.keys());
    }
}
