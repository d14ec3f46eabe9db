//! Runs the table of the programs in C, Go, Python and JavaScript through the
//! same functions from Rust.

use poai_capi::{facts, json, verify};
use poai_core::Proof;
use poai_verify::Rules;
use std::ffi::{CStr, c_char};
use std::path::Path;
use std::ptr::{null, null_mut};

struct Case {
    name: String,
    code: i32,
    rules: u32,
    challenge: Vec<u8>,
    difficulty: Vec<u8>,
    proof: Vec<u8>,
}

fn cases() -> Vec<Case> {
    include_str!("../cases.txt").lines().filter(|line| !line.starts_with('#')).map(case).collect()
}

fn case(line: &str) -> Case {
    let words: Vec<_> = line.split(' ').collect();
    let [name, code, rules, challenge, difficulty, file, change] = words[..] else {
        panic!("{line:?}")
    };
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folders = [here.join("../../test_vectors/proofs/v1"), here.join("tests")];
    let found = folders.iter().find_map(|folder| std::fs::read(folder.join(file)).ok());
    let mut proof = found.unwrap_or_else(|| panic!("{file}"));
    let number = |text: &str| text.parse::<usize>().unwrap();
    match change.split(':').collect::<Vec<_>>()[..] {
        ["-"] => {}
        ["keep", len] => proof.truncate(number(len)),
        ["add", len] => proof.resize(proof.len() + number(len), 0),
        ["flip", at, bit] => proof[number(at)] ^= 1 << number(bit),
        _ => panic!("{change:?}"),
    }
    Case {
        name: name.into(),
        code: code.parse().unwrap(),
        rules: rules.parse().unwrap(),
        challenge: hex::decode(challenge).unwrap(),
        difficulty: hex::decode(difficulty).unwrap(),
        proof,
    }
}

fn check(case: &Case, verified: *mut verify::poai_verified) -> i32 {
    let Case { rules, challenge, difficulty, proof, .. } = case;
    let (challenge, difficulty) = (challenge.as_ptr(), difficulty.as_ptr());
    // SAFETY: 32 and 16 bytes, the proof's, and null or the caller's struct.
    unsafe {
        verify::poai_verify(*rules, challenge, difficulty, proof.as_ptr(), proof.len(), verified)
    }
}

fn check_cheaply(case: &Case) -> i32 {
    let Case { rules, challenge, difficulty, proof, .. } = case;
    let (challenge, difficulty) = (challenge.as_ptr(), difficulty.as_ptr());
    // SAFETY: 32 and 16 bytes, and the proof's.
    unsafe {
        let len = proof.len();
        verify::poai_preliminary_verify(*rules, challenge, difficulty, proof.as_ptr(), len)
    }
}

#[test]
fn the_table() {
    let cases = cases();
    let mut codes: Vec<_> = cases.iter().map(|case| case.code).collect();
    for case in &cases {
        let before = verify::poai_verified { m: 77, ..Default::default() };
        let mut verified = before;
        assert_eq!(check(case, &mut verified), case.code, "{}", case.name);
        assert_eq!(check(case, null_mut()), case.code, "{}", case.name);
        if case.code == 0 {
            assert_eq!(
                (verified.k, verified.proof_hash),
                (1024, poai_verify::proof_hash(&case.proof))
            );
        } else {
            assert_eq!(verified, before, "{}: written on an error", case.name);
        }
        // The cheap checks find the cheap faults and return the same code.
        let cheaply = if [18, 33, 34].contains(&case.code) { 0 } else { case.code };
        assert_eq!(check_cheaply(case), cheaply, "{}", case.name);
    }
    codes.sort_unstable();
    codes.dedup();
    // Every code but those of null pointers and defects.
    assert_eq!(codes, [0, 2, 3, 16, 17, 18, 32, 33, 34]);
}

#[test]
fn null_is_an_argument_error_or_empty() {
    let case = cases().into_iter().next().unwrap();
    let (challenge, difficulty) = (case.challenge.as_ptr(), case.difficulty.as_ptr());
    let (proof, len) = (case.proof.as_ptr(), case.proof.len());
    // SAFETY: null is permitted everywhere. The other arguments are right, and
    // lengths beyond memory are refused unread.
    unsafe {
        let verify = |c, d, p, len| verify::poai_verify(0, c, d, p, len, null_mut());
        assert_eq!(verify(null(), difficulty, proof, len), 1);
        assert_eq!(verify(challenge, null(), proof, len), 1);
        assert_eq!(verify(challenge, difficulty, null(), len), 1);
        assert_eq!(verify(challenge, difficulty, null(), 0), 16);
        assert_eq!(verify(challenge, difficulty, proof, usize::MAX), 1);
        assert_eq!(verify::poai_preliminary_verify(0, challenge, difficulty, null(), 1), 1);
        assert_eq!(facts::poai_rules_digest(0, null_mut()), 1);
        assert_eq!(json::poai_decode_json(0, proof, len, null_mut()), 1);
        json::poai_string_free(null_mut());
    }
}

#[test]
fn json_is_the_proof() {
    let case = cases().into_iter().next().unwrap();
    let decode = |rules, bytes: &[u8]| {
        let mut text: *mut c_char = std::ptr::dangling_mut();
        // SAFETY: the slice's bytes, and a valid pointer.
        let code = unsafe { json::poai_decode_json(rules, bytes.as_ptr(), bytes.len(), &mut text) };
        assert_eq!(code == 0, !text.is_null());
        (code, text)
    };
    let (code, text) = decode(0, &case.proof);
    assert_eq!(code, 0);
    // SAFETY: the call above made it; it is freed once and not used afterwards.
    let proof: Proof = unsafe {
        let proof = serde_json::from_str(CStr::from_ptr(text).to_str().unwrap()).unwrap();
        json::poai_string_free(text);
        proof
    };
    assert_eq!(proof.to_bytes(), case.proof);
    assert_eq!(decode(0, &case.proof[1..]).0, 16);
    assert_eq!(decode(0, &[]).0, 16);
    assert_eq!(decode(9, &case.proof).0, 2);
    assert_eq!(decode(0, &vec![0; Rules::CONSENSUS.proof_bytes_max() as usize + 1]).0, 16);
}

#[test]
fn facts_are_the_library_s() {
    // SAFETY: the library's text, which ends with a zero; 32 writable bytes.
    unsafe {
        let version = CStr::from_ptr(facts::poai_version());
        assert_eq!(version.to_str(), Ok(env!("CARGO_PKG_VERSION")));
        for (number, rules) in [(0, Rules::CONSENSUS), (1, Rules::SHARE)] {
            let mut digest = [0; 32];
            assert_eq!(facts::poai_rules_digest(number, digest.as_mut_ptr()), 0);
            assert_eq!(digest, rules.digest().0);
            assert_eq!(facts::poai_proof_bytes_max(number), rules.proof_bytes_max());
        }
        assert_eq!(facts::poai_rules_digest(2, [0; 32].as_mut_ptr()), 2);
        assert_eq!(facts::poai_proof_bytes_max(2), 0);
        let message = |code| CStr::from_ptr(poai_capi::code::poai_error_message(code)).to_str();
        assert_eq!(message(33), Ok("invalid: an opening does not lead to its root"));
        assert_eq!(message(-1), Ok("unknown code"));
    }
}
