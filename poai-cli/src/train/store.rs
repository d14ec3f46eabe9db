//! The folder of a run: its lock, its checkpoint, and the claims so far.

use super::evidence;
use super::setup::Setup;
use crate::failure::Failure;
use crate::files::{Destination, check_folder, regular_len};
use poai::import::store::{CONSTANTS_FILE, PROGRAM_FILE, QUANTISED_FILE};
use poai::train::run::RunLock;
use poai::train::{ClaimsFile, Committer, TrainError, TrainingRun};
use std::path::{Path, PathBuf};

/// The report's name. It is written last, so it says that a run is done.
pub const REPORT: &str = "report.json";
/// The plot's name.
pub const PLOT: &str = "plot.svg";
/// The name of the frozen network's folder.
pub const NETWORK: &str = "network";
/// The files and folders of a run that began, but for its claims.
const FILES: [&str; 5] = ["checkpoint", PLOT, REPORT, NETWORK, evidence::FOLDER];

/// Where a run is stored. No other process writes there as long as this value lives.
pub struct Store {
    folder: PathBuf,
    /// The claims, if the run makes some.
    claims: Option<ClaimsFile>,
    _lock: RunLock,
}

impl Store {
    /// The folder of a new run. It may exist, but without a run.
    pub fn create(folder: &Path, commits: bool) -> Result<Store, Failure> {
        // A folder that another process writes is called that, whatever is in it.
        let lock = RunLock::existing(folder).map_err(TrainError::from)?;
        refuse_run(folder)?;
        check_folder(folder)?;
        let lock = match lock {
            Some(lock) => lock,
            None => {
                let lock = RunLock::acquire(folder).map_err(TrainError::from)?;
                // Another process may have begun and ended since the first look.
                refuse_run(folder)?;
                lock
            }
        };
        let claims = commits.then(|| ClaimsFile::create(folder)).transpose()?;
        Ok(Store { folder: folder.to_owned(), claims, _lock: lock })
    }

    /// The folder of an earlier run, which `run` continues; and a committer after the
    /// claims so far, if the run makes some. Nothing in the folder changes yet.
    pub fn resume(
        folder: &Path,
        setup: &Setup,
        run: &mut TrainingRun,
        commits: bool,
    ) -> Result<(Store, Option<Committer>), Failure> {
        check_files(folder)?;
        let lock = match RunLock::existing(folder).map_err(TrainError::from)? {
            Some(lock) => lock,
            None => {
                // A copy without a lock gets one, unless it cannot go on: then it stays as
                // it is.
                read(folder, setup, run, commits)?;
                RunLock::acquire(folder).map_err(TrainError::from)?
            }
        };
        let (claims, committer) = read(folder, setup, run, commits)?.unzip();
        Ok((Store { folder: folder.to_owned(), claims, _lock: lock }, committer))
    }

    /// Whether a run has its report, the last of its files.
    pub fn is_finished(&self) -> bool {
        self.folder.join(REPORT).is_file()
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Writes the claims since the last call, and then a checkpoint. A claim is on
    /// the disk before the state that it leads to.
    pub fn save(
        &mut self,
        run: &TrainingRun,
        committer: Option<&Committer>,
    ) -> Result<(), Failure> {
        if let (Some(file), Some(committer)) = (&mut self.claims, committer) {
            let new = committer.claims().get(file.count()..).unwrap_or_default();
            file.append(new)?;
        }
        Ok(run.save(&self.folder).map_err(TrainError::from)?)
    }

    /// Writes a file of the results, whole or not at all.
    pub fn write(&self, name: &str, text: &str) -> Result<(), Failure> {
        Destination::new(&self.folder.join(name))?.write(text.as_bytes())
    }
}

/// Refuses a folder in which a run began. A process that died before its first
/// checkpoint leaves claims of no iteration, which are no run.
fn refuse_run(folder: &Path) -> Result<(), Failure> {
    let found = FILES.iter().copied().find(|name| folder.join(name).symlink_metadata().is_ok());
    // In the place of a folder there may be a file, which `check_folder` refuses.
    let claims = folder.is_dir() && ClaimsFile::has_claims(folder)?;
    match found.or(claims.then_some("claims")) {
        Some(name) => Err(Failure::usage(format!(
            "--out: expected a folder without a run, got {} with {name}; go on with --resume, or \
             name another",
            folder.display()
        ))),
        None => Ok(()),
    }
}

/// Refuses a folder of a run in which something other than a regular file has the name of
/// one of its files: whatever opens a pipe waits for its other end.
pub fn check_files(folder: &Path) -> Result<(), Failure> {
    let own = ["lock", "checkpoint", "claims", PLOT, REPORT].map(|name| folder.join(name));
    let network = [PROGRAM_FILE, CONSTANTS_FILE, QUANTISED_FILE];
    let network = network.map(|name| folder.join(NETWORK).join(name));
    let evidence = evidence::FILES.map(|name| folder.join(evidence::FOLDER).join(name));
    let all = own.into_iter().chain(network).chain(evidence);
    // What reads a missing file says so.
    all.filter(|path| path.exists()).try_for_each(|path| regular_len(&path).map(drop))
}

/// Goes on from a folder's checkpoint and claims, and changes nothing in it.
fn read(
    folder: &Path,
    setup: &Setup,
    run: &mut TrainingRun,
    commits: bool,
) -> Result<Option<(ClaimsFile, Committer)>, Failure> {
    run.resume(folder).map_err(TrainError::from)?;
    if !commits {
        return Ok(None);
    }
    let (file, claims) = ClaimsFile::open(folder, run.done())?;
    Ok(Some((file, Committer::resumed(run, setup.job.clone(), &claims)?)))
}
