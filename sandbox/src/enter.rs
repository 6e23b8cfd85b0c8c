//! The one way into a sandbox.

use crate::report::{self, Sources};
use crate::steps::{
    auxiliary_vector, capabilities, descriptors, identity, landlock, limits, no_new_privs,
    not_dumpable, parent_death, seccomp, threads, umask, working_directory,
};
use crate::{EnterError, Expectation, Mode, Profile, demand};
use ipc::messages::supervision::SandboxReport;

/// Gives up everything that the profile does not name, then reads back from the kernel what is left.
///
/// To be called once, by the only thread, before any runtime; the caller owns no descriptor but those of the profile.
/// After an error the process must end, since it may be half inside.
///
/// The order is forced: descriptors before ids, because /proc is opened in between and must not be inherited; the
/// bounding set and the secure bits before the ids, because both need CAP_SETPCAP; ids before capabilities, because
/// setuid needs one; the parent-death signal and the dumpable flag after both, because the kernel resets them there;
/// Landlock before seccomp, so that no filter has to allow Landlock's system calls.
pub fn enter(profile: &Profile, mode: Mode) -> Result<SandboxReport, EnterError> {
    let filters = seccomp::prepare(&profile.seccomp, mode)?;
    let parent = parent_death::current_parent();

    threads::assert_single()?;
    auxiliary_vector::load();
    descriptors::keep_only(profile.role, &profile.descriptors)?;
    let sources = Sources::open()?;
    limits::lower(&profile.limits)?;
    umask::restrict();
    capabilities::raise_permitted()?;
    capabilities::empty_bounding()?;
    capabilities::lock_secure_bits()?;
    identity::assume(&profile.identity)?;
    capabilities::keep_only(&profile.capabilities)?;
    working_directory::change(&profile.working_directory)?;
    no_new_privs::set()?;
    not_dumpable::set()?;
    if profile.parent_death_signal {
        parent_death::follow(parent)?;
    }
    let landlock = landlock::restrict(profile)?;
    seccomp::install(&filters)?;

    let report = report::read(sources, landlock, mode)?;
    demand(&report, &Expectation::of(profile, mode)).map_err(EnterError::Unfaithful)?;
    if mode == Mode::Log {
        warn_of_learning(profile.role);
    }
    Ok(report)
}

fn warn_of_learning(role: &str) {
    eprintln!(
        "WARNING: {role}: the sandbox only LOGS forbidden system calls (--sandbox=log). \
         This process is NOT protected. Never use this in production."
    );
}
