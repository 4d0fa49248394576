//! Takes every message of MCAP files, one file after the other, with the mcap crate: usage mcap_read IN... Prints how many
//! messages and bytes there were.
use std::{env, error::Error, fs::File};

fn main() -> Result<(), Box<dyn Error>> {
    let (mut messages, mut bytes) = (0, 0);
    for name in env::args().skip(1) {
        let map = unsafe { memmap2::Mmap::map(&File::open(name)?)? };
        for message in mcap::MessageStream::new(&map)? {
            bytes += message?.data.len();
            messages += 1;
        }
    }
    println!("{messages} {bytes}");
    Ok(())
}
