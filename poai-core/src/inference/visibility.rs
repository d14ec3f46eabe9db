//! Which parts of a run are visible to the public.
//!
//! Code that imports [`Public`], [`Hashed`], [`Private`], [`Fixed`] and
//! [`Committed`] from here can use them as bare names.

use core::fmt;

pub use TensorVisibility::{Hashed, Private, Public};
pub use WeightsVisibility::{Committed, Fixed};

/// Visibility of a tensor of the statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "lowercase"))]
pub enum TensorVisibility {
    /// Visible to every party: its entries are signals, packed.
    Public,
    /// Visible to a party that receives the entries and the salt: its
    /// commitment is one signal.
    Hashed,
    /// Visible to no party: no signal depends on it. The proof states only that
    /// such a tensor exists.
    Private,
}

/// Visibility of a model's weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "lowercase"))]
pub enum WeightsVisibility {
    /// Constants of the circuit: a verifying key is for one model.
    Fixed,
    /// Known to the prover: a verifying key is for an architecture, and the
    /// weights' commitment is one signal.
    Committed,
}

/// Visibility of input, output and weights. A verifying key is for one
/// visibility.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Visibility {
    /// The input.
    pub input: TensorVisibility,
    /// The output.
    pub output: TensorVisibility,
    /// The weights.
    pub weights: WeightsVisibility,
}

impl fmt::Display for Visibility {
    /// The format that the program `poai` reads: `input=hashed,output=public,weights=fixed`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tensor = |tensor| match tensor {
            TensorVisibility::Public => "public",
            TensorVisibility::Hashed => "hashed",
            TensorVisibility::Private => "private",
        };
        let weights = match self.weights {
            WeightsVisibility::Fixed => "fixed",
            WeightsVisibility::Committed => "committed",
        };
        let (input, output) = (tensor(self.input), tensor(self.output));
        write!(f, "input={input},output={output},weights={weights}")
    }
}

/// A byte that encodes no visibility.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected a byte that encodes a visibility, got {0:#04x}")]
#[non_exhaustive]
pub struct VisibilityError(pub u8);

impl TensorVisibility {
    const fn bits(self) -> u8 {
        match self {
            TensorVisibility::Public => 0,
            TensorVisibility::Hashed => 1,
            TensorVisibility::Private => 2,
        }
    }

    const fn of_bits(bits: u8) -> Option<TensorVisibility> {
        match bits {
            0 => Some(TensorVisibility::Public),
            1 => Some(TensorVisibility::Hashed),
            2 => Some(TensorVisibility::Private),
            _ => None,
        }
    }
}

impl Visibility {
    /// Input and output public, weights fixed.
    pub const PUBLIC: Visibility = Visibility {
        input: TensorVisibility::Public,
        output: TensorVisibility::Public,
        weights: WeightsVisibility::Fixed,
    };

    /// The canonical byte.
    ///
    /// The input is in bits 0 and 1, the output in bits 2 and 3 (0 public, 1
    /// hashed, 2 private). Bit 4 is set if weights are committed. All other
    /// bits are clear.
    pub const fn to_byte(self) -> u8 {
        let weights = match self.weights {
            WeightsVisibility::Fixed => 0,
            WeightsVisibility::Committed => 1,
        };
        self.input.bits() | self.output.bits() << 2 | weights << 4
    }

    /// Reads the canonical byte.
    ///
    /// # Errors
    /// [`VisibilityError`] for a byte that encodes no visibility.
    pub const fn from_byte(byte: u8) -> Result<Visibility, VisibilityError> {
        let weights = match byte >> 4 {
            0 => WeightsVisibility::Fixed,
            1 => WeightsVisibility::Committed,
            _ => return Err(VisibilityError(byte)),
        };
        match (TensorVisibility::of_bits(byte & 3), TensorVisibility::of_bits(byte >> 2 & 3)) {
            (Some(input), Some(output)) => Ok(Visibility { input, output, weights }),
            _ => Err(VisibilityError(byte)),
        }
    }
}
