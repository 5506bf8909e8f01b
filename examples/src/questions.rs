//! Questions of a server to one client, and their answers.
//!
//! A question is the message `?NUMBER TEXT`, and its answer `!NUMBER TEXT`. Adapt both to your
//! protocol. Store one [`Questions`] with each client, pass it the answers that arrive, and put a
//! deadline around each [`Answer`] with the timeout of the runtime.
//!
//! A handler receives one message at a time. So do not wait for an answer in the method that would
//! receive it: ask from another task.

use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use sockeye_driver::server::{Client, PushError};

/// The questions to one client that wait for their answers.
#[derive(Debug, Clone, Default)]
pub struct Questions(Arc<Mutex<Waiting>>);

#[derive(Debug, Default)]
struct Waiting {
    next: u64,
    answers: HashMap<u64, Slot>,
}

#[derive(Debug, Default)]
struct Slot {
    answer: Option<String>,
    waker: Option<Waker>,
}

impl Questions {
    /// Sends a question. Dropping the answer, for instance at a deadline, forgets the question.
    ///
    /// # Errors
    ///
    /// Returns an error if the question cannot be sent.
    pub fn ask(&self, client: &Client, question: &str) -> Result<Answer, PushError> {
        let number = {
            let mut waiting = self.lock();
            waiting.next += 1;
            let number = waiting.next;
            waiting.answers.insert(number, Slot::default());
            number
        };
        let answer = Answer { questions: self.clone(), number };
        client.push(format!("?{number} {question}"))?;
        Ok(answer)
    }

    /// Takes a message that may be an answer. Returns false if it is none, or one that nothing waits
    /// for.
    pub fn take_answer(&self, message: &str) -> bool {
        let Some((number, text)) = message.strip_prefix('!').and_then(|rest| rest.split_once(' ')) else {
            return false;
        };
        let mut waiting = self.lock();
        let slot = number.parse().ok().and_then(|number: u64| waiting.answers.get_mut(&number));
        let Some(slot) = slot else { return false };
        slot.answer = Some(text.to_owned());
        let waker = slot.waker.take();
        drop(waiting);
        waker.into_iter().for_each(Waker::wake);
        true
    }

    /// Returns the number of questions that wait for an answer.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.lock().answers.len()
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The answer to a question, as a future.
#[derive(Debug)]
#[must_use = "dropping it forgets the question"]
pub struct Answer {
    questions: Questions,
    number: u64,
}

impl Future for Answer {
    type Output = String;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<String> {
        let mut waiting = self.questions.lock();
        let Some(slot) = waiting.answers.get_mut(&self.number) else { return Poll::Pending };
        match slot.answer.take() {
            Some(answer) => Poll::Ready(answer),
            None => {
                slot.waker = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        self.questions.lock().answers.remove(&self.number);
    }
}
