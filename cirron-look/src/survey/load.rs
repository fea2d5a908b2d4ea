//! How many calls were in flight when each began.

use super::calls::Call;

/// Of each call, itself included: those that began no later and had not ended. One that is open is in flight to the
/// end of the spool.
pub(crate) fn in_flight(calls: &[&Call]) -> Vec<u32> {
    let mut starts: Vec<u64> = calls.iter().map(|call| call.start_ns).collect();
    let mut ends: Vec<u64> = calls
        .iter()
        .filter(|call| !call.is_open())
        .map(|call| call.end_ns)
        .collect();
    starts.sort_unstable();
    ends.sort_unstable();
    calls
        .iter()
        .map(|call| {
            let begun = starts.partition_point(|start| *start <= call.start_ns);
            let ended = ends.partition_point(|end| *end <= call.start_ns);
            // Of one that took no time both are counted.
            begun.saturating_sub(ended).max(1) as u32
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_in_flight_from_its_start_to_before_its_end() {
        let of = |start_ns, end_ns| Call {
            start_ns,
            end_ns,
            ..Call::default()
        };
        let calls = [of(10, 20), of(12, 0), of(20, 30), of(20, 25), of(40, 40)];
        let all: Vec<&Call> = calls.iter().collect();
        // The second is open, the first has ended when the third begins.
        assert_eq!(in_flight(&all), [1, 2, 3, 3, 1]);
    }
}
