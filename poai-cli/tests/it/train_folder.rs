//! The folder of `poai train`: its lock, what it is bound to, and its evidence.

use crate::program::{command, object, path, poai, printed, refused};
use crate::train::rows;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

/// All files below a folder, and their content.
fn tree(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut all = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => all.append(&mut tree(&path)),
            false => drop(all.insert(path.clone(), fs::read(&path).unwrap())),
        }
    }
    all
}

/// A table and the options of a short run on it, without demonstrations.
fn short(folder: &Path) -> Vec<String> {
    let table = path(folder, "rows.csv");
    fs::write(&table, rows(60)).unwrap();
    let options = ["--segment", "5", "--no-lie", "--no-float"].map(str::to_owned);
    let own = ["train", "--data", &table, "--iterations", "12"].map(str::to_owned);
    [&own[..], &options].concat()
}

fn with<'a>(own: &'a [String], more: &[&'a str]) -> Vec<&'a str> {
    own.iter().map(String::as_str).chain(more.iter().copied()).collect()
}

#[test]
fn a_folder_has_one_writing_process() {
    let folder = tempfile::tempdir().unwrap();
    let mut own = short(folder.path());
    // Longer than this test.
    let length = own.iter().position(|option| option == "12").unwrap();
    own[length] = "60000".into();
    let out = path(folder.path(), "run");
    let mut first = command()
        .args(with(&own, &["--every", "20", "--out", &out]))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let checkpoint = Path::new(&out).join("checkpoint");
    while !checkpoint.exists() {
        assert!(first.try_wait().unwrap().is_none(), "it trains");
        std::thread::sleep(Duration::from_millis(5));
    }
    let why = "expected a folder that no process writes, got a folder that another process writes";
    for how in ["--resume", "--out"] {
        refused(&poai(&with(&own, &[how, &out])), 2, why);
    }
    assert!(first.try_wait().unwrap().is_none(), "it still trains");
    first.kill().unwrap();
    first.wait().unwrap();
    // The lock ends with its process: now the checkpoint is read.
    let left = tree(Path::new(&out));
    let other = poai(&with(&own, &["--resume", &out, "--seed", "other"]));
    refused(&other, 2, "expected --seed \"poai\", with which this run began, got \"other\"");
    refused(&poai(&with(&own, &["--out", &out])), 2, "expected a folder without a run");
    assert!(tree(Path::new(&out)) == left);
}

#[test]
fn a_checkpoint_binds_every_option_that_changes_the_run() {
    let folder = tempfile::tempdir().unwrap();
    let own = short(folder.path());
    let out = path(folder.path(), "run");
    object(&poai(&with(&own, &["--json", "--out", &out])));
    let left = tree(Path::new(&out));
    let other = path(folder.path(), "other.csv");
    fs::write(&other, rows(61)).unwrap();
    let resume = |option: &str, value: &str| {
        let mut own = own.clone();
        match own.iter().position(|own| own == option) {
            Some(at) => own[at + 1] = value.into(),
            None => own.extend([option.into(), value.into()]),
        }
        poai(&with(&own, &["--resume", &out]))
    };
    for (option, value, expected) in [
        ("--segment", "6", "expected --segment 5, with which this run began, got 6"),
        ("--data", &other, "expected --data with root "),
        ("--optimizer", "lion", "expected --optimizer sgd, with which this run began, got lion"),
        ("--rate", "0.2", "expected --rate 0.1, with which this run began, got 0.2"),
        ("--decay", "0.01", "expected --decay 0, with which this run began, got 0.01"),
        ("--batch", "7", "expected --batch 32, with which this run began, got 7"),
        ("--iterations", "13", "expected --iterations 12, with which this run began, got 13"),
        ("--seed", "x", "expected --seed \"poai\", with which this run began, got \"x\""),
    ] {
        refused(&resume(option, value), 2, expected);
        assert!(tree(Path::new(&out)) == left, "{option}");
    }
    // Without its lock, too.
    fs::remove_file(Path::new(&out).join("lock")).unwrap();
    let left = tree(Path::new(&out));
    refused(&resume("--segment", "6"), 2, "expected --segment 5");
    assert!(tree(Path::new(&out)) == left);
    // A run that makes claims goes on with them, and one that makes none goes on without.
    let bare: Vec<String> = own.iter().filter(|own| *own != "--no-lie").cloned().collect();
    let why = "expected --untraced no, with which this run began, got yes";
    refused(&poai(&with(&bare, &["--untraced", "--resume", &out])), 2, why);
    assert!(tree(Path::new(&out)) == left);
    let alone = path(folder.path(), "alone");
    object(&poai(&with(&bare, &["--untraced", "--json", "--out", &alone])));
    let kept = tree(Path::new(&alone));
    let why = "expected --untraced yes, with which this run began, got no";
    refused(&poai(&with(&own, &["--resume", &alone])), 2, why);
    assert!(tree(Path::new(&alone)) == kept);
    object(&poai(&with(&bare, &["--untraced", "--json", "--resume", &alone])));
    // A checkpoint of the format before this one.
    let checkpoint = Path::new(&out).join("checkpoint");
    let mut old = left[&checkpoint].clone();
    old[14] = b'1';
    fs::write(&checkpoint, &old).unwrap();
    let why = "expected a checkpoint of version 2, got one of version 1";
    refused(&resume("--every", "100"), 2, why);
}

#[test]
fn a_finished_run_stays_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let own = short(folder.path());
    let out = path(folder.path(), "run");
    let whole = object(&poai(&with(&own, &["--json", "--out", &out])));
    let left = tree(Path::new(&out));
    assert!(left.contains_key(&Path::new(&out).join("evidence/audit.bin")));
    let again = object(&poai(&with(&own, &["--json", "--resume", &out])));
    assert_eq!(again, whole);
    let said = printed(&poai(&with(&own, &["--resume", &out])));
    assert!(said.contains("all 12 iterations are done; nothing changes"), "{said}");
    assert!(said.contains(whole["run_root"].as_str().unwrap()), "{said}");
    assert!(tree(Path::new(&out)) == left);
    // One that died before its report makes all results again.
    let report = Path::new(&out).join("report.json");
    fs::remove_file(&report).unwrap();
    let again = object(&poai(&with(&own, &["--json", "--resume", &out])));
    assert_eq!((&again["resumed_at"], &again["seconds"]), (&12.into(), &whole["seconds"]));
    let stable = |mut all: BTreeMap<PathBuf, Vec<u8>>| {
        all.remove(&report);
        all
    };
    assert!(stable(tree(Path::new(&out))) == stable(left));
    // What is no report is an error.
    fs::write(&report, b"{").unwrap();
    refused(&poai(&with(&own, &["--json", "--resume", &out])), 2, "report.json: malformed");
}

#[test]
fn a_folder_has_the_evidence_of_its_run() {
    let folder = tempfile::tempdir().unwrap();
    let own = short(folder.path());
    let out = path(folder.path(), "run");
    let prover = "0b".repeat(32);
    let more = ["--prover", &prover, "--json", "--out", &out];
    let whole = object(&poai(&with(&own, &more)));
    let verify = |more: &[&str]| poai(&[&["verify", "training", &out], more].concat());
    let said = printed(&verify(&[]));
    assert!(said.contains("the job was read in the folder"), "{said}");
    let network = whole["frozen"]["program_id"].as_str().unwrap();
    let root = whole["run_root"].as_str().unwrap();
    for part in [root, network, &prover, "12 iterations in 3 segments", "0 are of another origin"] {
        assert!(said.contains(part), "{part}: {said}");
    }
    // What the verifier knows.
    let place = |name: &str| Path::new(&out).join(name);
    let job = path(folder.path(), "job.json");
    fs::copy(place("evidence/job.json"), &job).unwrap();
    let exporter = said.lines().find_map(|line| line.strip_prefix("exporter    ")).unwrap();
    let exporter = exporter.split(':').next().unwrap();
    let known = ["--job", &job, "--run-root", root, "--prover", &prover, "--exporter-id", exporter];
    let known = printed(&verify(&known));
    assert!(!known.contains("compare"), "{known}");
    let zeros = "00".repeat(32);
    refused(&verify(&["--run-root", &zeros]), 1, "invalid: expected run root 0000");
    refused(&verify(&["--prover", &zeros]), 1, "invalid: expected prover 0000");
    refused(&verify(&["--exporter-id", network]), 1, "invalid: expected exporter ");
    refused(&verify(&["--beacon", &prover]), 1, "invalid: ");
    // Evidence of another job.
    let other = path(folder.path(), "other");
    object(&poai(&with(&own, &["--seed", "other", "--json", "--out", &other])));
    let others = path(Path::new(&other), "evidence/job.json");
    let why = "invalid: expected a segment that continues the state of the one before, got another";
    refused(&verify(&["--job", &others]), 1, why);

    // One changed byte: malformed bytes differ from false ones.
    let honest = tree(Path::new(&out));
    let changed = |name: &str, at: usize, code: i32, why: &str| {
        let mut bytes = honest[&place(name)].clone();
        let at = at.min(bytes.len() - 1);
        bytes[at] ^= 1;
        fs::write(place(name), &bytes).unwrap();
        refused(&verify(&[]), code, why);
        fs::write(place(name), &honest[&place(name)]).unwrap();
    };
    let last = usize::MAX;
    let digit = |name: &str, field: &str| {
        let text = String::from_utf8(honest[&place(name)].clone()).unwrap();
        text.find(&format!("\"{field}\":")).unwrap() + field.len() + 4
    };
    let at = |field: &str| digit("evidence/job.json", field);
    // The first root of a constant, behind structure and numbers.
    let root_of = |name: &str| {
        let bytes = &honest[&place(name)];
        let len = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap()) as usize;
        23 + len(15) + len(19)
    };
    // A safetensors file begins with the length of its header.
    let constants = &honest[&place("network/constants.safetensors")];
    let constants = 8 + u64::from_le_bytes(constants[..8].try_into().unwrap()) as usize;
    for (name, at, code, why) in [
        ("claims", 0, 2, "expected 12 whole claims, got another kind of file"),
        ("claims", 400, 2, "expected 12 whole claims, got claim 2 with another hash"),
        ("evidence/job.json", 0, 2, "malformed: "),
        ("evidence/job.json", last, 2, "malformed: "),
        // The fields of parameters begin with their version.
        ("evidence/job.json", at("parameters") + 1, 2, "malformed: parameters: expected version 1"),
        ("evidence/job.json", at("parameters") + 8, 1, "job.json: expected parameters of program "),
        ("evidence/job.json", at("beacon"), 1, "expected seed "),
        ("evidence/program.poai", 0, 2, "malformed: "),
        (
            "evidence/program.poai",
            root_of("evidence/program.poai"),
            1,
            "expected parameters of program ",
        ),
        ("evidence/receipt.bin", 0, 2, "malformed: expected version 1"),
        ("evidence/receipt.bin", 4, 1, "invalid: the receipt differs from the run in its run"),
        ("evidence/receipt.bin", last, 1, "invalid: the receipt differs from the run in its rules"),
        ("evidence/audit.bin", 0, 2, "malformed: expected version 1"),
        ("evidence/audit.bin", 4, 1, "invalid: "),
        ("evidence/audit.bin", last, 1, "invalid: "),
        ("evidence/export.json", 0, 2, "malformed: "),
        ("evidence/export.json", last, 2, "malformed: "),
        ("evidence/export.json", digit("evidence/export.json", "export") + 8, 1, "in its run"),
        (
            "evidence/export.json",
            digit("evidence/export.json", "states") + 1,
            1,
            "in its last state",
        ),
        ("evidence/export.json", digit("evidence/export.json", "outputs") + 1, 1, "in its output"),
        ("evidence/exporter.poai", 0, 2, "malformed: "),
        (
            "evidence/exporter.poai",
            root_of("evidence/exporter.poai"),
            1,
            "the trace is of program ",
        ),
        ("evidence/export-receipt.bin", 0, 2, "malformed: "),
        ("evidence/export-receipt.bin", last, 1, "invalid: "),
        ("evidence/export-audit.bin", 0, 2, "malformed: "),
        ("evidence/export-audit.bin", last, 1, "invalid: "),
        ("network/program.poai", 0, 2, "program.poai"),
        ("network/program.poai", root_of("network/program.poai"), 1, "invalid: "),
        ("network/constants.safetensors", 0, 2, "constants.safetensors"),
        ("network/constants.safetensors", constants, 1, "invalid: "),
        ("network/quantised.json", 0, 2, "quantised.json"),
    ] {
        changed(name, at, code, why);
    }
    // No id binds the names of steps, which are a program's last bytes.
    let names = &honest[&place("evidence/program.poai")];
    let renamed = [&names[..names.len() - 1], b"x"].concat();
    assert_ne!(&renamed, names);
    fs::write(place("evidence/program.poai"), &renamed).unwrap();
    printed(&verify(&[]));
    // Every bit of a short receipt counts.
    let receipt = honest[&place("evidence/receipt.bin")].len();
    (0..receipt).step_by(37).for_each(|at| {
        let mut bytes = honest[&place("evidence/receipt.bin")].clone();
        bytes[at] ^= 0x80;
        fs::write(place("evidence/receipt.bin"), &bytes).unwrap();
        let output = verify(&["--prover", &prover]);
        assert!(matches!(output.status.code(), Some(1 | 2)), "byte {at}");
    });
    fs::write(place("evidence/receipt.bin"), &honest[&place("evidence/receipt.bin")]).unwrap();
    // Files that end early, and files that are not there.
    let audit = &honest[&place("evidence/audit.bin")];
    fs::write(place("evidence/audit.bin"), &audit[..audit.len() - 1]).unwrap();
    refused(&verify(&[]), 2, "audit.bin: malformed: ");
    fs::write(place("evidence/audit.bin"), audit).unwrap();
    let exported = &honest[&place("evidence/export-audit.bin")];
    fs::write(place("evidence/export-audit.bin"), &exported[..exported.len() - 1]).unwrap();
    refused(&verify(&[]), 2, "export-audit.bin: malformed: ");
    fs::write(place("evidence/export-audit.bin"), exported).unwrap();
    // Claims, and bytes behind the last of them.
    let claims = &honest[&place("claims")];
    for more in [1, 136] {
        fs::write(place("claims"), [&claims[..], &vec![0; more]].concat()).unwrap();
        let why =
            format!("claims: malformed: expected 1648 bytes of 12 claims, got {}", 1648 + more);
        refused(&verify(&[]), 2, &why);
    }
    fs::write(place("claims"), claims).unwrap();
    printed(&verify(&[]));
    fs::remove_file(place("evidence/audit.bin")).unwrap();
    refused(&verify(&[]), 2, "audit.bin");
    // A run that commits to nothing has no evidence.
    let alone = path(folder.path(), "alone");
    let own: Vec<String> = own.into_iter().filter(|option| option != "--no-lie").collect();
    let said: Value = object(&poai(&with(&own, &["--untraced", "--json", "--out", &alone])));
    assert!(said["run_root"].is_null() && !Path::new(&alone).join("evidence").exists());
    refused(&poai(&["verify", "training", &alone]), 2, "evidence");
}

/// Nothing waits for the other end of a pipe.
#[cfg(unix)]
#[test]
fn a_pipe_in_the_place_of_a_file_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let own = short(folder.path());
    let out = path(folder.path(), "run");
    object(&poai(&with(&own, &["--json", "--out", &out])));
    let files = [
        "checkpoint",
        "claims",
        "report.json",
        "evidence/job.json",
        "evidence/audit.bin",
        "network/quantised.json",
    ];
    for name in files {
        let place = Path::new(&out).join(name);
        let honest = fs::read(&place).unwrap();
        fs::remove_file(&place).unwrap();
        let Ok(made) = std::process::Command::new("mkfifo").arg(&place).status() else {
            println!("SKIPPED: no mkfifo to make a pipe with");
            return;
        };
        assert!(made.success(), "{name}");
        let why = format!("{}: it is not a regular file", place.display());
        refused(&poai(&["verify", "training", &out]), 2, &why);
        refused(&poai(&with(&own, &["--resume", &out])), 2, &why);
        fs::remove_file(&place).unwrap();
        fs::write(&place, honest).unwrap();
    }
    printed(&poai(&["verify", "training", &out]));
}

/// The report of a run whose demonstration of a kill could not run, which its folder has, too.
#[cfg(unix)]
fn without_kill(output: &std::process::Output, out: &str, note: &str) -> Value {
    let whole = object(output);
    let said = whole["resumption_note"].as_str().unwrap();
    assert!(whole["resumption"].is_null() && said.contains(note), "{said}");
    assert!(whole["lie"]["convicted"] == true && Path::new(out).join("plot.svg").is_file());
    let report = fs::read(Path::new(out).join("report.json")).unwrap();
    assert_eq!(serde_json::from_slice::<Value>(&report).unwrap(), whole);
    let said = printed(&poai(&["verify", "training", out]));
    assert!(said.contains(whole["run_root"].as_str().unwrap()), "{said}");
    whole
}

#[cfg(unix)]
#[test]
fn a_kill_that_cannot_be_shown_leaves_the_results() {
    let folder = tempfile::tempdir().unwrap();
    let own = short(folder.path());
    let own: Vec<String> = own.into_iter().filter(|option| option != "--no-lie").collect();
    let own: Vec<&str> = own.iter().map(String::as_str).collect();
    let out = |name: &str| path(folder.path(), name);
    // No folder for the short run.
    let mut process = command();
    process.args(&own).env("TMPDIR", "/nonexistent");
    let text = printed(&process.output().unwrap());
    assert!(text.contains("kill        not shown: expected a temporary folder"), "{text}");
    let at = out("no temporary folder");
    let output = process.args(["--json", "--out", &at]).output().unwrap();
    let whole = without_kill(&output, &at, "expected a temporary folder for a short run");
    // The other process gets no data.
    let at = out("data of this process");
    let table = own[2];
    let mut process = command();
    let other = own.iter().map(|option| if *option == table { "/dev/stdin" } else { option });
    process.args(other).args(["--json", "--out", &at]);
    let output = process.stdin(fs::File::open(table).unwrap()).output().unwrap();
    let piped = without_kill(&output, &at, "expected a process that trains, got one that ended");
    assert_eq!(piped["run_root"], whole["run_root"]);
    // The program is removed as soon as it runs.
    let (at, program) = (out("no program"), folder.path().join("program"));
    fs::copy(env!("CARGO_BIN_EXE_poai"), &program).unwrap();
    let mut process = std::process::Command::new(&program);
    process.args(&own).args(["--json", "--out", &at]).stdin(Stdio::null());
    let process = process.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    fs::remove_file(&program).unwrap();
    let output = process.wait_with_output().unwrap();
    without_kill(&output, &at, "expected a process of this program to kill");
}
