//! The messages that a traced run makes for verifiers.

use crate::failure::Failure;
use crate::fault::{self, Faulty};
use poai::execute::{Claim, Trace};
use poai::program::ValueId;
use poai::trace::{Demand, Receipt};
use poai::verify::trace::{Checker, TraceRules};

/// The job and prover of a receipt, the beacon of an audit, and a demand.
pub struct Named {
    /// The requester's name for the job.
    pub job: [u8; 32],
    /// The prover's name.
    pub prover: [u8; 32],
    /// The beacon; by default the trace root.
    pub beacon: Option<[u8; 32]>,
    /// The demanded value and tile.
    pub demand: Option<(u32, u64)>,
}

/// A trace and its messages.
pub struct Traced {
    /// The trace: the run's own, or the one with the fault.
    pub trace: Trace,
    /// The fault as text, and its fraud proof.
    pub fault: Option<(String, Vec<u8>)>,
    /// The beacon that drew the audit's tiles.
    pub beacon: [u8; 32],
    /// The number of tiles that the audit opens.
    pub tiles: usize,
    /// The audit.
    pub audit: Vec<u8>,
    /// Whether the audit holds. It does not if the fault is in one of its
    /// tiles.
    pub audit_holds: bool,
    /// The receipt.
    pub receipt: Receipt,
    /// A demand, and the answer to it.
    pub demand: Option<(Demand, Vec<u8>)>,
}

impl Traced {
    /// Makes the messages, and checks those of an honest trace.
    pub fn new(
        trace: Trace,
        rules: TraceRules,
        named: &Named,
        fault: bool,
    ) -> Result<Traced, Failure> {
        let (trace, fault) = match fault {
            false => (trace, None),
            true => {
                let faulty = fault::plant(&trace)?;
                let text = faulty.text();
                let Faulty { trace, value, tile, .. } = faulty;
                let proof = trace.fraud_proof(value, tile)?;
                (trace, Some((text, proof)))
            }
        };
        let root = trace.root();
        let beacon = named.beacon.unwrap_or(root.0);
        let claim = Claim { job: named.job, prover: named.prover, rules };
        let receipt = trace.receipt(&claim);
        let demand = named.demand.map(|(value, tile)| {
            let demand = Demand { receipt: receipt.digest(), value: ValueId(value), tile };
            trace.answer(&claim, &demand).map(|answer| (demand, answer))
        });
        let demand = demand.transpose().map_err(Failure::usage)?;
        let audit = trace.audit(&claim, &beacon)?;
        let tiles = trace.audit_tiles(&claim, &beacon).len();
        let checker = Checker::new(trace.network().program().clone(), rules);
        let checked = checker.audit(&receipt, &beacon, &audit);
        let audit_holds = checked.is_ok();
        if fault.is_none() {
            checked?;
        }
        Ok(Traced { trace, fault, beacon, tiles, audit, audit_holds, receipt, demand })
    }
}
