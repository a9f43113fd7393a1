//! One declaration of a table of the configuration: its type, its defaults and its documentation.

use serde_json::Value;

/// A key of a table, as the reference page and the sample show it.
pub struct Key {
    /// The name of the field; in the file it is written with `-` instead of `_`.
    pub(super) field: &'static str,
    /// What the key means: its doc comment.
    pub(super) doc: &'static str,
    /// The value that holds where the key is left out; `None` where it must be given.
    pub(super) default: Option<fn() -> Value>,
    /// A value to show where the default says nothing.
    pub(super) example: Option<fn() -> Value>,
    /// Whether a reload applies a change of it; otherwise the agent has to be restarted.
    pub(super) reload: bool,
}

impl Key {
    /// The name as it is written in the file.
    pub(super) fn name(&self) -> String {
        self.field.replace('_', "-")
    }
}

/// Declares a table: a struct that refuses unknown keys, whose doc comments are kept in `DOC` and `KEYS`.
///
/// `key: Type = default, example = value, reload = true;` where all but the type may be left out: a key without
/// a default must be given. A table whose keys all have defaults is declared `default Name` and may be left out itself.
macro_rules! section {
    ($(#[doc = $about:literal])+ default $Name:ident { $($keys:tt)+ }) => {
        section!($(#[doc = $about])+ $Name { $($keys)+ });
        section!(@default $Name { $($keys)+ });
    };
    (@default $Name:ident { $($(#[doc = $doc:literal])+ $field:ident: $Type:ty = $default:expr
        $(, example = $example:expr)? $(, reload = $reload:literal)?;)+ }) => {
        impl Default for $Name {
            fn default() -> Self {
                Self { $($field: $default),+ }
            }
        }
    };
    ($(#[doc = $about:literal])+ $Name:ident { $($(#[doc = $doc:literal])+ $field:ident: $Type:ty $(= $default:expr)?
        $(, example = $example:expr)? $(, reload = $reload:literal)?;)+ }) => {
        $(#[doc = $about])+
        #[derive(Clone, Debug, PartialEq, serde::Serialize)]
        #[serde(rename_all = "kebab-case")]
        pub struct $Name {
            $($(#[doc = $doc])+ pub $field: $Type),+
        }

        impl $Name {
            /// What the table is for.
            pub(super) const DOC: &'static str = concat!($($about, "\n"),+);
            /// Its keys, in the order of their declaration.
            pub(super) const KEYS: &'static [$crate::config::section::Key] = &[$($crate::config::section::Key {
                field: stringify!($field),
                doc: concat!($($doc, "\n"),+),
                default: section!(@value $(($default) as $Type)?),
                example: section!(@value $(($example) as _)?),
                reload: false $(|| $reload)?,
            }),+];
        }

        impl $Name {
            /// From the table that is written; what is not written is filled in.
            pub(in crate::config) fn of(
                table: &$crate::config::read::Table<'_>,
                problems: &mut $crate::config::error::Problems,
            ) -> Option<Self> {
                let known = Self::KEYS.iter().map($crate::config::section::Key::name);
                table.refuse_others(known.collect(), problems);
                $(let $field: Option<$Type> = match table.get(stringify!($field)) {
                    Some(place) => $crate::config::read::Read::read(&place, problems),
                    None => section!(@absent table problems $field $($default)?),
                };)+
                Some(Self { $($field: $field?),+ })
            }
        }

        impl $crate::config::read::Read for $Name {
            fn read(
                place: &$crate::config::read::Place<'_>,
                problems: &mut $crate::config::error::Problems,
            ) -> Option<Self> {
                Self::of(&place.table("a table", problems)?, problems)
            }
        }
    };
    (@value) => { None };
    (@value ($value:expr) as $Type:ty) => {
        Some(|| {
            let value: $Type = $value;
            serde_json::to_value(value).unwrap_or_default()
        })
    };
    (@absent $table:ident $problems:ident $field:ident) => {
        $table.lacks(stringify!($field), $problems)
    };
    (@absent $table:ident $problems:ident $field:ident $default:expr) => { Some($default) };
}

pub(super) use section;
