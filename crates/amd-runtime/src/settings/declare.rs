//! Declares a key of the settings once: name, documentation, type, default.

/// Expands sections of keys to one struct a section, the struct [`Settings`] of
/// all sections, the table of valid keys, and the commented sample.
///
/// Keys and sections are the field and section names in kebab-case. The text
/// above a key in the sample is the documentation of its field.
///
/// [`Settings`]: super::Settings
macro_rules! settings {
    ($(
        $(#[doc = $section_doc:literal])*
        [$section:ident] pub struct $Section:ident {$(
            $(#[doc = $key_doc:literal])*
            pub $key:ident: $Type:ty = $default:expr,
        )*}
    )*) => {
        /// What an administrator decided, complete with defaults.
        #[derive(Debug, Clone, Default, PartialEq, Eq, serde::Deserialize)]
        #[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
        pub struct Settings {$(
            $(#[doc = $section_doc])*
            pub $section: $Section,
        )*}

        $(
            $(#[doc = $section_doc])*
            #[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize)]
            #[serde(
                default,
                deny_unknown_fields,
                rename_all = "kebab-case",
                expecting = "a table of settings"
            )]
            pub struct $Section {$(
                $(#[doc = $key_doc])*
                pub $key: $Type,
            )*}

            impl Default for $Section {
                fn default() -> Self {
                    Self {$( $key: $default, )*}
                }
            }
        )*

        /// The sections there are, each with its keys, as the file spells them.
        pub(crate) fn valid_keys() -> Vec<(String, Vec<String>)> {
            vec![$((
                declare::kebab(stringify!($section)),
                vec![$( declare::kebab(stringify!($key)), )*],
            ),)*]
        }

        /// A settings file that says what every key does, each key at its default
        /// and commented out: documentation lines begin with `# `, keys with `#`.
        pub fn sample() -> String {
            let defaults = Settings::default();
            let mut text = declare::sample_head();
            $(
                declare::sample_section(
                    &mut text,
                    stringify!($section),
                    &[$($section_doc,)*],
                );
                $(
                    declare::sample_key(
                        &mut text,
                        stringify!($key),
                        &[$($key_doc,)*],
                        &value::SampleValue::to_toml(&defaults.$section.$key),
                    );
                )*
            )*
            text
        }
    };
}

pub(crate) use settings;

pub(crate) fn kebab(name: &str) -> String {
    name.replace('_', "-")
}

pub(crate) fn sample_head() -> String {
    format!(
        "# Settings of amd-container-runtime: {}\n\
         # Every key may be left out; the values below are the defaults.\n",
        super::DEFAULT_PATH
    )
}

pub(crate) fn sample_section(text: &mut String, name: &str, doc: &[&str]) {
    text.push('\n');
    push_comment(text, doc);
    text.push_str(&format!("[{}]\n", kebab(name)));
}

pub(crate) fn sample_key(text: &mut String, name: &str, doc: &[&str], value: &str) {
    text.push('\n');
    push_comment(text, doc);
    text.push_str(&format!("#{} = {value}\n", kebab(name)));
}

/// Documentation text starts with the blank that follows `///`.
fn push_comment(text: &mut String, doc: &[&str]) {
    for line in doc {
        text.push_str(format!("#{line}").trim_end());
        text.push('\n');
    }
}
