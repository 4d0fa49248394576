//! The work list of log_benchmark with the official SDK of Rust, as the SDK's own log_benchmark logs it: owned vectors moved into
//! archetypes, `set_time_sequence` and `log` per row; but into a file. log_benchmark FILE WORK COUNT; see ../../log_benchmark.c.
use std::hint::black_box;
use std::time::Instant;

use rerun::RecordingStream;

fn next(state: &mut i64) -> i64 {
    *state = (1140671485 * *state + 128201163) % 16777216;
    *state
}

fn cpu() -> f64 {
    let mut t = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &mut t) };
    t.tv_sec as f64 + t.tv_nsec as f64 / 1e9
}

/// Runs the logging of rows that are made, and tells of it.
fn measure(stream: &RecordingStream, rows: usize, bytes: usize, log: impl FnOnce()) {
    let (begin, used) = (Instant::now(), cpu());
    log();
    let called = begin.elapsed().as_secs_f64();
    stream.flush_blocking().unwrap();
    println!(
        "{{\"call_seconds\":{:.9},\"seconds\":{:.9},\"cpu_seconds\":{:.9},\"rows\":{rows},\"bytes\":{bytes}}}",
        called,
        begin.elapsed().as_secs_f64(),
        cpu() - used
    );
}

struct Points {
    positions: Vec<[f32; 3]>,
    colors: Vec<u32>,
    radii: Vec<f32>,
}

fn make_points(count: usize, mut state: i64) -> Points {
    black_box(Points {
        positions: (0..count).map(|_| std::array::from_fn(|_| next(&mut state) as f32)).collect(),
        colors: (0..count).map(|_| next(&mut state) as u32).collect(),
        radii: (0..count).map(|_| next(&mut state) as f32).collect(),
    })
}

fn points3d_large_batch(stream: &RecordingStream, count: usize) {
    let Points { positions, colors, radii } = make_points(count, 42);
    measure(stream, 1, count * 20, || {
        let points = rerun::Points3D::new(positions).with_colors(colors).with_radii(radii).with_labels(["some label"]);
        stream.log("large_batch", &points).unwrap();
    });
}

fn points3d_many_individual(stream: &RecordingStream, count: usize) {
    let Points { positions, colors, radii } = make_points(count, 1337);
    measure(stream, count, count * 20, || {
        for i in 0..count {
            stream.set_time_sequence("my_timeline", i as i64);
            let point = rerun::Points3D::new([positions[i]]).with_colors([colors[i]]).with_radii([radii[i]]);
            stream.log("single_point", &point).unwrap();
        }
    });
}

fn boxes3d(stream: &RecordingStream, count: usize) {
    let mut centers: Vec<[f32; 3]> = Vec::new();
    for x in 0..200 {
        for y in 0..200 {
            let height = 10.0 + 10.0 * (((x + y) as f32 * 0.1).sin() + 1.0) / 2.0;
            centers.extend((0..height.round() as usize).map(|z| [x as f32, y as f32, z as f32]));
        }
    }
    let bytes = count * centers.len() * 12;
    let mut grids = vec![centers; count]; // each to be moved from
    measure(stream, count, bytes, || {
        while let Some(centers) = grids.pop() {
            let boxes = rerun::Boxes3D::update_fields()
                .with_half_sizes([rerun::HalfSize3D::new(0.5, 0.5, 0.5)])
                .with_centers(centers)
                .with_fill_mode(rerun::FillMode::Solid);
            stream.log("large_batch", &boxes).unwrap();
        }
    });
}

fn transform3d(stream: &RecordingStream, count: usize) {
    let mut state = 12345;
    let mut number = |by: f32| (next(&mut state) % 1000) as f32 / by;
    let rows: Vec<([f32; 3], [f32; 9])> = (0..count * 10)
        .map(|_| (std::array::from_fn(|_| number(100.0)), std::array::from_fn(|_| number(500.0) - 1.0)))
        .collect();
    measure(stream, rows.len(), rows.len() * 48, || {
        for (i, (translation, mat3x3)) in rows.iter().enumerate() {
            stream.set_time_sequence("frame", i as i64 / 10);
            let transform = rerun::Transform3D::default().with_translation(*translation).with_mat3x3(*mat3x3);
            stream.log(format!("transform_{}", i % 10), &transform).unwrap();
        }
    });
}

fn scalars(stream: &RecordingStream, count: usize) {
    const ENTITIES: usize = 600;
    let paths: Vec<rerun::EntityPath> = (0..ENTITIES).map(|i| format!("scalar_{i}").into()).collect();
    let mut state = 42;
    let mut values = vec![0.0; count * ENTITIES];
    for i in ENTITIES..values.len() {
        values[i] = values[i - ENTITIES] + next(&mut state) as f64 / 16777216.0 * 0.2 - 0.1;
    }
    measure(stream, values.len(), values.len() * 8, || {
        for (i, value) in values.iter().enumerate() {
            stream.set_time_sequence("frame", (i / ENTITIES) as i64);
            stream.log(paths[i % ENTITIES].clone(), &rerun::Scalars::new([*value])).unwrap();
        }
    });
}

fn image(stream: &RecordingStream, count: usize) {
    let mut pixels = vec![1u8; count * count * 4];
    measure(stream, 4, pixels.len() * 4, || {
        for i in 0..4 {
            pixels[i] += 1;
            // The SDK wants to own the pixels, and who logs wants to keep them.
            stream.log("test_image", &rerun::Image::from_rgba32(pixels.clone(), [count as u32, count as u32])).unwrap();
        }
    });
}

fn main() {
    let words: Vec<String> = std::env::args().collect();
    let stream = rerun::RecordingStreamBuilder::new("log_benchmark").save(&words[1]).unwrap();
    let count = words[3].parse().unwrap();
    match words[2].as_str() {
        "points3d_large_batch" => points3d_large_batch(&stream, count),
        "points3d_many_individual" => points3d_many_individual(&stream, count),
        "boxes3d" => boxes3d(&stream, count),
        "transform3d" => transform3d(&stream, count),
        "scalars" => scalars(&stream, count),
        "image" => image(&stream, count),
        other => panic!("what is {other}?"),
    }
}
