//! Samples of a network in files: tables of numbers, JSON, arrays of NumPy, and
//! PNG images. A file's content says which of these it is.
//!
//! - `csv`, `json`, `npy`, `png`: one reader a form.
//! - `layout`: the order of an image's entries.
//! - `table`: rows of any width, for networks that are made to fit them.

mod csv;
mod json;
mod layout;
mod npy;
mod png;
mod problem;
mod table;

pub use layout::Layout;
use layout::Target;
pub use problem::{Problem, SamplesError};
pub use table::Table;

use crate::failure::Failure;
use crate::files;
use ndarray::Array2;
use poai::import::graph::Input;
use std::path::{Path, PathBuf};

/// The most entries of all samples of a file: 1 GiB of f32.
pub const ENTRIES_MAX: usize = 1 << 28;
/// The most images of a folder.
const IMAGES_MAX: usize = 1 << 16;

/// How the entries of a file are meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// Lines of numbers.
    Table,
    /// An array with a shape.
    Array,
    /// Images, pixel by pixel: samples × height × width × channels.
    Image,
}

/// The numbers of a file.
#[derive(Debug)]
struct Numbers {
    form: Form,
    /// The sizes of the array; the last one runs fastest.
    sizes: Vec<usize>,
    entries: Vec<f32>,
    /// What looks wrong, one sentence each.
    warnings: Vec<String>,
}

/// Options of reading samples.
#[derive(clap::Args, Clone, Copy, Debug)]
pub struct SampleArgs {
    /// The order of an image's entries in files without a shape. By default tables of numbers have
    /// the channels of one pixel together (nhwc), and JSON and .npy files have the order of the
    /// network's file (nchw) unless their shape says otherwise.
    #[arg(long, value_enum)]
    pub layout: Option<Layout>,
    /// Multiply the pixels of PNG images, 0 to 255, by this number. The default 1/255 scales them
    /// to 0..1.
    #[arg(long, value_name = "FACTOR", default_value_t = 1.0 / 255.0, value_parser = factor)]
    pub pixel_scale: f32,
}

/// A positive finite number.
fn factor(text: &str) -> Result<f32, String> {
    let number = text.parse().ok().filter(|number: &f32| number.is_finite() && *number > 0.0);
    number.ok_or_else(|| format!("expected a positive number, got {text}"))
}

/// Samples as a network takes them.
pub struct Samples {
    /// One row a sample, with the entries in the order of the network's file.
    pub rows: Array2<f32>,
    /// What looks wrong, one sentence each.
    pub warnings: Vec<String>,
    /// What pixels were multiplied by, if PNG images were read.
    pub pixel_scale: Option<f32>,
}

impl SampleArgs {
    /// Reads the samples of a network's inputs: one file for each input, or one
    /// file whose samples hold the entries of all inputs.
    ///
    /// # Errors
    /// [`SamplesError`] names the file, the place in it, and what was found.
    pub fn read_all(&self, paths: &[PathBuf], inputs: &[Input]) -> Result<Samples, Failure> {
        let [path] = paths else {
            if paths.len() != inputs.len() {
                let names: Vec<&str> = inputs.iter().map(|input| input.name.as_str()).collect();
                return Err(Failure::usage(format!(
                    "expected one file, or one for each of the inputs {}, got {}; name them in this order",
                    names.join(", "),
                    paths.len()
                )));
            }
            let mut parts = vec![];
            let (mut warnings, mut pixel_scale) = (vec![], None);
            for (path, input) in paths.iter().zip(inputs) {
                let Samples { rows, warnings: more, pixel_scale: own } =
                    self.read(path, std::slice::from_ref(input))?;
                parts.push(rows);
                warnings.extend(more);
                pixel_scale = pixel_scale.or(own);
            }
            let views: Vec<_> = parts.iter().map(|part| part.view()).collect();
            let rows = ndarray::concatenate(ndarray::Axis(1), &views).map_err(|_| {
                let counts: Vec<String> =
                    parts.iter().map(|part| part.nrows().to_string()).collect();
                Failure::usage(format!(
                    "expected as many samples in each file, got {}; cut the longer ones",
                    counts.join(" and ")
                ))
            })?;
            return Ok(Samples { rows, warnings, pixel_scale });
        };
        self.read(path, inputs)
    }

    /// Reads the samples of a file, or the PNG images of a folder in the order
    /// of their names.
    fn read(&self, path: &Path, inputs: &[Input]) -> Result<Samples, Failure> {
        let target = Target::of_all(inputs);
        let named = |problem| SamplesError { path: path.to_owned(), problem };
        let numbers = match path.is_dir() {
            true => self.images(path)?,
            false => {
                let bytes = files::read(path, files::FILE_MAX)?;
                parse(&bytes, target.entries, self.pixel_scale).map_err(named)?
            }
        };
        let pixel_scale = (numbers.form == Form::Image).then_some(self.pixel_scale);
        let samples = match layout::divided(&numbers, inputs) {
            None => layout::arrange(numbers, &target, self.layout),
            // Each input's columns have their own layout.
            Some(parts) => layout::arrange_all(parts, inputs, self.layout),
        };
        let samples = samples.map_err(named)?;
        let named = |warning| format!("{}: {warning}", path.display());
        let warnings = samples.warnings.into_iter().map(named).collect();
        Ok(Samples { warnings, pixel_scale, ..samples })
    }

    /// All PNG images of a folder.
    fn images(&self, folder: &Path) -> Result<Numbers, Failure> {
        let named = |path: &Path, problem| SamplesError { path: path.to_owned(), problem };
        let mut paths: Vec<PathBuf> = vec![];
        for entry in std::fs::read_dir(folder).map_err(files::cannot_read(folder))? {
            let path = entry.map_err(files::cannot_read(folder))?.path();
            if path.extension().is_some_and(|end| end.eq_ignore_ascii_case("png")) {
                paths.push(path);
            }
            if paths.len() > IMAGES_MAX {
                let problem = Problem::new(format!("at most {IMAGES_MAX} images"), "more");
                return Err(named(folder, problem).into());
            }
        }
        paths.sort();
        let mut all: Option<Numbers> = None;
        for path in &paths {
            let bytes = files::read(path, files::FILE_MAX)?;
            let image = png::parse(&bytes, self.pixel_scale);
            let image = image.map_err(|problem| named(path, problem))?;
            match &mut all {
                None => all = Some(image),
                Some(all) => all.append(image).map_err(|problem| named(path, problem))?,
            }
        }
        let none =
            Problem::new("PNG images in the folder", "none; name a file, or put .png files there");
        Ok(all.ok_or_else(|| named(folder, none))?)
    }
}

impl Numbers {
    /// Adds an image of the same size.
    fn append(&mut self, image: Numbers) -> Result<(), Problem> {
        if self.sizes[1..] != image.sizes[1..] {
            let (expected, got) =
                (layout::shape(&self.sizes[1..]), layout::shape(&image.sizes[1..]));
            return Err(Problem::new(format!("an image of {expected} as the first one"), got));
        }
        bounded(self.entries.len() + image.entries.len())?;
        self.sizes[0] += 1;
        self.entries.extend(image.entries);
        Ok(())
    }
}

/// Reads the bytes of a file. `columns` is the number of a sample's entries.
fn parse(bytes: &[u8], columns: usize, pixel_scale: f32) -> Result<Numbers, Problem> {
    let unknown = |got| Err(Problem::new("CSV, JSON, .npy or PNG", got));
    match bytes {
        [0x93, b'N', b'U', b'M', b'P', b'Y', ..] => npy::parse(bytes),
        [0x89, b'P', b'N', b'G', ..] => png::parse(bytes, pixel_scale),
        [b'P', b'K', 3, 4, ..] => {
            unknown("a zip archive; save one array with numpy.save, not with savez")
        }
        [0xff, 0xd8, 0xff, ..] => unknown("a JPEG image; save it as PNG"),
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => unknown("text in UTF-16; save it as UTF-8"),
        bytes if bytes.contains(&0) => unknown("other binary data; name a file of samples"),
        [0xef, 0xbb, 0xbf, text @ ..] => text_of(text, columns),
        text => text_of(text, columns),
    }
}

fn text_of(text: &[u8], columns: usize) -> Result<Numbers, Problem> {
    match text.iter().find(|byte| !byte.is_ascii_whitespace()) {
        Some(b'{' | b'[') => json::parse(text),
        _ => csv::parse(&String::from_utf8_lossy(text), columns),
    }
}

/// Refuses more entries than [`ENTRIES_MAX`].
fn bounded(entries: usize) -> Result<(), Problem> {
    match entries > ENTRIES_MAX {
        true => Err(Problem::new(format!("at most {ENTRIES_MAX} numbers"), "more")),
        false => Ok(()),
    }
}

/// A finite number as f32.
fn finite(number: f64) -> Option<f32> {
    // A number beyond f32 becomes infinite and is refused.
    let number = number as f32;
    number.is_finite().then_some(number)
}
