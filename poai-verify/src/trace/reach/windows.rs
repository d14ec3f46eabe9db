//! Bounds of steps that look through windows, and of their gradients.

use super::bytes::Reach;
use super::{Tile, touched};
use poai_core::program::Window;

/// The most lines of an image of `image` lines, in each of some items, that
/// lines of windows reach into.
fn seen(window: &Window, lines: u64, items: u64) -> u64 {
    let (stride, kernel) = (u64::from(window.stride[0]), u64::from(window.kernel[0]));
    let between = lines.saturating_sub(items).saturating_mul(stride);
    between.saturating_add(items * kernel).min(items * u64::from(window.height))
}

/// The number of ranges of lines of pixels that windows of some items see.
///
/// If windows reach an image's last line, one item's lines touch the next
/// item's: the first line is always seen.
fn ranges(window: &Window, height: u64, items: u64) -> u64 {
    let (stride, kernel) = (u64::from(window.stride[0]), u64::from(window.kernel[0]));
    let end = (height - 1).saturating_mul(stride).saturating_add(kernel);
    if end >= u64::from(window.height) + u64::from(window.pads[0]) { 1 } else { items }
}

impl Tile<'_> {
    /// The most that the lines of a tile need: `one` of lines in one item, or
    /// `whole` for each whole item between two, and `edges` of the lines of
    /// these two together. An item has `height` lines of `width` rows.
    fn most_lines(
        &self,
        [height, width]: [u64; 2],
        whole: u64,
        one: impl Fn(u64) -> u64,
        edges: impl Fn(u64) -> u64,
    ) -> u64 {
        let (rows, period) = (self.rows, height * width);
        let items = touched(rows, self.tile_rows, period, self.batch);
        let lines = (rows.min(period) + width).saturating_sub(2) / width + 1;
        let mut most = one(lines.min(height));
        for items in 2..=items {
            let inner = items - 2;
            // The remainder for the first and the last item, which start and
            // end at their items' edges.
            let Some(rest) = rows.checked_sub(inner * period) else { break };
            let rest = (rest + 2 * (width - 1)) / width;
            let between = inner.saturating_mul(whole);
            most = most.max(between.saturating_add(edges(rest.clamp(2, 2 * height))));
        }
        most
    }

    /// The rows of pixels under the windows of a tile.
    pub(super) fn band(&self, window: &Window) -> Reach {
        let size @ [height, width] = window.output().unwrap_or([1, 1]).map(u64::from);
        let lines = |items| move |lines| seen(window, lines, items);
        let most = self.most_lines(size, seen(window, height, 1), lines(1), lines(2));
        let items = touched(self.rows, self.tile_rows, height * width, self.batch);
        let width = u64::from(window.width);
        let ranges = ranges(window, height, items);
        Reach { slot: 0, rows: most.saturating_mul(width), ranges, align: width }
    }

    /// The rows of positions whose windows reach the lines of a tile of pixels.
    pub(super) fn reaching(&self, window: &Window, slot: usize) -> Reach {
        let [height, width] = window.output().unwrap_or([1, 1]).map(u64::from);
        let lines = |items| move |lines| positions(window, height, lines, items);
        let most = self.most_lines(image(window), height, lines(1), lines(2));
        // An item's last position and the next one's first are both read.
        Reach { slot, rows: most.saturating_mul(width), ranges: 1, align: width }
    }

    /// The rows of pixels under the windows of [`Tile::reaching`].
    pub(super) fn around(&self, window: &Window) -> Reach {
        let [height, _] = window.output().unwrap_or([1, 1]).map(u64::from);
        let lines =
            |items| move |lines| seen(window, positions(window, height, lines, items), items);
        let most = self.most_lines(image(window), seen(window, height, 1), lines(1), lines(2));
        let width = u64::from(window.width);
        let ranges = ranges(window, height, self.items());
        Reach { slot: 0, rows: most.saturating_mul(width), ranges, align: width }
    }
}

/// Lines and columns of an image.
fn image(window: &Window) -> [u64; 2] {
    [window.height, window.width].map(|side| u64::from(side.max(1)))
}

/// The most lines of positions, of `height` an item, whose windows reach some
/// lines of pixels.
fn positions(window: &Window, height: u64, lines: u64, items: u64) -> u64 {
    let (stride, kernel) = (u64::from(window.stride[0].max(1)), u64::from(window.kernel[0]));
    // Exact: kernels have at most 2^16 pixels, and are at least 1.
    let reached = lines.saturating_add(items.saturating_mul((kernel + stride).saturating_sub(2)));
    (reached / stride).min(items * height)
}
