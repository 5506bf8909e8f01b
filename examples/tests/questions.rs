//! The recipe for questions and answers, with a deadline.

use std::time::Duration;

use sockeye_examples::questions::Questions;
use sockeye_tokio::Message;
use sockeye_tokio::server::{Callbacks, Server};

#[tokio::test]
async fn a_client_answers_a_question_and_one_without_an_answer_ends_at_its_deadline() {
    let (results, has_result) = async_channel::unbounded();
    let handler = Callbacks::on_message(|client, message| async move {
        let questions = client.data::<Questions>().ok_or("no questions")?;
        if !questions.take_answer(message.as_text().unwrap_or_default()) {
            client.push("this answers nothing")?;
        }
        Ok(())
    })
    .on_open(move |client, _| {
        let results = results.clone();
        async move {
            client.set_data(Questions::default());
            // Not in this method: the connection delivers no message while it runs.
            tokio::spawn(async move {
                let questions = client.data::<Questions>().unwrap();
                for (question, deadline) in [("name?", 20_000), ("silence?", 50)] {
                    let answer = questions.ask(&client, question).unwrap();
                    let answer = tokio::time::timeout(Duration::from_millis(deadline), answer).await;
                    results.send((answer.ok(), questions.waiting())).await.unwrap();
                }
            });
            Ok(())
        }
    });
    let server = Server::bind("127.0.0.1:0", handler).unwrap();
    let (handle, url) = (server.handle(), format!("ws://{}/", server.addresses()[0]));
    let running = tokio::spawn(server.run());
    let mut client = sockeye_tokio::connect(&url).await.unwrap();
    assert_eq!(client.recv().await.unwrap().unwrap(), Message::text("?1 name?"));
    client.send("!7 wrong").await.unwrap();
    assert_eq!(client.recv().await.unwrap().unwrap(), Message::text("this answers nothing"));
    client.send("!1 ann").await.unwrap();
    assert_eq!(has_result.recv().await.unwrap(), (Some("ann".to_owned()), 0));
    assert_eq!(client.recv().await.unwrap().unwrap(), Message::text("?2 silence?"));
    assert_eq!(has_result.recv().await.unwrap(), (None, 0));
    // Too late.
    client.send("!2 sorry").await.unwrap();
    assert_eq!(client.recv().await.unwrap().unwrap(), Message::text("this answers nothing"));
    handle.shutdown(Duration::from_secs(1));
    running.await.unwrap().unwrap();
}
