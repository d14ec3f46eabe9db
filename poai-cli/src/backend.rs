//! `--backend` and `--threads`, with which every subcommand chooses its
//! backend.

use crate::failure::Failure;
use poai::Cpu;
use poai::backend::REFERENCE;
use poai::choose::{self, AUTO};
use poai::execute::Device;
use std::sync::Arc;

/// The choice of a backend.
#[derive(clap::Args, Clone, Debug)]
pub struct BackendArgs {
    /// Which backend multiplies, by default the fastest of the processor; `list` prints them, and
    /// `auto` is the fastest of the machine. GPUs are `cuda`, `cuda:1`, `cuda:0,2` (together) or
    /// `cuda:all`, with feature cuda.
    #[arg(long, value_name = "NAME")]
    backend: Option<String>,
    /// The number of processor threads; by default one per core.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,
}

impl BackendArgs {
    /// The list, if the caller asks for it instead of work.
    pub fn list(&self) -> Option<String> {
        (self.backend.as_deref() == Some("list")).then(table)
    }

    /// The name of the backend that the caller asks for, or else of every backend that is present.
    /// The reference runs only if the caller names it, because it exists to be read.
    pub fn names(&self) -> Vec<String> {
        if let Some(name) = &self.backend {
            return vec![name.clone()];
        }
        let present = choose::list().into_iter().filter(|listed| listed.present);
        present.map(|listed| listed.name).filter(|name| name != REFERENCE).collect()
    }

    /// The options that the caller gave, for another process of this program.
    pub fn options(&self) -> Vec<(&'static str, String)> {
        let threads = self.threads.map(|threads| ("threads", threads.to_string()));
        self.backend.clone().map(|name| ("backend", name)).into_iter().chain(threads).collect()
    }

    /// The backend that the caller asks for, never another one.
    pub fn device(&self) -> Result<Arc<dyn Device>, Failure> {
        self.named(self.backend.as_deref())
    }

    /// The backend of a name, with the number of threads that the caller asks
    /// for.
    pub fn named(&self, name: Option<&str>) -> Result<Arc<dyn Device>, Failure> {
        let Some(threads) = self.threads else {
            return match name {
                Some(name) => Ok(poai::backend(name)?),
                None => Ok(Arc::new(Cpu::new())),
            };
        };
        let cpu = match name {
            Some(REFERENCE) => {
                return Err(Failure::usage(
                    "expected no --threads for the reference, got a number; omit it",
                ));
            }
            // Threads are the processor's, so no GPU is taken.
            Some(AUTO) | None => Cpu::new(),
            Some(name) => Cpu::named(name)?,
        };
        Ok(Arc::new(cpu.threads(threads.into())?))
    }
}

/// Every backend that this build knows, one a line.
pub fn table() -> String {
    choose::list().iter().map(|listed| format!("{listed}\n")).collect()
}
