//! What `emit` costs its caller. The figures that count are those of `cargo xtask bench emitter` on
//! a quiet machine; here a bound holds that only a wait or a system call would break.

use std::sync::Arc;
use std::time::{Duration, Instant};

use ledgerline_emitter::event::Event;
use ledgerline_emitter::{Builder, Delivery, Transport, Unit, Verdict};

struct Taking;

impl Transport for Taking {
    fn send(&mut self, batch: &[Arc<Unit>]) -> Delivery {
        // A ledger's answer takes a while.
        std::thread::sleep(Duration::from_millis(3));
        Delivery::Answered(vec![Verdict::Recorded; batch.len()], None)
    }
}

/// Resident memory of this process, in bytes.
fn resident() -> u64 {
    let text = std::fs::read_to_string("/proc/self/statm").expect("Linux");
    let pages: u64 = text.split(' ').nth(1).expect("pages").parse().expect("a number");
    pages * 4096
}

#[test]
fn a_call_waits_for_nothing_and_memory_does_not_grow() {
    const CALLS: usize = 100_000;
    let emitter = Builder::new("orders", Taking).heartbeat(None).start().expect("an emitter");
    let mut took = Vec::with_capacity(CALLS);
    let mut before = 0;
    for n in 0..CALLS {
        let event = Event {
            event_type: Some("RESOURCE_ACCESSED".into()),
            token_id: Some(format!("eu:idp:jti:0123456789abcdef-{}", n % 1000).into()),
            endpoint: Some("/orders/{id}".into()),
            ..Event::default()
        };
        let begun = Instant::now();
        emitter.emit(event).expect("taken");
        took.push(begun.elapsed());
        if n % 50 == 0 {
            std::thread::sleep(Duration::from_millis(1));
        }
        if n == CALLS / 2 {
            before = resident();
        }
    }
    let grown = resident().saturating_sub(before);
    took.sort();
    let (p50, p99) = (took[CALLS / 2], took[CALLS * 99 / 100]);
    println!("p50 {p50:?}, p99 {p99:?}, {} KiB more memory in the second half", grown / 1024);
    assert!(p50 < Duration::from_micros(10), "{p50:?}");
    assert!(grown < 16 << 20, "{grown} bytes");
    assert!(emitter.stop(Duration::from_secs(10)).is_delivered);
}
