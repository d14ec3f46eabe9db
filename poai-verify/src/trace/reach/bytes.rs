//! The most bytes of openings.

use poai_core::program::Extent;

/// BLAKE3's chunk, in bytes.
const CHUNK: u64 = blake3::CHUNK_LEN as u64;

/// The most that any tile reads of one slot.
pub(super) struct Reach {
    pub(super) slot: usize,
    /// Rows of all ranges together.
    pub(super) rows: u64,
    /// The number of ranges that do not touch.
    pub(super) ranges: u64,
    /// Ranges start at multiples of this; 0 if they start at row 0.
    pub(super) align: u64,
}

/// The bytes of the opening of some rows at a multiple of `align`.
pub(in super::super) fn strip_bytes(extent: &Extent, rows: u32, align: u32) -> u64 {
    let rows = rows.min(extent.padded_rows());
    opened(extent, &Reach { slot: 0, rows: rows.into(), ranges: 1, align: align.into() })
}

/// Bytes and siblings of all ranges of a slot, each opened separately.
pub(super) fn opened(extent: &Extent, reach: &Reach) -> u64 {
    let (row, total) = (extent.row_bytes() as u64, extent.bytes());
    let ranges = reach.ranges.min(reach.rows);
    if ranges == 0 {
        return 0;
    }
    let own = reach.rows.saturating_mul(row);
    // The start and the length of a range are multiples of these bytes, so this
    // many bytes of its first chunk may belong to other rows.
    let before = CHUNK - gcd(reach.align.saturating_mul(row), CHUNK);
    let chunks = if ranges == 1 {
        own.saturating_add(before).div_ceil(CHUNK)
    } else {
        let after = CHUNK - gcd(row, CHUNK);
        own.saturating_add(ranges.saturating_mul(before + after)) / CHUNK
    };
    let bytes = chunks.saturating_mul(CHUNK).min(ranges.saturating_mul(total));
    let whole = ranges == 1 && reach.rows >= u64::from(extent.padded_rows());
    let siblings = if whole { 0 } else { ranges.saturating_mul(siblings(total, chunks)) };
    bytes.saturating_add(siblings.saturating_mul(32))
}

/// The most siblings that some consecutive chunks have. One chunk has one
/// sibling a level. Several chunks have one a level on either side below the
/// node where the paths to the first and the last separate, and one a level
/// above it.
fn siblings(total: u64, chunks: u64) -> u64 {
    let all = total.div_ceil(CHUNK);
    let depth = ceil_log2(all);
    let most = if chunks > 1 { depth.max(2 * depth.saturating_sub(1)) } else { depth };
    most.min(all.saturating_sub(1))
}

pub(super) fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// The most bytes of the openings of `ranges` ranges at any places, which have
/// `bytes` bytes together.
pub(super) fn opened_anywhere(extent: &Extent, bytes: u64, ranges: u64) -> u64 {
    let chunks = bytes.div_ceil(CHUNK).saturating_add(2 * ranges - 1);
    let opened = chunks.saturating_mul(CHUNK).min(ranges.saturating_mul(extent.bytes()));
    let siblings = siblings(extent.bytes(), chunks.max(2)).saturating_mul(ranges);
    opened.saturating_add(siblings.saturating_mul(32))
}

/// The most bytes of the opening of some columns of consecutive rows, which one
/// opening holds.
///
/// The columns take `width` bytes of each of `rows` rows, from one of `starts`
/// on.
pub(super) fn opened_columns(extent: &Extent, rows: u64, width: u64, starts: Starts) -> u64 {
    let (row, total) = (extent.row_bytes() as u64, extent.bytes());
    let all = total.div_ceil(CHUNK);
    // A row's part has `each` chunks, or one more if it begins less than `rest`
    // bytes before the end of a chunk. The places of parts in chunks repeat
    // after CHUNK/apart rows. They are `apart` bytes apart, from `first` on.
    let each = width.div_ceil(CHUNK).max(1);
    let (rest, apart) = (width.saturating_sub((each - 1) * CHUNK), gcd(row, CHUNK));
    let first = match starts {
        Starts::At(start) => start % apart,
        Starts::MultiplesOf(step) => apart - gcd(step, apart),
    };
    let often = rows.saturating_mul(apart).div_ceil(CHUNK);
    let places = rest.saturating_add(first).div_ceil(apart).saturating_sub(1);
    let wider = often.saturating_mul(places).min(rows);
    let span = rows.saturating_mul(row).saturating_add(CHUNK - apart).div_ceil(CHUNK);
    let chunks = rows.saturating_mul(each).saturating_add(wider).min(span).min(all);
    let bytes = chunks.saturating_mul(CHUNK).min(total);
    // Below this height, a row's chunks have a sibling a level on either side,
    // and a single chunk has one. From it on, every subtree between the first
    // row's chunks and the last's holds chunks of a row.
    let depth = ceil_log2(all);
    let low = ceil_log2(row.div_ceil(CHUNK)).min(depth);
    let ends = if each > 1 { 2 * rows } else { rows.saturating_add(wider) };
    let siblings = ends.saturating_mul(low).saturating_add(2 * (depth - low));
    bytes.saturating_add(siblings.min(all.saturating_sub(1)).saturating_mul(32))
}

/// Where some columns may start in their rows, in bytes.
#[derive(Clone, Copy)]
pub(super) enum Starts {
    At(u64),
    MultiplesOf(u64),
}

/// The least height of a tree of `chunks` chunks.
fn ceil_log2(chunks: u64) -> u64 {
    u64::from(u64::BITS - chunks.saturating_sub(1).leading_zeros())
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;
    use poai_core::program::Dtype;

    fn bytes(extent: &Extent, first: u32, rows: u32) -> u64 {
        let strip = extent.strip(&(first..first + rows)).unwrap();
        strip.opened_len() + 32 * u64::from(strip.siblings())
    }

    /// The most bytes of a range of `rows` rows at a multiple of `align`, found
    /// by trying all. Each range is opened separately, so the worst place is
    /// the worst for all ranges if there is room.
    fn most(extent: &Extent, rows: u32, align: u32) -> u64 {
        let starts = (0..=extent.padded_rows() - rows).step_by(align as usize);
        starts.map(|first| bytes(extent, first, rows)).max().unwrap()
    }

    /// Checks that no opening is longer than the bound, and that the longest is
    /// not much shorter. For at least every fourth shape some opening is
    /// exactly as long.
    #[test]
    fn bounds_of_ranges_are_tight() {
        let (mut exact, mut all) = (0, 0);
        for columns in [1, 3, 100, 128, 129, 256, 300, 700, 1000, 1024, 1100, 3000] {
            for (dtype, total) in [Dtype::I8, Dtype::I16, Dtype::I32]
                .into_iter()
                .flat_map(|dtype| [1, 32, 33, 64, 96, 200].map(|total| (dtype, total)))
            {
                let extent = Extent::new(total, columns, dtype).unwrap();
                for (align, rows) in [1, 2, 3, 5, 8, 16, 32]
                    .into_iter()
                    .flat_map(|align| [1, 2, 3, 7, 8, 16, 31, 32, 40].map(|rows| (align, rows)))
                    .filter(|&(_, rows)| rows <= extent.padded_rows())
                {
                    let most = most(&extent, rows, align);
                    let bound = strip_bytes(&extent, rows, align);
                    let name = format!("{rows} rows at {align} of {extent}");
                    let whole_chunks = (extent.row_bytes() as u64).is_multiple_of(CHUNK);
                    let slack = if whole_chunks { 0 } else { CHUNK } + 16 * 32;
                    assert!(bound >= most && bound < most + slack, "{name}: {most} {bound}");
                    exact += u32::from(bound == most);
                    all += 1;
                    // Three ranges, if there is room.
                    if 3 * rows > extent.padded_rows() {
                        continue;
                    }
                    let (ranges, rows) = (3, 3 * u64::from(rows));
                    let reach = Reach { slot: 0, rows, ranges, align: align.into() };
                    let bound = opened(&extent, &reach);
                    // For rows of whole chunks the bound is exact.
                    let chunks = if whole_chunks { 0 } else { 2 * CHUNK };
                    let slack = ranges * (chunks + 16 * 32);
                    assert!(
                        bound >= 3 * most && bound < 3 * most + slack,
                        "{name}: {most} {bound}"
                    );
                }
            }
        }
        assert!(4 * exact > all, "{exact} of {all}");
        // No rows have no bytes. More ranges than rows count as many as the
        // rows.
        let extent = Extent::new(64, 128, Dtype::I8).unwrap();
        let reach = |rows, ranges| opened(&extent, &Reach { slot: 0, rows, ranges, align: 1 });
        assert_eq!((reach(0, 3), reach(3, 0), reach(2, 9)), (0, 0, reach(2, 2)));
    }
}
