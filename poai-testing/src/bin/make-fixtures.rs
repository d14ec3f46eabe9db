//! Makes the proof fixtures of a new version: `cargo run -p poai-testing --bin
//! make-fixtures -- DIRECTORY`.
//!
//! Fixtures of an earlier version are never made again, because this and all
//! later code must read them as they are. The program refuses an existing
//! directory.

use poai_core::*;
use poai_engine::operand::pseudorandom;
use poai_engine::*;
use serde_json::{Value, json};
use std::path::Path;
use std::sync::Arc;

type Failure = Box<dyn std::error::Error>;

/// A mined product and the proof of its best tile.
struct Honest {
    params: Params,
    challenge: Challenge,
    difficulty: Difficulty,
    proof: Proof,
}

fn mine(params: Params, rows: usize, k: usize, difficulty: u128) -> Result<Honest, Failure> {
    let challenge = Challenge(*blake3::hash(b"poai fixture v1").as_bytes());
    let difficulty = Difficulty::new(difficulty)?;
    let (a, bt) = (pseudorandom(b"fixture a", rows, k), pseudorandom(b"fixture b", rows, k));
    let operands = Operands::new(&params, a, bt)?;
    let miner = Miner::with_params(params, Arc::new(Cpu::for_params(&params)))?;
    let (a, bt) = (miner.prepare(operands.a().clone())?, miner.prepare(operands.bt().clone())?);
    let mined = miner.round(&challenge, &bt)?.mine(&a, difficulty)?;
    let proof = mined.found.proof().ok_or("no tile wins at the fixture's difficulty")?;
    Ok(Honest { params, challenge, difficulty, proof })
}

struct Writer<'a> {
    directory: &'a Path,
    manifest: Vec<Value>,
}

impl Writer<'_> {
    /// Writes one file and its line of the manifest. `expect` is `valid`, or
    /// the beginning of the error's text.
    fn add(
        &mut self,
        name: &str,
        honest: &Honest,
        bytes: &[u8],
        expect: &str,
    ) -> Result<(), Failure> {
        std::fs::write(self.directory.join(name), bytes)?;
        self.manifest.push(json!({
            "file": name,
            "rank": honest.params.rank(),
            "tile": honest.params.tile(),
            "challenge": honest.challenge,
            "difficulty": honest.difficulty,
            "expect": expect,
        }));
        Ok(())
    }
}

fn main() -> Result<(), Failure> {
    let directory = std::env::args_os().nth(1).ok_or("usage: make-fixtures DIRECTORY")?;
    let directory = Path::new(&directory);
    std::fs::create_dir(directory)?;
    let mut writer = Writer { directory, manifest: Vec::new() };

    let block = mine(Params::CONSENSUS, 256, 1024, 1 << 24)?;
    writer.add("block.proof", &block, &block.proof.to_bytes(), "valid")?;

    // Small proofs under research parameters, with every field near the start.
    let small = mine(Params::new(32, 16)?, 80, 96, 1 << 15)?;
    let bytes = small.proof.to_bytes();
    writer.add("small.proof", &small, &bytes, "valid")?;
    let mut edit = |name: &str, expect: &str, change: &dyn Fn(&mut Vec<u8>)| {
        let mut edited = bytes.clone();
        change(&mut edited);
        writer.add(name, &small, &edited, expect)
    };
    let set = |at: usize, value: u32| {
        move |bytes: &mut Vec<u8>| bytes[at..at + 4].copy_from_slice(&value.to_le_bytes())
    };
    let last = bytes.len() - 1;
    edit("empty.proof", "malformed", &|bytes| bytes.clear())?;
    edit("header-only.proof", "malformed", &|bytes| bytes.truncate(148))?;
    edit("one-short.proof", "malformed", &|bytes| bytes.truncate(last))?;
    edit("one-long.proof", "malformed", &|bytes| bytes.push(0))?;
    edit("zero-m.proof", "malformed: m = 0", &set(0, 0))?;
    edit("odd-n.proof", "malformed: n = 81", &set(4, 81))?;
    edit("huge-k.proof", "malformed: k = 4294967264", &set(8, u32::MAX - 31))?;
    edit("row-beyond.proof", "malformed: tile index 5 of side A", &set(76, 5))?;
    edit("column-beyond.proof", "malformed: tile index 5 of side B", &set(80, 5))?;
    edit("entry-64.proof", "malformed: opening of A: byte 7 = 64", &|bytes| bytes[148 + 7] = 64)?;
    edit("other-root.proof", "invalid", &|bytes| bytes[12] ^= 1)?;
    edit("other-transcript.proof", "invalid", &|bytes| bytes[84] ^= 1)?;
    edit("other-entry.proof", "invalid: opening of A", &|bytes| {
        bytes[148] = (bytes[148] == 0).into()
    })?;
    edit("other-sibling.proof", "invalid: opening of B", &|bytes| bytes[last] ^= 1)?;
    let manifest = serde_json::to_string_pretty(&writer.manifest)?;
    std::fs::write(directory.join("manifest.json"), manifest + "\n")?;
    Ok(())
}
