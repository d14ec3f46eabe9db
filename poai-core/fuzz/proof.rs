//! Decodes any bytes as a proof. A proof that decodes has only these bytes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use poai_core::{Params, Proof, ProofView};

fuzz_target!(|bytes: &[u8]| {
    for (rank, tile) in [(128, 32), (32, 16), (64, 64), (256, 48)] {
        let params = Params::new(rank, tile).unwrap();
        let view = ProofView::from_bytes(&params, bytes);
        let owned = Proof::from_bytes(&params, bytes);
        match (view, owned) {
            (Ok(view), Ok(owned)) => {
                assert_eq!(view.to_bytes(), bytes);
                assert_eq!(owned.to_bytes(), bytes);
            }
            (Err(view), Err(owned)) => assert_eq!(view, owned),
            _ => panic!("borrowed and owned decoders disagree"),
        }
    }
});
