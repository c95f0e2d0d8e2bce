//! Until when a server's certificate holds: the one field of it that is read here. Whether it is to be trusted is the TLS library's business.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

const SEQUENCE: u8 = 0x30;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
/// What stands before the validity: the serial number, the signature's algorithm, the issuer.
const FIELDS_BEFORE: usize = 3;
/// The version, which may be left out.
const VERSION: u8 = 0xa0;

/// The end of a certificate's validity, from its DER (RFC 5280, 4.1); nothing if it is not understood.
pub(super) fn expires(der: &[u8]) -> Option<Timestamp> {
    let (certificate, _) = expect(SEQUENCE, der)?;
    let (mut rest, _) = expect(SEQUENCE, certificate)?;
    if rest.first() == Some(&VERSION) {
        (_, _, rest) = element(rest)?;
    }
    for _ in 0..FIELDS_BEFORE {
        (_, _, rest) = element(rest)?;
    }
    let (validity, _) = expect(SEQUENCE, rest)?;
    let (_, _, after) = element(validity)?;
    let (tag, text, _) = element(after)?;
    time(tag, std::str::from_utf8(text).ok()?)
}

fn expect(tag: u8, der: &[u8]) -> Option<(&[u8], &[u8])> {
    let (found, content, rest) = element(der)?;
    (found == tag).then_some((content, rest))
}

/// Tag, content, and what follows.
fn element(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = der.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = match first {
        0..=0x7f => (usize::from(first), rest),
        0x81..=0x84 => {
            let (bytes, rest) = rest.split_at_checked(usize::from(first - 0x80))?;
            (bytes.iter().fold(0, |length, byte| length << 8 | usize::from(*byte)), rest)
        }
        _ => return None,
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((tag, content, rest))
}

fn time(tag: u8, text: &str) -> Option<Timestamp> {
    let text = match tag {
        // Two digits of a year: up to 49 they are of this century.
        UTC_TIME if text.get(..2)?.parse::<u8>().ok()? < 50 => format!("20{text}"),
        UTC_TIME => format!("19{text}"),
        GENERALIZED_TIME => text.to_owned(),
        _ => return None,
    };
    let civil = DateTime::strptime("%Y%m%d%H%M%SZ", text).ok()?;
    TimeZone::UTC.to_timestamp(civil).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Made by OpenSSL.
    const CERTIFICATE: &str = "\
        308201883082012da00302010202143f13591d9236b4d66c0ad83799a758c7fcb28440300a06082a8648ce3d04030230193117301506035504030c0e73332e6578616d706c652e6f726730\
        1e170d3236313132323231353832325a170d3237313232373231353832325a30193117301506035504030c0e73332e6578616d706c652e6f72673059301306072a8648ce3d020106082a86\
        48ce3d03010703420004a774e08b4c91207d69f4684259fc5dc8a90e06d11650ad89799d95cf065289f346d125329fdb8ce14fed76da072586094448ffc258edf14ce318eed1adc5ef93a3\
        533051301d0603551d0e04160414a1ee71a6288253c20e5d42f311255d6c0ba708b4301f0603551d23041830168014a1ee71a6288253c20e5d42f311255d6c0ba708b4300f0603551d1301\
        01ff040530030101ff300a06082a8648ce3d0403020349003046022100997ec0c1297a417991b6e74cb2afbdc85ca88f5b9d4d0753c5cc43680ab97216022100ab51f92f58606643e1d8d3\
        eb9d1902aea3e59ce315647de20181b392c435ba5e";

    #[test]
    fn the_end_is_found_and_nonsense_is_not_believed() {
        let der = data_encoding::HEXLOWER.decode(CERTIFICATE.as_bytes()).expect("hex");
        assert_eq!(expires(&der).map(|end| end.to_string()).as_deref(), Some("2027-12-27T21:58:22Z"));
        for length in 0..der.len().min(200) {
            let _ = expires(&der[..length]);
        }
        assert_eq!(expires(&[0x30, 0x84, 0xff, 0xff, 0xff, 0xff]), None);
        assert_eq!(time(UTC_TIME, "491231235959Z").map(|end| end.to_string()).as_deref(), Some("2049-12-31T23:59:59Z"));
        assert_eq!(
            time(GENERALIZED_TIME, "20500101000000Z").map(|end| end.to_string()).as_deref(),
            Some("2050-01-01T00:00:00Z")
        );
    }
}
