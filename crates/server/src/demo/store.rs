//! Where the demo's processes remember.

use std::path::{Path, PathBuf};

use anyhow::Context;

use crate::failure::Failure;

/// A directory that the demo's processes remember in, removed with the demo.
pub(super) struct Store(PathBuf);

impl Store {
    pub(super) fn create() -> Result<Self, Failure> {
        let name = format!("everwire-demo-{}-{:08x}", std::process::id(), rand::random::<u32>());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir(&path).with_context(|| format!("cannot create {}", path.display()))?;
        Ok(Self(path))
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        // What cannot be removed is left to the system's cleaning of its temporary files.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
