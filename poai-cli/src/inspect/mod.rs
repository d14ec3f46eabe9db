//! `poai inspect`: detects the kind of a file and prints its fields. It checks no claim: a field is
//! what the file states.

mod found;
mod inference;
mod puzzle;
mod tensors;
mod trace;

use crate::failure::{EXIT_CODES, Failure};
use crate::keyfile::{self, Content};
use crate::terminal;
use found::Found;
use poai::import::store::PROGRAM_FILE;
use std::path::{Path, PathBuf};

/// Say what a file is (proof, program, key, trace message, deployment, network, scales), and print
/// its fields.
///
/// It checks no claim: `poai verify` does.
#[derive(clap::Args)]
#[command(after_help = EXIT_CODES)]
pub struct Args {
    /// The file, or a folder that holds a program.
    file: PathBuf,
    /// Print one JSON object instead of text.
    #[arg(long)]
    json: bool,
}

/// A reader, which recognises the bytes of its format.
type Reader = fn(&[u8]) -> Option<Found>;

/// Formats that start with a name come first, then those whose lengths
/// distinguish them best.
const READERS: [Reader; 11] = [
    puzzle::program,
    inference::deployment,
    puzzle::proof,
    inference::proof,
    inference::verifying_key,
    trace::receipt,
    trace::demand,
    trace::message,
    tensors::scales,
    tensors::safetensors,
    tensors::onnx,
];

pub fn run(args: &Args) -> Result<(), Failure> {
    let path = match args.file.is_dir() {
        true => args.file.join(PROGRAM_FILE),
        false => args.file.clone(),
    };
    let found = match keyfile::content(&path)? {
        Content::Key => inference::key_file(&path)?,
        Content::Other(bytes) => match READERS.iter().find_map(|reader| reader(&bytes)) {
            Some(found) => found,
            None if is_onnx(&path) => tensors::onnx_file(&path, bytes.len())?,
            None => {
                let why = format!(
                    "expected a mined proof, a program, a key, a message about a trace, a proof of \
                     inference, a deployment, scales of a quantised network, an ONNX or a \
                     safetensors file, got {} bytes of another format",
                    bytes.len()
                );
                return Err(Failure::in_file(&path)(&why));
            }
        },
    };
    let text = if args.json { found.json().to_string() + "\n" } else { found.text() };
    terminal::print(&text)
}

/// Whether a file is called as networks are, so that the reader's error says
/// more than that its format is unknown.
fn is_onnx(path: &Path) -> bool {
    path.extension().is_some_and(|end| end.eq_ignore_ascii_case("onnx"))
}
