//! The file of commands: appended to, fsynced, rewritten when most of it is of no use.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Seek, SeekFrom, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use super::{StoreError, write_whole};
use crate::record::{Note, RECORDS_MAX, Records};

/// An open file of commands.
#[derive(Debug)]
pub(crate) struct CommandFile {
    path: PathBuf,
    file: File,
    lines: usize,
}

impl CommandFile {
    pub(super) fn open(directory: &Path) -> Result<(Records, Self), StoreError> {
        let path = directory.join(COMMANDS);
        let failed = |source| StoreError::Io { path: path.clone(), source };
        let text = match fs::read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            read => read.map_err(failed)?,
        };
        let (notes, whole) = read_notes(&text);
        if whole < text.len() {
            tracing::warn!(file = %path.display(), bytes = text.len() - whole, "cut what is torn");
        }
        let file = open(&path).map_err(failed)?;
        file.set_len(whole as u64).map_err(failed)?;
        let lines = notes.len();
        Ok((Records::read(notes), Self { path, file, lines }))
    }

    /// Writes a note down; it is on the disk when this returns. `all` gives everything that is worth
    /// keeping, this note included.
    pub(crate) fn note(
        &mut self,
        note: &Note,
        all: impl FnOnce() -> Vec<Note>,
    ) -> Result<(), StoreError> {
        let is_long = self.lines >= LINES_MAX;
        let written = if is_long { self.rewrite(&all()) } else { self.append(note) };
        written.map_err(|source| StoreError::Io { path: self.path.clone(), source })
    }

    fn append(&mut self, note: &Note) -> io::Result<()> {
        let mut line = serde_json::to_vec(note)?;
        line.push(b'\n');
        let end = self.file.seek(SeekFrom::End(0))?;
        let written = self.file.write_all(&line).and_then(|()| self.file.sync_data());
        if written.is_err() {
            // Half a line would spoil the next one; if even this fails, it is cut when read.
            let _ = self.file.set_len(end);
        }
        self.lines += 1;
        written
    }

    fn rewrite(&mut self, notes: &[Note]) -> io::Result<()> {
        let mut text = Vec::new();
        for note in notes {
            serde_json::to_writer(&mut text, note)?;
            text.push(b'\n');
        }
        write_whole(&self.path, &text)?;
        self.file = open(&self.path)?;
        self.lines = notes.len();
        Ok(())
    }
}

/// The notes at the beginning, and how many bytes they are.
fn read_notes(text: &[u8]) -> (Vec<Note>, usize) {
    let mut notes = Vec::new();
    let mut whole = 0;
    for line in text.split_inclusive(|&byte| byte == b'\n') {
        let note = line.strip_suffix(b"\n").map(serde_json::from_slice);
        let Some(Ok(note)) = note else { break };
        notes.push(note);
        whole += line.len();
    }
    (notes, whole)
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(path)
}

const COMMANDS: &str = "commands";
/// A file of more lines is rewritten: as many as three for each command, and as many again.
const LINES_MAX: usize = 6 * RECORDS_MAX;

#[cfg(test)]
mod tests {
    use everwire_testkit::everwire::Folder;

    use super::*;
    use crate::{record::Verdict, wire::Outcome};

    fn note(file: &mut CommandFile, records: &mut Records, note: &Note) {
        records.handle_note(note);
        file.note(note, || records.notes()).unwrap();
    }

    #[test]
    fn what_was_noted_is_read_and_a_torn_line_is_cut() {
        let folder = Folder::new();
        let (mut records, mut file) = CommandFile::open(&folder.0).unwrap();
        note(&mut file, &mut records, &Note::Started("1".into()));
        note(&mut file, &mut records, &Note::Done("1".into(), Outcome::done()));
        let path = folder.0.join(COMMANDS);
        let mut torn = fs::read(&path).unwrap();
        torn.extend_from_slice(b"{\"started\":\"2");
        fs::write(&path, &torn).unwrap();
        let (mut records, mut file) = CommandFile::open(&folder.0).unwrap();
        assert_eq!(records.handle_command("2"), Verdict::Act);
        note(&mut file, &mut records, &Note::Started("3".into()));
        let (mut records, _) = CommandFile::open(&folder.0).unwrap();
        assert_eq!(records.handle_command("1"), Verdict::Answer(Outcome::done()));
        assert!(matches!(records.handle_command("3"), Verdict::Answer(_)), "interrupted");
    }

    #[test]
    fn the_file_does_not_grow_for_ever_and_forgets_nothing_that_counts() {
        let folder = Folder::new();
        let (mut records, mut file) = CommandFile::open(&folder.0).unwrap();
        for number in 0..2500 {
            let id = number.to_string();
            for told in
                [Note::Started(id.clone()), Note::Done(id.clone(), Outcome::done()), Note::Told(id)]
            {
                // Not on the disk each time: that is what takes time, and another test's matter.
                records.handle_note(&told);
                file.lines += 1;
            }
        }
        note(&mut file, &mut records, &Note::Started("last".into()));
        assert!(file.lines < LINES_MAX, "{}", file.lines);
        let (mut again, file) = CommandFile::open(&folder.0).unwrap();
        assert!(file.lines <= 2 * RECORDS_MAX, "{}", file.lines);
        assert_eq!(again.handle_command("2499"), Verdict::Answer(Outcome::done()));
        assert!(matches!(again.handle_command("last"), Verdict::Answer(_)));
    }
}
