//! What the kernel tells of some types of links beside [`super::kernel::KernelLink`], and how a [`Link`] travels with it.
//!
//! Clients of version 1 know links without these numbers. Types that have any came with version 2, so the numbers travel with
//! links of which only clients of that version are told.

use super::attach::Link;
use bincode::de::Decoder;
use bincode::enc::Encoder;
use bincode::error::{DecodeError, EncodeError};
use bincode::{Decode, Encode};

/// By type of link (`struct bpf_link_info`).
#[derive(Clone, Copy, Debug, Decode, Default, Encode, Eq, PartialEq)]
#[cfg_attr(test, derive(proptest_derive::Arbitrary))]
pub enum LinkNumbers {
    /// This type has none, or this kernel does not tell them.
    #[default]
    None,
    /// A hook of netfilter. Linux 6.4.
    Netfilter {
        /// `NFPROTO_*`.
        family: u32,
        /// `enum nf_inet_hooks`.
        hook: u32,
        /// Lower runs first.
        priority: i32,
        /// `BPF_F_NETFILTER_*`.
        flags: u32,
    },
    /// Several functions of the kernel. Linux 6.6; calls from 6.7 on.
    KprobeMulti {
        /// Functions.
        count: u32,
        /// `BPF_F_KPROBE_MULTI_*`.
        flags: u32,
        /// Calls at which the program did not run.
        missed: u64,
    },
    /// One function of the kernel, by a perf event. Linux 6.6; calls from 6.7 on.
    Kprobe {
        /// Where the probe is; 0 for those who may not know (`kernel.kptr_restrict`).
        address: u64,
        /// Calls at which the program did not run.
        missed: u64,
    },
}

impl Encode for Link {
    fn encode<E: Encoder>(&self, encoder: &mut E) -> Result<(), EncodeError> {
        let Self {
            record,
            program_name,
            kernel,
            pin_present,
            numbers,
        } = self;
        record.encode(encoder)?;
        program_name.encode(encoder)?;
        kernel.encode(encoder)?;
        pin_present.encode(encoder)?;
        if record.since() > 1 {
            numbers.encode(encoder)?;
        }
        Ok(())
    }
}

impl<Context> Decode<Context> for Link {
    fn decode<D: Decoder<Context = Context>>(decoder: &mut D) -> Result<Self, DecodeError> {
        let mut link = Self {
            record: Decode::decode(decoder)?,
            program_name: Decode::decode(decoder)?,
            kernel: Decode::decode(decoder)?,
            pin_present: Decode::decode(decoder)?,
            numbers: LinkNumbers::None,
        };
        if link.record.since() > 1 {
            link.numbers = Decode::decode(decoder)?;
        }
        Ok(link)
    }
}

bincode::impl_borrow_decode!(Link);

#[cfg(test)]
impl proptest::arbitrary::Arbitrary for Link {
    type Parameters = ();
    type Strategy = proptest::strategy::BoxedStrategy<Self>;

    fn arbitrary_with((): ()) -> Self::Strategy {
        use proptest::arbitrary::any;
        use proptest::strategy::Strategy;
        let parts = (
            any::<super::attach::LinkRecord>(),
            any::<String>(),
            any::<Option<super::kernel::KernelLink>>(),
            any::<bool>(),
            any::<LinkNumbers>(),
        );
        let link = |(record, program_name, kernel, pin_present, numbers)| {
            let mut link = Self {
                record,
                program_name,
                kernel,
                pin_present,
                numbers,
            };
            if link.record.since() == 1 {
                link.numbers = LinkNumbers::None;
            }
            link
        };
        parts.prop_map(link).boxed()
    }
}
