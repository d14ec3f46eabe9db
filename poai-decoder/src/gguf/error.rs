//! Errors of GGUF files.

/// Why a GGUF file, or one of its tensors, was not read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GgufError {
    /// The file's header, metadata or list of tensors is malformed, or the file
    /// is truncated.
    #[error("expected a whole GGUF file of version 3, got another ({0}); copy or convert it again")]
    File(#[from] gguf_rs_lib::GGUFError),
    /// The alignment of tensors is no power of two from 8 on.
    #[error(
        "expected general.alignment to be a power of two from 8 to 65536, got {got}; convert the model again"
    )]
    Alignment {
        /// What the file states.
        got: String,
    },
    /// The file lists more tensors than a model has.
    #[error("expected at most {limit} tensors, got {got}; use another file")]
    Count {
        /// Those that the file lists.
        got: usize,
        /// The most.
        limit: usize,
    },
    /// A tensor is missing.
    #[error("expected tensor {tensor}, got none; convert the whole model")]
    Missing {
        /// Its name.
        tensor: String,
    },
    /// A tensor has another shape than the model's settings imply.
    #[error("tensor {tensor}: expected shape {expected:?}, got {got:?}; convert the model again")]
    Shape {
        /// Its name.
        tensor: String,
        /// The expected shape, rows first.
        expected: Vec<usize>,
        /// Its shape, rows first.
        got: Vec<usize>,
    },
    /// A tensor's type is not supported.
    #[error(
        "tensor {tensor}: expected type F32, F16, BF16, Q4_0, Q4_1, Q5_0, Q5_1, Q8_0 or Q2_K to \
         Q6_K, got {got}; convert the model to one of these types"
    )]
    Type {
        /// Its name.
        tensor: String,
        /// Its type.
        got: String,
    },
    /// A tensor's bytes do not lie within the file.
    #[error("tensor {tensor}: expected its bytes within the file, got fewer; copy the file again")]
    Range {
        /// Its name.
        tensor: String,
    },
    /// An entry is infinite or NaN.
    #[error(
        "tensor {tensor}: expected finite entries, got {value} at entry {entry}; correct the weights"
    )]
    NotFinite {
        /// Its name.
        tensor: String,
        /// The entry's index, row-major.
        entry: usize,
        /// The entry's value.
        value: f32,
    },
}
