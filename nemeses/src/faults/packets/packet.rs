//! As much of an IP packet as an engine needs.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Where a packet is from, and where its payload begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Packet {
    pub(super) source: IpAddr,
    pub(super) destination: IpAddr,
    /// Bytes of the IP header.
    pub(super) header: usize,
}

impl Packet {
    /// `None` if it is no whole IP packet.
    pub(super) fn parse(bytes: &[u8]) -> Option<Packet> {
        match bytes.first()? >> 4 {
            4 => {
                let header = usize::from(bytes[0] & 15) * 4;
                let address =
                    |at: usize| Some(Ipv4Addr::from(<[u8; 4]>::try_from(bytes.get(at..at + 4)?).ok()?));
                let (source, destination) = (address(12)?.into(), address(16)?.into());
                (20..=bytes.len()).contains(&header).then_some(Packet { source, destination, header })
            }
            6 => {
                let address =
                    |at: usize| Some(Ipv6Addr::from(<[u8; 16]>::try_from(bytes.get(at..at + 16)?).ok()?));
                Some(Packet { source: address(8)?.into(), destination: address(24)?.into(), header: 40 })
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_versions_are_read_and_scraps_are_not() {
        let mut v4 = [0; 28];
        v4[0] = 0x46;
        v4[12..16].copy_from_slice(&[10, 0, 0, 1]);
        v4[16..20].copy_from_slice(&[10, 0, 0, 2]);
        let packet = Packet::parse(&v4).unwrap();
        assert_eq!(
            (packet.source.to_string(), packet.destination.to_string()),
            ("10.0.0.1".into(), "10.0.0.2".into())
        );
        assert_eq!(packet.header, 24);
        let mut v6 = [0; 40];
        v6[0] = 0x60;
        v6[23] = 1;
        assert_eq!(Packet::parse(&v6).unwrap().source.to_string(), "::1");
        assert_eq!(Packet::parse(&v4[..19]), None);
        assert_eq!(Packet::parse(&v6[..39]), None);
        assert_eq!(Packet::parse(&[0x4f; 24]), None);
        assert_eq!(Packet::parse(&[]), None);
    }
}
