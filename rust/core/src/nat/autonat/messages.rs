//! The messages of `AutoNAT` v2, <https://github.com/libp2p/specs/blob/master/autonat/autonat-v2.md>, as far as a client needs
//! them: each is behind its length on a stream of its own.

use std::io;

use futures::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use prost::Message as _;

/// The length of an answer takes one byte: a status, a place in a list, a number of bytes.
const LONGEST_ANSWER: u8 = 0x7f;

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Message {
    #[prost(oneof = "Body", tags = "1, 2, 3, 4")]
    body: Option<Body>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
pub(super) enum Body {
    #[prost(message, tag = "1")]
    Request(DialRequest),
    #[prost(message, tag = "2")]
    Response(DialResponse),
    #[prost(message, tag = "3")]
    DataRequest(DialDataRequest),
    #[prost(message, tag = "4")]
    DataResponse(DialDataResponse),
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct DialRequest {
    #[prost(bytes = "vec", repeated, tag = "1")]
    pub addresses: Vec<Vec<u8>>,
    #[prost(fixed64, tag = "2")]
    pub nonce: u64,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct DialResponse {
    #[prost(enumeration = "ResponseStatus", tag = "1")]
    pub status: i32,
    /// Which of the addresses was dialled.
    #[prost(uint32, tag = "2")]
    pub address: u32,
    #[prost(enumeration = "DialStatus", tag = "3")]
    pub dial_status: i32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, prost::Enumeration)]
#[repr(i32)]
pub(super) enum ResponseStatus {
    InternalError = 0,
    RequestRejected = 100,
    DialRefused = 101,
    Ok = 200,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, prost::Enumeration)]
#[repr(i32)]
pub(super) enum DialStatus {
    Unused = 0,
    DialError = 100,
    DialBackError = 101,
    Ok = 200,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct DialDataRequest {
    #[prost(uint32, tag = "1")]
    pub address: u32,
    #[prost(uint64, tag = "2")]
    pub bytes: u64,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct DialDataResponse {
    #[prost(bytes = "vec", tag = "1")]
    pub data: Vec<u8>,
}

pub(super) async fn send(stream: &mut (impl AsyncWrite + Unpin), body: Body) -> io::Result<()> {
    stream.write_all(&Message { body: Some(body) }.encode_length_delimited_to_vec()).await?;
    stream.flush().await
}

pub(super) async fn receive(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Body> {
    let mut length = [0];
    stream.read_exact(&mut length).await?;
    let [length @ 0..=LONGEST_ANSWER] = length else { return Err(invalid("an answer that is too long")) };
    let mut bytes = vec![0; usize::from(length)];
    stream.read_exact(&mut bytes).await?;
    let message = Message::decode(bytes.as_slice()).map_err(|_| invalid("an answer that is none"))?;
    message.body.ok_or_else(|| invalid("an empty answer"))
}

pub(super) fn invalid(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}
