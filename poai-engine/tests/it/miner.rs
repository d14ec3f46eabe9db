//! The miner: its results, the winners that it keeps, cancellation and
//! progress.

use poai_core::Progress;
use poai_core::*;
use poai_engine::backend::reference::Reference;
use poai_engine::operand::pseudorandom;
use poai_engine::*;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

const P: Params = Params::CONSENSUS;
const CHALLENGE: Challenge = Challenge([9; 32]);

fn operand(side: Side, name: &[u8], rows: usize) -> Operand {
    Operand::pseudorandom(&P, side, name, rows, 256).unwrap()
}

fn miner() -> Miner {
    Miner::new(Arc::new(Cpu::new()))
}

/// A round over 64 columns of the product, and an A of 160 rows: 10 tickets.
fn round(miner: &Miner) -> (Round, backend::Prepared) {
    let bt = miner.prepare(operand(Side::B, b"b", 64)).unwrap();
    let a = miner.prepare(operand(Side::A, b"a", 160)).unwrap();
    (miner.round(&CHALLENGE, &bt).unwrap(), a)
}

fn naive(a: &Operand, bt: &Operand) -> ndarray::Array2<i32> {
    a.entries().mapv(i32::from).dot(&bt.entries().mapv(i32::from).reversed_axes())
}

#[test]
fn the_product_comes_back_whether_or_not_a_tile_wins() {
    let (round, a) = round(&miner());
    let expected = naive(&operand(Side::A, b"a", 160), &operand(Side::B, b"b", 64));
    for (difficulty, wins) in [(1, true), (u128::MAX, false)] {
        let options = MineOptions::new(Difficulty::new(difficulty).unwrap());
        let mined = round.mine(&a, &options).unwrap();
        assert_eq!(mined.product, expected);
        assert_eq!(mined.found.best().is_some(), wins);
        assert_eq!(mined.found.proof().is_some(), wins);
        assert_eq!(mined.found.drawn(), 10);
    }
}

#[test]
fn every_winning_tile_can_be_kept_in_order_and_within_a_limit() {
    let (round, a) = round(&miner());
    let found = |keep| round.mine(&a, MineOptions::new(Difficulty::ONE).keep(keep)).unwrap().found;
    let all = found(Keep::UpTo(100));
    assert_eq!((all.winners().len(), all.won()), (10, 10));
    assert!(all.winners().is_sorted_by_key(|winner| winner.ticket));
    assert_eq!(all.best(), all.winners().iter().min_by_key(|winner| winner.ticket));
    assert_eq!(found(Keep::UpTo(3)).winners(), &all.winners()[..3]);
    assert_eq!(found(Keep::Best).winners(), &all.winners()[..1]);
    assert_eq!((found(Keep::UpTo(0)).winners(), found(Keep::UpTo(0)).won()), (&[][..], 10));
    for winner in all.winners() {
        let proof = all.prove(winner).unwrap();
        assert_eq!((proof.tile, proof.transcript), (winner.tile, winner.transcript));
        let bytes = proof.to_bytes();
        assert_eq!(Proof::from_bytes(&P, &bytes).unwrap(), proof);
    }
}

#[test]
fn prepared_weights_serve_many_activations_and_challenges() {
    let miner = miner();
    let bt = miner.prepare(operand(Side::B, b"weights", 64)).unwrap();
    let mut statements = std::collections::HashSet::new();
    for challenge in [Challenge([1; 32]), Challenge([2; 32])] {
        let round = miner.round(&challenge, &bt).unwrap();
        for name in [b"x", b"y"] {
            let a = operand(Side::A, name, 64);
            let prepared = miner.prepare(a.clone()).unwrap();
            let mined = round.mine(&prepared, Difficulty::ONE).unwrap();
            assert_eq!(mined.product, naive(&a, bt.operand()));
            assert_eq!(mined.found.statement().root_b, *bt.root());
            assert!(statements.insert(mined.found.seeds().a), "every pair has its own seed");
        }
    }
}

#[test]
fn a_search_stops_when_it_has_what_it_keeps() {
    // One thread, so that the number of tiles in flight beside the winner is
    // known.
    let miner = Miner::new(Arc::new(Cpu::new().threads(1).unwrap()));
    let bt = miner.prepare(operand(Side::B, b"b", 64)).unwrap();
    let a = miner.prepare(operand(Side::A, b"a", 3200)).unwrap();
    let round = miner.round(&CHALLENGE, &bt).unwrap();
    let search = |difficulty, keep| round.search(&a, MineOptions::new(difficulty).keep(keep));
    for keep in [1, 5] {
        let found = search(Difficulty::ONE, Keep::UpTo(keep)).unwrap();
        assert_eq!(found.winners().len(), keep);
        assert!(found.drawn() < 200, "it drew {} of 200", found.drawn());
    }
    let all = search(Difficulty::ONE, Keep::UpTo(1000)).unwrap();
    assert_eq!((all.winners().len(), all.drawn()), (200, 200));
    let none = search(Difficulty::new(u128::MAX).unwrap(), Keep::Best).unwrap();
    assert_eq!((none.won(), none.drawn()), (0, 200));
}

#[test]
fn cancelling_keeps_the_winners_so_far() {
    let miner = miner();
    let bt = miner.prepare(operand(Side::B, b"b", 64)).unwrap();
    let a = miner.prepare(operand(Side::A, b"a", 3200)).unwrap();
    let round = miner.round(&CHALLENGE, &bt).unwrap();
    let cancel = Cancel::new();
    let after = cancel.clone();
    let options = MineOptions::new(Difficulty::ONE)
        .keep(Keep::UpTo(1000))
        .cancel(&cancel)
        .progress(move |progress: Progress| {
            if progress.done >= 7 {
                after.cancel()
            }
        });
    let Err(MineError::Cancelled { found }) = round.mine(&a, &options) else {
        panic!("a cancelled product is an error");
    };
    assert!((7..200).contains(&found.drawn()), "{}", found.drawn());
    assert_eq!(found.winners().len() as u64, found.won());
    assert!(found.won() >= 7);
    found.prove(&found.winners()[0]).unwrap();
    assert!(cancel.is_cancelled());
}

/// A search that is cancelled before it has enough winners reports the
/// cancellation and keeps the winners that it has.
#[test]
fn a_cancelled_search_is_told_from_a_finished_one() {
    let miner = Miner::new(Arc::new(Cpu::new().threads(1).unwrap()));
    let bt = miner.prepare(operand(Side::B, b"b", 64)).unwrap();
    let a = miner.prepare(operand(Side::A, b"a", 3200)).unwrap();
    let round = miner.round(&CHALLENGE, &bt).unwrap();
    let search = |difficulty| {
        let cancel = Cancel::new();
        let after = cancel.clone();
        let options = MineOptions::new(difficulty).keep(Keep::UpTo(150)).cancel(&cancel).progress(
            move |progress| {
                if progress.done >= 20 {
                    after.cancel();
                }
            },
        );
        round.search(&a, &options)
    };
    for (difficulty, wins) in
        [(Difficulty::ONE, true), (Difficulty::new(u128::MAX).unwrap(), false)]
    {
        let Err(MineError::Cancelled { found }) = search(difficulty) else {
            panic!("a cancelled search is an error");
        };
        assert_eq!(found.won() > 0, wins);
        assert!((20..200).contains(&found.drawn()));
    }
}

/// Cancelling at the last tile stops nothing: the product is complete.
#[test]
fn cancelling_at_the_end_loses_no_product() {
    let miner = Miner::new(Arc::new(Cpu::new().threads(1).unwrap()));
    let (round, a) = round(&miner);
    let cancel = Cancel::new();
    let after = cancel.clone();
    let options = MineOptions::new(Difficulty::ONE).cancel(&cancel).progress(move |progress| {
        if progress.done == progress.total {
            after.cancel();
        }
    });
    assert_eq!(round.mine(&a, &options).unwrap().found.drawn(), 10);
    assert!(cancel.is_cancelled());
}

#[test]
fn operands_of_other_parameters_are_refused() {
    let other = Params::new(64, 16).unwrap();
    let operand = Operand::pseudorandom(&other, Side::A, b"a", 48, 128).unwrap();
    let refused = miner().prepare(operand).unwrap_err();
    assert!(matches!(refused, MineError::Params { expected: P, got } if got == other), "{refused}");
    // Handles of such operands are refused too, although the backend itself
    // made them.
    let scalar = Arc::new(Cpu::named("cpu-scalar").unwrap());
    let foreign = |side| {
        let operand = Operand::pseudorandom(&other, side, b"", 48, 1024).unwrap();
        scalar.prepare(operand).unwrap()
    };
    let miner = Miner::new(scalar.clone());
    assert!(matches!(miner.round(&CHALLENGE, &foreign(Side::B)), Err(MineError::Params { .. })));
    let bt = miner.prepare(Operand::pseudorandom(&P, Side::B, b"", 32, 1024).unwrap()).unwrap();
    let round = miner.round(&CHALLENGE, &bt).unwrap();
    let options = MineOptions::new(Difficulty::ONE);
    assert!(matches!(round.mine(&foreign(Side::A), &options), Err(MineError::Params { .. })));
    assert!(matches!(round.search(&foreign(Side::A), &options), Err(MineError::Params { .. })));
}

#[test]
fn progress_counts_every_tile() {
    let (round, a) = round(&miner());
    let seen = Arc::new(Mutex::new(Vec::new()));
    let on_progress = seen.clone();
    let options = MineOptions::new(Difficulty::ONE)
        .progress(move |progress| on_progress.lock().unwrap().push(progress));
    round.mine(&a, &options).unwrap();
    let seen = seen.lock().unwrap();
    let done: BTreeSet<u64> = seen.iter().map(|progress| progress.done).collect();
    assert_eq!(done.len(), seen.len(), "every call reports progress");
    assert_eq!(done.last(), Some(&10));
    assert!(seen.iter().all(|progress| progress.total == 10 && progress.done >= 1));
}

#[test]
fn operands_of_the_wrong_side_or_depth_are_refused() {
    let miner = miner();
    let a = miner.prepare(operand(Side::A, b"a", 32)).unwrap();
    let bt = miner.prepare(operand(Side::B, b"b", 32)).unwrap();
    let swapped = miner.round(&CHALLENGE, &a);
    assert!(matches!(swapped, Err(MineError::Side { expected: Side::B, got: Side::A })));
    let round = miner.round(&CHALLENGE, &bt).unwrap();
    let options = MineOptions::new(Difficulty::ONE);
    let swapped = round.mine(&bt, &options);
    assert!(matches!(swapped, Err(MineError::Side { expected: Side::A, got: Side::B })));
    let deeper = Operand::pseudorandom(&P, Side::A, b"a", 32, 384).unwrap();
    let deeper = miner.prepare(deeper).unwrap();
    assert!(matches!(round.mine(&deeper, &options), Err(MineError::Inner { a: 384, b: 256 })));
    let foreign = Miner::new(Arc::new(Reference)).prepare(operand(Side::A, b"a", 32)).unwrap();
    assert!(matches!(round.mine(&foreign, &options), Err(MineError::Backend(_))));
}

#[test]
fn a_winner_of_another_statement_is_not_proven() {
    let (round, a) = round(&miner());
    let options = MineOptions::new(Difficulty::ONE);
    let found = round.mine(&a, &options).unwrap().found;
    let other = miner().prepare(operand(Side::A, b"other", 160)).unwrap();
    let foreign = *round.mine(&other, &options).unwrap().found.best().unwrap();
    let refused = found.prove(&foreign).unwrap_err();
    assert!(matches!(refused, MineError::Winner { winner } if winner == foreign), "{refused}");
    let mut beyond = *found.best().unwrap();
    beyond.tile.row ^= 1;
    assert!(matches!(found.prove(&beyond), Err(MineError::Winner { .. })));
}

#[test]
fn threads_do_not_change_what_is_best() {
    let best = |backend: Arc<dyn Backend>| {
        let miner = Miner::new(backend);
        let (round, a) = round(&miner);
        *round.mine(&a, Difficulty::ONE).unwrap().found.best().unwrap()
    };
    let expected = best(Arc::new(Reference));
    for threads in 1..=4 {
        assert_eq!(best(Arc::new(Cpu::new().threads(threads).unwrap())), expected);
    }
    let entries = pseudorandom(b"a", 160, 256);
    assert_eq!(operand(Side::A, b"a", 160).entries(), entries);
}

/// A miner of blocks refuses a depth that no block accepts, before any work.
#[test]
fn a_depth_that_no_block_accepts_is_refused() {
    use ndarray::Array2;
    let miner = Miner::new(Arc::new(Cpu::new()));
    let matrix = |k: usize| Array2::from_elem((32, k), 1);
    for k in [0, 128, 896, 1000, 16512, 1 << 17] {
        let refused = miner.weights(matrix(k)).unwrap_err();
        assert!(matches!(refused, MineError::Depth { k: got } if got == k), "{refused}");
        assert!(matches!(miner.activations(matrix(k)), Err(MineError::Depth { .. })));
    }
    for k in [1024, 16384] {
        miner.weights(matrix(k)).unwrap();
        miner.activations(matrix(k)).unwrap();
    }
    assert!(matches!(miner.split(matrix(896), matrix(896)), Err(MineError::Depth { .. })));
    for k in [897, 1000, 16384, 16385, 40_000] {
        let split = miner.split(matrix(k), matrix(k)).unwrap();
        for part in split.parts() {
            let depth = part.operands().bt().k();
            assert!((1024..=16384).contains(&depth), "{k}: {depth}");
        }
    }
    // Research takes any depth.
    let params = Params::new(64, 32).unwrap();
    Miner::with_params(params, Arc::new(Reference)).unwrap().weights(matrix(64)).unwrap();
}
