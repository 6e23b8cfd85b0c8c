//! The messages: plain data, one enum per pair of processes and direction.
//!
//! Variants are encoded by position: append only, and `Hello` is 0 for ever. What a receiver may rely on is only the
//! shape; it validates before it believes (the receiving crate converts into its own types).

pub mod attach;
pub mod client;
pub mod failure;
pub mod hello;
pub mod helper;
pub mod image;
pub mod kernel;
pub mod loader;
pub mod program;
pub mod supervision;

use bincode::{Decode, Encode};

/// A message enum of one direction.
pub trait Message:
    Encode + Decode<()> + From<hello::Hello> + Send + std::fmt::Debug + 'static
{
    /// Names of the variants; the index is the frame kind.
    const KINDS: &'static [&'static str];

    /// Index of the variant, repeated in the frame header so that it is known before decoding.
    fn kind(&self) -> u16;

    /// The `Hello` of this direction, if the message is one.
    fn hello(&self) -> Option<&hello::Hello>;
}

/// Gives an enum of one direction its kinds. Naming every variant again is checked by the compiler: a missing one makes
/// the match incomplete.
macro_rules! edge {
    ($name:ident: Hello $(, $variant:ident)* $(,)?) => {
        impl From<$crate::messages::hello::Hello> for $name {
            fn from(hello: $crate::messages::hello::Hello) -> Self {
                Self::Hello(hello)
            }
        }

        impl $crate::messages::Message for $name {
            const KINDS: &'static [&'static str] = &["Hello", $(stringify!($variant)),*];

            fn kind(&self) -> u16 {
                #[allow(dead_code, reason = "only the positions are used")]
                #[repr(u16)]
                enum Kind { Hello, $($variant),* }
                match self {
                    Self::Hello(_) => Kind::Hello as u16,
                    $( Self::$variant { .. } => Kind::$variant as u16 ),*
                }
            }

            fn hello(&self) -> Option<&$crate::messages::hello::Hello> {
                #[allow(unreachable_patterns, reason = "a direction may consist of its greeting alone")]
                match self {
                    Self::Hello(hello) => Some(hello),
                    _ => None,
                }
            }
        }
    };
}
pub(crate) use edge;
