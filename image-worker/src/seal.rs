//! Puts a plan where nobody can change it any more: encoded, in a sealed memfd, with its digest.

use ipc::codec;
use ipc::limits::PLAN_BYTES;
use ipc::messages::failure::{Failure, FailureCode, Stage};
use ipc::plan::LoadPlan;
use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};
use rustix::io::Errno;
use sha2::{Digest as _, Sha256};
use std::os::fd::OwnedFd;

/// A plan that the loader may have.
#[derive(Debug)]
pub struct SealedPlan {
    /// The memfd.
    pub memory: OwnedFd,
    /// Bytes in it.
    pub length: u64,
    /// SHA-256 of them.
    pub digest: [u8; 32],
}

/// Encodes and seals a plan.
pub fn seal(plan: &LoadPlan) -> Result<SealedPlan, Failure> {
    let bytes = codec::encode(plan, PLAN_BYTES).map_err(|error| {
        Failure::new(
            FailureCode::ResourceExhausted,
            Stage::Compile,
            format!("load plan: {error}"),
        )
        .remedy("load fewer programs at once, or split the object")
    })?;
    let memory = write(&bytes).map_err(|error| {
        Failure::new(
            FailureCode::Internal,
            Stage::Compile,
            format!("memory for the load plan: {error}"),
        )
    })?;
    Ok(SealedPlan {
        memory,
        length: bytes.len() as u64,
        digest: Sha256::digest(&bytes).into(),
    })
}

fn write(bytes: &[u8]) -> Result<OwnedFd, Errno> {
    let memory = memfd_create(
        "bpfman-plan",
        MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING,
    )?;
    let mut open = bytes;
    while !open.is_empty() {
        match rustix::io::write(&memory, open) {
            Ok(0) => return Err(Errno::IO),
            Ok(written) => open = &open[written..],
            Err(Errno::INTR) => {}
            Err(error) => return Err(error),
        }
    }
    fcntl_add_seals(
        &memory,
        SealFlags::WRITE | SealFlags::GROW | SealFlags::SHRINK | SealFlags::SEAL,
    )?;
    Ok(memory)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compile::{Request, RunningKernel, compile};
    use ipc::messages::program::{ProgramKind, ProgramRequest};
    use std::io::{Read as _, Seek as _, Write as _};

    fn plan() -> LoadPlan {
        let programs = [ProgramRequest {
            name: "xdp_count".into(),
            kind: ProgramKind::Xdp,
            attach_function: None,
        }];
        let request = Request {
            programs: &programs,
            globals: &[],
            types: &[],
        };
        compile(bpf::COUNTER, &request, &mut RunningKernel::default()).expect("a plan")
    }

    #[test]
    fn what_is_sealed_is_the_plan_and_stays_so() {
        let plan = plan();
        let sealed = seal(&plan).expect("sealed");
        let seals = rustix::fs::fcntl_get_seals(&sealed.memory).expect("seals");
        assert!(
            seals
                .contains(SealFlags::WRITE | SealFlags::GROW | SealFlags::SHRINK | SealFlags::SEAL)
        );
        let mut file = std::fs::File::from(sealed.memory);
        let mut bytes = Vec::new();
        file.rewind().expect("a beginning");
        file.read_to_end(&mut bytes).expect("readable");
        assert_eq!(bytes.len() as u64, sealed.length);
        assert_eq!(<[u8; 32]>::from(Sha256::digest(&bytes)), sealed.digest);
        assert_eq!(codec::decode::<LoadPlan>(&bytes).expect("a plan"), plan);
        assert!(file.write_all(b"x").is_err());
        assert!(file.set_len(1).is_err());
    }

    #[test]
    fn a_plan_beyond_the_limit_is_refused() {
        let mut plan = plan();
        plan.btf = Some(vec![0; PLAN_BYTES]);
        let failure = seal(&plan).expect_err("too large");
        assert_eq!(failure.code, FailureCode::ResourceExhausted);
    }
}
