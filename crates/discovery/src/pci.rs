use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Where a function sits on the PCI buses of a host: domain, bus, device, function.
///
/// Displayed as the kernel writes it, `0000:05:00.0`, with more digits for a domain above 0xffff.
/// Parsed from that, in any case, and from the short form without domain (`05:00.0`, domain 0).
/// Ordered by number, not by text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct PciAddress {
    /// PCI domain (segment). Mostly 0; Intel VMD and some hypervisors go above 0xffff.
    pub domain: u32,
    /// Bus number.
    pub bus: u8,
    /// Device number, 0 to 31.
    pub device: u8,
    /// Function number, 0 to 7.
    pub function: u8,
}

impl PciAddress {
    /// Whether both are functions of one device: the same domain, bus and device number.
    pub fn same_device(&self, other: &Self) -> bool {
        (self.domain, self.bus, self.device) == (other.domain, other.bus, other.device)
    }
}

impl fmt::Display for PciAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            domain,
            bus,
            device,
            function,
        } = self;
        write!(f, "{domain:04x}:{bus:02x}:{device:02x}.{function:x}")
    }
}

/// A text that is no PCI address.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{text:?} is not a PCI address")]
pub struct ParsePciAddressError {
    text: String,
}

impl ParsePciAddressError {
    /// The forms that are understood.
    pub fn hint(&self) -> Option<String> {
        Some("write it as 0000:05:00.0, or 05:00.0 in domain 0".to_owned())
    }
}

impl FromStr for PciAddress {
    type Err = ParsePciAddressError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        parse(text).ok_or_else(|| ParsePciAddressError {
            text: text.to_owned(),
        })
    }
}

impl TryFrom<String> for PciAddress {
    type Error = ParsePciAddressError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<PciAddress> for String {
    fn from(address: PciAddress) -> Self {
        address.to_string()
    }
}

fn parse(text: &str) -> Option<PciAddress> {
    let (slot, function) = text.rsplit_once('.')?;
    let (head, device) = slot.rsplit_once(':')?;
    let (domain, bus) = head.split_once(':').unwrap_or(("0", head));
    let address = PciAddress {
        domain: parse_hex(domain, 8)?,
        bus: u8::try_from(parse_hex(bus, 2)?).ok()?,
        device: u8::try_from(parse_hex(device, 2)?).ok()?,
        function: u8::try_from(parse_hex(function, 1)?).ok()?,
    };
    (address.device < 32 && address.function < 8).then_some(address)
}

fn parse_hex(digits: &str, most: usize) -> Option<u32> {
    if digits.len() > most || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    u32::from_str_radix(digits, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(domain: u32, bus: u8, device: u8, function: u8) -> PciAddress {
        PciAddress {
            domain,
            bus,
            device,
            function,
        }
    }

    #[test]
    fn kernel_names_and_short_names_parse() {
        for (text, expected) in [
            ("0000:05:00.0", address(0, 5, 0, 0)),
            ("05:00.0", address(0, 5, 0, 0)),
            ("0000:C1:1F.7", address(0, 0xc1, 0x1f, 7)),
            ("0001:c1:00.1", address(1, 0xc1, 0, 1)),
            ("10000:e1:00.0", address(0x1_0000, 0xe1, 0, 0)),
            ("ffffffff:00:00.0", address(u32::MAX, 0, 0, 0)),
        ] {
            assert_eq!(text.parse(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for text in [
            "",
            "module",
            "05:00",
            "0000:05:00",
            "0000:05:20.0",
            "0000:05:00.8",
            "0000:05:00.00",
            "0000:105:00.0",
            "100000000:05:00.0",
            "0:0000:05:00.0",
            ":05:00.0",
            "+1:05:00.0",
            "0000:05:00.0 ",
        ] {
            assert!(text.parse::<PciAddress>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn display_is_the_kernels_spelling() {
        assert_eq!(address(0, 5, 0, 0).to_string(), "0000:05:00.0");
        assert_eq!(
            address(0x1_0000, 0xe1, 0x1f, 7).to_string(),
            "10000:e1:1f.7"
        );
    }

    #[test]
    fn order_is_by_number_where_text_order_differs() {
        assert!(address(0x1_0000, 0, 0, 0) > address(0xffff, 0xff, 0, 0));
        assert!("10000:00:00.0" < "ffff:ff:00.0");
    }

    #[test]
    fn an_address_is_a_string_in_json() {
        let json = serde_json::to_string(&address(0, 5, 0, 0)).unwrap();
        assert_eq!(json, r#""0000:05:00.0""#);
        assert_eq!(
            serde_json::from_str::<PciAddress>(&json).unwrap(),
            address(0, 5, 0, 0)
        );
    }
}
