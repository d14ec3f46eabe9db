//! The backends and sizes of each group, and the answers that all backends must
//! give.

use poai_benches::workload::P;
use poai_core::{Challenge, Difficulty, Side};
use poai_engine::backend::Backend;
use poai_engine::backend::REFERENCE;
use poai_engine::execute::Device;
use poai_engine::{Cpu, Miner, Operand};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Every backend of this machine except the plain reference, which is about a
/// thousand times slower. Prints the backends that are missing.
pub fn backends() -> Vec<Arc<dyn Device>> {
    for listed in Cpu::list().iter().filter(|listed| !listed.present) {
        println!("SKIPPED: {}: it needs {}", listed.name, listed.needs);
    }
    poai_engine::choose::present()
        .into_iter()
        .filter(|backend| backend.name() != REFERENCE)
        .collect()
}

/// The sizes, of those given, that a backend computes quickly.
pub fn sizes(backend: &dyn Backend, sizes: &[u32]) -> Vec<u32> {
    let largest = if backend.name() == "cpu-scalar" { 512 } else { u32::MAX };
    sizes.iter().copied().filter(|&size| size <= largest).collect()
}

/// A pseudo-random operand.
pub fn operand(side: Side, rows: usize, k: usize) -> Operand {
    let seed = format!("bench {side}");
    Operand::pseudorandom(&P, side, seed.as_bytes(), rows, k).expect("a valid shape")
}

/// The bytes of a proof of a 64×64×k product in which every ticket wins.
pub fn proof(k: usize) -> Vec<u8> {
    let miner = Miner::new(Arc::new(Cpu::new()));
    let prepare = |side| miner.prepare(operand(side, 64, k)).expect("prepared");
    let (a, bt) = (prepare(Side::A), prepare(Side::B));
    let round = miner.round(&Challenge::default(), &bt).expect("a B side");
    // Not a search, which keeps the winner of whichever thread is first.
    let found = round.mine(&a, Difficulty::ONE).expect("mined").found;
    found.proof().expect("every ticket wins").to_bytes()
}

/// The known answers of a group's cases, which every backend must give.
pub struct Answers {
    group: &'static str,
    cases: BTreeMap<String, String>,
}

impl Answers {
    /// Answers without any case.
    pub fn new(group: &'static str) -> Answers {
        Answers { group, cases: BTreeMap::new() }
    }

    /// Prints a case's answer and compares it with that of earlier backends.
    ///
    /// # Panics
    /// Panics if another backend gave a different answer.
    pub fn add(&mut self, case: &str, backend: &str, answer: String) {
        let group = self.group;
        println!("{group}/{case} on {backend}: {answer}");
        let first = self.cases.entry(case.to_owned()).or_insert_with(|| answer.clone());
        assert_eq!(*first, answer, "{group}/{case}: {backend} differs from the backends before");
    }

    /// Prints one answer for the whole group.
    pub fn finish(self) {
        let mut hasher = blake3::Hasher::new();
        for (case, answer) in &self.cases {
            hasher.update(format!("{case} {answer}\n").as_bytes());
        }
        println!("{}: {} cases, digest {}", self.group, self.cases.len(), hasher.finalize());
    }
}
