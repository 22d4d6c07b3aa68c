use futures::io::Cursor;
use prost::Message as _;

use super::*;
use crate::nat::autonat::messages::Message;

fn address() -> Multiaddr {
    "/ip4/45.77.0.2/tcp/4002".parse().unwrap()
}

/// What a server says from the first to the last, and what was said to it.
struct Server {
    says: Cursor<Vec<u8>>,
    heard: Vec<u8>,
}

impl Server {
    fn new(answers: &[&[u8]]) -> Self {
        Self { says: Cursor::new(answers.concat()), heard: Vec::new() }
    }
}

impl AsyncRead for Server {
    fn poll_read(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        std::pin::Pin::new(&mut self.says).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Server {
    fn poll_write(mut self: std::pin::Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.heard.extend(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: std::pin::Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: std::pin::Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// What the answers of a server come to; each as its bytes stand on the wire, the length first.
fn asked(answers: &[&[u8]]) -> (io::Result<Answer>, Vec<u8>) {
    let mut server = Server::new(answers);
    let answer = futures::executor::block_on(converse(&mut server, &address()));
    (answer, server.heard)
}

const DIAL_ERROR: &[u8] = &[7, 0x12, 5, 0x08, 0xc8, 1, 0x18, 100];
const DIAL_BACK_ERROR: &[u8] = &[7, 0x12, 5, 0x08, 0xc8, 1, 0x18, 101];

#[test]
fn each_answer_is_read_as_the_specification_has_it() {
    let answers: [(&[u8], Answer); 8] = [
        (DIAL_BACK_ERROR, Answer::Connected),
        (DIAL_ERROR, Answer::NotConnected),
        (&[8, 0x12, 6, 0x08, 0xc8, 1, 0x18, 0xc8, 1], Answer::Unclear),
        (&[2, 0x12, 0], Answer::Unclear),
        (&[4, 0x12, 2, 0x08, 100], Answer::Failed),
        (&[4, 0x12, 2, 0x08, 101], Answer::Failed),
        // The second of one address, and a status that there is not.
        (&[9, 0x12, 7, 0x08, 0xc8, 1, 0x10, 1, 0x18, 101], Answer::Failed),
        (&[7, 0x12, 5, 0x08, 0xc8, 1, 0x18, 99], Answer::Failed),
    ];
    for (bytes, answer) in answers {
        assert_eq!(asked(&[bytes]).0.unwrap(), answer, "{bytes:?}");
    }
}

#[test]
fn a_question_names_one_address() {
    let heard = asked(&[DIAL_ERROR]).1;
    let named = address().to_vec();
    assert_eq!(usize::from(heard[0]), heard.len() - 1);
    assert_eq!(heard[1..5], [0x0a, heard[0] - 2, 0x0a, u8::try_from(named.len()).unwrap()]);
    assert_eq!(heard[5..5 + named.len()], named);
}

#[test]
fn what_a_server_asks_for_before_it_dials_another_host_is_sent() {
    // 30,000 bytes.
    let (answer, heard) = asked(&[&[6, 0x1a, 4, 0x10, 0xb0, 0xea, 1], DIAL_BACK_ERROR]);
    assert_eq!(answer.unwrap(), Answer::Connected);
    let mut rest = &heard[usize::from(heard[0]) + 1..];
    let mut pieces = 0;
    while !rest.is_empty() {
        Message::decode_length_delimited(&mut rest).unwrap();
        pieces += 1;
    }
    assert_eq!(pieces, 8);
    assert!(heard.len() > 30_000 && heard.len() < 30_200, "{}", heard.len());
}

#[test]
fn nonsense_is_no_answer_and_costs_nothing() {
    let answers: [&[u8]; 8] = [
        &[],
        &[0],
        &[9, 0x12],
        &[0x80, 0x80, 4],
        &[3, 0xff, 0xff, 0xff],
        // Another question; too little; all the data there is.
        &[2, 0x0a, 0],
        &[4, 0x1a, 2, 0x10, 1],
        &[12, 0x1a, 10, 0x10, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f, 0],
    ];
    for bytes in answers {
        let (answer, heard) = asked(&[bytes]);
        assert!(answer.is_err(), "{bytes:?}");
        assert!(heard.len() < 100);
    }
}
