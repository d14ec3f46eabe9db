//! The library's side of a ceremony, for `scripts/ceremony.sh`, on a small
//! network: two dense layers, a hashed input and a public output. With ROWS it
//! uses a system of that many constraints, which belongs to no program, to make
//! fixtures.
//!
//! ```text
//! ceremony write DIR [ROWS]    system.r1cs and witness.wtns, for snarkjs
//! ceremony prove DIR [ROWS]    reads final.zkey, keeps it as a key file,
//!                              proves, writes proof.json, public.json and
//!                              verification_key.json
//! ceremony verify DIR [ROWS]   whether final.zkey accepts snarkjs-proof.json
//!                              for snarkjs-public.json; the exit code says
//! ceremony foreign DIR [ROWS]  that final.zkey is refused for another system
//!                              of the same size; the exit code says
//! ```

use ark_bn254::Fr;
use ark_ff::AdditiveGroup;
use ark_std::rand::rngs::OsRng;
use poai_core::inference::Visibility;
use poai_core::program::{Builder, Clamp, Dim, Dtype, Form, Op, RunShape};
use poai_core::{Control, ProgramId};
use poai_engine::execute::network::Constants;
use poai_engine::execute::{Network, Tensor};
use poai_prover::internal::json::{
    proof_from_json, proof_to_json, signals_from_json, signals_to_json, verifying_key_to_json,
};
use poai_prover::internal::r1cs::write_r1cs;
use poai_prover::internal::wtns::write_wtns;
use poai_prover::internal::zkey::{Zkey, read_zkey};
use poai_prover::internal::{Witness, read_proving_key, synthesise, write_proving_key};
use poai_prover::keys::{KeyIdentity, KeyOrigin, KeyOwner, KeyPurpose, ZkeyError};
use poai_prover::{Circuit, Hashed, Public, Salt, Salts};
use poai_testing::chain::{Chain, chain, verify};
use std::error::Error;
use std::fs::{File, read_to_string, write};
use std::io::{BufReader, BufWriter, Write};
use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let done = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [what, directory] => network().and_then(|system| run(what, Path::new(directory), &system)),
        [what, directory, rows] => match rows.parse() {
            Ok(rows) if rows >= 2 => run(what, Path::new(directory), &chain(rows, 7, 1234)),
            _ => Err("ROWS is a number, at least 2".into()),
        },
        _ => Err("usage: ceremony write|prove|verify|foreign DIR [ROWS]".into()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// A small network's circuit, and a run of it. The salts are fixed, so that
/// every call has the same assignment; a real prover draws them.
fn network() -> Result<Chain, Box<dyn Error>> {
    let form = Form::new(Dim::fixed(1), Dim::fixed(12), Dtype::I8);
    let (mut builder, mut held) = (Builder::new(&[form]), Constants::default());
    let mut x = builder.input(0);
    for (layer, [k, n], min) in [("hidden", [12usize, 8usize], 0), ("output", [8, 4], -64)] {
        let weights: Vec<i32> = (0..n * k).map(|i| (i * 37 % 127) as i32 - 63).collect();
        let channels: Vec<i32> =
            (0..n as i32).flat_map(|i| [9 * i - 20, 4000 + 7 * i, 0]).collect();
        let weights = held.add(&mut builder, layer, (n, k), Dtype::I8, &weights)?;
        let requantise = held.add(&mut builder, layer, (n, 3), Dtype::I32, &channels)?;
        let clamp = Clamp { dtype: Dtype::I8, min, max: 63 };
        let op = Op::Linear { weights, requantise, shifts: [19, 0, 0], clamp };
        x = builder.step(layer, op, &[x])?;
    }
    let network = Network::new(builder.finish()?, held.into_tensors())?;
    let circuit = Circuit::new(&network).input(Hashed).output(Public).build()?;
    let entries: Vec<i32> = (0..12).map(|i| i * 11 % 127 - 63).collect();
    let witness = Witness {
        input: Tensor::new(1, 12, Dtype::I8, &entries)?,
        binding: Fr::from(2026u64),
        salts: Salts { input: Salt([1; 31]), weights: Salt([2; 31]), output: Salt([3; 31]) },
    };
    let (matrices, assignment) = synthesise(&circuit, Some(&witness))?.system.into_parts();
    Ok(Chain { matrices, assignment })
}

fn run(what: &str, directory: &Path, chain: &Chain) -> Result<(), Box<dyn Error>> {
    match what {
        "write" => export(directory, chain),
        "prove" => prove(directory, chain),
        "verify" => check(directory, chain),
        "foreign" => foreign(directory, chain),
        _ => Err(format!("unknown: {what}").into()),
    }
}

fn export(directory: &Path, chain: &Chain) -> Result<(), Box<dyn Error>> {
    let mut file = BufWriter::new(File::create(directory.join("system.r1cs"))?);
    write_r1cs(&chain.matrices, &mut file)?;
    file.flush()?;
    let mut file = BufWriter::new(File::create(directory.join("witness.wtns"))?);
    write_wtns(&chain.assignment, &mut file)?;
    file.flush()?;
    println!("{} constraints, digest {}", chain.matrices.rows(), chain.matrices.digest());
    Ok(())
}

fn zkey(directory: &Path, chain: &Chain) -> Result<Zkey, Box<dyn Error>> {
    let file = BufReader::new(File::open(directory.join("final.zkey"))?);
    Ok(read_zkey(file, &chain.matrices)?)
}

fn prove(directory: &Path, chain: &Chain) -> Result<(), Box<dyn Error>> {
    let zkey = zkey(directory, chain)?;
    println!("read a key with {} contributions", zkey.contributions);
    // The ID of no program: the same code stores keys of systems that belong to none.
    let purpose = KeyPurpose {
        owner: KeyOwner::Program(ProgramId::default()),
        visibility: Visibility::PUBLIC,
        run: RunShape::new(1, 1),
    };
    let identity = KeyIdentity::new(purpose, &chain.matrices)?;
    let path = directory.join("proving.key");
    let origin = KeyOrigin::Ceremony { contributions: zkey.contributions };
    let digest = write_proving_key(&path, &identity, origin, &zkey.key, &Control::new())?;
    let (header, key) = read_proving_key(&path, &identity, &Control::new())?;
    if key != zkey.key || header.origin != origin {
        return Err("expected the written key in the key file, got another".into());
    }
    println!("stored a key file with verifying key {digest}");

    let proof = chain.prove(&key, &mut OsRng);
    if !verify(&key.vk, chain.signals(), &proof) {
        return Err("expected a valid proof, got an invalid one".into());
    }
    write(directory.join("proof.json"), proof_to_json(&proof))?;
    write(directory.join("public.json"), signals_to_json(chain.signals()))?;
    write(directory.join("verification_key.json"), verifying_key_to_json(&key.vk))?;
    Ok(())
}

fn check(directory: &Path, chain: &Chain) -> Result<(), Box<dyn Error>> {
    let key = zkey(directory, chain)?.key.vk;
    let proof = proof_from_json(&read_to_string(directory.join("snarkjs-proof.json"))?)?;
    let mut signals = signals_from_json(&read_to_string(directory.join("snarkjs-public.json"))?)?;
    if signals != chain.signals() || !verify(&key, &signals, &proof) {
        return Err("expected snarkjs' proof to be accepted, got a refusal".into());
    }
    if let Some(signal) = signals.first_mut() {
        signal.double_in_place();
    }
    match verify(&key, &signals, &proof) {
        true => Err("expected a refusal for another signal, got an accepted proof".into()),
        false => Ok(()),
    }
}

fn foreign(directory: &Path, chain: &Chain) -> Result<(), Box<dyn Error>> {
    let mut matrices = chain.matrices.clone();
    if let Some((by, _)) = matrices.b.first_mut().and_then(|row| row.first_mut()) {
        by.double_in_place();
    }
    let file = BufReader::new(File::open(directory.join("final.zkey"))?);
    match read_zkey(file, &matrices) {
        Err(error @ ZkeyError::Coefficient { .. }) => {
            println!("refused: {error}");
            Ok(())
        }
        Err(error) => Err(error.into()),
        Ok(_) => Err("expected a refusal for another system, got an accepted key".into()),
    }
}
