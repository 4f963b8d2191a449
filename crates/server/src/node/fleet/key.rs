//! What secret values are sealed with: the cluster's secrets or, for a node by itself, a key of its own in a
//! file beside the journal.

use std::{
    fs::OpenOptions,
    io::{self, ErrorKind, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use everwire_fleet::seal::Sealer;

use super::FleetError;
use crate::config::{Cluster, Memory};

/// What seals and opens secrets. Without a cluster, a fleet in a Redis has nothing that all nodes share, and
/// refuses secret values.
pub(super) fn sealer(memory: &Memory, cluster: Option<&Cluster>) -> Result<Sealer, FleetError> {
    let mut secrets = cluster.map(|cluster| cluster.secrets.clone()).unwrap_or_default();
    match memory {
        // What was sealed before there was a cluster is still to be opened.
        Memory::Journal(journal) => secrets.extend(key_beside(journal, secrets.is_empty())?),
        Memory::Process if secrets.is_empty() => secrets.push(random()),
        Memory::Process | Memory::Redis | Memory::VolatileRedis => {}
    }
    Sealer::new(secrets).map_err(|error| FleetError::Secrets(error.to_string()))
}

/// The key beside a journal, made if it is wanted and not there.
fn key_beside(journal: &Path, is_wanted: bool) -> Result<Option<String>, FleetError> {
    let path = key_path(journal);
    let found = match std::fs::read_to_string(&path) {
        Ok(text) => Ok(Some(text.trim().to_owned())),
        Err(error) if error.kind() == ErrorKind::NotFound && is_wanted => create(&path).map(Some),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    };
    found.map_err(|error| FleetError::Key { path, error })
}

/// A new key in a file that only its owner may read. It is on the disk before anything is sealed with it.
fn create(path: &Path) -> io::Result<String> {
    let key = random();
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(format!("{key}\n").as_bytes())?;
    file.sync_all()?;
    if let Some(folder) = path.parent() {
        let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
        std::fs::File::open(folder)?.sync_all()?;
    }
    tracing::info!(key = %path.display(), "a key for secret values is made; keep it with the journal");
    Ok(key)
}

fn key_path(journal: &Path) -> PathBuf {
    let mut name = journal.as_os_str().to_owned();
    name.push(".key");
    name.into()
}

/// 256 random bits.
fn random() -> String {
    format!("{:032x}{:032x}", rand::random::<u128>(), rand::random::<u128>())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use everwire_fleet::set::Value;

    use super::*;

    fn folder(name: &str) -> PathBuf {
        let folder =
            std::env::temp_dir().join(format!("everwire-key-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        folder
    }

    #[test]
    fn a_node_alone_has_a_key_that_is_there_again_and_nobody_elses() {
        let folder = folder("alone");
        let memory = Memory::Journal(folder.join("j"));
        let (set, key, value) =
            ("s".parse().unwrap(), "K".parse().unwrap(), Value::new("v").unwrap());
        let sealed = sealer(&memory, None).unwrap().seal(&set, &key, &value).unwrap();
        let again = sealer(&memory, None).unwrap();
        assert_eq!(again.open(&set, &key, &sealed), Ok(value));
        let mode = std::fs::metadata(folder.join("j.key")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let other = Memory::Journal(folder.join("other"));
        assert!(sealer(&other, None).unwrap().open(&set, &key, &sealed).is_err());
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn a_cluster_needs_no_key_file_and_a_redis_without_one_seals_nothing() {
        let folder = folder("cluster");
        let cluster = Cluster {
            listen: "127.0.0.1:1".parse().unwrap(),
            advertise: None,
            secrets: vec!["a secret of these nodes".to_owned()],
        };
        sealer(&Memory::Journal(folder.join("j")), Some(&cluster)).unwrap();
        assert!(!folder.join("j.key").exists());
        let (set, key, value) =
            ("s".parse().unwrap(), "K".parse().unwrap(), Value::new("v").unwrap());
        assert!(sealer(&Memory::Redis, None).unwrap().seal(&set, &key, &value).is_err());
        assert!(sealer(&Memory::Redis, Some(&cluster)).unwrap().seal(&set, &key, &value).is_ok());
        std::fs::remove_dir_all(folder).unwrap();
    }
}
