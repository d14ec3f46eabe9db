//! Blocks on disk, in redb: one transaction for each block, with the tip's id.
//!
//! redb commits by writing elsewhere, syncing, and switching one root. If the process dies at any
//! time, the file opens in the state of the last commit. A file that redb has only begun does not
//! open, so the first file is made under another name.

use crate::block::{Block, Id};
use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition};
use std::path::Path;
use std::{fs, io};

const BLOCKS: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("blocks");
const TIP: TableDefinition<'_, (), &[u8]> = TableDefinition::new("tip");

/// A node's database.
pub struct Store(Database);

/// Why a database cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("the database: {0}")]
    Database(#[from] redb::Error),
    #[error("the database's file: {0}")]
    File(#[from] io::Error),
    #[error("a stored block: {0}")]
    Block(#[from] postcard::Error),
    #[error("expected a stored tip of 32 bytes, got {0}")]
    Tip(usize),
    #[error("expected the block's id {id} as its key, got {key}")]
    Id { key: String, id: Id },
}

/// The content of a database.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Stored {
    /// Every block, parents before their children.
    pub blocks: Vec<Block>,
    /// The best block, as the node last saw it.
    pub tip: Option<Id>,
}

impl Store {
    /// Opens the file, or makes it.
    pub fn open(path: &Path) -> Result<Store, StoreError> {
        if !path.try_exists()? {
            create(path)?;
        }
        Ok(Store(Database::open(path).map_err(redb::Error::from)?))
    }

    /// Writes a block and the tip, both or neither.
    pub fn write(&self, id: &Id, block: &Block, tip: &Id) -> Result<(), StoreError> {
        let bytes = postcard::to_allocvec(block)?;
        let write = || -> Result<(), redb::Error> {
            let transaction = self.0.begin_write()?;
            transaction.open_table(BLOCKS)?.insert(id.0.as_slice(), bytes.as_slice())?;
            transaction.open_table(TIP)?.insert((), tip.0.as_slice())?;
            transaction.commit()?;
            Ok(())
        };
        Ok(write()?)
    }

    /// Reads everything, and compares each block's id with its key.
    pub fn read(&self) -> Result<Stored, StoreError> {
        let (pairs, tip) = self.pairs()?;
        let mut blocks = Vec::new();
        for (key, bytes) in pairs {
            let block: Block = postcard::from_bytes(&bytes)?;
            let id = block.id();
            if id.0.as_slice() != key {
                return Err(StoreError::Id { key: format!("{key:02x?}"), id });
            }
            blocks.push(block);
        }
        blocks.sort_by_key(|block| block.header.height);
        let tip = tip
            .map(|bytes| <[u8; 32]>::try_from(bytes).map_err(|bytes| StoreError::Tip(bytes.len())))
            .transpose()?;
        Ok(Stored { blocks, tip: tip.map(Id) })
    }

    #[expect(clippy::type_complexity, reason = "keys and values, and the tip")]
    fn pairs(&self) -> Result<(Vec<(Vec<u8>, Vec<u8>)>, Option<Vec<u8>>), redb::Error> {
        let transaction = self.0.begin_read()?;
        let blocks = match transaction.open_table(BLOCKS) {
            Err(redb::TableError::TableDoesNotExist(_)) => return Ok((Vec::new(), None)),
            table => table?,
        };
        let mut pairs = Vec::new();
        for pair in blocks.iter()? {
            let (key, value) = pair?;
            pairs.push((key.value().to_vec(), value.value().to_vec()));
        }
        let tip = transaction.open_table(TIP)?.get(())?.map(|tip| tip.value().to_vec());
        Ok((pairs, tip))
    }
}

/// Makes an empty database, whole or not at all.
fn create(path: &Path) -> Result<(), StoreError> {
    let new = path.with_extension("new");
    match fs::remove_file(&new) {
        // The process that began it was killed.
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error.into()),
    }
    Database::create(&new).and_then(Database::close).map_err(redb::Error::from)?;
    fs::OpenOptions::new().write(true).open(&new)?.sync_all()?;
    fs::rename(&new, path)?;
    // Sync the name as well. Only some systems have folders that can be synced.
    #[cfg(unix)]
    if let Some(folder) = path.parent().filter(|folder| *folder != Path::new("")) {
        fs::File::open(folder)?.sync_all()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::Network;

    /// The state after a process is killed while redb makes the file.
    #[test]
    fn a_database_that_was_only_begun_is_begun_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("chain.redb");
        fs::write(path.with_extension("new"), vec![0; 73_728]).unwrap();
        assert_eq!(Store::open(&path).unwrap().read().unwrap(), Stored::default());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);

        // A file in the database's place is never treated as one that was only
        // begun.
        fs::write(&path, vec![0; 73_728]).unwrap();
        assert!(matches!(Store::open(&path), Err(StoreError::Database(_))));
        assert_eq!(fs::metadata(&path).unwrap().len(), 73_728);
    }

    #[test]
    fn what_was_written_is_there_when_it_is_opened_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("chain.redb");
        assert_eq!(Store::open(&path).unwrap().read().unwrap(), Stored::default());

        let mut first = Network::new(0).unwrap().genesis();
        (first.header.height, first.proof) = (1, vec![1, 2, 3]);
        let mut second = first.clone();
        (second.header.height, second.header.parent) = (2, first.id());
        let store = Store::open(&path).unwrap();
        // Children first: a database returns blocks in any order.
        store.write(&second.id(), &second, &second.id()).unwrap();
        store.write(&first.id(), &first, &second.id()).unwrap();
        drop(store);
        let stored = Store::open(&path).unwrap().read().unwrap();
        assert_eq!(stored.tip, Some(second.id()));
        assert_eq!(stored.blocks, [first.clone(), second]);

        let store = Store::open(&path).unwrap();
        store.write(&Id([9; 32]), &first, &first.id()).unwrap();
        assert!(matches!(store.read(), Err(StoreError::Id { .. })));
    }
}
