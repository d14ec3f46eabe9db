//! The bundled digits (images of 8×8 pixels in 0..=16, and what they show) and
//! the networks that know them.

use crate::failure::Failure;
use ndarray::{ArrayView2, s};
use poai::import::graph::{Graph, GraphError};

/// A perceptron that knows the digits, as ONNX.
pub const MLP: &[u8] = include_bytes!("../data/digits/mlp.onnx");
/// A convolutional network that does.
pub const CNN: &[u8] = include_bytes!("../data/digits/cnn.onnx");

const BUNDLED: &str = include_str!("../data/digits/digits.csv");
/// Pixels of a digit.
const PIXELS: usize = 64;
/// The largest pixel.
const PIXEL_MAX: u8 = 16;
/// How many digits, the last ones, are kept from training.
const TEST: usize = 500;

/// Why a file holds no digits.
#[derive(Debug, thiserror::Error)]
pub enum DigitsError {
    /// A line that is no digit.
    #[error("line {0} is not 64 pixels in 0..=16 and a label in 0..=9")]
    Line(usize),
    /// Too few lines to train and test with.
    #[error("{0} digits are too few")]
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
    /// What they show.
    pub labels: Vec<usize>,
}

impl Set {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// The first digits as a network's samples.
    ///
    /// # Errors
    /// [`GraphError`] where the network takes no such images.
    pub fn pixels(&self, graph: &Graph, count: usize) -> Result<ArrayView2<'_, f32>, GraphError> {
        let input = graph.input;
        let rows = count * input.rows();
        let all = self.len() * PIXELS / input.channels.max(1);
        ArrayView2::from_shape((all, input.channels), &self.pixels)
            .ok()
            .filter(|_| input.entries() == PIXELS)
            .map(|all| all.slice_move(s![..rows, ..]))
            .ok_or(GraphError::Input { input, rows: count, columns: PIXELS })
    }
}

/// Digits to train with and to test on.
pub struct Digits {
    /// What the networks were trained with.
    pub train: Set,
    /// What they have not seen.
    pub test: Set,
}

impl Digits {
    /// The bundled ones.
    ///
    /// # Errors
    /// [`DigitsError`] names the line that is no digit.
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
