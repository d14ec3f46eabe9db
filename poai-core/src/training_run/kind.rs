//! What a fraud proof against a segment is about.

/// What a fraud proof is about, as its byte says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum FraudKind {
    /// The number in a claim. Byte 0; then the claim and its path.
    Number,
    /// The link before a place, or after the last. Byte 1; then the claims on
    /// both sides that the segment has, each with its path.
    Link,
    /// The header. Byte 2; then claim, path and header.
    Header,
    /// The input. Byte 3; then claim, path, header, and the states' roots.
    Inputs,
    /// The next state. Byte 4; then claim, path, header, and the outputs' roots.
    Outputs,
    /// The order of the data. Byte 5; then claim, path, header, `u32 value`, and
    /// the record of a draw with its path.
    Order,
    /// A fraud of the trace. Byte 6; then claim, path, and a fraud proof of §14.
    Trace,
}

impl FraudKind {
    const ALL: [FraudKind; 7] = [
        FraudKind::Number,
        FraudKind::Link,
        FraudKind::Header,
        FraudKind::Inputs,
        FraudKind::Outputs,
        FraudKind::Order,
        FraudKind::Trace,
    ];

    /// The byte that names the kind.
    pub const fn tag(self) -> u8 {
        self as u8
    }

    /// The kind that a byte names, or `None`.
    pub fn of_tag(tag: u8) -> Option<FraudKind> {
        FraudKind::ALL.get(usize::from(tag)).copied()
    }
}
