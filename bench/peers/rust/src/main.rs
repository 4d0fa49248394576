//! The official SDK of Rust and the mcap crate. peer-rust rerun|mcap|mcap-lz4 FILE ROWS THREADS
use std::fs::File;
use std::io::BufWriter;
use std::sync::{Arc, Barrier, Mutex};
use std::time::Instant;

const DATA: usize = 1 << 20;
const BURSTS: usize = 20;
const BURST: usize = 1000;

fn data() -> Vec<u8> {
    let mut state: u64 = 88172645463325252;
    (0..DATA + 64)
        .map(|i| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            if i % 16 < 8 { (state >> 32) as u8 } else { (i / 16 % 3) as u8 }
        })
        .collect()
}

fn cpu() -> f64 {
    let mut t = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &mut t) };
    t.tv_sec as f64 + t.tv_nsec as f64 / 1e9
}

/// Logs on `threads` threads and tells of it. `log` takes the bytes of a row; `finish` returns once all are written.
fn measure(rows: usize, threads: usize, log: impl Fn(&[u8]) + Send + Sync, rest: impl Fn() + Send + Sync, finish: impl FnOnce()) {
    let data = data();
    let start = Barrier::new(threads + 1);
    let calls = Mutex::new(Vec::new());
    let (mut begin, mut used) = (Instant::now(), cpu());
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                let mut bursts: Vec<f64> = (0..BURSTS)
                    .map(|_| {
                        rest();
                        let begin = Instant::now();
                        for i in 0..BURST {
                            let at = i * 64 % DATA;
                            log(&data[at..at + 64]);
                        }
                        begin.elapsed().as_secs_f64()
                    })
                    .collect();
                bursts.sort_by(f64::total_cmp);
                calls.lock().unwrap().push(bursts[BURSTS / 2] / BURST as f64 * 1e9);
                start.wait();
                for i in 0..rows / threads {
                    let at = i * 64 % DATA;
                    log(&data[at..at + 64]);
                }
            });
        }
        start.wait();
        begin = Instant::now();
        used = cpu();
    });
    let called = begin.elapsed().as_secs_f64();
    finish();
    let mut calls = calls.into_inner().unwrap();
    calls.sort_by(f64::total_cmp);
    println!(
        "{{\"call_ns\":{:.2},\"sustained_ns\":{:.2},\"rows\":{},\"seconds\":{:.6},\"cpu_seconds\":{:.6}}}",
        calls[threads / 2],
        called / (rows / threads) as f64 * 1e9,
        rows / threads * threads,
        begin.elapsed().as_secs_f64(),
        cpu() - used
    );
}

/// A call per row as it comes, with the SDK's own batching, as its quick start logs; `flush_blocking` ends in the page cache.
fn rerun_rows(path: &str, rows: usize, threads: usize) {
    let stream = rerun::RecordingStreamBuilder::new("bench").save(path).unwrap();
    let log = |row: &[u8]| {
        let values = row.chunks_exact(8).map(|bytes| f64::from_le_bytes(bytes.try_into().unwrap()));
        stream.log("bench/e0", &rerun::Scalars::new(values)).unwrap();
    };
    measure(rows, threads, log, || stream.flush_blocking().unwrap(), || stream.flush_blocking().unwrap());
}

/// A channel that is known, a buffered file and the crate's own chunks, as its documentation writes; a writer is not for several
/// threads, so that these share it by a lock.
fn mcap_rows(path: &str, rows: usize, threads: usize, compression: Option<mcap::Compression>) {
    let file = BufWriter::new(File::create(path).unwrap());
    let mut writer = mcap::WriteOptions::new().compression(compression).create(file).unwrap();
    let schema = writer.add_schema("bytes", "raw", b"").unwrap();
    let channel = writer.add_channel(schema, "/bench/e0", "raw", &Default::default()).unwrap();
    let writer = Arc::new(Mutex::new(writer));
    let log = |row: &[u8]| {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos() as u64;
        let header = mcap::records::MessageHeader { channel_id: channel, sequence: 0, log_time: now, publish_time: now };
        writer.lock().unwrap().write_to_known_channel(&header, row).unwrap();
    };
    measure(rows, threads, log, || (), || {
        writer.lock().unwrap().finish().unwrap();
    });
}

fn main() {
    let words: Vec<String> = std::env::args().collect();
    let (path, rows, threads) = (&words[2], words[3].parse().unwrap(), words[4].parse().unwrap());
    match words[1].as_str() {
        "rerun" => rerun_rows(path, rows, threads),
        "mcap" => mcap_rows(path, rows, threads, None),
        "mcap-lz4" => mcap_rows(path, rows, threads, Some(mcap::Compression::Lz4)),
        "mcap-zstd" => mcap_rows(path, rows, threads, Some(mcap::Compression::Zstd)),
        other => panic!("what is {other}?"),
    }
}
