//! The folder of a run: its checkpoint, and the claims so far.

use super::setup::Setup;
use crate::failure::Failure;
use crate::files::{Destination, check_folder};
use poai::train::{ClaimsFile, Committer, TrainError, TrainingRun};
use std::path::{Path, PathBuf};

/// The files and folders of a run.
const FILES: [&str; 5] = ["checkpoint", "claims", "plot.svg", "report.json", "network"];

/// Where a run is stored.
pub struct Store {
    folder: PathBuf,
    /// The claims, if the run makes some.
    claims: Option<ClaimsFile>,
}

impl Store {
    /// The folder of a new run. It may exist, but without a run.
    pub fn create(folder: &Path, commits: bool) -> Result<Store, Failure> {
        if let Some(name) = FILES.iter().find(|name| folder.join(name).symlink_metadata().is_ok()) {
            return Err(Failure::usage(format!(
                "--out: expected a folder without a run, got {} with {name}; go on with --resume, or \
                 name another",
                folder.display()
            )));
        }
        check_folder(folder)?;
        let claims = commits.then(|| ClaimsFile::create(folder)).transpose()?;
        Ok(Store { folder: folder.to_owned(), claims })
    }

    /// The folder of an earlier run, which `run` continues; and a committer after the
    /// claims so far, if the run makes some. Nothing in the folder changes yet.
    pub fn resume(
        folder: &Path,
        setup: &Setup,
        run: &mut TrainingRun,
        commits: bool,
    ) -> Result<(Store, Option<Committer>), Failure> {
        run.resume(folder).map_err(TrainError::from)?;
        let folder = folder.to_owned();
        if !commits {
            return Ok((Store { folder, claims: None }, None));
        }
        let (file, claims) = ClaimsFile::open(&folder, run.done())
            .map_err(|error| Failure::usage(format!("{error}, or with --untraced")))?;
        let committer = Committer::resumed(run, setup.job.clone(), &claims)?;
        Ok((Store { folder, claims: Some(file) }, Some(committer)))
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
