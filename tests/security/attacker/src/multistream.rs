//! multistream-select by hand: who speaks it through a library can say nothing wrong.

use std::io;

use futures::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use crate::protobuf::framed;

const HEADER: &str = "/multistream/1.0.0";
const REFUSED: &str = "na";
/// Longer than any protocol name.
const LONGEST: usize = 1024;

/// Asks for a protocol; whether the other side agrees.
pub(crate) async fn propose<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut S, protocol: &str) -> io::Result<bool> {
    stream.write_all(&[line(HEADER), line(protocol)].concat()).await?;
    stream.flush().await?;
    if read_line(stream).await? != HEADER {
        return Err(io::Error::other("the other side does not speak multistream"));
    }
    Ok(read_line(stream).await? == protocol)
}

/// Lets the other side choose among the protocols that are spoken here.
pub(crate) async fn accept<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut S, spoken: &[&str]) -> io::Result<String> {
    loop {
        let wanted = read_line(stream).await?;
        let known = wanted == HEADER || spoken.contains(&wanted.as_str());
        stream.write_all(&line(if known { &wanted } else { REFUSED })).await?;
        stream.flush().await?;
        if known && wanted != HEADER {
            return Ok(wanted);
        }
    }
}

pub(crate) fn line(text: &str) -> Vec<u8> {
    framed(format!("{text}\n").as_bytes())
}

async fn read_line<S: AsyncRead + Unpin>(stream: &mut S) -> io::Result<String> {
    let bytes = read_framed(stream, LONGEST).await?;
    Ok(String::from_utf8_lossy(&bytes).trim_end().to_owned())
}

/// One message with its length before it.
pub(crate) async fn read_framed<S: AsyncRead + Unpin>(stream: &mut S, longest: usize) -> io::Result<Vec<u8>> {
    let mut length = 0_usize;
    for shift in (0..28).step_by(7) {
        let mut byte = [0];
        stream.read_exact(&mut byte).await?;
        length |= usize::from(byte[0] & 0x7f) << shift;
        if byte[0] & 0x80 == 0 {
            break;
        }
    }
    if length > longest {
        return Err(io::Error::other("a message that is too long"));
    }
    let mut bytes = vec![0; length];
    stream.read_exact(&mut bytes).await?;
    Ok(bytes)
}
