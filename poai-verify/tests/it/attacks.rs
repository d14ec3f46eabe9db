//! One test for each attack of spec §8, with its name. Each test carries the
//! attack out, and shows that it is rejected or worthless.

use crate::common;
use crate::common::{CHALLENGE, Puzzle, verifier, verify};
use ndarray::Array2;
use poai_core::puzzle::commitment::Opening;
use poai_core::puzzle::proof::{DecodeError, strip};
use poai_core::puzzle::seeds::Seeds;
use poai_core::*;
use poai_engine::backend::reference::{self, PlainMatrix};
use poai_engine::operand::pseudorandom;
use poai_engine::*;
use poai_verify::{Invalid, Malformed, Rules, RulesError, Verifier, VerifyError};
use std::collections::HashSet;

const P: Params = Params::CONSENSUS;

/// The rank of a matrix modulo 2^31 − 1, which is never above its true rank.
fn rank(mut rows: Vec<Vec<i64>>) -> usize {
    const PRIME: i64 = (1 << 31) - 1;
    rows.iter_mut().flatten().for_each(|entry| *entry = entry.rem_euclid(PRIME));
    let inverse = |x: i64| {
        // Fermat's little theorem: the inverse is x^(p−2).
        let (mut power, mut exponent, mut result) = (x, PRIME - 2, 1);
        while exponent > 0 {
            if exponent & 1 == 1 {
                result = result * power % PRIME;
            }
            power = power * power % PRIME;
            exponent >>= 1;
        }
        result
    };
    let (mut found, columns) = (0, rows[0].len());
    for column in 0..columns {
        let Some(pivot) = (found..rows.len()).find(|&row| rows[row][column] != 0) else { continue };
        rows.swap(found, pivot);
        let factor = inverse(rows[found][column]);
        let (head, tail) = rows.split_at_mut(found + 1);
        let pivot = &head[found];
        for row in tail {
            let scale = row[column] * factor % PRIME;
            if scale != 0 {
                for (entry, &above) in row[column..].iter_mut().zip(&pivot[column..]) {
                    *entry = (*entry - scale * above).rem_euclid(PRIME);
                }
            }
        }
        found += 1;
    }
    found
}

/// Asserts that the work behind every ticket is the same as for any other
/// operands.
///
/// Each rank-step of the noised product has the full rank r, so no thinner
/// factorisation gives it. No two tiles share a transcript or a row.
fn assert_work_unchanged(a: Array2<i8>, bt: Array2<i8>) {
    let puzzle = Puzzle::new(P, CHALLENGE, a, bt);
    let seeds = puzzle.mined.found.seeds();
    let noised = |seed, operand| reference::noised(&P, seed, &PlainMatrix::of(operand));
    let a = noised(&seeds.a, puzzle.operands.a());
    let bt = noised(&seeds.b, puzzle.operands.bt());
    for step in 0..a.columns / 128 {
        let of_step = |matrix: &PlainMatrix, row: usize| -> Vec<i64> {
            let start = row * matrix.columns + step * 128;
            matrix.entries[start..start + 128].iter().map(|&entry| i64::from(entry)).collect()
        };
        let product = (0..a.rows)
            .map(|i| {
                let left = of_step(&a, i);
                (0..bt.rows)
                    .map(|j| left.iter().zip(of_step(&bt, j)).map(|(x, y)| x * y).sum())
                    .collect()
            })
            .collect();
        assert_eq!(rank(product), 128, "step {step}");
    }
    for matrix in [&a, &bt] {
        let rows: HashSet<_> = matrix.entries.chunks(matrix.columns).collect();
        assert_eq!(rows.len(), matrix.rows, "noised rows are all different");
    }
    let winners = puzzle.mined.found.winners();
    let transcripts: HashSet<_> = winners.iter().map(|winner| winner.transcript).collect();
    assert_eq!(transcripts.len(), 5 * 5);
    puzzle.verify(&puzzle.proof(0, 0)).unwrap();
}

#[test]
fn zero_operands() {
    assert_work_unchanged(Array2::zeros((160, 1024)), Array2::zeros((160, 1024)));
}

#[test]
fn constant_operands() {
    assert_work_unchanged(Array2::from_elem((160, 1024), 63), Array2::from_elem((160, 1024), -64));
}

#[test]
fn repeated_row_operands() {
    let row = pseudorandom(b"row", 1, 1024);
    let repeated = row.broadcast((160, 1024)).unwrap().to_owned();
    assert_work_unchanged(repeated.clone(), repeated);
}

#[test]
fn sparse_operands() {
    let sparse =
        Array2::from_shape_fn((160, 1024), |(i, j)| if (i * 31 + j) % 97 == 0 { 63 } else { 0 });
    assert_work_unchanged(sparse.clone(), sparse);
}

/// A miner that knew the noise before it chose A would choose A = −E. A' would
/// then be zero except for clipping, and every transcript would be free. But
/// the seed depends on A's root, so the chosen A has other noise.
#[test]
fn choosing_operands_after_the_noise() {
    let honest = Puzzle::random(32, 32);
    let seed = honest.mined.found.seeds().a;
    let zero = PlainMatrix { rows: 32, columns: 1024, entries: vec![0; 32 * 1024] };
    let noise = reference::noised(&P, &seed, &zero);
    let chosen: Vec<i8> =
        noise.entries.iter().map(|&e| (-i32::from(e)).clamp(-64, 63) as i8).collect();
    let cancelled =
        noise.entries.iter().zip(&chosen).filter(|&(&e, &a)| i32::from(e) + i32::from(a) == 0);
    assert!(cancelled.count() > 32 * 1024 * 99 / 100, "the cheat would have paid");

    let chosen = Array2::from_shape_vec((32, 1024), chosen).unwrap();
    let bt = honest.operands.bt().entries().to_owned();
    let real = Puzzle::new(P, CHALLENGE, chosen, bt);
    assert_ne!(real.mined.found.seeds().a, seed);
    // The transcript that the miner hoped for, under the noise that it knew.
    let known = {
        let mut entries = PlainMatrix::of(real.operands.a());
        for (entry, e) in entries.entries.iter_mut().zip(&noise.entries) {
            *entry += e;
        }
        let bt = reference::noised(
            &P,
            &honest.mined.found.seeds().b,
            &PlainMatrix::of(real.operands.bt()),
        );
        reference::transcript(&P, &entries, &bt, Tile { row: 0, column: 0 })
    };
    let mut forged = real.proof(0, 0);
    assert_ne!(forged.transcript, known);
    forged.transcript = known;
    assert!(matches!(real.verify(&forged), Err(VerifyError::Invalid(Invalid::Transcript { .. }))));
}

/// One product under many nonces: each challenge has its own noise, so the
/// transcript for one challenge is wrong for every other.
#[test]
fn nonce_grinding_over_one_product() {
    let puzzle = Puzzle::random(64, 32);
    let proof = puzzle.proof(1, 0);
    verify(&CHALLENGE, &proof).unwrap();
    for nonce in 0..16u8 {
        let mut challenge = CHALLENGE;
        challenge.0[31] ^= nonce + 1;
        let refused = verify(&challenge, &proof);
        assert!(
            matches!(refused, Err(VerifyError::Invalid(Invalid::Transcript { .. }))),
            "{refused:?}"
        );
    }
}

/// The same bytes as 64×1024 and as 32×2048 have the same root. m, n and k are
/// part of the seeds, so a product of one shape is worthless under another.
#[test]
fn reading_one_matrix_under_other_dimensions() {
    let puzzle = Puzzle::random(64, 64);
    let other_shape = Shape { m: 32, n: 32, k: 2048 };
    let flat =
        |side: &Operand| Array2::from_shape_vec((32, 2048), side.as_slice().to_vec()).unwrap();
    let other = Puzzle::new(P, CHALLENGE, flat(puzzle.operands.a()), flat(puzzle.operands.bt()));
    let (one, two) = (puzzle.mined.found.statement(), other.mined.found.statement());
    assert_eq!((one.root_a, one.root_b), (two.root_a, two.root_b));
    assert_ne!(puzzle.mined.found.seeds(), other.mined.found.seeds());

    // The other shape's openings with this shape's transcript.
    let mut forged = other.proof(0, 0);
    forged.transcript = puzzle.proof(0, 0).transcript;
    assert!(matches!(
        puzzle.verify(&forged),
        Err(VerifyError::Invalid(Invalid::Transcript { .. }))
    ));

    // An opening may verify under another number of rows. The seeds then
    // differ, for each dimension by itself.
    let base = Seeds::derive(&P, &CHALLENGE, one);
    for shape in [
        Shape { m: 96, ..one.shape },
        Shape { n: 96, ..one.shape },
        Shape { k: 1152, ..one.shape },
        other_shape,
    ] {
        let seeds = Seeds::derive(&P, &CHALLENGE, &Statement { shape, ..*one });
        assert_ne!(seeds.a, base.a, "{shape:?}");
    }
    for params in [Params::new(64, 32).unwrap(), Params::new(128, 16).unwrap()] {
        assert_ne!(Seeds::derive(&params, &CHALLENGE, one).b, base.b);
    }
}

/// A small rank or tile would be cheaper, but a block verifier has its own, and
/// a proof does not contain them. A shape does not help either, because the
/// target is in MACs.
#[test]
fn shape_and_rank_grinding() {
    let cheap = Params::new(32, 16).unwrap();
    let puzzle =
        Puzzle::new(cheap, CHALLENGE, pseudorandom(b"a", 32, 1024), pseudorandom(b"b", 32, 1024));
    let bytes = puzzle.bytes(0, 0);
    let research = Verifier::new(Rules::research(cheap), Difficulty::ONE).unwrap();
    research.verify(&CHALLENGE, &bytes).unwrap();
    let refused = verifier().verify(&CHALLENGE, &bytes);
    assert!(matches!(refused, Err(VerifyError::Malformed(Malformed::Encoding(_)))));

    // A small k or a tiny difficulty cannot verify as a block either.
    let shallow =
        Puzzle::new(P, CHALLENGE, pseudorandom(b"a", 32, 512), pseudorandom(b"b", 32, 512));
    let refused = verifier().verify(&CHALLENGE, &shallow.bytes(0, 0));
    assert!(matches!(refused, Err(VerifyError::Malformed(Malformed::Limit { value: 512, .. }))));
    let below = Difficulty::new((1 << 24) - 1).unwrap();
    assert!(matches!(Verifier::block(below), Err(RulesError::Difficulty { .. })));

    // The chance of a win is t²·k / difficulty. MACs for each win do not depend
    // on the shape, except for a rounding of one part in 2^200.
    let difficulty = Difficulty::new(1 << 40).unwrap();
    let chance = |k| difficulty.target(&P, k).largest().0;
    for (k, leading) in [(1024u32, 1u128 << 20), (4096, 1 << 22), (16384, 1 << 24)] {
        // target + 1 = t²·k · 2^256 / 2^40, exactly.
        let mut expected = [0xff; 32];
        let above = ((leading << 24) - 1) << 64 | u128::from(u64::MAX);
        expected[..16].copy_from_slice(&above.to_be_bytes());
        assert_eq!(chance(k), expected, "k = {k}");
    }
}

/// Tiles between the aligned ones would give many tickets for one product, and
/// the same tile twice would give two tickets for one.
#[test]
fn overlapping_or_repeated_tiles() {
    let puzzle = Puzzle::random(64, 32);
    let (a, bt) = (PlainMatrix::of(puzzle.operands.a()), PlainMatrix::of(puzzle.operands.bt()));
    let seeds = puzzle.mined.found.seeds();
    let (noised_a, noised_bt) =
        (reference::noised(&P, &seeds.a, &a), reference::noised(&P, &seeds.b, &bt));
    // Rows 16..48 are half of each strip. Their transcript is the result of
    // real work, but no index names it, under either strip's opening.
    let between = PlainMatrix {
        rows: 32,
        columns: 1024,
        entries: noised_a.entries[16 * 1024..48 * 1024].to_vec(),
    };
    let overlapping = reference::transcript(&P, &between, &noised_bt, Tile { row: 0, column: 0 });
    for row in [0, 1] {
        let mut forged = puzzle.proof(row, 0);
        forged.transcript = overlapping;
        assert!(matches!(
            puzzle.verify(&forged),
            Err(VerifyError::Invalid(Invalid::Transcript { .. }))
        ));
        forged.opening_a.bytes = a.entries[16 * 1024..48 * 1024].iter().map(|&x| x as u8).collect();
        assert!(matches!(
            puzzle.verify(&forged),
            Err(VerifyError::Invalid(Invalid::Opening { side: Side::A, .. }))
        ));
    }
    // A repeated tile has the same bytes, so there is nothing to submit twice.
    assert_eq!(puzzle.bytes(1, 0), Puzzle::random(64, 32).bytes(1, 0));
    let mut beyond = puzzle.bytes(1, 0);
    beyond[76..80].copy_from_slice(&2u32.to_le_bytes());
    let refused = verifier().verify(&CHALLENGE, &beyond);
    let tile = DecodeError::Tile { side: Side::A, index: 2, count: 2 };
    assert_eq!(refused, Err(Malformed::Encoding(tile).into()));
}

/// Inner nodes passed off as data. The two children of a node hash to its
/// chaining value. An opening that held them in place of the leaf bytes would
/// need no operand. But the shape fixes lengths, and leaves are hashed as
/// chunks, never as parents.
#[test]
fn a_malformed_opening_that_rebuilds_the_root_without_its_leaf_bytes() {
    use poai_core::puzzle::commitment::opening::OpeningError;
    let puzzle = Puzzle::random(128, 32);
    let honest = puzzle.proof(0, 0);
    let statement = honest.statement;
    let a_strip = strip(&P, &statement.shape, honest.tile, Side::A).unwrap();
    // The root's two children: 64 bytes that hash to the root as a parent.
    let bytes = puzzle.operands.a().as_bytes();
    let half = |part: &[u8], offset: usize| {
        use blake3::hazmat::HasherExt;
        let mut hasher = blake3::Hasher::new();
        hasher.set_input_offset(offset as u64).update(part);
        hasher.finalize_non_root()
    };
    let (left, right) = bytes.split_at(bytes.len() / 2);
    let children = [half(left, 0), half(right, bytes.len() / 2)];
    let root =
        blake3::hazmat::merge_subtrees_root(&children[0], &children[1], blake3::hazmat::Mode::Hash);
    assert_eq!(root.as_bytes(), &statement.root_a.0, "the children do rebuild the root");

    let check = |opening: &Opening| opening.view().check(&a_strip, &statement.root_a);
    let bare = Opening { bytes: Vec::new(), siblings: children.to_vec() };
    assert!(matches!(check(&bare), Err(OpeningError::Bytes { .. })));
    let siblings = honest.opening_a.siblings.clone();
    let mut filled = vec![0; a_strip.opened_len() as usize];
    filled[..64].copy_from_slice(&children.concat());
    assert_eq!(
        check(&Opening { bytes: filled, siblings: siblings.clone() }),
        Err(OpeningError::Root)
    );
    let mut replaced = siblings;
    replaced[..2].copy_from_slice(&children);
    let forged = Opening { bytes: honest.opening_a.bytes.clone(), siblings: replaced };
    assert_eq!(check(&forged), Err(OpeningError::Root));
    // As a whole proof, its bytes are refused, or it does not verify.
    let mut proof = honest.clone();
    proof.opening_a = bare;
    assert!(Proof::from_bytes(&P, &proof.to_bytes()).is_err());
    proof.opening_a = forged;
    let refused = puzzle.verify(&proof);
    assert!(matches!(refused, Err(VerifyError::Invalid(Invalid::Opening { side: Side::A, .. }))));
}

/// A matrix and the same matrix with zero rows or columns appended must not
/// share a statement, so nothing is padded before hashing.
#[test]
fn padding_collisions() {
    let short = pseudorandom(b"a", 32, 1024);
    let bt = pseudorandom(b"b", 32, 1024);
    let mut taller = Array2::zeros((64, 1024));
    taller.slice_mut(ndarray::s![..32, ..]).assign(&short);
    let mut wider = Array2::zeros((32, 1152));
    wider.slice_mut(ndarray::s![.., ..1024]).assign(&short);
    let root = |matrix: &Array2<i8>| {
        *Operand::new(&P, Side::A, matrix.clone())
            .map(|a| poai_core::puzzle::commitment::Tree::new(a.as_bytes()))
            .unwrap()
            .root()
    };
    let roots = HashSet::from([root(&short), root(&taller), root(&wider)]);
    assert_eq!(roots.len(), 3);

    // A proof for the taller matrix, claimed for the short one with the short
    // root, is rejected although its first strip is the same.
    let tall = Puzzle::new(P, CHALLENGE, taller, bt.clone());
    let low = Puzzle::new(P, CHALLENGE, short, bt);
    let mut forged = low.proof(0, 0);
    forged.transcript = tall.proof(0, 0).transcript;
    assert_eq!(forged.opening_a.bytes, tall.proof(0, 0).opening_a.bytes);
    assert!(matches!(low.verify(&forged), Err(VerifyError::Invalid(Invalid::Transcript { .. }))));
}

/// Another byte string for the same win would let a relay change a block's
/// proof. No such byte string exists.
#[test]
fn proof_malleability() {
    let puzzle = Puzzle::random(96, 96);
    let bytes = puzzle.bytes(1, 2);
    verifier().verify(&CHALLENGE, &bytes).unwrap();
    let decoded = Proof::from_bytes(&P, &bytes).unwrap();
    assert_eq!(decoded.to_bytes(), bytes);
    // Every bit of the header, and a stride of the openings.
    let positions =
        (0..148).chain((148..bytes.len()).step_by(211)).chain(bytes.len() - 64..bytes.len());
    for at in positions {
        for bit in 0..8 {
            let mut changed = bytes.clone();
            changed[at] ^= 1 << bit;
            let got = verifier().verify(&CHALLENGE, &changed);
            assert!(got.is_err(), "byte {at}, bit {bit}");
        }
    }
    // Appended, prepended, doubled, or with the openings exchanged.
    let appended = [&bytes[..], &[0]].concat();
    let doubled = [&bytes[..], &bytes[..]].concat();
    for changed in [appended, doubled, bytes[1..].to_vec()] {
        assert!(matches!(verifier().verify(&CHALLENGE, &changed), Err(VerifyError::Malformed(_))));
    }
    // Exchanged openings do not verify. If their sizes differ, their bytes are
    // cut elsewhere and never read as these openings.
    let size = |opening: &Opening| (opening.bytes.len(), opening.siblings.len());
    let mut exchanged = decoded;
    assert_ne!(size(&exchanged.opening_a), size(&exchanged.opening_b));
    std::mem::swap(&mut exchanged.opening_a, &mut exchanged.opening_b);
    assert_ne!(Proof::from_bytes(&P, &exchanged.to_bytes()), Ok(exchanged.clone()));
    assert!(verifier().verify(&CHALLENGE, &exchanged.to_bytes()).is_err());
    let mut exchanged = puzzle.proof(1, 1);
    std::mem::swap(&mut exchanged.opening_a, &mut exchanged.opening_b);
    assert!(matches!(
        puzzle.verify(&exchanged),
        Err(VerifyError::Invalid(Invalid::Opening { .. }))
    ));
}

/// A ground transcript meets the target without a product.
#[test]
fn a_ground_transcript() {
    let puzzle = Puzzle::random(32, 32);
    let difficulty = Difficulty::new(1 << 24).unwrap();
    let strict = Verifier::block(difficulty).unwrap();
    let mut forged = puzzle.proof(0, 0);
    let won = (0u32..1 << 12)
        .find(|&guess| {
            forged.transcript = Transcript([guess; 16]);
            let ticket = common::ticket(&P, &CHALLENGE, &forged.statement, &forged.transcript);
            difficulty.wins(&P, 1024, &ticket)
        })
        .expect("one ticket in 16 wins at this difficulty");
    let refused = strict.verify(&CHALLENGE, &forged.to_bytes());
    assert!(
        matches!(refused, Err(VerifyError::Invalid(Invalid::Transcript { .. }))),
        "guess {won}: {refused:?}"
    );
}
