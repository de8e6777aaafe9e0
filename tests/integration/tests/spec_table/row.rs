//! A row of the table: an edit of a spec that is good, and what becomes of it.

use integration::spec::Spec;
use serde_json::{Value, json};

/// What a runtime makes of a spec.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// An error: no container.
    Refused,
    /// A container, and a warning in the log.
    Warned,
    /// A container.
    Accepted,
}

use Verdict::{Accepted, Refused, Warned};

/// A spec and what is expected of it.
#[derive(Clone, Debug)]
pub struct Row {
    pub name: String,
    /// The text of config.json, in which `@CGROUP@` is the container's cgroup.
    pub config: Vec<u8>,
    pub verdict: Verdict,
    /// What the error or the warning says, or what the program prints.
    pub says: String,
    /// Whether the container is refused only when it is built: by the kernel, or by a look
    /// into the root filesystem. All others are refused before anything is touched.
    pub late: bool,
    /// What runc 1.1 makes of it where that is something else, and why ours differs.
    pub runc: Option<(Verdict, &'static str)>,
    /// Whether runc is not asked: what it does would harm other tests.
    pub alone: bool,
}

impl Row {
    fn new(name: String, config: Vec<u8>) -> Self {
        Self {
            name,
            config,
            verdict: Accepted,
            says: String::new(),
            late: false,
            runc: None,
            alone: false,
        }
    }

    /// The good spec, with `value` at a JSON pointer.
    pub fn set(pointer: &str, value: Value) -> Self {
        let spec = good().set(pointer, value.clone());
        let value = value.to_string().chars().take(80).collect::<String>();
        Self::new(format!("{pointer} = {value}"), text(&spec))
    }

    /// The good spec without the field at a JSON pointer.
    pub fn without(pointer: &str) -> Self {
        let mut spec = good().json().clone();
        if let Some((parent, key)) = pointer.rsplit_once('/')
            && let Some(object) = spec.pointer_mut(parent).and_then(Value::as_object_mut)
        {
            object.remove(key);
        }
        Self::new(format!("without {pointer}"), spec.to_string().into_bytes())
    }

    /// The good spec with one more element in the array at a JSON pointer.
    pub fn push(pointer: &str, value: Value) -> Self {
        let name = format!("{pointer} has {value}");
        Self::new(name, text(&good().push(pointer, value)))
    }

    /// The good spec with several edits.
    pub fn edit(name: &str, edit: impl FnOnce(Spec) -> Spec) -> Self {
        Self::new(name.to_owned(), text(&edit(good())))
    }

    /// A file of this text.
    pub fn file(name: &str, config: impl Into<Vec<u8>>) -> Self {
        Self::new(name.to_owned(), config.into())
    }

    /// Is refused before anything is touched, in words among which are these.
    pub fn refused(mut self, says: &str) -> Self {
        (self.verdict, self.says) = (Refused, says.to_owned());
        self
    }

    /// Is refused when the container is built.
    pub fn refused_late(self, says: &str) -> Self {
        Self {
            late: true,
            ..self.refused(says)
        }
    }

    /// Makes a container and a warning.
    pub fn warned(mut self, says: &str) -> Self {
        (self.verdict, self.says) = (Warned, says.to_owned());
        self
    }

    /// Makes a container whose program prints this.
    pub fn prints(mut self, says: &str) -> Self {
        says.clone_into(&mut self.says);
        self
    }

    /// runc is not asked.
    pub fn without_runc(mut self) -> Self {
        self.alone = true;
        self
    }

    /// runc makes something else of it.
    pub fn but_runc(mut self, verdict: Verdict, reason: &'static str) -> Self {
        self.runc = Some((verdict, reason));
        self
    }
}

/// A spec that runs `true`, as docker writes it.
pub fn good() -> Spec {
    Spec::docker().cgroups_path("@CGROUP@")
}

/// The text of a spec.
pub fn text(spec: &Spec) -> Vec<u8> {
    spec.json().to_string().into_bytes()
}

/// The reason of rows with fields that came with runc 1.2 or 1.3.
pub const NEW: &str = "runc 1.1 does not know the field";

/// `[{"type": KIND}, ...]`
pub fn namespaces(kinds: &[&str]) -> Value {
    kinds.iter().map(|kind| json!({"type": kind})).collect()
}
