//! `poai train`.

use crate::program::{code, command, object, path, poai, printed, refused, text};
use std::fs;

#[test]
fn digits_are_trained_stopped_and_resumed() {
    let folder = tempfile::tempdir().unwrap();
    let out = path(folder.path(), "run");
    let one = ["train", "--epochs", "1"];
    let whole = object(&poai(&[&one[..], &["--json", "--out", &out]].concat()));
    assert_eq!(whole["iterations"], 41);
    assert!(whole["test_accuracy"].as_f64().unwrap() > 0.7, "{whole}");
    assert!(whole["tickets"].as_u64().unwrap() > 0 && whole["mined_share"].as_f64().unwrap() > 0.0);
    for file in ["checkpoint", "plot.svg", "report.json"] {
        assert!(fs::metadata(folder.path().join("run").join(file)).unwrap().len() > 0, "{file}");
    }
    // A process that dies between checkpoints: another goes on to the same bits.
    let cut = path(folder.path(), "cut");
    let often = ["--every", "1", "--out", &cut];
    let mut child = command().args([&one[..], &often].concat()).spawn().unwrap();
    while !folder.path().join("cut/checkpoint").exists() {
        assert!(child.try_wait().unwrap().is_none(), "the run ended without a checkpoint");
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let resumed = object(&poai(&[&one[..], &["--json", "--resume", &cut]].concat()));
    assert!(resumed["resumed_at"].as_u64().unwrap() > 0);
    for field in ["program_id", "iterations", "train_loss", "test_loss", "states"] {
        assert_eq!(whole[field], resumed[field], "{field}");
    }
    // Other options are another run, and what is no checkpoint is left alone.
    let other = poai(&["train", "--epochs", "1", "--seed", "other", "--resume", &out]);
    refused(&other, 2, "expected this run's seed");
    fs::write(folder.path().join("run/checkpoint"), b"no checkpoint").unwrap();
    refused(&poai(&[&one[..], &["--resume", &out]].concat()), 2, "expected a whole checkpoint");
    assert_eq!(fs::read(folder.path().join("run/checkpoint")).unwrap(), b"no checkpoint");
}

#[test]
fn tables_and_texts_are_trained() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, content: &str| {
        fs::write(folder.path().join(name), content).unwrap();
        path(folder.path(), name)
    };
    let rows: String =
        (0..60).map(|i| format!("{},{},{}\n", i % 7, (i * 5) % 11, u32::from(i % 7 > 3))).collect();
    let table = file("rows.csv", &format!("a,b,label\n{rows}"));
    let said = object(&poai(&["train", "--data", &table, "--epochs", "40", "--json"]));
    assert!(said["test_accuracy"].as_f64().unwrap() > 0.8, "{said}");
    let poem = file("poem.txt", &"the cat sat on the mat and that was that. ".repeat(20));
    let said = printed(&poai(&["train", "--task", "text", "--data", &poem, "--epochs", "1"]));
    assert!(said.contains("causal transformer") && said.contains("loss"), "{said}");

    for (content, why) in [
        ("a,b,label\n1,2,0\n1,x,1\n", "line 3: expected a number, got \"x\""),
        ("1,2,0\n1,2\n", "line 2: expected 3 fields, got 2"),
        ("1,2,0.5\n", "line 1: expected a label, an integer from 0, got 0.5"),
        ("1,nan,0\n", "line 1: field 2: expected a finite number"),
        ("1\n", "line 1: expected features and a label"),
        ("1,2,0\n", "expected at least 10 rows"),
        (&"1,2,1\n".repeat(20), "expected labels of at least 2 classes"),
    ] {
        let table = file("bad.csv", content);
        refused(&poai(&["train", "--data", &table]), 2, why);
    }
    refused(&poai(&["train", "--task", "text"]), 2, "add --data FILE");
    refused(&poai(&["train", "--rate=-1"]), 2, "expected a rate above 0");
    let missing = poai(&["train", "--data", &path(folder.path(), "none")]);
    assert_eq!(code(&missing), 2, "{}", text(&missing.stderr));
}
