//! Tests of the facade and the glossary.

mod names;
