//! Programs that are killed at any moment leave whole files behind, or none.

use crate::program::command;
use std::process::Stdio;
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

    // An older file stays as it is, or gives way to the whole new one.
    let (old, tries) = (b"an older proof".to_vec(), 40u32);
    let (mut killed, mut replaced) = (0, 0);
    for index in 0..tries {
        std::fs::write(&proof, &old).unwrap();
        let mut child = start();
        // All of a run's length and a little more; its end, where the file is
        // written, most often.
        let part = f64::from(index) / f64::from(tries);
        std::thread::sleep(Duration::from_secs_f64(whole.as_secs_f64() * 1.1 * part.sqrt()));
        killed += u32::from(child.kill().is_ok() && !child.wait().unwrap().success());
        let left = std::fs::read(&proof).unwrap();
        assert!(left == old || left == honest, "{} bytes after kill {index}", left.len());
        replaced += u32::from(left == honest);
    }
    println!("{killed} of {tries} killed, {replaced} files replaced");
    assert!(killed > 0 && killed > tries - replaced - 1);
    // Undisturbed, it still writes.
    assert!(start().wait().unwrap().success());
    assert_eq!(std::fs::read(&proof).unwrap(), honest);
}
