//! Data that is no dataset is refused, and the error names the row.

use crate::runs::layers;
use poai_train::{DataError, Dataset, Layers};

#[test]
fn samples_become_entries() {
    let numbers = [0.0, 1.0, -1.0, 0.5, 0.25, 2.0, -2.0, 0.01];
    let dataset = Dataset::dense(&layers(), &numbers, &[0, 1]).unwrap();
    assert_eq!(dataset.count(), 2);
    assert_eq!(dataset.samples().tensor.entries(), [0, 63, -63, 32, 16, 63, -63, 1]);
    assert_eq!(dataset.labels().tensor.entries(), [0, 1]);
    let text = Layers::transformer(5, 3, 4, 1, 1, 4);
    let dataset = Dataset::tokens(&text, &[0, 1, 2, 3, 4, 3, 2, 1]).unwrap();
    assert_eq!(dataset.samples().tensor.entries(), [0, 1, 2, 4, 3, 2]);
    assert_eq!(dataset.labels().tensor.entries(), [1, 2, 3, 3, 2, 1]);
}

#[test]
fn bad_rows_are_named() {
    let of =
        |numbers: &[f32], labels: &[u32]| Dataset::dense(&layers(), numbers, labels).unwrap_err();
    assert_eq!(of(&[], &[]), DataError::Empty);
    assert!(matches!(of(&[0.0; 7], &[0, 1]), DataError::Length { expected: 8, got: 7, .. }));
    for bad in [f32::NAN, f32::INFINITY] {
        let mut numbers = [0.0; 8];
        numbers[6] = bad;
        assert!(matches!(of(&numbers, &[0, 1]), DataError::NotFinite { row: 1, column: 2, .. }));
    }
    assert_eq!(of(&[0.0; 8], &[0, 2]), DataError::Label { row: 1, classes: 2, got: 2 });
    assert_eq!(of(&[0.0; 8], &[1, 1]), DataError::OneClass(1));
    assert!(matches!(Dataset::tokens(&layers(), &[0; 8]), Err(DataError::Kind { .. })));

    let text = Layers::transformer(5, 3, 4, 1, 1, 4);
    let of = |ids: &[u32]| Dataset::tokens(&text, ids).unwrap_err();
    assert_eq!(of(&[0, 1, 2]), DataError::Empty);
    assert!(matches!(of(&[0, 1, 2, 3, 4]), DataError::Length { .. }));
    assert_eq!(of(&[0, 1, 2, 3, 0, 1, 5, 3]), DataError::Label { row: 1, classes: 5, got: 5 });
    assert!(matches!(Dataset::dense(&text, &[0.0], &[0]), Err(DataError::Kind { .. })));
}
