//! Takes a load plan out of the memfd that the image worker sent: seals, size, digest, encoding. What comes out is
//! still only well-formed; [`crate::valid_plan`] says whether it makes sense.

use ipc::limits::PLAN_BYTES;
use ipc::messages::failure::{Failure, FailureCode, Stage};
use ipc::plan::LoadPlan;
use rustix::fs::{FileType, SealFlags, fcntl_get_seals, fstat};
use sha2::{Digest, Sha256};
use std::os::fd::OwnedFd;

/// A plan as delivered: not looked into yet.
#[derive(Debug)]
pub struct Delivery {
    /// The sealed memfd.
    pub memfd: OwnedFd,
    /// Bytes in it.
    pub length: u64,
    /// SHA-256 of them.
    pub digest: [u8; 32],
}

/// A decoded plan with the bytes that it was decoded from, which are what is stored.
#[derive(Clone, Debug)]
pub struct EncodedPlan {
    /// SHA-256 of the bytes.
    pub digest: [u8; 32],
    /// The encoding.
    pub bytes: Vec<u8>,
    /// What it says.
    pub plan: LoadPlan,
}

/// Reads a delivery.
pub fn read(delivery: Delivery) -> Result<EncodedPlan, Failure> {
    let length = usize::try_from(delivery.length).unwrap_or(usize::MAX);
    if length > PLAN_BYTES {
        return Err(Failure::new(
            FailureCode::ResourceExhausted,
            Stage::Load,
            format!("the load plan has {length} bytes, {PLAN_BYTES} is the limit"),
        ));
    }
    // Sealed first: after this nobody, its maker included, can change a byte that is about to be checked.
    let seals = fcntl_get_seals(&delivery.memfd)
        .map_err(|error| fault(format!("its seals cannot be read: {error}")))?;
    let required = SealFlags::WRITE | SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL;
    if !seals.contains(required) {
        return Err(fault(format!("its memory is not sealed ({seals:?})")));
    }
    let stat = fstat(&delivery.memfd).map_err(|error| fault(error.to_string()))?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Err(fault("it is not a file in memory".into()));
    }
    if u64::try_from(stat.st_size) != Ok(delivery.length) {
        return Err(fault(format!(
            "{} bytes were announced, {} came",
            length, stat.st_size
        )));
    }
    let mut bytes = vec![0; length];
    let mut filled = 0;
    while filled < length {
        match rustix::io::pread(&delivery.memfd, &mut bytes[filled..], filled as u64) {
            Ok(0) => return Err(fault("it is shorter than its size".into())),
            Ok(count) => filled += count,
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(fault(error.to_string())),
        }
    }
    if digest(&bytes) != delivery.digest {
        return Err(fault("its digest is not the one announced".into()));
    }
    decode(bytes, delivery.digest)
}

/// Decodes the bytes of a plan, from the image worker or from the plan directory.
pub fn decode(bytes: Vec<u8>, digest: [u8; 32]) -> Result<EncodedPlan, Failure> {
    let plan = ipc::codec::decode(&bytes)
        .map_err(|error| fault(format!("it cannot be decoded: {error}")))?;
    Ok(EncodedPlan {
        digest,
        bytes,
        plan,
    })
}

/// SHA-256.
pub fn digest(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

fn fault(reason: String) -> Failure {
    Failure::new(
        FailureCode::Internal,
        Stage::Load,
        format!("the load plan of the image worker was refused: {reason}"),
    )
    .remedy("this is a fault of bpfman, please report it")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::valid_plan::{ValidPlan, sample};
    use proptest::prelude::*;
    use rustix::fs::{MemfdFlags, fcntl_add_seals, memfd_create};

    const ALL: SealFlags = SealFlags::WRITE
        .union(SealFlags::SHRINK)
        .union(SealFlags::GROW)
        .union(SealFlags::SEAL);

    fn delivery(bytes: &[u8], seals: SealFlags) -> Delivery {
        let memfd = memfd_create("plan", MemfdFlags::ALLOW_SEALING | MemfdFlags::CLOEXEC).unwrap();
        let mut written = 0;
        while written < bytes.len() {
            written += rustix::io::write(&memfd, &bytes[written..]).unwrap();
        }
        fcntl_add_seals(&memfd, seals).unwrap();
        Delivery {
            memfd,
            length: bytes.len() as u64,
            digest: digest(bytes),
        }
    }

    fn encoded() -> Vec<u8> {
        ipc::codec::encode(&sample::plan(), PLAN_BYTES).unwrap()
    }

    #[test]
    fn a_sealed_plan_is_read() {
        let read = read(delivery(&encoded(), ALL)).unwrap();
        assert_eq!(read.plan, sample::plan());
        assert_eq!(read.digest, digest(&read.bytes));
    }

    #[test]
    fn every_missing_seal_is_noticed() {
        for seal in [
            SealFlags::WRITE,
            SealFlags::SHRINK,
            SealFlags::GROW,
            SealFlags::SEAL,
        ] {
            let failure = read(delivery(&encoded(), ALL.difference(seal))).unwrap_err();
            assert!(failure.cause.contains("not sealed"), "{failure}");
        }
    }

    #[test]
    fn length_digest_and_trailing_bytes_are_checked() {
        let mut wrong = delivery(&encoded(), ALL);
        wrong.length -= 1;
        assert!(read(wrong).unwrap_err().cause.contains("announced"));

        let mut wrong = delivery(&encoded(), ALL);
        wrong.digest[0] ^= 1;
        assert!(read(wrong).unwrap_err().cause.contains("digest"));

        let mut bytes = encoded();
        bytes.push(0);
        assert!(
            read(delivery(&bytes, ALL))
                .unwrap_err()
                .cause
                .contains("decoded")
        );

        let mut wrong = delivery(&encoded(), ALL);
        wrong.length = PLAN_BYTES as u64 + 1;
        assert_eq!(
            read(wrong).unwrap_err().code,
            FailureCode::ResourceExhausted
        );
    }

    #[test]
    fn a_pipe_is_not_a_plan() {
        let (end, _other) = rustix::pipe::pipe().unwrap();
        assert!(
            read(Delivery {
                memfd: end,
                length: 0,
                digest: [0; 32]
            })
            .is_err()
        );
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        /// Any corruption is either refused or still a plan that satisfies every check; nothing panics.
        #[test]
        fn corruption_never_panics(changes in proptest::collection::vec((any::<usize>(), any::<u8>()), 1..8), cut in any::<Option<usize>>()) {
            let mut bytes = encoded();
            for (position, value) in changes {
                let position = position % bytes.len();
                bytes[position] = value;
            }
            if let Some(cut) = cut {
                bytes.truncate(cut % (bytes.len() + 1));
            }
            let digest = digest(&bytes);
            if let Ok(encoded) = decode(bytes, digest) {
                let _ = ValidPlan::try_from(encoded);
            }
        }

        #[test]
        fn noise_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..4096)) {
            let digest = digest(&bytes);
            if let Ok(encoded) = decode(bytes, digest) {
                let _ = ValidPlan::try_from(encoded);
            }
        }
    }
}
