//! The messages that a traced run makes for verifiers.

use crate::failure::Failure;
use crate::fault::{self, Faulty};
use poai::execute::Trace;
use poai::program::ValueId;
use poai::trace::{Answer, Audit, Demand, FraudProof, Receipt};
use poai::verify::trace::Checker;
use poai::{Beacon, Job, Prover};

/// The job and prover of a receipt, the beacon of an audit, and a demand.
pub struct Named {
    /// The requester's name for the job.
    pub job: Job,
    /// The prover's name.
    pub prover: Prover,
    /// The beacon; by default the trace root.
    pub beacon: Option<Beacon>,
    /// The demanded value and tile.
    pub demand: Option<(u32, u64)>,
}

/// A trace and its messages.
pub struct Traced {
    /// The trace: the run's own, or the one with the fault.
    pub trace: Trace,
    /// The fault as text, and its fraud proof.
    pub fault: Option<(String, FraudProof)>,
    /// The beacon that drew the audit's tiles.
    pub beacon: Beacon,
    /// The number of tiles that the audit opens.
    pub tiles: usize,
    /// The audit.
    pub audit: Audit,
    /// Whether the audit holds. It does not if the fault is in one of its
    /// tiles.
    pub audit_holds: bool,
    /// The receipt.
    pub receipt: Receipt,
    /// A demand, and the answer to it.
    pub demand: Option<(Demand, Answer)>,
}

impl Traced {
    /// Makes the messages, and checks those of an honest trace.
    pub fn new(trace: Trace, named: &Named, fault: bool) -> Result<Traced, Failure> {
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
        let beacon = named.beacon.unwrap_or(Beacon(trace.root().0));
        let receipt = trace.receipt(named.job, named.prover);
        let demand = named.demand.map(|(value, tile)| {
            let demand = Demand { receipt: receipt.digest(), value: ValueId(value), tile };
            trace.answer(&receipt, &demand).map(|answer| (demand, answer))
        });
        let demand = demand.transpose().map_err(|why| {
            Failure::usage(format!("{why}; choose a value of the program and one of its tiles"))
        })?;
        let audit = trace.audit(&receipt, &beacon)?;
        let tiles = trace.audit_tiles(&receipt, &beacon).len();
        let checker = Checker::new(trace.network().program().clone(), *trace.rules());
        let checked = checker.audit(&receipt, &beacon, &audit);
        let audit_holds = checked.is_ok();
        if fault.is_none() {
            checked?;
        }
        Ok(Traced { trace, fault, beacon, tiles, audit, audit_holds, receipt, demand })
    }
}
