//! Tests of the facade, its backends and the glossary.

mod backend;
mod names;
