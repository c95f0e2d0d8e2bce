//! Shamir's sharing of bytes over GF(256), the field of AES (x⁸ + x⁴ + x³ + x + 1).
//!
//! Each byte of a secret is the value at zero of a polynomial of its own, whose other coefficients are random; a share is the values of all of them at one
//! place. Nothing here branches on secret bytes or looks anything up by them: products are made bit by bit. What is public, the places, may decide.

use zeroize::Zeroizing;

/// The value at one place: the place's number is public, and never zero.
pub(super) type Point<'a> = (u8, &'a [u8]);

/// The shares at the places 1 to `count` of a secret that `needed` of them give back. `random` fills what it is given.
pub(super) fn split(secret: &[u8], needed: u8, count: u8, random: impl Fn(&mut [u8])) -> Vec<Zeroizing<Vec<u8>>> {
    let mut coefficients = Zeroizing::new(vec![0; secret.len() * usize::from(needed.saturating_sub(1))]);
    random(&mut coefficients);
    let value = |place: u8| {
        let mut sum = Zeroizing::new(vec![0; secret.len()]);
        // Horner's rule, from the highest power down to the secret itself.
        for powers in coefficients.chunks(secret.len().max(1)).chain([secret]) {
            sum.iter_mut().zip(powers).for_each(|(sum, power)| *sum = multiply(*sum, place) ^ power);
        }
        sum
    };
    (1..=count).map(value).collect()
}

/// The value at `place` of the polynomials through these points, which are of one length and at different places.
pub(super) fn interpolate(points: &[Point<'_>], place: u8) -> Zeroizing<Vec<u8>> {
    let mut sum = Zeroizing::new(vec![0; points.first().map_or(0, |(_, bytes)| bytes.len())]);
    for (at, bytes) in points {
        let others = points.iter().map(|(other, _)| *other).filter(|other| other != at);
        let weight = others.fold(1, |weight, other| multiply(weight, multiply(place ^ other, invert(at ^ other))));
        sum.iter_mut().zip(*bytes).for_each(|(sum, byte)| *sum ^= multiply(weight, *byte));
    }
    sum
}

fn multiply(mut left: u8, right: u8) -> u8 {
    let mut product = 0;
    for bit in 0..8 {
        product ^= left & mask(right >> bit);
        left = (left << 1) ^ (0x1b & mask(left >> 7));
    }
    product
}

/// All ones if the lowest bit is set, else all zeros.
fn mask(bits: u8) -> u8 {
    (bits & 1).wrapping_neg()
}

/// By Fermat: the 254th power. Of zero it is zero.
fn invert(value: u8) -> u8 {
    // 254 = 2 + 4 + 8 + 16 + 32 + 64 + 128.
    let mut power = value;
    (0..7).fold(1, |product, _| {
        power = multiply(power, power);
        multiply(product, power)
    })
}

#[cfg(test)]
mod tests {
    use data_encoding::HEXLOWER;

    use super::*;

    #[test]
    fn it_is_a_field() {
        for value in 1..=255 {
            assert_eq!(multiply(value, invert(value)), 1, "{value}");
            assert_eq!(multiply(value, 1), value);
        }
        // FIPS 197, section 4.2.
        assert_eq!((multiply(0x57, 0x83), multiply(0x57, 0x13)), (0xc1, 0xfe));
    }

    fn hex(text: &str) -> Vec<u8> {
        HEXLOWER.decode(text.as_bytes()).unwrap()
    }

    /// Values at 0 to 40, and what SatoshiLabs' reference implementation of SLIP-39 (shamir-mnemonic, by tables of logarithms) has at other places.
    #[test]
    fn it_agrees_with_an_independent_implementation() {
        let secret: Vec<u8> = (0..40).collect();
        let first = hex("0b30557a9fc4e90e33587da2c7ec11365b80a5caef14395e83a8cdf2173c6186abd0f51a3f6489ae");
        let second = hex("076cd1369b0065ca2f94f95ec3288df257bc2186eb50b51a7fe449ae1378dd42a70c71d63ba0056a");
        let three = [
            (3, "0c5d864f00c18ac314c58ef708c992cb1c2d965f10519a53e4559e471859a2db2cfda6ef20e1aae3"),
            (5, "41d60721448881de2285f478517bceddbca7c00b4299bd0e7e6fde686d6a08f7a0f7e6c1a5694c3f"),
            (9, "94176008e75fb7ea7624bfd6bc8091d3314d63be950963cdaea5095c68d64e65c571311fb60e22bb"),
        ]
        .map(|(place, text)| (place, hex(text)));
        for (place, expect) in &three {
            assert_eq!(*interpolate(&[(0, &secret), (1, &first), (2, &second)], *place), *expect);
        }
        let points: Vec<Point<'_>> = three.iter().map(|(place, bytes)| (*place, &**bytes)).collect();
        assert_eq!(*interpolate(&points, 0), secret);
        let two = [
            (2, "1663acf1299cc3157eabe44281d4307d862867baf91748853560afd20a5fe0362dd8975112a7632e"),
            (9, "53a3db9f2b96d046f0e6e89dc5a5e9e535646a58761c5a2037572ffb4f2fb4229f1917c9e75a868a"),
        ]
        .map(|(place, text)| (place, hex(text)));
        assert_eq!(*interpolate(&[(2, &two[0].1), (9, &two[1].1)], 0), secret);
    }

    #[test]
    fn shares_are_values_of_the_polynomial_that_was_drawn() {
        let drawn = |bytes: &mut [u8]| bytes.fill(7);
        let shares = split(&[1, 0x80], 2, 3, drawn);
        let expect = |place| vec![1 ^ multiply(7, place), 0x80 ^ multiply(7, place)];
        assert_eq!(shares.iter().map(|share| share.to_vec()).collect::<Vec<_>>(), [expect(1), expect(2), expect(3)]);
    }
}
