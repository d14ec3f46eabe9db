//! scratch
use ark_bn254::{Bn254, Fr};
use ark_ff::UniformRand;
use ark_groth16::Groth16;
use ark_std::rand::{SeedableRng, rngs::StdRng};
use poai_core::execute::network::Constants;
use poai_core::execute::{Network, Tensor};
use poai_core::inference::*;
use poai_core::program::*;
use poai_core::snark::circuit::{Circuit, Witness};
use poai_core::snark::commitment::Salt;
use poai_core::snark::reduction::CircomReduction;
use poai_core::snark::setup::insecure_single_party_setup;
use std::sync::Arc;
use std::time::Instant;

fn rnd(seed: u64, n: usize, lo: i64, hi: i64) -> Vec<i32> {
    let mut s = seed.wrapping_mul(0x9e3779b97f4a7c15) | 1;
    (0..n)
        .map(|_| {
            s ^= s << 13;
            s ^= s >> 7;
            s ^= s << 17;
            (lo + (s % (hi - lo + 1) as u64) as i64) as i32
        })
        .collect()
}
fn linear(
    b: &mut Builder,
    c: &mut Constants,
    x: ValueId,
    k: usize,
    n: usize,
    clamp: Clamp,
    m: i32,
    s: u8,
) -> ValueId {
    let w = c.add(b, "w", (n, k), Dtype::I8, &rnd(k as u64, n * k, -63, 63)).unwrap();
    let mut ch = vec![];
    for i in 0..n {
        ch.extend([i as i32 * 10 - 50, m - i as i32 * 1001, 0]);
    }
    let r = c.add(b, "r", (n, 3), Dtype::I32, &ch).unwrap();
    b.step("l", Op::Linear { weights: w, requantise: r, shifts: [s, 0, 0], clamp }, &[x]).unwrap()
}
fn mlp() -> (Network, Tensor, RunShape) {
    let mut b = Builder::new(&[Form::new(Dim::fixed(1), Dim::fixed(64), Dtype::I8)]);
    let mut c = Constants::default();
    let x = b.input(0);
    let x =
        linear(&mut b, &mut c, x, 64, 32, Clamp { dtype: Dtype::I8, min: 0, max: 63 }, 1 << 29, 38);
    linear(&mut b, &mut c, x, 32, 10, Clamp::full(Dtype::I8), 1 << 29, 38);
    (
        Network::new(b.finish().unwrap(), c.into_tensors()).unwrap(),
        Tensor::new(1, 64, Dtype::I8, &rnd(3, 64, 0, 63)).unwrap(),
        RunShape { batch: 1, sequence: 1 },
    )
}
fn lenet() -> (Network, Tensor, RunShape) {
    let mut b = Builder::new(&[Form::new(Dim::fixed(784), Dim::fixed(1), Dtype::I8)]);
    let mut c = Constants::default();
    let x = b.input(0);
    let relu = Clamp { dtype: Dtype::I8, min: 0, max: 63 };
    let w1 = Window { height: 28, width: 28, kernel: [5, 5], stride: [2, 2], pads: [0; 4] };
    let u = b.step("u1", Op::Unfold(w1), &[x]).unwrap();
    let x = linear(&mut b, &mut c, u, 25, 8, relu, 1 << 29, 38);
    let w2 = Window { height: 12, width: 12, kernel: [5, 5], stride: [2, 2], pads: [0; 4] };
    let u = b.step("u2", Op::Unfold(w2), &[x]).unwrap();
    let x = linear(&mut b, &mut c, u, 200, 16, relu, 1 << 29, 40);
    let x =
        b.step("r", Op::Reshape { rows: Dim::fixed(1), columns: Dim::fixed(256) }, &[x]).unwrap();
    linear(&mut b, &mut c, x, 256, 10, Clamp::full(Dtype::I8), 1 << 29, 40);
    (
        Network::new(b.finish().unwrap(), c.into_tensors()).unwrap(),
        Tensor::new(784, 1, Dtype::I8, &rnd(3, 784, 0, 63)).unwrap(),
        RunShape { batch: 1, sequence: 1 },
    )
}
fn product() -> (Network, Tensor, RunShape) {
    let mut b = Builder::new(&[Form::new(Dim::fixed(1), Dim::fixed(64), Dtype::I8)]);
    let mut c = Constants::default();
    let x = b.input(0);
    let w = c.add(&mut b, "w", (64, 64), Dtype::I8, &rnd(7, 4096, -63, 63)).unwrap();
    let mut ch = vec![];
    for _ in 0..64 {
        ch.extend([0, 1, 0]);
    }
    let r = c.add(&mut b, "r", (64, 3), Dtype::I32, &ch).unwrap();
    b.step(
        "l",
        Op::Linear { weights: w, requantise: r, shifts: [0, 0, 0], clamp: Clamp::full(Dtype::I32) },
        &[x],
    )
    .unwrap();
    (
        Network::new(b.finish().unwrap(), c.into_tensors()).unwrap(),
        Tensor::new(64, 64, Dtype::I8, &rnd(3, 4096, -64, 63)).unwrap(),
        RunShape { batch: 64, sequence: 1 },
    )
}
fn main() {
    let hashed = TensorVisibility::Hashed;
    for (name, (net, x, run), weights) in [
        ("mlp", mlp(), WeightsVisibility::Fixed),
        ("mlp committed", mlp(), WeightsVisibility::Committed),
        ("lenet", lenet(), WeightsVisibility::Fixed),
        ("product", product(), WeightsVisibility::Committed),
    ] {
        let vis = Visibility { input: hashed, output: hashed, weights };
        let circuit = Circuit::new(Arc::new(net), run, vis).unwrap();
        let t = Instant::now();
        let w = Witness { input: x, binding: Fr::from(5u64), salts: [Salt([1; 31]); 3] };
        let built = circuit.build(Some(&w), true).unwrap();
        let tb = t.elapsed();
        let out: Vec<i32> = built.output.iter().take(10).copied().collect();
        let (n, terms) = (built.system.constraints(), built.system.terms());
        let (m, z) = built.system.into_parts();
        println!(
            "{name}: {n} constraints, {terms} terms, {} variables, build {tb:?} out {out:?}",
            m.variables
        );
        let mut rng = StdRng::seed_from_u64(1);
        let t = Instant::now();
        let pk = insecure_single_party_setup(&m, &mut rng).unwrap();
        let ts = t.elapsed();
        for _ in 0..3 {
            let t = Instant::now();
            let built = circuit.build(Some(&w), false).unwrap();
            let tw = t.elapsed();
            assert_eq!(built.system.assignment(), &z[..]);
            let (r, s) = (Fr::rand(&mut rng), Fr::rand(&mut rng));
            let p = Groth16::<Bn254, CircomReduction>::create_proof_with_reduction_and_matrices(
                &pk,
                r,
                s,
                &[m.a.clone(), m.b.clone(), m.c.clone()],
                m.signals + 1,
                m.a.len(),
                &z,
            )
            .unwrap();
            let tp = t.elapsed();
            let ok = Groth16::<Bn254, CircomReduction>::verify_proof(
                &ark_groth16::prepare_verifying_key(&pk.vk),
                &p,
                &z[1..=m.signals],
            )
            .unwrap();
            println!("  setup {ts:?} witness {tw:?} prove {tp:?} ok {ok}");
        }
    }
}
