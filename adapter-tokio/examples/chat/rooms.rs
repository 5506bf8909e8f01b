//! Who is in which room, and what was said there. All that comes from a peer has a limit here. It knows nothing of sockets.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;
use std::time::SystemTime;

use serde::Serialize;

/// In characters, as the two below.
const MAX_ROOM: usize = 32;
const MAX_NAME: usize = 32;
const MAX_TEXT: usize = 1000;
/// Rooms are kept when all have left, so that who comes back finds what was said.
const MAX_ROOMS: usize = 100;
const MAX_PEOPLE: usize = 200;
const MAX_HISTORY: usize = 100;

/// Connections are known by their ids: in a server `ConnectionId`, in tests any number.
pub(crate) struct Rooms<Id> {
    rooms: HashMap<String, Room<Id>>,
    /// Where everybody is.
    places: HashMap<Id, String>,
    last: u64,
}

pub(crate) struct Room<Id> {
    pub(crate) people: HashMap<Id, String>,
    pub(crate) history: VecDeque<Said>,
    /// When something last happened.
    active: u64,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Said {
    /// Microseconds since 1970, and later than anything said before: a time and a name in one.
    pub(crate) at: u64,
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) text: String,
}

/// Why something cannot be done, in words for the person who asked for it.
pub(crate) type Sorry = &'static str;

impl<Id> Default for Rooms<Id> {
    fn default() -> Self {
        Rooms { rooms: HashMap::new(), places: HashMap::new(), last: 0 }
    }
}

impl<Id: Copy + Eq + Hash + ToString> Rooms<Id> {
    /// Who is somewhere else has to leave first.
    pub(crate) fn join(&mut self, id: Id, room: &str, name: &str) -> Result<&Room<Id>, Sorry> {
        let room = tidy(room, MAX_ROOM).ok_or("A room has a name of 1 to 32 characters.")?;
        let name = tidy(name, MAX_NAME).ok_or("A name has 1 to 32 characters.")?;
        if !self.rooms.contains_key(&room) {
            self.make_space()?;
        }
        let active = self.now();
        let place = self.rooms.entry(room.clone()).or_default();
        if place.people.len() >= MAX_PEOPLE {
            return Err("This room is full.");
        }
        place.active = active;
        place.people.insert(id, name);
        self.places.insert(id, room);
        Ok(place)
    }

    /// The room that was left, if there was one.
    pub(crate) fn leave(&mut self, id: Id) -> Option<&Room<Id>> {
        let room = self.rooms.get_mut(&self.places.remove(&id)?)?;
        room.people.remove(&id);
        Some(room)
    }

    pub(crate) fn say(&mut self, id: Id, text: &str) -> Result<(&Room<Id>, &Said), Sorry> {
        let text = self::text(text).ok_or("A message has 1 to 1000 characters.")?;
        let at = self.now();
        let room = self.places.get(&id).and_then(|room| self.rooms.get_mut(room));
        let room = room.ok_or("Join a room first.")?;
        let name = room.people[&id].clone();
        room.active = at;
        if room.history.len() == MAX_HISTORY {
            room.history.pop_front();
        }
        room.history.push_back(Said { at, id: id.to_string(), name, text });
        Ok((room, &room.history[room.history.len() - 1]))
    }

    pub(crate) fn len(&self) -> usize {
        self.rooms.len()
    }

    /// Forgets the room that has been empty and silent for longest, if there are too many.
    fn make_space(&mut self) -> Result<(), Sorry> {
        if self.rooms.len() < MAX_ROOMS {
            return Ok(());
        }
        let empty = self.rooms.iter().filter(|(_, room)| room.people.is_empty());
        let oldest = empty.min_by_key(|(_, room)| room.active).map(|(name, _)| name.clone());
        let oldest = oldest.ok_or("There are too many rooms.")?;
        self.rooms.remove(&oldest);
        Ok(())
    }

    fn now(&mut self) -> u64 {
        let now = SystemTime::UNIX_EPOCH.elapsed().map_or(0, |time| time.as_micros() as u64);
        self.last = now.max(self.last + 1);
        self.last
    }
}

impl<Id> Default for Room<Id> {
    fn default() -> Self {
        Room { people: HashMap::new(), history: VecDeque::new(), active: 0 }
    }
}

/// A text as it may be shown; `None` if there is none, or too much of it.
pub(crate) fn text(text: &str) -> Option<String> {
    tidy(text, MAX_TEXT)
}

/// Without control characters, but for line breaks, and without space around it; `None` if nothing is left, or too much.
fn tidy(text: &str, max: usize) -> Option<String> {
    let text: String = text.chars().filter(|c| *c == '\n' || !c.is_control()).collect();
    let text = text.trim();
    (1..=max).contains(&text.chars().count()).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_is_heard_in_its_room_and_kept() {
        let mut rooms = Rooms::default();
        rooms.join(1, "garden", " Ann ").unwrap();
        rooms.join(2, "garden", "Bob").unwrap();
        rooms.join(3, "cellar", "Eve").unwrap();
        let (room, said) = rooms.say(1, " hi\n\u{7}there ").unwrap();
        assert_eq!(room.people, HashMap::from([(1, "Ann".into()), (2, "Bob".into())]));
        assert_eq!((&*said.id, &*said.name, &*said.text), ("1", "Ann", "hi\nthere"));
        let said = said.clone();
        assert_eq!(rooms.leave(1).unwrap().people, HashMap::from([(2, "Bob".into())]));
        assert_eq!(rooms.join(4, "garden", "Dan").unwrap().history, [said]);
        assert_eq!(rooms.join(5, "cellar", "Dan").unwrap().history, []);
    }

    #[test]
    fn nobody_speaks_from_outside() {
        let mut rooms = Rooms::default();
        assert!(rooms.say(1, "hi").is_err() && rooms.leave(1).is_none());
        rooms.join(1, "garden", "Ann").unwrap();
        rooms.leave(1).unwrap();
        assert!(rooms.say(1, "hi").is_err() && rooms.leave(1).is_none());
    }

    #[test]
    fn names_and_texts_have_a_length() {
        let mut rooms = Rooms::default();
        for bad in ["", " \t", "\u{0}", &"ä".repeat(33)] {
            assert!(rooms.join(1, bad, "Ann").is_err() && rooms.join(1, "garden", bad).is_err(), "{bad:?}");
        }
        rooms.join(1, &"ä".repeat(32), &"ä".repeat(32)).unwrap();
        rooms.say(1, &"ä".repeat(1000)).unwrap();
        assert!(rooms.say(1, &"ä".repeat(1001)).is_err() && rooms.say(1, "\n").is_err());
    }

    #[test]
    fn of_the_history_the_latest_is_kept_and_every_time_is_later() {
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
    fn rooms_and_people_have_a_number() {
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
