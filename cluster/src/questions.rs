//! Questions to other nodes that wait for answers.

use std::collections::{HashMap, HashSet};

use tokio::sync::oneshot;

use crate::id::NodeId;

/// The number of answers that a question keeps.
const MAX_ANSWERS: usize = 1 << 20;

/// The questions of this node. Each has one waiting task, and ends with its last answer, or when
/// the task gives up.
#[derive(Debug)]
pub(crate) struct Questions<A> {
    next: u64,
    open: HashMap<u64, Question<A>>,
}

#[derive(Debug)]
struct Question<A> {
    awaited: HashSet<NodeId>,
    answers: Vec<(NodeId, A)>,
    done: Option<oneshot::Sender<()>>,
}

/// The answers that came, and the nodes that did not answer.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Answers<A> {
    pub(crate) answers: Vec<(NodeId, A)>,
    pub(crate) missing: Vec<NodeId>,
}

impl<A> Questions<A> {
    pub(crate) fn new() -> Self {
        Questions { next: 0, open: HashMap::new() }
    }

    /// Opens a question to `nodes`. The receiver returns once all have answered or are gone.
    pub(crate) fn open(&mut self, nodes: impl Iterator<Item = NodeId>) -> (u64, oneshot::Receiver<()>) {
        self.next += 1;
        let (done, wait) = oneshot::channel();
        let mut question = Question { awaited: nodes.collect(), answers: Vec::new(), done: Some(done) };
        question.finish_if_complete();
        self.open.insert(self.next, question);
        (self.next, wait)
    }

    /// Keeps an answer. Answers to unknown questions, and of nodes that were not asked or have
    /// answered, are ignored.
    pub(crate) fn answer(&mut self, request: u64, node: NodeId, answers: Vec<A>, is_last: bool) {
        let Some(question) = self.open.get_mut(&request) else { return };
        if !question.awaited.contains(&node) {
            return;
        }
        let room = MAX_ANSWERS.saturating_sub(question.answers.len());
        question.answers.extend(answers.into_iter().take(room).map(|answer| (node, answer)));
        if is_last {
            question.awaited.remove(&node);
            question.finish_if_complete();
        }
    }

    /// Waits no longer for a node that has gone, and drops the part of its answer.
    pub(crate) fn forget_node(&mut self, node: NodeId) {
        for question in self.open.values_mut() {
            if question.awaited.remove(&node) {
                question.answers.retain(|(from, _)| *from != node);
                question.finish_if_complete();
            }
        }
    }

    /// Ends a question. The part of an answer that has come from a missing node stays.
    pub(crate) fn close(&mut self, request: u64) -> Answers<A> {
        match self.open.remove(&request) {
            Some(question) => {
                Answers { answers: question.answers, missing: question.awaited.into_iter().collect() }
            }
            None => Answers { answers: Vec::new(), missing: Vec::new() },
        }
    }
}

impl<A> Question<A> {
    fn finish_if_complete(&mut self) {
        if self.awaited.is_empty()
            && let Some(done) = self.done.take()
        {
            // Without a receiver the task has given up.
            let _ = done.send(());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Questions;
    use crate::id::NodeId;

    const ONE: NodeId = NodeId::from_u64(1);
    const TWO: NodeId = NodeId::from_u64(2);

    #[test]
    fn c3_a_question_ends_with_the_last_part_of_the_last_answer() {
        let mut questions = Questions::new();
        let (request, mut wait) = questions.open([ONE, TWO].into_iter());
        questions.answer(request, ONE, vec!['a'], false);
        questions.answer(request, TWO, vec!['b'], true);
        questions.answer(request, TWO, vec!['x'], true);
        assert!(wait.try_recv().is_err());
        questions.answer(request, ONE, vec!['c'], true);
        assert!(wait.try_recv().is_ok());
        let answers = questions.close(request);
        assert_eq!(answers.answers, [(ONE, 'a'), (TWO, 'b'), (ONE, 'c')]);
        assert!(answers.missing.is_empty() && questions.open.is_empty());
    }

    #[test]
    fn c3_a_node_that_goes_is_not_awaited_and_one_that_is_silent_is_missing() {
        let mut questions = Questions::new();
        let (request, mut wait) = questions.open([ONE, TWO].into_iter());
        questions.answer(request, ONE, vec!['a'], false);
        questions.forget_node(ONE);
        assert!(wait.try_recv().is_err());
        let answers = questions.close(request);
        assert!(answers.answers.is_empty());
        assert_eq!(answers.missing, [TWO]);
        questions.answer(request, TWO, vec!['b'], true);
        assert!(questions.open.is_empty());
    }

    #[test]
    fn c3_a_question_to_no_node_is_answered_at_once() {
        let mut questions = Questions::<char>::new();
        let (_, mut wait) = questions.open(std::iter::empty());
        assert!(wait.try_recv().is_ok());
    }
}
