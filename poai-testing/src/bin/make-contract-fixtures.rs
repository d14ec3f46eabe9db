//! Writes the verifiers of the test keys, from which `compile.js` makes the
//! test artefacts, and a proof for `scripts/evm-e2e.sh`:
//!
//! `cargo run -p poai-testing --features groth16 --bin make-contract-fixtures`
//!
//! Setups and proofs have public seeds. So the files are the same each time,
//! and anyone can forge proofs of these keys.

use poai_testing::groth16::Setup;
use poai_testing::statement;
use poai_verify::inference::solidity;
use std::error::Error;
use std::path::PathBuf;

fn main() -> Result<(), Box<dyn Error>> {
    let directory =
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../poai-verify/contracts/fixtures");
    std::fs::create_dir_all(&directory)?;
    for signals in 1..=6 {
        let name = format!("TestVerifier{signals}");
        let source = solidity(&Setup::new(signals, signals as u64).key, &name)?;
        std::fs::write(directory.join(name + ".sol"), source)?;
    }
    for (file, seed, visibility) in statement::FIXTURES {
        let json = serde_json::to_string_pretty(&statement::deployment(seed, visibility)?)?;
        std::fs::write(directory.join(file), json + "\n")?;
    }
    Ok(())
}
