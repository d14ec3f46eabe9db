//! A node as the scenarios see it: a process, its commands and its events.

use crate::control::{Command, Event, Tip};
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child as Process, ChildStdin, ChildStdout};
use tokio::time::timeout;

/// The time that an answer may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

/// Why a scenario failed.
#[derive(Debug, thiserror::Error)]
pub enum Failed {
    #[error("{0}")]
    Unmet(String),
    #[error("expected an event of node {node} within {} s, got none", PATIENCE.as_secs())]
    Silent { node: u32 },
    #[error("{0}")]
    Io(#[from] std::io::Error),
    #[error("expected an event as JSON: {0}")]
    Json(#[from] serde_json::Error),
    #[error(transparent)]
    Wire(#[from] crate::wire::WireError),
}

/// The folder of a network's nodes, and the time at which the network began.
pub struct World {
    folder: PathBuf,
    epoch: u64,
}

impl World {
    /// A network that begins now, below `folder`.
    pub fn new(folder: &Path) -> World {
        World { folder: folder.to_path_buf(), epoch: crate::network::Network::machine_clock() }
    }

    /// Starts a node, or starts it again on its own database.
    pub async fn start(&self, name: u32) -> Result<Child, Failed> {
        let mut child = self.spawn(name)?;
        let ready = |event: &Event| match event {
            Event::Ready { address, blocks, height } => Some((*address, *blocks, *height)),
            _ => None,
        };
        (child.address, child.blocks, child.height) = child.wait_for(ready).await?;
        Ok(child)
    }

    /// Starts a node's process, which is not ready yet.
    pub fn spawn(&self, name: u32) -> Result<Child, Failed> {
        let folder = self.folder.join(format!("node-{name}"));
        std::fs::create_dir_all(&folder)?;
        let mut process = tokio::process::Command::new(std::env::current_exe()?)
            .args(["node", "--name", &name.to_string(), "--epoch", &self.epoch.to_string()])
            .arg("--folder")
            .arg(&folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let silent = || Failed::Silent { node: name };
        let input = process.stdin.take().ok_or_else(silent)?;
        let output = BufReader::new(process.stdout.take().ok_or_else(silent)?).lines();
        let heard = VecDeque::new();
        let address = SocketAddr::from(([127, 0, 0, 1], 0));
        Ok(Child { name, process, input, output, heard, address, blocks: 0, height: 0 })
    }
}

/// A running node.
pub struct Child {
    name: u32,
    process: Process,
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
    /// Events that were received and not yet used.
    heard: VecDeque<Event>,
    /// The address on which it listens.
    pub address: SocketAddr,
    /// Number of blocks in its database when it started.
    pub blocks: usize,
    /// The height of the tip in its database when it started.
    pub height: u64,
}

impl Child {
    /// Sends a command.
    pub async fn order(&mut self, command: Command) -> Result<(), Failed> {
        let line = serde_json::to_string(&command)? + "\n";
        Ok(self.input.write_all(line.as_bytes()).await?)
    }

    /// The best block.
    pub async fn tip(&mut self) -> Result<Tip, Failed> {
        self.order(Command::Tip).await?;
        let tip = |event: &Event| match event {
            Event::Tip(tip) => Some(tip.clone()),
            _ => None,
        };
        self.wait_for(tip).await
    }

    /// The times of the chain's blocks, the tip's first.
    pub async fn times(&mut self) -> Result<Vec<u64>, Failed> {
        self.order(Command::Times).await?;
        let times = |event: &Event| match event {
            Event::Times(times) => Some(times.clone()),
            _ => None,
        };
        self.wait_for(times).await
    }

    /// The next rejection: its reason, and whether the node disconnected from
    /// the peer.
    pub async fn refusal(&mut self) -> Result<(String, bool), Failed> {
        let refused = |event: &Event| match event {
            Event::Refused { reason, parted } => Some((reason.clone(), *parted)),
            _ => None,
        };
        self.wait_for(refused).await
    }

    /// The deepest reorganisation since the last call.
    pub async fn deepest(&mut self) -> Result<u64, Failed> {
        self.tip().await?; // all earlier events are received now
        let left = self.heard.iter().filter_map(|event| match event {
            Event::Reorganised { left, .. } => Some(*left),
            _ => None,
        });
        let deepest = left.max().unwrap_or(0);
        self.heard.retain(|event| !matches!(event, Event::Reorganised { .. }));
        Ok(deepest)
    }

    /// The first event that `wanted` accepts, among those received before or
    /// later.
    async fn wait_for<T>(&mut self, wanted: impl Fn(&Event) -> Option<T>) -> Result<T, Failed> {
        if let Some(at) = self.heard.iter().position(|event| wanted(event).is_some())
            && let Some(found) = self.heard.remove(at).as_ref().and_then(&wanted)
        {
            return Ok(found);
        }
        loop {
            let silent = Failed::Silent { node: self.name };
            let Ok(line) = timeout(PATIENCE, self.output.next_line()).await else {
                return Err(silent);
            };
            let event: Event = serde_json::from_str(&line?.ok_or(silent)?)?;
            match wanted(&event) {
                Some(found) => return Ok(found),
                None => self.heard.push_back(event),
            }
        }
    }

    /// Sends SIGKILL: nothing is flushed, and no destructor runs.
    pub async fn kill(mut self) -> Result<(), Failed> {
        Ok(self.process.kill().await?)
    }
}
