//! Errors that only a defect of this library can cause.

use std::error::Error;

/// A defect of this library: a part of it gave what no input can explain.
///
/// The source is the error of that part. Its type is not promised.
#[derive(Debug, thiserror::Error)]
#[error("{what}; report this defect")]
pub struct Defect {
    what: &'static str,
    #[source]
    source: Box<dyn Error + Send + Sync>,
}

impl Defect {
    /// A defect that another error shows.
    pub(crate) fn of<E: Error + Send + Sync + 'static>(what: &'static str) -> impl Fn(E) -> Defect {
        move |source| Defect { what, source: Box::new(source) }
    }
}
