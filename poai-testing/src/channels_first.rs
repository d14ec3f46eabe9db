//! Reference layers, written from ONNX's definitions, channels-first.

use ndarray::{Array, Array2, Array4, Dimension};
use poai_import::graph::ImageWindow;

/// Images as the graph's rows, one a sample.
pub fn rows(x: &Array4<f32>) -> Array2<f32> {
    let (n, c, h, w) = x.dim();
    x.as_standard_layout().into_owned().into_shape_with_order((n, c * h * w)).unwrap()
}

pub fn assert_close(got: &Array2<f32>, expected: &Array2<f32>) {
    assert_eq!(got.dim(), expected.dim());
    for (got, expected) in got.iter().zip(expected) {
        assert!((got - expected).abs() <= 1e-4 * (1.0 + expected.abs()), "{got} vs {expected}");
    }
}

/// The reference convolution, channels-first, written from the definition. The
/// number of weights decides the number of groups.
pub fn conv(
    x: &Array4<f32>,
    w: &[f32],
    b: &[f32],
    out: usize,
    window: &ImageWindow,
) -> Array4<f32> {
    let (n, cin, h, width) = x.dim();
    let ([kh, kw], [sh, sw], [top, left, bottom, right]) =
        (window.kernel, window.stride, window.pads);
    let [dh, dw] = window.dilation;
    let (ch, cw) = ((kh - 1) * dh + 1, (kw - 1) * dw + 1);
    let (oh, ow) = ((h + top + bottom - ch) / sh + 1, (width + left + right - cw) / sw + 1);
    // The channels that an output reads, and the outputs that read the same.
    let own = w.len() / (out * kh * kw);
    let share = out / (cin / own);
    Array4::from_shape_fn((n, out, oh, ow), |(n, o, y, x0)| {
        let mut sum = b[o];
        for c in 0..own {
            for ky in 0..kh {
                for kx in 0..kw {
                    let y = (y * sh + ky * dh).wrapping_sub(top);
                    let x0 = (x0 * sw + kx * dw).wrapping_sub(left);
                    if let Some(entry) = x.get([n, o / share * own + c, y, x0]) {
                        sum += entry * w[((o * own + c) * kh + ky) * kw + kx];
                    }
                }
            }
        }
        sum
    })
}

/// The reference pooling: `reduce` gets the entries under each window.
pub fn pool(x: &Array4<f32>, window: &ImageWindow, reduce: impl Fn(&[f32]) -> f32) -> Array4<f32> {
    let (n, c, h, w) = x.dim();
    let ([kh, kw], [sh, sw], [top, left, bottom, right]) =
        (window.kernel, window.stride, window.pads);
    let (oh, ow) = ((h + top + bottom - kh) / sh + 1, (w + left + right - kw) / sw + 1);
    Array4::from_shape_fn((n, c, oh, ow), |(n, c, y, x0)| {
        let taps = (0..kh).flat_map(|ky| (0..kw).map(move |kx| (ky, kx)));
        let entries: Vec<f32> = taps
            .filter_map(|(ky, kx)| {
                let at = [(y * sh + ky).wrapping_sub(top), (x0 * sw + kx).wrapping_sub(left)];
                x.get([n, c, at[0], at[1]]).copied()
            })
            .collect();
        reduce(&entries)
    })
}

/// The reference product with W (outputs × inputs), row-major.
pub fn dense(x: &Array2<f32>, w: &[f32], b: &[f32]) -> Array2<f32> {
    Array2::from_shape_fn((x.nrows(), b.len()), |(row, o)| {
        let w = &w[o * x.ncols()..(o + 1) * x.ncols()];
        b[o] + x.row(row).iter().zip(w).map(|(x, w)| x * w).sum::<f32>()
    })
}

pub fn relu<D: Dimension>(x: Array<f32, D>) -> Array<f32, D> {
    x.mapv(|x| if x > 0.0 { x } else { 0.0 })
}

pub fn image(n: usize, c: usize, h: usize, w: usize) -> Array4<f32> {
    Array4::from_shape_vec((n, c, h, w), crate::onnx::numbers(99, n * c * h * w)).unwrap()
}
