//! Conditions on gradients of windows.

use super::*;
use poai_core::program::Window;

#[test]
fn shapes_of_gradients_of_windows() {
    let image = Window { height: 9, width: 8, kernel: [3, 2], stride: [1; 2], pads: [0; 4] };
    let unfold = |window, dy: Form| step(TrainingOp::UnfoldGradient(window), &[dy], &[]);
    let dy = fixed(49, 18, I16);
    assert_eq!(unfold(image, dy), Ok(fixed(72, 3, I32)));
    count(&TrainingOp::UnfoldGradient(image), &[dy], &[]);
    for dy in [shared(49, 18, I16), turned(49, 18, I16)] {
        refused(unfold(image, dy), "input 0 expected rows for every item");
    }
    for columns in [17, 19] {
        refused(unfold(image, fixed(49, columns, I16)), "input 0 expected a multiple of 6 columns");
    }
    let growing = Form::new(Dim::fixed(49), Dim::TOKENS, I16);
    refused(unfold(image, growing), "columns that no run changes");
    for dy in [fixed(48, 18, I16), tokens(18, I16)] {
        refused(unfold(image, dy), "input 0 expected 7×7 positions");
    }
    let of_kernel = |kernel| unfold(Window { kernel, ..image }, dy);
    for kernel in [[0, 2], [3, 0], [1 << 16, 1 << 16], [257, 255 + 1]] {
        refused(of_kernel(kernel), "expected a window of 1 to 65536 pixels");
    }
    // A kernel may have as many pixels as a window, and no more.
    let wide = |kernel| {
        let window =
            Window { height: 1, width: 1 << 17, kernel, stride: [1, 1 << 17], pads: [0; 4] };
        unfold(window, fixed(1, kernel[1], I8))
    };
    assert_eq!(wide([1, 1 << 16]), Ok(fixed(1 << 17, 1, I32)));
    refused(wide([1, (1 << 16) + 1]), "expected a window of 1 to 65536 pixels");
    let fits = "expected a window that fits the image";
    for window in [
        Window { kernel: [18, 1], ..image },
        Window { stride: [0, 1], ..image },
        Window { pads: [3, 0, 0, 0], ..image },
    ] {
        refused(unfold(window, dy), fits);
        refused(pool(window, &[fixed(72, 3, I8), fixed(49, 3, I32)]), fits);
    }
    let tall = Window {
        height: 1 << 16,
        width: 1 << 16,
        kernel: [1; 2],
        stride: [1 << 16; 2],
        pads: [0; 4],
    };
    refused(unfold(tall, fixed(1, 1, I8)), "expected fewer than 2^32 pixels");

    let (x, dy) = (fixed(72, 3, I8), fixed(49, 3, I32));
    assert_eq!(pool(image, &[x, dy]), Ok(fixed(72, 3, I32)));
    count(&TrainingOp::MaxPoolGradient(image), &[x, dy], &[]);
    for x in [shared(72, 3, I8), turned(72, 3, I8)] {
        refused(pool(image, &[x, dy]), "input 0 expected rows for every item");
    }
    refused(pool(image, &[fixed(71, 3, I8), dy]), "input 0 expected 9×8 pixels");
    let growing = Form::new(Dim::fixed(72), Dim::TOKENS, I8);
    refused(pool(image, &[growing, dy]), "columns that no run changes");
    refused(pool(image, &[x, shared(49, 3, I32)]), "input 1 expected rows for every item");
    refused(pool(image, &[x, fixed(48, 3, I32)]), "input 1 expected 7×7 positions");
    refused(pool(image, &[x, fixed(49, 4, I32)]), "input 1 expected 3 columns");
    let most = Window { height: 1, width: 70_000, kernel: [1, 65_537], ..image };
    let refusal = "expected a window of at most 65536 pixels";
    refused(pool(most, &[fixed(70_000, 3, I8), fixed(4464, 3, I8)]), refusal);
}

fn pool(window: Window, inputs: &[Form]) -> Result<Form, String> {
    step(TrainingOp::MaxPoolGradient(window), inputs, &[])
}
