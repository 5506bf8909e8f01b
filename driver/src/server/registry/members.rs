//! The subscribers of one topic.

use std::collections::HashMap;
use std::sync::Arc;

use crate::server::registry::entry::Entry;
use crate::server::registry::info::ConnectionId;

/// The number of members up to which a search looks at each of them.
const FEW: usize = 16;

/// A set of connections, which a publisher can iterate over without a lock.
///
/// A publisher holds the list itself. If the set changes meanwhile, it continues with a copy: one
/// copy for each publish at most, however many changes follow.
#[derive(Debug, Default)]
pub(crate) struct Members {
    list: Arc<Vec<Arc<Entry>>>,
    /// The place of each member in the list, if they are many.
    #[expect(clippy::box_collection, reason = "most topics have few members")]
    places: Option<Box<HashMap<ConnectionId, usize>>>,
}

impl Members {
    pub(crate) fn len(&self) -> usize {
        self.list.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Returns the members, for a caller that iterates over them without a lock.
    pub(crate) fn snapshot(&self) -> Arc<Vec<Arc<Entry>>> {
        self.list.clone()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Arc<Entry>> {
        self.list.iter()
    }

    pub(crate) fn contains(&self, entry: &Arc<Entry>) -> bool {
        self.place(entry).is_some()
    }

    /// Adds a connection, which is not a member yet.
    pub(crate) fn add(&mut self, entry: &Arc<Entry>) {
        let list = Arc::make_mut(&mut self.list);
        if let Some(places) = &mut self.places {
            places.insert(entry.id(), list.len());
        }
        list.push(entry.clone());
        if self.places.is_none() && list.len() > FEW {
            let places = list.iter().enumerate().map(|(place, member)| (member.id(), place));
            self.places = Some(Box::new(places.collect()));
        }
    }

    /// Removes a connection. Returns false if it is not a member.
    pub(crate) fn remove(&mut self, entry: &Arc<Entry>) -> bool {
        let Some(place) = self.place(entry) else { return false };
        let list = Arc::make_mut(&mut self.list);
        // The caller has the entry too, so this drops none.
        list.swap_remove(place);
        if let Some(places) = &mut self.places {
            places.remove(&entry.id());
            if let Some(moved) = list.get(place) {
                places.insert(moved.id(), place);
            }
            if list.len() <= FEW / 2 {
                self.places = None;
            }
        }
        if list.len() < list.capacity() / 4 {
            list.shrink_to(list.len() * 2);
        }
        true
    }

    fn place(&self, entry: &Arc<Entry>) -> Option<usize> {
        match &self.places {
            Some(places) => places.get(&entry.id()).copied(),
            None => self.list.iter().position(|member| Arc::ptr_eq(member, entry)),
        }
    }
}
