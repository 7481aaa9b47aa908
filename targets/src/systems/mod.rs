//! The systems under test, one module each.

use std::net::IpAddr;

pub mod file;
pub mod refkv;

/// An address as it stands before a port.
fn host(ip: IpAddr) -> String {
    match ip {
        IpAddr::V4(ip) => ip.to_string(),
        IpAddr::V6(ip) => format!("[{ip}]"),
    }
}
