use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// How a node is reached: by ssh, and by the other nodes. As text `[user@]host[:port][/ip…]`; a host that is an IPv6
/// address stands in brackets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SshAddress {
    /// What `ssh` is given: `user@host`, or a name from the user's configuration.
    pub destination: String,
    /// The port, if it is not the one that `ssh` would take.
    pub port: Option<u16>,
    /// The addresses by which clients and other nodes reach it, if not the one that ssh arrives at.
    pub ips: Vec<IpAddr>,
}

impl SshAddress {
    /// The machine, without the user.
    pub fn host(&self) -> &str {
        self.destination.rsplit_once('@').map_or(&self.destination, |(_, host)| host)
    }
}

impl FromStr for SshAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<SshAddress, String> {
        let wrong = |why: &str| format!("{text:?} is no node: {why}; write it as [user@]host[:port][/ip]");
        let mut parts = text.split('/');
        let ssh = parts.next().unwrap_or_default();
        let ips = parts
            .map(|ip| ip.parse().map_err(|_| wrong(&format!("{ip:?} is no IP address"))))
            .collect::<Result<Vec<IpAddr>, String>>()?;
        let (user, host) = match ssh.rsplit_once('@') {
            Some((user, host)) => (format!("{user}@"), host),
            None => (String::new(), ssh),
        };
        let (host, port) = match host.strip_prefix('[') {
            Some(rest) => {
                let (host, after) = rest.split_once(']').ok_or_else(|| wrong("a bracket is open"))?;
                (host, after.strip_prefix(':'))
            }
            None => host.split_once(':').map_or((host, None), |(host, port)| (host, Some(port))),
        };
        let number = |port: &str| port.parse().ok().filter(|&port| port > 0);
        let port = port.map(|port| number(port).ok_or_else(|| wrong(&format!("{port:?} is no port"))));
        // ssh would take it for an option.
        if host.is_empty() || ssh.starts_with('-') || ssh.contains(char::is_whitespace) {
            return Err(wrong("it names no host"));
        }
        Ok(SshAddress { destination: format!("{user}{host}"), port: port.transpose()?, ips })
    }
}

impl fmt::Display for SshAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.port, self.destination.rsplit_once('@').unwrap_or(("", &self.destination))) {
            (None, _) => f.write_str(&self.destination)?,
            (Some(port), (user, host)) if host.contains(':') => {
                let at = if user.is_empty() { "" } else { "@" };
                write!(f, "{user}{at}[{host}]:{port}")?;
            }
            (Some(port), _) => write!(f, "{}:{port}", self.destination)?,
        }
        self.ips.iter().try_for_each(|ip| write!(f, "/{ip}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_and_written() {
        let parse = |text: &str| text.parse::<SshAddress>().unwrap();
        let plain = parse("db1");
        assert_eq!((plain.destination.as_str(), plain.port, plain.ips.len()), ("db1", None, 0));
        let full = parse("root@db1:2222/10.0.0.1/fd00::1");
        assert_eq!((full.destination.as_str(), full.port), ("root@db1", Some(2222)));
        assert_eq!(full.ips, ["10.0.0.1".parse::<IpAddr>().unwrap(), "fd00::1".parse().unwrap()]);
        let v6 = parse("me@[fd00::5]:22");
        assert_eq!((v6.destination.as_str(), v6.port), ("me@fd00::5", Some(22)));
        for text in ["db1", "root@db1:2222/10.0.0.1/fd00::1", "me@[fd00::5]:22", "[fd00::5]:22"] {
            assert_eq!(parse(text).to_string(), text);
        }
        assert_eq!(parse("[fd00::5]").destination, "fd00::5");
    }

    #[test]
    fn mistakes_say_how_it_is_written() {
        for bad in ["", "db1:ssh", "db1:0", "db1/elsewhere", "-oProxyCommand=x", "root@", "[fd00::1", "a b"] {
            let error = bad.parse::<SshAddress>().unwrap_err();
            assert!(error.contains("[user@]host[:port][/ip]"), "{bad}: {error}");
        }
    }
}
