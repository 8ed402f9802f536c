//! Limits and actions as text: a number, `"unlimited"` or `"deny"`.

use crate::config::Limit;
use core::fmt;
use serde::de::{Error, Unexpected, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// What text says of a number of connections.
#[derive(Clone, Copy)]
enum Word {
    Number(u32),
    Unlimited,
    Deny,
}

struct Words;

impl Visitor<'_> for Words {
    type Value = Word;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number of connections from 1 to 4294967295, \"unlimited\" or \"deny\"")
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Word, E> {
        match u32::try_from(number) {
            // Zero means "no limit" in one program and "nothing" in the next: it has to be said in words.
            Ok(number @ 1..) => Ok(Word::Number(number)),
            _ => Err(E::invalid_value(Unexpected::Unsigned(number), &self)),
        }
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Word, E> {
        match u64::try_from(number) {
            Ok(number) => self.visit_u64(number),
            Err(_) => Err(E::invalid_value(Unexpected::Signed(number), &self)),
        }
    }

    fn visit_str<E: Error>(self, word: &str) -> Result<Word, E> {
        match word {
            "unlimited" => Ok(Word::Unlimited),
            "deny" => Ok(Word::Deny),
            _ => Err(E::invalid_value(Unexpected::Str(word), &self)),
        }
    }
}

impl Serialize for Word {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Number(number) => serializer.serialize_u32(*number),
            Self::Unlimited => serializer.serialize_str("unlimited"),
            Self::Deny => serializer.serialize_str("deny"),
        }
    }
}

impl<'de> Deserialize<'de> for Word {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Words)
    }
}

impl Serialize for Limit {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let word = match *self {
            Self::AtMost(0) => Word::Deny,
            Self::AtMost(limit) => Word::Number(limit),
            Self::Unlimited => Word::Unlimited,
        };
        word.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Limit {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(match Word::deserialize(deserializer)? {
            Word::Number(limit) => Self::AtMost(limit),
            Word::Unlimited => Self::Unlimited,
            Word::Deny => Self::AtMost(0),
        })
    }
}

#[cfg(feature = "rules")]
mod action {
    use super::{Deserialize, Deserializer, Serialize, Serializer, Word};
    use crate::config::Action;

    impl Serialize for Action {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            let word = match *self {
                Self::Limit(limit) => Word::Number(limit),
                Self::Unlimited => Word::Unlimited,
                Self::Deny => Word::Deny,
            };
            word.serialize(serializer)
        }
    }

    impl<'de> Deserialize<'de> for Action {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            Ok(match Word::deserialize(deserializer)? {
                Word::Number(limit) => Self::Limit(limit),
                Word::Unlimited => Self::Unlimited,
                Word::Deny => Self::Deny,
            })
        }
    }
}
