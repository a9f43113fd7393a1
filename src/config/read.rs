//! Reading what is written: each table by its declaration, each value by its type, and every mistake with its key.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use serde::de::value::StrDeserializer;
use serde::de::{self, Deserialize, Error as _, IntoDeserializer, Unexpected, Visitor};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::error::Problems;
use crate::data::bucket::harmony::DbType;
use crate::protocol::Name;
use crate::runtime::pm2::App;
use crate::runtime::systemd::UnitName;
use crate::web::Url;
use crate::workload::harmony::{Network, Role};

/// What can be written in the file.
pub(super) trait Read: Sized {
    /// What is written here. Where that is wrong, it is noted, and there is nothing.
    fn read(place: &Place<'_>, problems: &mut Problems) -> Option<Self>;
}

/// A value of the file, and its key.
pub(super) struct Place<'a> {
    key: String,
    /// Where it stands, in bytes from the beginning.
    at: usize,
    value: &'a DeValue<'a>,
}

impl<'a> Place<'a> {
    /// The table that is written here.
    pub(super) fn table(&self, expected: &str, problems: &mut Problems) -> Option<Table<'a>> {
        match self.value {
            DeValue::Table(keys) => Some(Table {
                key: self.key.clone(),
                at: self.at,
                keys,
            }),
            other => self.wrong(Mistake::invalid_type(kind_of(other), &expected), problems),
        }
    }

    fn list(&self, problems: &mut Problems) -> Option<Vec<Place<'a>>> {
        let place = |(index, item): (usize, &'a Spanned<DeValue<'a>>)| Place {
            key: format!("{}[{index}]", self.key),
            at: item.span().start,
            value: item.get_ref(),
        };
        match self.value {
            DeValue::Array(items) => Some(items.iter().enumerate().map(place).collect()),
            other => self.wrong(Mistake::invalid_type(kind_of(other), &"a list"), problems),
        }
    }

    fn plain<T: Deserialize<'a>>(&self, problems: &mut Problems) -> Option<T> {
        match T::deserialize(Plain(self.value)) {
            Ok(value) => Some(value),
            Err(mistake) => self.wrong(mistake, problems),
        }
    }

    fn wrong<T>(&self, mistake: Mistake, problems: &mut Problems) -> Option<T> {
        problems.add_at(self.at, &self.key, mistake.0);
        None
    }
}

/// A table of the file, and its key.
pub(super) struct Table<'a> {
    key: String,
    at: usize,
    keys: &'a DeTable<'a>,
}

impl<'a> Table<'a> {
    /// The whole file.
    pub(super) fn whole(root: &'a Spanned<DeTable<'a>>) -> Self {
        Self {
            key: String::new(),
            at: root.span().start,
            keys: root.get_ref(),
        }
    }

    /// Notes each key that is none of these.
    pub(super) fn refuse_others(&self, known: Vec<String>, problems: &mut Problems) {
        for (name, at) in self.keys.keys().map(|name| (name.get_ref(), name.span())) {
            if !known.iter().any(|known| known == name) {
                let known: Vec<_> = known.iter().map(|known| format!("`{known}`")).collect();
                let expected = match &known[..] {
                    [one] => one.clone(),
                    [one, other] => format!("{one} or {other}"),
                    many => format!("one of {}", many.join(", ")),
                };
                let what = format!("unknown key `{name}`, expected {expected}");
                problems.add_at(at.start, &self.key_of(name), what);
            }
        }
    }

    /// What is written for a field.
    pub(super) fn get(&self, field: &str) -> Option<Place<'a>> {
        let name = field.replace('_', "-");
        let value = self.keys.get(name.as_str())?;
        Some(Place {
            key: self.key_of(&name),
            at: value.span().start,
            value: value.get_ref(),
        })
    }

    /// Notes that a field is not written.
    pub(super) fn lacks<T>(&self, field: &str, problems: &mut Problems) -> Option<T> {
        let name = field.replace('_', "-");
        problems.add_at(self.at, &self.key, format!("the key `{name}` is missing"));
        None
    }

    /// Notes that the table as a whole is wrong.
    pub(super) fn wrong<T>(&self, what: &str, problems: &mut Problems) -> Option<T> {
        problems.add_at(self.at, &self.key, what.to_owned());
        None
    }

    fn key_of(&self, name: &str) -> String {
        match self.key.as_str() {
            "" => name.to_owned(),
            key => format!("{key}.{name}"),
        }
    }
}

impl<T: Read> Read for Option<T> {
    fn read(place: &Place<'_>, problems: &mut Problems) -> Option<Self> {
        T::read(place, problems).map(Some)
    }
}

impl<T: Read> Read for Vec<T> {
    fn read(place: &Place<'_>, problems: &mut Problems) -> Option<Self> {
        let read: Vec<_> = place
            .list(problems)?
            .iter()
            .map(|place| T::read(place, problems))
            .collect();
        read.into_iter().collect()
    }
}

impl<const LEAST: u64, const MOST: u64> Read for super::Seconds<LEAST, MOST> {
    fn read(place: &Place<'_>, problems: &mut Problems) -> Option<Self> {
        place.plain(problems)
    }
}

/// Values that stand for themselves.
macro_rules! plain {
    ($($Type:ty),+) => {
        $(impl Read for $Type {
            fn read(place: &Place<'_>, problems: &mut Problems) -> Option<Self> {
                place.plain(problems)
            }
        })+
    };
}

plain!(bool, u32, u64, usize, String, PathBuf, IpAddr, SocketAddr);
plain!(App, DbType, Name, Network, Role, UnitName, Url);
plain!(
    super::BrokerUrl,
    super::Cron,
    super::Kind,
    super::Layout,
    super::RootTopic,
    super::Way
);

/// What is wrong with a value, in the words of whoever writes the file: serde speaks of fields and variants.
#[derive(Debug)]
struct Mistake(String);

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Mistake {}

impl de::Error for Mistake {
    fn custom<T: fmt::Display>(what: T) -> Self {
        Self(what.to_string().replace("unknown variant", "unknown value"))
    }
}

/// A value that holds no others.
struct Plain<'a>(&'a DeValue<'a>);

impl<'de> de::Deserializer<'de> for Plain<'de> {
    type Error = Mistake;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mistake> {
        match kind_of(self.0) {
            Unexpected::Str(text) => visitor.visit_str(text),
            Unexpected::Signed(number) => visitor.visit_i64(number),
            Unexpected::Bool(value) => visitor.visit_bool(value),
            other => Err(Mistake::invalid_type(other, &visitor)),
        }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Mistake> {
        match kind_of(self.0) {
            Unexpected::Str(text) => {
                let variant: StrDeserializer<'_, Mistake> = text.into_deserializer();
                visitor.visit_enum(variant)
            }
            other => {
                let expected = format!("one of `{}`", variants.join("`, `"));
                Err(Mistake::invalid_type(other, &expected.as_str()))
            }
        }
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map struct identifier ignored_any
    }
}

/// What is written, as messages name it.
fn kind_of<'a>(value: &'a DeValue<'_>) -> Unexpected<'a> {
    match value {
        DeValue::String(text) => Unexpected::Str(text),
        DeValue::Integer(number) => match i64::from_str_radix(number.as_str(), number.radix()) {
            Ok(number) => Unexpected::Signed(number),
            Err(_) => Unexpected::Other("a number out of range"),
        },
        DeValue::Float(number) => match number.as_str().parse() {
            Ok(number) => Unexpected::Float(number),
            Err(_) => Unexpected::Other("a number"),
        },
        DeValue::Boolean(value) => Unexpected::Bool(*value),
        DeValue::Datetime(_) => Unexpected::Other("a date"),
        DeValue::Array(_) => Unexpected::Seq,
        DeValue::Table(_) => Unexpected::Map,
    }
}
