//! Which functions a program and what it starts execute, in which order: each begins with a breakpoint
//! until it is executed first.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::process::CommandExt;
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use nix::sys::ptrace::{self, Event, Options};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

/// int3, of one byte.
const BREAKPOINT: u8 = 0xcc;

/// What is known of the program.
#[derive(Debug)]
pub struct Image {
    /// Where it begins.
    entry: u64,
    /// Where its functions begin.
    functions: Vec<u64>,
}

impl Image {
    /// Of an ELF file, with functions at these addresses.
    ///
    /// # Errors
    /// Where it is too short for one.
    pub fn new(elf: &[u8], functions: Vec<u64>) -> Result<Self> {
        // e_entry, see elf(5).
        let entry = elf.get(24..32).context("not an ELF file of 64 bits")?;
        Ok(Self {
            entry: u64::from_le_bytes(entry.try_into()?),
            functions,
        })
    }
}

/// Runs a command of the program until it ends, and kills what it leaves behind. The functions in the
/// order of their first execution.
///
/// Its caller's thread is the tracer, and has to be where the command is to run.
///
/// # Errors
/// Where it cannot be traced, or fails.
pub fn run(image: &Image, command: &mut Command) -> Result<Vec<u64>> {
    let mut tracer = Tracer::new(image);
    tracer.follow(command)
}

struct Tracer<'i> {
    image: &'i Image,
    /// What the first words of the program are.
    signature: Option<[i64; 4]>,
    /// The first bytes of functions.
    first_bytes: BTreeMap<u64, u8>,
    /// Processes there are, and where the program is in those that execute it.
    processes: BTreeMap<Pid, Option<u64>>,
    order: Vec<u64>,
    seen: BTreeSet<u64>,
}

impl<'i> Tracer<'i> {
    fn new(image: &'i Image) -> Self {
        Self {
            image,
            signature: None,
            first_bytes: BTreeMap::new(),
            processes: BTreeMap::new(),
            order: Vec::new(),
            seen: BTreeSet::new(),
        }
    }

    #[allow(unsafe_code)]
    fn follow(&mut self, command: &mut Command) -> Result<Vec<u64>> {
        // SAFETY: between fork and exec only ptrace(2) is called.
        unsafe { command.pre_exec(|| ptrace::traceme().map_err(Into::into)) };
        let child = command.spawn().context("cannot start it")?;
        let main = Pid::from_raw(child.id() as i32);
        self.processes.insert(main, None);
        waitpid(main, Some(WaitPidFlag::__WALL))?;
        ptrace::setoptions(
            main,
            Options::PTRACE_O_TRACECLONE
                | Options::PTRACE_O_TRACEFORK
                | Options::PTRACE_O_TRACEVFORK
                | Options::PTRACE_O_TRACEEXEC
                | Options::PTRACE_O_EXITKILL,
        )?;
        self.executed(main)?;
        ptrace::cont(main, None)?;
        let flags = WaitPidFlag::__WALL | WaitPidFlag::__WNOTHREAD;
        let status = loop {
            match waitpid(None, Some(flags))? {
                WaitStatus::Exited(pid, status) if pid == main => break status,
                WaitStatus::Signaled(pid, signal, _) if pid == main => bail!("killed by {signal}"),
                WaitStatus::Exited(pid, _) | WaitStatus::Signaled(pid, ..) => {
                    self.processes.remove(&pid);
                }
                WaitStatus::PtraceEvent(pid, _, event) => {
                    self.event(pid, event)?;
                    resume(pid, None)?;
                }
                WaitStatus::Stopped(pid, signal) => {
                    let signal = self.stopped(pid, signal)?;
                    resume(pid, signal)?;
                }
                _ => {}
            }
        };
        self.processes.remove(&main);
        for pid in self.processes.keys() {
            let _ = kill(*pid, Signal::SIGKILL);
        }
        while waitpid(None, Some(flags)).is_ok() {}
        ensure!(status == 0, "exit code {status}");
        Ok(std::mem::take(&mut self.order))
    }

    fn event(&mut self, pid: Pid, event: i32) -> Result<()> {
        if event == Event::PTRACE_EVENT_EXEC as i32 {
            return self.executed(pid);
        }
        let child = Pid::from_raw(ptrace::getevent(pid)? as i32);
        let base = self.processes.get(&pid).copied().flatten();
        self.processes.insert(child, base);
        Ok(())
    }

    /// Puts breakpoints into the program, where it is that which a process executes now.
    fn executed(&mut self, pid: Pid) -> Result<()> {
        let start = ptrace::getregs(pid)?.rip;
        let mut words = [0; 4];
        for (word, address) in words.iter_mut().zip((start..).step_by(8)) {
            *word = read(pid, address)?;
        }
        let is_it = *self.signature.get_or_insert(words) == words;
        let base = start.wrapping_sub(self.image.entry);
        self.processes.insert(pid, is_it.then_some(base));
        if is_it {
            for &function in &self.image.functions {
                let first = swap_byte(pid, base + function, BREAKPOINT)?;
                self.first_bytes.insert(function, first);
            }
        }
        Ok(())
    }

    /// What to do with a signal: a breakpoint is taken away, others are for the process.
    fn stopped(&mut self, pid: Pid, signal: Signal) -> Result<Option<Signal>> {
        let base = self.processes.entry(pid).or_default();
        match (signal, base) {
            // That with which a new process begins.
            (Signal::SIGSTOP, _) => Ok(None),
            (Signal::SIGTRAP, Some(base)) => {
                let mut registers = ptrace::getregs(pid)?;
                let function = (registers.rip - 1).wrapping_sub(*base);
                let Some(first) = self.first_bytes.get(&function) else {
                    return Ok(Some(signal));
                };
                swap_byte(pid, *base + function, *first)?;
                registers.rip -= 1;
                ptrace::setregs(pid, registers)?;
                if self.seen.insert(function) {
                    self.order.push(function);
                }
                Ok(None)
            }
            _ => Ok(Some(signal)),
        }
    }
}

/// A process that was killed meanwhile is none to resume.
fn resume(pid: Pid, signal: Option<Signal>) -> Result<()> {
    match ptrace::cont(pid, signal) {
        Ok(()) | Err(nix::Error::ESRCH) => Ok(()),
        Err(err) => Err(err).context("cannot resume a process"),
    }
}

fn read(pid: Pid, address: u64) -> Result<i64> {
    ptrace::read(pid, address as ptrace::AddressType)
        .with_context(|| format!("cannot read address {address:#x}"))
}

/// Writes a byte. The one that was there.
fn swap_byte(pid: Pid, address: u64, byte: u8) -> Result<u8> {
    let mut bytes = read(pid, address)?.to_le_bytes();
    let before = std::mem::replace(&mut bytes[0], byte);
    ptrace::write(
        pid,
        address as ptrace::AddressType,
        i64::from_le_bytes(bytes),
    )
    .with_context(|| format!("cannot write address {address:#x}"))?;
    Ok(before)
}
