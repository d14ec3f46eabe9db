//! Values of arguments that several subcommands take.

use poai::verify::Rules;
use poai::{Challenge, Difficulty};

/// The challenge where no chain gives one.
pub fn example_challenge() -> Challenge {
    Challenge(*blake3::hash(b"poai example challenge").as_bytes())
}

/// Rules of blocks, or of shares below the least difficulty of a block.
pub fn rules(difficulty: Difficulty) -> Rules {
    if difficulty < Difficulty::BLOCK_MIN { Rules::SHARE } else { Rules::CONSENSUS }
}

/// `M,N,K`, each positive.
pub fn shape(text: &str) -> Result<[usize; 3], String> {
    let numbers: Vec<usize> = text
        .split(',')
        .map(|number| number.trim().parse().map_err(|_| format!("{number:?} is no size")))
        .collect::<Result<_, _>>()?;
    let [m, n, k] = numbers[..] else {
        return Err(format!("expected three sizes M,N,K, got {}", numbers.len()));
    };
    if m == 0 || n == 0 || k == 0 {
        return Err("every size is at least 1".into());
    }
    Ok([m, n, k])
}

/// 32 bytes as 64 hexadecimal digits.
pub fn bytes32(text: &str) -> Result<[u8; 32], String> {
    let mut bytes = [0; 32];
    match hex::decode_to_slice(text, &mut bytes) {
        Ok(()) => Ok(bytes),
        Err(_) => Err(format!("expected 64 hexadecimal digits, got {text:?}")),
    }
}
