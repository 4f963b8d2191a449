//! Where things are: the repository and the folder for what the tests install.

use std::path::{Path, PathBuf};

/// The repository's root folder.
pub(crate) fn repository() -> &'static Path {
    // The manifest of this package is one level below the root, wherever the clone stands.
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or_else(|| Path::new("."))
}

/// A path inside the repository.
pub(crate) fn path(relative: &str) -> PathBuf {
    repository().join(relative)
}

/// A path inside the ignored folder that holds what `cargo xtask test` installs.
pub(crate) fn tools(relative: &str) -> PathBuf {
    path(".tools").join(relative)
}
