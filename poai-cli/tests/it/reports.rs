//! Reports: JSON carries what the text says, and what looks wrong is said in
//! both.

use crate::program::{object, path, poai, printed};
use poai_testing::vectors;
use serde_json::Value;
use std::path::Path;

fn fixture(name: &str, file: &str) -> String {
    vectors("onnx").join(name).join(file).to_str().unwrap().to_owned()
}

fn percent(value: &Value) -> String {
    format!("{:.3} %", 100.0 * value.as_f64().unwrap())
}

/// Checks every figure of a text against the JSON of the same work.
fn agree(text: &str, said: &Value) {
    let has = |part: &str| assert!(text.contains(part), "{part:?} in {text}");
    for input in said["inputs"].as_array().unwrap() {
        let (name, scale) = (input["name"].as_str().unwrap(), input["scale"].as_f64().unwrap());
        let factor = if input["columns"].as_array().unwrap().is_empty() { "" } else { " times" };
        has(&format!("1 of input {name} is {scale:.6e}{factor}"));
    }
    has(&format!("1 of the output {:.6e}", said["output_scale"].as_f64().unwrap()));
    has(&format!("ranges by {}", said["range"].as_str().unwrap()));
    for of in ["calibration", "input_errors"] {
        let errors = &said[of];
        has(&format!(
            "median {}, worst {} (sample {}) of {} samples",
            percent(&errors["median_error"]),
            percent(&errors["worst_error"]),
            errors["worst_sample"],
            errors["samples"]
        ));
    }
    has(&format!("clipped     {} of the input's entries", percent(&said["clipped_input"])));
    let layers = said["layers"].as_array().unwrap();
    for layer in layers {
        let line = text.lines().find(|line| {
            line.trim_start().starts_with(layer["name"].as_str().unwrap())
                && line.contains(&percent(&layer["relative_error"]))
                && line.contains(&percent(&layer["clipped"]))
                && line.contains(&format!("scale {:.3e}", layer["scale"].as_f64().unwrap()))
        });
        assert!(line.is_some(), "{layer} in {text}");
    }
    assert_eq!(text.matches("   clipped ").count(), layers.len(), "{text}");
    let warnings = said["warnings"].as_array().unwrap();
    for warning in warnings {
        has(&format!("warning     {}\n", warning.as_str().unwrap()));
    }
    assert_eq!(text.matches("warning     ").count(), warnings.len(), "{text}");
    let factor = said["pixel_scale"].as_f64().unwrap_or_default() as f32;
    let pixels = format!("PNG images, 0 to 255, times {factor};");
    assert_eq!(text.contains("PNG images, 0 to 255"), said["pixel_scale"].is_number(), "{text}");
    assert!(said["pixel_scale"].is_null() || text.contains(&pixels), "{pixels} in {text}");
}

#[test]
fn json_has_what_the_text_says() {
    let net = fixture("input-beyond-calibration", "model.onnx");
    let known = fixture("input-beyond-calibration", "calibration.npy");
    let new = fixture("input-beyond-calibration", "input.npy");
    let arguments = ["--calibration", &known, "--input", &new];
    let whole = [&[net.as_str()][..], &arguments].concat();
    let one = [&whole[..], &["--image", "6", "--no-timing"]].concat();
    for (task, arguments) in [("run", &whole), ("classify", &whole), ("prove", &one)] {
        let text = printed(&poai(&[&[task][..], arguments].concat()));
        let said = object(&poai(&[&[task, "--json"][..], arguments].concat()));
        assert!(!said["warnings"].as_array().unwrap().is_empty(), "{task}: {said}");
        agree(&text, &said);
        for field in ["program_id", "output", "output_floats", "classes"] {
            assert!(!said[field].is_null(), "{task}: {field}");
        }
        assert!(text.contains(said["program_id"].as_str().unwrap()), "{task}");
        let each = said["sample_errors"].as_array().unwrap();
        assert_eq!(each.len() as u64, said["batch"].as_u64().unwrap(), "{task}");
    }
    // Several inputs, each with its scale.
    let net = fixture("input-two-inputs", "model.onnx");
    let [left, right] =
        ["input-0.npy", "input-1.npy"].map(|name| fixture("input-two-inputs", name));
    let run = ["run", &net, "--calibration", &left, "--calibration", &right];
    let text = printed(&poai(&run));
    agree(&text, &object(&poai(&[&run[..], &["--json"]].concat())));
}

/// A grey image of 8×8 pixels.
fn image(folder: &Path, name: &str, pixels: &[u8; 64]) -> String {
    let file = path(folder, name);
    let mut encoder = png::Encoder::new(std::fs::File::create(&file).unwrap(), 8, 8);
    encoder.set_color(png::ColorType::Grayscale);
    encoder.write_header().unwrap().write_image_data(pixels).unwrap();
    file
}

/// Pixels of 0 to 255 where the calibration has 0 to 1, and the reverse.
#[test]
fn pixels_of_another_scale_are_warned_of() {
    let folder = tempfile::tempdir().unwrap();
    let net = format!("{}/data/digits/mlp.onnx", env!("CARGO_MANIFEST_DIR"));
    let pixels: [[u8; 64]; 3] =
        std::array::from_fn(|image| std::array::from_fn(|at| ((at * 7 + image * 90) % 256) as u8));
    let table = |scale: f64| -> String {
        let line = |image: &[u8; 64]| {
            let fields: Vec<_> =
                image.iter().map(|pixel| (f64::from(*pixel) * scale).to_string()).collect();
            fields.join(",") + "\n"
        };
        let file = path(folder.path(), &format!("{scale}.csv"));
        std::fs::write(&file, pixels.iter().map(line).collect::<String>()).unwrap();
        file
    };
    let image = image(folder.path(), "image.png", &pixels[0]);
    let run = |known: &str, more: &[&str]| {
        let run = ["run", &net, "--calibration", known, "--input", &image];
        let said = object(&poai(&[&run[..], &["--json"], more].concat()));
        agree(&printed(&poai(&[&run[..], more].concat())), &said);
        said
    };
    let (bytes, units) = (table(1.0), table(1.0 / 255.0));
    for (known, more, factor, warned) in [
        (&units, &[][..], 1.0 / 255.0, false),
        (&bytes, &["--pixel-scale", "1"], 1.0, false),
        (&bytes, &[], 1.0 / 255.0, true),
        (&units, &["--pixel-scale", "1"], 1.0, true),
    ] {
        let said = run(known, more);
        assert!((said["pixel_scale"].as_f64().unwrap() - factor).abs() < 1e-6, "{said}");
        let warnings = said["warnings"].as_array().unwrap();
        let found = warnings.iter().any(|warning| {
            let text = warning.as_str().unwrap();
            text.starts_with("the input's entries reach ") && text.ends_with("with --pixel-scale")
        });
        assert_eq!(found, warned, "{factor}: {warnings:?}");
    }
}
