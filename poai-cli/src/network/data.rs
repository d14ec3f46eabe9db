//! Calibration and input of a network, as options of several subcommands.

use super::Range;
use crate::failure::Failure;
use crate::samples::{SampleArgs, Samples};
use poai::import::graph::Input;
use poai::import::onnx::ReadOptions;
use std::path::PathBuf;

/// The number of samples that measure the ranges of activations.
pub const CALIBRATION: usize = 256;

/// Calibration and input.
#[derive(clap::Args, Clone, Debug)]
pub struct DataArgs {
    /// Samples that measure the ranges of activations and also hold the input: short for
    /// --calibration and --input of one file. A table of numbers (CSV), JSON, .npy, a PNG image or
    /// a folder of them. By default the bundled digits.
    #[arg(long, value_name = "FILE", requires = "from_onnx", conflicts_with_all = ["calibration", "input"])]
    pub samples: Option<PathBuf>,
    /// Samples that measure the ranges of activations; the first 256 are used.
    /// A network of several inputs takes one file whose samples hold all inputs, or one
    /// --calibration for each input, in their order.
    #[arg(long, value_name = "FILE", requires = "from_onnx")]
    pub calibration: Vec<PathBuf>,
    /// Samples that hold the input; by default those of the calibration. A network of several
    /// inputs takes one --input for each, as --calibration.
    #[arg(long, value_name = "FILE", requires = "from_file")]
    pub input: Vec<PathBuf>,
    /// Fix a symbolic dimension of the network's inputs. A dimension without a name is called
    /// INPUT.AXIS.
    #[arg(long, value_name = "NAME=SIZE", alias = "variables", value_parser = dimension, conflicts_with = "quantised")]
    pub dimension: Vec<(String, usize)>,
    /// The value of the network's file that is the output; by default its only one. Any value may
    /// be the output, so that a network can be cut before an operator.
    #[arg(long, value_name = "NAME", conflicts_with = "quantised")]
    pub output: Option<String>,
    /// The index of the input sample, counted from 0. By default it counts the
    /// digits that no network was trained with.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub image: usize,
    /// How ranges are measured: min-max, a percentile of all magnitudes such as 99.9, or auto,
    /// which takes the one of min-max, 99.99 and 99.9 with the smallest error.
    #[arg(long, value_name = "METHOD", default_value_t = Range::Auto, conflicts_with = "quantised")]
    pub range: Range,
    #[command(flatten)]
    pub form: SampleArgs,
}

/// Why a network has no input.
#[derive(Debug, thiserror::Error)]
pub enum InputError {
    /// The bundled digits do not fit the network's input.
    #[error(
        "expected an image of a digit as the network's input, got {entries} entries; \
             name a file of samples with --samples"
    )]
    NoSamples {
        /// The entries of the network's input.
        entries: usize,
    },
    /// A file has an input, and nothing measures the ranges.
    #[error("expected calibration samples, got none; name a file with --calibration")]
    NoCalibration,
    /// A stored network has no input of its own.
    #[error("expected an input of the stored network, got none; name a file with --input")]
    NoInput,
    /// The caller asks for more samples than there are.
    #[error(
        "expected {batch} samples from --image {image} on, got {count} samples; lower --image or \
         --batch"
    )]
    Image {
        /// The first sample.
        image: usize,
        /// The number of samples asked for.
        batch: usize,
        /// The number of samples that exist.
        count: usize,
    },
}

impl From<InputError> for Failure {
    fn from(error: InputError) -> Failure {
        Failure::usage(error)
    }
}

impl DataArgs {
    /// Whether a file has the input.
    pub fn has_input(&self) -> bool {
        !self.input.is_empty()
    }

    /// The samples of `--calibration` or `--samples`.
    pub fn known_samples(&self, inputs: &[Input]) -> Result<Option<Samples>, Failure> {
        match &self.samples {
            Some(samples) => self.read(std::slice::from_ref(samples), inputs),
            None => self.read(&self.calibration, inputs),
        }
    }

    /// The samples of `--input`.
    pub fn new_samples(&self, inputs: &[Input]) -> Result<Option<Samples>, Failure> {
        self.read(&self.input, inputs)
    }

    fn read(&self, paths: &[PathBuf], inputs: &[Input]) -> Result<Option<Samples>, Failure> {
        match paths.is_empty() {
            true => Ok(None),
            false => self.form.read_all(paths, inputs).map(Some),
        }
    }

    /// How the network's file is read.
    pub fn reading(&self) -> ReadOptions {
        let mut options = ReadOptions::new();
        for (name, size) in &self.dimension {
            options = options.dimension(name, *size);
        }
        match &self.output {
            Some(name) => options.output(name),
            None => options,
        }
    }
}

/// A name and a size.
pub fn dimension(text: &str) -> Result<(String, usize), String> {
    let wrong = || format!("expected NAME=SIZE with a size above 0, got {text}");
    let (name, size) = text.rsplit_once('=').ok_or_else(wrong)?;
    let size = size.trim().parse().ok().filter(|size| *size > 0).ok_or_else(wrong)?;
    Ok((name.trim().to_owned(), size))
}
