//! Numbered, bounded, acknowledged replay.
