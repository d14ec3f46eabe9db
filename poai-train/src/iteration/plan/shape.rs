//! The shape of what a layer takes.

use crate::layers::SampleKind;
use poai_core::program::Window;

/// The shape of an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// Ids of tokens.
    Tokens { length: u32 },
    /// Rows of pixels.
    Image { height: u32, width: u32, channels: u32 },
    /// Rows of numbers: features, tokens of a stream, logits.
    Rows { length: u32, columns: u32 },
}

impl Shape {
    pub(super) fn of(sample: SampleKind) -> Shape {
        match sample {
            SampleKind::Features { columns } => Shape::Rows { length: 1, columns },
            SampleKind::Image { height, width, channels, .. } => {
                Shape::Image { height, width, channels }
            }
            SampleKind::Sequence { length, columns, .. } => Shape::Rows { length, columns },
            SampleKind::Tokens { length, .. } => Shape::Tokens { length },
        }
    }

    /// Rows and columns of an item as a value has them.
    pub(super) fn size(self) -> [u32; 2] {
        match self {
            Shape::Tokens { length } => [length, 1],
            // Sizes beyond a tensor's are refused with the form.
            Shape::Image { height, width, channels } => [height.saturating_mul(width), channels],
            Shape::Rows { length, columns } => [length, columns],
        }
    }

    /// The shape with other columns. Tokens have none.
    pub(super) fn with_columns(self, columns: u32) -> Shape {
        match self {
            Shape::Image { height, width, .. } => Shape::Image { height, width, channels: columns },
            Shape::Rows { length, .. } => Shape::Rows { length, columns },
            Shape::Tokens { .. } => self,
        }
    }

    pub(super) fn text(self) -> String {
        match self {
            Shape::Tokens { length } => format!("{length} tokens"),
            Shape::Image { height, width, channels } => {
                format!("an image of {height}×{width}×{channels}")
            }
            Shape::Rows { length: 1, columns } => format!("a row of {columns}"),
            Shape::Rows { length, columns } => format!("{length} rows of {columns}"),
        }
    }
}

/// A window that covers an image with squares of this size.
pub(super) fn squares(height: u32, width: u32, size: u32) -> Window {
    Window { height, width, kernel: [size; 2], stride: [size; 2], pads: [0; 4] }
}

/// A window around each pixel of an image.
pub(super) fn around(height: u32, width: u32, kernel: u32) -> Window {
    Window { height, width, kernel: [kernel; 2], stride: [1; 2], pads: [kernel / 2; 4] }
}
