//! The messages of a queue.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use crate::request_id::{random_hex, request_id};
use crate::wall_clock;

/// The configuration of a queue.
#[derive(Debug, Clone)]
pub struct QueueConfig {
    /// The name.
    pub name: String,
    /// How long a received message is invisible to other receivers. At least the timeout of the function in the real service.
    pub visibility_timeout: Duration,
    /// After how many receptions a message becomes a dead letter.
    pub max_receive_count: u32,
}

/// A message as it was received.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Received {
    /// The message's id, the same in every reception.
    pub id: String,
    /// Identifies this reception.
    pub receipt: String,
    /// The body.
    pub body: String,
    /// The message group.
    pub group: Option<String>,
    /// When it was sent, in milliseconds since 1970.
    pub sent_at: i64,
    /// How often it was received, this time included.
    pub receive_count: u32,
}

/// A message to be sent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Sent {
    /// The body.
    pub body: String,
    /// The message group.
    pub group: Option<String>,
    /// How long the message is invisible at first.
    pub delay: Duration,
}

struct Message {
    id: String,
    sent: Sent,
    sent_at: i64,
    visible_at: Instant,
    receive_count: u32,
    /// The latest reception.
    receipt: Option<String>,
}

#[derive(Default)]
struct State {
    messages: Vec<Message>,
    dead_letters: Vec<Received>,
    /// How many messages are still to be stored twice.
    duplicates: usize,
}

/// A standard queue.
pub(super) struct Queue {
    pub(super) config: QueueConfig,
    state: Mutex<State>,
    /// Notified of sent messages.
    pub(super) sent: Notify,
}

impl Queue {
    pub(super) fn new(config: QueueConfig) -> Self {
        Self { config, state: Mutex::default(), sent: Notify::new() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Stores a message. Returns its id.
    pub(super) fn send(&self, sent: &Sent, now: Instant) -> String {
        let id = request_id();
        {
            let mut state = self.state();
            let copies = if state.duplicates > 0 { 2 } else { 1 };
            state.duplicates = state.duplicates.saturating_sub(1);
            for _ in 0..copies {
                state.messages.push(Message {
                    id: id.clone(),
                    visible_at: now + sent.delay,
                    sent: sent.clone(),
                    sent_at: wall_clock::now().unix_millis(),
                    receive_count: 0,
                    receipt: None,
                });
            }
        }
        self.sent.notify_one();
        id
    }

    /// Stores each of the next `times` messages twice.
    pub(super) fn duplicate_next(&self, times: usize) {
        self.state().duplicates += times;
    }

    /// Receives at most `limit` visible messages: those of the group first of which the fewest are being processed, and in a group the
    /// oldest first. Messages that were received too often become dead letters.
    pub(super) fn receive(&self, limit: usize, now: Instant) -> Vec<Received> {
        let mut state = self.state();
        let mut processed: HashMap<Option<String>, usize> = HashMap::new();
        for message in state.messages.iter().filter(|it| it.receipt.is_some() && it.visible_at > now) {
            *processed.entry(message.sent.group.clone()).or_default() += 1;
        }
        let mut received = Vec::new();
        while received.len() < limit {
            let visible = state.messages.iter().enumerate().filter(|(_, it)| it.visible_at <= now);
            let next = visible.min_by_key(|(_, it)| processed.get(&it.sent.group).copied().unwrap_or(0));
            let Some((index, _)) = next else { break };
            if state.messages[index].receive_count >= self.config.max_receive_count {
                let dead = state.messages.remove(index).received();
                state.dead_letters.push(dead);
                continue;
            }
            let message = &mut state.messages[index];
            message.receive_count += 1;
            message.visible_at = now + self.config.visibility_timeout;
            message.receipt = Some(random_hex::<16>());
            *processed.entry(message.sent.group.clone()).or_default() += 1;
            received.push(message.received());
        }
        received
    }

    /// Deletes a message. Does nothing if it was received again since.
    pub(super) fn delete(&self, receipt: &str) {
        self.state().messages.retain(|message| message.receipt.as_deref() != Some(receipt));
    }

    /// When the next message becomes visible; `None` if none will.
    pub(super) fn next_visible(&self) -> Option<Instant> {
        self.state().messages.iter().map(|message| message.visible_at).min()
    }

    /// How many messages are visible or being processed. Delayed ones do not count.
    pub(super) fn active(&self, now: Instant) -> usize {
        let state = self.state();
        state.messages.iter().filter(|it| it.receipt.is_some() || it.visible_at <= now).count()
    }

    pub(super) fn dead_letters(&self) -> Vec<Received> {
        self.state().dead_letters.clone()
    }
}

impl Message {
    fn received(&self) -> Received {
        Received {
            id: self.id.clone(),
            receipt: self.receipt.clone().unwrap_or_default(),
            body: self.sent.body.clone(),
            group: self.sent.group.clone(),
            sent_at: self.sent_at,
            receive_count: self.receive_count,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queue() -> Queue {
        let visibility_timeout = Duration::from_secs(10);
        Queue::new(QueueConfig { name: "queue".to_owned(), visibility_timeout, max_receive_count: 2 })
    }

    fn message(body: &str, group: &str) -> Sent {
        Sent { body: body.to_owned(), group: Some(group.to_owned()), delay: Duration::ZERO }
    }

    fn bodies(received: &[Received]) -> Vec<&str> {
        received.iter().map(|it| it.body.as_str()).collect()
    }

    #[test]
    fn a_message_is_visible_again_until_it_is_deleted_or_was_received_too_often() {
        let (queue, start) = (queue(), Instant::now());
        let after = |seconds| start + Duration::from_secs(seconds);
        let id = queue.send(&message("a", "one"), start);
        let first = queue.receive(10, start);
        assert_eq!((first[0].id.as_str(), first[0].receive_count), (id.as_str(), 1));
        assert!(queue.receive(10, after(9)).is_empty(), "it is invisible");
        let second = queue.receive(10, after(10));
        assert_eq!(second[0].receive_count, 2);
        queue.delete(&first[0].receipt);
        assert_eq!(queue.active(after(10)), 1, "an earlier reception deletes nothing");
        assert!(queue.receive(10, after(20)).is_empty());
        assert_eq!(bodies(&queue.dead_letters()), ["a"]);
        queue.send(&message("b", "one"), after(20));
        let third = queue.receive(10, after(20));
        queue.delete(&third[0].receipt);
        assert!(queue.receive(10, after(30)).is_empty());
        assert_eq!((queue.active(after(30)), queue.dead_letters().len()), (0, 1));
    }

    #[test]
    fn a_delayed_message_is_received_after_its_delay_and_a_duplicated_one_twice() {
        let (queue, start) = (queue(), Instant::now());
        let delay = Duration::from_secs(5);
        queue.duplicate_next(1);
        queue.send(&Sent { delay, ..message("a", "one") }, start);
        assert_eq!((queue.receive(10, start).len(), queue.active(start)), (0, 0));
        assert_eq!(queue.next_visible(), Some(start + delay));
        let received = queue.receive(10, start + delay);
        assert_eq!(bodies(&received), ["a", "a"]);
        assert_eq!(received[0].id, received[1].id);
        assert_ne!(received[0].receipt, received[1].receipt);
    }

    #[test]
    fn groups_of_which_few_messages_are_processed_come_first() {
        let (queue, start) = (queue(), Instant::now());
        for number in 0..6 {
            queue.send(&message(&format!("many-{number}"), "many"), start);
        }
        queue.send(&message("few", "few"), start);
        assert_eq!(bodies(&queue.receive(2, start)), ["many-0", "few"]);
        assert_eq!(bodies(&queue.receive(2, start)), ["many-1", "many-2"]);
        queue.send(&message("new", "new"), start);
        assert_eq!(bodies(&queue.receive(1, start)), ["new"]);
    }
}
