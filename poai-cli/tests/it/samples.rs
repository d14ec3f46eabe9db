//! Files of samples, calibration and input as two things, and what reports say
//! of the integers: scales, errors and warnings.

use crate::program::{object, path, poai, printed, refused};
use poai_testing::onnx as models;
use serde_json::{Value, json};
use std::path::Path;

/// A network of two layers with these outputs; it takes four features.
fn network(folder: &Path, outputs: usize) -> String {
    let transposed = [models::int("transB", 1)];
    let model = models::Model::new(&[-1, 4])
        .floats("w", &[6, 4], &models::numbers(1, 24))
        .floats("b", &[6], &models::numbers(2, 6))
        .floats("v", &[outputs as i64, 6], &models::numbers(3, outputs * 6))
        .floats("c", &[outputs as i64], &models::numbers(4, outputs))
        .node("Gemm", &["x", "w", "b"], "h", &transposed)
        .node("Relu", &["h"], "r", &[])
        .node("Gemm", &["r", "v", "c"], "y", &transposed);
    written(folder, "net.onnx", &model.bytes())
}

fn written(folder: &Path, name: &str, bytes: &[u8]) -> String {
    let file = path(folder, name);
    std::fs::write(&file, bytes).unwrap();
    file
}

/// Samples of four features in −1..1.
fn samples(seed: u64, count: usize) -> Vec<Vec<f32>> {
    models::numbers(seed, count * 4).chunks(4).map(<[f32]>::to_vec).collect()
}

fn csv(samples: &[Vec<f32>], separator: &str, end: &str) -> String {
    let line = |sample: &Vec<f32>| {
        let fields: Vec<_> = sample.iter().map(f32::to_string).collect();
        fields.join(separator) + end
    };
    samples.iter().map(line).collect()
}

/// A file of NumPy with little-endian f32 entries.
fn npy(shape: &str, entries: &[f32]) -> Vec<u8> {
    let header = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}\n");
    let length = (header.len() as u16).to_le_bytes();
    let entries = entries.iter().flat_map(|entry| entry.to_le_bytes()).collect::<Vec<u8>>();
    [&b"\x93NUMPY\x01\x00"[..], &length, header.as_bytes(), &entries].concat()
}

fn number(object: &Value, pointer: &str) -> f64 {
    let value = object.pointer(pointer).unwrap_or_else(|| panic!("{pointer} in {object}"));
    value.as_f64().unwrap_or_else(|| panic!("{pointer} is {value}"))
}

/// What 1 stands for in a column of the only input.
fn input_scale(object: &Value, column: usize) -> f64 {
    let factor = object.pointer(&format!("/inputs/0/columns/{column}"));
    number(object, "/inputs/0/scale") * factor.map_or(1.0, |factor| factor.as_f64().unwrap())
}

fn warnings(object: &Value) -> Vec<&str> {
    object["warnings"].as_array().unwrap().iter().map(|text| text.as_str().unwrap()).collect()
}

#[test]
fn every_form_of_file_gives_the_same_run() {
    let folder = tempfile::tempdir().unwrap();
    let (net, rows) = (network(folder.path(), 3), samples(7, 12));
    let flat = rows.concat();
    let files: Vec<(&str, Vec<u8>)> = vec![
        ("plain.csv", csv(&rows, ",", "\n").into()),
        ("windows.csv", format!("\u{feff}a,b,c,d\r\n{}\r\n", csv(&rows, ",", "\r\n")).into()),
        ("semicolon.csv", csv(&rows, ";", "\n\n").into()),
        ("trailing.csv", csv(&rows, ",", ",\n").into()),
        ("plain.json", json!(rows).to_string().into()),
        ("named.json", json!({ "input_data": rows }).to_string().into()),
        ("batch.json", json!({ "input_data": [flat] }).to_string().into()),
        ("array.npy", npy("(12, 4)", &flat)),
        ("image.npy", npy("(12, 1, 2, 2)", &flat)),
    ];
    let mut roots = vec![];
    for (name, bytes) in files {
        let file = written(folder.path(), name, &bytes);
        let said = object(&poai(&["run", "--json", "--onnx", &net, "--samples", &file]));
        assert_eq!(said["batch"], 12, "{name}");
        roots.push((name, said["output_root"].clone(), said["program_id"].clone()));
    }
    for (name, root, id) in &roots {
        assert_eq!((root, id), (&roots[0].1, &roots[0].2), "{name}");
    }
}

#[test]
fn errors_name_file_place_and_find() {
    let folder = tempfile::tempdir().unwrap();
    let net = network(folder.path(), 3);
    for (name, bytes, why) in [
        (
            "a.csv",
            &b"1,2,3,4\n1,2,x,4\n"[..],
            "line 2, field 3: expected a finite number, got \"x\"",
        ),
        ("b.csv", b"1,2,3\n", "line 1: expected 4 numbers separated by ',', got 3"),
        ("c.csv", b"a,b,c,d\n\n", "expected at least one sample, got none"),
        (
            "d.json",
            b"{\"input_data\": [[1,2,3,\"x\"]]}",
            "input_data[0][3]: expected a number, got",
        ),
        ("e.json", b"[[1,2,3]]", "expected numbers of shape samples × 4, got 1×3"),
        ("f.npy", b"\x93NUMPY\x01\x00\x02\x00{}", "expected the field descr in the header"),
        ("g.npz", b"PK\x03\x04", "got a zip archive; save one array with numpy.save"),
        ("h.jpg", b"\xff\xd8\xff\xe0", "got a JPEG image; save it as PNG"),
        ("i.png", b"\x89PNG\r\n\x1a\n", "expected a whole PNG image"),
        ("j.txt", b"\xff\xfe1\x00", "got text in UTF-16; save it as UTF-8"),
    ] {
        let file = written(folder.path(), name, bytes);
        let output = poai(&["run", "--onnx", &net, "--samples", &file]);
        refused(&output, 2, &format!("{name}: "));
        refused(&output, 2, why);
    }
    let missing = path(folder.path(), "missing.csv");
    refused(&poai(&["run", "--onnx", &net, "--samples", &missing]), 2, "missing.csv");
    let empty = path(folder.path(), "empty");
    std::fs::create_dir(&empty).unwrap();
    let none = poai(&["run", "--onnx", &net, "--samples", &empty]);
    refused(&none, 2, "expected PNG images in the folder, got none");
}

#[test]
fn floats_scales_and_errors_are_reported() {
    let folder = tempfile::tempdir().unwrap();
    let rows = samples(7, 64);
    let file = written(folder.path(), "samples.csv", csv(&rows, ",", "\n").as_bytes());
    for outputs in [1, 3] {
        let net = network(folder.path(), outputs);
        let arguments = ["--json", "--onnx", &net, "--samples", &file, "--reveal", "--no-timing"];
        let said = object(&poai(&[&["prove", "--image", "5"][..], &arguments].concat()));
        let [weights, bias] = [models::numbers(1, 24), models::numbers(2, 6)];
        let [second, last] = [models::numbers(3, outputs * 6), models::numbers(4, outputs)];
        let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
        let hidden: Vec<f32> =
            weights.chunks(4).zip(&bias).map(|(w, b)| (dot(w, &rows[5]) + b).max(0.0)).collect();
        let expected: Vec<f32> =
            second.chunks(6).zip(&last).map(|(w, b)| dot(w, &hidden) + b).collect();
        for (index, expected) in expected.iter().enumerate() {
            let float = number(&said, &format!("/output_floats/{index}"));
            let integer = number(&said, &format!("/output/{index}"));
            assert!((float - f64::from(*expected)).abs() < 0.1, "{float} {expected}");
            assert!((float - integer * number(&said, "/output_scale")).abs() < 1e-6);
        }
        let input = number(&said, "/revealed/input/2") * input_scale(&said, 2);
        assert!((input - f64::from(rows[5][2])).abs() < 0.01);
        // One number has no class.
        assert_eq!(said.get("classes").is_some(), outputs > 1);
        assert_eq!(said["layers"].as_array().unwrap().len(), 3);
        assert_eq!(said["calibration"]["samples"], 64);
        assert_eq!(said["input_errors"]["worst_sample"], 5);
        assert_eq!(number(&said, "/input_errors/worst_error"), number(&said, "/sample_errors/0"));
        assert!(
            number(&said, "/calibration/median_error") <= number(&said, "/calibration/worst_error")
        );
        let text = printed(&poai(&["run", "--onnx", &net, "--samples", &file]));
        for part in ["as floats", "scales ", "errors ", "clipped ", "layers "] {
            assert!(text.contains(part), "{part} in {text}");
        }
    }
}

#[test]
fn input_beyond_the_calibration_is_warned_of() {
    let folder = tempfile::tempdir().unwrap();
    let net = network(folder.path(), 3);
    let known = written(folder.path(), "known.csv", csv(&samples(7, 64), ",", "\n").as_bytes());
    let far: Vec<Vec<f32>> = vec![vec![30.0, -20.0, 25.0, 40.0]];
    let far = written(folder.path(), "far.csv", csv(&far, ",", "\n").as_bytes());
    let arguments = ["--onnx", &net, "--calibration", &known, "--input", &far];
    for task in ["run", "prove", "classify"] {
        // `classify` takes the network's file alone.
        let arguments = if task == "classify" { &arguments[1..] } else { &arguments[..] };
        let said = object(&poai(&[&[task, "--json"][..], arguments].concat()));
        assert_eq!(said["clipped_input"], 1.0, "{task}");
        let beyond = "100.000 % of the input's entries are beyond the calibrated range";
        let found = warnings(&said).iter().any(|warning| warning.starts_with(beyond));
        assert!(found, "{task}: {:?}", said["warnings"]);
        assert!(warnings(&said)[0].starts_with("the integers are far from the floats"));
        let text = printed(&poai(&[&[task][..], arguments].concat()));
        assert!(text.contains(&format!("warning     {beyond}")), "{task}: {text}");
    }
    // Usual samples have no warning.
    let usual = written(folder.path(), "usual.csv", csv(&samples(8, 9), ",", "\n").as_bytes());
    let arguments = ["run", "--json", "--onnx", &net, "--calibration", &known, "--input", &usual];
    let said = object(&poai(&arguments));
    assert_eq!(
        (said["batch"].as_u64(), said["sample_errors"].as_array().unwrap().len()),
        (Some(9), 9)
    );
    assert!(warnings(&said).is_empty(), "{:?}", said["warnings"]);
}

/// One network and one key for every input.
#[test]
fn a_key_stays_good_for_new_inputs() {
    let folder = tempfile::tempdir().unwrap();
    let net = network(folder.path(), 3);
    let [kept, keys, out] = ["kept", "keys", "out"].map(|name| path(folder.path(), name));
    let known = written(folder.path(), "known.csv", csv(&samples(7, 64), ",", "\n").as_bytes());
    let made =
        object(&poai(&["quantise", &net, "--calibration", &known, "--out", &kept, "--json"]));
    let inputs = [8, 9].map(|seed| {
        let name = format!("{seed}.csv");
        written(folder.path(), &name, csv(&samples(seed, 2), ",", "\n").as_bytes())
    });
    let prove = |more: &[&str]| {
        poai(&[&["prove", "--json", "--no-timing", "--keys", &keys], more].concat())
    };
    let first = object(&prove(&["--quantised", &kept, "--input", &inputs[0]]));
    let second = object(&prove(&["--quantised", &kept, "--input", &inputs[1], "--image", "1"]));
    // The network's file with the same calibration is the same network, too.
    let third = object(&prove(&["--onnx", &net, "--calibration", &known, "--input", &inputs[1]]));
    for said in [&first, &second, &third] {
        assert_eq!(said["program_id"], made["program_id"]);
        assert_eq!(said["verifying_key"], first["verifying_key"]);
        assert_eq!(said["input_scale"], made["input_scale"]);
        assert_eq!(said["output_scale"], made["output_scale"]);
        assert_eq!(said["calibration"], made["calibration"]);
    }
    assert_eq!(
        (&first["key"], &second["key"]),
        (&json!("single-party"), &json!("single-party file"))
    );
    // The floats are unknown, and the calibration's figures stand in for them.
    assert!(second["input_errors"].is_null() && !third["input_errors"].is_null());
    assert_eq!(second["layers_measured_on"], "calibration");

    // What `run --out` writes serves as well.
    let run = ["run", "--json", "--onnx", &net, "--samples", &known, "--out", &out];
    let run = object(&poai(&run));
    let again = ["run", "--json", "--quantised", &out, "--input", &known];
    let again = object(&poai(&again));
    for field in ["output", "output_floats", "output_root", "program_id", "calibration"] {
        assert_eq!(run[field], again[field], "{field}");
    }

    for (arguments, why) in [
        (&["run", "--quantised", &kept][..], "name a file with --input"),
        (&["run", "--onnx", &net, "--input", &inputs[0]], "name a file with --calibration"),
        (
            &["run", "--onnx", &net, "--calibration", &known, "--input", &known, "--input", &known],
            "got 2",
        ),
        (&["run", "--quantised", &kept, "--input", &known, "--range", "99"], "error: "),
        (&["run", "--onnx", &net, "--samples", &known, "--input", &known], "error: "),
        (
            &["run", "--onnx", &net, "--samples", &known, "--range", "0"],
            "expected auto, min-max or",
        ),
        (&["run", "--quantised", &keys, "--input", &known], "quantised.json"),
        (&["quantise", &net, "--calibration", &known, "--out", &kept], "it is there already"),
    ] {
        refused(&poai(arguments), 2, why);
    }
    let committed = ["--visibility", "weights=committed", "--input", &inputs[0], "--quantised"];
    refused(&prove(&[&committed[..], &[&kept]].concat()), 2, "quantise it with --standard");
    let standard = path(folder.path(), "standard");
    let quantise = ["quantise", &net, "--calibration", &known, "--standard", "--out", &standard];
    assert!(printed(&poai(&quantise)).contains("ranges by min-max"));
    let keys = path(folder.path(), "committed");
    let said = [&["prove", "--json", "--no-timing", "--keys", &keys][..], &committed, &[&standard]];
    assert_eq!(object(&poai(&said.concat()))["key"], "single-party");
}

/// Three channels of 4×4, each output the sum of one channel's products.
#[test]
fn layouts_are_read_and_guessed_wrong_ones_warned_of() {
    let folder = tempfile::tempdir().unwrap();
    let model = models::Model::new(&[-1, 3, 4, 4])
        .floats("w", &[2, 3, 2, 2], &models::numbers(1, 24))
        .node("Conv", &["x", "w"], "y", &[]);
    let net = written(folder.path(), "net.onnx", &model.bytes());
    // Smooth images, channel by channel and pixel by pixel.
    let entry = |sample: usize, channel: usize, pixel: usize| {
        (sample + 10 * (pixel / 4) + 4 * (pixel % 4)) as f32 + [0.0, 3.0, 5.0][channel]
    };
    let nchw: Vec<Vec<f32>> =
        (0..9).map(|s| (0..48).map(|at| entry(s, at / 16, at % 16)).collect()).collect();
    let nhwc: Vec<Vec<f32>> =
        (0..9).map(|s| (0..48).map(|at| entry(s, at % 3, at / 3)).collect()).collect();
    let files = [
        written(folder.path(), "nhwc.csv", csv(&nhwc, ",", "\n").as_bytes()),
        written(folder.path(), "nchw.csv", csv(&nchw, ",", "\n").as_bytes()),
        written(folder.path(), "nchw.npy", &npy("(9, 48)", &nchw.concat())),
        written(folder.path(), "shape-nchw.npy", &npy("(9, 3, 4, 4)", &nchw.concat())),
        written(folder.path(), "shape-nhwc.npy", &npy("(9, 4, 4, 3)", &nhwc.concat())),
    ];
    let run = |file: &str, more: &[&str]| {
        object(&poai(&[&["run", "--json", "--onnx", &net, "--samples", file], more].concat()))
    };
    let right = run(&files[0], &[]);
    // One row a sample: two channels of 3×3, in the order of the file.
    assert_eq!(
        (right["output_rows"].as_u64(), right["output_columns"].as_u64()),
        (Some(9), Some(18))
    );
    let weights = models::numbers(1, 24);
    for at in 0..18 {
        let (channel, y, x) = (at / 9, at % 9 / 3, at % 3);
        let expected: f32 = (0..12)
            .map(|tap| {
                let (c, ky, kx) = (tap / 4, tap % 4 / 2, tap % 2);
                weights[channel * 12 + tap] * entry(2, c, (y + ky) * 4 + x + kx)
            })
            .sum();
        let got = number(&right, &format!("/output_floats/{}", 36 + at));
        assert!((got - f64::from(expected)).abs() < 2.0, "{at}: {got} {expected}");
    }
    for (file, layout) in [(1, Some("nchw")), (2, None), (3, None), (4, None), (4, Some("nhwc"))] {
        let layout = layout.map_or(vec![], |layout| vec!["--layout", layout]);
        let said = run(&files[file], &layout);
        assert_eq!(said["output_root"], right["output_root"], "{}", files[file]);
        assert!(warnings(&said).is_empty(), "{:?}", said["warnings"]);
    }
    let wrong = run(&files[1], &[]);
    assert_ne!(wrong["output_root"], right["output_root"]);
    let warning = warnings(&wrong)[0];
    assert!(warning.contains("nchw.csv: the samples look transposed"), "{warning}");
    assert!(warning.contains("--layout nchw"), "{warning}");
    let shape = ["run", "--onnx", &net, "--samples", &files[3], "--layout", "nhwc"];
    refused(&poai(&shape), 2, "expected numbers of shape samples × 3×4×4");
}

#[test]
fn images_are_samples() {
    let folder = tempfile::tempdir().unwrap();
    let images = folder.path().join("images");
    std::fs::create_dir(&images).unwrap();
    let pixel = |image: usize, at: usize| ((image * 31 + at * 7) % 256) as u8;
    for image in 0..5 {
        let pixels: Vec<u8> = (0..64).map(|at| pixel(image, at)).collect();
        let file = std::fs::File::create(images.join(format!("{image}.png"))).unwrap();
        let mut encoder = png::Encoder::new(file, 8, 8);
        encoder.set_color(png::ColorType::Grayscale);
        encoder.write_header().unwrap().write_image_data(&pixels).unwrap();
    }
    let rows: Vec<Vec<f32>> = (0..5)
        .map(|image| (0..64).map(|at| f32::from(pixel(image, at)) / 255.0).collect())
        .collect();
    let table = written(folder.path(), "table.csv", csv(&rows, ",", "\n").as_bytes());
    let images = images.to_str().unwrap().to_owned();
    for net in ["mlp", "cnn"] {
        let net = format!("{}/data/digits/{net}.onnx", env!("CARGO_MANIFEST_DIR"));
        let run = |samples: &[&str]| {
            object(&poai(&[&["run", "--json", "--onnx", &net], samples].concat()))
        };
        let expected = run(&["--samples", &table]);
        let said = run(&["--samples", &images]);
        assert_eq!(said["output"], expected["output"]);
        let one = path(Path::new(&images), "3.png");
        let one = run(&["--calibration", &table, "--input", &one]);
        assert_eq!(
            one["output"].as_array().unwrap()[..],
            expected["output"].as_array().unwrap()[30..40]
        );
        // The same images in another scale. Ranges chosen by error could be others.
        let [known, said] = [&table, &images].map(|samples| {
            run(&["--samples", samples, "--pixel-scale", "1", "--range", "min-max"])
        });
        for column in 0..64 {
            let scale = input_scale(&said, column) / input_scale(&known, column);
            assert!((scale - 255.0).abs() < 0.01, "{scale}");
        }
    }
    refused(&poai(&["run", "--pixel-scale", "0"]), 2, "expected a positive number");
}

#[test]
fn samples_are_classified_by_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let rows = samples(7, 64);
    let file = written(folder.path(), "samples.csv", csv(&rows, ",", "\n").as_bytes());
    let net = network(folder.path(), 3);
    let said = object(&poai(&["classify", &net, "--samples", &file, "--json"]));
    let classes = said["classes"].as_array().unwrap();
    assert_eq!(classes.len(), 64);
    for (index, class) in classes.iter().enumerate() {
        let class = class.as_u64().unwrap() as usize;
        let floats: Vec<f64> =
            (0..3).map(|at| number(&said, &format!("/output_floats/{index}/{at}"))).collect();
        assert!(floats.iter().all(|float| *float <= floats[class]), "{index}");
    }
    let text = printed(&poai(&["classify", &net, "--samples", &file]));
    assert!(text.contains("3 classes") && text.contains("and 54 samples more"), "{text}");
    let kept = path(folder.path(), "kept");
    printed(&poai(&["quantise", &net, "--calibration", &file, "--out", &kept]));
    let stored = object(&poai(&["classify", "--quantised", &kept, "--input", &file, "--json"]));
    assert_eq!(stored["classes"], said["classes"]);
    let one = network(folder.path(), 1);
    refused(
        &poai(&["classify", &one, "--samples", &file]),
        2,
        "got an output of shape 1×1; use poai run",
    );
    refused(&poai(&["classify", &one]), 2, "name a file of samples");
    for wrong in [&["classify", "--json"][..], &["classify", "--quantised", &kept]] {
        refused(&poai(wrong), 2, "error: ");
    }
}
