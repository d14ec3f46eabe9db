//! Temporary.
/// t
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TensorVisibility {
    /// p
    Public,
    /// h
    Hashed,
    /// p
    Private,
}
/// t
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WeightsVisibility {
    /// f
    Fixed,
    /// c
    Committed,
}
/// t
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Visibility {
    /// i
    pub input: TensorVisibility,
    /// o
    pub output: TensorVisibility,
    /// w
    pub weights: WeightsVisibility,
}
