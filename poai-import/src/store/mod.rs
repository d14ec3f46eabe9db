//! Storage of integer networks in a directory with two files.
//!
//! `program.poai` holds the program's canonical bytes. `constants.safetensors`
//! holds each constant's padded bytes, as they are committed, under the
//! constant's number. The program names the constants by their roots, so
//! neither file is accepted with another network's.
//!
//! A quantised network has a third file, `quantised.json`: the scales between
//! floats and integers, and the errors that calibration measured.

mod quantised;

pub use quantised::{load_quantised, save_quantised};

use poai_core::program::encoding::PROGRAM_BYTES_MAX;
use poai_core::program::{Dtype, Extent, Program, ProgramDecodeError};
use poai_engine::execute::{Network, NetworkError, Tensor, TensorError};
use safetensors::tensor::TensorView;
use safetensors::{Dtype as FileDtype, SafeTensors};
use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

/// The program's file name.
pub const PROGRAM_FILE: &str = "program.poai";
/// The constants' file name.
pub const CONSTANTS_FILE: &str = "constants.safetensors";
/// The file name of a quantised network's scales.
pub const QUANTISED_FILE: &str = "quantised.json";
/// The most bytes that the second file has beside the constants' own: a fixed
/// part, and a part per constant.
const HEADER_BYTES: (u64, u64) = (1 << 12, 1 << 8);

/// Why a network was not written or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// A file or the directory could not be written or read.
    #[error("{}: {source}; check the path and who may use it", path.display())]
    Io {
        /// The path.
        path: PathBuf,
        /// The system's error.
        source: std::io::Error,
    },
    /// A file exceeds its largest possible size.
    #[error("{}: expected at most {limit} bytes, got more; store the network again", path.display())]
    Size {
        /// The path.
        path: PathBuf,
        /// The most bytes.
        limit: u64,
    },
    /// The program's bytes do not decode.
    #[error("{}: {source}", path.display())]
    Program {
        /// The file.
        path: PathBuf,
        /// The problem.
        source: ProgramDecodeError,
    },
    /// The constants' bytes are not a safetensors file, or are truncated.
    #[error(
        "{}: expected a whole safetensors file, got another ({why}); store the network again",
        path.display()
    )]
    Constants {
        /// The file.
        path: PathBuf,
        /// The problem.
        why: String,
    },
    /// A constant is missing, or its type or shape differs from the program.
    #[error(
        "{}: constant {index} ({name}): expected {expected}, padded, {got}; take the constants \
         of this program",
        path.display()
    )]
    Constant {
        /// The file.
        path: PathBuf,
        /// Its number.
        index: usize,
        /// Its name.
        name: String,
        /// Its extent in the program.
        expected: Extent,
        /// What the file has.
        got: String,
    },
    /// A constant's bytes do not form a tensor.
    #[error("{}: constant {index}: {source}", path.display())]
    Tensor {
        /// The file.
        path: PathBuf,
        /// Its number.
        index: usize,
        /// The problem.
        source: TensorError,
    },
    /// The scales' file is not its JSON.
    #[error(
        "{}: expected the scales of a quantised network, got other text ({source}); quantise the \
         network again",
        path.display()
    )]
    Scales {
        /// The file.
        path: PathBuf,
        /// The problem.
        source: serde_json::Error,
    },
    /// A field of the scales' file does not fit the program.
    #[error("{}: {field}: expected {expected}, got {got}; quantise the network again", path.display())]
    Field {
        /// The file.
        path: PathBuf,
        /// The field.
        field: &'static str,
        /// What fits.
        expected: String,
        /// What the file has.
        got: String,
    },
    /// The constants belong to another network.
    #[error("{}: {source}", path.display())]
    Network {
        /// The file.
        path: PathBuf,
        /// The problem.
        source: NetworkError,
    },
}

/// Writes a network into a directory, and creates the directory if it is
/// missing. Each file is replaced as a whole or not at all.
///
/// # Errors
/// [`StoreError`] if the directory cannot be written.
pub fn save(network: &Network, directory: &Path) -> Result<(), StoreError> {
    std::fs::create_dir_all(directory).map_err(io(directory))?;
    let views: Vec<(String, TensorView<'_>)> = network
        .constants()
        .iter()
        .enumerate()
        .map(|(index, held)| {
            let extent = held.tensor.extent();
            let view =
                TensorView::new(file_dtype(extent.dtype), shape(extent), held.tensor.bytes());
            Ok((index.to_string(), view?))
        })
        .collect::<Result<_, safetensors::SafeTensorError>>()
        .map_err(constants(directory))?;
    let bytes = safetensors::serialize(views, None).map_err(constants(directory))?;
    // The program goes last, so that a directory with a program is complete.
    replace(directory, CONSTANTS_FILE, &bytes)?;
    replace(directory, PROGRAM_FILE, &network.program().to_bytes())
}

/// Reads a network from a directory. It checks everything, including the
/// constants against the program's roots.
///
/// # Errors
/// [`StoreError`] names the file and the problem.
pub fn load(directory: &Path) -> Result<Network, StoreError> {
    let path = directory.join(PROGRAM_FILE);
    let bytes = read(&path, PROGRAM_BYTES_MAX as u64)?;
    let program =
        Program::from_bytes(&bytes).map_err(|source| StoreError::Program { path, source })?;
    let path = directory.join(CONSTANTS_FILE);
    let (fixed, each) = HEADER_BYTES;
    let limit = program.constants().iter().fold(fixed, |sum, constant| {
        sum.saturating_add(each).saturating_add(constant.extent.bytes())
    });
    let bytes = read(&path, limit)?;
    let tensors = SafeTensors::deserialize(&bytes).map_err(constants(directory))?;
    let mut held = Vec::with_capacity(program.constants().len());
    for (index, constant) in program.constants().iter().enumerate() {
        let expected = constant.extent;
        let wrong = |got| {
            let (path, name) = (path.clone(), constant.name.clone());
            StoreError::Constant { path, index, name, expected, got }
        };
        let view = tensors.tensor(&index.to_string());
        let view = view.map_err(|_| wrong("got none".to_owned()))?;
        if view.dtype() != file_dtype(expected.dtype) || view.shape() != shape(&expected) {
            return Err(wrong(format!("got {:?} {:?}", view.shape(), view.dtype())));
        }
        let tensor = Tensor::from_bytes(expected, view.data().to_vec());
        let path = || path.clone();
        held.push(tensor.map_err(|source| StoreError::Tensor { path: path(), index, source })?);
    }
    Network::new(program, held).map_err(|source| StoreError::Network { path, source })
}

/// The padded shape of an extent.
fn shape(extent: &Extent) -> Vec<usize> {
    vec![extent.padded_rows() as usize, extent.padded_columns() as usize]
}

fn file_dtype(dtype: Dtype) -> FileDtype {
    match dtype {
        Dtype::I8 => FileDtype::I8,
        Dtype::I16 => FileDtype::I16,
        Dtype::I32 => FileDtype::I32,
    }
}

/// Reads a file, and refuses one with more than `limit` bytes.
fn read(path: &Path, limit: u64) -> Result<Vec<u8>, StoreError> {
    let file = File::open(path).map_err(io(path))?;
    let mut bytes = vec![];
    file.take(limit.saturating_add(1)).read_to_end(&mut bytes).map_err(io(path))?;
    if bytes.len() as u64 > limit {
        return Err(StoreError::Size { path: path.to_owned(), limit });
    }
    Ok(bytes)
}

/// Writes a temporary file in the same directory, then moves it into place.
fn replace(directory: &Path, name: &str, bytes: &[u8]) -> Result<(), StoreError> {
    let path = directory.join(name);
    let mut options = tempfile::Builder::new();
    // The umask decides the final permissions, as for any other file.
    #[cfg(unix)]
    options.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    let mut file = options.tempfile_in(directory).map_err(io(directory))?;
    file.write_all(bytes).and_then(|()| file.as_file().sync_all()).map_err(io(&path))?;
    file.persist(&path).map_err(|error| io(&path)(error.error))?;
    Ok(())
}

fn io(path: &Path) -> impl Fn(std::io::Error) -> StoreError {
    move |source| StoreError::Io { path: path.to_owned(), source }
}

fn constants(directory: &Path) -> impl Fn(safetensors::SafeTensorError) -> StoreError {
    move |error| StoreError::Constants {
        path: directory.join(CONSTANTS_FILE),
        why: error.to_string(),
    }
}
