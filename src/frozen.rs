//! Networks that were trained in integers, in the form that files and the program
//! `poai` have.

use poai_import::graph::Input;
use poai_import::quantise::{Numbers, QuantiseError, Quantised, QuantisedInput};
use poai_train::FrozenNetwork;
use poai_train::layers::SampleKind;
use poai_train::numbers::PIXEL;

/// A frozen network with its scales, as [`import::store::save_quantised`] writes it and
/// `poai run`, `classify` and `prove` read it with `--quantised`.
///
/// A sample is a row of features, a text of ids, or an image with its channels last.
/// Entries stand for numbers as in a dataset: 1.0 becomes the entry 64, or 2^fraction,
/// and is clipped to 63.
///
/// # Errors
/// [`QuantiseError::Part`] if the network has more entries than a file may.
///
/// [`import::store::save_quantised`]: crate::import::store::save_quantised
pub fn quantised(frozen: &FrozenNetwork) -> Result<Quantised, QuantiseError> {
    let mut scale = f64::from(1u32 << PIXEL).recip();
    let size = |size: u32| size as usize;
    let program = frozen.network().program();
    let rows = program.form(program.output()).map_or(1, |form| size(form.rows.units));
    let (input, labels) = match frozen.plan().sample() {
        SampleKind::Features { columns } => (Input::new("samples", [1, size(columns)]), 1),
        SampleKind::Image { height, width, channels, fraction } => {
            scale = f64::from(1u32 << fraction).recip();
            let shape = [1, size(height), size(width), size(channels)];
            (Input { channels_last: true, ..Input::new("samples", shape) }, 1)
        }
        SampleKind::Sequence { length, columns, fraction } => {
            scale = f64::from(1u32 << fraction).recip();
            (Input::new("samples", [1, size(length), size(columns)]), rows)
        }
        SampleKind::Tokens { vocabulary, length } => {
            let ids = Some(size(vocabulary));
            (Input { ids, ..Input::new("ids", [1, size(length)]) }, rows)
        }
    };
    let network = frozen.network().clone();
    let program = network.program();
    let classes = program.form(program.output()).map_or(0, |form| size(form.columns.units));
    let output = match labels {
        1 => vec![1, classes],
        labels => vec![1, labels, classes],
    };
    let numbers = if frozen.is_standard() { Numbers::Standard } else { Numbers::Fitted };
    let inputs = vec![QuantisedInput::new(input, scale, 63)];
    Quantised::from_integers(network, inputs, &output[..], frozen.plan().output_scale(), numbers)
}
