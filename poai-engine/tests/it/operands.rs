//! Operands: every bound is checked and named. Padding and splitting keep the
//! exact product.

use ndarray::{Array2, s};
use poai_core::puzzle::statement::{Dimension, ShapeError, Side, Tile};
use poai_core::*;
use poai_engine::operand::{OperandError, Padded, Split, pseudorandom};
use poai_engine::*;
use proptest::prelude::*;
use std::sync::Arc;

const P: Params = Params::CONSENSUS;

fn zeros(rows: usize, columns: usize) -> Array2<i8> {
    Array2::zeros((rows, columns))
}

#[test]
fn errors_name_the_operand_the_dimension_and_the_entry() {
    let cases = [
        (zeros(31, 128), zeros(32, 128), "operand A: m = 31: expected a positive multiple of 32"),
        (zeros(32, 128), zeros(48, 128), "operand B: n = 48: expected a positive multiple of 32"),
        (zeros(32, 100), zeros(32, 100), "operand A: k = 100: expected a positive multiple of 128"),
        (zeros(32, 0), zeros(32, 0), "operand A: k = 0: expected a positive multiple of 128"),
        (zeros(0, 128), zeros(32, 128), "operand A: m = 0: expected a positive multiple of 32"),
        (zeros(32, 128), zeros(32, 256), "expected A with the 256 columns of Bᵀ, got 128"),
        (
            zeros(32, 1 << 17),
            zeros(32, 1 << 17),
            "operand A: k = 131072: expected k below 131072, where 32-bit sums stay exact",
        ),
    ];
    for (a, bt, expected) in cases {
        let error = Operands::new(&P, a, bt).unwrap_err();
        assert!(error.to_string().starts_with(expected), "{error}");
    }
    for (value, ok) in
        [(-128i8, false), (-65, false), (-64, true), (63, true), (64, false), (127, false)]
    {
        let mut bt = zeros(64, 256);
        bt[[33, 200]] = value;
        let got = Operands::new(&P, zeros(32, 256), bt);
        if ok {
            assert!(got.is_ok());
        } else {
            let expected = OperandError::Entry { side: Side::B, row: 33, column: 200, value };
            assert_eq!(got.unwrap_err(), expected);
            let text = format!("operand B: expected entries in -64..=63, got {value} at [33, 200]");
            assert!(expected.to_string().starts_with(&text), "{expected}");
        }
    }
}

#[test]
fn parameters_outside_the_table_are_refused() {
    use poai_core::params::ParamsError;
    for rank in [0, 1, 16, 48, 100, 512, u16::MAX] {
        assert_eq!(Params::new(rank, 32), Err(ParamsError::Rank(rank)));
    }
    for tile in [0, 1, 8, 24, 80, u16::MAX] {
        assert_eq!(Params::new(128, tile), Err(ParamsError::Tile(tile)));
    }
    let permitted = (0..=u16::MAX).filter(|&rank| Params::new(rank, 32).is_ok());
    assert_eq!(permitted.collect::<Vec<_>>(), [32, 64, 128, 256]);
    let permitted = (0..=u16::MAX).filter(|&tile| Params::new(128, tile).is_ok());
    assert_eq!(permitted.collect::<Vec<_>>(), [16, 32, 48, 64]);
}

/// A column-major matrix is the same operand: the commitment is to row-major
/// bytes.
#[test]
fn any_memory_layout_gives_the_same_commitment() {
    let rows = pseudorandom(b"layout", 64, 256);
    let columns = rows.t().as_standard_layout().into_owned().reversed_axes();
    assert!(!columns.is_standard_layout() && columns == rows);
    let root = |entries| {
        *poai_core::puzzle::commitment::Tree::new(
            Operand::new(&P, Side::A, entries).unwrap().as_bytes(),
        )
        .root()
    };
    assert_eq!(root(rows), root(columns));
}

#[test]
fn padding_is_explicit_and_keeps_what_fits() {
    let padded =
        Padded::new(&P, pseudorandom(b"a", 33, 1000), pseudorandom(b"b", 1, 1000)).unwrap();
    assert_eq!(padded.operands().shape(), Shape { m: 64, n: 32, k: 1024 });
    assert_eq!(padded.true_shape(), (33, 1, 1000));
    let a = padded.operands().a().entries().to_owned();
    assert_eq!(a.slice(s![..33, ..1000]), pseudorandom(b"a", 33, 1000));
    assert!(
        a.slice(s![33.., ..]).iter().chain(a.slice(s![.., 1000..]).iter()).all(|&entry| entry == 0)
    );

    let fitting = pseudorandom(b"a", 64, 1024);
    let address = fitting.as_ptr();
    let padded = Padded::new(&P, fitting, pseudorandom(b"b", 32, 1024)).unwrap();
    assert_eq!(padded.operands().a().as_slice().as_ptr(), address, "nothing is copied");

    // Padding would give 100 and 128 columns the same size.
    let unequal = Padded::new(&P, zeros(32, 100), zeros(32, 128));
    assert_eq!(unequal.unwrap_err(), OperandError::Inner { a: 100, b: 128 });
    for (a, bt) in [(zeros(0, 5), zeros(3, 5)), (zeros(3, 0), zeros(3, 0))] {
        assert!(matches!(Padded::new(&P, a, bt), Err(OperandError::Empty { side: Side::A, .. })));
    }
}

#[test]
fn splitting_is_as_equal_as_the_rank_allows() {
    let depths = |k: usize| -> Vec<u32> {
        let split = Split::new(&P, zeros(1, k), zeros(1, k)).unwrap();
        split.parts().iter().map(|part| part.operands().shape().k).collect()
    };
    assert_eq!(depths(1), [128]);
    assert_eq!(depths(16384), [16384]);
    assert_eq!(depths(16385), [8320, 8192]);
    assert_eq!(depths(32768), [16384, 16384]);
    assert_eq!(depths(32769), [11008, 11008, 10880]);
    assert_eq!(depths((1 << 19) - 1).len(), 32);
    for k in [16385, 40000, 100_000, (1 << 19) - 1] {
        let depths = depths(k);
        let (least, most) = (depths.iter().min().unwrap(), depths.iter().max().unwrap());
        assert!(most - least <= 128 && *most <= 16384 && *least >= 1024, "{depths:?}");
        assert_eq!(depths.iter().sum::<u32>() as usize, k.next_multiple_of(128));
    }
    let deep = Split::new(&P, zeros(1, 1 << 19), zeros(1, 1 << 19));
    assert_eq!(deep.unwrap_err(), OperandError::TooDeep { k: 1 << 19 });
    // An error gives an entry's place in the whole matrix.
    let mut a = zeros(2, 20_000);
    a[[1, 19_999]] = 64;
    let error = Split::new(&P, a, zeros(1, 20_000)).unwrap_err();
    assert_eq!(error, OperandError::Entry { side: Side::A, row: 1, column: 19_999, value: 64 });
}

fn naive(a: &Array2<i8>, bt: &Array2<i8>) -> Array2<i32> {
    a.mapv(i32::from).dot(&bt.mapv(i32::from).reversed_axes())
}

/// Mines every part of a split and adds the products.
fn product_of(split: &Split) -> Array2<i32> {
    let miner = Miner::new(Arc::new(Cpu::new()));
    let products: Vec<_> = split
        .parts()
        .iter()
        .map(|part| {
            let a = miner.prepare(part.operands().a().clone()).unwrap();
            let bt = miner.prepare(part.operands().bt().clone()).unwrap();
            let round = miner.round(&Challenge([1; 32]), &bt).unwrap();
            round.mine(&a, Difficulty::BLOCK_MIN).unwrap().product
        })
        .collect();
    assert!(split.assemble(products[1..].to_vec()).is_none(), "a part is missing");
    assert!(
        split.assemble([&products[..], &products[..1]].concat()).is_none(),
        "one product too many"
    );
    assert!(split.assemble(products.iter().map(|_| Array2::zeros((1, 1)))).is_none());
    let mut wrong_last = products.clone();
    *wrong_last.last_mut().unwrap() = Array2::zeros((1, 1));
    assert!(split.assemble(wrong_last).is_none(), "a product of another shape");
    split.assemble(products).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn padded_products_have_the_true_shape_and_are_exact(m in 1..70usize, n in 1..70usize, k in 1..600usize) {
        let (a, bt) = (pseudorandom(b"a", m, k), pseudorandom(b"b", n, k));
        let split = Split::new(&P, a.clone(), bt.clone()).unwrap();
        prop_assert_eq!(split.parts().len(), 1);
        prop_assert_eq!(split.parts()[0].true_shape(), (m, n, k));
        prop_assert_eq!(product_of(&split), naive(&a, &bt));
    }
}

#[test]
fn split_products_add_up_exactly_also_at_the_extremes() {
    let (a, bt) = (pseudorandom(b"a", 5, 33_000), pseudorandom(b"b", 3, 33_000));
    assert_eq!(product_of(&Split::new(&P, a.clone(), bt.clone()).unwrap()), naive(&a, &bt));
    let least = Array2::from_elem((1, 40_000), -64);
    let product = product_of(&Split::new(&P, least.clone(), least).unwrap());
    assert_eq!(product, Array2::from_elem((1, 1), 4096 * 40_000));
}

#[test]
fn shapes_are_checked_as_a_verifier_would() {
    let good = Shape { m: 32, n: 64, k: 128 };
    assert_eq!(good.check(&P), Ok(()));
    assert_eq!((good.tiles(&P), good.tickets(&P), good.steps(&P)), ((1, 2), 2, 1));
    assert_eq!(good.macs(), 32 * 64 * 128);
    let deep = Shape { m: 96, n: 160, k: 384 };
    assert_eq!((deep.tiles(&P), deep.tickets(&P), deep.steps(&P)), ((3, 5), 15, 3));
    assert_eq!(deep.macs(), 96 * 160 * 384);
    let largest = Shape { m: u32::MAX - 31, n: u32::MAX - 31, k: (1 << 17) - 128 };
    assert_eq!(largest.check(&P), Ok(()));
    let n = ShapeError::Multiple { dimension: Dimension::N, value: 33, unit: 32 };
    assert_eq!(Shape { n: 33, ..good }.check(&P), Err(n));
    assert_eq!(n.to_string(), "n = 33: expected a positive multiple of 32");
    for (shape, dimension, value, unit) in [
        (Shape { m: 0, ..good }, Dimension::M, 0, 32),
        (Shape { m: 31, ..good }, Dimension::M, 31, 32),
        (Shape { n: 0, ..good }, Dimension::N, 0, 32),
        (Shape { k: 0, ..good }, Dimension::K, 0, 128),
        (Shape { k: 129, ..good }, Dimension::K, 129, 128),
    ] {
        let expected = ShapeError::Multiple { dimension, value, unit };
        assert_eq!(shape.check(&P), Err(expected), "{shape:?}");
    }
    let text = format!("{} {} {}", Dimension::M, Dimension::N, Dimension::K);
    let tile = Tile { row: 3, column: 4 };
    assert_eq!(format!("{text} {} {} {tile}", Side::A, Side::B), "m n k A B (3, 4)");
    assert_eq!(Shape { k: 1 << 17, ..good }.check(&P), Err(ShapeError::Deep { value: 1 << 17 }));
}
