//! `poai train`.

use crate::program::{code, command, object, path, poai, printed, refused, text};
use poai::training_run::IterationClaim;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

/// A table of two features and two classes, which few iterations learn.
pub fn rows(count: u32) -> String {
    let row = |i: u32| format!("{},{},{}\n", i % 7, (i * 5) % 11, u32::from(i % 7 > 3));
    "a,b,label\n".to_owned() + &(0..count).map(row).collect::<String>()
}

/// Files, and their content.
type Files = BTreeMap<PathBuf, Vec<u8>>;

/// The files of a folder.
fn files(folder: &Path) -> Files {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries
        .filter(|path| path.is_file())
        .map(|path| (path.clone(), fs::read(path).unwrap()))
        .collect()
}

/// What two processes compute alike, whatever their times and stops.
const SAME: [&str; 12] = [
    "program_id",
    "macs_per_iteration",
    "mined_share",
    "tickets",
    "iterations",
    "train_loss",
    "test_loss",
    "test_accuracy",
    "states",
    "run_root",
    "chain",
    "claims",
];

fn assert_same(a: &Value, b: &Value) {
    for field in SAME {
        assert!(!a[field].is_null(), "{field}");
        assert_eq!(a[field], b[field], "{field}");
    }
}

#[test]
fn digits_are_trained_committed_audited_and_a_lie_is_convicted() {
    let folder = tempfile::tempdir().unwrap();
    let out = path(folder.path(), "run");
    let one = ["train", "--epochs", "1", "--segment", "30"];
    let whole = object(&poai(&[&one[..], &["--json", "--out", &out]].concat()));
    assert_eq!(whole["iterations"], 41);
    assert!(whole["test_accuracy"].as_f64().unwrap() > 0.7, "{whole}");
    assert!(whole["tickets"].as_u64().unwrap() > 0 && whole["mined_share"].as_f64().unwrap() > 0.0);
    assert_eq!((&whole["claims"], &whole["segments"]), (&41.into(), &2.into()));
    let (audit, lie) = (&whole["audit"], &whole["lie"]);
    assert_eq!(audit["iterations"], 40);
    // A tile of each of 13 outputs in each drawn iteration, at least.
    assert!(audit["tiles"].as_u64().unwrap() >= 40 * 13, "{audit}");
    // Floating point learns as much in as many iterations.
    let [own, float] = ["test_accuracy", "float_test_accuracy"].map(|name| whole[name].as_f64());
    assert!((own.unwrap() - float.unwrap()).abs() < 0.1, "{whole}");
    // It is in the last segment, and the watcher stops there.
    let t = lie["iteration"].as_u64().unwrap();
    assert!((30..41).contains(&t) && lie["watched_iterations"] == t - 29, "{lie}");
    assert_eq!(lie["is"].as_i64().unwrap(), lie["was"].as_i64().unwrap() + 1);
    assert!(lie["step"].as_str().unwrap().starts_with("descend"), "{lie}");
    assert!(lie["fraud_proof_bytes"].as_u64().unwrap() < 65536, "{lie}");
    // A short run of another process was killed midway, and went on.
    let resumption = &whole["resumption"];
    assert_eq!((&resumption["same"], &resumption["iterations"]), (&true.into(), &24.into()));
    let stored = resumption["stored"].as_u64().unwrap();
    assert!((7..24).contains(&stored) && resumption["tickets"].as_u64() > Some(0), "{resumption}");
    for file in ["checkpoint", "claims", "plot.svg", "report.json"] {
        assert!(fs::metadata(folder.path().join("run").join(file)).unwrap().len() > 0, "{file}");
    }
    let written = fs::read_to_string(folder.path().join("run/report.json")).unwrap();
    assert_eq!(serde_json::from_str::<Value>(&written).unwrap(), whole);
    let said = printed(&poai(&["verify", "training", &out]));
    assert!(said.contains(whole["run_root"].as_str().unwrap()), "{said}");

    // Training alone gives the same weights, and commits to nothing.
    let alone = object(&poai(&[&one[..], &["--json", "--untraced"]].concat()));
    for field in ["program_id", "train_loss", "test_loss", "states"] {
        assert_eq!(whole[field], alone[field], "{field}");
    }
    assert!(alone["run_root"].is_null() && alone["audit"].is_null());
}

#[test]
fn a_trained_network_is_run_and_proven() {
    let folder = tempfile::tempdir().unwrap();
    let (table, out) = (path(folder.path(), "rows.csv"), path(folder.path(), "run"));
    fs::write(&table, rows(80)).unwrap();
    let own = ["train", "--json", "--data", &table, "--iterations", "60", "--no-float"];
    let whole = object(&poai(&[&own[..], &["--no-lie", "--out", &out]].concat()));
    let frozen = &whole["frozen"];
    assert_eq!((&frozen["standard"], &frozen["untrained"]), (&true.into(), &0.into()));
    // Features are divided as in training, and the classes are the same.
    let accuracy = |field: &Value| field.as_f64().unwrap();
    let [own, test] = [&frozen["test_accuracy"], &whole["test_accuracy"]].map(accuracy);
    assert!(test > 0.8 && (own - test).abs() < 0.13, "{whole}");
    let network = path(Path::new(&out), "network");
    let inputs = path(folder.path(), "inputs.csv");
    fs::write(&inputs, "1,7\n6,2\n").unwrap();
    let run = ["run", "--json", "--quantised", &network, "--input", &inputs];
    let run = object(&poai(&run));
    assert_eq!(run["program_id"], frozen["program_id"]);
    let proven = ["prove", "--json", "--quantised", &network, "--input", &inputs];
    let proven = object(&poai(&proven));
    assert_eq!(proven["program_id"], frozen["program_id"]);
    // What nothing commits to has no link, and the same constants.
    let alone = ["train", "--json", "--untraced", "--data", &table, "--iterations", "60"];
    let alone = object(&poai(&[&alone[..], &["--out", &path(folder.path(), "alone")]].concat()));
    assert_eq!(alone["frozen"]["program_id"], frozen["program_id"]);
    assert!(alone["frozen"]["untrained"].is_null());
}

#[test]
fn a_folder_of_another_run_stays_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let table = path(folder.path(), "rows.csv");
    fs::write(&table, rows(60)).unwrap();
    let out = path(folder.path(), "run");
    let own = ["train", "--data", &table, "--iterations", "12", "--no-lie", "--no-float"];
    let whole = object(&poai(&[&own[..], &["--json", "--every", "5", "--out", &out]].concat()));
    let honest = files(Path::new(&out));
    let resume = |more: &[&str]| poai(&[&own[..], &["--json", "--resume", &out], more].concat());
    // A run that is done says what it came to.
    assert_same(&whole, &object(&resume(&[])));
    refused(&poai(&[&own[..], &["--out", &out]].concat()), 2, "expected a folder without a run");
    refused(&resume(&["--seed", "other"]), 2, "expected --seed \"poai\", with which");
    refused(&resume(&["--optimizer", "lion"]), 2, "expected --optimizer sgd, with which");
    let stays = |damage: &dyn Fn(&mut Files), why: &str| {
        let mut left = honest.clone();
        damage(&mut left);
        files(Path::new(&out)).keys().for_each(|path| fs::remove_file(path).unwrap());
        left.iter().for_each(|(path, bytes)| fs::write(path, bytes).unwrap());
        refused(&resume(&[]), 2, why);
        assert!(files(Path::new(&out)) == left, "{why}");
    };
    let place = |name: &str| Path::new(&out).join(name);
    let (checkpoint, claims) = (place("checkpoint"), place("claims"));
    stays(&|all| all.get_mut(&checkpoint).unwrap()[300] ^= 1, "expected a whole checkpoint");
    stays(&|all| all.get_mut(&checkpoint).unwrap().truncate(999), "expected a whole checkpoint");
    stays(&|all| drop(all.insert(checkpoint.clone(), b"none".to_vec())), "whole checkpoint");
    stays(&|all| all.get_mut(&claims).unwrap()[400] ^= 1, "claim 2 with another hash");
    stays(&|all| all.get_mut(&claims).unwrap().truncate(999), "expected 12 whole claims, got 7");
    stays(&|all| drop(all.remove(&claims)), "claims");
    // Whole claims that are not the run's.
    let record = |t: usize| 16 + 136 * t..16 + 136 * (t + 1);
    let swapped = |all: &mut Files| {
        let [a, b] = [5, 6].map(|t| honest[&claims][record(t)].to_vec());
        all.get_mut(&claims).unwrap()[record(5).start..record(6).end]
            .copy_from_slice(&[b, a].concat());
    };
    stays(&swapped, "expected claim 5 of this run, got one with another number");
    let elsewhere = |all: &mut Files| {
        let bytes = &mut all.get_mut(&claims).unwrap()[record(11)];
        let own = IterationClaim::from_array(bytes[..104].try_into().unwrap());
        let other = IterationClaim { after: own.before, ..own };
        bytes.copy_from_slice(&[other.to_bytes(), other.leaf().0.to_vec()].concat());
    };
    stays(&elsewhere, "expected claim 11 of this run, got one with another state after");
    // Those of another run do not lead to this state.
    let other = path(folder.path(), "other");
    let seed = ["--seed", "other", "--json", "--out", &other];
    object(&poai(&[&own[..], &seed].concat()));
    let foreign = fs::read(Path::new(&other).join("claims")).unwrap();
    let why = "expected claim 0 of this run, got one with another state before";
    stays(&|all| drop(all.insert(claims.clone(), foreign.clone())), why);
}

/// Kills a run at any moment, again and again, until it is done.
#[test]
fn a_killed_run_goes_on_to_the_same_root() {
    let folder = tempfile::tempdir().unwrap();
    let table = path(folder.path(), "rows.csv");
    fs::write(&table, rows(60)).unwrap();
    let own = ["train", "--data", &table, "--iterations", "240", "--every", "7"];
    let own = [&own[..], &["--segment", "100", "--no-lie", "--no-float", "--json"]].concat();
    let whole = object(&poai(&own));
    let (mut kills, mut halfway) = (0u32, 0u32);
    for round in 0..3u32 {
        let out = path(folder.path(), &format!("run {round}"));
        for index in 0..6u32 {
            let there = Path::new(&out).join("checkpoint").exists();
            let how = ["--out", "--resume"][usize::from(there)];
            let mut child = command()
                .args(&own)
                .args([how, &out])
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .unwrap();
            let moment = blake3::hash(&[round as u8, index as u8]).as_bytes()[0];
            std::thread::sleep(Duration::from_millis(20 + u64::from(moment)));
            let ended = child.try_wait().unwrap().is_some();
            child.kill().unwrap();
            child.wait().unwrap();
            kills += u32::from(!ended);
            halfway += u32::from(!ended && Path::new(&out).join("checkpoint").exists());
        }
        let there = Path::new(&out).join("checkpoint").exists();
        let how = ["--out", "--resume"][usize::from(there)];
        let resumed = object(&poai(&[&own[..], &[how, &out]].concat()));
        assert_same(&whole, &resumed);
    }
    println!("{kills} kills, {halfway} of them after a checkpoint");
    assert!(kills > 0 && halfway > 0, "{kills} kills, {halfway} after a checkpoint");
}

/// A limit on the size of files stands for a disk that fills up.
#[cfg(unix)]
#[test]
fn a_full_disk_keeps_the_last_checkpoint() {
    let folder = tempfile::tempdir().unwrap();
    let table = path(folder.path(), "rows.csv");
    fs::write(&table, rows(60)).unwrap();
    let own = ["train", "--data", &table, "--iterations", "400", "--every", "10"];
    let own = [&own[..], &["--no-lie", "--no-float", "--json"]].concat();
    let out = path(folder.path(), "whole");
    let whole = object(&poai(&[&own[..], &["--out", &out]].concat()));
    let size = |name: &str| fs::metadata(Path::new(&out).join(name)).unwrap().len();
    // Claims outgrow the checkpoint, so a limit between both stops them midway.
    let (checkpoint, claims) = (size("checkpoint"), size("claims"));
    assert!(claims > checkpoint + 8192, "{claims} and {checkpoint} bytes");
    let blocks = (checkpoint + (claims - checkpoint) / 2) / 512;
    let full = path(folder.path(), "full");
    let script = format!("ulimit -f {blocks} && trap '' XFSZ && exec \"$@\"");
    let limited = Command::new("sh")
        .args(["-c", &script, "sh", env!("CARGO_BIN_EXE_poai")])
        .args(&own)
        .args(["--out", &full])
        .output();
    let Ok(limited) = limited else {
        println!("SKIPPED: no sh to set a limit with");
        return;
    };
    let said = text(&limited.stderr);
    assert_eq!(code(&limited), 2, "{said}");
    assert!(said.contains("claims: File too large"), "{said}");
    let resumed = object(&poai(&[&own[..], &["--resume", &full]].concat()));
    let at = resumed["resumed_at"].as_u64().unwrap();
    assert!(at > 0 && at < 400, "resumed at {at}");
    assert_same(&whole, &resumed);
}

/// A file of NumPy, version 1.
fn npy(descr: &str, shape: &str, data: &[u8]) -> Vec<u8> {
    let header = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}\n");
    let length = u16::try_from(header.len()).unwrap().to_le_bytes();
    [b"\x93NUMPY\x01\x00", &length[..], header.as_bytes(), data].concat()
}

#[test]
fn tables_arrays_and_texts_are_trained() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, content: &[u8]| {
        fs::write(folder.path().join(name), content).unwrap();
        path(folder.path(), name)
    };
    let table = file("rows.csv", rows(200).as_bytes());
    let options = ["--epochs", "20", "--untraced", "--json"];
    let train = |more: &[&str]| object(&poai(&[&["train"], &options[..], more].concat()));
    let said = train(&["--data", &table]);
    assert!(said["test_accuracy"].as_f64().unwrap() > 0.8, "{said}");
    // The same numbers in one array, and in two files.
    let numbers = |columns: &dyn Fn(u32) -> Vec<f32>| -> Vec<u8> {
        (0..200).flat_map(columns).flat_map(f32::to_le_bytes).collect()
    };
    let features = |i: u32| vec![(i % 7) as f32, ((i * 5) % 11) as f32];
    let label = |i: u32| vec![if i % 7 > 3 { 1.0 } else { 0.0 }];
    let both = numbers(&|i| [features(i), label(i)].concat());
    let array = file("both.npy", &npy("<f4", "(200, 3)", &both));
    let data = file("features.npy", &npy("<f4", "(200, 2)", &numbers(&features)));
    let labels = file("labels.npy", &npy("<f4", "(200,)", &numbers(&label)));
    let two = ["--data", &data, "--labels", &labels];
    for other in [train(&["--data", &array]), train(&two)] {
        assert_eq!(
            (&other["states"], &other["program_id"]),
            (&said["states"], &said["program_id"])
        );
    }
    let more = ["--optimizer", "lion", "--decay", "0.01", "--batch", "16"];
    assert_ne!(train(&[&["--data", &table], &more[..]].concat())["states"], said["states"]);

    let poem = file("poem.txt", "the cat sat on the mat and that was that. ".repeat(20).as_bytes());
    let poem = ["train", "--task", "text", "--data", &poem, "--iterations", "2", "--no-lie"];
    let said = printed(&poai(&poem));
    for part in ["causal transformer", "in float", "run root", "audit", "iterations  2 in"] {
        assert!(said.contains(part), "{part}: {said}");
    }
}

#[test]
fn bad_data_is_refused_by_row() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, content: &[u8]| {
        fs::write(folder.path().join(name), content).unwrap();
        path(folder.path(), name)
    };
    let label = |label: &str| "1,2,0\n1,3,1\n".repeat(6) + &format!("\n1,2,{label}\n");
    for (content, why) in [
        ("a,b,label\n1,2,0\n1,x,1\n", "line 3, field 2: expected a finite number, got \"x\""),
        ("1,2,0\n1,2\n", "line 2: expected 3 numbers separated by ',', got 2"),
        (&label("0.5"), "line 14: expected a label, an integer in 0..=65535, got 0.5"),
        (&label("-1"), "line 14: expected a label, an integer in 0..=65535, got -1"),
        (&label("70000"), "line 14: expected a label, an integer in 0..=65535, got 70000"),
        ("1,nan,0\n", "line 1, field 2: expected a finite number, got \"nan\""),
        ("1\n2\n", "expected rows of features and a label, got rows of 1 number"),
        ("1,2,0\n", "expected at least 10 rows to train and to test with, got 1"),
        ("", "expected rows of numbers, got none"),
        ("a,b\n", "expected rows of numbers, got none"),
        (&"1,2,1\n".repeat(20), "expected labels of at least 2 classes, got only class 1"),
    ] {
        let table = file("bad.csv", content.as_bytes());
        refused(&poai(&["train", "--data", &table]), 2, why);
    }
    let nan: Vec<u8> = [1.0, 2.0, 0.0, f32::NAN].into_iter().flat_map(f32::to_le_bytes).collect();
    let array = file("bad.npy", &npy("<f4", "(2, 2)", &nan));
    refused(&poai(&["train", "--data", &array]), 2, "row 1, column 1, both from 0: expected a");
    let table = file("rows.csv", rows(60).as_bytes());
    let labelled = |labels: &str| poai(&["train", "--data", &table, "--labels", labels]);
    let few = file("few.csv", b"0\n1\n");
    refused(&labelled(&few), 2, "expected 60 labels, one a row of the data, got 2");
    let wide = file("wide.csv", "0,1\n".repeat(60).as_bytes());
    refused(&labelled(&wide), 2, "expected rows of 1 number, got rows of 2");
    let high = file("high.csv", &["0\n1\n".repeat(29).as_bytes(), b"1\n1e9\n"].concat());
    refused(&labelled(&high), 2, "line 60: expected a label, an integer in 0..=65535");

    let text = |content: &[u8]| {
        let file = file("bad.txt", content);
        poai(&["train", "--task", "text", "--data", &file])
    };
    refused(&text(b"short"), 2, "expected at least 650 characters, got 5");
    refused(&text(&b"a".repeat(700)), 2, "expected at least 2 different characters, got 1");
    refused(&text(b"abc\xff"), 2, "byte 3: expected a text in UTF-8");
    refused(&poai(&["train", "--labels", &few]), 2, "--labels: expected --data");
    refused(&poai(&["train", "--rate=-1"]), 2, "expected a rate above 0");
    refused(&poai(&["train", "--decay=-1"]), 2, "weight decay: expected 0, or a coefficient");
    let none = path(folder.path(), "none");
    refused(&poai(&["train", "--data", &none]), 2, "none");
    for task in ["embed-head", "lora"] {
        let refusal = poai(&["train", "--task", task, "--model", &none]);
        refused(&refusal, 2, "scripts/fetch-minilm.sh gets one");
        let data = ["train", "--task", task, "--data", &none];
        refused(&poai(&data), 2, "which read the bundled plays");
    }
}
