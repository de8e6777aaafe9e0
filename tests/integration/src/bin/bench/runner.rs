//! A process on a simulated host that runs programs and measures them.
//!
//! A process of its own, since it is small: the most memory that the kernel reports of a
//! program is never less than what the process had that started it
//! (`exec_mmap` in fs/exec.c), and the benchmark itself has more than a runtime.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use integration::host::SimulatedHost;
use integration::measure::{self, Used};
use serde::{Deserialize, Serialize};

/// The argument that makes this program a runner.
pub const ARGUMENT: &str = "--runner";

/// How long a container may take to end.
const END: Duration = Duration::from_secs(30);

/// What a runner is asked for, a line each.
#[derive(Debug, Serialize, Deserialize)]
enum Request {
    /// Run these at the same time, and wait for all.
    Run {
        commands: Vec<Vec<String>>,
        quiet: bool,
    },
    /// Wait until the process ends whose number is in this file.
    WaitEnd { pid_file: String },
}

/// The answer.
#[derive(Debug, Serialize, Deserialize)]
enum Answer {
    /// From the first one's start to the last one's end, and each one's exit code and use.
    Ran {
        wall: Duration,
        each: Vec<(i32, Used)>,
    },
    Ended,
    Failed(String),
}

/// What a batch of programs took.
#[derive(Debug)]
pub struct Batch {
    /// From the first one's start to the last one's end.
    pub wall: Duration,
    /// Exit codes, and what each took.
    pub each: Vec<(i32, Used)>,
}

/// A runner on a host. It ends when this is dropped.
#[derive(Debug)]
pub struct Runner {
    process: Child,
    requests: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl Runner {
    /// Starts one.
    ///
    /// # Errors
    /// Where this program cannot be started there.
    pub fn start(host: &SimulatedHost) -> Result<Self> {
        let own = std::env::current_exe().context("cannot find this program")?;
        let mut process = host.spawn(
            Command::new(own)
                .arg(ARGUMENT)
                .stdin(Stdio::piped())
                .stdout(Stdio::piped()),
        )?;
        let answers = process.stdout.take().context("no answers")?;
        Ok(Self {
            requests: process.stdin.take(),
            answers: BufReader::new(answers),
            process,
        })
    }

    /// Runs a program to its end.
    ///
    /// # Errors
    /// Where it cannot be started, or fails.
    pub fn run(&mut self, command: &[&str]) -> Result<Used> {
        let batch = self.run_all(&[command.iter().map(|&word| word.into()).collect()])?;
        let used = batch.each.first().context("no answer")?.1;
        Ok(used)
    }

    /// Runs programs at the same time.
    ///
    /// # Errors
    /// Where one cannot be started, or fails.
    pub fn run_all(&mut self, commands: &[Vec<String>]) -> Result<Batch> {
        let batch = self.batch(commands, false)?;
        for ((code, _), command) in batch.each.iter().zip(commands) {
            ensure!(*code == 0, "exit code {code}: {}", command.join(" "));
        }
        Ok(batch)
    }

    /// The exit code of a program that may fail, and whose messages are of no interest.
    ///
    /// # Errors
    /// Where it cannot be started.
    pub fn try_run(&mut self, command: &[&str]) -> Result<i32> {
        let command = command.iter().map(|&word| word.into()).collect();
        let batch = self.batch(&[command], true)?;
        Ok(batch.each.first().context("no answer")?.0)
    }

    /// Waits until the process ends whose number is in a file.
    ///
    /// # Errors
    /// Where it does not end.
    pub fn wait_end(&mut self, pid_file: &str) -> Result<()> {
        let pid_file = pid_file.to_owned();
        self.ask(&Request::WaitEnd { pid_file }).map(drop)
    }

    fn batch(&mut self, commands: &[Vec<String>], quiet: bool) -> Result<Batch> {
        let commands = commands.to_vec();
        match self.ask(&Request::Run { commands, quiet })? {
            Answer::Ran { wall, each } => Ok(Batch { wall, each }),
            other => bail!("not an answer to that: {other:?}"),
        }
    }

    fn ask(&mut self, request: &Request) -> Result<Answer> {
        let requests = self.requests.as_mut().context("the runner has ended")?;
        serde_json::to_writer(&mut *requests, request)?;
        requests.write_all(b"\n")?;
        let mut line = String::new();
        self.answers.read_line(&mut line)?;
        match serde_json::from_str(&line).context("the runner has ended")? {
            Answer::Failed(why) => bail!(why),
            answer => Ok(answer),
        }
    }
}

impl Drop for Runner {
    fn drop(&mut self) {
        drop(self.requests.take());
        if let Err(err) = self.process.wait() {
            eprintln!("runner: {err}");
        }
    }
}

/// The runner's side: answers until there are no more requests.
///
/// # Errors
/// Where a request makes no sense, or nobody listens.
pub fn serve() -> Result<()> {
    let mut requests = std::io::stdin().lock();
    let mut answers = std::io::stdout().lock();
    let mut line = String::new();
    while requests.read_line(&mut line)? > 0 {
        let answer = match serde_json::from_str(&line)? {
            Request::Run { commands, quiet } => run(&commands, quiet),
            Request::WaitEnd { pid_file } => wait_end(&pid_file),
        };
        let answer = answer.unwrap_or_else(|err| Answer::Failed(format!("{err:#}")));
        serde_json::to_writer(&mut answers, &answer)?;
        answers.write_all(b"\n")?;
        answers.flush()?;
        line.clear();
    }
    Ok(())
}

fn run(commands: &[Vec<String>], quiet: bool) -> Result<Answer> {
    let begin = Instant::now();
    let mut started = Vec::with_capacity(commands.len());
    for words in commands {
        let (program, args) = words.split_first().context("no program")?;
        let mut command = Command::new(program);
        command
            .args(args)
            // No engine sets it; where it is set, errors that are none cost a walk up the stack.
            .env_remove("RUST_BACKTRACE")
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        if quiet {
            command.stderr(Stdio::null());
        }
        let start = Instant::now();
        let child = command
            .spawn()
            .with_context(|| format!("cannot run {program}"))?;
        started.push((child.id(), start));
    }
    let mut each = Vec::with_capacity(started.len());
    for (pid, start) in started {
        each.push(measure::wait(pid, start)?);
    }
    let wall = begin.elapsed();
    Ok(Answer::Ran { wall, each })
}

fn wait_end(pid_file: &str) -> Result<Answer> {
    let pid = fs::read_to_string(pid_file).with_context(|| format!("cannot read {pid_file}"))?;
    let stat = Path::new("/proc").join(pid.trim()).join("stat");
    let begin = Instant::now();
    while fs::read_to_string(&stat).is_ok_and(|stat| !is_zombie(&stat)) {
        ensure!(begin.elapsed() < END, "process {pid} does not end");
        thread::sleep(Duration::from_micros(200));
    }
    Ok(Answer::Ended)
}

/// By the text of /proc/PID/stat, see proc(5).
fn is_zombie(stat: &str) -> bool {
    let state = stat.rsplit_once(") ").map_or("", |(_, rest)| rest);
    state.starts_with(['Z', 'X'])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_zombie_is_told_by_its_state_whatever_its_name() {
        assert!(is_zombie("17 (a) S b) Z 1 17"));
        assert!(!is_zombie("17 (a) Z b) S 1 17"));
    }
}
