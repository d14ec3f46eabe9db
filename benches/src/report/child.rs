//! Other programs that measure on request: a line to their input, a line back.
//! No program can hang the report, and none outlives a report that ends
//! normally. If the report is killed, the programs end when their input closes.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

/// A running program.
pub struct Served {
    name: String,
    child: Child,
    input: Option<ChildStdin>,
    output: Receiver<String>,
    errors: Receiver<String>,
}

impl Served {
    /// Starts a program. Errors begin with `name`.
    ///
    /// # Errors
    /// An error if the program cannot be started.
    pub fn start(name: &str, command: &mut Command) -> Result<Served, String> {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| format!("{name}: {error}"))?;
        let input = child.stdin.take();
        let (output, errors) = (lines(child.stdout.take()), lines(child.stderr.take()));
        Ok(Served { name: name.to_owned(), child, input, output, errors })
    }

    /// Sends a line and waits for one line in return.
    ///
    /// # Errors
    /// An error if the program ends or does not answer in time.
    pub fn ask(&mut self, request: &str, limit: Duration) -> Result<String, String> {
        let sent = self.input.as_mut().map(|input| writeln!(input, "{request}"));
        match sent {
            Some(Ok(())) => self.line(limit),
            _ => Err(self.why("it closed its input")),
        }
    }

    /// Waits for the program's next line.
    ///
    /// # Errors
    /// An error if the program ends or prints nothing in time.
    pub fn line(&mut self, limit: Duration) -> Result<String, String> {
        self.output.recv_timeout(limit).map_err(|error| match error {
            RecvTimeoutError::Timeout => {
                format!("{}: no answer in {} s", self.name, limit.as_secs())
            }
            RecvTimeoutError::Disconnected => self.why("it ended"),
        })
    }

    /// The last line of a failing program's standard error.
    fn why(&self, otherwise: &str) -> String {
        let until = Instant::now() + Duration::from_secs(1);
        let mut last = None;
        // Its last lines may not have arrived yet.
        while let Ok(line) =
            self.errors.recv_timeout(until.saturating_duration_since(Instant::now()))
        {
            if !line.trim().is_empty() {
                last = Some(line);
            }
        }
        format!("{}: {}", self.name, last.as_deref().unwrap_or(otherwise).trim())
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        // The program has ended or is no longer needed. Waiting leaves no
        // zombie.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The one line that a program prints before it exits successfully.
///
/// # Errors
/// An error if it fails, prints nothing or takes too long, with its last
/// message.
pub fn output(name: &str, command: &mut Command, limit: Duration) -> Result<String, String> {
    let mut served = Served::start(name, command)?;
    served.input = None;
    let line = served.line(limit)?;
    finish(&mut served, limit).map(|()| line)
}

/// Runs a program to its end and ignores its output.
///
/// # Errors
/// An error if it fails or takes too long, with its last message.
pub fn succeed(name: &str, command: &mut Command, limit: Duration) -> Result<(), String> {
    let mut served = Served::start(name, command)?;
    served.input = None;
    finish(&mut served, limit)
}

/// Waits until a program ends.
fn finish(served: &mut Served, limit: Duration) -> Result<(), String> {
    let start = Instant::now();
    loop {
        match served.child.try_wait() {
            Ok(Some(status)) if status.success() => return Ok(()),
            Ok(Some(status)) => return Err(served.why(&status.to_string())),
            Ok(None) if start.elapsed() < limit => std::thread::sleep(Duration::from_millis(10)),
            Ok(None) => {
                return Err(format!("{}: not done in {} s", served.name, limit.as_secs()));
            }
            Err(error) => return Err(format!("{}: {error}", served.name)),
        }
    }
}

/// The lines of a stream, read by a thread that ends with it.
fn lines(stream: Option<impl std::io::Read + Send + 'static>) -> Receiver<String> {
    let (to, from) = channel();
    if let Some(stream) = stream {
        std::thread::spawn(move || {
            let mut reader = BufReader::new(stream);
            let mut line = Vec::new();
            while matches!(reader.read_until(b'\n', &mut line), Ok(length) if length > 0) {
                let text = String::from_utf8_lossy(&line).trim_end().to_owned();
                if to.send(text).is_err() {
                    break;
                }
                line.clear();
            }
        });
    }
    from
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    const SHORT: Duration = Duration::from_millis(300);
    const LONG: Duration = Duration::from_secs(20);

    #[test]
    fn answers_come_line_by_line() {
        let mut echo = Served::start("echo", &mut shell("cat")).expect("the machine has a shell");
        assert_eq!(echo.ask("one", LONG).as_deref(), Ok("one"));
        assert_eq!(echo.ask("two", LONG).as_deref(), Ok("two"));
    }

    #[test]
    fn a_program_that_hangs_is_given_up_and_killed() {
        let start = Instant::now();
        let mut hung = Served::start("hung", &mut shell("exec sleep 60")).expect("started");
        let error = hung.ask("run", SHORT).expect_err("it never answers");
        assert!(error.contains("no answer"), "{error}");
        drop(hung);
        let error = succeed("hung", &mut shell("exec sleep 60"), SHORT).expect_err("it never ends");
        assert!(error.contains("not done"), "{error}");
        assert!(start.elapsed() < LONG);
    }

    #[test]
    fn a_program_that_fails_is_quoted() {
        let script = "echo first >&2; echo 'no such module' >&2; exit 3";
        let mut failed = Served::start("peer", &mut shell(script)).expect("started");
        assert_eq!(failed.line(LONG), Err("peer: no such module".into()));
        assert_eq!(
            output("peer", &mut shell("echo 1; exit 3"), LONG).map_err(|error| error.contains('3')),
            Err(true)
        );
        assert_eq!(output("peer", &mut shell("echo 1.5"), LONG).as_deref(), Ok("1.5"));
    }

    #[test]
    fn a_program_that_is_not_there_is_named() {
        let error = output("peer", &mut Command::new("no-such-program-anywhere"), LONG);
        assert!(error.expect_err("the program does not exist").starts_with("peer: "));
    }
}
