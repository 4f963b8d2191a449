//! What an application keeps for a connection.

use std::{
    fmt,
    sync::{Mutex, MutexGuard, PoisonError},
};

use http::Extensions;

/// One value for each type, kept for a connection from one call to the next. An application's types
/// are what limits it; what a client sends chooses none of them.
///
/// They stay on this node: when the session [moves to another](crate::Hub::drain) it has no items there, and
/// the application is not told. Keep here what can be found again.
#[derive(Default)]
pub struct Items(Mutex<Extensions>);

impl Items {
    /// Keeps a value; the one of the same type that was there is given back.
    pub fn insert<T: Clone + Send + Sync + 'static>(&self, item: T) -> Option<T> {
        self.lock().insert(item)
    }

    /// The value of this type.
    pub fn find<T: Clone + Send + Sync + 'static>(&self) -> Option<T> {
        self.lock().get().cloned()
    }

    /// The value of this type, which is no longer kept.
    pub fn remove<T: Clone + Send + Sync + 'static>(&self) -> Option<T> {
        self.lock().remove()
    }

    /// Changes the value of this type, which begins as its default. Calls that run beside this one
    /// wait for `change`, which must not look at these items.
    pub fn update<T, R>(&self, change: impl FnOnce(&mut T) -> R) -> R
    where
        T: Clone + Default + Send + Sync + 'static,
    {
        change(self.lock().get_or_insert_default())
    }

    /// A value is whole even if a `change` of another has panicked.
    fn lock(&self) -> MutexGuard<'_, Extensions> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Items {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Items").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Clone, Default, PartialEq)]
    struct Room(String);

    #[test]
    fn a_value_of_each_type_is_kept() {
        let items = Items::default();
        assert_eq!(items.insert(Room("red".into())), None);
        assert_eq!(items.insert(7_u32), None);
        assert_eq!(items.insert(Room("blue".into())), Some(Room("red".into())));
        items.update(|room: &mut Room| room.0.push('!'));
        assert_eq!(items.find(), Some(Room("blue!".into())));
        assert_eq!(items.remove::<u32>(), Some(7));
        assert_eq!(items.find::<u32>(), None);
    }
}
