//! The text of a key file: the JSON array of the Solana CLI, or Base58. It is read here, as what is read in Python stays
//! in its memory.

use zeroize::Zeroizing;

use super::{IdentityError, SecretKey};

impl SecretKey {
    /// Reads the content of a key file in either form, and wipes it.
    pub fn from_file_content(content: Vec<u8>) -> Result<Self, IdentityError> {
        let content = Zeroizing::new(content);
        let text = std::str::from_utf8(&content).map_err(|_| IdentityError::KeyFile)?.trim();
        match text.strip_prefix('[') {
            Some(rest) => Self::from_json_array(rest.strip_suffix(']').ok_or(IdentityError::KeyFile)?),
            None if text.is_empty() => Err(IdentityError::KeyFile),
            None => Self::from_base58(text),
        }
    }

    /// By hand: a JSON reader keeps the numbers in memory that nobody wipes.
    fn from_json_array(numbers: &str) -> Result<Self, IdentityError> {
        let mut pair = Zeroizing::new([0; 64]);
        let mut numbers = numbers.split(',');
        for byte in pair.iter_mut() {
            let digits = numbers.next().map(str::trim).filter(|text| text.bytes().all(|digit| digit.is_ascii_digit()));
            *byte = digits.and_then(|digits| digits.parse().ok()).ok_or(IdentityError::KeyFile)?;
        }
        if numbers.next().is_some() {
            return Err(IdentityError::KeyFile);
        }
        Self::from_bytes(pair.as_slice())
    }
}
