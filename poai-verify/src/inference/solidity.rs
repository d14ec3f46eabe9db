//! Rendering of a verifying key as a contract that checks its proofs on the
//! EVM.

use alloc::format;
use alloc::string::String;
use poai_core::inference::VerifyingKey;

/// The contract without the key.
const TEMPLATE: &str = include_str!("../../contracts/InferenceVerifier.sol.template");

/// Gas of the pairing precompile for four pairs (EIP-1108), plus the share that
/// EIP-150 keeps back (a 63rd), plus the instructions around it.
const GAS_PAIRING: usize = (45_000 + 4 * 34_000) * 64 / 63 + 2_000;

/// Gas of one signal: a multiplication, an addition, the calls and the
/// instructions around them.
const GAS_SIGNAL: usize = 6_000 + 150 + 2 * 100 + 200;

/// The text is not a valid contract name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected a name of 1 to 64 ASCII letters, digits and _, no digit first, got another")]
#[non_exhaustive]
pub struct NameError;

/// The Solidity source (MIT OR Apache-2.0) of a contract `name` that checks
/// proofs of this key.
///
/// The key is part of the source. `verify(uint256[8],uint256[])` returns for
/// valid proofs, and reverts with a reason for all others.
///
/// Degenerate keys cannot be rendered, because a [`VerifyingKey`] is never
/// degenerate.
///
/// The compiler must be 0.8.24 or later. The contract needs no import,
/// constructor argument or library. One key and one name always give the same
/// text.
///
/// # Errors
/// [`NameError`].
pub fn solidity(key: &VerifyingKey, name: &str) -> Result<String, NameError> {
    let word = |character: char| character.is_ascii_alphanumeric() || character == '_';
    if !(1..=64).contains(&name.len())
        || !name.chars().all(word)
        || name.starts_with(|first: char| first.is_ascii_digit())
    {
        return Err(NameError);
    }
    let gas = GAS_PAIRING + GAS_SIGNAL * key.signals();
    Ok(TEMPLATE
        .replace("{{NAME}}", name)
        .replace("{{COUNT}}", &format!("{}", key.signals()))
        .replace("{{DIGEST}}", &format!("{}", key.digest()))
        .replace("{{GAS}}", &format!("{gas}"))
        .replace("{{CONSTANTS}}", constants(key).trim_end())
        .replace("{{COMBINATION}}", combination(key.signals()).trim_end()))
}

/// The key's coordinates, each as a constant.
fn constants(key: &VerifyingKey) -> String {
    let mut text = String::new();
    let mut constant = |name: &str, word: &[u8; 32]| {
        let word = hex(word);
        text += &format!("    uint256 private constant {name} = 0x{word};\n");
    };
    let [x, y] = key.alpha_words();
    constant("ALPHA_X", &x);
    constant("ALPHA_Y", &y);
    for (name, point) in ["BETA", "GAMMA", "DELTA"].iter().zip(key.g2_words()) {
        for (coordinate, word) in ["X1", "X0", "Y1", "Y0"].iter().zip(point) {
            constant(&format!("{name}_{coordinate}"), &word);
        }
    }
    for (index, [x, y]) in key.ic_words().iter().enumerate() {
        constant(&format!("IC{index}_X"), x);
        constant(&format!("IC{index}_Y"), y);
    }
    text
}

/// Code that adds each signal's multiple of its point to L.
fn combination(signals: usize) -> String {
    let mut text = String::new();
    for signal in 0..signals {
        let (point, offset) = (signal + 1, 32 * signal);
        text += &format!(
            "
            mstore(add(m, 0x280), IC{point}_X)
            mstore(add(m, 0x2a0), IC{point}_Y)
            mstore(add(m, 0x2c0), calldataload(add(signals.offset, {offset:#x})))
            done := and(done, ask(0x07, add(m, 0x280), 0x60, add(m, 0x280), 0x40))
            done := and(done, ask(0x06, add(m, 0x240), 0x80, add(m, 0x240), 0x40))
"
        );
    }
    text
}

/// Two lower-case digits for each byte.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}
