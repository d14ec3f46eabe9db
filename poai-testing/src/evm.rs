//! The EVM with its real precompiles, and the compiled contracts.
#![allow(dead_code, reason = "each test file uses its own part")]

use revm::context::TxEnv;
use revm::context::result::{ExecutionResult, Output};
use revm::database::{CacheDB, EmptyDB};
use revm::precompile::Precompiles;
use revm::primitives::hardfork::SpecId;
use revm::primitives::{Address, Bytes, Log, TxKind, U256};
use revm::{Context, ExecuteCommitEvm, MainBuilder, MainContext, MainnetEvm};
use sha3::{Digest, Keccak256};
use std::path::PathBuf;

pub type Word = [u8; 32];

/// The outcome of a call.
#[derive(Debug)]
pub enum Outcome {
    /// The output, the logs, and all gas that was used.
    Success { output: Vec<u8>, logs: Vec<Log>, gas: u64 },
    /// The data of a revert.
    Revert(Vec<u8>),
    /// The call ran out of gas, or stopped for a similar reason.
    Halt,
}

impl Outcome {
    /// The gas of a successful call.
    #[track_caller]
    pub fn gas(&self) -> u64 {
        match self {
            Outcome::Success { gas, .. } => *gas,
            other => panic!("expected a success, got {other:?}"),
        }
    }

    /// The output of a successful call.
    #[track_caller]
    pub fn output(&self) -> &[u8] {
        match self {
            Outcome::Success { output, .. } => output,
            other => panic!("expected a success, got {other:?}"),
        }
    }

    /// Panics unless the call reverted with exactly this custom error.
    #[track_caller]
    pub fn expect_error(&self, signature: &str, words: &[Word]) {
        let expected = encode(signature, words);
        match self {
            Outcome::Revert(data) if *data == expected => {}
            other => panic!("expected {signature} {}, got {other:x?}", hex::encode(&expected)),
        }
    }
}

pub struct Chain {
    evm: MainnetEvm<
        Context<revm::context::BlockEnv, TxEnv, revm::context::CfgEnv, CacheDB<EmptyDB>>,
    >,
}

/// Below the gas limit of one transaction (EIP-7825).
pub const GAS: u64 = 10_000_000;

impl Default for Chain {
    fn default() -> Chain {
        Chain::new()
    }
}

impl Chain {
    pub fn new() -> Chain {
        Chain::of(SpecId::default())
    }

    /// A chain that has not forked since Shanghai: contracts that self-destruct
    /// are deleted, and can be deployed again (before EIP-6780).
    pub fn shanghai() -> Chain {
        Chain::of(SpecId::SHANGHAI)
    }

    fn of(spec: SpecId) -> Chain {
        let context = Context::mainnet()
            .with_db(CacheDB::new(EmptyDB::default()))
            .modify_cfg_chained(|cfg| {
                cfg.set_spec_and_mainnet_gas_params(spec);
                cfg.disable_nonce_check = true;
            });
        Chain { evm: context.build_mainnet() }
    }

    /// Sets the time of later blocks, in seconds.
    pub fn set_time(&mut self, seconds: u64) {
        self.evm.ctx.block.timestamp = U256::from(seconds);
    }

    /// Removes one precompile: its address becomes an empty account.
    pub fn without(&mut self, precompile: u8) {
        let all = self.evm.precompiles.precompiles;
        let mut kept = Precompiles::default();
        let others = all.addresses().filter(|address| address.0[19] != precompile);
        kept.extend(others.filter_map(|address| all.get(address)).cloned());
        assert_eq!(kept.len() + 1, all.len());
        // The EVM wants a static reference; a leak is harmless in a short test.
        self.evm.precompiles.precompiles = Box::leak(Box::new(kept));
    }

    fn send(&mut self, from: [u8; 20], kind: TxKind, data: Vec<u8>, gas: u64) -> ExecutionResult {
        let transaction = TxEnv::builder()
            .caller(Address::from(from))
            .kind(kind)
            .data(Bytes::from(data))
            .gas_limit(gas)
            .build()
            .unwrap();
        self.evm.transact_commit(transaction).unwrap()
    }

    /// Deploys code and returns its address, or the outcome if it failed.
    pub fn try_deploy(&mut self, from: [u8; 20], code: Vec<u8>) -> Result<[u8; 20], Outcome> {
        match self.send(from, TxKind::Create, code, GAS) {
            ExecutionResult::Success { output: Output::Create(_, Some(address)), .. } => {
                Ok(address.into())
            }
            ExecutionResult::Revert { output, .. } => Err(Outcome::Revert(output.to_vec())),
            _ => Err(Outcome::Halt),
        }
    }

    /// Deploys code that must deploy.
    pub fn deploy(&mut self, from: [u8; 20], code: Vec<u8>) -> [u8; 20] {
        self.try_deploy(from, code).unwrap()
    }

    pub fn call(&mut self, from: [u8; 20], to: [u8; 20], data: Vec<u8>) -> Outcome {
        self.call_with_gas(from, to, data, GAS)
    }

    pub fn call_with_gas(
        &mut self,
        from: [u8; 20],
        to: [u8; 20],
        data: Vec<u8>,
        gas: u64,
    ) -> Outcome {
        match self.send(from, TxKind::Call(Address::from(to)), data, gas) {
            ExecutionResult::Success { gas, logs, output, .. } => Outcome::Success {
                output: output.into_data().to_vec(),
                logs,
                gas: gas.tx_gas_used(),
            },
            ExecutionResult::Revert { output, .. } => Outcome::Revert(output.to_vec()),
            ExecutionResult::Halt { .. } => Outcome::Halt,
        }
    }
}

/// The gas that a transaction with this calldata uses before any code runs.
pub fn intrinsic_gas(data: &[u8]) -> u64 {
    21_000 + data.iter().map(|&byte| if byte == 0 { 4 } else { 16 }).sum::<u64>()
}

/// Encodes a selector and words: calldata, or a custom error.
pub fn encode(signature: &str, words: &[Word]) -> Vec<u8> {
    let hash = Keccak256::digest(signature.as_bytes());
    [&hash[..4], words.as_flattened()].concat()
}

/// A number as a word.
pub fn number(value: u64) -> Word {
    let mut word = [0; 32];
    word[24..].copy_from_slice(&value.to_be_bytes());
    word
}

/// An address as a word.
pub fn address(value: [u8; 20]) -> Word {
    let mut word = [0; 32];
    word[12..].copy_from_slice(&value);
    word
}

/// A committed artefact: the output of `contracts/compile.js` for a source.
pub struct Artefact {
    pub source: String,
    pub bytecode: Vec<u8>,
    pub runtime: Vec<u8>,
}

impl Artefact {
    /// Reads an artefact, and panics unless it was made from the current
    /// source.
    pub fn read(name: &str) -> Artefact {
        let contracts = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../poai-verify/contracts");
        let json = std::fs::read(contracts.join(format!("artefacts/{name}.json"))).unwrap();
        let json: serde_json::Value = serde_json::from_slice(&json).unwrap();
        let text = |key: &str| json[key].as_str().unwrap();
        let source = std::fs::read_to_string(contracts.join(text("source"))).unwrap();
        let hash = hex::encode(Keccak256::digest(source.as_bytes()));
        assert_eq!(text("source_keccak256"), hash, "run node compile.js in contracts/");
        let code = |key| hex::decode(text(key)).unwrap();
        Artefact { source, bytecode: code("bytecode"), runtime: code("runtime") }
    }
}
