//! Keys of files that exist already, and have no effect here. Their values are checked all the same.

use serde::Deserialize;

/// `[interfaces.<name>]`
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
pub struct Interface {
    /// Where XDP programs are attached.
    pub xdp_mode: XdpMode,
}

/// Where XDP programs are attached.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "lowercase")]
pub enum XdpMode {
    /// Behind the driver.
    Skb,
    /// In the driver.
    Drv,
    /// On the card.
    Hw,
}

/// `[database]`
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
pub struct Database {
    /// How often the store is tried to be opened.
    #[serde(default = "ten")]
    pub max_retries: u32,
    /// Milliseconds in between.
    #[serde(default = "second")]
    pub millisec_delay: u64,
}

impl Default for Database {
    fn default() -> Self {
        Self {
            max_retries: ten(),
            millisec_delay: second(),
        }
    }
}

fn ten() -> u32 {
    10
}

fn second() -> u64 {
    1000
}

/// Why a known key has no effect, if it has none.
pub(crate) fn without_effect(key: &str) -> Option<&'static str> {
    if key.starts_with("database.") {
        return Some("the store belongs to one process, which waits for nobody");
    }
    if key.starts_with("interfaces.") && key.ends_with(".xdp_mode") {
        return Some("the driver's hook is used where there is one, the generic hook elsewhere");
    }
    None
}
