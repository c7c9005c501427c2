//! The name of a span that other processes can point to: W3C Trace Context, the header `traceparent`.
//!
//! It comes out of claims, so it may be anybody's invention. What is accepted is strict, and whoever accepts it may link to
//! it; it is never made a parent, or a claim could put this process's spans into a trace of its choice.

use std::fmt;
use std::num::{NonZeroU64, NonZeroU128};

/// A span's identity in W3C Trace Context, version 00.
///
/// Both identities are random numbers other than zero; a claim's `traceparent` that is anything else is dropped.
/// See <https://www.w3.org/TR/trace-context/#traceparent-header>.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TraceParent {
    /// Which trace.
    pub trace_id: NonZeroU128,
    /// Which span in it.
    pub span_id: NonZeroU64,
    /// Bit 0: the span is sampled. The others are kept as they are.
    pub flags: u8,
}

impl TraceParent {
    /// Reads `00-<32 hex digits>-<16 hex digits>-<2 hex digits>`, lowercase, and nothing else: no other version, no zero
    /// identity, no space around it.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('-');
        let (version, trace_id, span_id, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        if version != "00" || parts.next().is_some() {
            return None;
        }
        Some(Self {
            trace_id: NonZeroU128::new(hex(trace_id, 32)?)?,
            span_id: NonZeroU64::new(hex(span_id, 16)?.try_into().ok()?)?,
            flags: hex(flags, 2)?.try_into().ok()?,
        })
    }

    /// Whether the span's process records it, so that there is something to find.
    #[must_use]
    pub const fn is_sampled(&self) -> bool {
        self.flags & 1 == 1
    }
}

/// Exactly this many lowercase hex digits.
fn hex(text: &str, digits: usize) -> Option<u128> {
    let is_hex = text.len() == digits && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    is_hex.then(|| u128::from_str_radix(text, 16).ok()).flatten()
}

impl fmt::Display for TraceParent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{:032x}-{:016x}-{:02x}", self.trace_id, self.span_id, self.flags)
    }
}

#[cfg(test)]
mod tests {
    use super::TraceParent;

    /// The recommendation's own example.
    const EXAMPLE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    /// Miri takes some hundred times as long.
    const CASES: u32 = if cfg!(miri) { 500 } else { 50_000 };

    #[test]
    fn what_is_well_formed_reads_back_to_the_letter() {
        let parsed = TraceParent::parse(EXAMPLE).expect("well formed");
        assert_eq!(parsed.trace_id.get(), 0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736);
        assert_eq!(parsed.span_id.get(), 0x00f0_67aa_0ba9_02b7);
        assert!(parsed.is_sampled());
        assert!(!TraceParent::parse(&format!("{}00", &EXAMPLE[..53])).expect("well formed").is_sampled());
        for flags in 0..=u8::MAX {
            let text = format!("{}{flags:02x}", &EXAMPLE[..53]);
            assert_eq!(TraceParent::parse(&text).expect("any flags").to_string(), text);
        }
    }

    #[test]
    fn anything_else_is_refused() {
        let zero_trace = format!("00-{}-00f067aa0ba902b7-01", "0".repeat(32));
        let zero_span = format!("00-4bf92f3577b34da6a3ce929d0e0e4736-{}-01", "0".repeat(16));
        let signed = EXAMPLE.replace("4bf9", "+bf9");
        let wide = EXAMPLE.replace("01", "０１");
        for text in [
            "",
            "00",
            "---",
            &zero_trace,
            &zero_span,
            &signed,
            &wide,
            &EXAMPLE.to_uppercase(),
            &EXAMPLE.replacen("00", "01", 1),
            &EXAMPLE.replacen("00", "ff", 1),
            &format!("{EXAMPLE}-extra"),
            &format!("{EXAMPLE}-"),
            &format!(" {EXAMPLE}"),
            &format!("{EXAMPLE}\n"),
            &EXAMPLE.replace('-', "_"),
            &EXAMPLE[..54],
            &EXAMPLE[1..],
        ] {
            assert_eq!(TraceParent::parse(text), None, "{text:?}");
        }
    }

    /// Whatever is accepted is exactly what would be written, so nothing else can hide in it.
    #[test]
    fn garbage_is_refused_or_reads_back_to_the_letter() {
        let seed = fastrand::u64(..);
        eprintln!("seed {seed}: replay by putting it into Rng::with_seed");
        let mut random = fastrand::Rng::with_seed(seed);
        let (mut accepted, mut refused) = (0, 0);
        for _ in 0..CASES {
            let mut text: Vec<char> = EXAMPLE.chars().collect();
            for _ in 0..random.usize(1..4) {
                let at = random.usize(..text.len());
                let c = if random.bool() { random.choice(*b"0123456789abcdef").map(char::from) } else { None };
                match random.u8(..4) {
                    0 => drop(text.remove(at)),
                    1 => text.insert(at, c.unwrap_or_else(|| random.char(..))),
                    _ => text[at] = c.unwrap_or_else(|| random.char(..)),
                }
            }
            let text: String = text.into_iter().collect();
            match TraceParent::parse(&text) {
                Some(parsed) => {
                    assert_eq!(parsed.to_string(), text, "seed {seed}");
                    accepted += 1;
                }
                None => refused += 1,
            }
        }
        for _ in 0..CASES {
            let text: String = (0..random.usize(..80)).map(|_| random.char(..)).collect();
            assert_eq!(TraceParent::parse(&text), None, "seed {seed}: {text:?}");
        }
        assert!(
            accepted > CASES / 50 && refused > CASES / 50,
            "both were tried: {accepted} and {refused}, seed {seed}"
        );
    }

    #[test]
    fn every_identity_reads_back() {
        let seed = fastrand::u64(..);
        eprintln!("seed {seed}: replay by putting it into Rng::with_seed");
        let mut random = fastrand::Rng::with_seed(seed);
        for _ in 0..CASES / 5 {
            // Small ones too, which have leading zeros.
            let (trace_id, span_id) = (random.u128(1..) >> random.u32(..128), random.u64(1..) >> random.u32(..64));
            let (Ok(trace_id), Ok(span_id)) = (trace_id.try_into(), span_id.try_into()) else { continue };
            let written = TraceParent { trace_id, span_id, flags: random.u8(..) };
            assert_eq!(TraceParent::parse(&written.to_string()), Some(written), "seed {seed}");
        }
    }
}
