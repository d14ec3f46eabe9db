//! A node's events, which a task of its own writes.
//!
//! A reader that does not read the output delays neither the chain nor the peers, unless it sends
//! commands and does not read the answers.

use crate::control::Event;
use std::io::{Error, ErrorKind};
use std::time::Duration;
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::sync::mpsc::{self, error::TrySendError};
use tokio::task::JoinHandle;

/// The largest number of lines that wait to be read.
const QUEUE: usize = 1024;
/// The time that the last lines may take when the node ends.
const PATIENCE: Duration = Duration::from_secs(2);

/// The queue of a node's events.
pub struct Events {
    queue: mpsc::Sender<String>,
    /// Number of events that were dropped since the last that was queued.
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

    /// Queues an event without waiting.
    ///
    /// Peers cause these events. If the output is not read, events are dropped and counted, and the
    /// count is queued as soon as there is space.
    pub fn say(&mut self, event: &Event) -> std::io::Result<()> {
        if self.missed > 0 && self.put(&Event::Missed(self.missed))? {
            self.missed = 0;
        }
        if self.missed > 0 || !self.put(event)? {
            self.missed += 1;
        }
        Ok(())
    }

    /// Queues an answer to a command, and waits for space.
    ///
    /// The party that sent the command is expected to read, and no answer is
    /// dropped.
    pub async fn answer(&mut self, event: &Event) -> std::io::Result<()> {
        if self.missed > 0 {
            self.queue.send(line(&Event::Missed(self.missed))?).await.map_err(|_| ended())?;
            self.missed = 0;
        }
        self.queue.send(line(event)?).await.map_err(|_| ended())
    }

    /// Whether there was space in the queue.
    fn put(&self, event: &Event) -> std::io::Result<bool> {
        match self.queue.try_send(line(event)?) {
            Ok(()) => Ok(true),
            Err(TrySendError::Full(_)) => Ok(false),
            Err(TrySendError::Closed(_)) => Err(ended()),
        }
    }
}

impl Writer {
    /// Waits until all queued events are written, after [`Events`] is dropped.
    pub async fn finish(self) {
        // The output may have no reader any more, and the process ends anyway.
        let _ = tokio::time::timeout(PATIENCE, self.0).await;
    }
}

fn line(event: &Event) -> std::io::Result<String> {
    Ok(serde_json::to_string(event)? + "\n")
}

fn ended() -> Error {
    Error::new(ErrorKind::BrokenPipe, "expected a reader of the node's output, got a closed pipe")
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncBufReadExt, BufReader, duplex};

    fn refused(number: usize) -> Event {
        Event::Refused { reason: number.to_string(), parted: false }
    }

    /// The test reads nothing until all events are queued: a write on this task would never return.
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
        let Some(Event::Missed(missed)) = heard.pop() else {
            panic!("expected dropped events, got none")
        };
        assert!(heard.len() >= QUEUE);
        assert_eq!(heard.len() as u64 + missed, said as u64);
        // The events that were read are the first ones, in order.
        assert!(heard.into_iter().enumerate().all(|(number, event)| event == refused(number)));
    }

    #[tokio::test]
    async fn a_node_whose_output_is_closed_is_told() {
        let (out, input) = duplex(64);
        let (mut events, writer) = Events::start(out);
        drop(input);
        // The task detects it with its first write.
        events.say(&refused(0)).unwrap();
        writer.0.await.unwrap().unwrap_err();
        assert_eq!(events.say(&refused(1)).unwrap_err().kind(), ErrorKind::BrokenPipe);
    }
}
