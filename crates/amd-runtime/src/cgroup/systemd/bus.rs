//! Calls to systemd's manager object, over its private socket: D-Bus from peer to peer, for root,
//! without a bus daemon (D-Bus specification, "Message Protocol" and "Authentication Protocol").
//!
//! The few calls need a fraction of a D-Bus library, and libcgroups keeps its own to itself.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

use super::manager::Manager;
use super::wire::{ERROR_NAME, MEMBER, Value, first_text, header_field, method_call};

const PATIENCE: Duration = Duration::from_secs(30);
/// Beyond any answer of these calls.
const LONGEST: usize = 1 << 20;

/// Why systemd did not do what it was asked for.
#[derive(Debug, thiserror::Error)]
pub enum BusError {
    /// There is no such systemd, or it is not for this user.
    #[error("cannot reach systemd at {socket:?}")]
    Connect {
        /// Its private socket.
        socket: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The socket could not be used.
    #[error("cannot talk to systemd")]
    Io(#[from] io::Error),
    /// systemd does not let this user in, or does not speak D-Bus.
    #[error("systemd refuses the connection: {0:?}")]
    Refused(String),
    /// What systemd set about did not come to its end.
    #[error("systemd: the job for unit {unit} ended as {result:?}")]
    Job {
        /// The unit.
        unit: String,
        /// How it ended, in systemd's word: `failed`, `canceled`, `timeout`, ...
        result: String,
    },
    /// systemd answered with an error.
    #[error("systemd: {message} ({name})")]
    Failed {
        /// Name of the error on the bus.
        name: String,
        /// What it says.
        message: String,
    },
}

impl BusError {
    /// Whether there is no such unit, or it is not loaded.
    pub fn is_no_such_unit(&self) -> bool {
        matches!(self, Self::Failed { name, .. } if name.ends_with(".NoSuchUnit"))
    }
}

/// A connection to systemd.
#[derive(Debug)]
pub struct Bus {
    stream: BufReader<UnixStream>,
    serial: u32,
}

impl Bus {
    /// Connects to a manager, as its user.
    ///
    /// # Errors
    /// Where systemd is not there or refuses.
    pub fn connect(manager: &Manager) -> Result<Self, BusError> {
        let (stream, user) = manager.connect()?;
        Self::over(stream, user)
    }

    fn over(stream: UnixStream, user: u32) -> Result<Self, BusError> {
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let mut stream = BufReader::new(stream);
        // The user's number, its digits in hexadecimal.
        let digits: String = user
            .to_string()
            .bytes()
            .map(|digit| format!("{digit:02x}"))
            .collect();
        // BEGIN goes along, as libsystemd has it: systemd would leave a call that it reads together
        // with BEGIN until something else comes.
        let hello = format!("\0AUTH EXTERNAL {digits}\r\nBEGIN\r\n");
        stream.get_mut().write_all(hello.as_bytes())?;
        let mut answer = String::new();
        stream.by_ref().take(1024).read_line(&mut answer)?;
        if !answer.starts_with("OK ") {
            return Err(BusError::Refused(answer.trim().to_owned()));
        }
        Ok(Self { stream, serial: 0 })
    }

    /// Calls a method and waits for its answer, of which only the success counts.
    ///
    /// # Errors
    /// Where systemd refuses or the connection breaks.
    pub fn call(&mut self, member: &str, arguments: &[Value]) -> Result<(), BusError> {
        self.send(member, arguments)?;
        loop {
            if let Message::Answer(answer) = self.receive()? {
                return answer.map(drop);
            }
        }
    }

    /// Calls a method that sets about something with `unit`, and waits until that is done: the
    /// answer comes before. Who is connected over this socket hears of all jobs.
    ///
    /// # Errors
    /// Where systemd refuses, the job fails, or the connection breaks.
    pub fn run_job(
        &mut self,
        member: &str,
        arguments: &[Value],
        unit: &str,
    ) -> Result<(), BusError> {
        self.send(member, arguments)?;
        // By the job's object, which the answer names: one of the same unit may have been under way
        // before, and one that has nothing to do may end before the answer.
        let mut ended: Vec<Job> = Vec::new();
        let mut ours = None;
        loop {
            match self.receive()? {
                Message::Answer(answer) => ours = Some(answer?),
                Message::JobRemoved(job) => ended.push(job),
                Message::Other => {}
            }
            let Some(object) = &ours else { continue };
            let Some(job) = ended.iter().find(|job| job.object == *object) else {
                continue;
            };
            return match job.result.as_str() {
                "done" => Ok(()),
                result => Err(BusError::Job {
                    unit: unit.to_owned(),
                    result: result.to_owned(),
                }),
            };
        }
    }

    fn send(&mut self, member: &str, arguments: &[Value]) -> Result<(), BusError> {
        self.serial += 1;
        let message = method_call(self.serial, member, arguments);
        Ok(self.stream.get_mut().write_all(&message)?)
    }

    fn receive(&mut self) -> Result<Message, BusError> {
        let mut fixed = [0; 16];
        self.stream.read_exact(&mut fixed)?;
        let number = |at: usize| {
            let bytes = [fixed[at], fixed[at + 1], fixed[at + 2], fixed[at + 3]];
            u32::from_le_bytes(bytes) as usize
        };
        let (body, fields) = (number(4), number(12));
        if fixed[0] != b'l' || body > LONGEST || fields > LONGEST {
            let what = "a message that is none of D-Bus in little endian";
            return Err(io::Error::new(io::ErrorKind::InvalidData, what).into());
        }
        let mut rest = vec![0; (16 + fields).next_multiple_of(8) - 16 + body];
        self.stream.read_exact(&mut rest)?;
        let (head, body) = rest.split_at(rest.len() - body);
        const METHOD_RETURN: u8 = 2;
        const ERROR: u8 = 3;
        const SIGNAL: u8 = 4;
        Ok(match fixed[1] {
            METHOD_RETURN => Message::Answer(Ok(first_text(body))),
            ERROR => Message::Answer(Err(BusError::Failed {
                name: header_field(head, ERROR_NAME),
                message: first_text(body),
            })),
            SIGNAL if header_field(head, MEMBER) == "JobRemoved" => {
                Message::JobRemoved(Job::of(body))
            }
            _ => Message::Other,
        })
    }
}

/// What systemd says.
enum Message {
    /// The first argument, where that is a text.
    Answer(Result<String, BusError>),
    JobRemoved(Job),
    /// Another signal.
    Other,
}

/// The arguments of the signal JobRemoved, `uoss`: id, object, unit, result.
struct Job {
    object: String,
    result: String,
}

impl Job {
    fn of(body: &[u8]) -> Self {
        let mut at = 4;
        let mut next = || {
            let text = first_text(body.get(at..).unwrap_or_default());
            at = (at + 4 + text.len() + 1).next_multiple_of(4);
            text
        };
        let object = next();
        let _unit = next();
        Self {
            object,
            result: next(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::wire::Marshal;
    use super::*;

    fn job(number: u32) -> String {
        format!("/org/freedesktop/systemd1/job/{number}")
    }

    /// The signal that a job of a.scope ended as `result`.
    fn job_removed(number: u32, result: &str) -> Vec<u8> {
        let mut fields = Marshal(vec![3, 1, b's', 0]);
        fields.text("JobRemoved");
        let mut body = Marshal::default();
        body.u32(number);
        for text in [&job(number), "a.scope", result] {
            body.text(text);
        }
        answer(4, &fields.0, &body.0)
    }

    /// The answer to a call that set about a job.
    fn job_queued(number: u32) -> Vec<u8> {
        let mut body = Marshal::default();
        body.text(&job(number));
        answer(2, b"", &body.0)
    }

    fn run_job(said: Vec<Vec<u8>>) -> Result<(), BusError> {
        let (ours, peer) = peer("OK 1\r\n", said.concat());
        let mut bus = Bus::over(ours, 0).unwrap();
        let done = bus.run_job("StopUnit", &["a.scope".into()], "a.scope");
        drop(bus);
        peer.join().unwrap();
        done
    }

    #[test]
    fn a_job_is_waited_for_until_it_has_ended_whatever_else_is_told() {
        run_job(vec![
            job_removed(76, "canceled"),
            job_queued(77),
            job_removed(78, "failed"),
            job_removed(77, "done"),
        ])
        .unwrap();
    }

    #[test]
    fn a_job_that_has_nothing_to_do_may_end_before_the_answer() {
        run_job(vec![job_removed(77, "done"), job_queued(77)]).unwrap();
    }

    #[test]
    fn a_job_that_fails_is_an_error() {
        let err = run_job(vec![job_queued(77), job_removed(77, "failed")]);
        assert_eq!(
            err.unwrap_err().to_string(),
            "systemd: the job for unit a.scope ended as \"failed\""
        );
    }

    /// A peer that lets in whom it is told to and answers one call.
    fn peer(
        greeting: &'static str,
        answer: Vec<u8>,
    ) -> (UnixStream, std::thread::JoinHandle<Vec<u8>>) {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let thread = std::thread::spawn(move || {
            let mut theirs = BufReader::new(theirs);
            let mut said = Vec::new();
            theirs.read_until(b'\n', &mut said).unwrap();
            theirs.read_until(b'\n', &mut said).unwrap();
            theirs.get_mut().write_all(greeting.as_bytes()).unwrap();
            let mut fixed = [0; 16];
            if theirs.read_exact(&mut fixed).is_ok() {
                theirs.get_mut().write_all(&answer).unwrap();
            }
            said
        });
        (ours, thread)
    }

    fn answer(kind: u8, fields: &[u8], body: &[u8]) -> Vec<u8> {
        let mut out = Marshal(vec![b'l', kind, 0, 1]);
        out.u32(body.len() as u32);
        out.u32(1);
        out.u32(fields.len() as u32);
        out.0.extend(fields);
        out.align(8);
        out.0.extend(body);
        out.0
    }

    #[test]
    fn a_call_waits_for_its_answer_and_passes_signals_over() {
        let mut signal = answer(4, b"", b"");
        signal.extend(answer(2, b"\x05\x01u\0\x01\0\0\0", b""));
        let (ours, peer) = peer("OK 1234\r\n", signal);
        let mut bus = Bus::over(ours, 0).unwrap();
        bus.call("ResetFailedUnit", &["a.scope".into()]).unwrap();
        drop(bus);
        let said = String::from_utf8(peer.join().unwrap()).unwrap();
        assert!(said.starts_with("\0AUTH EXTERNAL 3"), "{said:?}");
        assert!(said.ends_with("\r\nBEGIN\r\n"), "{said:?}");
    }

    #[test]
    fn an_error_is_told_with_its_name() {
        let name = "org.freedesktop.systemd1.NoSuchUnit";
        let mut fields = Marshal(vec![4, 1, b's', 0]);
        fields.text(name);
        let mut body = Marshal::default();
        body.text("Unit a.scope not loaded.");
        let (ours, peer) = peer("OK 1\r\n", answer(3, &fields.0, &body.0));
        let mut bus = Bus::over(ours, 0).unwrap();
        let err = bus.call("StopUnit", &["a.scope".into()]).unwrap_err();
        assert!(err.is_no_such_unit());
        assert_eq!(
            err.to_string(),
            format!("systemd: Unit a.scope not loaded. ({name})")
        );
        drop(bus);
        peer.join().unwrap();
    }

    #[test]
    fn who_is_not_let_in_is_told_so() {
        let (ours, peer) = peer("REJECTED EXTERNAL\r\n", Vec::new());
        let err = Bus::over(ours, 0).unwrap_err();
        assert!(matches!(err, BusError::Refused(_)), "{err}");
        peer.join().unwrap();
    }
}
