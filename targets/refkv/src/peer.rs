//! Links between nodes: TCP, one connection in each direction, length-prefixed JSON frames.
//!
//! The first frame says who calls; each frame after it is a [`Message`]. A link never blocks the node: what does not
//! fit into its queue is dropped, as a network may, and the protocol sends it again.

use crate::raft::{Message, NodeId};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::cell::Cell;
use std::collections::BTreeMap;
use std::io;
use std::rc::Rc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::sync::mpsc;

/// Messages that wait for one peer.
const QUEUE_MESSAGES_MAX: usize = 4096;
/// Messages put together into one write.
const WRITE_MESSAGES_MAX: usize = 64;
const FRAME_BYTES_MAX: usize = 256 << 20;
const BACKOFF_FIRST: Duration = Duration::from_millis(50);
const BACKOFF_MAX: Duration = Duration::from_millis(500);
const CONNECT_TIMEOUT: Duration = Duration::from_millis(500);
/// A connection whose data nobody acknowledges for so long is given up, so that after a partition the nodes meet again
/// at once and not after TCP's own back-off of many seconds.
const UNACKNOWLEDGED_MAX_MS: u32 = 1000;

/// Who calls, and where to call back.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Hello {
    /// The caller's name.
    pub id: NodeId,
    /// Its address, `host:port`, if it knows it.
    pub addr: Option<String>,
}

/// Counts over all links.
#[derive(Debug, Default)]
pub struct LinkStats {
    /// Messages put into a queue.
    pub sent: Cell<u64>,
    /// Messages dropped because a queue was full or the peer's address is not known.
    pub dropped: Cell<u64>,
    /// Connections made.
    pub connects: Cell<u64>,
}

fn count(counter: &Cell<u64>) {
    counter.set(counter.get() + 1);
}

/// The outgoing links of a node. They end when this is dropped.
#[derive(Debug)]
pub struct Links {
    me: Hello,
    links: BTreeMap<NodeId, (String, mpsc::Sender<Message>)>,
    stats: Rc<LinkStats>,
}

impl Links {
    /// No links yet.
    pub fn new(me: Hello) -> Links {
        Links { me, links: BTreeMap::new(), stats: Rc::default() }
    }

    /// Makes a link to `id` at `addr`, or moves the link there. Must be called inside a `LocalSet`.
    pub fn learn(&mut self, id: &str, addr: &str) {
        if id == self.me.id || self.links.get(id).is_some_and(|(known, _)| known == addr) {
            return;
        }
        let (sender, queue) = mpsc::channel(QUEUE_MESSAGES_MAX);
        tokio::task::spawn_local(run_link(self.me.clone(), addr.to_owned(), queue, self.stats.clone()));
        self.links.insert(id.to_owned(), (addr.to_owned(), sender));
    }

    /// Sends `message`, or drops it.
    pub fn send(&self, message: Message) {
        let queue = self.links.get(&message.to).map(|(_, queue)| queue);
        match queue.is_some_and(|queue| queue.try_send(message).is_ok()) {
            true => count(&self.stats.sent),
            false => count(&self.stats.dropped),
        }
    }

    /// Counts.
    pub fn stats(&self) -> &LinkStats {
        &self.stats
    }
}

async fn run_link(me: Hello, addr: String, mut queue: mpsc::Receiver<Message>, stats: Rc<LinkStats>) {
    let mut backoff = BACKOFF_FIRST;
    while !queue.is_closed() {
        if let Ok(Ok(stream)) = tokio::time::timeout(CONNECT_TIMEOUT, TcpStream::connect(&addr)).await {
            count(&stats.connects);
            backoff = BACKOFF_FIRST;
            // When the connection breaks, what was written to it may be lost: the protocol sends it again.
            let _broken = feed(stream, &me, &mut queue).await;
        }
        tokio::time::sleep(backoff).await;
        backoff = (backoff * 2).min(BACKOFF_MAX);
        // What has waited for a connection is old; newer messages say it better.
        while queue.try_recv().is_ok() {
            count(&stats.dropped);
        }
    }
}

async fn feed(stream: TcpStream, me: &Hello, queue: &mut mpsc::Receiver<Message>) -> io::Result<()> {
    stream.set_nodelay(true)?;
    nix::sys::socket::setsockopt(&stream, nix::sys::socket::sockopt::TcpUserTimeout, &UNACKNOWLEDGED_MAX_MS)?;
    let (mut reader, mut writer) = stream.into_split();
    write_frames(&mut writer, std::slice::from_ref(me)).await?;
    let mut batch = Vec::new();
    let mut nothing = [0];
    loop {
        tokio::select! {
            count = queue.recv_many(&mut batch, WRITE_MESSAGES_MAX) => {
                if count == 0 {
                    return Ok(());
                }
                write_frames(&mut writer, &batch).await?;
                batch.clear();
            }
            // The peer never writes here; the read tells at once when it is gone.
            end = reader.read(&mut nothing) => return end.map(|_| ()),
        }
    }
}

/// Reads one incoming connection to its end: who calls, then each message.
///
/// # Errors
///
/// When the connection breaks or carries something that is not a frame.
pub async fn read_link(
    stream: TcpStream,
    mut hello: impl AsyncFnMut(Hello),
    mut message: impl AsyncFnMut(Message),
) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut stream = BufReader::new(stream);
    let Some(who) = read_frame(&mut stream).await? else { return Ok(()) };
    hello(who).await;
    while let Some(received) = read_frame(&mut stream).await? {
        message(received).await;
    }
    Ok(())
}

async fn write_frames<T: Serialize>(stream: &mut (impl AsyncWrite + Unpin), frames: &[T]) -> io::Result<()> {
    let mut bytes = Vec::new();
    for frame in frames {
        let start = bytes.len();
        bytes.extend([0; 4]);
        serde_json::to_writer(&mut bytes, frame)?;
        let length = u32::try_from(bytes.len() - start - 4).map_err(io::Error::other)?;
        bytes[start..start + 4].copy_from_slice(&length.to_be_bytes());
    }
    stream.write_all(&bytes).await
}

/// `None` at the end of the stream.
async fn read_frame<T: DeserializeOwned>(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<T>> {
    let length = match stream.read_u32().await {
        Ok(length) => length as usize,
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        Err(error) => return Err(error),
    };
    if length > FRAME_BYTES_MAX {
        return Err(io::Error::new(io::ErrorKind::InvalidData, format!("a frame of {length} bytes")));
    }
    let mut bytes = vec![0; length];
    stream.read_exact(&mut bytes).await?;
    Ok(Some(serde_json::from_slice(&bytes)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn frames_round_trip_and_end() {
        let mut bytes = Vec::new();
        write_frames(&mut bytes, &["one", "two"]).await.unwrap();
        let mut stream = bytes.as_slice();
        assert_eq!(read_frame::<String>(&mut stream).await.unwrap().as_deref(), Some("one"));
        assert_eq!(read_frame::<String>(&mut stream).await.unwrap().as_deref(), Some("two"));
        assert_eq!(read_frame::<String>(&mut stream).await.unwrap(), None);
    }

    #[tokio::test]
    async fn garbage_is_an_error() {
        assert!(read_frame::<String>(&mut [0xff; 8].as_slice()).await.is_err(), "too long");
        assert!(read_frame::<String>(&mut [0, 0, 0, 1, b'x'].as_slice()).await.is_err(), "not JSON");
        assert!(read_frame::<String>(&mut [0, 0, 0, 9, b'x'].as_slice()).await.is_err(), "cut short");
    }
}
