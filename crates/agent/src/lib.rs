//! An instance of a fleet: it joins its manager, keeps up with configuration, obeys commands, and
//! says what came of them.
#![forbid(unsafe_code)]
