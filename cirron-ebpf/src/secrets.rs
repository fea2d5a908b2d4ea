//! Secrets of TLS connections, as the library that made them announces them (`cirron_common::secret`).
//!
//! Stands behind `ctls` at one function of a library, which is called some five times for each handshake and never again. The
//! text that it is handed says which secret it is: what is called otherwise is not read, so that a place that is not what
//! we take it for tells nothing. A secret goes into the ring in order with the ciphertext that it opens, and wakes nobody.

use aya_ebpf::helpers::generated::{bpf_probe_read_user, bpf_probe_read_user_str};
use cirron_common::{
    Counter, Signature,
    record::{kind, source},
    secret::{MAX_NAME_BYTES, MAX_SECRET_BYTES, MIN_SECRET_BYTES, SECRET_LEN, STEMS, Secret},
};

use crate::{
    called::Place,
    emit::{BPF_RB_NO_WAKEUP, Call, With, write_header},
    maps::{RING, count},
    tls::TlsEvent,
};

/// A stem as a word of memory, and which of the word's bytes it has.
const STEM_MASK: u64 = (1 << 56) - 1;
const fn stem(number: usize) -> u64 {
    let [a, b, c, d, e, f, g] = STEMS[number];
    u64::from_ne_bytes([a, b, c, d, e, f, g, 0])
}

/// Tells the secret that the function is called with.
#[inline(never)]
pub fn announce(place: &Place, signature: &Signature, event: &TlsEvent) -> Option<()> {
    let name = place.at_entry(&signature.name)?;
    let secret = place.at_entry(&signature.buffer)?;
    let len = place.at_entry(&signature.moved)?;
    let Some(mut entry) = RING.reserve::<With<Secret>>(0) else {
        count(Counter::EventsLost, 1);
        return None;
    };
    let record = entry.as_mut_ptr();
    // SAFETY: the record is ours until it is given back.
    let told = unsafe { fill(&raw mut (*record).payload, event.object, name, secret, len) };
    if told.is_none() {
        entry.discard(BPF_RB_NO_WAKEUP);
        return None;
    }
    let call = Call::new(event.ts_ns, event.pid_tgid, source::TLS);
    // SAFETY: as above.
    unsafe {
        write_header(
            &raw mut (*record).header,
            &call,
            kind::SECRET,
            SECRET_LEN as u32,
        )
    };
    count(Counter::Records, 1);
    entry.submit(BPF_RB_NO_WAKEUP);
    Some(())
}

/// `None`: it is no secret of a connection, or cannot be read.
///
/// # Safety
/// `to` must be valid for writes.
#[inline(always)]
unsafe fn fill(to: *mut Secret, object: u64, name: u64, secret: u64, len: u64) -> Option<()> {
    // SAFETY: the caller's; a name and a secret are whole numbers of words, and begin at multiples of their size.
    unsafe {
        (*to).object = object;
        (*to).len = len;
        let words = (&raw mut (*to).name).cast::<u64>();
        for i in 0..(MAX_NAME_BYTES + MAX_SECRET_BYTES) / size_of::<u64>() {
            words.add(i).write_volatile(0);
        }
        let read = bpf_probe_read_user_str(words.cast(), MAX_NAME_BYTES as u32, name as *const _);
        if read < 0 {
            return None;
        }
        let begins = words.read_volatile() & STEM_MASK;
        if begins != stem(0) && begins != stem(1) {
            return None;
        }
        let bytes = (&raw mut (*to).bytes).cast();
        let rc = if len == MAX_SECRET_BYTES as u64 {
            bpf_probe_read_user(bytes, MAX_SECRET_BYTES as u32, secret as *const _)
        } else if len == MIN_SECRET_BYTES as u64 {
            bpf_probe_read_user(bytes, MIN_SECRET_BYTES as u32, secret as *const _)
        } else {
            return None;
        };
        if rc != 0 {
            count(Counter::Fault, 1);
            return None;
        }
    }
    Some(())
}
