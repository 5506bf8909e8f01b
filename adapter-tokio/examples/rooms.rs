//! Rooms with names and presence. Open `ws://127.0.0.1:9501/lobby?name=ann` in several tabs.
//! `/who` lists the people of the room. Each message is acknowledged.

use sockeye_tokio::server::{Callbacks, Client, Server};

struct Member {
    room: String,
    name: String,
}

/// Sends a line to all others in the room. Returns how many it reached.
fn say(client: &Client, text: &str) -> usize {
    let Some(member) = client.data::<Member>() else { return 0 };
    client.publish(&member.room, format!("{}: {text}", member.name)).queued
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let handler = Callbacks::on_message(|client, message| async move {
        let text = message.as_text().ok_or("rooms are for text")?;
        if text == "/who" {
            let people = client.topics().into_iter().flat_map(|room| client.server().presence(room));
            let names: Vec<_> = people.map(|one| String::from_utf8_lossy(&one.info).into_owned()).collect();
            client.push(names.join(", "))?;
        } else {
            client.push(format!("sent to {}", say(&client, text)))?;
        }
        Ok(())
    })
    .on_open(|client, request| async move {
        let name = request.param("name").unwrap_or("somebody".into()).into_owned();
        client.subscribe_with(request.path(), &name)?;
        client.set_data(Member { room: request.path().to_owned(), name });
        say(&client, "hello");
        Ok(())
    })
    .on_close(|client, _info| async move {
        say(&client, "bye");
    });
    Server::bind("127.0.0.1:9501", handler)?.run().await
}
