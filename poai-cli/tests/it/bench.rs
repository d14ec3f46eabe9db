//! `poai bench` and `poai backends`.

use crate::program::{object, poai, printed, refused};

#[test]
fn every_backend_gives_the_known_answer() {
    let small = ["bench", "--json", "--shape", "32,32,1024"];
    let mut measured = vec![object(&poai(&small))];
    measured.push(object(&poai(&[&small[..], &["--backend", "reference"]].concat())));
    measured.push(object(&poai(&[&small[..], &["--threads", "1"]].concat())));
    for report in measured {
        let backends = report["backends"].as_array().unwrap();
        assert!(!backends.is_empty());
        for backend in backends {
            assert_eq!(backend["digest"], report["expected_digest"], "{backend}");
            assert_eq!(backend["as_expected"], true);
            assert!(backend["macs_per_second"].as_f64().unwrap() > 0.0);
            assert!(backend["verify_seconds"].as_f64().unwrap() > 0.0);
        }
    }
    let text = printed(&poai(&["bench", "--backend", "cpu-scalar", "--shape", "32,32,1024"]));
    assert!(text.contains("GMAC/s") && text.contains("digest as expected"), "{text}");
    for shape in ["33,32,1024", "32,33,1024", "33,33,1024", "32,32,1000"] {
        let output = poai(&["bench", "--shape", shape]);
        refused(
            &output,
            2,
            &format!("with M and N in multiples of 32 and K in multiples of 128, got {shape}"),
        );
    }
    refused(&poai(&["bench", "--backend", "abacus"]), 2, "abacus");
}

#[test]
fn backends_are_listed() {
    let listed = poai::choose::list();
    let lines: String = listed.iter().map(|listed| format!("{listed}\n")).collect();
    assert_eq!(printed(&poai(&["backends"])), lines);
    // A subcommand that takes a backend lists them, too.
    for task in ["mine", "run", "classify", "embed", "bench"] {
        assert_eq!(printed(&poai(&[task, "--backend", "list"])), lines, "{task}");
    }
    let array = object(&poai(&["backends", "--json"]));
    let names: Vec<_> = listed.iter().map(|listed| listed.name.as_str()).collect();
    let named: Vec<_> =
        array.as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap()).collect();
    assert_eq!(names, named);
}

/// Two networks, each with an audit, a fault and its fraud proof.
#[test]
fn digits_are_classified() {
    let text = printed(&poai(&["classify", "--backend", "cpu-scalar"]));
    assert_eq!(text.matches("accuracy ").count(), 2, "{text}");
    assert_eq!(text.matches("fraud proof ").count(), 2);
    assert_eq!(text.matches("there is no fraud").count(), 2);
    refused(&poai(&["classify", "--range", "0"]), 2, "a percentile above 0");
    // Clipping a tenth of all activations costs accuracy.
    let clipped = poai(&["classify", "--range", "20", "--digits", "8"]);
    assert_eq!(clipped.status.code(), Some(1));
    let said = String::from_utf8_lossy(&clipped.stderr).into_owned();
    assert!(said.contains("points of accuracy"), "{said}");
}
