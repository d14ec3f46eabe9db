//! Messages about training runs made by earlier versions. Today's and all later code
//! accepts what they accept and refuses what they refuse, for the same reason.

use poai_core::program::Program;
use poai_core::{Beacon, TrainingReceiptDigest};
use poai_verify::trace::Checker;
use poai_verify::train::{
    DatasetRoots, IterationClaim, RunChecker, RunParameters, Segment, TrainedRun, TrainingAnswer,
    TrainingAnswered, TrainingAudit, TrainingDemand, TrainingError, TrainingFraud, TrainingReceipt,
    TrainingRules,
};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

#[derive(serde::Deserialize)]
struct Entry {
    kind: String,
    file: PathBuf,
    expect: String,
    program: PathBuf,
    parameters: PathBuf,
    dataset: DatasetRoots,
    beacon: Beacon,
    rules: TrainingRules,
    segment: Option<PathBuf>,
    previous: Option<PathBuf>,
    audit_beacon: Option<Beacon>,
    demand: Option<PathBuf>,
    run: Option<PathBuf>,
    digest: Option<TrainingReceiptDigest>,
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../test_vectors/runs/v1")
}

fn read(file: &Path) -> Vec<u8> {
    std::fs::read(folder().join(file)).unwrap()
}

impl Entry {
    fn checker(&self) -> RunChecker {
        let program = Program::from_bytes(&read(&self.program)).unwrap();
        let bytes = read(&self.parameters);
        let parameters = RunParameters::from_bytes(&bytes).unwrap();
        assert_eq!(parameters.to_bytes(), bytes);
        let checker = Checker::new(program, self.rules.trace);
        let (dataset, samples) = (self.dataset.clone(), self.rules.iteration_samples);
        RunChecker::new(checker, parameters, dataset, &self.beacon, samples).unwrap()
    }

    fn named<T>(
        &self,
        file: &Option<PathBuf>,
        of: fn(&[u8]) -> Result<T, poai_verify::train::TrainingDecodeError>,
    ) -> T {
        of(&read(file.as_ref().unwrap())).unwrap()
    }

    fn segment(&self) -> Segment {
        self.named(&self.segment, Segment::from_bytes)
    }

    /// What the manifest expects of checking some bytes.
    fn check(&self, checker: &RunChecker, bytes: &[u8]) -> String {
        let done = |result: Result<(), TrainingError>| match result {
            Ok(()) => "valid".into(),
            Err(why) => why.to_string(),
        };
        match self.kind.as_str() {
            "segment" => done(Segment::from_bytes(bytes).map_err(Into::into).and_then(|segment| {
                let previous = self.previous.as_ref().map(|file| Segment::from_bytes(&read(file)));
                checker.segment(previous.map(Result::unwrap).as_ref(), &segment).map(drop)
            })),
            "claims" => done(IterationClaim::list_from_bytes(bytes).map_err(Into::into).and_then(
                |claims| {
                    assert_eq!(IterationClaim::list_to_bytes(&claims), bytes);
                    checker.claims(&self.segment(), &claims)
                },
            )),
            "audit" => {
                done(TrainingAudit::from_bytes(bytes).map_err(Into::into).and_then(|audit| {
                    checker.audit(&self.segment(), &self.audit_beacon.unwrap(), &audit).map(drop)
                }))
            }
            "fraud" => done(
                TrainingFraud::from_bytes(bytes)
                    .map_err(Into::into)
                    .and_then(|proof| checker.fraud(&self.segment(), &proof).map(drop)),
            ),
            "demand" => {
                done(TrainingDemand::from_bytes(bytes).map_err(Into::into).and_then(|demand| {
                    assert_eq!(demand.to_bytes(), bytes);
                    checker.demand(&self.segment(), &demand).map(drop)
                }))
            }
            "answer" => {
                let demand = self.named(&self.demand, TrainingDemand::from_bytes);
                let answer = TrainingAnswer::from_bytes(bytes).map_err(TrainingError::from);
                match answer.and_then(|answer| checker.answer(&self.segment(), &demand, &answer)) {
                    Ok(TrainingAnswered::Convicted(_)) => "convicts".into(),
                    other => done(other.map(drop)),
                }
            }
            "receipt" => {
                let run = self.named(&self.run, TrainedRun::from_bytes);
                match TrainingReceipt::from_bytes(bytes) {
                    Ok(receipt) => {
                        assert_eq!(receipt.to_bytes(), bytes);
                        if Some(receipt.digest()) != self.digest {
                            return "another digest".into();
                        }
                        match checker.receipt(&run, &receipt) {
                            Ok(()) => "valid".into(),
                            Err(why) => why.to_string(),
                        }
                    }
                    Err(why) => why.to_string(),
                }
            }
            kind => panic!("a fixture of kind {kind}"),
        }
    }
}

#[test]
fn fixtures_of_training_runs_are_read_as_their_manifest_says() {
    let manifest = std::fs::read_to_string(folder().join("manifest.json")).unwrap();
    let entries: Vec<Entry> = serde_json::from_str(&manifest).unwrap();
    let mut kinds = BTreeMap::<&str, [usize; 2]>::new();
    for entry in &entries {
        let (checker, bytes) = (entry.checker(), read(&entry.file));
        let got = entry.check(&checker, &bytes);
        assert!(got.starts_with(&entry.expect), "{}: {got}", entry.file.display());
        let valid = entry.expect == "valid";
        kinds.entry(&entry.kind).or_default()[usize::from(valid)] += 1;
        if !valid {
            continue;
        }
        assert_ne!(entry.check(&checker, &[&bytes[..], &[0]].concat()), "valid");
        // Segments and demands are claims and questions: many are admitted.
        if ["segment", "demand"].contains(&entry.kind.as_str()) {
            continue;
        }
        for at in (0..bytes.len()).step_by(bytes.len() / 60 + 1) {
            let mut altered = bytes.clone();
            altered[at] ^= 1;
            let got = entry.check(&checker, &altered);
            assert_ne!(got, "valid", "{}: byte {at} changes nothing", entry.file.display());
            assert_ne!(entry.check(&checker, &bytes[..at]), "valid");
        }
    }
    for kind in ["segment", "claims", "audit", "fraud", "demand", "answer", "receipt"] {
        assert!(kinds[kind].iter().all(|&count| count > 0), "{kind}: {:?}", kinds[kind]);
    }
    assert_eq!(kinds["fraud"][1], 7, "one of each kind of fraud");
}
