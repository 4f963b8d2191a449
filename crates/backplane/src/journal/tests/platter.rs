//! A disk in memory, which fails when it is told to.

use std::{
    io,
    sync::{Arc, Condvar, Mutex, MutexGuard},
};

use rand::{RngExt as _, SeedableRng as _, rngs::SmallRng};

use super::super::disk::{Disk, NotReplaced};

/// A file on it. A clone is the same one.
#[derive(Clone, Default)]
pub(super) struct Platter(Arc<Inner>);

#[derive(Default)]
struct Inner {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// What reads see.
    written: Vec<u8>,
    /// What outlasts a loss of power.
    safe: Vec<u8>,
    /// Bytes that can be added.
    room: Option<usize>,
    write_max: Option<usize>,
    fails_syncs: bool,
    fails_cuts: bool,
    fails_replacing: bool,
    syncs_left: Option<usize>,
    /// While a test holds it, no sync returns.
    is_held: bool,
    /// Whether one waits there.
    waits: bool,
    syncs: usize,
    replaced: usize,
}

impl Platter {
    pub(super) fn with(bytes: Vec<u8>) -> Self {
        let platter = Self::default();
        platter.state().safe.clone_from(&bytes);
        platter.state().written = bytes;
        platter
    }

    pub(super) fn safe(&self) -> Vec<u8> {
        self.state().safe.clone()
    }

    pub(super) fn with_room(&self, room: usize) {
        self.state().room = Some(room);
    }

    pub(super) fn write_at_most(&self, count: usize) {
        self.state().write_max = Some(count);
    }

    pub(super) fn fail_syncs(&self, fail: bool) {
        self.state().fails_syncs = fail;
    }

    pub(super) fn fail_cuts(&self, fail: bool) {
        self.state().fails_cuts = fail;
    }

    /// A new file takes the old one's place, and then the disk breaks.
    pub(super) fn fail_replacing(&self, fail: bool) {
        self.state().fails_replacing = fail;
    }

    /// After so many, syncs fail.
    pub(super) fn syncs_left(&self, count: usize) {
        self.state().syncs_left = Some(count);
    }

    pub(super) fn syncs(&self) -> usize {
        self.state().syncs
    }

    pub(super) fn replaced(&self) -> usize {
        self.state().replaced
    }

    /// Lets no sync return from here on, until it is told to.
    pub(super) fn hold_syncs(&self, hold: bool) {
        self.state().is_held = hold;
        self.0.changed.notify_all();
    }

    /// Whether a sync is held.
    pub(super) fn is_syncing(&self) -> bool {
        self.state().waits
    }

    /// What was not synced is partly there: any part of it, and zeros in between.
    pub(super) fn lose_power(&self, seed: u64) {
        let mut state = self.state();
        let mut random = SmallRng::seed_from_u64(seed);
        let length = match state.written.len() > state.safe.len() {
            true => random.random_range(state.safe.len()..=state.written.len()),
            false => state.safe.len(),
        };
        let mut left = state.safe.clone();
        left.resize(length, 0);
        for start in (state.safe.len()..length).step_by(SECTOR) {
            let end = (start + SECTOR).min(length);
            if random.random() {
                left[start..end].copy_from_slice(&state.written[start..end]);
            }
        }
        state.safe.clone_from(&left);
        state.written = left;
        state.syncs_left = None;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap()
    }
}

impl State {
    fn take_room(&mut self, wanted: usize) -> io::Result<usize> {
        let taken = wanted.min(self.room.unwrap_or(usize::MAX));
        if taken == 0 && wanted > 0 {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.room = self.room.map(|room| room - taken);
        Ok(taken)
    }
}

impl Disk for Platter {
    fn length(&self) -> io::Result<u64> {
        Ok(self.state().written.len() as u64)
    }

    fn read(&self, at: u64, into: &mut [u8]) -> io::Result<usize> {
        let state = self.state();
        let left = state.written.get(at as usize..).unwrap_or_default();
        let count = left.len().min(into.len());
        into[..count].copy_from_slice(&left[..count]);
        Ok(count)
    }

    fn write(&mut self, at: u64, bytes: &[u8]) -> io::Result<usize> {
        let mut state = self.state();
        assert_eq!(at as usize, state.written.len(), "only the end is written to");
        let wanted = bytes.len().min(state.write_max.unwrap_or(usize::MAX));
        let count = state.take_room(wanted)?;
        state.written.extend_from_slice(&bytes[..count]);
        Ok(count)
    }

    fn sync(&mut self) -> io::Result<()> {
        let mut state = self.state();
        state.syncs += 1;
        while state.is_held {
            state.waits = true;
            state = self.0.changed.wait(state).unwrap();
        }
        state.waits = false;
        if state.fails_syncs || state.syncs_left == Some(0) {
            return Err(io::Error::other("the disk is broken"));
        }
        state.syncs_left = state.syncs_left.map(|left| left - 1);
        let written = state.written.clone();
        state.safe = written;
        Ok(())
    }

    fn sync_folder(&mut self) -> io::Result<()> {
        self.sync()
    }

    fn cut(&mut self, length: u64) -> io::Result<()> {
        let mut state = self.state();
        if state.fails_cuts {
            return Err(io::Error::other("the disk is broken"));
        }
        let gone = state.written.len() - length as usize;
        state.room = state.room.map(|room| room.saturating_add(gone));
        state.written.truncate(length as usize);
        Ok(())
    }

    fn replace(&mut self, pieces: &mut dyn Iterator<Item = Vec<u8>>) -> Result<(), NotReplaced> {
        let mut new = Vec::new();
        for piece in pieces {
            let taken = self.state().take_room(piece.len()).map_err(NotReplaced::Kept)?;
            if taken < piece.len() {
                return Err(NotReplaced::Kept(io::ErrorKind::StorageFull.into()));
            }
            new.extend(piece);
        }
        let mut state = self.state();
        state.written.clone_from(&new);
        state.safe = new;
        state.replaced += 1;
        if state.fails_replacing {
            return Err(NotReplaced::Unknown(io::Error::other("the disk is broken")));
        }
        Ok(())
    }
}

/// Bytes that a disk writes or does not write.
const SECTOR: usize = 16;
