use std::env;
use std::net::IpAddr;

/// In the environment of an agent behind ssh: what sshd puts into `SSH_CONNECTION`.
pub(crate) const VARIABLE: &str = "SQUALL_CONTROL";

/// The connection by which the controller reaches this machine, seen from here. Faults leave it alone: a controller may run
/// on one of the nodes, or come by way of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ControlPath {
    /// Where it comes from.
    pub from: IpAddr,
    /// From which port.
    pub from_port: u16,
    /// To which port.
    pub to_port: u16,
}

impl ControlPath {
    /// The one of this agent; none where it is not reached through a network.
    pub fn own() -> Option<ControlPath> {
        ControlPath::parse(&env::var(VARIABLE).ok()?)
    }

    /// `10.0.0.1 50000 10.0.0.2 22`
    fn parse(text: &str) -> Option<ControlPath> {
        let words: Vec<&str> = text.split(' ').collect();
        let [from, from_port, _to, to_port] = words[..] else { return None };
        let from: IpAddr = from.parse().ok()?;
        Some(ControlPath {
            from: from.to_canonical(),
            from_port: from_port.parse().ok()?,
            to_port: to_port.parse().ok()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_sshd_says_is_read() {
        let path = ControlPath::parse("10.0.0.1 50000 10.0.0.2 22").unwrap();
        assert_eq!((path.from.to_string().as_str(), path.from_port, path.to_port), ("10.0.0.1", 50_000, 22));
        assert_eq!(ControlPath::parse("::ffff:10.0.0.1 5 ::1 22").unwrap().from, path.from);
        assert_eq!(ControlPath::parse("UNKNOWN 65535 UNKNOWN 65535"), None);
        assert_eq!(ControlPath::parse(""), None);
    }
}
