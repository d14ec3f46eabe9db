//! The bundled digits (images of 8×8 pixels in 0..=16, with labels) and the
//! networks that classify them.

use crate::failure::Failure;
use ndarray::{ArrayView2, s};
use poai::import::graph::{Graph, GraphError};

/// A perceptron that classifies the digits, as ONNX.
pub const MLP: &[u8] = include_bytes!("../data/digits/mlp.onnx");
/// A convolutional network that classifies the digits.
pub const CNN: &[u8] = include_bytes!("../data/digits/cnn.onnx");

const BUNDLED: &str = include_str!("../data/digits/digits.csv");
/// The number of pixels of a digit.
const PIXELS: usize = 64;
/// The largest value of a pixel.
const PIXEL_MAX: u8 = 16;
/// The number of digits, the last ones, that are kept from training.
const TEST: usize = 500;

/// Why a file holds no digits.
#[derive(Debug, thiserror::Error)]
pub enum DigitsError {
    /// A line is not a digit.
    #[error("expected 64 pixels in 0..=16 and a label in 0..=9 in line {0}")]
    Line(usize),
    /// There are too few lines to train and test with.
    #[error("expected digits to train and to test with, got {0}")]
    Few(usize),
}

impl From<DigitsError> for Failure {
    fn from(error: DigitsError) -> Failure {
        Failure::usage(format!("the digits: {error}"))
    }
}

/// Digits with their labels.
pub struct Set {
    pixels: Vec<f32>,
    /// The labels.
    pub labels: Vec<usize>,
}

impl Set {
    /// The number of digits.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// All pixels in 0..=1, digit by digit.
    pub fn all(&self) -> &[f32] {
        &self.pixels
    }

    /// The first digits as a network's samples.
    ///
    /// # Errors
    /// [`GraphError`] if the network does not take such images.
    pub fn pixels(&self, graph: &Graph, count: usize) -> Result<ArrayView2<'_, f32>, GraphError> {
        let expected = graph.sample_entries();
        ArrayView2::from_shape((self.len(), PIXELS), &self.pixels)
            .ok()
            .filter(|_| expected == PIXELS)
            .map(|all| all.slice_move(s![..count, ..]))
            .ok_or(GraphError::Input { expected, rows: count, columns: PIXELS })
    }
}

/// Digits for training and for tests.
pub struct Digits {
    /// The digits that the networks were trained with.
    pub train: Set,
    /// The digits that the networks have not seen.
    pub test: Set,
}

impl Digits {
    /// The bundled digits.
    ///
    /// # Errors
    /// [`DigitsError`] names the line that is not a digit.
    pub fn bundled() -> Result<Digits, DigitsError> {
        let mut digits = vec![];
        // The first line names the columns.
        for (index, line) in BUNDLED.lines().enumerate().skip(1) {
            digits.push(digit(line).ok_or(DigitsError::Line(index + 1))?);
        }
        let train = digits.len().checked_sub(TEST).filter(|&train| train > 0);
        let test = digits.split_off(train.ok_or(DigitsError::Few(digits.len()))?);
        Ok(Digits { train: set(&digits), test: set(&test) })
    }
}

fn set(digits: &[([u8; PIXELS], usize)]) -> Set {
    let scaled = |&pixel: &u8| f32::from(pixel) / f32::from(PIXEL_MAX);
    Set {
        pixels: digits.iter().flat_map(|(pixels, _)| pixels.iter().map(scaled)).collect(),
        labels: digits.iter().map(|(_, label)| *label).collect(),
    }
}

/// `pixel,…,pixel,label`.
fn digit(line: &str) -> Option<([u8; PIXELS], usize)> {
    let mut fields = line.split(',');
    let mut pixels = [0; PIXELS];
    for pixel in &mut pixels {
        *pixel = fields.next()?.parse().ok().filter(|&pixel| pixel <= PIXEL_MAX)?;
    }
    let label = fields.next()?.parse().ok().filter(|&label| label <= 9)?;
    fields.next().is_none().then_some((pixels, label))
}
