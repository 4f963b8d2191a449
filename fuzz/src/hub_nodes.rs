//! What a hub's nodes say to one another, ask, answer, and leave behind.

use everwire_hub::fuzzing;

/// Nothing of another node does harm, and what is read reads the same when it is written again. The
/// first byte says what it is.
pub fn hub_nodes(input: &[u8]) {
    let Some((kind, bytes)) = input.split_first() else { return };
    match kind % 4 {
        0 => fuzzing::heard(bytes),
        1 => fuzzing::asked(bytes),
        2 => fuzzing::answered(bytes),
        _ => fuzzing::inherited(bytes),
    }
}
