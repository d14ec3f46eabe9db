//! What a node says, written by a task of its own: whoever does not read its
//! output holds up neither the chain nor the peers, unless it asks and does not read
//! the answers.

use crate::control::Event;
use std::io::{Error, ErrorKind};
use std::time::Duration;
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::sync::mpsc::{self, error::TrySendError};
use tokio::task::JoinHandle;

/// Lines that wait to be read, at most.
const QUEUE: usize = 1024;
/// How long the last lines may take when the node ends.
const PATIENCE: Duration = Duration::from_secs(2);

/// Where a node says what happens.
pub struct Events {
    queue: mpsc::Sender<String>,
    /// Events that found no place since the last that did.
    missed: u64,
}

/// The task that writes.
pub struct Writer(JoinHandle<std::io::Result<()>>);

impl Events {
    /// Starts the task.
    pub fn start(mut out: impl AsyncWrite + Unpin + Send + 'static) -> (Events, Writer) {
        let (queue, mut lines) = mpsc::channel::<String>(QUEUE);
        let writer = tokio::spawn(async move {
            while let Some(line) = lines.recv().await {
                out.write_all(line.as_bytes()).await?;
                out.flush().await?;
            }
            Ok(())
        });
        (Events { queue, missed: 0 }, Writer(writer))
    }

    /// Says what happened, without waiting. Peers cause these: where nobody reads
    /// them they are counted, and the count is said as soon as there is a place.
    pub fn say(&mut self, event: &Event) -> std::io::Result<()> {
        if self.missed > 0 && self.put(&Event::Missed(self.missed))? {
            self.missed = 0;
        }
        if self.missed > 0 || !self.put(event)? {
            self.missed += 1;
        }
        Ok(())
    }

    /// Answers an order, waiting for a place: who asks is expected to read, and
    /// no answer is missed.
    pub async fn answer(&mut self, event: &Event) -> std::io::Result<()> {
        if self.missed > 0 {
            self.queue.send(line(&Event::Missed(self.missed))?).await.map_err(|_| ended())?;
            self.missed = 0;
        }
        self.queue.send(line(event)?).await.map_err(|_| ended())
    }

    /// Whether there was a place.
    fn put(&self, event: &Event) -> std::io::Result<bool> {
        match self.queue.try_send(line(event)?) {
            Ok(()) => Ok(true),
            Err(TrySendError::Full(_)) => Ok(false),
            Err(TrySendError::Closed(_)) => Err(ended()),
        }
    }
}

impl Writer {
    /// Waits for what was said to be written, once [`Events`] is dropped.
    pub async fn finish(self) {
        // Nobody may be reading any more, and the process ends anyway.
        let _ = tokio::time::timeout(PATIENCE, self.0).await;
    }
}

fn line(event: &Event) -> std::io::Result<String> {
    Ok(serde_json::to_string(event)? + "\n")
}

fn ended() -> Error {
    Error::new(ErrorKind::BrokenPipe, "nobody reads what the node says")
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncBufReadExt, BufReader, duplex};

    fn refused(number: usize) -> Event {
        Event::Refused { reason: number.to_string(), parted: false }
    }

    /// Nothing is read until everything was said: a write on this task would wait
    /// for ever.
    #[tokio::test]
    async fn who_does_not_read_holds_up_nothing_and_is_told_how_much_it_missed() {
        let (out, input) = duplex(64);
        let (mut events, writer) = Events::start(out);
        let said = 3 * QUEUE;
        for number in 0..said {
            events.say(&refused(number)).unwrap();
        }
        let times = Event::Times(vec![7]);
        let answer = async {
            events.answer(&times).await.unwrap();
            drop(events);
            writer.finish().await;
        };
        let read = async {
            let (mut lines, mut heard) = (BufReader::new(input).lines(), Vec::new());
            while let Some(line) = lines.next_line().await.unwrap() {
                heard.push(serde_json::from_str::<Event>(&line).unwrap());
            }
            heard
        };
        let ((), mut heard) = tokio::join!(answer, read);
        assert_eq!(heard.pop(), Some(times));
        let Some(Event::Missed(missed)) = heard.pop() else { panic!("nothing was missed") };
        assert!(heard.len() >= QUEUE);
        assert_eq!(heard.len() as u64 + missed, said as u64);
        // What was heard is the first of it, in turn.
        assert!(heard.into_iter().enumerate().all(|(number, event)| event == refused(number)));
    }

    #[tokio::test]
    async fn a_node_whose_output_is_closed_is_told() {
        let (out, input) = duplex(64);
        let (mut events, writer) = Events::start(out);
        drop(input);
        // The task learns of it by its first write.
        events.say(&refused(0)).unwrap();
        writer.0.await.unwrap().unwrap_err();
        assert_eq!(events.say(&refused(1)).unwrap_err().kind(), ErrorKind::BrokenPipe);
    }
}
