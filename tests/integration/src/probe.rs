//! Looks at device nodes from inside a container.

use std::fmt;

/// What came of opening a device node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Access {
    /// It opened.
    Open,
    /// ENXIO or ENODEV: the device cgroup allows it, and no driver has the number.
    NoDriver,
    /// EPERM: the device cgroup denies it.
    Denied,
    /// EACCES: its mode denies it.
    Forbidden,
    /// Something else, as the shell put it.
    Other(String),
}

impl Access {
    fn parse(message: &str) -> Self {
        match message.rsplit(": ").next().unwrap_or_default().trim_end() {
            "" => Self::Open,
            "No such device or address" | "No such device" => Self::NoDriver,
            "Operation not permitted" => Self::Denied,
            "Permission denied" => Self::Forbidden,
            _ => Self::Other(message.to_owned()),
        }
    }

    /// Whether the device cgroup and the mode let the process have the device.
    pub fn allowed(&self) -> bool {
        matches!(self, Self::Open | Self::NoDriver)
    }
}

/// A character device as a container sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Its path in the container.
    pub path: String,
    /// Major number.
    pub major: u32,
    /// Minor number.
    pub minor: u32,
    /// Permission bits.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// What came of opening it for reading.
    pub read: Access,
    /// What came of opening it for writing.
    pub write: Access,
}

impl Seen {
    /// Whether it can be opened for reading and for writing.
    pub fn allowed(&self) -> bool {
        self.read.allowed() && self.write.allowed()
    }

    /// Whether the device cgroup keeps it from being opened in any way.
    pub fn denied(&self) -> bool {
        self.read == Access::Denied && self.write == Access::Denied
    }
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            path,
            major,
            minor,
            mode,
            uid,
            gid,
            ..
        } = self;
        write!(f, "{path} {major}:{minor} {mode:o} {uid}:{gid}")
    }
}

/// Shell functions for busybox. `look PATH...` tells of every character device among the
/// paths, `forge MAJOR MINOR` makes a node of one's own and tells of it.
pub const SHELL: &str = r#"
look() {
  for node; do
    [ -c "$node" ] || continue
    # Gone meanwhile, where a test moves directories about.
    facts=$(stat -c '%t %T %a %u %g' "$node") || continue
    echo "node $node $facts"
    echo "read $( (: <"$node") 2>&1)"
    echo "write $( (: >>"$node") 2>&1)"
  done
}
forge() { mknod "/tmp/forged-$1-$2" c "$1" "$2" && look "/tmp/forged-$1-$2"; }
gpus() { look /dev/kfd $(ls -d /dev/dri/* 2>/dev/null); }
"#;

/// What the functions of [`SHELL`] printed; other lines are passed over.
///
/// # Panics
/// When it is not what they print.
#[track_caller]
#[allow(clippy::panic, reason = "what a test stands on")]
pub fn parse(output: &str) -> Vec<Seen> {
    let mut all: Vec<Seen> = Vec::new();
    for line in output.lines() {
        match (line.split_once(' ').unwrap_or((line, "")), all.last_mut()) {
            (("node", rest), _) => match node(rest) {
                Some(seen) => all.push(seen),
                None => panic!("no device node: {line}"),
            },
            (("read", message), Some(seen)) => seen.read = Access::parse(message),
            (("write", message), Some(seen)) => seen.write = Access::parse(message),
            _ => {}
        }
    }
    all
}

fn node(fields: &str) -> Option<Seen> {
    let [path, major, minor, mode, uid, gid] =
        fields.split(' ').collect::<Vec<_>>().try_into().ok()?;
    Some(Seen {
        path: path.to_owned(),
        major: u32::from_str_radix(major, 16).ok()?,
        minor: u32::from_str_radix(minor, 16).ok()?,
        mode: u32::from_str_radix(mode, 8).ok()?,
        uid: uid.parse().ok()?,
        gid: gid.parse().ok()?,
        read: Access::Other("not tried".into()),
        write: Access::Other("not tried".into()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_come_with_what_opening_them_gave() {
        let seen = parse(
            "node /dev/kfd 1fd 0 660 0 109\n\
             read sh: can't open /dev/kfd: No such device or address\n\
             write sh: can't create /dev/kfd: Operation not permitted\n\
             done\n",
        );
        assert_eq!(seen[0].to_string(), "/dev/kfd 509:0 660 0:109");
        assert_eq!(
            (&seen[0].read, &seen[0].write),
            (&Access::NoDriver, &Access::Denied)
        );
        assert_eq!(seen.len(), 1);
    }

    #[test]
    fn a_node_that_opened_says_nothing() {
        let seen = parse("node /dev/null 1 3 666 0 0\nread \nwrite\n");
        assert!(seen[0].allowed());
    }
}
