//! Command lines as Go's flag parser takes them, and so runc and its callers write them:
//! `--force=true`, and one dash for two, as in the `-no-subreaper` of containerd's shim.

use std::ffi::OsString;

use clap::{Arg, ArgAction, Command};

/// Lets every switch have a value.
pub fn booleans(command: Command) -> Command {
    let command = command.mut_args(|arg| {
        if !matches!(arg.get_action(), ArgAction::SetTrue) {
            return arg;
        }
        arg.action(ArgAction::Set)
            .num_args(0..=1)
            .require_equals(true)
            .default_missing_value("true")
            .default_value("false")
            .hide_default_value(true)
            .hide_possible_values(true)
    });
    command.mut_subcommands(booleans)
}

/// The command line with two dashes before every long option of `root` and its commands. Values,
/// and words that are meant for a program in the container, are left as they are.
pub fn two_dashes(root: &Command, args: impl IntoIterator<Item = OsString>) -> Vec<OsString> {
    let mut args = args.into_iter();
    let mut done: Vec<OsString> = args.next().into_iter().collect();
    let mut command = root;
    while let Some(arg) = args.next() {
        let text = arg.to_str().unwrap_or_default();
        let is_option = text.len() > 1 && text.starts_with('-') && text != "--";
        if is_option {
            let name = text.trim_start_matches('-');
            let (name, value) = match name.split_once('=') {
                Some((name, _)) => (name, true),
                None => (name, false),
            };
            let has_one_dash = !text.starts_with("--");
            let option = option(root, command, name);
            let is_long = option.is_some_and(|option| is_called(option, name)) || name == "help";
            let wants_value = option.is_some_and(takes_next) && !value;
            done.push(match has_one_dash && is_long && name.len() > 1 {
                true => format!("-{text}").into(),
                false => arg,
            });
            if wants_value {
                done.extend(args.next());
            }
            continue;
        }
        let sub = command.find_subcommand(text);
        let is_last = text == "--" || (sub.is_none() && is_followed_by_anything(command));
        done.push(arg);
        if is_last {
            done.extend(args);
            return done;
        }
        command = sub.unwrap_or(command);
    }
    done
}

/// The option of a command, or of all, with this name of several letters or one.
fn option<'c>(root: &'c Command, command: &'c Command, name: &str) -> Option<&'c Arg> {
    let of_all = root.get_arguments().filter(|arg| arg.is_global_set());
    command
        .get_arguments()
        .chain(of_all)
        .find(|arg| is_called(arg, name) || is_letter(arg, name))
}

fn is_called(arg: &Arg, name: &str) -> bool {
    arg.get_long() == Some(name) || arg.get_all_aliases().is_some_and(|all| all.contains(&name))
}

fn is_letter(arg: &Arg, name: &str) -> bool {
    arg.get_short()
        .is_some_and(|letter| name.chars().eq(std::iter::once(letter)))
}

/// Whether the word behind it is its value.
fn takes_next(arg: &Arg) -> bool {
    arg.get_action().takes_values() && !arg.is_require_equals_set()
}

/// Whether what comes behind its first word is not this program's.
fn is_followed_by_anything(command: &Command) -> bool {
    command
        .get_positionals()
        .any(|arg| arg.is_trailing_var_arg_set() || arg.is_allow_hyphen_values_set())
}

#[cfg(test)]
mod tests {
    use super::super::command_line::definition;
    use super::*;

    fn told(line: &str) -> String {
        let words = std::iter::once("runtime").chain(line.split_whitespace());
        let words = two_dashes(&booleans(definition()), words.map(OsString::from));
        let words: Vec<_> = words[1..]
            .iter()
            .map(|word| word.to_str().unwrap())
            .collect();
        words.join(" ")
    }

    #[test]
    fn one_dash_is_as_good_as_two() {
        for (line, two) in [
            (
                "-root /r -log=/l restore -no-subreaper -image-path /i -b /b id",
                "--root /r --log=/l restore --no-subreaper --image-path /i -b /b id",
            ),
            (
                "-debug run -detach=true -d id",
                "--debug run --detach=true -d id",
            ),
            ("kill -all id 9", "kill --all id 9"),
            ("create id -bundle /b", "create id --bundle /b"),
            ("-help", "--help"),
            ("exec -tty -e A=1 id", "exec --tty -e A=1 id"),
        ] {
            assert_eq!(told(line), two);
        }
    }

    #[test]
    fn values_and_what_a_program_gets_are_left_alone() {
        for line in [
            "--log -debug state id",
            "exec -e -tty id sh -detach",
            "exec --user 1 id sh -c -tty -- -e",
            "ps id -format",
            "delete -f id",
            "create -- -bundle",
            "update --memory -1 id",
            "state -unknown id",
            "--root",
        ] {
            assert_eq!(told(line), line);
        }
    }
}
