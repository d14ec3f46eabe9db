//! Backends by name, through the facade.

use poai::execute::Device;
use poai::{Backend, Challenge, ChooseError, Difficulty, MineError, Miner, backend};
use std::sync::Arc;

/// `auto` is a backend that the machine has, and every name that is listed as
/// present opens that backend.
#[test]
fn auto_is_present_and_no_other_name_is_substituted() {
    let present = |name: &str| backend(name).is_ok_and(|backend| !backend.name().is_empty());
    assert!(present("auto"));
    let listed = poai::choose::list();
    let on_gpu = listed.iter().any(|listed| listed.present && listed.name.starts_with("cuda"));
    let auto = backend("auto").unwrap().name();
    assert_eq!(auto.starts_with("cuda"), on_gpu, "{auto}");
    if !on_gpu {
        assert_eq!(auto, poai::Cpu::new().name());
    }
    for listed in listed.iter().filter(|listed| !listed.name.starts_with("cuda")) {
        match backend(&listed.name) {
            Ok(backend) => assert!(listed.present && backend.name() == listed.name),
            Err(ChooseError::Missing { name, .. }) => {
                assert!(!listed.present && name == listed.name);
            }
            Err(error) => panic!("{error}"),
        }
    }
    for name in ["", "Auto", "auto:0", "cpu", "cpu-unheard-of"] {
        let error = backend(name).unwrap_err();
        assert!(matches!(&error, ChooseError::Unknown { name: asked, .. } if asked == name));
        let message = error.to_string();
        assert!(message.contains("auto, ") && message.contains("cpu-scalar"), "{message}");
    }
}

#[cfg(not(feature = "cuda"))]
#[test]
fn a_gpu_is_not_in_this_build() {
    let error = backend("cuda:1").unwrap_err();
    assert!(matches!(&error, ChooseError::NotBuilt { feature: "cuda", .. }), "{error}");
    assert!(error.to_string().contains("--features cuda"), "{error}");
}

/// The shortest program that mines, on a device that models run on, too.
#[test]
fn weights_and_activations_are_mined_in_a_few_lines() -> Result<(), MineError> {
    let device: Arc<dyn Device> = backend("cpu-scalar").unwrap();
    let miner = Miner::new(device);
    let matrix = |rows| poai::ndarray::Array2::from_elem((rows, 1024), 1);
    let weights = miner.weights(matrix(32))?;
    let round = miner.round(&Challenge([7; 32]), &weights)?;
    let mined = round.mine(&miner.activations(matrix(64))?, Difficulty::ONE)?;
    assert_eq!((mined.product[[63, 31]], mined.drawn(), mined.won()), (1024, 2, 2));
    assert_eq!(mined.winners(), [*mined.best().unwrap()]);
    assert_eq!(mined.proof(), Some(mined.prove(mined.best().unwrap())?));
    assert_eq!(mined.statement().root_b, *weights.root());
    Ok(())
}
