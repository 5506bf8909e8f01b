//! The rooms: their people, their history, and a limit on everything that comes from a client. This
//! module does not depend on sockets.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;
use std::time::SystemTime;

use serde::Serialize;

/// The lengths are in characters.
const MAX_ROOM_NAME: usize = 32;
const MAX_NAME: usize = 32;
const MAX_TEXT: usize = 1000;
/// Empty rooms count: they are kept so that people who return find the history.
const MAX_ROOMS: usize = 100;
const MAX_PEOPLE: usize = 200;
const MAX_HISTORY: usize = 100;

/// All rooms. An id stands for a connection: a `ConnectionId` in a server, a number in the tests.
#[derive(Debug)]
pub(crate) struct Rooms<Id> {
    rooms: HashMap<String, Room<Id>>,
    /// The room that each connection is in.
    room_of: HashMap<Id, String>,
    last_timestamp: u64,
}

#[derive(Debug)]
pub(crate) struct Room<Id> {
    pub(crate) people: HashMap<Id, String>,
    pub(crate) history: VecDeque<ChatMessage>,
    /// The time of the latest join or message.
    last_active: u64,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct ChatMessage {
    /// Microseconds since 1970, later than every message before it: both a time and a unique id.
    pub(crate) at: u64,
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) text: String,
}

/// The reason for a refusal, as shown to the person.
pub(crate) type Reason = &'static str;

impl<Id> Default for Rooms<Id> {
    fn default() -> Self {
        Rooms { rooms: HashMap::new(), room_of: HashMap::new(), last_timestamp: 0 }
    }
}

impl<Id: Copy + Eq + Hash + ToString> Rooms<Id> {
    /// Adds a connection to a room, which is created if necessary. The connection must have left
    /// its previous room.
    pub(crate) fn join(&mut self, id: Id, room: &str, name: &str) -> Result<&Room<Id>, Reason> {
        let room_name = clean(room, MAX_ROOM_NAME).ok_or("A room has a name of 1 to 32 characters.")?;
        let name = clean(name, MAX_NAME).ok_or("A name has 1 to 32 characters.")?;
        if !self.rooms.contains_key(&room_name) {
            self.make_space()?;
        }
        let now = self.timestamp();
        let room = self.rooms.entry(room_name.clone()).or_default();
        if room.people.len() >= MAX_PEOPLE {
            return Err("This room is full.");
        }
        room.last_active = now;
        room.people.insert(id, name);
        self.room_of.insert(id, room_name);
        Ok(room)
    }

    /// Removes a connection from its room and returns the room; `None` if the connection was in no
    /// room.
    pub(crate) fn leave(&mut self, id: Id) -> Option<&Room<Id>> {
        let room = self.rooms.get_mut(&self.room_of.remove(&id)?)?;
        room.people.remove(&id);
        Some(room)
    }

    /// Adds a message to the history of the connection's room.
    pub(crate) fn say(&mut self, id: Id, text: &str) -> Result<(&Room<Id>, &ChatMessage), Reason> {
        let text = clean_text(text).ok_or("A message has 1 to 1000 characters.")?;
        let at = self.timestamp();
        let room = self.room_of.get(&id).and_then(|room| self.rooms.get_mut(room));
        let room = room.ok_or("Join a room first.")?;
        let name = room.people[&id].clone();
        room.last_active = at;
        if room.history.len() == MAX_HISTORY {
            room.history.pop_front();
        }
        room.history.push_back(ChatMessage { at, id: id.to_string(), name, text });
        Ok((room, &room.history[room.history.len() - 1]))
    }

    pub(crate) fn len(&self) -> usize {
        self.rooms.len()
    }

    /// Removes the empty room that has been inactive for longest, if the number of rooms is at its
    /// limit.
    fn make_space(&mut self) -> Result<(), Reason> {
        if self.rooms.len() < MAX_ROOMS {
            return Ok(());
        }
        let empty = self.rooms.iter().filter(|(_, room)| room.people.is_empty());
        let oldest = empty.min_by_key(|(_, room)| room.last_active).map(|(name, _)| name.clone());
        let oldest = oldest.ok_or("There are too many rooms.")?;
        self.rooms.remove(&oldest);
        Ok(())
    }

    fn timestamp(&mut self) -> u64 {
        let now = SystemTime::UNIX_EPOCH.elapsed().map_or(0, |time| time.as_micros() as u64);
        self.last_timestamp = now.max(self.last_timestamp + 1);
        self.last_timestamp
    }
}

impl<Id> Default for Room<Id> {
    fn default() -> Self {
        Room { people: HashMap::new(), history: VecDeque::new(), last_active: 0 }
    }
}

/// Returns the text of a message ready for display; `None` if it is empty or too long.
pub(crate) fn clean_text(text: &str) -> Option<String> {
    clean(text, MAX_TEXT)
}

/// Removes control characters except line breaks, and surrounding whitespace. Returns `None` if the
/// rest is empty or longer than `max` characters.
fn clean(text: &str, max: usize) -> Option<String> {
    let text: String = text.chars().filter(|c| *c == '\n' || !c.is_control()).collect();
    let text = text.trim();
    (1..=max).contains(&text.chars().count()).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_reaches_its_room_and_the_history() {
        let mut rooms = Rooms::default();
        rooms.join(1, "garden", " Ann ").unwrap();
        rooms.join(2, "garden", "Bob").unwrap();
        rooms.join(3, "cellar", "Eve").unwrap();
        let (room, message) = rooms.say(1, " hi\n\u{7}there ").unwrap();
        assert_eq!(room.people, HashMap::from([(1, "Ann".into()), (2, "Bob".into())]));
        assert_eq!((&*message.id, &*message.name, &*message.text), ("1", "Ann", "hi\nthere"));
        let message = message.clone();
        assert_eq!(rooms.leave(1).unwrap().people, HashMap::from([(2, "Bob".into())]));
        assert_eq!(rooms.join(4, "garden", "Dan").unwrap().history, [message]);
        assert_eq!(rooms.join(5, "cellar", "Dan").unwrap().history, []);
    }

    #[test]
    fn a_connection_in_no_room_cannot_speak() {
        let mut rooms = Rooms::default();
        assert!(rooms.say(1, "hi").is_err() && rooms.leave(1).is_none());
        rooms.join(1, "garden", "Ann").unwrap();
        rooms.leave(1).unwrap();
        assert!(rooms.say(1, "hi").is_err() && rooms.leave(1).is_none());
    }

    #[test]
    fn names_and_texts_have_a_maximum_length() {
        let mut rooms = Rooms::default();
        for bad in ["", " \t", "\u{0}", &"ä".repeat(33)] {
            assert!(rooms.join(1, bad, "Ann").is_err() && rooms.join(1, "garden", bad).is_err(), "{bad:?}");
        }
        rooms.join(1, &"ä".repeat(32), &"ä".repeat(32)).unwrap();
        rooms.say(1, &"ä".repeat(1000)).unwrap();
        assert!(rooms.say(1, &"ä".repeat(1001)).is_err() && rooms.say(1, "\n").is_err());
    }

    #[test]
    fn the_history_keeps_the_latest_messages_with_increasing_times() {
        let mut rooms = Rooms::default();
        rooms.join(0, "garden", "Ann").unwrap();
        for n in 0..=MAX_HISTORY {
            rooms.say(0, &n.to_string()).unwrap();
        }
        let history = &rooms.join(1, "garden", "Bob").unwrap().history;
        assert_eq!((history.len(), &*history[0].text), (MAX_HISTORY, "1"));
        assert!(history.iter().is_sorted_by(|one, next| one.at < next.at));
    }

    #[test]
    fn the_numbers_of_rooms_and_people_are_limited() {
        let mut rooms = Rooms::default();
        for n in 0..MAX_ROOMS {
            rooms.join(n, &n.to_string(), "Ann").unwrap();
        }
        assert!(rooms.join(1000, "one more", "Ann").is_err());
        rooms.leave(7).unwrap();
        rooms.leave(5).unwrap();
        rooms.join(5, "5", "back again").unwrap();
        rooms.leave(5).unwrap();
        rooms.join(1000, "one more", "Ann").unwrap();
        assert!(rooms.len() == MAX_ROOMS && rooms.rooms.contains_key("5") && !rooms.rooms.contains_key("7"));
        for n in 1001..1000 + MAX_PEOPLE {
            rooms.join(n, "one more", "Ann").unwrap();
        }
        assert!(rooms.join(2000, "one more", "Ann").is_err() && rooms.say(2000, "hi").is_err());
    }
}
