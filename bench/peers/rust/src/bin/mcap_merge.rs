//! Merges MCAP files in the order of log_time with the mcap crate, LZ4 out: usage mcap_merge OUT IN...
use std::collections::{BinaryHeap, HashMap};
use std::{cmp::Reverse, env, error::Error, fs::File, io::BufWriter, iter::Peekable};

fn main() -> Result<(), Box<dyn Error>> {
    let mut names = env::args().skip(1);
    let out = BufWriter::new(File::create(names.next().ok_or("usage: mcap_merge OUT IN...")?)?);
    let mut writer = mcap::WriteOptions::new().compression(Some(mcap::Compression::Lz4)).create(out)?;
    let maps = names
        .map(|name| unsafe { memmap2::Mmap::map(&File::open(name)?) })
        .collect::<Result<Vec<_>, _>>()?;
    let mut streams: Vec<Peekable<mcap::MessageStream>> = maps
        .iter()
        .map(|map| Ok(mcap::MessageStream::new(map)?.peekable()))
        .collect::<Result<_, mcap::McapError>>()?;
    let mut due = BinaryHeap::new();
    for (i, stream) in streams.iter_mut().enumerate() {
        if let Some(Ok(message)) = stream.peek() {
            due.push(Reverse((message.log_time, i)));
        }
    }
    let mut channels: HashMap<String, u16> = HashMap::new();
    while let Some(Reverse((_, i))) = due.pop() {
        let message = streams[i].next().ok_or("no message")??;
        let id = match channels.get(&message.channel.topic) {
            Some(id) => *id,
            None => {
                let schema = message.channel.schema.as_ref().ok_or("no schema")?;
                let schema = writer.add_schema(&schema.name, &schema.encoding, &schema.data)?;
                let id = writer.add_channel(schema, &message.channel.topic, &message.channel.message_encoding, &message.channel.metadata)?;
                channels.insert(message.channel.topic.clone(), id);
                id
            }
        };
        let header = mcap::records::MessageHeader {
            channel_id: id,
            sequence: message.sequence,
            log_time: message.log_time,
            publish_time: message.publish_time,
        };
        writer.write_to_known_channel(&header, &message.data)?;
        if let Some(Ok(next)) = streams[i].peek() {
            due.push(Reverse((next.log_time, i)));
        }
    }
    writer.finish()?;
    Ok(())
}
