//! Data beside the model. A file in the model's folder is read; everything else
//! is refused by name, and nothing blocks.

use ndarray::Array2;
use poai_import::float::run;
use poai_import::onnx::{Limits, OnnxError, OnnxTensorError, ReadOptions, read};
use poai_testing::onnx::{Model, floats, numbers};
use rten_onnx::onnx::{DataLocation, StringStringEntryProto, TensorProto};
use std::path::Path;

/// A product whose 4×2 weights are in another file.
fn model(entries: &[(&str, &str)]) -> Vec<u8> {
    of_dims(&[4, 2], entries)
}

fn of_dims(dims: &[i64], entries: &[(&str, &str)]) -> Vec<u8> {
    let text = |text: &str| Some(text.to_owned());
    let entry = |&(key, value): &(&str, &str)| StringStringEntryProto {
        key: text(key),
        value: text(value),
    };
    let stored = TensorProto {
        data_location: Some(DataLocation::EXTERNAL),
        external_data: entries.iter().map(entry).collect(),
        raw_data: None,
        ..floats("w", dims, &[])
    };
    Model::new(&[-1, 4]).tensor(stored).node("MatMul", &["x", "w"], "y", &[]).bytes()
}

/// A folder with a model's folder inside, and data in and beside that.
fn folder() -> (tempfile::TempDir, std::path::PathBuf) {
    let outer = tempfile::tempdir().unwrap();
    let inner = outer.path().join("model");
    std::fs::create_dir_all(inner.join("data")).unwrap();
    let bytes: Vec<u8> =
        [0.0; 3].into_iter().chain(numbers(1, 8)).flat_map(f32::to_le_bytes).collect();
    for path in [outer.path().join("outside"), inner.join("w"), inner.join("data/w")] {
        std::fs::write(path, &bytes).unwrap();
    }
    (outer, inner)
}

/// Reads a model by its path, on a thread, so that a reader that blocks fails
/// the test.
fn refused(folder: &Path, bytes: &[u8]) -> OnnxTensorError {
    let path = folder.join("net.onnx");
    std::fs::write(&path, bytes).unwrap();
    let (to, from) = std::sync::mpsc::channel();
    std::thread::spawn(move || to.send(ReadOptions::new().read_file(&path).map(drop)));
    let result = from.recv_timeout(std::time::Duration::from_secs(20)).expect("it blocks");
    match result.unwrap_err() {
        OnnxError::Tensor { tensor, source } if tensor == "w" => source,
        error => panic!("{error}"),
    }
}

#[test]
fn data_in_the_folder_is_read() {
    let (_outer, folder) = folder();
    let path = folder.join("net.onnx");
    let x = Array2::from_shape_vec((2, 4), numbers(3, 8)).unwrap();
    let w = Array2::from_shape_vec((4, 2), numbers(1, 8)).unwrap();
    for location in ["w", "data/w", "./data/./w"] {
        for length in [&[][..], &[("length", "32")]] {
            let mut entries = vec![("offset", "12"), ("location", location), ("checksum", "?")];
            entries.extend(length);
            std::fs::write(&path, model(&entries)).unwrap();
            let graph = ReadOptions::new().read_file(&path).unwrap();
            let got = run(&graph, x.view()).unwrap().pop().unwrap();
            let close = got.iter().zip(&x.dot(&w)).all(|(a, b)| (a - b).abs() < 1e-6);
            assert!(close, "{location}");
            // The folder may be named apart from the file.
            let named = ReadOptions::new().folder(&folder).read(&model(&entries)).unwrap();
            assert_eq!(named, graph);
        }
    }
    let bytes = model(&[("location", "w")]);
    let OnnxError::Tensor { source, .. } = read(&bytes, &Limits::default()).unwrap_err() else {
        panic!()
    };
    assert_eq!(source, OnnxTensorError::NoFolder("w".to_owned()));
}

#[test]
fn paths_that_leave_the_folder_are_refused() {
    let (outer, folder) = folder();
    let absolute = outer.path().join("outside");
    let own = folder.join("w");
    let long = "d/".repeat(3000) + "w";
    for location in [
        "",
        "../outside",
        "data/../../outside",
        "data/../w",
        "..",
        "/dev/zero",
        "data\\w",
        "C:\\w",
        "w\0",
        absolute.to_str().unwrap(),
        own.to_str().unwrap(),
        &long,
    ] {
        let error = refused(&folder, &model(&[("location", location)]));
        assert!(matches!(error, OnnxTensorError::Path(_)), "{location}: {error}");
    }
    // An error does not repeat a text of any length.
    let error = refused(&folder, &model(&[("location", &long)]));
    assert!(error.to_string().len() < 500, "{error}");
}

#[test]
fn offsets_and_lengths_lie_in_the_file() {
    let (_outer, folder) = folder();
    let with = |entries: &[(&str, &str)]| {
        let entries = [&[("location", "w")], entries].concat();
        refused(&folder, &model(&entries))
    };
    // The file has 44 bytes, and the tensor 32.
    for offset in ["13", "44", "45", "4294967296", "18446744073709551615"] {
        let error = with(&[("offset", offset)]);
        let text = format!(
            "w: expected 32 bytes at byte {offset}, got a file of 44 bytes; keep the model's data \
             beside it, as it was exported"
        );
        assert_eq!(error.to_string(), text);
    }
    for text in ["-1", "", "12.0", "18446744073709551616", "0x0c", "many"] {
        for key in ["offset", "length"] {
            let error = with(&[(key, text)]);
            assert!(matches!(&error, OnnxTensorError::Data { path, .. } if path == "w"), "{error}");
            assert!(error.to_string().contains("expected a number of bytes"), "{error}");
        }
    }
    for length in ["0", "31", "33", "44", "18446744073709551615"] {
        let error = with(&[("length", length)]);
        assert!(matches!(error, OnnxTensorError::Length { .. }), "{error}");
    }
    for missing in ["none", "data/none", "w/w"] {
        let error = refused(&folder, &model(&[("location", missing)]));
        assert!(matches!(&error, OnnxTensorError::Data { path, .. } if path == missing), "{error}");
    }
    let error = refused(&folder, &model(&[("location", "data")]));
    assert!(error.to_string().contains("expected a regular file"), "{error}");
    // Sizes are limited before the file is opened.
    for dims in [[1 << 40, 1], [1 << 31, 1 << 31], [i64::MAX, i64::MAX]] {
        let bytes = of_dims(&dims, &[("location", "w")]);
        let error = ReadOptions::new().folder(&folder).read(&bytes).unwrap_err();
        assert!(matches!(error, OnnxError::TooMany { .. }), "{error}");
    }
}

#[cfg(unix)]
#[test]
fn links_and_pipes_are_followed_only_inside() {
    use std::os::unix::fs::symlink;
    let (outer, folder) = folder();
    symlink(folder.join("w"), folder.join("inside")).unwrap();
    let path = folder.join("net.onnx");
    std::fs::write(&path, model(&[("location", "inside")])).unwrap();
    ReadOptions::new().read_file(&path).unwrap();
    symlink(outer.path().join("outside"), folder.join("leaves")).unwrap();
    symlink("../outside", folder.join("climbs")).unwrap();
    symlink(outer.path(), folder.join("up")).unwrap();
    symlink("/dev/zero", folder.join("zeros")).unwrap();
    for location in ["leaves", "climbs", "up/outside", "zeros"] {
        let error = refused(&folder, &model(&[("location", location)]));
        assert_eq!(error, OnnxTensorError::Path(location.to_owned()));
    }
    symlink("turns", folder.join("turns")).unwrap();
    let error = refused(&folder, &model(&[("location", "turns")]));
    assert!(matches!(error, OnnxTensorError::Data { .. }), "{error}");
    // A pipe without a writer.
    let pipe = std::process::Command::new("mkfifo").arg(folder.join("pipe")).status();
    if !pipe.is_ok_and(|status| status.success()) {
        println!("SKIPPED: no mkfifo");
        return;
    }
    let error = refused(&folder, &model(&[("location", "pipe")]));
    assert!(error.to_string().contains("expected a regular file"), "{error}");
}
