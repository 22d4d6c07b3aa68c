//! A stream that this peer has opened: it is written to in the order of the commands, and always read.

use futures::{
    AsyncReadExt as _, AsyncWriteExt as _,
    io::{ReadHalf, WriteHalf},
};
use libp2p::core::muxing::SubstreamBox;
use serde_json::json;
use tokio::{sync::mpsc, task::JoinHandle};

use crate::{hex, report};

/// Orders that a stream takes while it still carries out one.
const WAITING: usize = 64;

enum Order {
    Write { bytes: Vec<u8>, times: u64 },
    End,
}

/// Reset with this, unless it was ended before.
pub(crate) struct Stream {
    orders: mpsc::Sender<Order>,
    tasks: [JoinHandle<()>; 2],
}

impl Stream {
    pub(crate) fn new(number: u64, stream: SubstreamBox) -> Self {
        let (reading, writing) = stream.split();
        let (orders, ordered) = mpsc::channel(WAITING);
        Self { orders, tasks: [tokio::spawn(read(number, reading)), tokio::spawn(write(number, writing, ordered))] }
    }

    /// A line tells when all of it is on its way, or that the stream is broken.
    pub(crate) async fn write(&self, bytes: Vec<u8>, times: u64) {
        // `Err`: broken, as a line has said.
        let _ = self.orders.send(Order::Write { bytes, times }).await;
    }

    pub(crate) async fn end(&self) {
        let _ = self.orders.send(Order::End).await;
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

async fn write(number: u64, mut stream: WriteHalf<SubstreamBox>, mut ordered: mpsc::Receiver<Order>) {
    while let Some(order) = ordered.recv().await {
        let done = match order {
            Order::End => stream.close().await,
            Order::Write { bytes, times } => {
                let mut done = Ok(());
                for _ in 0..times {
                    done = stream.write_all(&bytes).await;
                    if done.is_err() {
                        break;
                    }
                }
                if done.is_ok() { stream.flush().await } else { done }
            }
        };
        if let Err(error) = done {
            report::line(&json!({"event": "broken", "stream": number, "error": report::describe(&error)}));
            return;
        }
        report::line(&json!({"event": "written", "stream": number}));
    }
}

async fn read(number: u64, mut stream: ReadHalf<SubstreamBox>) {
    let mut chunk = vec![0; 16 * 1024];
    loop {
        match stream.read(&mut chunk).await {
            Ok(0) => return report::line(&json!({"event": "read-end", "stream": number, "error": null})),
            Ok(count) => {
                report::line(&json!({"event": "read", "stream": number, "hex": hex::encode(&chunk[..count])}));
            }
            Err(error) => {
                let error = report::describe(&error);
                return report::line(&json!({"event": "read-end", "stream": number, "error": error}));
            }
        }
    }
}
