//! Values of arguments that several subcommands share.

use poai::verify::Rules;
use poai::{Challenge, Difficulty};

/// The default challenge, for calls without a chain.
pub fn example_challenge() -> Challenge {
    Challenge(*blake3::hash(b"poai example challenge").as_bytes())
}

/// The rules of blocks, or of shares if the difficulty is below the least one
/// of a block.
pub fn rules(difficulty: Difficulty) -> Rules {
    if difficulty < Difficulty::BLOCK_MIN { Rules::SHARE } else { Rules::CONSENSUS }
}

/// `M,N,K`, each positive.
pub fn shape(text: &str) -> Result<[usize; 3], String> {
    let numbers: Vec<usize> = text
        .split(',')
        .map(|number| number.trim().parse().map_err(|_| format!("expected a size, got {number:?}")))
        .collect::<Result<_, _>>()?;
    let [m, n, k] = numbers[..] else {
        return Err(format!("expected three sizes M,N,K, got {}", numbers.len()));
    };
    if m == 0 || n == 0 || k == 0 {
        return Err("expected sizes of at least 1, got 0".into());
    }
    Ok([m, n, k])
}
