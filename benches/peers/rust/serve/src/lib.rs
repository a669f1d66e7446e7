//! The loop that every peer in Rust runs: one work, done again and again on demand. The protocol is that of `peer.py`.

mod networks;
mod samples;

use std::io::BufRead;
use std::time::{Duration, Instant};

pub use networks::{Layer, Network, network};
pub use samples::{Sample, sample};

/// A function that does a work once.
pub type Run = Box<dyn FnMut()>;

/// Builds the work named on the command line and does it on demand. `build` returns `None` for a work that this peer has not.
pub fn serve(build: impl FnOnce(&str) -> Option<Run>) {
    let Some(work) = std::env::args().nth(1) else {
        eprintln!("usage: PEER WORK THREADS; RAYON_NUM_THREADS sets the threads");
        std::process::exit(2);
    };
    let before = status("VmRSS:");
    let Some(mut run) = build(&work) else {
        println!("{{\"unsupported\": \"no such work\"}}");
        return;
    };
    let start = Instant::now();
    let mut runs = 0;
    while runs < 2 || (runs < 50 && start.elapsed() < Duration::from_millis(500)) {
        run();
        runs += 1;
    }
    println!("{{\"ready\": true}}");
    for line in std::io::stdin().lock().lines().map_while(Result::ok) {
        let reps: usize = line.split_whitespace().nth(1).and_then(|reps| reps.parse().ok()).unwrap_or(1);
        let times: Vec<String> = (0..reps).map(|_| timed(&mut run)).map(|time| format!("{:.6}", time.as_secs_f64() * 1e3)).collect();
        let peak = status("VmHWM:").zip(before).map_or("null".into(), |(peak, before)| (peak.saturating_sub(before)).to_string());
        println!("{{\"times_ms\": [{}], \"peak_bytes\": {peak}}}", times.join(", "));
    }
}

fn timed(run: &mut Run) -> Duration {
    let start = Instant::now();
    run();
    start.elapsed()
}

/// A line of `/proc/self/status`, in bytes.
fn status(key: &str) -> Option<u64> {
    let text = std::fs::read_to_string("/proc/self/status").ok()?;
    let kib: u64 = text.lines().find_map(|line| line.strip_prefix(key))?.split_whitespace().next()?.parse().ok()?;
    Some(kib * 1024)
}
