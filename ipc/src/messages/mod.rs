//! The messages: plain data, one enum per pair of processes and direction.
//!
//! Variants are encoded by position: append only, and `Hello` is 0 for ever. What a receiver may rely on is only the
//! shape; it validates before it believes (the receiving crate converts into its own types).

pub mod attach;
pub mod chain;
pub mod client;
pub mod failure;
pub mod hello;
pub mod helper;
pub mod image;
pub mod kernel;
mod link_details;
mod link_numbers;
pub mod loader;
pub mod mprog;
pub mod netfilter;
pub mod program;
pub mod pull;
pub mod signing;
pub mod supervision;
pub mod volume;

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

/// At most three of anything: messages nest, and their sizes would multiply.
#[cfg(test)]
pub(crate) fn few<T: proptest::arbitrary::Arbitrary + 'static>()
-> proptest::strategy::BoxedStrategy<Vec<T>> {
    use proptest::strategy::Strategy;
    // Boxed, because generators nest as messages do, and a test's stack is small.
    proptest::collection::vec(proptest::arbitrary::any::<T>(), 0..=3).boxed()
}

/// One, on the heap with its generator.
#[cfg(test)]
pub(crate) fn boxed<T: proptest::arbitrary::Arbitrary + 'static>()
-> proptest::strategy::BoxedStrategy<Box<T>> {
    use proptest::strategy::Strategy;
    proptest::arbitrary::any::<T>().prop_map(Box::new).boxed()
}

/// One, with its generator on the heap.
#[cfg(test)]
pub(crate) fn one<T: proptest::arbitrary::Arbitrary + 'static>()
-> proptest::strategy::BoxedStrategy<T> {
    use proptest::strategy::Strategy;
    proptest::arbitrary::any::<T>().boxed()
}

/// At most three labels.
#[cfg(test)]
pub(crate) fn few_labels()
-> proptest::strategy::BoxedStrategy<std::collections::BTreeMap<String, String>> {
    use proptest::strategy::Strategy;
    proptest::collection::btree_map("\\PC{0,8}", "\\PC{0,8}", 0..=3).boxed()
}

#[cfg(test)]
mod round_trip {
    use super::{Message, client, helper, image, loader, supervision};
    use crate::codec;
    use crate::limits::PLAN_BYTES;
    use crate::plan::LoadPlan;
    use proptest::prelude::*;

    fn survives<M: Message + PartialEq>(message: &M) -> Result<(), TestCaseError> {
        let bytes = codec::encode(message, PLAN_BYTES).unwrap();
        // The first four bytes are the variant: what the header repeats.
        prop_assert_eq!(&bytes[..4], &u32::from(message.kind()).to_le_bytes()[..]);
        prop_assert_eq!(&codec::decode::<M>(&bytes).unwrap(), message);
        prop_assert!(codec::decode::<M>(&bytes[..bytes.len() - 1]).is_err());
        Ok(())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn control(message: supervision::Control) { survives(&message)?; }
        #[test]
        fn status(message: supervision::Status) { survives(&message)?; }
        #[test]
        fn client_request(message: client::ClientRequest) { survives(&message)?; }
        #[test]
        fn client_reply(message: client::ClientReply) { survives(&message)?; }
        #[test]
        fn loader_request(message: loader::LoaderRequest) { survives(&message)?; }
        #[test]
        fn loader_reply(message: loader::LoaderReply) { survives(&message)?; }
        #[test]
        fn image_request(message: image::ImageRequest) { survives(&message)?; }
        #[test]
        fn image_reply(message: image::ImageReply) { survives(&message)?; }
        #[test]
        fn plan_delivery(message: image::PlanDelivery) { survives(&message)?; }
        #[test]
        fn plan_receipt(message: image::PlanReceipt) { survives(&message)?; }
        #[test]
        fn helper_job(message: helper::HelperJob) { survives(&message)?; }
        #[test]
        fn helper_result(message: helper::HelperResult) { survives(&message)?; }

        #[test]
        fn load_plan(plan: LoadPlan) {
            let bytes = codec::encode(&plan, PLAN_BYTES).unwrap();
            prop_assert_eq!(codec::decode::<LoadPlan>(&bytes).unwrap(), plan);
        }

        #[test]
        fn arbitrary_bytes_are_refused_or_decoded_but_never_panic(bytes: Vec<u8>) {
            let _ = codec::decode::<client::ClientRequest>(&bytes);
            let _ = codec::decode::<loader::LoaderRequest>(&bytes);
            let _ = codec::decode::<image::PlanDelivery>(&bytes);
            let _ = codec::decode::<supervision::Status>(&bytes);
            let _ = codec::decode::<LoadPlan>(&bytes);
        }
    }
}
