//! Decoder language models: reading of GGUF files and of safetensors with
//! `config.json`, and a plain forward pass in f32.
//!
//! - [`DecoderConfig`]: sizes and settings of a model, of one of the families in
//!   [`DecoderFamily`];
//! - [`DecoderCheckpoint`]: an open model: its settings, and its tensors one by
//!   one;
//! - [`FloatDecoder`]: the forward pass, which is the reference for quantisation
//!   and the source of activations;
//! - [`TextTokens`]: text to tokens and back, and [`TokenStream`] for tokens that
//!   arrive one by one;
//! - [`gguf`]: the file format.
//!
//! Files are not trusted. A reader bounds sizes before it allocates. Anything
//! that it does not know is an error that names it.
#![deny(unsafe_code)]

mod checkpoint;
mod config;
mod error;
pub mod float;
pub mod gguf;
mod mapped;
mod tensors;
mod tokens;

pub use checkpoint::{DecoderCheckpoint, DecoderLayer, DecoderNorms, Linear};
pub use config::{Attention, DecoderConfig, DecoderFamily, GatedActivation, RopeScaling, Rotary};
pub use error::DecoderError;
pub use float::{FloatDecoder, Observed};
pub use tokens::{TextTokens, TokenStream};
