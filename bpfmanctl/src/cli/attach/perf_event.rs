//! The grammar of `link attach perf_event`.

use super::LinkArgs;
use crate::parse;
use clap::Args;
use clap::builder::NonEmptyStringValueParser;
use ipc::messages::attach::Sampling;

#[derive(Args, Debug)]
pub(crate) struct PerfEventArgs {
    /// Program id
    #[arg(value_name = "PROGRAM", value_parser = parse::program_id)]
    pub(crate) program_id: u32,

    /// Event, by the name that perf gives it: cpu-clock, page-faults, cycles
    #[arg(value_name = "EVENT", value_parser = NonEmptyStringValueParser::new())]
    pub(crate) event: String,

    #[command(flatten)]
    sampling: SamplingArgs,

    #[command(flatten)]
    pub(crate) scope: ScopeArgs,

    #[command(flatten)]
    pub(crate) link: LinkArgs,
}

#[derive(Args, Debug)]
#[group(required = true, multiple = false)]
struct SamplingArgs {
    /// Run at every Nth occurrence; of clocks, every N nanoseconds
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    period: Option<u64>,

    /// Run about N times in a second
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    frequency: Option<u64>,
}

#[derive(Args, Debug)]
#[group(required = true, multiple = true)]
pub(crate) struct ScopeArgs {
    /// Only this process (its first thread; of others give the thread's id)
    #[arg(long, value_name = "PID", value_parser = clap::value_parser!(i32).range(1..))]
    pub(crate) pid: Option<i32>,

    /// Only this CPU
    #[arg(long, value_name = "CPU")]
    pub(crate) cpu: Option<u32>,
}

impl PerfEventArgs {
    /// What was given; the grammar lets no other case through.
    pub(crate) fn sampling(&self) -> Sampling {
        match (self.sampling.period, self.sampling.frequency) {
            (Some(period), _) => Sampling::Period(period),
            (None, frequency) => Sampling::Frequency(frequency.unwrap_or_default()),
        }
    }
}
