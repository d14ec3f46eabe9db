//! Alters a proof of inference and its key anywhere. What decodes has no other
//! bytes, and only what snarkjs made verifies.
#![no_main]

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use poai_core::ProgramId;
use poai_core::inference::{FieldElement, Groth16Proof, InferenceProof, Signals, VerifyingKey};
use poai_prover::internal::json::{proof_from_json, signals_from_json, verifying_key_from_json};
use poai_verify::inference::InferenceVerifier;
use std::sync::LazyLock;

macro_rules! made {
    ($name:literal) => {
        include_str!(concat!("../../../test_vectors/ceremony/snarkjs-", $name, ".json"))
    };
}

/// The key, and the proof object.
static HONEST: LazyLock<(Vec<u8>, Vec<u8>)> = LazyLock::new(|| {
    let vk = verifying_key_from_json(made!("key")).unwrap();
    let key = VerifyingKey::new(vk.alpha_g1, vk.beta_g2, vk.gamma_g2, vk.delta_g2, vk.gamma_abc_g1);
    let key = key.unwrap();
    let proof = proof_from_json(made!("proof")).unwrap();
    let proof = Groth16Proof::new(proof.a, proof.b, proof.c).unwrap();
    let signals = signals_from_json(made!("public")).unwrap();
    let signals = Signals::new(signals.into_iter().map(FieldElement::from).collect()).unwrap();
    let object = InferenceProof { proof, key: key.digest(), signals };
    (key.to_bytes(), object.to_bytes())
});

#[derive(Arbitrary, Debug)]
struct Input {
    key: Vec<(u16, u8)>,
    proof: Vec<(u16, u8)>,
    cut: Option<u16>,
    add: Vec<u8>,
}

fn altered(honest: &[u8], bits: &[(u16, u8)]) -> Vec<u8> {
    let mut bytes = honest.to_vec();
    for (at, mask) in bits {
        let at = usize::from(*at) % bytes.len();
        bytes[at] ^= mask;
    }
    bytes
}

fuzz_target!(|input: Input| {
    let (honest_key, honest_proof) = &*HONEST;
    let key = altered(honest_key, &input.key);
    let mut proof = altered(honest_proof, &input.proof);
    proof.truncate(input.cut.map_or(proof.len(), usize::from));
    proof.extend(&input.add);

    let key_read = VerifyingKey::from_bytes(&key);
    if let Ok(key_read) = &key_read {
        assert_eq!(&key_read.to_bytes(), &key);
    }
    let read = InferenceProof::from_bytes(&proof);
    if let Ok(read) = &read {
        assert_eq!(&read.to_bytes(), &proof);
    }
    if let (Ok(key_read), Ok(read)) = (key_read, read) {
        let verifier = InferenceVerifier::new(ProgramId([1; 32]), 1, key_read);
        let holds = verifier.verify_signals(&read.proof, &read.signals).is_ok();
        // The digest in the object is not checked here: it is the key's name.
        let digest = Groth16Proof::LEN..Groth16Proof::LEN + 32;
        let same = |range: &dyn Fn(&[u8]) -> Vec<u8>| range(&proof) == range(honest_proof);
        let same = same(&|bytes| [&bytes[..digest.start], &bytes[digest.end..]].concat());
        assert_eq!(
            holds,
            same && key == *honest_key,
            "a forgery verifies, or the honest proof does not"
        );
    }
});
