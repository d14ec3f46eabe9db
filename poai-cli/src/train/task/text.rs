//! Causal transformers on the characters of a text.

use super::{Length, TEST_EVERY, Task};
use crate::failure::Failure;
use crate::files;
use crate::train::OptimiserName;
use crate::train::held::Held;
use crate::train::plays;
use poai::train::{Dataset, Layers};
use std::collections::BTreeMap;
use std::path::Path;

/// The characters of a sample, and one more that is the last label.
const LENGTH: u32 = 64;
/// The columns of the transformer's stream.
const WIDTH: u32 = 64;
/// The most samples of the test: they tell the loss to about 0.01 nats.
const TEST_MAX: usize = 256;

/// A transformer on a file's text; without a file, on the bundled plays.
pub fn task(path: Option<&Path>) -> Result<Task, Failure> {
    let (text, source) = match path {
        None => (plays::plays()?.join("\n\n"), "the bundled plays".to_owned()),
        Some(path) => {
            let bytes = files::read(path, files::FILE_MAX)?;
            let text = String::from_utf8(bytes).map_err(|error| {
                let at = error.utf8_error().valid_up_to();
                let why = format!("byte {at}: expected a text in UTF-8, got other bytes");
                Failure::in_file(path)(&why)
            })?;
            (text, path.display().to_string())
        }
    };
    let mut ids: BTreeMap<char, u32> = BTreeMap::new();
    for character in text.chars() {
        ids.entry(character).or_default();
    }
    for (id, place) in (0..).zip(ids.values_mut()) {
        *place = id;
    }
    // Exact: there are fewer than 2^21 characters.
    let vocabulary = ids.len() as u32;
    let all: Vec<u32> = text.chars().map(|character| ids[&character]).collect();
    let size = LENGTH as usize + 1;
    let samples: Vec<&[u32]> = all.chunks_exact(size).collect();
    let wrong = |expected: String, got: usize, remedy: &str| {
        Err(Failure::usage(format!("{source}: expected {expected}, got {got}; {remedy}")))
    };
    if samples.len() < 2 * TEST_EVERY {
        let least = 2 * TEST_EVERY * size;
        return wrong(format!("at least {least} characters"), all.len(), "add text");
    }
    if vocabulary < 2 {
        let expected = "at least 2 different characters".to_owned();
        return wrong(expected, ids.len(), "name a text in words");
    }
    let layers = Layers::transformer(vocabulary, LENGTH, WIDTH, 2, 4, 4 * WIDTH);
    let part = |test: bool| -> Vec<&[u32]> {
        let own = samples.iter().enumerate();
        let own = own.filter(|(index, _)| index.is_multiple_of(TEST_EVERY) == test);
        own.map(|(_, sample)| *sample).collect()
    };
    let train = Dataset::tokens(&layers, &part(false).concat())?;
    let test = part(true);
    // From the whole text, and not from its beginning alone.
    let every = test.len().div_ceil(TEST_MAX);
    let test: Vec<&[u32]> = test.into_iter().step_by(every).collect();
    let test = Held::all(&Dataset::tokens(&layers, &test.concat())?);
    Ok(Task {
        name: format!("a causal transformer on {} characters of {source}", all.len()),
        layers,
        train,
        test,
        optimiser: OptimiserName::Adam,
        // With 0.002, the loss after 1500 iterations is 0.2 higher.
        rate: Some(0.005),
        batch: 16,
        length: match path {
            None => Length::Iterations(1500),
            Some(_) => Length::Epochs(3),
        },
        divisors: vec![],
        numbers: BTreeMap::new(),
        warnings: vec![],
    })
}
